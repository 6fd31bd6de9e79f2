// A client whose types openapi-typescript makes of the description. It compiles only if these requests fit the schemas.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { env: Record<string, string | undefined> };
declare const console: { log(text: string): void };

const baseUrl = process.env.API_URL ?? "";
const api = createClient<paths, "application/json" | "application/problem+json">({ baseUrl });

function check(ok: unknown, what: string): asserts ok {
  if (!ok) throw new Error(what);
}

const rows = await api.GET("/staff", { params: { query: { age: "gte.30", order: "id" } } });
check(rows.data?.length === 2 && rows.data[0]?.name === "Lambda", "GET /staff");

const one = await api.POST("/staff", { body: { id: "1001", name: "Typed", age: null } });
check(one.response.status === 202 && one.data && "id" in one.data, "POST /staff");

const many = await api.POST("/shop_item", {
  body: [{ shop: "a/b", item: 1, revision: 1, tags: ["x", null], extra: { any: [1] } }],
  params: { header: { Prefer: "resolution=merge-duplicates" } },
});
check(many.data && "writes" in many.data, "POST /shop_item");
const write = many.data.writes[0];
check(write?.item === 0, "the number of the item");

const read = await api.GET("/shop_item", { params: { query: { shop: "a/b", after: [one.data.id, write.id] } } });
check(read.data?.[0]?.tags?.length === 2, "GET /shop_item after the writes");

const status = await api.GET("/_sync/writes/{id}", { params: { path: { id: write.id } } });
check(status.data?.outcome === "applied", "the status of a write");

const update = await api.PATCH("/staff/{key}", { params: { path: { key: "1001" } }, body: { age: 40 } });
check(update.data?.status, "PATCH /staff/{key}");

const deletion = await api.DELETE("/staff", { body: ["1001", { id: "1002" }] });
check(deletion.data && "writes" in deletion.data && deletion.data.writes.length === 2, "DELETE /staff");

const refused = await api.POST("/staff", { body: { id: "10001", name: "Long" } });
check(refused.error?.errors?.[0]?.rule === "length", "the faults of a body");

console.log("openapi-typescript: ok");
