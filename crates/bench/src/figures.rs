//! Figures of several rounds, and tables of them.
//!
//! Pure.

use serde::{Deserialize, Serialize};

/// The median of several rounds, with the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Returns the spread of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.into_iter().collect();
        figures.sort_unstable_by(f64::total_cmp);
        let [min, .., max] = figures.as_slice() else {
            let only = figures.first().copied().unwrap_or(f64::NAN);
            return Self { median: only, min: only, max: only };
        };
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        Self { median, min: *min, max: *max }
    }

    /// `3.2 (3.1–3.4)`.
    pub(crate) fn show(&self) -> String {
        if self.min.total_cmp(&self.max).is_eq() {
            return number(self.median);
        }
        format!("{} ({}–{})", number(self.median), number(self.min), number(self.max))
    }
}

/// Returns the value below which this share of the sorted figures lies (nearest rank).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (float(sorted.len() as u64) * share).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index in a list"
    )]
    let index = (rank as usize).saturating_sub(1);
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Returns three significant digits, with thousands apart: `0.0123`, `1.23`, `12.3`, `123`,
/// `12,300`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if magnitude >= 2.0 {
        // Whole, and rounded to three digits.
        let step = 10f64.powf(magnitude - 2.0);
        return thousands(&format!("{:.0}", (value / step).round() * step));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let digits = (2.0 - magnitude) as usize;
    format!("{value:.digits$}")
}

/// Returns all digits, with thousands apart.
pub(crate) fn whole(count: u64) -> String {
    thousands(&count.to_string())
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count as people say it: `10 k`, `1 M`, `36,600`.
pub(crate) fn count(rows: u64) -> String {
    match rows {
        rows if rows >= 1_000_000 && rows.is_multiple_of(100_000) => {
            format!("{}.{} M", rows / 1_000_000, rows % 1_000_000 / 100_000).replace(".0 M", " M")
        }
        rows if rows >= 1_000 && rows.is_multiple_of(1_000) => format!("{} k", rows / 1_000),
        rows => whole(rows),
    }
}

/// Returns processor time in hundredths of a second, the ticks of Linux; from ten seconds on, three
/// digits.
pub(crate) fn cpu(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.2}") } else { number(seconds) }
}

/// Breaks a paragraph of Markdown between words. Each line after the first begins with `indent`.
pub(crate) fn wrap(text: &str, indent: &str) -> String {
    const WIDTH: usize = 100;
    let mut wrapped = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let word_width = word.chars().count();
        if width > 0 && width + 1 + word_width > WIDTH {
            wrapped.push('\n');
            wrapped.push_str(indent);
            width = indent.len();
        } else if width > 0 {
            wrapped.push(' ');
            width += 1;
        }
        wrapped.push_str(word);
        width += word_width;
    }
    wrapped
}

pub(crate) fn mebibytes(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}

/// Returns a count as a figure: counts here are far below the precision of a float.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A table as Markdown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Returns the table with padded columns, so that it can be read as plain text. Figures are
    /// aligned to the right.
    pub(crate) fn show(&self) -> String {
        let all = || std::iter::once(&self.columns).chain(&self.rows);
        let widths: Vec<_> = (0..self.columns.len())
            .map(|column| {
                let cells = all().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
            })
            .collect();
        let mut text = String::new();
        if !self.title.is_empty() {
            text.push_str(&format!("**{}**\n\n", self.title));
        }
        for (index, row) in all().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                let padding = " ".repeat(width - cell.chars().count());
                match column {
                    0 => text.push_str(&format!("| {cell}{padding} ")),
                    _ => text.push_str(&format!("| {padding}{cell} ")),
                }
            }
            text.push_str("|\n");
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(*width - usize::from(column > 0));
                    text.push_str(&format!("| {dashes}{} ", if column > 0 { ":" } else { "" }));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_median_with_its_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([1.0]).show(), "1.00");
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, expected) in [
            (0.012_34, "0.0123"),
            (0.0, "0"),
            (1.0, "1.00"),
            (12.34, "12.3"),
            (123.4, "123"),
            (123_456.0, "123,000"),
            (1_234_567.0, "1,230,000"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(
            [10_000, 1_000_000, 2_500_000, 36_600].map(count),
            ["10 k", "1 M", "2.5 M", "36,600"]
        );
    }

    #[test]
    fn processor_time_has_hundredths() {
        assert_eq!([0.0, 0.06, 6.99, 10.21].map(cpu), ["0.00", "0.06", "6.99", "10.2"]);
    }

    #[test]
    fn a_paragraph_is_broken_between_words() {
        let words = ["nine"; 25].join(" ");
        let lines = wrap(&words, "  ");
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines, [["nine"; 20].join(" "), format!("  {}", ["nine"; 5].join(" "))]);
    }

    #[test]
    fn a_quantile_is_one_of_the_figures() {
        let figures = [1.0, 2.0, 3.0, 4.0];
        let found = [0.5, 0.99, 0.0].map(|share| number(quantile(&figures, share)));
        assert_eq!(found, ["2.00", "4.00", "1.00"]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("T", &["part", "s"]);
        table.push(["a".to_owned(), "1.5".to_owned()]);
        assert_eq!(table.show(), "**T**\n\n| part |   s |\n| ---- | --: |\n| a    | 1.5 |\n");
    }
}
