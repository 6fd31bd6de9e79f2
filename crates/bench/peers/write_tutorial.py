"""The tutorial's function behind POST and PUT: the request's fields are pasted into one statement."""

import json
import os

import boto3

rds_data = boto3.client("rds-data")


def lambda_handler(event, context):
    body = json.loads(event["body"])
    if event["httpMethod"] == "POST":
        age = "NULL" if body["age"] is None else body["age"]
        name = body["name"].replace("'", "''")  # The tutorial does not, and would fail on O'Neill.
        sql = f"INSERT INTO Staff VALUES ('{body['id']}', '{name}', {age})"
    else:
        name = body["name"].replace("'", "''")
        sql = f"UPDATE Staff SET name = '{name}' WHERE id = '{event['pathParameters']['key']}'"
    rds_data.execute_statement(
        resourceArn=os.environ["CLUSTER_ARN"],
        secretArn=os.environ["SECRET_ARN"],
        database=os.environ["DATABASE"],
        sql=sql,
    )
    return {"statusCode": 200, "body": ""}
