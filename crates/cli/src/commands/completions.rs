//! `aurora-sync completions` and `aurora-sync man`.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::ended;
use crate::arguments::Arguments;
use crate::arguments::general::{Completions, Man};
use crate::outcome::Outcome;
use crate::progress::line;

pub(crate) fn completions(arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "aurora-sync", &mut script);
    // A reader that has gone away is no reason to stop.
    drop(io::stdout().lock().write_all(&script));
    Outcome::Good
}

pub(crate) fn man(arguments: &Man) -> Outcome {
    ended(pages(arguments))
}

fn pages(arguments: &Man) -> anyhow::Result<Outcome> {
    let command = Arguments::command();
    if let Some(folder) = &arguments.to {
        let cannot = || format!("cannot write the man pages to {}", folder.display());
        std::fs::create_dir_all(folder).with_context(cannot)?;
        clap_mangen::generate_to(command, folder).with_context(cannot)?;
        line(&format!("the man pages are in {}", folder.display()));
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        drop(io::stdout().lock().write_all(&page));
    }
    Ok(Outcome::Good)
}
