//! Rejected rows as the cells of a grid, and the file that a mended grid becomes.
//!
//! Pure.

use std::collections::{HashMap, HashSet};

use csv_stream::dialect::Dialect;
use csv_stream::encoding::{Encoding, for_label};
use csv_stream::records::{Content, Record, Records};

use crate::operations::imports::Reject;

/// The column that files of rejected rows have.
pub(super) const ERROR_COLUMN: &str = "_error";

/// The rejected rows of a page.
#[derive(Debug)]
pub(super) struct Sheet {
    /// The names of the fields, without [`ERROR_COLUMN`].
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<RejectedRow>,
}

/// A rejected row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RejectedRow {
    pub(super) record: u64,
    pub(super) line: u64,
    pub(super) reason: String,
    /// The index of the field that the reason is about; `None` is the whole row.
    pub(super) field: Option<usize>,
    /// The fields, `None` as NULL. Empty if the row cannot be cut into fields.
    pub(super) cells: Vec<Option<String>>,
}

impl Sheet {
    /// Cuts the rows into cells.
    pub(super) fn of(mut names: Vec<String>, rejects: &[Reject], dialect: &Dialect) -> Self {
        let errors: HashSet<usize> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| *name == ERROR_COLUMN)
            .map(|(index, _)| index)
            .collect();
        names.retain(|name| name != ERROR_COLUMN);
        let row = |reject: &Reject| {
            let raw = reject.raw.as_deref();
            let mut cells = raw.and_then(|raw| cells(raw, dialect)).unwrap_or_default();
            let mut index = 0;
            cells.retain(|_| {
                index += 1;
                !errors.contains(&(index - 1))
            });
            if !cells.is_empty() {
                cells.resize(cells.len().max(names.len()), None);
            }
            let field = reject.column.as_ref().and_then(|column| {
                names.iter().position(|name| name.to_lowercase() == column.to_lowercase())
            });
            RejectedRow {
                record: reject.record,
                line: reject.line,
                reason: reject.reason.clone(),
                field,
                cells,
            }
        };
        let rows = rejects.iter().map(row).collect();
        Self { names, rows }
    }

    /// Returns the header of the mended file.
    pub(super) fn header(&self) -> String {
        record(self.names.iter().map(|name| Some(name.as_str())))
    }
}

/// Cuts a record into its fields. One with wrong quotes is cut at each delimiter, so that a person
/// sees what is wrong.
fn cells(raw: &str, dialect: &Dialect) -> Option<Vec<Option<String>>> {
    let plain = Dialect { quote: None, escape: None, ..dialect.clone() };
    [dialect, &plain].into_iter().find_map(|dialect| match only_record(raw, dialect)?.content {
        Content::Fields(fields) => {
            Some(fields.iter().map(|field| field.map(str::to_owned)).collect())
        }
        _ => None,
    })
}

/// Returns the record of a text, if it is one.
fn only_record(raw: &str, dialect: &Dialect) -> Option<Record> {
    let encoding = Encoding { charset: for_label("utf-8")?, has_mark: false };
    // A row that begins as a comment was none in its file.
    let mut reader = Records::new(Dialect { comment: None, ..dialect.clone() }, encoding);
    let mut records = Vec::new();
    reader.push(raw.as_bytes(), &mut records);
    reader.finish(&mut records);
    records.pop().filter(|_| records.is_empty())
}

/// The file of the rows that were chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mended {
    pub(super) csv: String,
    pub(super) rows: usize,
}

/// Makes a file of the grid that a browser sends. Fails if a row has text beyond its last column.
pub(super) fn mended(form: &[(String, String)]) -> Result<Mended, String> {
    let values = form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let values: HashMap<&str, &str> = values.collect();
    let find = |name: &str| values.get(name).copied();
    let header = find("names").ok_or("The form does not name its columns.")?;
    let columns = cells(header, &Dialect::default()).map_or(0, |cells| cells.len());
    let mut csv = format!("{header}\n");
    let mut rows = 0;
    for (_, number) in form.iter().filter(|(name, _)| name == "row") {
        let mut fields = Vec::new();
        while let Some(text) = find(&format!("f{number}:{}", fields.len())) {
            let is_empty_text = find(&format!("e{number}:{}", fields.len())).is_some();
            let breaks = find(&format!("b{number}:{}", fields.len())).unwrap_or_default();
            let text = with_breaks(text, breaks);
            fields.push((!text.is_empty() || is_empty_text).then_some(text));
        }
        if fields.iter().skip(columns).flatten().next().is_some() {
            return Err(format!(
                "Row {number} has text beyond its last column. Go back and empty those cells; \
                 nothing was imported."
            ));
        }
        fields.resize(columns, None);
        csv.push_str(&record(fields.iter().map(Option::as_deref)));
        csv.push('\n');
        rows += 1;
    }
    Ok(Mended { csv, rows })
}

/// Returns the kinds of the line breaks of a text in their order: `n`, `r`, or `c` for both
/// characters. Empty if the text is one line.
pub(super) fn breaks(text: &str) -> String {
    let mut kinds = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\n' => kinds.push('n'),
            '\r' if rest.next_if_eq(&'\n').is_some() => kinds.push('c'),
            '\r' => kinds.push('r'),
            _ => {}
        }
    }
    kinds
}

/// Gives a text the line breaks that its cell had: browsers send all of them as CRLF. A further
/// line break is as the last one.
fn with_breaks(text: &str, kinds: &str) -> String {
    let mut kinds = kinds.chars();
    let Some(mut kind) = kinds.next() else { return text.to_owned() };
    let mut lines = text.split("\r\n");
    let mut restored = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        restored.push_str(match kind {
            'n' => "\n",
            'r' => "\r",
            _ => "\r\n",
        });
        restored.push_str(line);
        kind = kinds.next().unwrap_or(kind);
    }
    restored
}

/// Writes a record in RFC 4180. All texts are in quotes, since the stack can have a text for NULL.
/// A record that would be an empty line has its NULL as an empty text, since empty lines do not
/// count.
fn record<'a>(fields: impl Iterator<Item = Option<&'a str>>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let fields = fields.map(|field| field.map_or_else(String::new, quoted));

    let line = fields.collect::<Vec<_>>().join(",");
    if line.is_empty() { "\"\"".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(record: u64, column: Option<&str>, raw: Option<&str>) -> Reject {
        Reject {
            record,
            line: record + 1,
            column: column.map(str::to_owned),
            rule: "format".into(),
            sqlstate: None,
            reason: "expected an integer".into(),
            raw: raw.map(str::to_owned),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn texts(row: &RejectedRow) -> Vec<Option<&str>> {
        row.cells.iter().map(Option::as_deref).collect()
    }

    #[test]
    fn a_rejected_row_is_cut_into_cells_with_its_reason_at_one() {
        let dialect = Dialect { delimiter: b';', ..Dialect::default() };
        let rejects = [
            reject(1, Some("AGE"), Some("0001;\"A;B\";old")),
            reject(2, None, Some("0002;;")),
            reject(3, None, Some("0003;\"C\" c;4")),
            reject(4, None, None),
        ];
        let sheet = Sheet::of(names(&["id", "name", "age"]), &rejects, &dialect);
        assert_eq!(texts(&sheet.rows[0]), [Some("0001"), Some("A;B"), Some("old")]);
        assert_eq!(sheet.rows[0].field, Some(2));
        assert_eq!(texts(&sheet.rows[1]), [Some("0002"), None, None]);
        assert_eq!(texts(&sheet.rows[2]), [Some("0003"), Some("\"C\" c"), Some("4")]);
        assert!(sheet.rows[3].cells.is_empty());
    }

    #[test]
    fn the_reasons_of_a_file_of_rejected_rows_are_left_out() {
        let rejects = [reject(1, Some("age"), Some("0001,old,age: expected"))];
        let sheet = Sheet::of(names(&["id", "age", "_error"]), &rejects, &Dialect::default());
        assert_eq!(sheet.header(), "\"id\",\"age\"");
        assert_eq!(texts(&sheet.rows[0]), [Some("0001"), Some("old")]);
    }

    fn form(pairs: &[(&str, &str)]) -> Result<Mended, String> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        mended(&pairs)
    }

    #[test]
    fn the_chosen_rows_become_a_file() {
        let found = form(&[
            ("names", "id,\"a,b\",c"),
            ("row", "7"),
            ("f7:0", "x\"y"),
            ("f7:1", ""),
            ("f7:2", ""),
            ("e7:2", "1"),
            ("f8:0", "not chosen"),
            ("row", "9"),
            ("f9:0", "z"),
        ]);
        let csv = "id,\"a,b\",c\n\"x\"\"y\",,\"\"\n\"z\",,\n".to_owned();
        assert_eq!(found, Ok(Mended { csv, rows: 2 }));
    }

    #[test]
    fn a_cell_keeps_its_line_breaks() {
        // Lines can be changed, added and taken away.
        for (was, sent, expected) in [
            ("a\nb", "a\r\nb", "a\nb"),
            ("a\rb", "a\r\nB", "a\rB"),
            ("a\r\nb", "a\r\nb", "a\r\nb"),
            ("\na\r\n\rb", "\r\na\r\n\r\nb", "\na\r\n\rb"),
            ("a\nb", "a\r\nb\r\nc", "a\nb\nc"),
            ("a\nb", "ab", "ab"),
            ("a", "a", "a"),
        ] {
            let kinds = breaks(was);
            let row = [("names", "id"), ("row", "7"), ("f7:0", sent), ("b7:0", kinds.as_str())];
            let csv = form(&row).unwrap().csv;
            let (_, record) = csv.split_once('\n').unwrap();
            let fields = cells(record, &Dialect::default()).unwrap();
            assert_eq!(fields, [Some(expected.to_owned())], "{was:?}");
        }
    }

    #[test]
    fn text_beyond_the_last_column_is_refused() {
        let row = [("names", "id"), ("row", "7"), ("f7:0", "a"), ("f7:1", "b")];
        assert!(form(&row).unwrap_err().contains("beyond its last column"));
        let row = [("names", "id"), ("row", "7"), ("f7:0", "a"), ("f7:1", "")];
        assert_eq!(form(&row).unwrap().csv, "id\n\"a\"\n");
    }
}
