use aurora_sync_catalog::notation;
use csv_stream::dialect::Dialect;
use csv_stream::encoding::{Encoding, for_label};
use csv_stream::records::Records;
use proptest::prelude::*;

use super::*;

const STAFF: &str = "id char(4) key, name text not-null, age integer";

fn table(columns: &str) -> Table {
    notation::table("t", columns)
}

fn records(file: &str) -> Vec<Record> {
    let encoding = Encoding { charset: for_label("utf-8").unwrap(), has_mark: false };
    let (mut reader, mut records) = (Records::new(Dialect::default(), encoding), Vec::new());
    reader.push(file.as_bytes(), &mut records);
    reader.finish(&mut records);
    records
}

fn in_mode(mode: LoadMode) -> Options {
    Options { mode, ..Options::default() }
}

fn check_header_in(columns: &str, options: &Options, header: &str, expected: &str) {
    let table = table(columns);
    let found = match Layout::from_header(&table, &records(header)[0], options) {
        Ok(layout) => {
            let columns = layout.columns();
            columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(" ")
        }
        Err(error) => error,
    };
    assert_eq!(found, expected, "{header}");
}

fn check_header(header: &str, expected: &str) {
    check_header_in(STAFF, &Options::default(), header, expected);
}

#[test]
fn a_header_names_columns_in_any_order_and_case() {
    check_header("id,name,age", "id name age");
    check_header(" Age ,NAME,id", "age name id");
    check_header("id,name,_error", "id name");
    check_header_in("\"É\" int", &Options::default(), "é", "É");
}

#[test]
fn a_header_that_does_not_fit_says_why() {
    check_header(
        "id,nmae",
        "the header names \"nmae\", which is not a column of the table; did you mean \"name\"?",
    );
    check_header(
        "age",
        "the header does not name the columns id, name: NOT NULL, and without a default",
    );
    check_header(
        "id,name,",
        "field 3 of the header has no name; name it or leave it out, or set extra-columns to ignore",
    );
    check_header("id,\"name", "the header (line 1) cannot be read: a quote in it is never closed");
    let two = "\"Name\" int, name int";
    check_header_in(two, &Options::default(), "name,Name", "name Name");
    check_header_in(
        two,
        &Options::default(),
        "NAME",
        "the header names \"NAME\", which is not the name of one column; write \"Name\" or \"name\" as the table does",
    );
    let long = "x".repeat(5_000);
    let table = table(STAFF);
    let error = Layout::from_header(&table, &records(&long)[0], &Options::default()).unwrap_err();
    assert!(error.len() < 250, "{error}");
}

#[test]
fn a_name_that_comes_twice_is_refused_with_the_nearest_fix() {
    check_header(
        "id,name,ID",
        "the header names the column \"id\" twice, in fields 1 and 3; keep one of them",
    );
    check_header_in(
        "name_1 text, x int, name_2 text",
        &Options { ignores_extra_columns: true, ..Options::default() },
        "other,name_1,other,x,name_1",
        "the header names the column \"name_1\" twice, in fields 2 and 5; keep one of them; did you mean \
         \"name_2\" by the other?",
    );
}

#[test]
fn extra_columns_are_left_out_only_with_the_option() {
    let options = Options { ignores_extra_columns: true, ..Options::default() };
    check_header_in(STAFF, &options, "id,shoe size,name,,", "id name");
    let columns = "id int key, made int generated, kept int unwritten";
    check_header_in(columns, &options, "id,made,kept", "id");
    check_header_in(
        columns,
        &Options::default(),
        "id,made",
        "the header names the column \"made\", whose values the database makes; leave it out, or set \
         extra-columns to ignore",
    );
    check_header_in(
        columns,
        &Options::default(),
        "id,kept",
        "the header names the column \"kept\", which sync_writer has no right to write; leave it out, or set \
         extra-columns to ignore",
    );
    check_header_in(
        "id int key identity, n int",
        &options,
        "id,n",
        "the header names the column \"id\", whose values the database makes; rows with such a key cannot be written",
    );
}

#[test]
fn the_option_columns_names_the_fields() {
    let options = Options { columns: Some(vec!["name".into(), "ID".into()]), ..Options::default() };
    check_header_in(STAFF, &options, "Nom,Numéro", "name id");
    check_header_in(STAFF, &options, "Nom,Numéro,_error", "name id");
    check_header_in(
        STAFF,
        &options,
        "Nom",
        "the option columns names 2 columns, but the number of fields of the header is 1",
    );
    let table = table(STAFF);
    let layout = Layout::from_columns(&table, options.columns.as_ref().unwrap(), &options).unwrap();
    let row = layout.row(&records("Ada,0001\n")[0]).unwrap();
    assert_eq!(row.cells.iter().collect::<Vec<_>>(), [Some("Ada"), Some("0001")]);
    assert_eq!(row.key.unwrap().to_string(), "0001");
}

#[test]
fn a_version_is_required_if_rows_are_compared() {
    let columns = "id int key, v int version";
    let missing = "the header does not name the column \"v\", which says whether a row is newer";
    check_header_in(columns, &in_mode(LoadMode::Upsert), "id", missing);
    check_header_in(columns, &in_mode(LoadMode::Replace), "id", missing);
    check_header_in(columns, &in_mode(LoadMode::Insert), "id", "id");
    check_header_in(columns, &in_mode(LoadMode::Ignore), "id", "id");
    check_header_in(columns, &in_mode(LoadMode::Delete), "id", "id");
    let table = table(columns);
    let records = records("id,v\n1,\n");
    let layout = Layout::from_header(&table, &records[0], &Options::default()).unwrap();
    assert_eq!(layout.row(&records[1]).unwrap_err().rule, "not-null");
}

#[test]
fn deleting_needs_the_key_and_nothing_else() {
    let delete = in_mode(LoadMode::Delete);
    check_header_in(STAFF, &delete, "age,id", "id");
    check_header_in("id int key identity, n int not-null", &delete, "n,id", "id");
    check_header_in(
        STAFF,
        &delete,
        "name",
        "the header does not name the column id of the key, by which mode delete finds rows",
    );
    check_header_in(
        "id int",
        &delete,
        "id",
        "mode delete needs a table with a primary key, as rows are found by it",
    );
    check_header_in(
        STAFF,
        &delete,
        "id,shoe",
        "the header names \"shoe\", which is not a column of the table: id, name, age",
    );
    // Fields that are not loaded are not checked.
    let table = table(STAFF);
    let records = records("id,name,age\n0001,,old\n");
    let layout = Layout::from_header(&table, &records[0], &delete).unwrap();
    assert_eq!(layout.row(&records[1]).unwrap().cells.iter().collect::<Vec<_>>(), [Some("0001")]);
}

#[test]
fn a_file_of_rejected_rows_cannot_replace_a_table() {
    let replace = in_mode(LoadMode::Replace);
    check_header_in(STAFF, &replace, "id,name", "id name");
    let columns = "id int key default, n int";
    check_header_in(columns, &in_mode(LoadMode::Upsert), "n", "n");
    check_header_in(
        columns,
        &replace,
        "n",
        "the header does not name the column id of the key, by which mode replace finds rows",
    );
    let table = table(STAFF);
    let header = &records("id,name,_error")[0];
    let error = Layout::from_header(&table, header, &replace).unwrap_err();
    assert!(error.contains("mode replace would delete all others"));
    assert!(Layout::from_header(&table, header, &Options::default()).is_ok());
}

/// Compares the cells of a record, or the rule and the column of its reject.
fn check_row(
    columns: &str,
    options: &Options,
    file: &str,
    expected: Result<&[Option<&str>], (&str, &str)>,
) {
    let table = table(columns);
    let records = records(file);
    let layout = Layout::from_header(&table, &records[0], options).unwrap();
    let found = layout.row(&records[1]);
    let found = found.as_ref().map(|row| row.cells.iter().collect::<Vec<_>>());
    let found =
        found.map_err(|reject| (reject.rule.as_str(), reject.column.as_deref().unwrap_or("-")));
    assert_eq!(found, expected.map(<[_]>::to_vec), "{file}");
}

#[test]
fn a_record_becomes_a_row_or_a_reject() {
    let check = |record: &str, expected| {
        let file = format!("id,name,age\n{record}\n");
        check_row(STAFF, &Options::default(), &file, expected);
    };
    check("0005,Ada,36", Ok(&[Some("0005"), Some("Ada"), Some("36")]));
    check("0005,\"\",", Ok(&[Some("0005"), Some(""), None]));
    check("0005,Ada,007", Ok(&[Some("0005"), Some("Ada"), Some("7")]));
    check("0005,,36", Err(("not-null", "name")));
    check("0005,Ada", Err(("column-count", "-")));
    check("0005,Ada,1,2", Err(("column-count", "-")));
    check("00005,Ada,36", Err(("length", "id")));
    check("0005,Ada,old", Err(("format", "age")));
    check("0005,Ada,1.000", Ok(&[Some("0005"), Some("Ada"), Some("1")]));
    check("0005,Ada,\"1,000\"", Err(("format", "age")));
    check("0005,A\0,1", Err(("unsupported-character", "name")));
    check("0005,\"Ada", Err(("unclosed-quote", "-")));
}

#[test]
fn an_empty_field_is_null_even_if_the_column_has_a_default() {
    let columns = "id int key, n int not-null default, m int default";
    check_row(columns, &Options::default(), "id,n,m\n1,2,\n", Ok(&[Some("1"), Some("2"), None]));
    check_row(columns, &Options::default(), "id,n\n1,\n", Err(("not-null", "n")));
}

#[test]
fn numbers_are_grouped_only_as_declared() {
    let columns = "n numeric(9,2), i int, b boolean, s text, a int[]";
    let commas = Options { numbers: Numbers::CommaGroups, ..Options::default() };
    let file = |record: &str| format!("n,i,b,s,a\n{record}\n");
    check_row(
        columns,
        &commas,
        &file("\"1,234.50\",\"12,345\",Yes,\"1,23\",\"{1,23}\""),
        Ok(&[Some("1234.50"), Some("12345"), Some("true"), Some("1,23"), Some("{1,23}")]),
    );
    check_row(columns, &commas, &file("\"1,23\",1,f,s,{}"), Err(("format", "n")));
    check_row(columns, &Options::default(), &file("\"1,234.5\",1,f,s,{}"), Err(("format", "n")));
    let points = Options { numbers: Numbers::PointGroups, ..Options::default() };
    check_row(
        columns,
        &points,
        &file("\"1.234,5\",1.234,0,s,{}"),
        Ok(&[Some("1234.5"), Some("1234"), Some("false"), Some("s"), Some("{}")]),
    );
    check_row(columns, &points, &file("1234.5,1,f,s,{}"), Err(("format", "n")));
}

#[test]
fn a_key_that_may_be_the_key_of_another_row_is_refused() {
    let columns = "d date key=2, n int key=1";
    check_row(columns, &Options::default(), "d,n\n\"November 23, 2026\",1\n", Err(("format", "d")));
    let table = table(columns);
    let records = records("d,n\n2026-11-23,007\n");
    let layout = Layout::from_header(&table, &records[0], &Options::default()).unwrap();
    assert_eq!(layout.row(&records[1]).unwrap().key.unwrap().to_string(), "7,2026-11-23");
}

proptest! {
    /// Lanes rely on this.
    #[test]
    fn a_row_has_the_key_of_a_request_for_the_same_row(a in "[a-c ,\"]{1,4}", n in any::<i32>(), zeros in 0_usize..3) {
        let table = table("n int key=2, a text key=1");
        let dialect = Dialect::default();
        let number = format!("{}{}", "0".repeat(zeros), n.unsigned_abs());
        let records = records(&format!("n,a\n{number},{}\n", dialect.field(&a)));
        let layout = Layout::from_header(&table, &records[0], &Options::default()).unwrap();
        match layout.row(&records[1]) {
            Ok(row) => {
                let cell = |name: &str| Some(if name == "a" { a.as_str() } else { number.as_str() });
                prop_assert_eq!(row.key, Key::of_row(&table, cell));
            }
            Err(rejection) => prop_assert_eq!(rejection.rule, "range"),
        }
    }
}

#[test]
fn a_row_costs_four_allocations_whatever_its_number_of_fields() {
    let cost = |columns: usize| {
        let names: Vec<_> = (0..columns).map(|n| format!("c{n}")).collect();
        let types = ["text", "numeric(9,2)", "date", "boolean", "timestamptz", "uuid", "bigint"];
        let texts = [
            "some text",
            "1234.50",
            "2026-11-23",
            "t",
            "2026-11-23T09:30:00+01:00",
            "6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "-77",
        ];
        let cycle = |all: &[&str]| -> Vec<String> {
            all.iter().cycle().take(columns).map(|one| (*one).to_owned()).collect()
        };
        let definitions: Vec<_> =
            names.iter().zip(cycle(&types)).map(|(name, of)| format!("{name} {of}")).collect();
        let table = table(&format!("k int key, {}", definitions.join(", ")));
        let file = format!("k,{}\n1,{}\n", names.join(","), cycle(&texts).join(","));
        let records = records(&file);
        let layout = Layout::from_header(&table, &records[0], &Options::default()).unwrap();
        let mut row = None;
        let allocated = allocation_counter::measure(|| row = layout.row(&records[1]).ok());
        assert_eq!(row.unwrap().cells.len(), columns + 1);
        allocated.count_total
    };
    // Two for the cells, two for the key.
    assert_eq!([cost(1), cost(7), cost(70)], [4, 4, 4]);
}

/// Reads a file as the examples of docs/guide/import.md do, and returns its cells and rejects.
fn example(columns: &str, metadata: &[(&str, &str)], file: &[u8]) -> Vec<String> {
    use csv_stream::reader::{Next, Reader};
    use import_options::{self, Defaults};

    let table = table(columns);
    let metadata =
        metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = import_options::read(&Defaults::none(), "imports/t/a", &metadata).unwrap();
    let mut reader = Reader::new(options.dialect.clone(), options.encoding);
    let mut records = Vec::new();
    reader.push(file);
    while match reader.read(&mut records).unwrap() {
        Next::Again => true,
        Next::Input => {
            reader.end();
            true
        }
        Next::End => false,
    } {}
    let mut records = records.iter();
    let layout = if options.has_header {
        Layout::from_header(&table, records.next().unwrap(), &options)
    } else {
        Layout::from_columns(&table, options.columns.as_ref().unwrap(), &options)
    };
    let layout = layout.unwrap();
    let show = |record| match layout.row(record) {
        Ok(row) => row.cells.iter().map(|cell| cell.unwrap_or("-")).collect::<Vec<_>>().join("|"),
        Err(rejection) => format!("{}: {}", rejection.rule, rejection.reason),
    };
    records.map(show).collect()
}

#[test]
fn the_worked_examples_of_the_documentation_work() {
    let invoice = "id char(4) key, name text, amount numeric(9,2)";
    assert_eq!(
        example(
            invoice,
            &[("delimiter", ";"), ("numbers", "1.234,5")],
            "\u{feff}id;name;amount\r\n0001;Zoë;1.234,50\r\n0002;\"Semi;colon\";\r\n0003;x;1.2\r\n"
                .as_bytes(),
        ),
        [
            "0001|Zoë|1234.50",
            "0002|Semi;colon|-",
            "format: expected a decimal number, written as 1.234,5",
        ]
    );
    let shift_jis = |text: &str| encoding_rs::SHIFT_JIS.encode(text).0.into_owned();
    assert_eq!(
        example(
            invoice,
            &[("encoding", "shift_jis")],
            &shift_jis("id,name,amount\r\n0001,表ポ,5\r\n0002,\"表\",\r\n"),
        ),
        ["0001|表ポ|5", "0002|表|-"]
    );
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    assert_eq!(
        example(
            invoice,
            &[("delimiter", "tab")],
            &utf_16("\u{feff}id\tname\tamount\r\n0001\tĀ, B\t5\r\n"),
        ),
        ["0001|Ā, B|5"]
    );
    let copy = [
        ("delimiter", "tab"),
        ("quote", "none"),
        ("null", "\\N"),
        ("header", "false"),
        ("columns", "id,name"),
    ];
    assert_eq!(example(invoice, &copy, b"0001\t\"A\"\n0002\t\\N\n"), ["0001|\"A\"", "0002|-"]);
    let mysql = [
        ("delimiter", "tab"),
        ("escape", "\\"),
        ("null", "\\N"),
        ("header", "false"),
        ("columns", "id,name"),
    ];
    assert_eq!(
        example(invoice, &mysql, b"\"0001\"\t\"say \\\"hi\\\"\"\n\"0002\"\t\\N\n"),
        ["0001|say \"hi\"", "0002|-"]
    );
}
