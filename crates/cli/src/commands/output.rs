//! Text for people: aligned columns, colours on a terminal.

use std::env;
use std::io::{self, IsTerminal as _};

/// A colour, by its code in a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Plain,
    Green,
    Yellow,
    Red,
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    pub(super) fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Self { text: text.into(), colour }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text, Colour::Plain)
    }
}

/// Returns `true` if standard output takes colours: it is a terminal, and `NO_COLOR` is not set
/// (no-color.org).
pub(crate) fn has_colours() -> bool {
    let is_refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_refused
}

/// Formats rows in columns that are two blanks apart. The last column is as wide as its text.
pub(super) fn columns(rows: &[Vec<Cell>], has_colours: bool) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = width - cell.text.chars().count();
            line.push_str(&painted(&cell.text, cell.colour, has_colours));
            line.push_str(&" ".repeat(padding + 2));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Gives a text a colour, if there are colours.
pub(crate) fn painted(text: &str, colour: Colour, has_colours: bool) -> String {
    let code = match colour {
        _ if !has_colours => return text.to_owned(),
        Colour::Plain => return text.to_owned(),
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Red => 31,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Replaces control characters, which a terminal could take for commands. They come from values of
/// others.
pub(crate) fn printable(text: &str) -> String {
    let safe = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    text.chars().map(safe).collect()
}

/// Shortens a time of RFC 3339 to the second, in UTC.
pub(super) fn second(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// Formats the time since a time of RFC 3339, in the largest unit.
pub(super) fn age(time: &str, now: jiff::Timestamp) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return time.to_owned() };
    let seconds = now.duration_since(time).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Formats a number with its noun, `1 write` or `2 writes`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", crate::progress::grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_with_and_without_colours() {
        let rows = [
            vec![Cell::from("é"), "b".into()],
            vec![Cell::coloured("long", Colour::Red), "c".into()],
        ];
        assert_eq!(columns(&rows, false), "é     b\nlong  c");
        assert_eq!(columns(&rows, true), "é     b\n\u{1b}[31mlong\u{1b}[0m  c");
    }

    #[test]
    fn values_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn times_and_ages_are_short() {
        assert_eq!(second("2026-11-23T09:30:00.412963+09:00"), "2026-11-23 00:30:00Z");
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(age("2026-11-23T09:30:00Z", now), "2 h");
        assert_eq!(age("2026-11-23T11:59:59Z", now), "1 s");
        assert_eq!([counted(1, "write"), counted(1_200, "write")], ["1 write", "1,200 writes"]);
    }
}
