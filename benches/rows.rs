//! Records to rows to array literals, on one core: `cargo bench --bench rows`.
//!
//! `crates/csv-stream` measures the step before, bytes to records.

use std::hint::black_box;

use aurora_sync::database::parameter_set::packed_literals;
use aurora_sync::domain::value::array_literal::array_literal;
use aurora_sync::domain::value::from_text;
use aurora_sync::functions::import::read::layout::{Layout, Row};
use aurora_sync_catalog::notation::table;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use csv_stream::dialect::Dialect;
use csv_stream::reader::{Next, Reader};
use csv_stream::records::Record;
use import_options::Options;

const COLUMNS: &str = "id bigint key, code char(8) not-null, name text not-null, amount numeric(12,2), \
                       is_open boolean, made_on date, seen_at timestamptz, note varchar(200)";

/// Rows of a parameter set.
const ROWS: u32 = 1_000;

/// The header and the rows of a file.
fn records() -> Vec<Record> {
    let mut file = "id,code,name,amount,is_open,made_on,seen_at,note\n".to_owned();
    for n in 0..ROWS {
        file.push_str(&format!(
            "{n},C{n:07},Name of {n},{n}.25,true,2026-11-{:02},2026-11-23T09:{:02}:00Z,\"a, note\"\n",
            n % 28 + 1,
            n % 60
        ));
    }
    let mut reader = Reader::new(Dialect::default(), None);
    reader.push(file.into_bytes());
    let mut records = Vec::new();
    loop {
        match reader.read(&mut records).expect("the file can be read") {
            Next::Input => reader.end(),
            Next::Again => {}
            Next::End => return records,
        }
    }
}

fn rows(criterion: &mut Criterion) {
    let table = &table("t", COLUMNS);
    let records = records();
    let (header, records) = records.split_first().expect("the file has a header");
    let options = Options::default();
    let layout = Layout::from_header(table, header, &options).expect("the header is the table's");
    let rows = || -> Vec<Row> {
        records.iter().map(|record| layout.row(record).expect("the row is good")).collect()
    };
    let mut group = criterion.benchmark_group("a set of 1,000 rows");
    group.throughput(Throughput::Elements(ROWS.into()));
    group.bench_function("records to rows", |bencher| bencher.iter(|| black_box(rows())));
    group.bench_function("rows to literals", |bencher| {
        bencher.iter_batched(
            rows,
            |rows| {
                let cells: Vec<_> = rows.iter().map(|row| row.cells.as_row()).collect();
                black_box(packed_literals(&cells))
            },
            BatchSize::SmallInput,
        );
    });
}

fn values(criterion: &mut Criterion) {
    let table = &table("t", COLUMNS);
    let mut group = criterion.benchmark_group("values");
    for (name, text) in
        [("id", "1234567"), ("amount", "123456.78"), ("seen_at", "2026-11-23T09:00:00Z")]
    {
        let column = table.column(name).expect("the table has the column");
        group.bench_function(name, |bencher| {
            bencher.iter(|| from_text(column, black_box(text)).is_ok());
        });
    }
    let texts: Vec<_> = (0..ROWS).map(|n| format!("Name \"{n}\", quoted")).collect();
    group.bench_function("an array literal of 1,000 texts", |bencher| {
        bencher.iter(|| array_literal(texts.iter().map(|text| Some(text.as_str()))));
    });
}

criterion_group!(benches, rows, values);
criterion_main!(benches);
