//! How fast a file becomes rows: `cargo run --profile measured --example rows [rows]`.
//!
//! The part of an import that happens in the function itself, on one core, without S3 and without the
//! database: bytes → records → rows → array literals. Prints what each step takes, and how many
//! allocations a row costs.

#![allow(clippy::print_stdout, reason = "it is what the program is for")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aurora_sync::database::parameter_set::{PackedRow, packed_literals};
use aurora_sync::functions::import::read::layout::{Layout, Row};
use aurora_sync::functions::import::read::options::Options;
use aurora_sync_catalog::ddl;
use csv_stream::dialect::Dialect;
use csv_stream::reader::{Next, Reader};
use csv_stream::records::Record;

const TABLE: &str = "CREATE TABLE t (
    id bigint PRIMARY KEY, code char(8) NOT NULL, name text NOT NULL, amount numeric(12,2), is_open boolean,
    made_on date, seen_at timestamptz, note varchar(200)
);";

const HEADER: &str = "id,code,name,amount,is_open,made_on,seen_at,note\n";

/// Rows of a parameter set.
const SET_ROWS: usize = 1_000;

fn main() -> anyhow::Result<()> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let schema = ddl::parse(&[("t.sql".into(), TABLE.into())])?;
    let table = schema.catalog.table("t").context("the table is in its own catalog")?;
    let file = file(rows)?;
    let mut reader = Reader::new(Dialect::default(), None);
    reader.push(file.as_bytes());
    let mut layout = None;
    let mut waiting: Vec<Row> = Vec::new();
    let mut records: Vec<Record> = Vec::new();
    let (mut reading, mut checking, mut joining) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut read_allocations, mut check_allocations, mut join_allocations) = (0, 0, 0);
    let mut literal_bytes = 0;
    loop {
        let begin = Instant::now();
        let mut next = Next::End;
        let allocated = allocation_counter::measure(|| {
            next = reader.read(&mut records).expect("the file is good");
        });
        reading += begin.elapsed();
        read_allocations += allocated.count_total;
        let begin = Instant::now();
        let allocated = allocation_counter::measure(|| {
            for record in &records {
                match &layout {
                    None => {
                        let found = Layout::from_header(table, record, &Options::default());
                        layout = Some(found.expect("the header is the table's"));
                    }
                    Some(layout) => waiting.push(layout.row(record).expect("the row is good")),
                }
            }
        });
        records.clear();
        checking += begin.elapsed();
        check_allocations += allocated.count_total;
        while waiting.len() >= SET_ROWS || (next != Next::Again && !waiting.is_empty()) {
            let set: Vec<_> = waiting.drain(..waiting.len().min(SET_ROWS)).collect();
            let begin = Instant::now();
            let allocated = allocation_counter::measure(|| {
                let cells: Vec<PackedRow<'_>> = set.iter().map(|row| row.cells.as_row()).collect();
                let literals = black_box(packed_literals(&cells));
                literal_bytes += literals.iter().map(String::len).sum::<usize>();
            });
            joining += begin.elapsed();
            join_allocations += allocated.count_total;
        }
        match next {
            Next::Again => {}
            Next::Input => reader.end(),
            Next::End => break,
        }
    }
    println!("{rows} rows of 8 fields, {} bytes; {literal_bytes} bytes of literals", file.len());
    for (step, time, allocations) in [
        ("bytes to records", reading, read_allocations),
        ("records to rows", checking, check_allocations),
        ("rows to literals", joining, join_allocations),
        (
            "all",
            reading + checking + joining,
            read_allocations + check_allocations + join_allocations,
        ),
    ] {
        let seconds = time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "figures to read")]
        let (count, megabytes, each) =
            (rows as f64, file.len() as f64 / 1e6, allocations as f64 / rows as f64);
        println!(
            "{step:<17} {seconds:>7.2} s {:>10.0} rows/s {:>6.0} MB/s {each:>6.2} allocations a row",
            count / seconds,
            megabytes / seconds,
        );
    }
    Ok(())
}

/// Rows as programs export them: some quoted, some empty.
fn file(rows: u64) -> anyhow::Result<String> {
    let mut file = String::from(HEADER);
    for n in 0..rows {
        let note = if n % 3 == 0 { "\"a note, with \"\"quotes\"\"\"" } else { "" };
        writeln!(
            file,
            "{n},C{:07},Name of {n},{}.{:02},{},2026-{:02}-{:02},2026-11-23T09:{:02}:00Z,{note}",
            n % 10_000_000,
            n % 100_000,
            n % 100,
            n % 2 == 0,
            n % 12 + 1,
            n % 28 + 1,
            n % 60,
        )?;
    }
    Ok(file)
}
