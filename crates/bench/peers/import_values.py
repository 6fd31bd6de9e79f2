"""Multi-row VALUES: as many rows a statement as its text (65,536 characters) and parameters leave room for."""

from itertools import islice

from rows import DATABASE, conflict, insert, parameter, placeholder, rds_data, read

SQL_CHARACTERS_MAX = 60_000


def statement(event, rows):
    tuples = (
        "(" + ", ".join(placeholder(f"{name}{n}", kind) for name, kind in event["columns"]) + ")"
        for n in range(rows)
    )
    return insert(event) + ", ".join(tuples) + conflict(event)


def lambda_handler(event, context):
    columns = event["columns"]
    rows_per_call = SQL_CHARACTERS_MAX // (len(statement(event, 1000)) // 1000 + 1)
    sql = statement(event, rows_per_call)
    transaction = rds_data.begin_transaction(**DATABASE)["transactionId"]
    rows = read(event)
    count = 0
    while batch := list(islice(rows, rows_per_call)):
        if len(batch) < rows_per_call:
            sql = statement(event, len(batch))
        rds_data.execute_statement(
            **DATABASE,
            transactionId=transaction,
            sql=sql,
            parameters=[
                parameter(f"{name}{n}", kind, text)
                for n, row in enumerate(batch)
                for (name, kind), text in zip(columns, row)
            ],
        )
        count += len(batch)
    rds_data.commit_transaction(
        resourceArn=DATABASE["resourceArn"],
        secretArn=DATABASE["secretArn"],
        transactionId=transaction,
    )
    return {"rows": count}
