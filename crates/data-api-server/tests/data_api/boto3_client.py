"""boto3 against the Data API server: url, cluster, secret."""

import sys

import boto3
import botocore.config

url, cluster, secret = sys.argv[1:]
client = boto3.client(
    "rds-data",
    endpoint_url=url,
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=botocore.config.Config(retries={"total_max_attempts": 1}),
)
target = {"resourceArn": cluster, "secretArn": secret}


def execute(sql, parameters=(), **members):
    return client.execute_statement(sql=sql, parameters=list(parameters), **target, **members)


def fails(exception, call, *arguments, **members):
    try:
        call(*arguments, **members)
    except exception as error:
        return error
    raise AssertionError(f"{exception.__name__} expected")


execute("CREATE TABLE t (id int PRIMARY KEY, name text, data bytea, tags text[])")

# One row, with every kind of value.
answer = execute(
    "INSERT INTO t VALUES (:id, :name, :data, :tags::text[])",
    [
        {"name": "id", "value": {"longValue": 1}},
        {"name": "name", "value": {"isNull": True}},
        {"name": "data", "value": {"blobValue": b"\x00\xff"}},
        {"name": "tags", "value": {"stringValue": "{a,NULL}"}},
    ],
)
assert answer["numberOfRecordsUpdated"] == 1 and answer["generatedFields"] == []
answer = execute("SELECT id, name, data, tags FROM t", includeResultMetadata=True)
assert answer["records"] == [
    [
        {"longValue": 1},
        {"isNull": True},
        {"blobValue": b"\x00\xff"},
        {"arrayValue": {"stringValues": ["a", None]}},
    ]
]
assert [column["typeName"] for column in answer["columnMetadata"]] == ["int4", "text", "bytea", "_text"]
answer = execute("SELECT id, 1.50::numeric AS price FROM t", formatRecordsAs="JSON")
assert answer["formattedRecords"] == '[{"id":1,"price":"1.50"}]'

# A batch in a transaction, and one that is rolled back.
for end, count in [(client.commit_transaction, 3), (client.rollback_transaction, 3)]:
    transaction = client.begin_transaction(**target)["transactionId"]
    first = execute("SELECT max(id) + 1 FROM t", transactionId=transaction)["records"][0][0]["longValue"]
    answer = client.batch_execute_statement(
        sql="INSERT INTO t (id) VALUES (:id)",
        parameterSets=[[{"name": "id", "value": {"longValue": first + n}}] for n in range(2)],
        transactionId=transaction,
        **target,
    )
    assert answer["updateResults"] == [{"generatedFields": []}] * 2
    end(resourceArn=cluster, secretArn=secret, transactionId=transaction)
    assert execute("SELECT count(*) FROM t")["records"] == [[{"longValue": count}]]

# Errors, by the class that boto3 makes of them.
exceptions = client.exceptions
error = fails(exceptions.DatabaseErrorException, execute, "INSERT INTO t VALUES (1)")
assert error.response["Error"]["Message"].endswith("SQLState: 23505")
assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
error = fails(exceptions.TransactionNotFoundException, execute, "SELECT 1", transactionId="unknown")
assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
fails(exceptions.UnsupportedResultException, execute, "SELECT '1 day'::interval")
error = fails(exceptions.ClientError, execute, "SELECT 1; SELECT 2")
assert error.response["Error"] == {
    "Code": "ValidationException",
    "Message": "Multistatements aren't supported",
}
array = [{"name": "a", "value": {"arrayValue": {"longValues": [1]}}}]
error = fails(exceptions.ClientError, execute, "SELECT :a", array)
assert error.response["Error"]["Message"] == "Array parameters are not supported"
large = [{"name": "a", "value": {"stringValue": "x" * (5 << 20)}}]
error = fails(exceptions.BadRequestException, execute, "SELECT length(:a)", large)
assert "4 MB" in error.response["Error"]["Message"]
