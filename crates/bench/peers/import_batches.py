"""boto3's batch_execute_statement: 1,000 rows a call, all calls in one transaction."""

from itertools import islice

from rows import DATABASE, conflict, insert, parameter, placeholder, rds_data, read

ROWS_PER_CALL = 1000


def lambda_handler(event, context):
    columns = event["columns"]
    values = ", ".join(placeholder(name, kind) for name, kind in columns)
    sql = f"{insert(event)}({values}){conflict(event)}"
    transaction = rds_data.begin_transaction(**DATABASE)["transactionId"]
    rows = read(event)
    count = 0
    while batch := list(islice(rows, ROWS_PER_CALL)):
        rds_data.batch_execute_statement(
            **DATABASE,
            transactionId=transaction,
            sql=sql,
            parameterSets=[
                [parameter(name, kind, text) for (name, kind), text in zip(columns, row)]
                for row in batch
            ],
        )
        count += len(batch)
    rds_data.commit_transaction(
        resourceArn=DATABASE["resourceArn"],
        secretArn=DATABASE["secretArn"],
        transactionId=transaction,
    )
    return {"rows": count}
