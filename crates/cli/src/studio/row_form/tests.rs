use serde_json::json;

use super::*;

fn table() -> Table {
    Table::named(
        "t",
        "id",
        vec![
            Column::named("id", false, json!({ "type": "string" })),
            Column::named("n", true, json!({ "type": ["integer", "null"] })),
            Column::named("j", true, json!({ "description": "Any JSON value." })),
            Column::named("c", true, json!({ "description": "PostgreSQL's citext." })),
        ],
    )
}

fn sent(is_new: bool, form: &[(&str, &str)]) -> Result<String, Problems> {
    let form: Vec<_> =
        form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let table = table();
    body(&table, is_new, &read(&table, is_new, &form))
}

#[test]
fn a_new_row_has_the_columns_that_are_filled_in() {
    let form = [
        ("v:id", "a\"b"),
        ("v:n", "12345678901234567890"),
        ("h:n", "text"),
        ("v:j", "{\"a\": 1.10}"),
        ("h:j", "text"),
        ("v:c", ""),
        ("h:c", "absent"),
    ];
    assert_eq!(
        sent(true, &form).unwrap(),
        r#"{"id":"a\"b","n":"12345678901234567890","j":{"a": 1.10}}"#
    );
    // A field that is filled in counts, whatever its kind says.
    assert_eq!(
        sent(
            true,
            &[("v:id", "1"), ("v:n", "5"), ("h:n", "absent"), ("h:j", "null"), ("h:c", "absent")]
        )
        .unwrap(),
        r#"{"id":"1","n":"5","j":null}"#
    );
}

#[test]
fn an_update_has_the_columns_that_were_changed() {
    let same = [
        ("v:n", "5"),
        ("w:n", "5"),
        ("h:n", "text"),
        ("h:j", "null"),
        ("n:j", "1"),
        ("h:c", "null"),
        ("n:c", "1"),
    ];
    assert_eq!(sent(false, &same).unwrap_err().whole.as_deref(), Some("No field was changed."));
    let changed = [
        ("v:n", "5"),
        ("w:n", "5"),
        ("h:n", "null"),
        ("v:j", "a"),
        ("n:j", "1"),
        ("h:c", "null"),
        ("n:c", "1"),
    ];
    let problems = sent(false, &changed).unwrap_err();
    assert!(problems.fields["j"].starts_with("expected JSON"), "{problems:?}");
    let changed = [
        ("v:n", "5"),
        ("w:n", "5"),
        ("h:n", "null"),
        ("h:j", "null"),
        ("n:j", "1"),
        ("v:c", "x\r\ny"),
        ("w:c", "x\r\ny"),
    ];
    assert_eq!(sent(false, &changed).unwrap(), r#"{"n":null}"#);
}

#[test]
fn problems_stand_at_their_fields() {
    let problems =
        Problems { fields: [("n".to_owned(), "expected <x>".to_owned())].into(), whole: None };
    let page = fields(&table(), true, &of_new(&table()), &problems).into_string();
    assert!(page.contains("aria-describedby=\"f1-problem\" aria-invalid=\"true\""), "{page}");
    assert!(
        page.contains("<p class=\"problem\" id=\"f1-problem\">expected &lt;x&gt;</p>"),
        "{page}"
    );
}

#[test]
fn a_value_with_any_line_break_has_several_lines() {
    let shown = |text: &str| {
        let table = table();
        let input = Input { text: text.to_owned(), ..Input::default() };
        let inputs: Inputs = [("c".to_owned(), input)].into();
        fields(&table, true, &inputs, &Problems::default()).into_string()
    };
    for text in ["a\nb", "a\rb", "a\r\nb"] {
        assert!(shown(text).contains("<textarea"), "{text:?}");
    }
    assert!(!shown("ab").contains("<textarea"));
}
