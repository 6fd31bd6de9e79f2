// postgrest-js and supabase-js, as the documentation says that they work (docs/guide/clients.md).
import assert from "node:assert/strict";
import { PostgrestClient } from "@supabase/postgrest-js";
import { createClient } from "@supabase/supabase-js";
import { sigv4 } from "./typescript/dist/sigv4.js";

const signed = sigv4();
const url = process.env.API_URL;
const sent = [];
const watched = async (input, init) => {
  // supabase-js puts /rest/v1 before the table.
  const address = String(input).replace("/rest/v1/", "/");
  sent.push(address.slice(url.length));
  return signed(address, init);
};
const clients = {
  "postgrest-js": new PostgrestClient(url, { fetch: watched }),
  "supabase-js": createClient(url, "key", {
    global: { fetch: watched },
    // Node has no WebSocket before version 22. Nothing here subscribes to anything.
    realtime: { transport: class {} },
  }),
};

let number = 2000;
for (const [name, client] of Object.entries(clients)) {
  const [first, second] = [String(++number), String(++number)];
  const settled = async (result, status = 202) => {
    assert.equal(result.error, null, JSON.stringify(result));
    assert.equal(result.status, status);
    const ids = result.data.writes.map((write) => write.id).join(",");
    const read = await watched(`${url}/staff?select=id&limit=1&after=${ids}`);
    assert.equal(read.status, 200, await read.text());
  };
  const rows = async () => {
    const { data, error } = await client.from("staff").select("id,name,age").in("id", [first, second]).order("id");
    assert.equal(error, null);
    return data;
  };

  await settled(await client.from("staff").insert([{ id: first, name: "one" }, { id: second, name: "two", age: 2 }]));
  assert.deepEqual(await rows(), [{ id: first, name: "one", age: null }, { id: second, name: "two", age: 2 }]);

  await settled(await client.from("staff").upsert([{ id: first, name: "ONE" }]));
  await settled(await client.from("staff").upsert([{ id: second, age: 3, name: "TWO" }], { onConflict: "id" }));
  await settled(
    await client.from("staff").upsert([{ id: second, name: "nobody" }], { onConflict: "id", ignoreDuplicates: true }),
  );
  assert.deepEqual(await rows(), [{ id: first, name: "ONE", age: null }, { id: second, name: "TWO", age: 3 }]);

  for (const count of ["exact", "planned", "estimated"]) {
    const counted = await client.from("staff").select("id", { count }).limit(1);
    assert.equal(counted.error, null);
    assert.equal(typeof counted.count, "number", count);
  }
  const head = await client.from("staff").select("id", { count: "exact", head: true });
  assert.equal(head.error, null);
  assert.ok(head.count >= 5);

  const tutorial = () => client.from("staff").select("id").lt("id", "1000").order("id");
  const found = async (query) => {
    const { data, error } = await query;
    assert.equal(error, null, JSON.stringify(error));
    return data.map((row) => row.id).join();
  };
  assert.equal(await found(tutorial().neq("id", "0002")), "0001,0003");
  assert.equal(await found(tutorial().gt("age", 12).lte("age", 34)), "0002");
  assert.equal(await found(tutorial().gte("age", 34)), "0002,0003");
  assert.equal(await found(tutorial().like("name", "A%")), "0001");
  assert.equal(await found(tutorial().ilike("name", "dyn*")), "0003");
  assert.equal(await found(tutorial().is("age", null)), "");
  assert.equal(await found(tutorial().not("age", "eq", 12)), "0002,0003");
  assert.equal(await found(tutorial().or("age.eq.12,age.eq.56")), "0001,0003");
  assert.equal(await found(tutorial().match({ name: "Lambda", age: 34 })), "0002");
  assert.equal(await found(tutorial().limit(1)), "0001");
  const row = () => client.from("staff").select("name").eq("id", "0001");
  assert.deepEqual((await row().maybeSingle()).data, { name: "Aurora" });
  assert.equal((await row().csv()).data, "name\r\nAurora\r\n");
  assert.match((await row().single()).error.message, /^The media types are application\/json/);
  assert.match((await client.from("staff").select().range(0, 1)).error.message, /^offset: pages begin after a cursor/);
  assert.match((await client.from("staff").select("*, shop_item(*)")).error.message, /cannot be renamed, cast or embedded/);

  const refused = await client.from("staff").insert([{ id: "00001", name: "long" }]);
  assert.equal(refused.status, 422);
  assert.equal(refused.error.message, "The body has 1 fault; nothing was accepted.");
  assert.equal((await client.from("stuff").select()).error.message, "Did you mean /staff?");
  const other = await client.from("staff").upsert([{ id: first, name: "x" }], { onConflict: "name" });
  assert.match(other.error.message, /^on_conflict: a row is found by its primary key only/);
  const returned = await client.from("staff").insert([{ id: "9", name: "x" }]).select();
  assert.match(returned.error.message, /^select: a write is accepted before it is applied/);
  const updated = await client.from("staff").update({ age: 1 }).eq("id", first);
  assert.match(updated.error.message, /not in the query; remove: id\.$/);

  console.log(`${name}: ok`);
}
if (process.env.SHOW_REQUESTS) console.log(sent.join("\n"));
