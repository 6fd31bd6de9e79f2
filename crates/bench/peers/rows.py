"""Shared by the import peers: reads rows of a file in S3, and turns values into parameters."""

import csv
import io
import os

import boto3

s3 = boto3.client("s3")
rds_data = boto3.client("rds-data")

DATABASE = {
    "resourceArn": os.environ["CLUSTER_ARN"],
    "secretArn": os.environ["SECRET_ARN"],
    "database": os.environ["DATABASE"],
}

INTEGERS = {"smallint", "integer", "bigint"}


def read(event):
    """The rows of the file, streamed."""
    body = s3.get_object(Bucket=event["bucket"], Key=event["key"])["Body"]
    lines = io.TextIOWrapper(io.BufferedReader(body, 1 << 16), encoding="utf-8", newline="")
    reader = csv.reader(lines)
    next(reader)
    return reader


def parameter(name, kind, text):
    """A parameter of the Data API; an empty field is NULL."""
    if text == "":
        value = {"isNull": True}
    elif kind in INTEGERS:
        value = {"longValue": int(text)}
    elif kind == "boolean":
        value = {"booleanValue": text == "true"}
    else:
        value = {"stringValue": text}
    return {"name": name, "value": value}


def placeholder(name, kind):
    """With a cast where the service does not make it by itself."""
    return f":{name}" if kind in INTEGERS or kind in ("boolean", "text") else f":{name}::{kind}"


def conflict(event):
    if not event["upsert"]:
        return ""
    names = [name for name, _ in event["columns"] if name != "id"]
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names)
    return f" ON CONFLICT (id) DO UPDATE SET {changes}"


def insert(event):
    """The beginning of an INSERT."""
    names = ", ".join(name for name, _ in event["columns"])
    return f"INSERT INTO {event['table']} ({names}) VALUES "
