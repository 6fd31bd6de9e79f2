//! Filters, orders and columns, in the syntax of PostgREST.

use serde_json::{Value, json};

use crate::support::World;

const PEOPLE: &str = r#"
CREATE TABLE person (
    id integer PRIMARY KEY, name text NOT NULL, age integer, amount numeric(6,2), is_valid boolean,
    tags text[], data jsonb, "limit" integer, "full name" text, place point, relation regclass
);
INSERT INTO person VALUES
    (1, 'Ann', 30, 1.50, true, '{a}', '{"n": 1}', 5, 'Ann, A.', '(1,2)', 'person'),
    (2, 'Ben', NULL, 2.25, NULL, '{a,"b,c"}', 'null', 6, 'Ben "B"', NULL, NULL),
    (3, 'Cem', 41, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, 'ann', 30, -1, true, '{}', '[]', 5, '', NULL, NULL);
"#;

async fn ids(world: &World, query: &str) -> Vec<i64> {
    let response = world.read(&format!("/person?{query}"), &[]).await;
    assert_eq!(response.status, 200, "{query}: {}", response.body);
    response.json().as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn each_operator_finds_its_rows() {
    let world = World::with(PEOPLE).await;
    for (query, expected) in [
        ("id=3", &[3][..]),
        ("id=eq.3", &[3]),
        ("id=neq.3", &[1, 2, 4]),
        ("age=gte.30", &[1, 3, 4]),
        ("age=gt.30", &[3]),
        ("age=lte.30", &[1, 4]),
        ("age=lt.30", &[]),
        ("age=not.eq.30", &[3]),
        ("age=gt.29&age=lt.40", &[1, 4]),
        ("age=is.null", &[2]),
        ("age=not.is.null", &[1, 3, 4]),
        ("age=is.not_null", &[1, 3, 4]),
        ("is_valid=is.true", &[1, 4]),
        ("is_valid=not.is.true", &[2, 3]),
        ("is_valid=is.unknown", &[2]),
        ("is_valid=true", &[1, 4]),
        ("id=in.(1,3,9)", &[1, 3]),
        ("id=not.in.(1,3,9)", &[2, 4]),
        ("id=in.()", &[]),
        ("name=in.(Ann,%22Cem%22)", &[1, 3]),
        ("name=like.A*", &[1]),
        ("name=like.%25n", &[1, 2, 4]),
        ("name=ilike.a*", &[1, 4]),
        ("name=not.ilike.a*", &[2, 3]),
        ("amount=gt.1.505", &[2]),
        ("amount=lt.0", &[4]),
        ("tags=eq.{a,%22b,c%22}", &[2]),
        ("data=eq.{%22n%22:1}", &[1]),
        ("%22limit%22=eq.5", &[1, 4]),
        ("full%20name=eq.Ann,%20A.", &[1]),
        ("full+name=is.null", &[3]),
        ("full+name=eq.", &[4]),
        ("relation=eq.person", &[1]),
        ("or=(age.eq.41,name.eq.%22Ben%22)", &[2, 3]),
        ("or=(age.eq.41,and(amount.gte.0,not.or(id.eq.1,id.eq.3)))", &[2, 3]),
        ("not.or=(age.eq.30,age.is.null)", &[3]),
        ("and=(age.gte.30,%22full name%22.not.is.null)", &[1, 4]),
        ("age=30&or=(id.eq.1,id.eq.2)", &[1]),
    ] {
        assert_eq!(ids(&world, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn rows_come_in_the_requested_order() {
    let world = World::with(PEOPLE).await;
    for (query, expected) in [
        ("order=id.desc", [4, 3, 2, 1]),
        ("order=age", [1, 4, 3, 2]),
        ("order=age.desc", [2, 3, 4, 1]),
        ("order=age.desc.nullslast", [3, 4, 1, 2]),
        ("order=age.nullsfirst,id.desc", [2, 4, 1, 3]),
        ("order=name.desc,age", [3, 2, 1, 4]),
    ] {
        // The collation of the database orders upper and lower case.
        let expected = if query.starts_with("order=name") {
            ids_of(&world, "SELECT id FROM person ORDER BY name DESC, age, id").await
        } else {
            expected.to_vec()
        };
        assert_eq!(ids(&world, query).await, expected, "{query}");
    }
}

async fn ids_of(world: &World, sql: &str) -> Vec<i64> {
    world.rows(sql).await.iter().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_request_chooses_its_columns() {
    let world = World::with(PEOPLE).await;
    let read = async |query: &str| world.read(&format!("/person{query}"), &[]).await.json();
    assert_eq!(read("?id=1&select=name,limit").await, json!([{"name": "Ann", "limit": 5}]));
    assert_eq!(read("?id=2&select=%22full name%22").await, json!([{"full name": "Ben \"B\""}]));
    assert_eq!(read("/3?select=age").await, json!({"age": 41}));
    assert_eq!(read("?id=1&select=*").await[0]["place"], "(1,2)");
}

#[tokio::test]
async fn an_operator_that_the_database_does_not_have_is_400() {
    let world = World::with(PEOPLE).await;
    for query in ["place=eq.(1,2)", "order=place", "relation=eq.nothing", "relation=in.(nothing)"] {
        let response = world.read(&format!("/person?{query}"), &[]).await;
        assert_eq!(
            (response.status, &response.json()["title"]),
            (400, &json!("The query is not valid"))
        );
    }
    let response = world.read("/person?place=eq.somewhere", &[]).await;
    assert_eq!(response.status, 400, "{}", response.body);
}

#[tokio::test]
async fn columns_that_are_not_readable_do_not_appear() {
    let world = World::with(
        "CREATE TABLE open (id integer PRIMARY KEY, shown text, secret text);
         REVOKE SELECT ON open FROM sync_reader;
         GRANT SELECT (id, shown) ON open TO sync_reader;
         INSERT INTO open VALUES (1, 'a', 'b');
         CREATE TABLE closed (id integer PRIMARY KEY);
         REVOKE SELECT ON closed FROM sync_reader;
         REVOKE ALL ON closed FROM sync_writer",
    )
    .await;
    let status = async |address: &str| world.read(address, &[]).await.status;
    for accept in ["application/json", "text/csv", "application/vnd.amazon.rds-data+json"] {
        let response = world.read("/open", &[("accept", accept)]).await;
        assert_eq!(response.status, 200, "{}", response.body);
        assert!(
            response.body.contains('a') && !response.body.contains("\"b\""),
            "{}",
            response.body
        );
        assert!(!response.body.contains("secret"), "{}", response.body);
    }
    for query in ["secret=b", "select=secret", "order=secret", "or=(secret.eq.b)"] {
        let response = world.read(&format!("/open?{query}"), &[]).await;
        assert_eq!(response.status, 400);
        assert!(!response.json()["detail"].as_str().unwrap().contains("id, shown, secret"));
    }
    assert_eq!(status("/closed").await, 404);
    assert_eq!(status("/closed/1").await, 404);
    let response = world.read("/nothing", &[]).await;
    assert!(!response.body.contains("closed"), "{}", response.body);
}

#[tokio::test]
async fn a_composite_key_is_found_in_every_spelling() {
    let world = World::with(
        "CREATE TABLE pair (a text, b integer, PRIMARY KEY (a, b));
         INSERT INTO pair VALUES ('x,y', 1), ('say \"hi\"', 2), ('a/b', 3), ('é #', 4), ('%41', 5), ('A', 5)",
    )
    .await;
    for (key, a) in [
        ("%22x%2Cy%22,1", "x,y"),
        ("%22say %22%22hi%22%22%22,2", "say \"hi\""),
        ("a%2Fb,3", "a/b"),
        ("%C3%A9%20%23,4", "é #"),
    ] {
        let response = world.read(&format!("/pair/{key}"), &[]).await;
        assert_eq!((response.status, &response.json()["a"]), (200, &Value::from(a)), "{key}");
    }
    assert_eq!(world.read("/pair/x", &[]).await.status, 400);
    // Nobody knows how often API Gateway has decoded this path.
    let response = world.read("/pair/%2541,5", &[]).await;
    assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:invalid-key");
    assert_eq!(world.read("/pair?a=eq.%2541", &[]).await.json()[0]["a"], "%41");
}
