"""The tutorial's function behind GET: the query is pasted into the statement, the raw response goes back."""

import json
import os

import boto3

rds_data = boto3.client("rds-data")


def lambda_handler(event, context):
    query = event["queryStringParameters"] or {}
    if "id" in query:
        sql = f"SELECT * FROM Staff WHERE id = '{query['id']}'"
    else:
        sql = f"SELECT * FROM Staff WHERE id >= '{query['from']}' ORDER BY id LIMIT 100"
    response = rds_data.execute_statement(
        resourceArn=os.environ["CLUSTER_ARN"],
        secretArn=os.environ["SECRET_ARN"],
        database=os.environ["DATABASE"],
        sql=sql,
    )
    return {"statusCode": 200, "body": json.dumps(response["records"])}
