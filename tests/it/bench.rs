//! The benchmark on a few rows: every variant runs and its results are checked. Times are not.

use std::path::PathBuf;

use bench::{Name, Scale, Settings};
use local_stack::Functions;

/// Returns the programs of this build.
fn programs() -> Functions {
    Functions {
        enqueue: PathBuf::from(env!("CARGO_BIN_EXE_enqueue")),
        apply: PathBuf::from(env!("CARGO_BIN_EXE_apply")),
        import: PathBuf::from(env!("CARGO_BIN_EXE_import")),
        lookup: PathBuf::from(env!("CARGO_BIN_EXE_lookup")),
        migrate: PathBuf::from(env!("CARGO_BIN_EXE_migrate")),
        prune: PathBuf::from(env!("CARGO_BIN_EXE_prune")),
        refresh: PathBuf::from(env!("CARGO_BIN_EXE_refresh")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_the_benchmark_runs_and_checks_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(Scale::Smoke);
    let mut printed = Vec::new();
    let mut print = |text: &str| printed.push(text.to_owned());
    let keep = Some(folder.path().to_owned());
    bench::run(&settings, Name::ALL, programs(), keep, &mut print).await.unwrap();
    let printed = printed.join("\n");
    for words in [
        "Import: staff, 300 rows, insert",
        "| tutorial ",
        "| Powertools ",
        "Look-ups: a page of 100 rows",
        "Cold start",
        "Memory of the largest batch",
        "Cost on AWS",
    ] {
        assert!(printed.contains(words), "{words} is not in:\n{printed}");
    }
    let kept = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(kept, Name::ALL.len());
}
