/** A client of the HTTP API of aurora-sync. `Paths` are the types that openapi-typescript makes of `GET /`. */

type At<Paths, Path> = Path extends keyof Paths ? Paths[Path] : never;
type Json<Has> = Has extends { content: { "application/json": infer Type } } ? Type : never;
type Body<Path, Verb extends string> = Path extends Record<Verb, { requestBody: infer Has }> ? Json<Has> : never;
type Found<Path> = Path extends { get: { responses: { 200: infer Has } } } ? Json<Has> : never;
type Row<Path> = Found<Path> extends readonly (infer One)[] ? One : Found<Path>;
type Parameters<Path> = Path extends { get: { parameters: { query?: infer Has } } } ? NonNullable<Has> : never;
type TableName<Paths> = {
  [Path in keyof Paths]: Path extends `/_sync/${string}` | `/${string}/{key}` ? never
    : Path extends `/${infer Name}` ? Name : never;
}[keyof Paths];
/** Filters, `select`, `order`, `limit` and `after`. A list gives a parameter several times. */
export type Query<Path> = { [Name in keyof Parameters<Path>]?: Parameters<Path>[Name] | readonly string[] };
/** The value of a key or, of a key of several columns, the values in the key's order. */
export type Key = string | number | readonly (string | number)[];

export interface ClientOptions {
  /** A bearer token, or a function that returns the current one. */
  token?: string | (() => string | Promise<string>);
  /** Sends the requests. `sigv4()` returns a function that signs them first. */
  fetch?: typeof fetch;
  /** The most times that a request is sent again, after 429, 503 or no response. */
  retries?: number;
}

export interface WriteOptions {
  /** Names the request. By default each request has a new name. */
  idempotencyKey?: string;
  /** Accepts the good items of a list, and leaves the faults of the others in `faults`. */
  partial?: boolean;
  /** Tells what an insert does with a row that has the key. By default the write is rejected. */
  ifExists?: "update" | "ignore";
  /** The ETag that the row must have when the write is applied. For one row. */
  ifMatch?: string;
  /** Inserts the row, and only if there is none with its key. For one row. */
  ifAbsent?: boolean;
}

export interface Fault { pointer: string; rule: string; detail: string }
interface Accepted { id: string; status: string; item?: number }

/** A problem of RFC 9457. A response of API Gateway has the type `about:blank`. */
export class Problem extends Error {
  readonly type: string;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly Fault[];

  /** `body` has all members of the problem. */
  constructor(readonly status: number, readonly body: Record<string, any>) {
    const detail = body.detail ?? body.message ?? "The response has no detail.";
    const errors: Fault[] = body.errors ?? [];
    super([`${status} ${detail}`, ...errors.map((fault) => `${fault.pointer} ${fault.detail}`)].join("\n  "));
    this.type = body.type ?? "about:blank";
    this.title = body.title ?? detail;
    this.detail = detail;
    this.errors = errors;
  }
}

/** Sends requests to an API: signed (`fetch: sigv4()`), with a bearer token, or as they are. */
export class Client<Paths> {
  readonly imports = new Imports<Paths>(this);

  constructor(private readonly url: string, private readonly options: ClientOptions = {}) {}

  table<Name extends TableName<Paths>>(name: Name) {
    return new Table<Paths, At<Paths, `/${Name}`>, At<Paths, `/${Name}/{key}`>>(this, name);
  }

  /** Sends a request. Each can be sent again, since a write has an Idempotency-Key: until a time, or some times. */
  async send(path: string | URL, request: { query?: object | undefined; until?: number } & RequestInit = {}) {
    const { query, until, ...init } = request;
    const url = new URL(path, this.url.replace(/\/*$/, "/"));
    if (query) url.search = encodeQuery(query);
    const headers = new Headers(init.headers);
    const { token, retries = 5, fetch: send = fetch } = this.options;
    for (let attempt = 0; ; attempt++) {
      if (token) headers.set("authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
      const result: unknown = await send(url, { ...init, headers }).catch((error: unknown) => error);
      if (result instanceof Response && result.ok) return { response: result, url };
      const failure = result instanceof Response ? await problem(result) : result;
      // fetch throws a TypeError if there is no response.
      const passes = failure instanceof Problem ? [429, 503].includes(failure.status) : failure instanceof TypeError;
      const asked = result instanceof Response ? Number(result.headers.get("retry-after")) || 0 : 0;
      const pause = 1000 * Math.max(asked, Math.random() * Math.min(20, 0.25 * 2 ** attempt));
      if (!passes || (until === undefined ? attempt >= retries : Date.now() + pause > until)) throw failure;
      await sleep(pause);
    }
  }

  async read<Type>(path: string | URL, query?: object) {
    const { response } = await this.send(path, { query });
    return (await response.json()) as Type;
  }

  /** Reads page after page, by the links to the next one. */
  async *pages<Path>(path: string, query: Query<Path> = {}) {
    let { response, url } = await this.send(path, { query });
    for (;;) {
      yield (await response.json()) as Row<Path>[];
      const next = /<([^>]*)>; *rel="next"/.exec(response.headers.get("link") ?? "")?.[1];
      if (next === undefined) return;
      ({ response, url } = await this.send(new URL(next, url)));
    }
  }

  async write(method: string, path: string, value: unknown, options: WriteOptions = {}) {
    const prefer = [];
    if (options.ifExists) prefer.push(`resolution=${options.ifExists === "update" ? "merge" : "ignore"}-duplicates`);
    if (options.partial) prefer.push("handling=partial");
    const headers: Record<string, string> = { "idempotency-key": `"${options.idempotencyKey ?? crypto.randomUUID()}"` };
    if (prefer.length > 0) headers.prefer = prefer.join(", ");
    if (options.ifMatch !== undefined) headers["if-match"] = options.ifMatch;
    if (options.ifAbsent) headers["if-none-match"] = "*";
    if (value !== undefined) headers["content-type"] = "application/json";
    const body = value === undefined ? null : JSON.stringify(value);
    const { response, url } = await this.send(path, { method, headers, body });
    const accepted = (await response.json()) as Accepted & { writes?: Accepted[]; errors?: Fault[] };
    const items = (accepted.writes ?? [accepted]).map((one) => ({ ...one, status: new URL(one.status, url) }));
    return new Writes(this, items, accepted.errors ?? []);
  }
}

/** The rows of a table. */
export class Table<Paths, Path, RowPath> {
  constructor(private readonly client: Client<Paths>, private readonly name: string) {}

  /** Reads page after page. */
  pages = (query?: Query<Path>) => this.client.pages<Path>(this.name, query);

  /** Reads row after row, page by page. */
  async *rows(query?: Query<Path>) {
    for await (const page of this.pages(query)) yield* page;
  }

  /** Inserts a row or a list of rows (`POST`). */
  insert = (rows: Body<Path, "post">, options?: WriteOptions) => this.client.write("POST", this.name, rows, options);

  /** Sets columns of rows, each found by the key that it holds (`PATCH`). */
  update = (rows: Body<Path, "patch">, options?: WriteOptions) => this.client.write("PATCH", this.name, rows, options);

  /** Deletes the rows with these keys (`DELETE`). */
  delete = (keys: Body<Path, "delete">, options?: WriteOptions) =>
    this.client.write("DELETE", this.name, keys, options);

  /** Returns the requests about the row with this key. */
  row(key: Key) {
    const { client, name } = this;
    const path = `${name}/${encodeKey(key)}`;
    return {
      /** Reads the row, and its ETag for `ifMatch`. */
      async get(query?: Query<RowPath>) {
        const { response } = await client.send(path, { query });
        return { row: (await response.json()) as Row<RowPath>, etag: response.headers.get("etag") ?? "" };
      },
      /** Sets columns of the row. */
      update: (row: Body<RowPath, "patch">, options?: WriteOptions) => client.write("PATCH", path, row, options),
      /** Sets columns of the row, or inserts it (`ifAbsent`). */
      put: (row: Body<RowPath, "put">, options?: WriteOptions) => client.write("PUT", path, row, options),
      delete: (options?: WriteOptions) => client.write("DELETE", path, undefined, options),
    };
  }
}

/** The accepted writes of a request, and the faults of the items that were not (`partial`). */
export class Writes<Paths> {
  constructor(
    private readonly client: Client<Paths>,
    readonly items: readonly { id: string; status: URL; item?: number }[],
    readonly faults: readonly Fault[],
  ) {}

  /** The names of the writes for `after` of a look-up, which takes 20 at most. */
  get after() {
    return this.items.map(({ id, status }) => `${id}.${status.searchParams.get("fingerprint")}`);
  }

  /**
   * Waits until all writes have an outcome. Throws the problem `write-rejected` with the statuses in `body.writes` if
   * some were rejected, and `write-pending` if some have none after `timeout` seconds.
   */
  async settled({ timeout = 60 } = {}): Promise<void> {
    const until = Date.now() + timeout * 1000;
    const rejected = new Set<string>();
    for (let waiting = this.after; waiting.length > 0; ) {
      const after = waiting.slice(0, 20);
      try {
        await this.client.send("_sync/writes", { query: { select: "id", limit: 1, after }, until });
        waiting = waiting.slice(after.length);
      } catch (error) {
        if (!(error instanceof Problem) || !error.type.endsWith(":write-rejected")) throw error;
        for (const { id } of error.body.writes as Accepted[]) rejected.add(id);
        waiting = waiting.filter((name) => !rejected.has(name.split(".", 1).join()));
      }
    }
    if (rejected.size === 0) return;
    const writes: Record<string, any>[] = await this.statuses(this.items.filter(({ id }) => rejected.has(id)));
    const reasons = writes.map((write) => `${write.table}/${write.key}: ${write.reason ?? write.rule}`);
    const type = "urn:problem-type:aurora-sync:write-rejected";
    throw new Problem(409, { type, title: "A write was rejected", detail: reasons.join("\n  "), writes });
  }

  /** Reads the status of each write: its outcome, its key, the reason why it was rejected. */
  async statuses(items = this.items) {
    const statuses: Found<At<Paths, "/_sync/writes/{id}">>[] = [];
    for (const { status } of items) statuses.push(await this.client.read(status));
    return statuses;
  }
}

/** The imports of files. */
export class Imports<Paths, Path = At<Paths, "/_sync/imports">, Rejects = At<Paths, "/_sync/imports/{id}/rejects">> {
  constructor(private readonly client: Client<Paths>) {}

  /** Reads page after page, the newest import first. */
  pages = (query?: Query<Path>) => this.client.pages<Path>("_sync/imports", query);

  get = (id: string) => this.client.read<Row<Path>>(`_sync/imports/${id}`);

  /** Waits until an import matches the query and the newest of these has ended. */
  async ended(query: Query<Path>, { timeout = 900 } = {}): Promise<Row<Path>> {
    const until = Date.now() + timeout * 1000;
    for (let pause = 500; Date.now() < until; pause = Math.min(2 * pause, 10_000)) {
      const [newest] = await this.client.read<{ state: string }[]>("_sync/imports", { ...query, limit: 1 });
      if (newest && newest.state !== "running") return newest as Row<Path>;
      await sleep(pause);
    }
    throw new Error(`No import that matches has ended within ${timeout} s.`);
  }

  /** Reads the rejected rows of an import page after page, in the order of the file. */
  rejects = (id: string, query?: Query<Rejects>) => this.client.pages<Rejects>(`_sync/imports/${id}/rejects`, query);
}

/** Percent-encodes all that RFC 3986 reserves, as signatures need it. */
function encode(text: unknown) {
  const escape = (letter: string) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(String(text)).replace(/[!'()*]/g, escape);
}

function encodeQuery(query: object) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.flatMap(([name, value]) => [value].flat().map((one) => `${encode(name)}=${encode(one)}`)).join("&");
}

function encodeKey(key: Key) {
  const quote = (part: string) => (/[",]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part);
  const parts = [key].flat().map(String);
  const text = parts.length > 1 ? parts.map(quote).join(",") : parts.join();
  if (!/[%?]|^\.{1,2}$/.test(text)) return encode(text);
  throw new RangeError("A key with % or ?, and the keys . and .. cannot be in a path. Name the row in the body.");
}

/** Makes an error of a response. Only those of the API itself are problem details. */
async function problem(response: Response) {
  const text = await response.text();
  const isJson = /[/+]json/.test(response.headers.get("content-type") ?? "");
  return new Problem(response.status, isJson ? JSON.parse(text) : { message: text || response.statusText });
}

function sleep(milliseconds: number) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
