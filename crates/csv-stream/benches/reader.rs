//! Bytes to records, on one core: `cargo bench -p csv-stream`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use csv_stream::dialect::Dialect;
use csv_stream::encoding::for_label;
use csv_stream::reader::{Next, Reader};

/// Rows as programs export them: some quoted, some empty.
fn file(rows: u32) -> String {
    let row = |n| {
        let note = if n % 3 == 0 { "\"a note, with \"\"quotes\"\"\"" } else { "" };
        format!("{n},C{n:07},Name of {n},{n}.25,true,2026-11-23T09:00:00Z,{note}\n")
    };
    (0..rows).map(row).collect()
}

fn read(content: &[u8], encoding: &str) -> usize {
    let mut reader = Reader::new(Dialect::default(), for_label(encoding));
    reader.push(content);
    let mut records = Vec::new();
    let mut count = 0;
    loop {
        let next = reader.read(&mut records).expect("the file can be read");
        count += records.len();
        records.clear();
        match next {
            Next::Input => reader.end(),
            Next::Again => {}
            Next::End => return count,
        }
    }
}

fn reader(criterion: &mut Criterion) {
    let file = file(10_000);
    let mut group = criterion.benchmark_group("bytes to records");
    group.throughput(Throughput::Bytes(file.len() as u64));
    for encoding in ["utf-8", "windows-1252"] {
        group.bench_function(encoding, |bencher| {
            bencher.iter(|| read(black_box(file.as_bytes()), encoding));
        });
    }
}

criterion_group!(benches, reader);
criterion_main!(benches);
