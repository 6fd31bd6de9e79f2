//! Random files: quotes, line ends, encodings, compressions, and bad records.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::model::{Mode, Record, Row};
use super::tables::{Kind, OTHERS};
use crate::support::histories::imitated_error;

/// The size of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub records: usize,
    pub keys: u32,
}

/// A file and its records.
#[derive(Debug)]
pub(super) struct File {
    pub content: Vec<u8>,
    pub options: BTreeMap<String, String>,
    pub records: Vec<Record>,
    /// The offset of each record in the uncompressed content.
    pub offsets: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Utf16Le,
    Utf16Be,
    ShiftJis,
    Windows1252,
}

#[derive(Debug)]
struct Writer<'a> {
    random: &'a mut fastrand::Rng,
    charset: Charset,
    delimiter: char,
    quote: char,
    escape: bool,
    null: bool,
    kind: Kind,
    bytes: Vec<u8>,
}

impl File {
    pub(super) fn new(
        random: &mut fastrand::Rng,
        kind: Kind,
        mode: Mode,
        size: Size,
        refused_in: Option<u8>,
    ) -> Self {
        let mut options = BTreeMap::from([("mode".to_owned(), mode.as_str().to_owned())]);
        let charset = match random.u8(..8) {
            0 => Charset::Utf16Le,
            1 => Charset::Utf16Be,
            2 => Charset::ShiftJis,
            3 => Charset::Windows1252,
            _ => Charset::Utf8,
        };
        let mut set = |name: &str, value: &str| {
            options.insert(name.to_owned(), value.to_owned());
        };
        match charset {
            Charset::ShiftJis => set("encoding", "shift_jis"),
            Charset::Windows1252 => set("encoding", "windows-1252"),
            _ => {}
        }
        let (delimiter, name) =
            random.choice([(',', ""), (';', "semicolon"), ('\t', "tab"), ('|', "|")]).unwrap();
        if !name.is_empty() {
            set("delimiter", name);
        }
        let quote = if random.u8(..4) == 0 { '\'' } else { '"' };
        if quote == '\'' {
            set("quote", "'");
        }
        let escape = random.u8(..4) == 0;
        let null = !escape && random.u8(..4) == 0;
        if escape {
            set("escape", "\\");
        }
        if null {
            set("null", "\\N");
        }
        let line_end = random.choice(["\n", "\n", "\r\n", "\r"]).unwrap();
        let mut columns = kind.columns().to_vec();
        random.shuffle(&mut columns);
        let has_header = random.u8(..4) > 0;
        if !has_header {
            set("header", "false");
            set("columns", &columns.join(","));
        }
        let mut writer =
            Writer { random, charset, delimiter, quote, escape, null, kind, bytes: Vec::new() };
        let has_mark = matches!(charset, Charset::Utf16Le | Charset::Utf16Be)
            || charset == Charset::Utf8 && writer.random.bool();
        if has_mark {
            writer.put("\u{feff}");
        }
        if has_header {
            let is_upper = writer.random.bool();
            let names = columns
                .iter()
                .map(|name| if is_upper { name.to_uppercase() } else { (*name).to_owned() });
            let line = names.collect::<Vec<_>>().join(&delimiter.to_string());
            writer.put(&line);
            writer.put(line_end);
        }
        let (mut records, mut offsets) = (Vec::new(), Vec::new());
        let texts = texts(writer.random, charset);
        // Some records are bad; some files have none, and some have many.
        let wrong = writer.random.choice([1, 3, 10, 30, 1_000_000]).unwrap();
        for number in 0..size.records {
            if number > 0 && writer.random.u8(..30) == 0 {
                writer.put(line_end);
            }
            offsets.push(writer.bytes.len());
            let is_last = number + 1 == size.records;
            let record = if writer.random.u32(..wrong) == 0 {
                writer.wrong(kind, mode, &columns, is_last)
            } else {
                None
            };
            let record = record.unwrap_or_else(|| {
                let row = row(writer.random, kind, mode, size.keys, &texts, refused_in);
                writer.row(&row, &columns);
                Record::Row(row)
            });
            records.push(record);
            if !is_last || writer.random.u8(..3) > 0 {
                writer.put(line_end);
            }
        }
        let mut content = writer.bytes;
        if random.u8(..4) == 0 {
            content = compressed(random, &content);
        }
        Self { content, options, records, offsets }
    }
}

/// Compresses with gzip, zstd or bzip2, in one or more members.
fn compressed(random: &mut fastrand::Rng, content: &[u8]) -> Vec<u8> {
    let member = random.choice([gzip, zstd, bzip2]).unwrap();
    let mut compressed = Vec::new();
    let mut rest = content;
    loop {
        let (first, after) = rest.split_at(random.usize(..=rest.len()));
        if random.bool() {
            compressed.extend(member(rest));
            return compressed;
        }
        compressed.extend(member(first));
        rest = after;
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Returns a few values, so that rows are often equal.
fn texts(random: &mut fastrand::Rng, charset: Charset) -> Vec<Option<&'static str>> {
    let mut texts = vec![
        Some(""),
        Some("x"),
        Some(" y "),
        Some("a,b;c|d\te"),
        Some("say \"hi\" or 'yo'"),
        Some("two\nlines"),
        Some("two\r\nlines"),
        Some("back\\slash\\"),
        Some("\\N"),
        Some("\""),
        Some(imitated_error(random)),
        None,
    ];
    match charset {
        Charset::ShiftJis => texts.extend([Some("ソ表|能"), Some("ｱ日本")]),
        Charset::Windows1252 => texts.extend([Some("é€"), Some("Zoë")]),
        _ => texts.extend([Some("é€"), Some("日本"), Some("😀\n😀")]),
    }
    random.shuffle(&mut texts);
    texts.truncate(random.usize(1..=4));
    texts
}

/// Returns a random row of a file or of a table. The table refuses or skips some of them.
pub(super) fn row(
    random: &mut fastrand::Rng,
    kind: Kind,
    mode: Mode,
    keys: u32,
    texts: &[Option<&str>],
    refused_in: Option<u8>,
) -> Row {
    let number = random.u32(..keys);
    let mut key = kind.key(number);
    if kind == Kind::Paired {
        key.push_str(random.choice(["/x", "/y", "/x,'\"y"]).unwrap());
    }
    let mut a = random.choice(texts).unwrap().map(str::to_owned);
    let mut b = (random.u8(..6) > 0).then(|| random.i64(0..3));
    let is_refused = refused_in.is_some_and(|records| random.u8(..records) == 0);
    match kind {
        Kind::Skipping if is_refused => a = Some("skip".to_owned()),
        Kind::Skipping if random.u8(..6) == 0 => a = Some("kept".to_owned()),
        Kind::Checked | Kind::Guarded if is_refused => a = Some("never".to_owned()),
        Kind::Single if is_refused => a = Some(format!("taken-{}", random.u8(..2))),
        Kind::Single => a = a.map(|_| format!("{key}-{}", random.u8(..2))),
        // A later row of the same key would overwrite this one in the same transaction only, so
        // that refused rows have their own keys.
        Kind::Deferred if is_refused => {
            key = (OTHERS + random.u32(..keys)).to_string();
            b = Some(99);
        }
        _ => {}
    }
    if kind == Kind::Staff {
        a = a.or(Some("z".to_owned()));
    }
    let needs_b = kind == Kind::Checked
        || kind == Kind::Stamped && matches!(mode, Mode::Upsert | Mode::Replace);
    if needs_b {
        b = b.or(Some(2));
    }
    Row { key, a, b }
}

/// Returns another spelling of a `timestamp`.
fn spelling(random: &mut fastrand::Rng, own: &str) -> String {
    let with_t = own.replace(' ', "T");
    match random.u8(..5) {
        0 => format!("{with_t}Z"),
        1 => format!("{own}.000+00:00"),
        2 => format!(" {with_t}"),
        3 => own.strip_suffix(":00").unwrap_or(own).to_owned(),
        _ => with_t,
    }
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        match self.charset {
            Charset::Utf8 => self.bytes.extend_from_slice(text.as_bytes()),
            Charset::Utf16Le => self.bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Charset::Utf16Be => self.bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Charset::ShiftJis => {
                let (bytes, _, has_faults) = encoding_rs::SHIFT_JIS.encode(text);
                assert!(!has_faults, "{text:?}");
                self.bytes.extend_from_slice(&bytes);
            }
            Charset::Windows1252 => {
                let (bytes, _, has_faults) = encoding_rs::WINDOWS_1252.encode(text);
                assert!(!has_faults, "{text:?}");
                self.bytes.extend_from_slice(&bytes);
            }
        }
    }

    fn fields(&mut self, fields: &[Option<&str>]) {
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.put(&self.delimiter.to_string());
            }
            let field = self.field(*field);
            self.put(&field);
        }
    }

    fn field(&mut self, text: Option<&str>) -> String {
        let Some(text) = text else {
            return if self.null && self.random.bool() { "\\N".to_owned() } else { String::new() };
        };
        let must = text.is_empty() || text.contains([self.delimiter, self.quote, '\r', '\n', '\\']);
        if !must && self.random.u8(..4) > 0 {
            return text.to_owned();
        }
        let mut field = String::from(self.quote);
        for character in text.chars() {
            if self.escape && (character == '\\' || character == self.quote && self.random.bool()) {
                field.push('\\');
            } else if character == self.quote {
                field.push(self.quote);
            }
            field.push(character);
        }
        field.push(self.quote);
        field
    }

    fn row(&mut self, row: &Row, columns: &[&str]) {
        let (id, c) = row.key.split_once('/').unwrap_or((&row.key, ""));
        // Numbers and times have several spellings of one key.
        let id = match self.random.u8(..8) {
            0..=4 if self.kind == Kind::Timed => spelling(self.random, id),
            0 if self.kind.has_number_key() => format!("0{id}"),
            1 if self.kind.has_number_key() => format!(" {id}"),
            _ => id.to_owned(),
        };
        let b = row.b.map(|b| b.to_string());
        let fields: Vec<_> = columns
            .iter()
            .map(|column| match *column {
                "id" => Some(id.as_str()),
                "c" => Some(c),
                "a" | "name" => row.a.as_deref(),
                _ => b.as_deref(),
            })
            .collect();
        self.fields(&fields);
    }

    /// Returns a record that is no row, or `None` if this table accepts it.
    fn wrong(&mut self, kind: Kind, mode: Mode, columns: &[&str], is_last: bool) -> Option<Record> {
        let with = |name: &str, value: Option<&'static str>| -> Vec<Option<&'static str>> {
            columns.iter().map(|column| if *column == name { value } else { Some("1") }).collect()
        };
        match self.random.u8(..6) {
            0 => self.fields(&vec![Some("1"); columns.len() - 1]),
            1 => self.fields(&vec![Some("1"); columns.len() + 1]),
            2 if mode != Mode::Delete => {
                let no_number = if self.random.bool() { "x" } else { imitated_error(self.random) };
                self.fields(&with(kind.columns()[2], Some(no_number)));
            }
            3 if kind.has_key() => self.fields(&with("id", None)),
            4 if matches!(self.charset, Charset::Utf8 | Charset::ShiftJis) => {
                self.fields(&vec![Some("1"); columns.len()]);
                self.bytes.push(0xff);
            }
            5 if is_last => {
                let text = format!("{}never closed", self.quote);
                self.put(&text);
            }
            _ => return None,
        }
        Some(Record::Bad)
    }
}
