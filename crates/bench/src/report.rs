//! Keeps the figures as JSON and writes the documents.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::chart::{self, Bars};
use crate::cost::{self, Prices};
use crate::figures::{Table, float, number};
use crate::settings::Settings;
use crate::{growth, import, lookups, memory, startup, writes};
use local_stack::workspace;

/// The figures of one part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Import(Vec<import::Measured>),
    Writes(writes::Measured),
    Lookups(Vec<lookups::Measured>),
    Startup(Vec<startup::Measured>),
    Memory(memory::Measured),
    Growth { import: growth::Measured, backlog: writes::Backlog },
    Cost(Vec<cost::Sample>),
}

/// The parts, in the order of the document.
const PARTS: [&str; 7] = ["import", "writes", "lookups", "startup", "memory", "growth", "cost"];

impl Part {
    fn name(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Writes(_) => "writes",
            Self::Lookups(_) => "lookups",
            Self::Startup(_) => "startup",
            Self::Memory(_) => "memory",
            Self::Growth { .. } => "growth",
            Self::Cost(_) => "cost",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Import(_) => "Imports",
            Self::Writes(_) => "Writes",
            Self::Lookups(_) => "Look-ups",
            Self::Startup(_) => "Cold start",
            Self::Memory(_) => "Memory",
            Self::Growth { .. } => "Growth",
            Self::Cost(_) => "Cost",
        }
    }

    pub(crate) fn tables(&self) -> Vec<Table> {
        match self {
            Self::Import(measured) => import::tables(measured),
            Self::Writes(measured) => writes::tables(measured),
            Self::Lookups(measured) => lookups::tables(measured),
            Self::Startup(measured) => startup::tables(measured),
            Self::Memory(measured) => memory::tables(measured),
            Self::Growth { import, backlog } => vec![
                growth::table("Import, upsert of new rows", import),
                writes::backlog_table(backlog),
            ],
            Self::Cost(samples) => cost::tables(samples),
        }
    }
}

/// A part with what it was measured by.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    command: String,
    date: String,
    commit: String,
    machine: String,
    versions: String,
    part: Part,
}

impl Kept {
    fn provenance(&self) -> String {
        let Self { command, date, commit, machine, versions, .. } = self;
        format!("`{command}`, {date}, commit {commit}; {machine}; {versions}.")
    }
}

/// Keeps a part for the document, in the place of what was kept of it before.
pub(crate) fn keep(
    folder: &Path,
    settings: &Settings,
    postgres: &str,
    part: &Part,
) -> anyhow::Result<()> {
    let path = folder.join(format!("{}.json", part.name()));
    let kept = Kept {
        command: settings.command.clone(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        commit: commit(),
        machine: machine(),
        versions: format!("PostgreSQL {postgres}, {}", rust_version()),
        part: part.clone(),
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let text = serde_json::to_string_pretty(&kept)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn commit() -> String {
    first_line("git", &["describe", "--always", "--dirty", "--abbrev=10"])
}

fn rust_version() -> String {
    first_line("rustc", &["--version"])
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(workspace::root()).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    })
}

/// Processor, cores and memory, as Linux names them.
fn machine() -> String {
    let first = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let processor = first("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = first("/proc/meminfo", "MemTotal");
    let kib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    format!("{processor}, {cores} cores, {} GiB", kib.div_ceil(1 << 20))
}

fn read(folder: &Path) -> anyhow::Result<Vec<Kept>> {
    let mut parts = Vec::new();
    for name in PARTS {
        let path = folder.join(format!("{name}.json"));
        match fs::read_to_string(&path) {
            Ok(text) => parts.push(
                serde_json::from_str(&text)
                    .with_context(|| format!("{} is of another version", path.display()))?,
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Ok(parts)
}

/// Writes docs/benchmarks.md with its pictures, and docs/costs.md, of the parts that were kept.
pub fn write_docs(folder: &Path) -> anyhow::Result<()> {
    let parts = read(folder)?;
    let docs = workspace::root().join("docs");
    let write = |name: &str, text: String| {
        fs::write(docs.join(name), text).with_context(|| format!("cannot write docs/{name}"))
    };
    write("benchmarks.md", benchmarks(&parts, &docs)?)?;
    if let Some(kept) = parts.iter().find(|kept| matches!(kept.part, Part::Cost(_))) {
        write("costs.md", costs(kept)?)?;
    }
    Ok(())
}

const INTRODUCTION: &str = "# Benchmarks

aurora-sync beside other ways to do the same work, measured by one command and written by it:
`cargo local bench --write-docs`. Each section names the run that its figures come from.

**Read ratios, not seconds.** Functions, Data API server, PostgreSQL and peers run on one machine and share its
processors; on AWS each has its own, and a call of the Data API takes some 17 ms more. What is claimed here is
how many times one way is as fast as another on the same machine in the same minutes. Speeds are medians, with the
least and the most in parentheses; the ways run in turns, each time in another order. A figure counts only after the
table was compared, row for row by a checksum, with what PostgreSQL alone makes of the same file. *CPU s* says where
the time goes: in the function, in the one process that is the Data API and S3 here, and in PostgreSQL. psql, alone
on the machine, has one processor and all caches to itself; ours shares two among six processes.

- **Functions** are the real programs, each in a process of its own behind a Runtime API; peers in Python run
  behind the same one. Time is from the event's way out to the answer's way in, of a function that has had a first
  event (a file without rows, an update of a row that is not there), as psql is connected when its time begins. Our programs are
  built with the profile `measured`; for cold starts and sizes they are those of `release`.
- **S3 and SQS** are a small server of the benchmark's own (`crates/bench/src/fake_aws.rs`): the emulator's S3 is slow
  and would be what is measured. It serves files from this machine's cache, so S3 costs nearly nothing here, for anybody.
- **The Data API** is `cargo local data-api` over PostgreSQL as it is found on the machine, `fsync` off. psql talks to
  PostgreSQL directly: it pays neither for the Data API nor for checks, counts or rejects.
- **Peers** stand in [crates/bench/peers](../crates/bench/peers), written as their documentation shows. Slow ones load
  the first rows of the file only; the column *rows* says how many. The tutorial's function takes a row a request, and has
  no DELETE: it is not there beside arrays and mixed writes.
";

fn benchmarks(parts: &[Kept], docs: &Path) -> anyhow::Result<String> {
    let mut text = INTRODUCTION.to_owned();
    let targets = targets(parts);
    if !targets.rows.is_empty() {
        write!(text, "\n## Targets\n\n{}", targets.show())?;
    }
    for kept in parts {
        if matches!(kept.part, Part::Cost(_)) {
            continue;
        }
        write!(text, "\n## {}\n\n{}\n", kept.part.title(), kept.provenance())?;
        if let Some((name, alt)) = picture(&kept.part, docs)? {
            write!(text, "\n![{alt}]({name})\n")?;
        }
        for table in kept.part.tables() {
            write!(text, "\n{}", table.show())?;
        }
    }
    let missing: Vec<_> = PARTS
        .iter()
        .filter(|name| !parts.iter().any(|kept| kept.part.name() == **name))
        .map(|name| format!("`--only {name}`"))
        .collect();
    if !missing.is_empty() {
        write!(text, "\nNot measured yet: {}.\n", missing.join(", "))?;
    }
    text.push_str(NOT_MEASURED);
    Ok(text)
}

const NOT_MEASURED: &str = "
## What limits an import

The columns of processor time say it. On two processors, an import lasts about half of what function, server and PostgreSQL
take together; psql has one of them to itself and needs no more. PostgreSQL's part is larger than psql's: `COPY` inserts a
page of rows at once, a statement one after the other, and its arrays are read from text; rows that change are looked for
one by one. Where rows are there already and stay, it is the other way round. Of a wide row, the function checks and writes
twenty values, and takes more than half of what PostgreSQL does. With PostgreSQL on a machine of its own, the lanes of an
import keep several of its processors busy, and `COPY` one (not measured).

Of a file of 10 k rows, 6 calls begin and end the import, one after the other. It is one chunk, read before its four parts
are loaded at once, on four sessions of PostgreSQL that each plan the statement. Two lanes are a tenth faster on two
processors (`--env IMPORT_LANES=2`).

In the function no place stands out. Its processor time for 100 k wide rows, by `perf record -a` while
`cargo local bench --only import --rows 100000 --scenario 'wide, 100 k rows, upsert of new' --way none` ran, with programs
that had kept their symbols (2026-11-25):

| part                                                                         | share |
| ---------------------------------------------------------------------------- | ----: |
| checking values by their types (`value`)                                     |  26 % |
| packing rows and writing arrays (`import/part`, `parameter_set`, `array`)    |  15 % |
| reading CSV (`csv`, csv-core, memchr, UTF-8)                                 |  11 % |
| the kernel: sockets, pages                                                   |  10 % |
| escaping requests as JSON (AWS SDK)                                          |   7 % |
| allocating memory                                                            |   7 % |
| which keys came before (gone since)                                          |   5 % |
| signing requests: SHA-256                                                    |   4 % |
| columns to cells, cutting into chunks (`import/layout`, `import/chunk`)      |   3 % |
| all else, no function of it over 1 %                                         |  12 % |

## What limits a write

Each write has a row of its own in the ledger, with two indexes, an outcome and the time of its acceptance, and is looked
for there before: PostgreSQL inserts two rows where an import inserts one. That is what makes it exactly once, and what its
status is read from. Deliveries of one partition come one after the other, so that function and PostgreSQL wait for each
other.

Updates and upserts look for their rows besides; a mixed delivery has a statement for each operation.

## Where a cold start goes

Processor time of `apply` up to its first `next`, by `perf record -a` over a thousand starts of a program that had kept its
symbols (2026-11-26):

| part                                                          | share |
| ------------------------------------------------------------- | ----: |
| the kernel: exec, pages, sockets                              |  37 % |
| reading and checking the system's root certificates (rustls)  |  23 % |
| the dynamic loader: relocations, features of the processor    |  20 % |
| allocating and copying memory                                 |  10 % |
| the SDK's table of endpoints, as JSON                         |   3 % |
| all else                                                      |   9 % |

What was done: the catalog is compiled in and nothing is asked for before the first event; region and credentials come from the
environment; connections are opened by the first call; one thread; code that is not hot is compiled for size. What is left of
ours is the certificates: to trust Amazon's own alone would save most of their share (not measured), and break behind a proxy that has its own.

## What limits a program's size

`import` alone is over 3 MiB: it holds what the others do, and with it the SDK of S3 (0.5 MiB before zipping), its checksums
(crc-fast, 0.7 MiB, nearly all of it tables; the SDK links them whether they are used or not), the encodings (0.2 MiB) and
three kinds of compression (0.1 MiB), by `nm --size-sort` of a program that had kept its symbols.

## What is not here

`--full` adds what takes hours: files of a million wide rows, 5 million rows, 1 GB, a backlog of a million writes.
Nothing was measured on AWS. [costs.md](costs.md) says what it would cost there, on paper.
";

fn picture(part: &Part, docs: &Path) -> anyhow::Result<Option<(&'static str, &'static str)>> {
    match part {
        Part::Import(measured) => {
            let groups: Vec<_> = measured
                .iter()
                .filter(|measured| measured.rows == largest_common(measured, part))
                .map(|measured| Bars {
                    title: format!("{}, rows/s", measured.scenario),
                    bars: measured
                        .ways
                        .iter()
                        .map(|way| (way.name.replace('`', ""), way.rows_per_second.median))
                        .collect(),
                })
                .collect();
            if groups.is_empty() {
                return Ok(None);
            }
            chart::bars(&docs.join("benchmarks-import.svg"), &groups)?;
            Ok(Some(("benchmarks-import.svg", "Rows a second of each way to load a file")))
        }
        Part::Growth { import, .. } => {
            let points: Vec<_> =
                import.steps.iter().map(|step| (float(step.rows), step.seconds.median)).collect();
            let title = "Import, upsert of new rows: time against rows";
            chart::line(&docs.join("benchmarks-growth.svg"), title, ["rows", "seconds"], &points)?;
            Ok(Some(("benchmarks-growth.svg", "Seconds of an import against its rows")))
        }
        _ => Ok(None),
    }
}

/// 100,000 rows where they were measured, else the most.
fn largest_common(measured: &import::Measured, part: &Part) -> u64 {
    let Part::Import(all) = part else { return 0 };
    let of_table = all.iter().filter(|one| one.table == measured.table).map(|one| one.rows);
    let sizes: Vec<_> = of_table.collect();
    if sizes.contains(&100_000) { 100_000 } else { sizes.into_iter().max().unwrap_or_default() }
}

/// Returns the targets beside the figures. Of several sizes, the worst counts.
fn targets(parts: &[Kept]) -> Table {
    let mut table =
        Table::new("", &["target", "wanted", "measured, least to most of the scenarios"]);
    for kept in parts {
        match &kept.part {
            Part::Import(measured) => import_targets(measured, &mut table),
            Part::Startup(measured) => {
                let own = || measured.iter().filter(|one| one.zipped_mib.is_some());
                let ours = || own().filter(|one| !one.name.contains("empty"));
                push(&mut table, "cold start, × an empty function", "≤ 2", {
                    ours().map(|one| one.is_times_empty)
                });
                push(&mut table, "zipped, MiB", "≤ 3", ours().filter_map(|one| one.zipped_mib));
            }
            Part::Memory(measured) => {
                let steps = measured.import.steps.iter();
                push(&mut table, "peak of an import, MiB", "≤ 64 at 1 GB", {
                    steps.map(|step| step.peak_mib.median)
                });
            }
            Part::Growth { import, .. } => {
                let steps = import.steps.windows(2).filter_map(|steps| {
                    let [one, next] = steps else { return None };
                    let per_row = |step: &growth::Step| step.seconds.median / float(step.rows);
                    Some(per_row(next) / per_row(one) * 10.0)
                });
                push(&mut table, "time for ten times the rows", "≤ 10.5 ×", steps);
            }
            Part::Writes(measured) => {
                let file = |one: &&writes::MeasuredWay| one.name == writes::FILE;
                let times = |one: &writes::MeasuredScenario| {
                    one.ways.iter().find(file).map(|way| way.ours_is_times.median)
                };
                let ratios = measured.scenarios.iter().filter_map(times);
                push(&mut table, "writes of arrays, insert: × import, insert", "≥ 0.4", ratios);
            }
            _ => {}
        }
    }
    table
}

fn import_targets(measured: &[import::Measured], table: &mut Table) {
    // One by how many times ours is as fast as the way that a word names.
    let ratios = |is_upsert: bool, word: &'static str| {
        measured
            .iter()
            .filter(move |one| one.mode.starts_with("upsert") == is_upsert)
            .flat_map(move |one| one.ways.iter().filter(move |way| way.name.contains(word)))
            .map(|way| way.ours_is_times.median)
    };
    push(
        table,
        "import, upsert: × `\\copy` to a stage table and `INSERT … ON CONFLICT`",
        "≥ 1.0",
        ratios(true, "stage table"),
    );
    push(table, "import, insert: × `\\copy`", "≥ 0.4", ratios(false, "`\\copy`"));
    let both = |word| ratios(true, word).chain(ratios(false, word));
    push(table, "import: × the tutorial's way", "≥ 50", both("tutorial"));
    push(table, "import: × boto3 batches", "≥ 5", both("boto3 batches"));
}

fn push(table: &mut Table, target: &str, wanted: &str, figures: impl Iterator<Item = f64>) {
    let mut figures: Vec<_> = figures.filter(|figure| figure.is_finite()).collect();
    figures.sort_unstable_by(f64::total_cmp);
    let measured = match figures.as_slice() {
        [] => return,
        [only] => number(*only),
        [least, .., most] => format!("{} – {}", number(*least), number(*most)),
    };
    table.push([target.to_owned(), wanted.to_owned(), measured]);
}

fn costs(kept: &Kept) -> anyhow::Result<String> {
    let Part::Cost(samples) = &kept.part else { return Ok(String::new()) };
    let prices = Prices::read()?;
    let mut text = format!(
        "# Costs

What aurora-sync costs on AWS, **on paper**: calls, bytes and processor time were counted in a run on one machine,
prices were published by others, and the formulas are code ({}). Nothing here was read from a bill. Written by
`cargo local bench --only cost --write-docs`.

{}

Prices: {}.

",
        "[crates/bench/src/cost.rs](../crates/bench/src/cost.rs)",
        kept.provenance(),
        prices.region
    );
    for table in kept.part.tables() {
        writeln!(text, "{}", table.show())?;
    }
    text.push_str(FORMULAS);
    let mut idle = Table::new("A month in which nothing happens", &["what", "USD"]);
    let month = cost::idle_month(&prices, alarms());
    let all: f64 = month.iter().map(|(_, usd)| usd).sum();
    for (what, usd) in month {
        idle.push([what.to_owned(), number(usd)]);
    }
    idle.push(["in all".to_owned(), number(all)]);
    writeln!(text, "{}", idle.show())?;
    text.push_str(&cost::at_scale(&prices, samples));
    let mut table = Table::new("", &["price", "USD", "for a", "source", "date"]);
    for (name, price) in &prices.by_name {
        let usd = format!("{}", price.usd);
        let row = [name.clone(), usd, price.unit.clone(), price.source.clone()];
        table.push(row.into_iter().chain([price.date.clone()]));
    }
    write!(text, "\n## Prices and assumptions\n\n")?;
    writeln!(
        text,
        "From [crates/bench/prices.json](../crates/bench/prices.json); change it and run again.\n"
    )?;
    writeln!(text, "{}", table.show())?;
    let mut table = Table::new("", &["assumption or limit", "value", "why"]);
    for (name, one) in prices.assumptions.iter().chain(&prices.limits) {
        table.push([name.clone(), one.value.to_string(), one.why.clone()]);
    }
    text.push_str(&table.show());
    Ok(text)
}

/// Returns the number of alarms in the template. An alarm in an `Fn::ForEach` counts once for each
/// name in its list.
fn alarms() -> u64 {
    let template = fs::read_to_string(workspace::root().join("template.yaml")).unwrap_or_default();
    let mut repeats = 1;
    let mut alarms = 0;
    for line in template.lines() {
        let text = line.trim_start();
        let is_resource = line.len() - text.len() == 2 && !text.starts_with('#');
        if is_resource {
            repeats = 1;
        } else if let Some(names) = line.strip_prefix("    - [") {
            repeats = names.split(',').count() as u64;
        } else if text == "Type: AWS::CloudWatch::Alarm" {
            alarms += repeats;
        }
    }
    alarms
}

const FORMULAS: &str = "Formulas, for a million units:

- **Lambda**: invocations × the price of one, and GB-seconds: (processor time × 1,769 MB / memory, where the memory is
  less + calls × the time of a call on AWS) × memory.
- **SQS**: sends, receives and deletes, each for every 64 KB begun; ten messages a delivery.
- **Data API**: every call, and one more for every 32 KB.
- **Aurora capacity**: PostgreSQL's processor time / processors an ACU × the price of an ACU-second. It is what the work
  itself takes; a cluster that is awake is billed for its least capacity too, and falls asleep 5 minutes after the last call.
- Not in it: storage and I/O of the rows themselves, data that leaves the region, the free tiers.

";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Spread;

    #[test]
    fn alarms_in_loops_are_counted() {
        assert_eq!(alarms(), 11);
    }

    #[test]
    fn a_target_is_held_against_the_worst_and_the_best_scenario() {
        let way = |name: &str, times: f64| import::MeasuredWay {
            name: name.to_owned(),
            rows: 10,
            seconds: Spread::of([1.0]),
            rows_per_second: Spread::of([10.0]),
            rounds: 1,
            ours_is_times: Spread::of([times]),
            peak_mib: None,
            cpu_seconds: None,
            server_cpu_seconds: 0.0,
            postgres_cpu_seconds: 0.0,
            calls: 0,
            call_bytes: 0,
        };
        let measured = |mode: &str, times| import::Measured {
            scenario: mode.to_owned(),
            table: "staff".to_owned(),
            mode: mode.to_owned(),
            rows: 10,
            bytes: 10,
            ways: vec![way("the tutorial's way, a statement a row, Data API", times)],
        };
        let mut table = Table::default();
        let all = [measured("insert", 60.0), measured("upsert of new rows", 70.0)];
        import_targets(&all, &mut table);
        assert_eq!(table.rows, [["import: × the tutorial's way", "≥ 50", "60.0 – 70.0"]]);
    }
}
