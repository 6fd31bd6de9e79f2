"""The tutorial's way with a file: one execute_statement a row."""

from rows import DATABASE, conflict, insert, parameter, placeholder, rds_data, read


def lambda_handler(event, context):
    values = ", ".join(placeholder(name, kind) for name, kind in event["columns"])
    sql = f"{insert(event)}({values}){conflict(event)}"
    count = 0
    for row in read(event):
        rds_data.execute_statement(
            **DATABASE,
            sql=sql,
            parameters=[
                parameter(name, kind, text) for (name, kind), text in zip(event["columns"], row)
            ],
        )
        count += 1
    return {"rows": count}
