//! Databases that exist already: schemas as tools and people write them. Everything is granted, and
//! then a row of each table is written over HTTP, imported from a file, and read.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use aurora_sync::api::caller::RowSecurity;
use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::key::Key;
use aurora_sync::functions::enqueue::{self, Enqueue};
use aurora_sync::functions::import;
use aurora_sync::functions::runtime::Invocation;
use aurora_sync_catalog::{ForeignKey, ReadOnly, Table};
use aws_sdk_s3::primitives::ByteStream;
use hyper::Method;
use local_stack::{Database, Options, Stack, example};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::end_to_end::functions;
use crate::support::fake_aws::FakeAws;
use crate::support::write_api::event;
use crate::support::{HttpResponse, World, deadline, sqs_event};

/// The folder of the schemas. Its README names where each comes from.
const FOLDER: &str = "tests/schemas";

/// The number of a row that the schema itself inserts.
const EXISTING: u32 = 0;

/// A row as a client writes or reads it.
type Row = Map<String, Value>;

/// The help that a schema needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Hints {
    /// Values by table and column, `{"staff.name": "x{n}"}`: for checks that no value of the type
    /// meets by luck. `{n}` is the number of the row.
    values: BTreeMap<String, Value>,
    /// The tables whose rows cannot be made from the catalog, with the reason.
    unmade: BTreeMap<String, String>,
}

/// Returns the file, or the files of a folder in their order.
fn read(path: &Path) -> Vec<String> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
    }
    paths.iter().map(|path| without_meta_commands(&fs::read_to_string(path).unwrap())).collect()
}

/// Leaves out the lines that only psql understands.
fn without_meta_commands(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('\\'));
    lines.collect::<Vec<_>>().join("\n")
}

/// A database with everything granted, and the functions on it.
struct Site {
    world: World,
    aws: FakeAws,
    hints: Hints,
    /// The rows of each table by their numbers, as look-ups return them.
    rows: BTreeMap<(String, u32), Row>,
    faults: Vec<String>,
}

impl Site {
    async fn of(path: &Path, hints: Hints) -> Self {
        let mut world = World::existing(&read(path)).await;
        world.grant_all().await;
        world.read_catalog().await;
        let aws = FakeAws::new().await;
        Self { world, aws, hints, rows: BTreeMap::new(), faults: Vec::new() }
    }

    /// Checks that every relation of the database is offered as it should be, by its kind.
    async fn check_offer(&mut self) {
        let relations = self
            .world
            .rows(
                "SELECT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname, relkind::text
                FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
                  AND nspname NOT IN ('pg_catalog', 'information_schema', 'sync') AND nspname NOT LIKE 'pg\\_%'
                  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')",
            )
            .await;
        let catalog = self.world.catalog.clone();
        for relation in &relations {
            let (path, kind) = relation.rsplit_once('|').unwrap();
            let Some(table) = catalog.table(path) else {
                if !catalog.remarks().iter().any(|remark| remark.table == path) {
                    self.faults.push(format!("{path}: left out without a remark"));
                }
                continue;
            };
            let expected = match kind {
                "v" => Some(ReadOnly::View),
                "m" => Some(ReadOnly::MaterializedView),
                _ => None,
            };
            if table.read_only != expected || !table.is_readable() {
                self.faults.push(format!("{path}: offered as {:?}", table.read_only));
            }
        }
        let is_known = |table: &&Table| {
            relations.iter().any(|relation| relation.rsplit_once('|').unwrap().0 == table.path())
        };
        let paths: Vec<_> =
            catalog.tables().iter().filter(|t| !is_known(t)).map(Table::path).collect();
        self.faults.extend(paths.iter().map(|path| format!("{path}: offered, and no table")));
    }

    /// Writes one row of each table, imports another one, and reads both.
    async fn fill(&mut self) {
        let catalog = self.world.catalog.clone();
        for table in catalog.tables() {
            if let Some(Value::Object(row)) = self.read(table).await.into_iter().next() {
                self.rows.insert((table.path(), EXISTING), row);
            }
        }
        let existing = self.rows.keys().map(|(table, _)| table.clone()).collect();
        for table in in_order(catalog.tables(), existing) {
            let path = table.path();
            if table.read_only.is_some() {
                continue;
            }
            let result = match self.write(table, 1).await {
                Ok(()) => self.import(table, 2).await,
                Err(fault) => Err(fault),
            };
            match (result, self.hints.unmade.contains_key(&path)) {
                (Err(fault), false) => self.faults.push(format!("{path}: {fault}")),
                (Ok(()), true) => self.faults.push(format!("{path}: can be made now")),
                _ => {}
            }
        }
    }

    /// Makes a row of the catalog, the rows of its parents and the hints.
    fn row(&self, table: &Table, number: u32) -> Result<Row, String> {
        let path = table.path();
        let hint = |column: &str| {
            let value = self.hints.values.get(&format!("{path}.{column}"))?;
            Some(match value {
                Value::String(text) => json!(text.replace("{n}", &number.to_string())),
                value => value.clone(),
            })
        };
        let mut row = example::row(table, number, hint).ok_or("no row can be made")?;
        for key in &table.foreign_keys {
            if !key
                .columns
                .iter()
                .any(|column| row.contains_key(column) || must_refer(table, column))
            {
                continue;
            }
            let of_parent = |number| self.rows.get(&(key.parent.clone(), number));
            let Some(parent) = of_parent(number).or_else(|| of_parent(EXISTING)) else { continue };
            for (column, parent_column) in key.columns.iter().zip(&key.parent_columns) {
                row.insert(column.clone(), parent[parent_column].clone());
            }
        }
        Ok(row)
    }

    /// Writes a row over HTTP, and reads it.
    async fn write(&mut self, table: &Table, number: u32) -> Result<(), String> {
        let row = self.row(table, number)?;
        let before = self.read(table).await;
        let enqueue = Enqueue {
            tables: self.world.tables(),
            queue: Queue::new(&self.aws.sdk_config, self.aws.queue_url()),
            partitions: 8,
            row_security: RowSecurity::Off,
        };
        let headers = [("content-type", "application/json")];
        let request = event("POST", &table.path(), &headers, &Value::Object(row.clone()));
        let request = serde_json::from_value(request).unwrap();
        let response: HttpResponse =
            enqueue::handle(&enqueue, request, Invocation::until(deadline())).await.into();
        if response.status != 202 {
            return Err(format!("{row:?} is refused: {}", response.body));
        }
        let left = self.world.apply(self.aws.take_writes()).await.unwrap();
        if !left.batch_item_failures.is_empty() {
            return Err(format!("{row:?} is blocked"));
        }
        let id = response.json()["id"].as_str().unwrap().to_owned();
        let status = self.world.read(&format!("/_sync/writes/{id}"), &[]).await.json();
        if status["outcome"] != "applied" {
            return Err(format!("{row:?} is not applied: {status}"));
        }
        self.find_new(table, number, &before).await
    }

    /// Imports a row, and reads it.
    async fn import(&mut self, table: &Table, number: u32) -> Result<(), String> {
        let row = self.row(table, number)?;
        let before = self.read(table).await;
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record(row.keys()).unwrap();
        file.write_record(row.values().map(csv_field)).unwrap();
        let file = file.into_inner().unwrap();
        let key = format!("imports/{}/a.csv", table.path());
        // Without a key in the file there is nothing to merge by.
        let has_key = table.primary_key.iter().all(|column| row.contains_key(column));
        let mode = (!has_key).then(|| ("mode".to_owned(), "insert".to_owned()));
        let etag = self.aws.put("uploads", &key, file, mode.into_iter().collect());
        let message = json!({ "Records": [{
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": { "name": "uploads" },
                "object": { "key": utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string(), "eTag": etag, "sequencer": "01" },
            },
        }] });
        let event = sqs_event(&[("m1", "", &message.to_string())]);
        let import = self.world.import(&self.aws.sdk_config, "results");
        let left = import::handle(&import, event, deadline()).await.unwrap();
        if !left.batch_item_failures.is_empty() {
            return Err(format!("the file of {row:?} is left"));
        }
        let last =
            "SELECT state, rows_written, error FROM sync.import ORDER BY started_at DESC LIMIT 1";
        let last = self.world.rows(last).await.remove(0);
        if last != "completed|1|-" {
            let rejects = "SELECT rule, sqlstate, reason, column_name FROM sync.import_reject ORDER BY import_id DESC LIMIT 1";
            let rejects = self.world.rows(rejects).await;
            return Err(format!("the file of {row:?} is {last} {rejects:?}"));
        }
        self.find_new(table, number, &before).await
    }

    /// Finds the row that was not there before, and reads it by its key too.
    async fn find_new(
        &mut self,
        table: &Table,
        number: u32,
        before: &[Value],
    ) -> Result<(), String> {
        let after = self.read(table).await;
        let new: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
        let [Value::Object(row)] = new.as_slice() else {
            return Err(format!("{} new rows are read", new.len()));
        };
        let text = |name: &str| row.get(name).map(csv_field);
        let texts: BTreeMap<_, _> = table
            .primary_key
            .iter()
            .filter_map(|name| Some((name.as_str(), text(name)?)))
            .collect();
        if let Some(key) = Key::of_row(table, |name| texts.get(name).map(String::as_str)) {
            let address = format!("/{}/{}", encoded(&table.path()), encoded(&key.to_string()));
            let response = self.world.read(&address, &[]).await;
            if response.status != 200 || response.json() != Value::Object(row.clone()) {
                return Err(format!("GET {address}: {}", response.body));
            }
        }
        self.rows.insert((table.path(), number), row.clone());
        Ok(())
    }

    async fn read(&mut self, table: &Table) -> Vec<Value> {
        let address = format!("/{}?limit=1000", encoded(&table.path()));
        let response = self.world.read(&address, &[]).await;
        if response.status != 200 {
            self.faults.push(format!("GET {address}: {}", response.body));
            return Vec::new();
        }
        response.json().as_array().unwrap().clone()
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Returns a value as a file has it.
fn csv_field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => {
            let elements: Vec<_> = elements
                .iter()
                .map(|e| format!("\"{}\"", csv_field(e).replace('"', "\\\"")))
                .collect();
            format!("{{{}}}", elements.join(","))
        }
        value => value.to_string(),
    }
}

/// Returns whether a column has a value in every row.
fn must_refer(table: &Table, column: &str) -> bool {
    table.column(column).is_some_and(|column| !column.nullable && !column.is_generated())
}

/// Returns the tables, each after those that its rows must refer to, as far as there is no circle.
/// `done` are the tables that have rows.
fn in_order(tables: &[Table], mut done: HashSet<String>) -> Vec<&Table> {
    let mut left: Vec<_> = tables.iter().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let is_ready = |table: &&Table| {
            let is_needed =
                |key: &&ForeignKey| key.columns.iter().any(|name| must_refer(table, name));
            let mut needed = table.foreign_keys.iter().filter(is_needed);
            needed.all(|key| key.parent == table.path() || done.contains(&key.parent))
        };
        let (mut ready, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(is_ready);
        left = rest;
        if ready.is_empty() {
            ready = std::mem::take(&mut left);
        }
        done.extend(ready.iter().map(|table| table.path()));
        ordered.extend(ready);
    }
    ordered
}

async fn check(path: &Path, hints: Hints) -> Vec<String> {
    let mut site = Site::of(path, hints).await;
    site.check_offer().await;
    site.fill().await;
    let tables: HashSet<_> = site.rows.keys().map(|(table, _)| table).collect();
    let writable = site.world.catalog.tables().iter().filter(|table| table.is_writable()).count();
    if tables.len() + site.hints.unmade.len() < writable {
        site.faults.push(format!("{} of {writable} tables have rows", tables.len()));
    }
    site.faults
}

async fn check_own(name: &str, hints: Value) {
    let path = Path::new(FOLDER).join(name);
    let faults = check(&path, serde_json::from_value(hints).unwrap()).await;
    assert!(faults.is_empty(), "{name}: {faults:#?}");
}

#[tokio::test]
async fn a_shop_of_films_dumped_by_pg_dump_works() {
    check_own("rental.sql", json!({})).await;
}

#[tokio::test]
async fn a_trading_company_in_one_flat_schema_works() {
    check_own("orders.sql", json!({})).await;
}

#[tokio::test]
async fn a_music_shop_with_quoted_names_works() {
    check_own("music.sql", json!({})).await;
}

#[tokio::test]
async fn a_factory_in_several_schemas_works() {
    let hints = json!({ "values": {
        "hr.employee.birth_date": "1990-01-0{n}",
        "hr.employee.gender": "F",
    } });
    check_own("factory.sql", hints).await;
}

#[tokio::test]
async fn the_migrations_of_a_prisma_project_work() {
    check_own("prisma", json!({})).await;
}

#[tokio::test]
async fn the_migrations_of_a_drizzle_project_work() {
    check_own("drizzle", json!({})).await;
}

/// Checks schemas that are not in this repository. `NAME.json` beside `NAME.sql` may hold hints.
#[tokio::test]
#[ignore = "AURORA_SYNC_SCHEMAS names a folder of schemas, each a .sql file or a folder of them"]
async fn the_schemas_of_a_folder_work() {
    #[expect(clippy::disallowed_methods, reason = "the folder comes from the command line")]
    let folder = std::env::var("AURORA_SYNC_SCHEMAS").expect("AURORA_SYNC_SCHEMAS names a folder");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.is_dir() || path.extension().is_some_and(|e| e == "sql"));
    paths.sort();
    assert!(!paths.is_empty());
    let mut faults = BTreeMap::new();
    for path in paths {
        let hints = fs::read_to_string(path.with_extension("json"));
        let hints =
            hints.map_or_else(|_| Hints::default(), |text| serde_json::from_str(&text).unwrap());
        faults.insert(path.clone(), check(&path, hints).await);
    }
    assert!(faults.values().all(Vec::is_empty), "{faults:#?}");
}

/// Runs the deployed template on a database that exists, as `cargo local up --database-url` does.
#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_template_works_on_a_database_that_exists() {
    let world = World::existing(&read(&Path::new(FOLDER).join("rental.sql"))).await;
    world.grant_all().await;
    let database = Database::Running(world.database_url.clone());
    let options = Options { database, sql: None, ..Options::new(functions()).unwrap() };
    let stack = Stack::start(options).await.unwrap();
    let get = async |path: &str| {
        let response = stack.request(Method::GET, path, &[], "").await.unwrap();
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json().unwrap()
    };

    assert!(get("/").await["paths"]["/actor"]["post"].is_object());
    let headers = [("content-type", "application/json")];
    let row = json!({ "id": 7, "first_name": "Ada", "last_name": "Lovelace" }).to_string();
    let accepted = stack.request(Method::POST, "/actor", &headers, row).await.unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = accepted.json().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(get(&format!("/actor?id=eq.7&after={id}")).await[0]["last_name"], "Lovelace");

    let s3 = aws_sdk_s3::Client::new(&stack.sdk_config());
    let file = ByteStream::from_static(b"id,first_name,last_name\n8,Grace,Hopper\n");
    let put = s3.put_object().bucket(&stack.addresses().uploads_bucket);
    put.key("imports/actor/a.csv").body(file).send().await.unwrap();
    crate::support::until(async || !get("/actor?id=eq.8").await.as_array().unwrap().is_empty())
        .await;
}
