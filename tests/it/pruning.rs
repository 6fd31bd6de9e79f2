//! `prune`: it deletes writes that no queue can hold any more, and no others.

use aurora_sync::functions::prune::{self, Prune, RETENTION_DAYS_MIN};
use serde::de::IgnoredAny;

use crate::support::{STAFF, World, deadline, sample};

/// Returns a database whose ledger has one write of each of these ages in days.
async fn ledger(ages: &str) -> World {
    let world = World::with(STAFF).await;
    world
        .rows(&format!(
            "INSERT INTO sync.write (id, key, operation, outcome, accepted_at, settled_at)
            SELECT gen_random_uuid(), age, 'insert', 'applied', now(), now() - age * interval '1 day'
            FROM {ages} AS age"
        ))
        .await;
    world
}

fn function(world: &World, step_rows: u32) -> Prune {
    let data_api = world.data_api.clone();
    Prune { data_api, outbox: None, retention_days: RETENTION_DAYS_MIN, step_rows }
}

#[tokio::test]
async fn writes_are_deleted_only_when_no_queue_can_still_hold_them() {
    let world = ledger("unnest(ARRAY[0, 14, 28, 28.9, 29.1, 400])").await;
    assert_eq!(prune::run(&function(&world, 10), deadline()).await.unwrap(), 2);
    assert_eq!(
        world.rows("SELECT key FROM sync.write ORDER BY settled_at").await,
        ["28.9", "28", "14", "0"]
    );
}

#[tokio::test]
async fn steps_are_bounded_and_repeat_until_nothing_is_left() {
    let world = ledger("generate_series(20, 69)").await;
    world.server.counters().reset();
    // Days 29 to 69 are deleted: day 29 has passed when the statement runs.
    assert_eq!(prune::run(&function(&world, 10), deadline()).await.unwrap(), 41);
    assert_eq!(world.server.counters().all_calls(), 5);
    assert_eq!(world.rows("SELECT count(*) FROM sync.write").await, ["9"]);
}

#[tokio::test]
async fn an_outage_is_left_to_the_next_invocation() {
    let world = ledger("generate_series(31, 60)").await;
    world.fault("execute@2 fail-before=ServiceUnavailableError");
    assert_eq!(prune::run(&function(&world, 10), deadline()).await.unwrap(), 10);
    assert_eq!(prune::run(&function(&world, 10), deadline()).await.unwrap(), 20);
}

#[test]
fn the_sample_event_of_the_schedule_is_read() {
    assert!(serde_json::from_value::<IgnoredAny>(sample("schedule-prune")).is_ok());
}
