"""The stack verifies tokens: TOKEN_URL signs those of any claims."""

import os
import re
import unittest
from contextlib import closing

import httpx
from aurora_sync import Client, Problem, Table
from schema import Staff, StaffInsert, StaffUpdate, StaffUpdateByKey

API_URL, TOKEN_URL = os.environ["API_URL"], os.environ["TOKEN_URL"]
StaffTable = Table[Staff, StaffInsert, StaffUpdate, StaffUpdateByKey]


def token(**claims: object) -> str:
    return httpx.post(TOKEN_URL, json=claims).text


class Tokens(unittest.TestCase):
    def test_a_write_with_a_token_is_settled_and_is_that_of_its_subject(self) -> None:
        with closing(Client(API_URL, token=lambda: token(sub="ann"))) as api:
            staff: StaffTable = api.table("staff")
            staff.insert({"id": "1702", "name": "By token"}).settled()
            self.assertEqual(staff.row("1702").get()[0]["name"], "By token")
        bearer = {"authorization": f"Bearer {token(sub='ann')}"}
        listed = httpx.get(f"{API_URL}/_sync/writes?select=caller&limit=1", headers=bearer)
        self.assertEqual(listed.json(), [{"caller": f"{TOKEN_URL}|ann"}])

    def test_a_request_without_a_token_or_with_an_expired_or_forged_one_is_refused(self) -> None:
        expired = token(sub="ann", exp=1_700_000_000)
        forged = re.sub(r"[^.]+$", "c2ln", token(sub="ann"))
        for wrong in (None, expired, forged):
            with closing(Client(API_URL, token=wrong)) as api, self.assertRaises(Problem) as caught:
                api.table("staff").row("0001").get()
            self.assertEqual(caught.exception.status, 401)
