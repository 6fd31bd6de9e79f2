//! Callers: who made a change is on record, and under row security PostgreSQL's policies decide by
//! the caller's claims.

mod ledger;
mod policies;
mod imports;
mod faults;

use std::sync::Arc;

use aurora_sync::api::caller::RowSecurity;
use aurora_sync::domain::caller::Caller;
use aurora_sync::domain::write::Write;
use serde_json::{Value, json};

use crate::support::http_api::event;
use crate::support::writes::write;
use crate::support::{HttpResponse, World};

/// Notes that belong to the subject of a token. Everyone may read what is shared, and nobody may
/// move a note to another owner.
const NOTES: &str = "CREATE SCHEMA auth;
    CREATE FUNCTION auth.uid() RETURNS text LANGUAGE sql STABLE AS $$
        SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' $$;
    GRANT USAGE ON SCHEMA auth TO PUBLIC;
    CREATE TABLE note (
        id integer PRIMARY KEY, owner text DEFAULT auth.uid(), text text, shared boolean NOT NULL DEFAULT false);
    ALTER TABLE note ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON note USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
    CREATE POLICY shared ON note FOR SELECT USING (shared);";

/// Creates a database with row security and these tables.
async fn world(tables: &str) -> World {
    let mut world = World::with(tables).await;
    world.row_security = RowSecurity::Claims;
    world
}

fn claims(subject: &str) -> Value {
    json!({ "iss": "https://id.example", "sub": subject })
}

fn caller(subject: &str) -> Arc<Caller> {
    Arc::new(Caller {
        principal: Some(format!("https://id.example|{subject}")),
        claims: Some(claims(subject).to_string().into()),
        request_id: None,
        resend_of: None,
    })
}

/// Returns a write of a caller.
fn by(world: &World, subject: &str, text: &str) -> Write {
    Write { caller: caller(subject), ..write(&world.catalog, text) }
}

/// Returns the event of a request with a verified token of these claims.
fn with_token(mut event: Value, claims: &Value) -> Value {
    let texts = claims.as_object().unwrap().iter().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), json!(text))
    });
    event["requestContext"]["authorizer"] =
        json!({ "jwt": { "claims": texts.collect::<serde_json::Map<_, _>>(), "scopes": null } });
    event
}

/// Reads as a subject.
async fn read(world: &World, subject: &str, address: &str) -> HttpResponse {
    world.lookup(with_token(event("GET", address, &[], &[]), &claims(subject))).await
}

async fn rows(world: &World) -> Vec<String> {
    world.rows("SELECT id, owner, text FROM note ORDER BY id").await
}

/// Returns the key, the subject, the outcome and the rule of each write, in the order of their ids.
async fn outcomes(world: &World) -> Vec<String> {
    world
        .rows(
            "SELECT key, split_part(caller, '|', 2), outcome, rule FROM sync.write
            ORDER BY accepted_at, id",
        )
        .await
}
