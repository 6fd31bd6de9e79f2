import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { Client, Problem } from "aurora-sync-client";
import { sigv4 } from "aurora-sync-client/sigv4";

import type { paths } from "./schema.js";

const API_URL = process.env["API_URL"]!;
// One client for each way to authorize requests that the stack checks.
const api = new Client<paths>(API_URL, { fetch: sigv4() });
const staff = api.table("staff");

async function all<Row>(pages: AsyncIterable<Row[]>): Promise<Row[][]> {
  const found = [];
  for await (const page of pages) found.push(page);
  return found;
}

async function problem(promise: Promise<unknown>): Promise<Problem> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof Problem, String(error));
  return error;
}

test("a request that is not signed, or with a wrong key, is refused", async () => {
  const wrong = { fetch: sigv4({ credentials: { accessKeyId: "test", secretAccessKey: "wrong" } }) };
  for (const options of [{}, wrong]) {
    const refused = await problem(new Client<paths>(API_URL, options).table("staff").row("0001").get());
    assert.deepEqual([refused.status, refused.type, refused.detail], [403, "about:blank", "Forbidden"]);
  }
});

test("a list of more than 20 writes is settled", async () => {
  const rows = Array.from({ length: 45 }, (_, at) => ({ id: `4${String(at).padStart(3, "0")}`, name: "many" }));
  const writes = await staff.insert(rows);
  await writes.settled();
  assert.equal(writes.items.length, 45);
  assert.equal((await all(staff.pages({ name: "eq.many" }))).flat().length, 45);
});

test("pages follow each other, and keep the filter", async () => {
  await (await staff.insert([1, 2, 3, 4, 5].map((n) => ({ id: `410${n}`, name: "paged", age: n })))).settled();
  const filters = { name: "eq.paged", age: ["gte.2", "lt.5"] };
  const pages = await all(staff.pages({ ...filters, select: "id", limit: 2, order: "age.desc" }));
  assert.deepEqual(pages, [[{ id: "4104" }, { id: "4103" }], [{ id: "4102" }]]);
});

test("rejected writes of a list are named with their reasons, and the others are applied", async () => {
  await (await staff.insert({ id: "4200", name: "first" })).settled();
  const writes = await staff.insert(["4200", "4201"].map((id) => ({ id, name: "second" })));
  const rejected = await problem(writes.settled());
  assert.equal(rejected.type, "urn:problem-type:aurora-sync:write-rejected");
  assert.match(rejected.message, /^409 staff\/4200: .*staff_pkey/);
  assert.deepEqual((await writes.statuses()).map((status) => status.outcome), ["rejected", "applied"]);
});

test("the faults of a body are in the problem", async () => {
  const refused = await problem(staff.insert({ id: "42000", name: "long" }));
  assert.equal(refused.type, "urn:problem-type:aurora-sync:invalid-write");
  assert.deepEqual(refused.errors.map((fault) => [fault.pointer, fault.rule]), [["/id", "length"]]);
});

test("the good items of a list are accepted", async () => {
  const writes = await staff.insert([{ id: "43000", name: "long" }, { id: "4300", name: "good" }], { partial: true });
  await writes.settled();
  assert.deepEqual(writes.items.map((write) => write.item), [1]);
  assert.deepEqual(writes.faults.map((fault) => fault.pointer), ["/0/id"]);
});

test("a row that exists is updated or left alone", async () => {
  await (await staff.insert({ id: "4400", name: "first" })).settled();
  await (await staff.insert({ id: "4400", name: "ignored" }, { ifExists: "ignore" })).settled();
  assert.equal((await staff.row("4400").get()).row.name, "first");
  await (await staff.insert({ id: "4400", name: "second" }, { ifExists: "update" })).settled();
  assert.equal((await staff.row("4400").get()).row.name, "second");
});

test("a row is changed only if it has the ETag", async () => {
  const one = staff.row("4500");
  await (await one.put({ name: "new" }, { ifAbsent: true })).settled();
  const { etag } = await one.get();
  await (await one.update({ age: 1 }, { ifMatch: etag })).settled();
  const late = await problem((await one.delete({ ifMatch: etag })).settled());
  assert.equal(late.body.writes[0].rule, "precondition-failed");
  assert.equal((await one.get()).row.age, 1);
});

test("two requests under one Idempotency-Key have one effect", async () => {
  const visit = api.table("visit");
  for (const _ of [1, 2]) await (await visit.insert({ note: "twice" }, { idempotencyKey: "twice" })).settled();
  assert.equal((await all(visit.pages({ note: "eq.twice" }))).flat().length, 1);
});

test("keys and filters with any characters are signed as they are sent", async () => {
  const items = api.table("shop_item");
  const shop = `a/b, "c" (d)!'*+~ü&=;:@$^\`{|}\\`;
  await (await items.insert({ shop, item: 1, revision: 1, tags: ["x", null] })).settled();
  assert.equal((await items.row([shop, 1]).get({ select: "shop" })).row.shop, shop);
  assert.equal((await all(items.pages({ shop: `eq.${shop}` }))).flat().length, 1);
  await (await items.row([shop, 1]).delete()).settled();
  assert.equal((await problem(items.row([shop, 1]).get())).type, "urn:problem-type:aurora-sync:row-not-found");
});

test("rows that do not fit the description are errors of types", async () => {
  // @ts-expect-error: there is no such column.
  await problem(staff.insert({ id: "4600", name: "x", nmae: "x" }));
  // @ts-expect-error: age is a number.
  await problem(staff.row("0001").update({ age: "old" }));
  // @ts-expect-error: there is no such table.
  await problem(api.table("stuff").row("0001").get());
});

test("a key that could name another row in a path is not sent", () => {
  for (const key of ["a%41", "a?b", "..", "."]) assert.throws(() => staff.row(key), RangeError);
});

test("an import is found by its id, with its rejected rows page by page", async () => {
  const ended = await api.imports.ended({ key: "eq.imports/staff/june.csv" });
  assert.deepEqual(await api.imports.get(ended.id!), ended);
  const rejects = await all(api.imports.rejects(ended.id!, { limit: 1 }));
  assert.deepEqual(rejects.map((page) => page.map((reject) => reject.line)), [[3], [4]]);
  assert.ok((await all(api.imports.pages({ state: "eq.completed" }))).flat().some((one) => one.id === ended.id));
});

test("a write that is not settled in time is pending", async () => {
  const accepted = { status: 202, body: { id: "1", status: "_sync/writes/1?fingerprint=f" } };
  const pending = { status: 503, body: { type: "urn:problem-type:aurora-sync:write-pending", detail: "not yet" } };
  await withServer([accepted, pending], async (url, sent) => {
    const write = await new Client<paths>(url).table("staff").delete(["0001"]);
    assert.match((await problem(write.settled({ timeout: 0 }))).type, /:write-pending$/);
    assert.equal(sent[1]?.url, "/base/_sync/writes?select=id&limit=1&after=1.f");
  });
});

test("a list is waited for by 20 writes at a time, without those that were rejected", async () => {
  const ids = Array.from({ length: 22 }, (_, number) => `id-${number}`);
  const writes = ids.map((id, item) => ({ item, id, status: `_sync/writes/${id}?fingerprint=f` }));
  const rejected = { type: "urn:problem-type:aurora-sync:write-rejected", writes: [{ id: "id-3" }] };
  const status = { table: "staff", key: "3", rule: "row-missing" };
  const settled = { status: 200, body: [] };
  const responses = [{ status: 202, body: { writes } }, { status: 409, body: rejected }, settled, settled];
  await withServer([...responses, { status: 200, body: status }], async (url, sent) => {
    const failed = await problem((await new Client<paths>(url).table("staff").delete(ids)).settled());
    assert.deepEqual([failed.detail, failed.body.writes], ["staff/3: row-missing", [status]]);
    const numbers = sent.slice(1).map((request) => new URL(request.url!, url).searchParams.getAll("after").length);
    assert.deepEqual(numbers, [20, 20, 1, 0]);
  });
});

test("a write is sent again under the same Idempotency-Key", async () => {
  const passing = [{ status: 429, body: {} }, undefined, { status: 503, body: {} }];
  await withServer([...passing, { status: 202, body: { id: "1", status: "../_sync/writes/1" } }], async (url, sent) => {
    const write = await new Client<paths>(url).table("staff").row("0001").update({ age: 1 });
    assert.equal(write.items[0]?.status.href, `${url}/_sync/writes/1`);
    assert.equal(sent.length, 4);
    assert.equal(new Set(sent.map((request) => request.headers["idempotency-key"])).size, 1);
  });
});

test("other errors are not retried, and not more than the given times", async () => {
  for (const [status, times] of [[500, 1], [403, 1], [503, 3]] as const) {
    await withServer([{ status, body: { message: "no" } }], async (url, sent) => {
      const failed = await problem(new Client<paths>(url, { retries: 2 }).table("staff").row("0001").get());
      assert.deepEqual([failed.status, failed.detail, sent.length], [status, "no", times]);
    });
  }
});

test("each request has the current token", async () => {
  await withServer([{ status: 200, body: [] }], async (url, sent) => {
    let number = 0;
    const changing = new Client<paths>(url, { token: async () => `token-${++number}` }).table("staff");
    await all(changing.pages());
    await all(changing.pages());
    await all(new Client<paths>(url, { token: "fixed" }).table("staff").pages());
    const tokens = sent.map((request) => request.headers.authorization);
    assert.deepEqual(tokens, ["Bearer token-1", "Bearer token-2", "Bearer fixed"]);
  });
});

type Sent = { status: number; body: unknown } | undefined;

/** Runs a server that records requests. It sends these responses, the last one again and again, or hangs up. */
async function withServer(responses: Sent[], use: (url: string, sent: IncomingMessage[]) => Promise<void>) {
  const sent: IncomingMessage[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const next = responses[Math.min(sent.push(request), responses.length) - 1];
    if (!next) return void request.socket.destroy();
    response.writeHead(next.status, { "content-type": "application/json", "retry-after": "0" });
    response.end(JSON.stringify(next.body));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/base`, sent);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
