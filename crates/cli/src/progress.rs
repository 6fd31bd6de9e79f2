//! Shows progress on standard error: a bar on a terminal, else a line now and then.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::import::stage::Stage;

/// The time between two lines where standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The time between two drawings of the bar, whose clock moves meanwhile.
const DRAWN_EVERY: Duration = Duration::from_secs(1);

const COLUMNS: u64 = 1_000;

/// The progress of one file.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    bar: Option<ProgressBar>,
    last_line: Mutex<Option<Instant>>,
    stage: Mutex<Stage>,
}

impl Progress {
    pub(crate) fn new(name: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(COLUMNS);
            let style = ProgressStyle::with_template("{prefix} [{bar:30.cyan}] {elapsed} {msg}");
            bar.set_style(
                style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "),
            );
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(DRAWN_EVERY);
            bar
        });
        let stage = Mutex::new(Stage::Checked);
        Self { name: name.to_owned(), bar, last_line: Mutex::new(None), stage }
    }

    /// Records how far the file has come.
    pub(crate) fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes the bar, before the results are printed.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Shows how much is done, from 0 to 1 where that is known. Leaves out updates that come too
    /// soon.
    pub(crate) fn at(&self, part: Option<f64>, message: &str) {
        if let Some(bar) = &self.bar {
            let part = part.unwrap_or_default().clamp(0.0, 1.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 1,000"
            )]
            bar.set_position((part * 1_000.0) as u64);
            bar.set_message(message.to_owned());
            return;
        }
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            *last = Some(Instant::now());
            self.line(message);
        }
    }

    /// Shows an event that happens once.
    pub(crate) fn note(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.line(message)),
            None => self.line(message),
        }
    }

    fn line(&self, message: &str) {
        error_line(&format!("{}: {message}", self.name));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Writes a line to standard output, which is for results.
pub(crate) fn line(text: &str) {
    // A reader that has gone away, as `head` does, is no reason to stop.
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Formats a number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a rate or a time, with a digit after the point where it is small.
pub(crate) fn rounded(number: f64) -> String {
    if number < 10.0 {
        return format!("{number:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of rows or seconds"
    )]
    grouped(number.round() as u64)
}

/// Formats a number of bytes in the units of `ls -h`.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::HumanBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1_000), grouped(12_345_678)],
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!([rounded(0.04), rounded(9.96), rounded(81_234.4)], ["0.0", "10.0", "81,234"]);
    }
}
