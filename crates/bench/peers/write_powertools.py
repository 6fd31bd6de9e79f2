"""Powertools' batch processing behind a FIFO queue, with boto3 batches for messages of many rows.

As "Batch Processing" of the documentation of Powertools for AWS Lambda (Python) shows it.
"""

import json
import os

import boto3
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

rds_data = boto3.client("rds-data")
processor = SqsFifoPartialProcessor()

DATABASE = {
    "resourceArn": os.environ["CLUSTER_ARN"],
    "secretArn": os.environ["SECRET_ARN"],
    "database": os.environ["DATABASE"],
}
SQL = {
    "insert": "INSERT INTO staff (id, name, age) VALUES (:id, :name, :age)",
    "update": "UPDATE staff SET name = :name, age = :age WHERE id = :id::char(4)",
    "delete": "DELETE FROM staff WHERE id = :id::char(4)",
}


def parameters(operation, row):
    age = row["age"]
    key = {"name": "id", "value": {"stringValue": row["id"]}}
    if operation == "delete":
        return [key]
    return [
        key,
        {"name": "name", "value": {"stringValue": row["name"]}},
        {"name": "age", "value": {"isNull": True} if age is None else {"longValue": age}},
    ]


def record_handler(record: SQSRecord):
    message = json.loads(record.body)
    operation, rows = message["operation"], message["rows"]
    sql, sets = SQL[operation], [parameters(operation, row) for row in rows]
    if len(sets) == 1:
        rds_data.execute_statement(**DATABASE, sql=sql, parameters=sets[0])
        return
    transaction = rds_data.begin_transaction(**DATABASE)["transactionId"]
    rds_data.batch_execute_statement(
        **DATABASE,
        transactionId=transaction,
        sql=sql,
        parameterSets=sets,
    )
    rds_data.commit_transaction(
        resourceArn=DATABASE["resourceArn"],
        secretArn=DATABASE["secretArn"],
        transactionId=transaction,
    )


def lambda_handler(event, context):
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
