import json
import os
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.session import Session

from aurora_sync import Client, Problem, Table
from aurora_sync.sigv4 import SigV4
from schema import ShopItem, ShopItemInsert, Staff, StaffInsert, StaffUpdate, StaffUpdateByKey

API_URL = os.environ["API_URL"]
# One client for each way to authorize requests that the stack checks.
api = Client(API_URL, auth=SigV4())
unittest.addModuleCleanup(api.close)
staff: Table[Staff, StaffInsert, StaffUpdate, StaffUpdateByKey] = api.table("staff")


class Cases(unittest.TestCase):
    def fails(self, call: Callable[[], object]) -> Problem:
        with self.assertRaises(Problem) as caught:
            call()
        return caught.exception


class OnTheStack(Cases):
    def test_a_request_that_is_not_signed_or_with_a_wrong_key_is_refused(self) -> None:
        session = Session()
        session.set_credentials("test", "wrong")
        for auth in (None, SigV4(session=session)):
            with closing(Client(API_URL, auth=auth)) as other:
                refused = self.fails(other.table("staff").row("0001").get)
            self.assertEqual((refused.status, refused.type, refused.detail), (403, "about:blank", "Forbidden"))

    def test_a_list_of_more_than_20_writes_is_settled(self) -> None:
        writes = staff.insert([{"id": f"5{at:03}", "name": "many in Python"} for at in range(45)])
        writes.settled()
        self.assertEqual(len(writes.items), 45)
        self.assertEqual(len(list(staff.rows(name="eq.many in Python"))), 45)

    def test_pages_follow_each_other_and_keep_the_filter(self) -> None:
        staff.insert([{"id": f"510{n}", "name": "paged in Python", "age": n} for n in range(1, 6)]).settled()
        filters: dict[str, str | list[str]] = {"name": "eq.paged in Python", "age": ["gte.2", "lt.5"]}
        pages = list(staff.pages(**filters, select="id", limit=2, order="age.desc"))
        self.assertEqual(pages, [[{"id": "5104"}, {"id": "5103"}], [{"id": "5102"}]])

    def test_rejected_writes_of_a_list_are_named_with_their_reasons_and_the_others_are_applied(self) -> None:
        staff.insert({"id": "5200", "name": "first"}).settled()
        writes = staff.insert([{"id": key, "name": "second"} for key in ("5200", "5201")])
        rejected = self.fails(writes.settled)
        self.assertEqual(rejected.type, "urn:problem-type:aurora-sync:write-rejected")
        self.assertRegex(str(rejected), "^409 staff/5200: .*staff_pkey")
        self.assertEqual([status["outcome"] for status in writes.statuses()], ["rejected", "applied"])

    def test_the_faults_of_a_body_are_in_the_problem(self) -> None:
        refused = self.fails(lambda: staff.insert({"id": "52000", "name": "long"}))
        self.assertEqual(refused.type, "urn:problem-type:aurora-sync:invalid-write")
        self.assertEqual([(fault["pointer"], fault["rule"]) for fault in refused.errors], [("/id", "length")])

    def test_the_good_items_of_a_list_are_accepted(self) -> None:
        writes = staff.insert([{"id": "53000", "name": "long"}, {"id": "5300", "name": "good"}], partial=True)
        writes.settled()
        self.assertEqual([write["item"] for write in writes.items], [1])
        self.assertEqual([fault["pointer"] for fault in writes.faults], ["/0/id"])

    def test_a_row_that_exists_is_updated_or_left_alone(self) -> None:
        staff.insert({"id": "5400", "name": "first"}).settled()
        staff.insert({"id": "5400", "name": "ignored"}, if_exists="ignore").settled()
        self.assertEqual(staff.row("5400").get()[0]["name"], "first")
        staff.insert({"id": "5400", "name": "second"}, if_exists="update").settled()
        self.assertEqual(staff.row("5400").get()[0]["name"], "second")

    def test_a_row_is_changed_only_if_it_has_the_etag(self) -> None:
        one = staff.row("5500")
        one.put({"name": "new"}, if_absent=True).settled()
        _, etag = one.get()
        one.update({"age": 1}, if_match=etag).settled()
        late = self.fails(one.delete(if_match=etag).settled)
        self.assertEqual(late.body["writes"][0]["rule"], "precondition-failed")
        self.assertEqual(one.get()[0]["age"], 1)

    def test_two_requests_under_one_idempotency_key_have_one_effect(self) -> None:
        visit = api.table("visit")
        for _ in range(2):
            visit.insert({"note": "twice in Python"}, idempotency_key="twice in Python").settled()
        self.assertEqual(len(list(visit.rows(note="eq.twice in Python"))), 1)

    def test_keys_and_filters_with_any_characters_are_signed_as_they_are_sent(self) -> None:
        items: Table[ShopItem, ShopItemInsert] = api.table("shop_item")
        shop = """a/b, "c" (d)!'*+~ü&=;:@$^`{|}\\ Python"""
        items.insert({"shop": shop, "item": 1, "revision": 1, "tags": ["x", None]}).settled()
        self.assertEqual(items.row([shop, 1]).get(select="shop")[0]["shop"], shop)
        self.assertEqual(len(list(items.rows(shop=f"eq.{shop}"))), 1)
        items.row([shop, 1]).delete().settled()
        self.assertEqual(self.fails(items.row([shop, 1]).get).type, "urn:problem-type:aurora-sync:row-not-found")

    def test_rows_that_do_not_fit_the_description_are_errors_of_types(self) -> None:
        # mypy reports an `ignore` that is not needed.
        self.fails(lambda: staff.insert({"id": "5600", "name": "x", "nmae": "x"}))  # type: ignore[arg-type]
        self.fails(lambda: staff.row("0001").update({"age": "old"}))  # type: ignore[typeddict-item]

    def test_a_key_that_could_name_another_row_in_a_path_is_not_sent(self) -> None:
        for key in ("a%41", "a?b", "..", "."):
            with self.assertRaises(ValueError):
                staff.row(key)

    def test_an_import_is_found_by_its_id_with_its_rejected_rows_page_by_page(self) -> None:
        ended = api.imports.ended(key="eq.imports/staff/june.csv")
        self.assertEqual(api.imports.get(ended["id"]), ended)
        lines = [[reject["line"] for reject in page] for page in api.imports.rejects(ended["id"], limit=1)]
        self.assertEqual(lines, [[3], [4]])
        self.assertIn(ended["id"], [one["id"] for page in api.imports.pages(state="eq.completed") for one in page])


Response = tuple[int, object] | None


@contextmanager
def server(*responses: Response) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """Runs a server that records requests. It sends these responses, the last one again and again, or hangs up."""
    sent: list[BaseHTTPRequestHandler] = []

    class Recorder(BaseHTTPRequestHandler):
        def respond(self) -> None:
            sent.append(self)
            response = responses[min(len(sent), len(responses)) - 1]
            if response is None:
                return
            body = json.dumps(response[1]).encode()
            self.send_response(response[0])
            for name, value in (
                ("content-type", "application/json"),
                ("retry-after", "0"),
                ("content-length", len(body)),
            ):
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = respond

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as running:
        threading.Thread(target=running.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/base", sent
        finally:
            running.shutdown()


class OnARecordingServer(Cases):
    def test_a_write_that_is_not_settled_in_time_is_pending(self) -> None:
        accepted = {"id": "1", "status": "_sync/writes/1?fingerprint=f"}
        pending = {"type": "urn:problem-type:aurora-sync:write-pending", "detail": "not yet"}
        with server((202, accepted), (503, pending)) as (url, sent), closing(Client(url)) as client:
            write = client.table("staff").delete(["0001"])
            self.assertRegex(self.fails(lambda: write.settled(timeout=0)).type, ":write-pending$")
            self.assertEqual(sent[1].path, "/base/_sync/writes?select=id&limit=1&after=1.f")

    def test_a_list_is_waited_for_by_20_writes_at_a_time_without_those_that_were_rejected(self) -> None:
        ids = [f"id-{number}" for number in range(22)]
        writes = [
            {"item": item, "id": one, "status": f"_sync/writes/{one}?fingerprint=f"} for item, one in enumerate(ids)
        ]
        rejected = {"type": "urn:problem-type:aurora-sync:write-rejected", "writes": [{"id": "id-3"}]}
        status = {"table": "staff", "key": "3", "rule": "row-missing", "reason": None}
        responses: list[Response] = [(202, {"writes": writes}), (409, rejected), (200, []), (200, []), (200, status)]
        with server(*responses) as (url, sent), closing(Client(url)) as client:
            failed = self.fails(client.table("staff").delete(ids).settled)
            self.assertEqual((failed.detail, failed.body["writes"]), ("staff/3: row-missing", [status]))
            self.assertEqual([request.path.count("after=") for request in sent[1:]], [20, 20, 1, 0])

    def test_a_write_is_sent_again_under_the_same_idempotency_key(self) -> None:
        passing: list[Response] = [(429, {}), None, (503, {})]
        with (
            server(*passing, (202, {"id": "1", "status": "../_sync/writes/1"})) as (url, sent),
            closing(Client(url)) as client,
        ):
            write = client.table("staff").row("0001").update({"age": 1})
            self.assertEqual(write.items[0]["status"], f"{url}/_sync/writes/1")
            self.assertEqual(len(sent), 4)
            self.assertEqual(len({request.headers["idempotency-key"] for request in sent}), 1)

    def test_other_errors_are_not_retried_and_not_more_than_the_given_times(self) -> None:
        for status, times in ((500, 1), (403, 1), (503, 3)):
            with server((status, {"message": "no"})) as (url, sent), closing(Client(url, retries=2)) as client:
                failed = self.fails(client.table("staff").row("0001").get)
                self.assertEqual((failed.status, failed.detail, len(sent)), (status, "no", times))

    def test_each_request_has_the_current_token(self) -> None:
        numbers = iter(range(1, 3))
        with server((200, [])) as (url, sent):
            for token, times in ((lambda: f"token-{next(numbers)}", 2), ("fixed", 1)):
                with closing(Client(url, token=token)) as client:
                    self.assertEqual([list(client.table("staff").pages()) for _ in range(times)], [[[]]] * times)
            tokens = [request.headers["authorization"] for request in sent]
            self.assertEqual(tokens, ["Bearer token-1", "Bearer token-2", "Bearer fixed"])
