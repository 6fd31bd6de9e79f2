// The stack verifies tokens: TOKEN_URL signs those of any claims.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, Problem } from "aurora-sync-client";
import type { paths } from "./schema.js";

const { API_URL = "", TOKEN_URL = "" } = process.env;

async function token(claims: object): Promise<string> {
  return (await fetch(TOKEN_URL, { method: "POST", body: JSON.stringify(claims) })).text();
}

test("a write with a token is settled, and is that of its subject", async () => {
  const staff = new Client<paths>(API_URL, { token: () => token({ sub: "ann" }) }).table("staff");
  const write = await staff.insert({ id: "1701", name: "By token" });
  await write.settled();
  const { row } = await staff.row("1701").get();
  assert.equal(row.name, "By token");
  const bearer = { authorization: `Bearer ${await token({ sub: "ann" })}` };
  const listed = await fetch(`${API_URL}/_sync/writes?select=caller&limit=1`, { headers: bearer });
  assert.deepEqual(await listed.json(), [{ caller: `${TOKEN_URL}|ann` }]);
});

test("a request without a token, or with an expired or forged one, is refused", async () => {
  const expired = await token({ sub: "ann", exp: 1_700_000_000 });
  const forged = (await token({ sub: "ann" })).replace(/[^.]+$/, "c2ln");
  for (const wrong of [undefined, expired, forged]) {
    const staff = new Client<paths>(API_URL, wrong === undefined ? {} : { token: wrong }).table("staff");
    const error = await staff.row("0001").get().then(() => undefined, (error: unknown) => error);
    assert.ok(error instanceof Problem);
    assert.equal(error.status, 401);
  }
});
