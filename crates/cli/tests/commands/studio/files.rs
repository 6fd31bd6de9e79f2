//! A file with bad rows, from its drop to the last row that is mended.

use serde_json::json;

use super::{Studio, access};

const FILE: &str =
    "id;name;age\n3001;Ada;36\n3002;Bob;old\n30033;\"Cy\nCo\";5\n3004;Di;7\n3005;;8\n";

pub(super) async fn a_file_is_mended_to_its_last_row(studio: &Studio) {
    studio.go_to("/imports/new?table=staff").await;
    let drop = format!(
        "(() => {{
            const data = new DataTransfer();
            data.items.add(new File([{}], 'june.csv'));
            const event = {{ dataTransfer: data, bubbles: true, cancelable: true }};
            document.querySelector('[data-drop]').dispatchEvent(new DragEvent('drop', event));
        }})()",
        json!(FILE)
    );
    studio.eval(&drop).await;
    studio.shows("Proposed from the content of the file").await;
    studio.shows("line 3, age: expected an integer").await;
    studio.shows("line 4, id: expected at most 4 characters, not 5").await;
    the_defaults_of_a_table_come_with_it(studio).await;
    studio.picture("preview").await;
    access::the_page_is_accessible(studio).await;
    studio.choose("Use these options").await;
    studio.until("!document.querySelector('#preview').innerText.includes('Proposed')").await;
    assert_eq!(studio.eval("document.forms.import.elements.delimiter.value").await, "semicolon");
    studio.until("document.activeElement.matches('[data-send]')").await;

    studio.choose("Check it").await;
    studio.shows("Dry run: nothing was written.").await;
    studio.shows("would be rejected").await;
    assert_eq!(count(studio).await, "0");
    studio.choose("Load the good rows into staff").await;
    studio.until("document.body.innerText.includes('were rejected')").await;
    studio.shows("Rejected by rule").await;
    studio.picture("report").await;
    assert_eq!(count(studio).await, "2");

    studio.choose("Mend the rejected rows").await;
    studio.until("document.querySelectorAll('.grid tbody tr').length === 3").await;
    let at_cell = "document.querySelector('[aria-label=\"age, line 3\"]').closest('td').innerText";
    let reason = studio.eval(at_cell).await;
    assert!(reason.as_str().unwrap().contains("expected an integer"), "{reason}");
    studio.picture("mend").await;
    // Two of the three rows are right now, and the third one comes back.
    fill(studio, "age, line 3", "41").await;
    fill(studio, "id, line 4", "3003").await;
    studio.choose("Import these 3 rows").await;
    studio.shows("1 of 3 rows were rejected").await;
    assert_eq!(count(studio).await, "4");
    studio.choose("Mend the rejected rows").await;
    studio.until("document.querySelectorAll('.grid tbody tr').length === 1").await;
    fill(studio, "name, line 5", "Ed, \"the\" last").await;
    studio.choose("Import these 1 rows").await;
    studio.shows("All rows are good.").await;
    assert_eq!(count(studio).await, "5");
    let name = "SELECT name FROM staff WHERE id = '3005'";
    assert_eq!(super::rows::value(studio, name).await, "Ed, \"the\" last");
    // The line break of a name is as it was in the file.
    let name = "SELECT name FROM staff WHERE id = '3003'";
    assert_eq!(super::rows::value(studio, name).await, "Cy\nCo");
}

/// A file that is chosen stays, and is previewed anew.
async fn the_defaults_of_a_table_come_with_it(studio: &Studio) {
    let change = "(() => {
        const { mode, table } = document.forms.import.elements;
        mode.value = 'replace';
        document.querySelector('#preview').replaceChildren();
        table.dispatchEvent(new Event('change', { bubbles: true }));
    })()";
    studio.eval(change).await;
    studio.shows("Proposed from the content of the file").await;
    assert_eq!(studio.eval("document.forms.import.elements.mode.value").await, "upsert");
}

async fn fill(studio: &Studio, label: &str, text: &str) {
    let selector = format!("input[aria-label={}]", json!(label));
    studio.eval(&format!("document.querySelector({}).select()", json!(selector))).await;
    studio.browser.type_into(&selector, text).await;
}

async fn count(studio: &Studio) -> String {
    super::rows::value(studio, "SELECT count(*)::text FROM staff WHERE id LIKE '300%'").await
}
