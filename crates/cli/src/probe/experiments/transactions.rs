//! Transactions, their ends, and their sessions.

use serde_json::json;

use super::told;
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

pub(crate) async fn aborted_commit(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("aborted", "a int PRIMARY KEY").await?;
    let id = lab.begin().await?;
    lab.execute_in(&id, &format!("INSERT INTO {table} VALUES (1)")).await?;
    lab.execute_in(&id, &format!("INSERT INTO {table} VALUES (1)")).await?;
    let commit = lab.commit(&id).await?;
    let rows = lab.count(&table).await?;
    let says = &commit.body["transactionStatus"];
    let seen = format!("{}, {says}; rows: {rows}", commit.told());
    Ok(Seen::new(rows == 0 && *says == json!("Transaction Committed"), seen))
}

pub(crate) async fn two_calls(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    let long = lab.execute_in(&id, "SELECT pg_sleep(3)::text");
    let second = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        lab.execute_in(&id, "SELECT 1").await
    };
    let (long, second) = tokio::join!(long, second);
    let (long, second) = (long?, second?);
    lab.roll_back(&id).await?;
    let text = "Transaction is still running a query";
    let is_refused = second.is(400, "DatabaseErrorException")
        && second.message.as_ref().is_some_and(|message| message.contains(text));
    let seen = told([("the first call", &long), ("the second one", &second)]);
    Ok(Seen::new(long.is_good() && is_refused, seen))
}

pub(crate) async fn ended_ids(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    lab.commit(&id).await?;
    let (execute, commit) = (lab.execute_in(&id, "SELECT 1").await?, lab.commit(&id).await?);
    let rollback = lab.call("/RollbackTransaction", json!({ "transactionId": id })).await?;
    let replies = [("a statement", &execute), ("a commit", &commit), ("a rollback", &rollback)];
    let holds = replies.iter().all(|(_, reply)| reply.is(404, "TransactionNotFoundException"));
    Ok(Seen::new(holds, told(replies)))
}

pub(crate) async fn other_secret(lab: &Lab) -> anyhow::Result<Seen> {
    let Some(other) = &lab.places.other_secret_arn else {
        return Ok(Seen::NotTried("no secret of another user is known; give --stack NAME".into()));
    };
    let id = lab.begin().await?;
    let members = json!({ "sql": "SELECT 1", "transactionId": id, "secretArn": other });
    let reply = lab.call("/Execute", members).await?;
    lab.roll_back(&id).await?;
    Ok(Seen::new(reply.is(404, "TransactionNotFoundException"), reply.told()))
}

pub(crate) async fn other_user(lab: &Lab) -> anyhow::Result<Seen> {
    let Some(other) = &lab.places.other_secret_arn else {
        return Ok(Seen::NotTried("no secret of another user is known; give --stack NAME".into()));
    };
    let own = lab.execute("SELECT session_user::text").await?;
    let members = json!({ "sql": "SELECT session_user::text", "secretArn": other });
    let other = lab.call("/Execute", members).await?;
    let seen = if other.is_good() {
        format!("one secret is {}, the other {}", own.value(), other.value())
    } else {
        other.told()
    };
    Ok(Seen::new(other.is_good() && own.value() != other.value(), seen))
}

pub(crate) async fn deferred(lab: &Lab) -> anyhow::Result<Seen> {
    let columns = "a int CONSTRAINT probe_once UNIQUE DEFERRABLE INITIALLY DEFERRED";
    let table = lab.table("deferred", columns).await?;
    let id = lab.begin().await?;
    lab.execute_in(&id, &format!("INSERT INTO {table} VALUES (1), (1)")).await?;
    let commit = lab.commit(&id).await?;
    let after = lab.call("/RollbackTransaction", json!({ "transactionId": id })).await?;
    let rows = lab.count(&table).await?;
    let seen = told([("the commit", &commit), ("a rollback after it", &after)]);
    let is_over = after.is_good() || after.status == 404;
    Ok(Seen::new(commit.is_sql("23505") && rows == 0 && is_over, format!("{seen}; rows: {rows}")))
}

pub(crate) async fn savepoint(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    lab.execute_in(&id, "SAVEPOINT probe").await?;
    let failed = lab.execute_in(&id, "SELECT 1 / 0").await?;
    let back = lab.execute_in(&id, "ROLLBACK TO SAVEPOINT probe").await?;
    let next = lab.execute_in(&id, "SELECT 1").await?;
    lab.roll_back(&id).await?;
    let holds = failed.is_sql("22012") && back.is_good() && next.is_good();
    Ok(Seen::new(holds, told([("the error", &failed), ("back", &back), ("the next call", &next)])))
}

pub(crate) async fn cached_plan(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("planned", "a int").await?;
    let select = format!("SELECT * FROM {table}");
    for _ in 0..5 {
        lab.run(&select).await?;
    }
    lab.run(&format!("ALTER TABLE {table} ADD b int")).await?;
    // As often as the pool may have sessions that know the old plan.
    for failures in 0..20 {
        let reply = lab.execute(&select).await?;
        if reply.is_good() {
            return Ok(Seen::Holds(format!("{failures} calls failed with 0A000, then success")));
        }
        if !reply.is_sql("0A000") {
            return Ok(Seen::DoesNotHold(reply.told()));
        }
    }
    Ok(Seen::DoesNotHold("20 calls failed with 0A000".to_owned()))
}

pub(crate) async fn prepared_statements(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    for number in 0..120 {
        lab.execute_in(&id, &format!("SELECT {number}")).await?;
    }
    let count = lab.execute_in(&id, "SELECT count(*) FROM pg_prepared_statements").await?;
    lab.roll_back(&id).await?;
    let seen = if count.is_good() {
        format!("120 statements leave {} prepared", count.value())
    } else {
        count.told()
    };
    Ok(Seen::new(count.value().as_u64() == Some(100), seen))
}

pub(crate) async fn forgotten_settings(lab: &Lab) -> anyhow::Result<Seen> {
    // A setting that nothing else reads, as it stays if the assumption is wrong.
    lab.run("SET aurora_sync.probe = 'set'").await?;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let shown =
            lab.run("SELECT coalesce(current_setting('aurora_sync.probe', true), '')").await?;
        seen.push(shown.value().to_string());
    }
    let holds = seen.iter().all(|value| value != "\"set\"");
    Ok(Seen::new(holds, format!("the setting in five later calls: {}", seen.join(", "))))
}
