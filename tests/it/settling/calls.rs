//! The number of calls of a delivery.

use super::{calls, writes};
use crate::support::{STAFF, World};

#[tokio::test]
async fn mixed_operations_on_one_table_cost_three_calls() {
    let world = World::with(STAFF).await;
    let texts = [
        "insert staff id=0010 name=a",
        "insert staff id=0011 name=a age=1",
        "upsert staff id=0001 name=b",
        "upsert staff id=0012 name=b age=2",
        "ignore staff id=0002 name=c",
        "update staff id=0002 name=d",
        "update staff id=0003 age",
        "delete staff id=0010",
        "insert staff id=0010 name=again",
        "delete staff id=0003",
    ];
    assert_eq!(calls(&world, writes(&world, &texts)).await, 3);
    assert_eq!(
        world.rows("SELECT id, name, age FROM staff ORDER BY id").await,
        ["0001|b|12", "0002|d|34", "0010|again|-", "0011|a|1", "0012|b|2"]
    );
}

#[tokio::test]
async fn a_delivery_with_bad_rows_costs_seven_calls() {
    let world =
        World::with("CREATE TABLE t (id integer PRIMARY KEY, a integer CHECK (a <> 13))").await;
    let mut first = 0;
    for bad in [1, 50, 1_000] {
        let texts: Vec<_> = (first..first + 1_000)
            .map(|id| format!("insert t id={id} a={}", if (id - first) < bad { 13 } else { 1 }))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        assert_eq!(calls(&world, writes(&world, &texts)).await, 7, "{bad} bad rows");
        first += 1_000;
        assert_eq!(
            world
                .rows(&format!(
                    "SELECT count(*) FILTER (WHERE outcome = 'rejected'), count(*) FROM sync.write
                    WHERE key::integer >= {}",
                    first - 1_000
                ))
                .await,
            [format!("{bad}|1000")]
        );
    }
    assert_eq!(world.rows("SELECT count(*) FROM t").await, ["1949"]);
}

#[tokio::test]
async fn a_call_never_exceeds_the_limit_of_the_data_api() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, a text)").await;
    // Quotes and backslashes are escaped twice, in the array's literal and in JSON.
    let long = "\"\\".repeat(100_000);
    let texts: Vec<_> = (0..12).map(|id| format!("insert t id={id} a={long}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    assert_eq!(calls(&world, writes(&world, &texts)).await, 5, "9.6 MB in three calls");
    assert!(world.server.counters().bytes_in() > 9_600_000);
    assert_eq!(world.rows("SELECT count(*), min(length(a)) FROM t").await, ["12|200000"]);
}
