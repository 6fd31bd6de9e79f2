"""A client of the HTTP API of aurora-sync."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeAlias, TypedDict, Unpack
from urllib.parse import quote, urljoin

import httpx
from typing_extensions import TypeVar

Record: TypeAlias = dict[str, Any]
# The types of a table: datamodel-code-generator makes them of `GET /`.
Row = TypeVar("Row", default=Record)
Insert = TypeVar("Insert", default=Mapping[str, Any])
Update = TypeVar("Update", default=Mapping[str, Any])
UpdateByKey = TypeVar("UpdateByKey", default=Mapping[str, Any])
# The value of a key or, of a key of several columns, the values in the key's order.
Key: TypeAlias = str | int | Sequence[str | int]
# The value of a filter, `select`, `order`, `limit` or `after`. A list gives the parameter several times.
Parameter: TypeAlias = str | int | Sequence[str]
Query: TypeAlias = Mapping[str, Parameter]
Token: TypeAlias = str | Callable[[], str] | None


class WriteOptions(TypedDict, total=False):
    """Options of a write."""

    idempotency_key: str
    """Names the request. By default each request has a new name."""
    partial: bool
    """Accepts the good items of a list, and leaves the faults of the others in `faults`."""
    if_exists: Literal["update", "ignore"]
    """Tells what an insert does with a row that has the key. By default the write is rejected."""
    if_match: str
    """The ETag that the row must have when the write is applied. For one row."""
    if_absent: bool
    """Inserts the row, and only if there is none with its key. For one row."""


class Problem(Exception):
    """A problem of RFC 9457, with all members in `body`. A response of API Gateway has the type `about:blank`."""

    def __init__(self, status: int, body: Record) -> None:
        self.status, self.body = status, body
        self.detail: str = str(body.get("detail") or body.get("message") or "The response has no detail.")
        self.type: str = body.get("type", "about:blank")
        self.title: str = body.get("title", self.detail)
        self.errors: list[dict[str, str]] = body.get("errors", [])
        faults = [f"{fault['pointer']} {fault['detail']}" for fault in self.errors]
        super().__init__("\n  ".join([f"{status} {self.detail}", *faults]))


class Client:
    """Sends requests to an API: signed (`auth=SigV4()`), with a bearer token, or as they are.

    After 429, 503 or no response, it sends a request again, `retries` times at most.
    """

    def __init__(self, url: str, *, auth: httpx.Auth | None = None, token: Token = None, retries: int = 5) -> None:
        self._url, self._token, self._retries = url.rstrip("/") + "/", token, retries
        self._http = httpx.Client(auth=auth, timeout=35)  # A look-up may take 30 seconds.
        self.close = self._http.close
        self.imports = Imports(self)

    def table(self, name: str) -> Table[Any, Any, Any, Any]:
        """Returns the requests about a table, by its name in the paths of the description."""
        return Table(self, name)

    def send(
        self, method: str, path: str, query: Query | None = None, until: float | None = None, **request: Any
    ) -> httpx.Response:
        """Sends a request, also again, since each write has an Idempotency-Key: until a time, or some times."""
        url = urljoin(self._url, path) + ("?" + _encode_query(query) if query else "")
        headers: dict[str, str] = request.pop("headers", {})
        attempt, failure, asked = 0, Exception(), "0"
        while True:
            if self._token is not None:
                headers["authorization"] = f"Bearer {self._token if isinstance(self._token, str) else self._token()}"
            try:
                response = self._http.request(method, url, headers=headers, **request)
                if response.is_success:
                    return response
                failure, asked = _problem(response), response.headers.get("retry-after", "0")
                if response.status_code not in (429, 503):
                    raise failure
            except httpx.TransportError as error:
                failure, asked = error, "0"
            pause = max(int(asked) if asked.isdecimal() else 0, random.random() * min(20, 0.25 * 2**attempt))
            if attempt >= self._retries if until is None else time.monotonic() + pause > until:
                raise failure
            time.sleep(pause)
            attempt += 1

    def pages(self, path: str, query: Query) -> Iterator[list[Any]]:
        """Reads page after page, by the links to the next one."""
        response = self.send("GET", path, query)
        while True:
            yield response.json()
            link = re.search(r'<([^>]*)>; *rel="next"', response.headers.get("link", ""))
            if link is None:
                return
            response = self.send("GET", urljoin(str(response.url), link[1]))

    def write(self, method: str, path: str, body: object, options: WriteOptions) -> Writes:
        resolution = {"update": ["resolution=merge-duplicates"], "ignore": ["resolution=ignore-duplicates"], "": []}
        prefer = resolution[options.get("if_exists", "")] + (["handling=partial"] if options.get("partial") else [])
        given = {
            "idempotency-key": f'"{options.get("idempotency_key") or uuid.uuid4()}"',
            "content-type": None if body is None else "application/json",
            "prefer": ", ".join(prefer) or None,
            "if-match": options.get("if_match"),
            "if-none-match": "*" if options.get("if_absent") else None,
        }
        headers = {name: value for name, value in given.items() if value is not None}
        response = self.send(method, path, headers=headers, content=None if body is None else json.dumps(body))
        accepted = response.json()
        items = [
            {**one, "status": urljoin(str(response.url), one["status"])} for one in accepted.get("writes", [accepted])
        ]
        return Writes(self, items, accepted.get("errors", []))


class Table(Generic[Row, Insert, Update, UpdateByKey]):
    """The rows of a table."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self._name = client, name

    def pages(self, /, **query: Parameter) -> Iterator[list[Row]]:
        """Reads page after page."""
        return self._client.pages(self._name, query)

    def rows(self, /, **query: Parameter) -> Iterator[Row]:
        """Reads row after row, page by page."""
        return itertools.chain.from_iterable(self.pages(**query))

    def insert(self, rows: Insert | Sequence[Insert], **options: Unpack[WriteOptions]) -> Writes:
        """Inserts a row or a list of rows (`POST`)."""
        return self._client.write("POST", self._name, rows, options)

    def update(self, rows: UpdateByKey | Sequence[UpdateByKey], **options: Unpack[WriteOptions]) -> Writes:
        """Sets columns of rows, each found by the key that it holds (`PATCH`)."""
        return self._client.write("PATCH", self._name, rows, options)

    def delete(self, keys: Sequence[str | int | Mapping[str, Any]], **options: Unpack[WriteOptions]) -> Writes:
        """Deletes the rows with these keys (`DELETE`)."""
        return self._client.write("DELETE", self._name, keys, options)

    def row(self, key: Key) -> OneRow[Row, Update]:
        """Returns the requests about the row with this key."""
        return OneRow(self._client, f"{self._name}/{_encode_key(key)}")


class OneRow(Generic[Row, Update]):
    """One row of a table, found by its key."""

    def __init__(self, client: Client, path: str) -> None:
        self._client, self._path = client, path

    def get(self, /, **query: Parameter) -> tuple[Row, str]:
        """Reads the row, and its ETag for `if_match`."""
        response = self._client.send("GET", self._path, query)
        return response.json(), response.headers.get("etag", "")

    def update(self, changes: Update, **options: Unpack[WriteOptions]) -> Writes:
        """Sets columns of the row (`PATCH`)."""
        return self._client.write("PATCH", self._path, changes, options)

    def put(self, values: Mapping[str, Any], **options: Unpack[WriteOptions]) -> Writes:
        """Sets columns of the row, or inserts it (`if_absent`)."""
        return self._client.write("PUT", self._path, values, options)

    def delete(self, **options: Unpack[WriteOptions]) -> Writes:
        return self._client.write("DELETE", self._path, None, options)


class Writes:
    """The accepted writes of a request: `id`, `status` and, of a list, `item`. The faults of the others (`partial`)."""

    def __init__(self, client: Client, items: list[Record], faults: list[dict[str, str]]) -> None:
        self._client, self.items, self.faults = client, items, faults

    @property
    def after(self) -> list[str]:
        """The names of the writes for `after` of a look-up, which takes 20 at most."""
        return [f"{write['id']}.{write['status'].partition('fingerprint=')[2]}" for write in self.items]

    def settled(self, timeout: float = 60) -> None:
        """Waits until all writes have an outcome. Raises `write-rejected` and, after `timeout`, `write-pending`."""
        until = time.monotonic() + timeout
        rejected: set[str] = set()
        waiting = self.after
        while waiting:
            after = waiting[:20]
            try:
                self._client.send("GET", "_sync/writes", {"select": "id", "limit": 1, "after": after}, until)
                waiting = waiting[len(after) :]
            except Problem as problem:
                if not problem.type.endswith(":write-rejected"):
                    raise
                rejected.update(write["id"] for write in problem.body["writes"])
                waiting = [name for name in waiting if name.partition(".")[0] not in rejected]
        if rejected:
            writes = self.statuses([write for write in self.items if write["id"] in rejected])
            reasons = [f"{write['table']}/{write['key']}: {write['reason'] or write['rule']}" for write in writes]
            kind = {"type": "urn:problem-type:aurora-sync:write-rejected", "title": "A write was rejected"}
            raise Problem(409, {**kind, "detail": "\n  ".join(reasons), "writes": writes})

    def statuses(self, items: Sequence[Record] | None = None) -> list[Record]:
        """Reads the status of each write: its outcome, its key, the reason why it was rejected."""
        items = self.items if items is None else items
        return [self._client.send("GET", write["status"]).json() for write in items]


class Imports:
    """The imports of files."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def pages(self, **query: Parameter) -> Iterator[list[Record]]:
        """Reads page after page, the newest import first."""
        return self._client.pages("_sync/imports", query)

    def get(self, import_id: str) -> Record:
        return self._client.send("GET", f"_sync/imports/{import_id}").json()  # type: ignore[no-any-return]

    def ended(self, timeout: float = 900, **query: Parameter) -> Record:
        """Waits until an import matches the query and the newest of these has ended."""
        until, pause = time.monotonic() + timeout, 0.5
        while time.monotonic() < until:
            found = next(self.pages(**{**query, "limit": 1}))
            if found and found[0]["state"] != "running":
                return found[0]
            time.sleep(pause)
            pause = min(2 * pause, 10)
        raise TimeoutError(f"No import that matches has ended within {timeout} s.")

    def rejects(self, import_id: str, /, **query: Parameter) -> Iterator[list[Record]]:
        """Reads the rejected rows of an import page after page, in the order of the file."""
        return self._client.pages(f"_sync/imports/{import_id}/rejects", query)


def _encode_query(query: Query) -> str:
    """Percent-encodes all that RFC 3986 reserves, as signatures need it."""
    given = [(name, [value] if isinstance(value, str | int) else value) for name, value in query.items()]
    return "&".join(f"{quote(name, '')}={quote(str(one), '')}" for name, values in given for one in values)


def _encode_key(key: Key) -> str:
    parts = [str(key)] if isinstance(key, str | int) else [str(part) for part in key]
    quoted = [f'"{part.replace(chr(34), chr(34) * 2)}"' if re.search('[",]', part) else part for part in parts]
    text = ",".join(quoted if len(parts) > 1 else parts)
    if re.search(r"[%?]|^\.{1,2}$", text):
        raise ValueError("A key with % or ?, and the keys . and .. cannot be in a path. Name the row in the body.")
    return quote(text, "")


def _problem(response: httpx.Response) -> Problem:
    """Makes an error of a response. Only those of the API itself are problem details."""
    is_json = re.search("[/+]json", response.headers.get("content-type", ""))
    return Problem(response.status_code, response.json() if is_json else {"message": response.text})
