"""The client that openapi-python-client makes of the description."""

import os
import sys

from aurora_sync.sigv4 import SigV4

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from aurora_sync_client import Client
from aurora_sync_client.api.staff import delete_rows_staff, insert_staff, list_staff, patch_staff
from aurora_sync_client.api.tagsync import get_sync_write
from aurora_sync_client.models import StaffInsert, StaffUpdate, SyncAccepted, SyncAcceptedList, SyncProblem

client = Client(base_url=os.environ["API_URL"], httpx_args={"auth": SigV4()})

rows = list_staff.sync(client=client, age="gte.30", order="id")
assert [row.name for row in rows][:2] == ["Lambda", "Dynamo"], rows

one = insert_staff.sync(client=client, body=StaffInsert(id="3001", name="Python", age=None))
assert isinstance(one, SyncAccepted), one

many = insert_staff.sync(client=client, body=[StaffInsert(id="3002", name="a"), StaffInsert(id="3003", name="b")])
assert isinstance(many, SyncAcceptedList) and [write.item for write in many.writes] == [0, 1], many

ids = [one.id] + [write.id for write in many.writes]
rows = list_staff.sync(client=client, id="gte.3000", after=ids, order="id")
assert [row.id for row in rows] == ["3001", "3002", "3003"], rows

status = get_sync_write.sync(client=client, id=one.id)
assert status.outcome == "applied", status

assert isinstance(patch_staff.sync(client=client, key="3001", body=StaffUpdate(age=1)), SyncAccepted)
assert isinstance(delete_rows_staff.sync(client=client, body=["3001", "3002", "3003"]), SyncAcceptedList)

refused = insert_staff.sync(client=client, body=StaffInsert(id="30001", name="long"))
assert isinstance(refused, SyncProblem) and refused.errors[0].rule == "length", refused

print("openapi-python-client: ok")
