"""Sends writes to the queue of aurora-sync, without its API.

It needs boto3, sqs:SendMessage on the queue, and in WRITES_QUEUE_URL the output WritesQueueUrl of the stack.
"""

import datetime
import hashlib
import json
import os

import boto3


def send(event_id: str, table: str, operation: str, key: str, row: dict) -> None:
    """Sends one write. The same event_id has one effect, however often it is sent."""
    now = datetime.datetime.now(datetime.timezone.utc)
    message = {
        "version": "public-1",
        "accepted_at": now.isoformat(timespec="milliseconds"),
        "caller": "send.py",
        "writes": [{"id": event_id, "table": table, "operation": operation, "row": row}],
    }
    boto3.client("sqs").send_message(
        QueueUrl=os.environ["WRITES_QUEUE_URL"],
        MessageBody=json.dumps(message),
        # Writes of a key take effect in their order, and others at the same time.
        MessageGroupId=hashlib.sha256(f"{table} {key}".encode()).hexdigest(),
        MessageDeduplicationId=hashlib.sha256(event_id.encode()).hexdigest(),
    )


if __name__ == "__main__":
    send("hr-4711", "staff", "upsert", "0042", {"id": "0042", "name": "Python", "age": 33})
