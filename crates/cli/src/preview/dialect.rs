//! Proposes the delimiter and the quote of a file.
//!
//! Pure. The names of the table's columns are the best evidence: a header that names them was cut
//! in the right places.

use csv_stream::dialect::Dialect;
use csv_stream::encoding::Encoding;
use csv_stream::records::{Content, Record};
use import_options::{Settings, character_word};

use super::layout::column;
use super::{Proposal, records};
use crate::operations::tables::Table;

/// The delimiters that are tried, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The quotes that are tried, the likeliest first.
const QUOTES: [Option<u8>; 3] = [Some(b'"'), Some(b'\''), None];

/// The records by which a dialect is judged.
const JUDGED: usize = 200;

/// The evidence for a dialect.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    strength: Strength,
    /// At least a tenth of the fields begin with an apostrophe.
    has_other_quotes: bool,
    /// At least two records have text after a closing quote, or one never closes its quote.
    is_misquoted: bool,
}

/// The strength of an evidence: the greatest wins, and among equals the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Strength {
    /// Names of the first record that are columns.
    columns: usize,
    /// Hundredths of the records that can be read and have the fields of the first one, if that has
    /// several.
    regular: usize,
    /// Hundredths of the fields that no quotes surround.
    unquoted: usize,
}

/// Returns the dialect that is given or, where it is not, proposed.
pub(super) fn of(
    content: &[u8],
    encoding: Encoding,
    is_whole: bool,
    table: &Table,
    given: &Settings,
) -> (Dialect, Vec<Proposal>) {
    let base = &given.options.dialect;
    let is_set = |option| given.is_set(option);
    let delimiters = if is_set("delimiter") { vec![base.delimiter] } else { DELIMITERS.to_vec() };
    let quotes = if is_set("quote") { vec![base.quote] } else { QUOTES.to_vec() };
    let mut best: Option<(Evidence, Dialect)> = None;
    for quote in quotes {
        // Other quotes need evidence that a few fields cannot give by chance.
        if let Some((evidence, dialect)) = &best
            && dialect.quote == Some(b'"')
            && !(if quote.is_some() { evidence.has_other_quotes } else { evidence.is_misquoted })
        {
            continue;
        }
        for delimiter in &delimiters {
            let dialect = Dialect { delimiter: *delimiter, quote, ..base.clone() };
            let records = records(content, encoding, &dialect, is_whole, JUDGED);
            let evidence = evidence(&records, table, given);
            if best.as_ref().is_none_or(|(most, _)| evidence.strength > most.strength) {
                best = Some((evidence, dialect));
            }
        }
    }
    let dialect = best.map_or_else(|| base.clone(), |(_, dialect)| dialect);
    let proposals = proposals(&dialect, given);
    (dialect, proposals)
}

fn proposals(dialect: &Dialect, given: &Settings) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    if !given.is_set("delimiter") && dialect.delimiter != b',' {
        proposals.push(Proposal {
            option: "delimiter",
            value: character_word(dialect.delimiter),
            why: "it cuts the first records into the same number of fields".to_owned(),
        });
    }
    if !given.is_set("quote") && dialect.quote != Some(b'"') {
        let (value, why) = match dialect.quote {
            Some(quote) => (character_word(quote), "it surrounds fields"),
            None => ("none".to_owned(), "quotes stand alone, as ordinary characters do"),
        };
        proposals.push(Proposal { option: "quote", value, why: why.to_owned() });
    }
    proposals
}

fn evidence(records: &[Record], table: &Table, given: &Settings) -> Evidence {
    let count = |is_so: fn(&Content) -> bool| {
        records.iter().filter(|record| is_so(&record.content)).count()
    };
    let misquoted = count(|content| matches!(content, Content::Misquoted { .. }));
    let unclosed = count(|content| matches!(content, Content::Unclosed | Content::TooLong { .. }));
    let (mut fields, mut quoted, mut others) = (0, 0, 0);
    for record in records {
        if let Content::Fields(found) = &record.content {
            fields += found.len();
            quoted += found.iter().flatten().filter(|text| is_surrounded(text)).count();
            // A delimiter within such quotes has cut them.
            others += found.iter().flatten().filter(|text| text.starts_with('\'')).count();
        }
    }
    Evidence {
        strength: strength(records, table, given, quoted * 100 / fields.max(1)),
        has_other_quotes: others > 0 && others * 10 >= fields,
        is_misquoted: misquoted >= 2 || unclosed >= 1,
    }
}

fn strength(records: &[Record], table: &Table, given: &Settings, quoted: usize) -> Strength {
    let Some(Content::Fields(first)) = records.first().map(|record| &record.content) else {
        return Strength::default();
    };
    let names = first.iter().flatten();
    let columns = if given.options.has_header {
        names.filter(|name| column(table, name.trim()).is_some()).count()
    } else {
        0
    };
    let of_one = |record: &&Record| match &record.content {
        Content::Fields(fields) => fields.len() == first.len(),
        _ => false,
    };
    let regular = records.iter().filter(of_one).count() * 100 / records.len();
    Strength {
        columns,
        regular: if first.len() > 1 || columns > 0 { regular } else { 0 },
        unquoted: 100 - quoted,
    }
}

/// Returns whether a quote that was not read as one surrounds a field.
fn is_surrounded(text: &str) -> bool {
    let ends = |quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    ends('\'') || ends('"')
}
