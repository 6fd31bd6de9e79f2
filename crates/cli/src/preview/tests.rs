use import_options::Defaults;
use serde_json::json;

use super::*;

fn staff() -> Table {
    Table::named(
        "staff",
        "id",
        vec![
            Column::named("id", false, json!({ "type": "string", "maxLength": 4 })),
            Column::named("name", false, json!({ "type": "string" })),
            Column::named("age", true, json!({ "type": ["integer", "null"], "format": "int32" })),
            Column::named("pay", true, json!({ "type": ["number", "null"] })),
        ],
    )
}

fn of_bytes(bytes: &[u8], given: &[(&str, &str)]) -> Preview {
    of_head(Head { bytes, is_whole: true }, given)
}

fn of_head(head: Head<'_>, given: &[(&str, &str)]) -> Preview {
    let given = Settings::read(&Defaults::none(), "imports/staff/a.csv", given.iter().copied());
    preview(head, &staff(), &given)
}

fn of(text: &str, given: &[(&str, &str)]) -> Preview {
    of_bytes(text.as_bytes(), given)
}

/// The proposals as `option=value`.
fn proposed(preview: &Preview) -> Vec<String> {
    let all = preview.proposed.iter();
    all.map(|proposal| format!("{}={}", proposal.option, proposal.value)).collect()
}

fn problems(preview: &Preview) -> Vec<&str> {
    preview.problems.iter().map(|problem| problem.text.as_str()).collect()
}

#[test]
fn a_plain_file_needs_no_option() {
    let found = of("ID,name,age\n0001,\"Ada, B\",3\n0002,,\n", &[]);
    assert_eq!((proposed(&found), found.encoding), (vec![], "UTF-8"));
    let columns: Vec<_> = found.fields.iter().map(|field| field.column.as_deref()).collect();
    assert_eq!(columns, [Some("id"), Some("name"), Some("age")]);
    assert_eq!(found.records[0].fields[1].as_deref(), Some("Ada, B"));
    assert_eq!(problems(&found), ["line 3, name: expected a value: the column is NOT NULL"]);
    assert!(found.is_whole && !found.is_stopped());
}

#[test]
fn the_delimiter_is_the_one_that_finds_the_columns() {
    for (mark, word) in [(';', "semicolon"), ('\t', "tab"), ('|', "pipe")] {
        // Each line has as many commas as delimiters.
        let text = "id;name;age\n0001;A, B, C;3\n0002;D, E, F;4\n".replace(';', &mark.to_string());
        let found = of(&text, &[]);
        assert_eq!(proposed(&found), [format!("delimiter={word}")]);
        assert_eq!(problems(&found), Vec::<&str>::new(), "{word}");
    }
}

#[test]
fn quotes_are_proposed_by_what_surrounds_fields() {
    let found = of("id,name\n0001,'A, B'\n0002,'C, D'\n", &[]);
    assert_eq!(proposed(&found), ["quote='"]);
    let found = of("id,name\n0001,5\" pipe\n0002,\"6\" pipe\n0003,\"7\" pipe\n0004,b\n", &[]);
    assert_eq!(proposed(&found), ["quote=none"]);
    assert_eq!(problems(&found), Vec::<&str>::new());
}

#[test]
fn the_encoding_is_proposed_where_the_bytes_are_not_utf_8() {
    let western = b"id,name\n0001,Andr\xe9 M\xfcller\n0002,Fran\xe7ois\n";
    assert_eq!(proposed(&of_bytes(western, &[])), ["encoding=windows-1252"]);
    let (japanese, _, _) = encoding_rs::SHIFT_JIS
        .encode("id,name\n0001,山田太郎は東京に住んでいます\n0002,鈴木花子は大阪に住んでいます\n");
    let found = of_bytes(&japanese, &[]);
    assert_eq!(proposed(&found), ["encoding=shift_jis"]);
    assert!(found.records[0].fields[1].as_deref().unwrap().starts_with("山田"));
    let wide: Vec<u8> = "id,name\n0001,Ada\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(proposed(&of_bytes(&wide, &[])), ["encoding=utf-16le"]);
}

#[test]
fn a_mark_or_an_option_decides_about_the_encoding() {
    assert_eq!(
        proposed(&of_bytes(b"\xef\xbb\xbfid,name\n0001,\xc3\xa9\n", &[])),
        Vec::<String>::new()
    );
    let found = of_bytes(b"id,name\n0001,\xe9\n", &[("encoding", "utf-8")]);
    assert_eq!(proposed(&found), Vec::<String>::new());
    assert_eq!(problems(&found), ["line 2: byte 13 is no character of the encoding; set encoding"]);
    let found = of_bytes(b"\xff\xfei\0d\0", &[("encoding", "utf-8")]);
    assert!(found.is_stopped());
    assert!(problems(&found)[0].contains("byte order mark of UTF-16LE"), "{found:?}");
}

#[test]
fn a_character_that_the_head_cuts_off_is_no_problem() {
    let bytes = b"id,name\n0001,Ada\n0002,\xc3";
    let found = of_head(Head { bytes, is_whole: false }, &[]);
    assert_eq!((proposed(&found), found.records.len()), (vec![], 1));
    assert!(!found.is_whole);
}

#[test]
fn numbers_are_proposed_by_the_columns_of_numbers() {
    let found = of("id;name;pay\n0001;A;1.234,50\n0002;B;7,25\n", &[]);
    assert_eq!(proposed(&found), ["delimiter=semicolon", "numbers=1.234,5"]);
    let found = of("id,name,pay\n0001,A,\"1,234.50\"\n0002,B,7.25\n", &[]);
    assert_eq!(proposed(&found), ["numbers=1,234.5"]);
    // A text that looks like a number is none.
    let found = of("id,name,pay\n0001,\"1,234.50\",7\n", &[]);
    assert_eq!(proposed(&found), Vec::<String>::new());
}

#[test]
fn a_text_for_null_is_proposed_by_the_columns_of_numbers() {
    let found = of("id,name,age\n0001,NA,\\N\n", &[]);
    assert_eq!(proposed(&found), ["null=\\N"]);
    assert_eq!(problems(&found), Vec::<&str>::new());
}

#[test]
fn a_few_odd_numbers_among_many_are_no_reason_for_an_option() {
    for odd in ["NA", "\"1,234\""] {
        let mut text = "id,name,age\n".to_owned();
        for number in 0..300 {
            text.push_str(&format!("{number:04},x,{}\n", if number == 7 { odd } else { "1" }));
        }
        assert_eq!(proposed(&of(&text, &[])), Vec::<String>::new(), "{odd}");
    }
}

#[test]
fn a_file_without_a_header_is_seen_by_its_first_record() {
    let found = of("0001,Ada,3,1.5\n0002,Bob,4,2\n", &[]);
    assert_eq!(proposed(&found), ["header=false", "columns=id,name,age,pay"]);
    assert_eq!(found.records.len(), 2);
    // A name that is no column is more likely a mistake.
    let found = of("ident,name,age,pay\n0001,Ada,3,1.5\n", &[]);
    assert!(problems(&found)[0].contains("\"ident\", which is no column of staff"), "{found:?}");
}

#[test]
fn columns_that_are_unknown_or_missing_stop_the_import() {
    let found = of("id,nmae,age\n0001,Ada,3\n", &[]);
    assert!(found.is_stopped());
    assert!(problems(&found)[0].contains("\"nmae\", which is no column of staff (is it name?)"));
    assert!(problems(&found)[1].starts_with("no field is named name"), "{found:?}");
    let found = of("id,name,other\n0001,Ada,3\n", &[("extra-columns", "ignore")]);
    assert_eq!(problems(&found), Vec::<&str>::new());
    let found = of("id,name,NAME\n0001,Ada,3\n", &[]);
    assert!(problems(&found)[0].contains("twice"), "{found:?}");
}

#[test]
fn bad_fields_and_records_are_named_with_their_lines() {
    let text = "id,name,age\n00001,Ada,old\n0002,Bob\n0003,\"C\" c,4\n0004,Di,99999999999\n";
    let found = of(text, &[]);
    assert_eq!(proposed(&found), Vec::<String>::new());
    assert_eq!(
        problems(&found),
        [
            "line 2, id: expected at most 4 characters, not 5",
            "line 2, age: expected an integer from -2147483648 to 2147483647",
            "line 3: expected 3 fields, found 2",
            "line 4: text follows the closing quote of field 2; double the quotes",
            "line 5, age: expected an integer from -2147483648 to 2147483647",
        ]
    );
    assert!(!found.is_stopped());
}

#[test]
fn files_that_are_no_csv_are_named() {
    let found = of_bytes(b"PK\x03\x04 and then some more bytes", &[]);
    assert!(problems(&found)[0].contains("Excel workbook"), "{found:?}");
    let found = of("", &[]);
    assert!(problems(&found)[0].contains("no record"), "{found:?}");
}

#[test]
fn options_with_wrong_values_stop_the_import() {
    let found = of("id,name\n0001,Ada\n", &[("delimiter", "komma"), ("header", "no")]);
    assert!(problems(&found)[0].starts_with("delimiter=\"komma\": expected one ASCII"));
    assert_eq!(problems(&found)[1], "header=\"no\": expected one of true, false");
}

#[test]
fn options_that_contradict_each_other_stop_the_import() {
    let found = of("id,name\n0001,Ada\n", &[("quote", ";"), ("delimiter", ";")]);
    assert!(found.is_stopped());
    assert!(problems(&found)[0].contains("another character than that of"), "{found:?}");
}

#[test]
fn a_default_of_the_prefix_counts_as_given() {
    let defaults =
        r#"{"imports/staff/": {"delimiter": ";", "columns": "id,name", "header": false}}"#;
    let defaults = Defaults::parse(defaults).unwrap();
    let given = Settings::read(&defaults, "imports/staff/a.csv", std::iter::empty());
    let head = Head { bytes: b"0001;Ada\n", is_whole: true };
    let found = preview(head, &staff(), &given);
    assert_eq!((proposed(&found), problems(&found)), (vec![], vec![]));
    assert_eq!(found.records[0].fields[1].as_deref(), Some("Ada"));
}

#[test]
fn only_the_key_of_a_file_that_deletes_rows_is_checked() {
    let found = of("id,name,age\n0001,,old\n", &[("mode", "delete")]);
    assert_eq!((proposed(&found), problems(&found)), (vec![], vec![]));
    let columns: Vec<_> = found.fields.iter().map(|field| field.column.as_deref()).collect();
    assert_eq!(columns, [Some("id"), None, None]);
}

#[test]
fn integers_are_previewed_in_all_forms_that_the_worker_reads() {
    let found = of("id,name,age\n0001,a,1.0\n0002,b,1e3\n0003,c,0x1f\n0004,d,+7\n", &[]);
    assert_eq!(problems(&found), Vec::<&str>::new());
}

#[test]
fn a_compressed_file_is_previewed_by_its_content() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"id;name\n0001;Ada\n").unwrap();
    let found = of_bytes(&gzip.finish().unwrap(), &[]);
    assert_eq!(proposed(&found), ["delimiter=semicolon"]);
    assert_eq!(found.records[0].fields[1].as_deref(), Some("Ada"));
}
