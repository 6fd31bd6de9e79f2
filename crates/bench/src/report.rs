//! Keeps the figures as JSON and writes the documents.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::chart::{self, Bars};
use crate::cost::{self, Prices};
use crate::figures::{Table, float, number, wrap};
use crate::settings::Settings;
use crate::{growth, import, lookups, memory, prune, startup, writes};
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
    Prune(Vec<prune::Measured>),
    Cost(Vec<cost::Sample>),
}

/// The parts, in the order of the document.
const PARTS: [&str; 8] =
    ["import", "writes", "lookups", "startup", "memory", "growth", "prune", "cost"];

impl Part {
    fn name(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Writes(_) => "writes",
            Self::Lookups(_) => "lookups",
            Self::Startup(_) => "startup",
            Self::Memory(_) => "memory",
            Self::Growth { .. } => "growth",
            Self::Prune(_) => "prune",
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
            Self::Prune(_) => "Prune",
            Self::Cost(_) => "Cost",
        }
    }

    /// Returns the paragraphs that explain the tables.
    fn legend(&self) -> Option<&'static str> {
        match self {
            Self::Import(_) => Some(import::LEGEND),
            Self::Writes(_) => Some(writes::LEGEND),
            Self::Lookups(_) => Some(lookups::LEGEND),
            Self::Startup(_) => Some(startup::LEGEND),
            Self::Memory(_) | Self::Growth { .. } => Some(growth::LEGEND),
            Self::Prune(_) => Some(prune::LEGEND),
            Self::Cost(_) => None,
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
            Self::Prune(measured) => prune::tables(measured),
            Self::Cost(samples) => cost::tables(samples),
        }
    }
}

/// A part with the run that measured it.
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
        wrap(&format!("`{command}`, {date}, commit {commit}; {machine}; {versions}."), "")
    }
}

/// Stores a part for the document, instead of its previous figures.
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
    let output = Command::new(program)
        .current_dir(workspace::root().unwrap_or_default())
        .args(arguments)
        .output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    })
}

/// Returns the processor, the cores and the memory that Linux reports.
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

/// Writes docs/benchmarks.md with its pictures and docs/costs.md, from the stored parts.
pub fn write_docs(folder: &Path) -> anyhow::Result<()> {
    let parts = read(folder)?;
    let docs = workspace::root()?.join("docs");
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

This page compares aurora-sync with other ways to do the same work. `cargo local bench --write-docs`
measures the figures and writes the page. Each section names the run that its figures come from.

**Read ratios, not seconds.** Functions, the Data API server, PostgreSQL and peers run on one
machine and share its processors. On AWS each has its own, and a call of the Data API takes some
17 ms longer. The claim is how many times one way is as fast as another on the same machine in the
same minutes. Speeds and ratios are medians; parentheses hold the least and the most of all rounds.
The ways run in turns, each round in another order. A figure counts only if the table holds
afterwards, by a checksum of all rows, what PostgreSQL alone makes of the same file.

- **Functions** are the real programs. Each runs in a process of its own behind a Runtime API, and
  so do the Python peers. The time of an invocation begins when the event is sent and ends when the
  response arrives. Each function has handled a first event before (a file without rows, or an
  update of a row that does not exist), because psql is connected too before its time begins. The
  programs are built with the profile `measured`, but for cold starts and sizes with the profile
  `release`.
- **S3 and SQS** are a small server of the benchmark (`crates/bench/src/fake_aws.rs`), because the
  S3 of the emulator is slow. It serves files from the cache of the machine, so S3 costs almost
  nothing here.
- **The Data API** is `cargo local data-api` with the PostgreSQL of the machine, `fsync` off. psql
  talks to PostgreSQL directly: it makes no calls of the Data API, no checks, no counts and no
  rejects. psql has one processor for its session. An import shares two processors among six
  processes.
- **Peers** are in [crates/bench/peers](../crates/bench/peers), written as their documentation
  shows. A slow peer loads only the first rows of the file; the column *rows* says how many. The
  tutorial's function takes one row in a request and has no DELETE, so it is missing for arrays and
  mixed writes.
";

fn benchmarks(parts: &[Kept], docs: &Path) -> anyhow::Result<String> {
    let mut text = INTRODUCTION.to_owned();
    let targets = targets(parts);
    if !targets.rows.is_empty() {
        write!(text, "\n## Targets\n\n{TARGETS}\n{}", targets.show())?;
    }
    for kept in parts {
        if matches!(kept.part, Part::Cost(_)) {
            continue;
        }
        write!(text, "\n## {}\n\n{}\n", kept.part.title(), kept.provenance())?;
        if let Some(legend) = kept.part.legend() {
            write!(text, "\n{legend}")?;
        }
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
    text.push_str(EXPLANATIONS);
    Ok(text)
}

const TARGETS: &str = "\
*measured* holds the least and the most of all scenarios. × and a way means the speed of aurora-sync
divided by the speed of the way; for a cold start, it means the time divided by the time of an empty
function.
";

const EXPLANATIONS: &str = "
## Where the time goes

These explanations belong to the commits that the sections above name.

### In an import

The column *CPU s* shows where. On two processors, an import lasts about half of the processor time
of the function, the server and PostgreSQL together. psql has one processor for its session and
needs no other.

PostgreSQL works longer for an import than for psql: `COPY` inserts a page of rows at once, but a
statement inserts one row after the other and reads its arrays from text. It also finds changed rows
one by one. For rows that exist and stay the same, PostgreSQL works less for an import than for
psql.

The function checks and writes twenty values of a wide row, and takes more than half of the time
that PostgreSQL takes. With PostgreSQL on a machine of its own, the lanes of an import keep several
of its processors busy, and `COPY` keeps one busy (not measured).

A file of 10 k rows has one chunk with a part for each of four lanes. Six calls, one after the
other, begin and end the import. The lanes load their parts at once, in four sessions of PostgreSQL,
and each session plans the statement. Two lanes are a tenth faster on two processors
(`--env IMPORT_LANES=2`).

No part of the function stands out. The table shows its processor time for 100 k wide rows, by
`perf record -a` while this command ran, with programs that had kept their symbols (2026-11-25):
`cargo local bench --only import --rows 100000 --scenario 'wide, 100 k rows, upsert of new' --way none`

| part of the function                       | share |
| ------------------------------------------ | ----: |
| checking values by their types             |  26 % |
| collecting rows and writing arrays         |  15 % |
| reading CSV (csv-core, memchr, UTF-8)      |  11 % |
| the kernel: sockets, pages                 |  10 % |
| escaping requests as JSON (AWS SDK)        |   7 % |
| allocating memory                          |   7 % |
| finding keys that came before (gone since) |   5 % |
| signing requests: SHA-256                  |   4 % |
| matching columns, cutting chunks           |   3 % |
| the rest, no function over 1 %             |  12 % |

### In a write

Each write has a row of its own in the ledger, with two indexes, an outcome and the time of its
acceptance. PostgreSQL looks for that row first, and inserts two rows where an import inserts one.
Because of the ledger, a write has its effect exactly once, and its status can be read. The
deliveries of a partition run one after the other, so the function and PostgreSQL wait for each
other.

Updates and upserts also look for their rows. A mixed delivery has one statement for each operation.

### In a cold start

The table shows the processor time of `apply` until its first `next`, by `perf record -a` over a
thousand starts of a program that had kept its symbols (2026-11-26):

| part                                                         | share |
| ------------------------------------------------------------ | ----: |
| the kernel: exec, pages, sockets                             |  37 % |
| reading and checking the root certificates of the system     |  23 % |
| the dynamic loader: relocations, features of the processor   |  20 % |
| allocating and copying memory                                |  10 % |
| the SDK's table of endpoints, as JSON                        |   3 % |
| the rest                                                     |   9 % |

The programs of this table had the catalog compiled in. Now a function loads it from S3 before its
first `next` (not measured yet). It asks for nothing else: the region and the credentials come from
the environment. A function has one thread, and code that is not hot is compiled for size. The
certificates are the largest part that is left: to trust only Amazon's own certificates would save
most of their share (not measured), but would break behind a proxy that has its own.

## The size of the programs

Only `import` is over 3 MiB. It holds the code of the other functions and also the SDK of S3 (0.5
MiB before zipping), its checksums (crc-fast, 0.7 MiB, almost all of it tables; the SDK links them
even if nothing uses them), the encodings (0.2 MiB) and three kinds of compression (0.1 MiB), by
`nm --size-sort` of a program that had kept its symbols.

## Not measured

`--full` adds sizes that take hours: files of a million wide rows, 5 million rows and 1 GB, and a
backlog of a million writes. Nothing was measured on AWS. [Costs](costs.md) estimates the cost
there, on paper.
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

/// Returns 100,000 rows if they were measured, else the largest number of rows.
fn largest_common(measured: &import::Measured, part: &Part) -> u64 {
    let Part::Import(all) = part else { return 0 };
    let of_table = all.iter().filter(|one| one.table == measured.table).map(|one| one.rows);
    let sizes: Vec<_> = of_table.collect();
    if sizes.contains(&100_000) { 100_000 } else { sizes.into_iter().max().unwrap_or_default() }
}

/// Returns the targets with the least and the most of the figures.
fn targets(parts: &[Kept]) -> Table {
    let mut table = Table::new("", &["target", "wanted", "measured"]);
    for kept in parts {
        match &kept.part {
            Part::Import(measured) => import_targets(measured, &mut table),
            Part::Startup(measured) => {
                let own = || measured.iter().filter(|one| one.zipped_mib.is_some());
                let ours = || own().filter(|one| one.name != "empty");
                push(&mut table, "cold start: × an empty function", "≤ 2", {
                    ours().map(|one| one.is_times_empty)
                });
                push(
                    &mut table,
                    "zipped program, MiB",
                    "≤ 3",
                    ours().filter_map(|one| one.zipped_mib),
                );
            }
            Part::Memory(measured) => {
                let steps = measured.import.steps.iter();
                push(&mut table, "peak memory of an import, MiB", "≤ 64 at 1 GB", {
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
                push(&mut table, "writes in arrays, insert: × import, insert", "≥ 0.4", ratios);
            }
            _ => {}
        }
    }
    table
}

fn import_targets(measured: &[import::Measured], table: &mut Table) {
    // The ratios of the ways whose names hold a word.
    let ratios = |is_upsert: bool, word: &'static str| {
        measured
            .iter()
            .filter(move |one| one.mode.starts_with("upsert") == is_upsert)
            .flat_map(move |one| one.ways.iter().filter(move |way| way.name.contains(word)))
            .map(|way| way.ours_is_times.median)
    };
    push(table, "import, upsert: × psql stage table", "≥ 1.0", ratios(true, "stage table"));
    push(table, "import, insert: × psql `\\copy`", "≥ 0.4", ratios(false, "`\\copy`"));
    let both = |word| ratios(true, word).chain(ratios(false, word));
    push(table, "import: × tutorial", "≥ 50", both("tutorial"));
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
    let mut text = format!("{COSTS}\n{}\n\nPrices: {}.\n", kept.provenance(), prices.region);
    for (table, legend) in kept.part.tables().iter().zip([FORMULAS, COUNTED]) {
        write!(text, "\n{}\n{legend}", table.show())?;
    }
    let mut idle = Table::new("A month without work", &["part", "USD"]);
    let month = cost::idle_month(&prices, alarms());
    let total: f64 = month.iter().map(|(_, usd)| usd).sum();
    for (part, usd) in month {
        idle.push([part.to_owned(), number(usd)]);
    }
    idle.push(["total".to_owned(), number(total)]);
    write!(text, "\n{}\n{}", idle.show(), cost::at_scale(&prices, samples))?;
    write!(
        text,
        "\n## Prices and assumptions\n\n\
         [crates/bench/prices.json](../crates/bench/prices.json) holds them.\n\n{}",
        sources(&prices)
    )?;
    write!(text, "\nAssumptions and limits:\n\n")?;
    for (name, one) in prices.assumptions.iter().chain(&prices.limits) {
        let item = format!("- `{name}` = {}: {}", one.value, one.why);
        writeln!(text, "{}", wrap(&item, "  "))?;
    }
    Ok(text)
}

/// Returns the table of the prices, and below it the list of their sources.
fn sources(prices: &Prices) -> String {
    let mut sources: Vec<&str> = Vec::new();
    let mut table = Table::new("", &["price", "USD", "for a", "date", "source"]);
    for (name, price) in &prices.by_name {
        let known = sources.iter().position(|source| *source == price.source);
        let index = known.unwrap_or_else(|| {
            sources.push(&price.source);
            sources.len() - 1
        });
        let usd = format!("{}", price.usd);
        let source = (index + 1).to_string();
        table.push([name.clone(), usd, price.unit.clone(), price.date.clone(), source]);
    }
    let mut text = format!("{}\nSources:\n\n", table.show());
    for (index, source) in sources.iter().enumerate() {
        text.push_str(&wrap(&format!("{}. {source}", index + 1), "   "));
        text.push('\n');
    }
    text
}

const COSTS: &str = "# Costs

This page estimates the cost of aurora-sync on AWS, **on paper**. A run on one machine counted
calls, bytes and processor time, others published the prices, and the formulas are code
([crates/bench/src/cost.rs](../crates/bench/src/cost.rs)). No figure comes from a bill.
`cargo local bench --only cost --write-docs` writes this page.
";

/// Returns the number of alarms that a stack has by default, without `EventBus`. One in an
/// `Fn::ForEach` counts once for each name in its list.
fn alarms() -> u64 {
    let template = fs::read_to_string(workspace::root().unwrap_or_default().join("template.yaml"))
        .unwrap_or_default();
    let mut repeats = 1;
    let mut alarms = 0;
    let mut lines = template.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let is_resource = line.len() - text.len() == 2 && !text.starts_with('#');
        if is_resource {
            repeats = 1;
        } else if let Some(names) = line.strip_prefix("    - [") {
            repeats = names.split(',').count() as u64;
        } else if text == "Type: AWS::CloudWatch::Alarm"
            && !lines
                .peek()
                .is_some_and(|next| next.trim_start().ends_with("Condition: HasEventBus"))
        {
            alarms += repeats;
        }
    }
    alarms
}

const FORMULAS: &str = "\
*arrays* are writes in arrays of 500, *CSV rows* are those of a file of 100,000 rows, and *tutorial*
is the tutorial's way. The formulas, for a million units:

- **Gateway** (HTTP API of API Gateway): requests × the price of a request, once for every 512 KB or
  part of them. The tutorial's way has the same price here, although it uses a REST API, which costs
  3.5 times as much.
- **Lambda**: invocations × the price of an invocation, and GB-seconds × their price. The seconds
  are calls × the time of a call on AWS, and processor time × 1,769 MB / memory. From 1,769 MB on,
  the factor is 1.
- **SQS**: sends, receives and deletes. Each counts once for every 64 KB or part of them; a delivery
  has ten messages.
- **Data API**: calls, and one more request for every 32 KB.
- **S3**: PUT and GET requests × their prices.
- **Logs**: bytes × the price of ingestion. The access log is of the class Infrequent Access, at half
  of the price. Lambda's own lines of an invocation are left out, but for the tutorial's way.
- **Aurora**: PostgreSQL's processor time / processors of an ACU × the price of an ACU-second. This
  is the capacity for the work itself. A cluster that is awake is also billed for its least
  capacity, and pauses 5 minutes after the last call.

The table leaves out storage and I/O of the rows, data that leaves the region, and the free tiers.
";

const COUNTED: &str = "\
*CPU ms* is the processor time of the functions for 1,000 units, *PostgreSQL s* is the processor
time of PostgreSQL, *calls* and *KiB* are those of the Data API, *SQS* counts requests as they are
billed, and *S3* is PUT / GET requests.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Spread;

    #[test]
    fn alarms_in_loops_are_counted() {
        assert_eq!(alarms(), 24);
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
            ways: vec![way("tutorial", times)],
        };
        let mut table = Table::default();
        let all = [measured("insert", 60.0), measured("upsert of new rows", 70.0)];
        import_targets(&all, &mut table);
        assert_eq!(table.rows, [["import: × tutorial", "≥ 50", "60.0 – 70.0"]]);
    }
}
