//! The disposition of errors: which ones reject a row, and which ones block its message.

use aurora_sync::domain::error::{DataApiError, DataApiFault, Disposition, SqlState};
use aws_lambda_events::sqs::SqsBatchResponse;

use crate::support::World;
use crate::support::writes::{Envelope, event, write};

const LEDGER: &str = "SELECT key, outcome, sqlstate FROM sync.write ORDER BY id";

/// Delivers inserts of these rows into `t` in one message.
async fn insert(world: &World, rows: &[&[(&str, &str)]]) -> SqsBatchResponse {
    let writes = rows.iter().map(|row| {
        let mut write = write(&world.catalog, &format!("insert t id={}", row[0].1));
        write.row =
            row.iter().map(|(name, value)| ((*name).into(), Some((*value).into()))).collect();
        write
    });
    world.apply(event(&[Envelope::of("m", "a", writes.collect())])).await.unwrap()
}

fn is_left(response: &SqsBatchResponse) -> bool {
    !response.batch_item_failures.is_empty()
}

#[tokio::test]
async fn a_value_that_names_a_constraint_of_the_worker_rejects_only_its_row() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, d date)").await;
    for (id, name) in [
        ("1", "sync_write_settled_once"),
        ("2", "sync_chunk_loaded_once"),
        ("3", "sync_import_is_running"),
        ("4", "import_chunk_conserves_rows"),
    ] {
        let d = format!("1 constraint \"{name}\"");
        assert!(!is_left(&insert(&world, &[&[("id", id), ("d", &d)]]).await), "{name}");
    }
    assert_eq!(
        world.rows(LEDGER).await,
        ["1|rejected|22007", "2|rejected|22007", "3|rejected|22007", "4|rejected|22007"]
    );
}

#[tokio::test]
async fn a_users_constraint_with_a_name_of_the_worker_rejects_only_its_row() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer CONSTRAINT sync_write_settled_once UNIQUE)",
    )
    .await;
    let rows: [&[_]; 2] = [&[("id", "1"), ("a", "7")], &[("id", "2"), ("a", "7")]];
    assert!(!is_left(&insert(&world, &rows).await));
    assert_eq!(world.rows(LEDGER).await, ["1|applied|-", "2|rejected|23505"]);
}

#[tokio::test]
async fn a_do_also_rule_rejects_the_row_and_is_not_retried() {
    let world =
        World::with("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE log (id integer)").await;
    world.rows("CREATE RULE also AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id)").await;
    assert!(!is_left(&insert(&world, &[&[("id", "1")]]).await));
    assert_eq!(world.rows(LEDGER).await, ["1|rejected|0A000"]);
}

#[tokio::test]
async fn an_unknown_jsonpath_flag_rejects_only_its_row() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, path jsonpath)").await;
    let path = "$ ? (@ like_regex \"a\" flag \"x\")";
    let rows: [&[_]; 2] = [&[("id", "1"), ("path", path)], &[("id", "2"), ("path", "$.a")]];
    assert!(!is_left(&insert(&world, &rows).await));
    assert_eq!(world.rows(LEDGER).await, ["1|rejected|0A000", "2|applied|-"]);
}

#[tokio::test]
async fn a_value_nested_too_deeply_rejects_only_its_row() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, query tsquery)").await;
    let query = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
    let rows: [&[_]; 2] = [&[("id", "1"), ("query", &query)], &[("id", "2"), ("query", "a")]];
    assert!(!is_left(&insert(&world, &rows).await));
    assert_eq!(world.rows(LEDGER).await, ["1|rejected|54001", "2|applied|-"]);
}

#[tokio::test]
async fn a_row_policy_rejects_only_its_row() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         CREATE TABLE guarded (a text);
         CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             INSERT INTO guarded VALUES (NEW.a);
             RETURN NEW;
         END $$;
         CREATE TRIGGER copy BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION copy()",
    )
    .await;
    // The tests run as a superuser, to whom row policies do not apply.
    for sql in [
        "DO $$ BEGIN CREATE ROLE sync_test_limited; EXCEPTION WHEN OTHERS THEN NULL; END $$",
        "ALTER TABLE guarded OWNER TO sync_test_limited",
        "ALTER FUNCTION copy() OWNER TO sync_test_limited",
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE guarded FORCE ROW LEVEL SECURITY",
        "CREATE POLICY good ON guarded WITH CHECK (a <> 'bad')",
    ] {
        world.rows(sql).await;
    }
    let rows: [&[_]; 2] = [&[("id", "1"), ("a", "bad")], &[("id", "2"), ("a", "good")]];
    assert!(!is_left(&insert(&world, &rows).await));
    assert_eq!(world.rows(LEDGER).await, ["1|rejected|-", "2|applied|-"]);
    let rule = "SELECT rule FROM sync.write WHERE outcome = 'rejected'";
    assert_eq!(world.rows(rule).await, ["row-security"]);
    // A missing privilege is a fault of the deployment, not of the row.
    world.rows("ALTER TABLE guarded OWNER TO postgres").await;
    assert!(is_left(&insert(&world, &[&[("id", "3"), ("a", "good")]]).await));
    assert_eq!(world.rows(LEDGER).await.len(), 2);
}

#[tokio::test]
async fn an_exhausted_sequence_blocks_the_message_and_rejects_nothing() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY)",
    )
    .await;
    world.rows("ALTER SEQUENCE t_n_seq MAXVALUE 2").await;
    assert!(is_left(&insert(&world, &[&[("id", "1")], &[("id", "2")], &[("id", "3")]]).await));
    assert_eq!(world.rows(LEDGER).await, [""; 0]);
}

#[tokio::test]
async fn a_table_that_cannot_grow_blocks_the_message_and_rejects_nothing() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY);
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             RAISE EXCEPTION 'cannot extend file \"base/1/2\" beyond 4294967295 blocks'
                 USING ERRCODE = 'program_limit_exceeded';
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    .await;
    assert!(is_left(&insert(&world, &[&[("id", "1")]]).await));
    assert_eq!(world.rows(LEDGER).await, [""; 0]);
}

/// Error texts of PostgreSQL with their SQLSTATEs. The worker's own constraints are not among them,
/// because `sync.is_of_row` judges only users' rows.
const TEXTS: [(&str, &str); 24] = [
    ("0A000", "cached plan must not change result type"),
    ("0A000", "DO ALSO rules are not supported for data-modifying statements in WITH"),
    ("0A000", "XQuery \"x\" flag (expanded regular expressions) is not implemented"),
    ("2200H", "nextval: reached maximum value of sequence \"s\" (1)"),
    ("22003", "integer out of range"),
    ("22007", "invalid input syntax for type date: \"1 constraint \"sync_write_settled_once\"\""),
    ("23505", "duplicate key value violates unique constraint \"t_pkey\""),
    (
        "23514",
        "new row for relation \"t\" violates check constraint \"import_chunk_conserves_rows\"",
    ),
    ("25006", "cannot execute INSERT in a read-only transaction"),
    (
        "27000",
        "tuple to be updated was already modified by an operation triggered by the current command",
    ),
    ("42501", "new row violates row-level security policy for table \"t\""),
    ("42501", "new row violates row-level security policy \"p\" for table \"t\""),
    ("42501", "new row violates row-level security policy (USING expression) for table \"t\""),
    ("42501", "permission denied for table t"),
    ("42501", "not a new row violates row-level security policy"),
    ("42804", "returned row structure does not match the structure of the triggering table"),
    ("54000", "index row size 2800 exceeds btree version 4 maximum 2704 for index \"t_pkey\""),
    ("54000", "row is too big: size 8200, maximum size 8160"),
    ("54000", "cannot extend file \"base/1/2\" beyond 4294967295 blocks"),
    ("54000", "database is not accepting commands to avoid wraparound data loss in database \"d\""),
    ("54000", "multixact \"members\" limit exceeded"),
    ("54001", "stack depth limit exceeded"),
    ("55000", "cannot insert into view \"v\""),
    ("58P01", "could not open file \"base/1/2\": No such file or directory"),
];

/// SQLSTATEs of every class of appendix A, and some that only a trigger raises.
const STATES: &str = "00000 01000 02000 03000 08000 08006 08P01 09000 0A000 0B000 0F000 0L000 0P000 0Z000 10608 20000 \
    21000 22000 22001 22003 22007 2200H 22012 22021 22023 22P02 22P05 23000 23001 23502 23503 23505 23514 23P01 24000 \
    25000 25001 25006 25P01 25P02 25P03 25P04 26000 27000 28000 28P01 2B000 2BP01 2D000 2F000 2F002 2F005 34000 38000 \
    38001 39000 39004 39P01 3B000 3B001 3D000 3F000 40000 40001 40002 40003 40P01 42000 42501 42601 42703 42804 42P01 \
    42P10 44000 45000 53000 53100 53200 53300 53400 54000 54001 54011 54023 55000 55006 55P02 55P03 55P04 57000 57014 \
    57P01 57P02 57P03 57P04 57P05 58000 58030 58P01 58P02 72000 99999 F0000 F0001 HV000 HV00N P0000 P0001 P0002 P0003 \
    P0004 XX000 XX001 XX002 ZZ001";

#[tokio::test]
async fn is_of_row_agrees_with_the_error_table() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let client = ephemeral_postgres::connect(&world.database_url).await.unwrap();
    let states = STATES.split_whitespace().map(|state| (state, "by request"));
    for (state, text) in states.chain(TEXTS) {
        let error = DataApiError {
            operation: "BatchExecuteStatement",
            commits: false,
            fault: DataApiFault::Sql(SqlState(state.to_owned())),
            message: format!("ERROR: {text}; SQLState: {state}"),
        };
        let row =
            client.query_one("SELECT sync.is_of_row($1, $2)", &[&state, &text]).await.unwrap();
        assert_eq!(
            error.disposition() == Disposition::Reject,
            row.get::<_, bool>(0),
            "{state} {text}"
        );
    }
}
