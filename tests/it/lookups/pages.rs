//! Pages: each row comes once, also while others insert and delete rows.

use data_api_server::Operation;
use serde_json::json;

use crate::support::lookups::next_page;
use crate::support::{STAFF, World};

#[tokio::test]
async fn pages_follow_each_other_by_their_links() {
    let world = World::with(STAFF).await;
    let first = world.read("/staff?limit=2&age=gt.1&select=id", &[]).await;
    assert_eq!(first.body, r#"[{"id":"0001"},{"id":"0002"}]"#);
    let next = next_page("/staff", &first).unwrap();
    assert!(next.starts_with("/staff?limit=2&age=gt.1&select=id&cursor="), "{next}");
    let second = world.read(&next, &[]).await;
    assert_eq!(second.body, r#"[{"id":"0003"}]"#);
    assert_eq!(second.header("link"), "");
    // The last page is full.
    assert_eq!(world.read("/staff?limit=3", &[]).await.header("link"), "");
}

#[tokio::test]
async fn inserted_and_deleted_rows_neither_repeat_nor_hide_other_rows() {
    let world = World::with(STAFF).await;
    let first = world.read("/staff?limit=2&order=age.desc", &[]).await;
    assert_eq!(first.json()[1]["id"], "0002");
    world.rows("INSERT INTO staff VALUES ('0009', 'Before', 99), ('0008', 'Between', 33)").await;
    // The last row of the page is deleted; the next page begins after its position.
    world.rows("DELETE FROM staff WHERE id = '0002'").await;
    let second = world.read(&next_page("/staff", &first).unwrap(), &[]).await;
    let ids: Vec<_> =
        second.json().as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, ["0008", "0001"]);
}

#[tokio::test]
async fn a_cursor_of_another_query_is_refused_without_a_call() {
    let world = World::with(STAFF).await;
    let first = world.read("/staff?limit=1", &[]).await;
    let next = next_page("/staff", &first).unwrap();
    let calls = world.server.counters().calls(Operation::Execute);
    for address in [
        format!("{next}&age=gt.1"),
        format!("{next}&order=age"),
        next.replace("limit=1&cursor=", "limit=1&cursor=A"),
        next.strip_suffix(|_: char| true).unwrap().to_owned(),
        "/staff?cursor=%00".to_owned(),
    ] {
        let response = world.read(&address, &[]).await;
        assert_eq!(response.status, 400, "{address}");
        assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:invalid-cursor");
    }
    assert_eq!(world.server.counters().calls(Operation::Execute), calls);
}

#[tokio::test]
async fn a_table_without_a_key_has_one_page() {
    let world =
        World::with("CREATE TABLE log (line text); INSERT INTO log VALUES ('a'), ('b')").await;
    let response = world.read("/log?limit=1", &[]).await;
    assert_eq!((response.json().as_array().unwrap().len(), response.header("link")), (1, ""));
}

#[tokio::test]
async fn a_page_that_is_too_large_is_split() {
    let world = World::with(
        "CREATE TABLE big (id integer PRIMARY KEY, content text);
         INSERT INTO big SELECT n, repeat('x', 300000) FROM generate_series(1, 10) n",
    )
    .await;
    let (rows, sizes) = world.walk("/big?limit=10").await;
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=10).collect::<Vec<_>>());
    assert!(sizes.iter().all(|size| *size <= 3), "{sizes:?}");
    // Without the large column, no row is too large.
    assert_eq!(world.walk("/big?limit=10&select=id").await.1, [10]);
}

#[tokio::test]
async fn a_row_too_large_for_a_response_is_named_by_its_key() {
    let world = World::with(
        "CREATE TABLE big (kind text, id integer, content text, PRIMARY KEY (kind, id));
         INSERT INTO big VALUES ('a', 1, ''), ('a,b', 2, repeat('x', 1100000)), ('c', 3, '')",
    )
    .await;
    let (first, sizes) = {
        let response = world.read("/big", &[]).await;
        (next_page("/big", &response).unwrap(), response.json().as_array().unwrap().len())
    };
    assert_eq!(sizes, 1);
    for address in [first.as_str(), "/big/%22a,b%22,2"] {
        let calls = world.server.counters().calls(Operation::Execute);
        let response = world.read(address, &[]).await;
        assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:result-too-large");
        assert!(
            response.json()["detail"].as_str().unwrap().contains("\"a,b\",2"),
            "{}",
            response.body
        );
        assert!(world.server.counters().calls(Operation::Execute) - calls <= 11);
    }
    assert_eq!(
        world.read("/big?select=id", &[]).await.json(),
        json!([{"id": 1}, {"id": 2}, {"id": 3}])
    );
}

#[tokio::test]
async fn all_rows_are_counted_with_the_page_in_one_call() {
    let world = World::with(STAFF).await;
    let counted = async |address: &str, count: &str| {
        let calls = world.server.counters().calls(Operation::Execute);
        let response =
            world.read(address, &[("prefer", &format!("return=minimal, count={count}"))]).await;
        let calls = world.server.counters().calls(Operation::Execute) - calls;
        assert_eq!(response.header("preference-applied"), format!("count={count}"));
        (response.header("content-range").to_owned(), calls, response)
    };
    let (range, calls, response) = counted("/staff?limit=2&age=gt.1", "exact").await;
    assert_eq!((range.as_str(), calls), ("0-1/3", 1));
    let next = next_page("/staff", &response).unwrap();
    let (range, _, response) = counted(&next, "exact").await;
    assert_eq!(
        (range.as_str(), response.body.as_str()),
        ("*/3", r#"[{"id":"0003","name":"Dynamo","age":56}]"#)
    );
    let (range, calls, response) = counted("/staff?age=gt.99", "exact").await;
    assert_eq!((range.as_str(), calls, response.body.as_str()), ("*/0", 1, "[]"));

    world.rows("INSERT INTO staff SELECT 'x' || n, 'x', 1 FROM generate_series(1, 500) n").await;
    world.rows("ANALYZE staff").await;
    let (range, calls, _) = counted("/staff?limit=1", "planned").await;
    assert_eq!((range.as_str(), calls), ("0-0/503", 2));
    let (range, ..) = counted("/staff?limit=1&id=0001", "planned").await;
    assert_eq!(range, "0-0/1");
}
