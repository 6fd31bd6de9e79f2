//! Under faults and kills, a change is never made with the claims of another caller.

use std::time::Duration;

use aurora_sync::domain::write::pack;
use tokio::time::timeout;

use super::{by, world};
use crate::support::histories::{seeds, wait_for_no_transaction};
use crate::support::{World, delivery};

/// Rows whose owner is whoever wrote them, by default and by a trigger.
const OWNED: &str = "CREATE FUNCTION whoever() RETURNS text LANGUAGE sql STABLE AS $$
        SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' $$;
    CREATE TABLE owned (id integer PRIMARY KEY, owner text DEFAULT whoever(), value integer CHECK (value < 90));
    ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON owned USING (owner = whoever());
    CREATE TABLE change (id integer, changed_by text);
    CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO change VALUES (NEW.id, whoever()); RETURN NEW; END $$;
    CREATE TRIGGER record AFTER INSERT OR UPDATE ON owned FOR EACH ROW EXECUTE FUNCTION record();";

const SEEDS: u64 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_share_deliveries_never_share_claims() {
    let world = world(OWNED).await;
    for seed in seeds(SEEDS) {
        run(&world, seed).await;
    }
}

/// Delivers writes of three tenants to the same keys, again and again, until all are settled.
async fn run(world: &World, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    world.run("TRUNCATE owned, change, sync.write, sync.blocked").await;
    let tenants = ["ann", "bob", "eve"];
    let writes: Vec<_> = (0..random.usize(10..60))
        .map(|_| {
            let tenant = tenants[random.usize(..3)];
            let (id, value) = (random.u8(..8), random.u8(..100));
            let text = match random.u8(..4) {
                0 => format!("insert owned id={id} value={value}"),
                1 => format!("upsert owned id={id} value={value}"),
                2 => format!("update owned id={id} value={value}"),
                _ => format!("insert owned id={id} owner={} value=1", tenants[random.usize(..3)]),
            };
            by(world, tenant, &text)
        })
        .collect();
    let count = writes.len();
    let messages = pack(writes, 2);
    let settled = async || world.rows("SELECT count(*) FROM sync.write").await.remove(0);
    for delivery_number in 0.. {
        assert!(delivery_number < 100, "seed {seed} is not settled");
        for _ in 0..random.usize(..3) {
            let call = ["begin", "batch", "commit"][random.usize(..3)];
            let fault =
                ["drop-answer", "fail-before=ServiceUnavailableError", "sql=40001", "timeout"]
                    [random.usize(..4)];
            world.fault(&format!("{call}@{} {fault}", random.u8(1..3)));
        }
        // A kill drops the invocation.
        let time = Duration::from_millis(random.u64(1..400));
        drop(timeout(time, world.apply(delivery(&messages))).await);
        world.server.faults().clear();
        wait_for_no_transaction(world, Duration::from_mins(6)).await;
        if settled().await == count.to_string() {
            break;
        }
        if delivery_number % 4 == 3 {
            // Without a disturbance.
            world.apply(delivery(&messages)).await.unwrap();
        }
    }
    let foreign = world
        .rows("SELECT count(*) FROM change JOIN owned USING (id) WHERE changed_by IS DISTINCT FROM owner")
        .await;
    assert_eq!(foreign, ["0"], "seed {seed}");
    let wrong = world
        .rows(
            "SELECT key, caller, outcome FROM sync.write JOIN owned ON key = owned.id::text
            WHERE outcome IN ('applied', 'unchanged') AND split_part(caller, '|', 2) <> owner",
        )
        .await;
    assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
    let counted = world.rows("SELECT count(*) FROM change").await.remove(0);
    let applied = "SELECT count(*) FROM sync.write WHERE outcome = 'applied'";
    assert_eq!(world.rows(applied).await, [counted], "seed {seed}");
}
