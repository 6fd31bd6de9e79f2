//! The plan of every generated statement at 10, 1,000 and 5,000 rows. The planner's estimates for
//! arrays may be wrong, but no step of a plan touches more rows than the statement needs.

use aurora_sync::api::query::{Form, Head, QueryString, Relation, by_key, list};
use aurora_sync::database::ledger::OVERTAKEN;
use aurora_sync::database::parameter_set::{Cells, column_literals, number_column, text_column};
use aurora_sync::database::plan::SET_ROWS_MAX;
use aurora_sync::database::statement::load::Load;
use aurora_sync::database::statement::replace::{count_missing, delete_missing, delete_stretch};
use aurora_sync::database::statement::{Identity, settle};
use aurora_sync::domain::field::Parameter;
use aurora_sync::domain::key::Key;
use aurora_sync::domain::value::array_literal::array_literal;
use aurora_sync::domain::write::{IF_MATCH, IF_NONE_MATCH, Operation};
use aurora_sync_catalog::{Column, Table};
use import_options::LoadMode;
use serde_json::Value;
use uuid::Uuid;

use crate::support::World;

const ITEM: &str = "CREATE TABLE item (
    kind text, number integer, name text NOT NULL, amount numeric(12,2), extra jsonb,
    PRIMARY KEY (kind, number));
    CREATE TABLE stamped (kind text, number integer, name text NOT NULL, amount numeric(12,2),
    extra jsonb, PRIMARY KEY (kind, number));
    COMMENT ON COLUMN stamped.amount IS '@sync:version';
    CREATE TABLE guarded (kind text, number integer, name text NOT NULL, amount numeric(12,2),
    extra jsonb, PRIMARY KEY (kind, number));
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY";

const FILL: &str =
    "INSERT INTO item SELECT 'a', n, 'name', n, '{}' FROM generate_series(1, 1000000) n;
    INSERT INTO stamped SELECT * FROM item;
    INSERT INTO guarded SELECT * FROM item;
    INSERT INTO sync.write (id, table_name, key, operation, outcome, accepted_at)
        SELECT gen_random_uuid(), 'item', 'a,' || n, 'insert', 'applied', now() FROM generate_series(1, 1000000) n;
    INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name)
        VALUES ('00000000-0000-0000-0000-000000000001', '', '', '', '', 'item');
    INSERT INTO sync.import_key
        SELECT '00000000-0000-0000-0000-000000000001', ROW(kind, number)::text FROM item WHERE number % 10 > 0;
    ANALYZE";

/// Returns the most rows that one step of a statement over `rows` may touch: it scans no table and
/// never joins the input to itself.
fn touched_max(rows: usize) -> usize {
    5 * rows + 50
}

/// PostgreSQL's default of `jit_above_cost`. The compilation of a generated statement takes longer
/// than its execution.
const JIT_ABOVE_COST: f64 = 100_000.0;

const OPERATIONS: [Operation; 5] = [
    Operation::Insert,
    Operation::InsertIgnore,
    Operation::Upsert,
    Operation::Update,
    Operation::Delete,
];

#[tokio::test]
async fn no_statement_touches_more_rows_than_it_needs() {
    let world = World::with(ITEM).await;
    let client = ephemeral_postgres::connect(&world.database_url).await.unwrap();
    client.batch_execute(FILL).await.unwrap();
    let catalog = world.catalog.clone();
    for rows in [10, 1_000, 3_000, 4_000, 5_000] {
        for table in catalog.tables() {
            let all: Vec<&Column> = table.columns.iter().collect();
            let key: Vec<&Column> = table.key_columns().collect();
            for operation in OPERATIONS {
                for identity in [Identity::Id, Identity::IdAndFingerprint] {
                    let columns = if operation == Operation::Delete { &key } else { &all };
                    let sql = settle(table, operation, columns, identity, None);
                    let name = format!("{} {} {identity:?}", operation.as_str(), table.name);
                    let writes = writes(operation, rows, columns.len());
                    check_numbered(&client, &sql, &[writes], rows, &name).await;
                }
            }
            for (operation, header) in [
                (Operation::Insert, IF_NONE_MATCH),
                (Operation::Update, IF_MATCH),
                (Operation::Delete, IF_MATCH),
            ] {
                let columns = if operation == Operation::Delete { &key } else { &all };
                let sql = settle(table, operation, columns, Identity::Id, Some(header));
                let name = format!("{} {} {header}", operation.as_str(), table.name);
                let writes = conditional_writes(operation, rows, columns.len());
                check_numbered(&client, &sql, &[writes], rows, &name).await;
            }
        }
        // Tables with triggers are loaded by the same statements.
        for table in catalog.tables().iter().filter(|table| !table.has_row_logic) {
            for mode in [
                LoadMode::Upsert,
                LoadMode::Insert,
                LoadMode::Ignore,
                LoadMode::Replace,
                LoadMode::Delete,
            ] {
                let columns: Vec<&Column> = if mode == LoadMode::Delete {
                    table.key_columns().collect()
                } else {
                    table.columns.iter().collect()
                };
                check_load(&client, Load { table, columns: &columns, mode }, rows).await;
            }
        }
    }
    for table in catalog.tables() {
        check_delete_missing(&client, table).await;
    }
    let table = &catalog.tables()[0];
    let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
    let one = QueryString::of_row(table, &[]).unwrap();
    let key = Key::from_path(table, "a,7").unwrap();
    let (query, _) = by_key(relation, &key, &one, Form::Json, &Head::default());
    check(&client, &query.sql, &query.parameters, 10, "by key").await;
    check(&client, OVERTAKEN, &resent(1_000), 1_000, "overtaken").await;
    for filter in [&[][..], &[("kind".to_owned(), "a".to_owned())]] {
        let parsed = QueryString::of_list(table, filter, "").unwrap();
        let (query, _) = list(relation, &parsed, Form::Records, &Head::default(), 10);
        check(&client, &query.sql, &query.parameters, 10, "list").await;
    }
}

/// Returns the parameters of writes of which some are settled.
fn resent(rows: usize) -> Vec<Parameter> {
    let ids: Vec<_> = (0..rows).map(|_| Uuid::now_v7().to_string()).collect();
    let keys: Vec<_> = (1..=rows).map(|n| format!("a,{n}")).collect();
    vec![
        text_column("id", ids.iter().map(|id| Some(id.as_str()))),
        text_column("table_name", (0..rows).map(|_| Some("item"))),
        text_column("key", keys.iter().map(|key| Some(key.as_str()))),
        number_column("accepted_at_ms", (0..rows).map(|_| 0)),
        text_column("caller", (0..rows).map(|_| Some("ann"))),
    ]
}

const IMPORT_ID: &str = "00000000-0000-0000-0000-000000000001";

/// Checks a set of a file's rows as `sync.load` and `sync.bisect` run it.
async fn check_load(client: &tokio_postgres::Client, load: Load<'_>, rows: usize) {
    let Load { table, columns, mode } = load;
    let operation = if mode == LoadMode::Insert { Operation::Insert } else { Operation::Upsert };
    let literals = literals_of(&rows_of(operation, rows, columns.len()));
    let name = format!("load {} {}", mode.as_str(), table.name);
    check_numbered(client, &load.statement(), std::slice::from_ref(&literals), rows, &name).await;
    if let Some(sql) = load.insert_first() {
        let literals = literals_of(&rows_of(Operation::Insert, rows, columns.len()));
        check_numbered(client, &sql, &[literals], rows, &name).await;
    }
    if let Some(sql) = load.keys() {
        check_numbered(client, &sql, &[literals, text("uuid", IMPORT_ID)], rows, &name).await;
    }
}

/// Returns a set as the parameter `$1`: one array literal a column.
fn literals_of(cells: &[Cells]) -> Parameter {
    let literals = column_literals(&cells.iter().collect::<Vec<_>>());
    text("text[]", &array_literal(literals.iter().map(|literal| Some(literal.as_str()))))
}

/// Checks the statements that look at a thousand rows of the table for those that are not in a
/// file.
async fn check_delete_missing(client: &tokio_postgres::Client, table: &Table) {
    for after in [None, Some("{a,500000}"), Some("{a,999900}")] {
        let has_begin = after.is_some();
        let update = "UPDATE sync.import SET replace_phase = $1, replace_after = $2::text::text[]";
        let parameters = [
            text("import_id", IMPORT_ID),
            text("rows", "1000"),
            Parameter { name: "after".into(), value: after.map(str::to_owned) },
        ];
        for (phase, name, sql) in [
            ("count", "count missing", count_missing(table, has_begin)),
            ("delete", "delete a stretch", delete_stretch(table, has_begin)),
            ("delete", "delete missing", delete_missing(table, has_begin)),
        ] {
            client.execute(update, &[&phase, &after]).await.unwrap();
            let is_used = |parameter: &&Parameter| sql.contains(&format!(":{}::", parameter.name));
            let parameters: Vec<_> = parameters.iter().filter(is_used).cloned().collect();
            let sql = prepared(&sql, &parameters);
            for mode in PLANS {
                let plan = explain(client, &sql, &values(&parameters), mode).await;
                // It reads so many rows that JIT compilation is allowed.
                check_plan(&plan, 1_000, 0, &format!("{name}, {mode}"));
            }
        }
    }
}

fn text(name: &'static str, value: &str) -> Parameter {
    aurora_sync::domain::field::parameter(name, value)
}

/// Returns the columns that `sync.settle` passes to a statement.
fn writes(operation: Operation, rows: usize, columns: usize) -> Parameter {
    writes_after(operation, rows, columns, None)
}

/// Returns the same for writes with preconditions.
fn conditional_writes(operation: Operation, rows: usize, columns: usize) -> Parameter {
    let tag = format!("\"{}\"", "0".repeat(32));
    let tags = array_literal((0..rows).map(|_| Some(tag.as_str())));
    writes_after(operation, rows, columns, Some(tags))
}

fn writes_after(
    operation: Operation,
    rows: usize,
    columns: usize,
    preconditions: Option<String>,
) -> Parameter {
    let ids: Vec<_> = (0..rows).map(|_| Uuid::now_v7().to_string()).collect();
    let keys: Vec<_> = (0..rows).map(|n| n.to_string()).collect();
    let keys = array_literal(keys.iter().map(|key| Some(key.as_str())));
    let cells = rows_of(operation, rows, columns);
    let mut literals = vec![
        array_literal(ids.iter().map(|id| Some(id.as_str()))),
        array_literal((0..rows).map(|_| Some("0"))),
        keys.clone(),
        keys,
    ];
    literals.extend(preconditions);
    literals.extend(column_literals(&cells.iter().collect::<Vec<_>>()));
    text("text[]", &array_literal(literals.iter().map(|literal| Some(literal.as_str()))))
}

/// Returns rows of which every second one is in the table, or none for an insert.
fn rows_of(operation: Operation, rows: usize, columns: usize) -> Vec<Cells> {
    let row = |n: usize| -> Cells {
        let is_known = n.is_multiple_of(2) && operation != Operation::Insert;
        let kind = if is_known { "a" } else { "b" };
        let cells = [kind, &(n * 7 + 1).to_string(), "new name", "12.50", r#"{"a": 1}"#];
        cells.into_iter().take(columns).map(|cell| Some(cell.to_owned())).collect()
    };
    (0..rows).map(row).collect()
}

/// Sessions of the Data API keep their prepared statements. After five executions PostgreSQL may
/// use a generic plan.
const PLANS: [&str; 2] = ["force_custom_plan", "force_generic_plan"];

/// Checks the statement under both kinds of plan.
pub(crate) async fn check(
    client: &tokio_postgres::Client,
    sql: &str,
    parameters: &[Parameter],
    rows: usize,
    name: &str,
) {
    let sql = prepared(sql, parameters);
    for mode in PLANS {
        let plan = explain(client, &sql, &values(parameters), mode).await;
        check_plan(&plan, rows, SET_ROWS_MAX, &format!("{name}, {mode}"));
    }
}

/// Checks a statement with numbered parameters, whose names are their types. JIT is off in the
/// functions that run it.
async fn check_numbered(
    client: &tokio_postgres::Client,
    sql: &str,
    parameters: &[Parameter],
    rows: usize,
    name: &str,
) {
    let types: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_ref()).collect();
    let prepare = format!("PREPARE statement ({}) AS {sql}", types.join(", "));
    for mode in PLANS {
        let plan = explain(client, &prepare, &values(parameters), mode).await;
        check_plan(&plan, rows, 0, &format!("{name}, {mode}"));
    }
}

fn prepared(sql: &str, parameters: &[Parameter]) -> String {
    let mut prepared = sql.to_owned();
    for (n, parameter) in parameters.iter().enumerate() {
        prepared = prepared.replace(&format!(":{}::", parameter.name), &format!("${}::", n + 1));
    }
    format!("PREPARE statement AS {prepared}")
}

fn values(parameters: &[Parameter]) -> String {
    let values: Vec<_> = parameters
        .iter()
        .map(|parameter| match &parameter.value {
            Some(value) => format!("'{}'", value.replace('\'', "''")),
            None => "NULL".to_owned(),
        })
        .collect();
    values.join(", ")
}

async fn explain(
    client: &tokio_postgres::Client,
    prepare: &str,
    values: &str,
    mode: &str,
) -> Value {
    let explain = format!(
        "BEGIN; SET LOCAL plan_cache_mode = {mode}; {prepare};
        EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE statement ({values});"
    );
    let response = client.simple_query(&explain).await.unwrap();
    client.batch_execute("ROLLBACK; DEALLOCATE statement").await.unwrap();
    let plan = response.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(plan.unwrap()).unwrap();
    plan[0]["Plan"].clone()
}

/// Checks that no step touches too many rows, and that a statement of at most `set_rows_max` rows
/// is not compiled.
fn check_plan(plan: &Value, rows: usize, set_rows_max: usize, name: &str) {
    let touched = touched_most(plan);
    assert!(
        touched <= touched_max(rows),
        "{name}, {rows} rows: a step touches {touched} rows\n{plan:#}"
    );
    let cost = plan["Total Cost"].as_f64().unwrap();
    assert!(
        rows > set_rows_max || cost < JIT_ABOVE_COST,
        "{name}, {rows} rows: a cost of {cost} has it compiled\n{plan:#}"
    );
}

/// Returns the rows that the busiest step of a plan touches, in all its loops.
fn touched_most(node: &Value) -> usize {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let of_a_loop = number("Actual Rows")
        + number("Rows Removed by Filter")
        + number("Rows Removed by Join Filter")
        + number("Rows Removed by Index Recheck");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of rows")]
    let touched = (of_a_loop * number("Actual Loops")) as usize;
    let below = node["Plans"].as_array().into_iter().flatten().map(touched_most);
    below.fold(touched, usize::max)
}
