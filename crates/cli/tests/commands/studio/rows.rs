//! Rows, writes and dead letters.

use serde_json::json;

use super::Studio;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Returns the first value of a query.
pub(super) async fn value(studio: &Studio, sql: &str) -> String {
    let client = ephemeral_postgres::connect(&studio.stack.addresses().database_url).await.unwrap();
    let rows = client.query(sql, &[]).await.unwrap();
    rows.first().map_or_else(String::new, |row| row.get(0))
}

pub(super) async fn a_row_is_added_changed_and_deleted(studio: &Studio) {
    studio.go_to("/tables").await;
    studio.choose("staff").await;
    studio.shows("Aurora").await;
    studio.picture("rows").await;
    studio.choose("Add a row").await;
    studio.browser.type_into("[name='v:id']", "40011").await;
    studio.browser.type_into("[name='v:name']", "Ann").await;
    studio.choose("Add the row").await;
    // The API refuses the length at once, and the problem stands at its field.
    let problem = "document.querySelector('[data-column=id] .problem').innerText";
    studio.until(&format!("{problem}.includes('at most 4 characters')")).await;
    assert_eq!(studio.eval("document.querySelector('[name=\"v:name\"]').value").await, "Ann");
    studio.browser.type_into("[name='v:id']", "\u{e003}").await;
    studio.choose("Add the row").await;
    studio.shows("applied").await;

    studio.choose("The row as it is now").await;
    studio.browser.type_into("[name='v:age']", "33").await;
    studio.choose("Save the changes").await;
    studio.shows("applied").await;
    assert_eq!(value(studio, "SELECT age::text FROM staff WHERE id = '4001'").await, "33");
    // The form has the row anew, with its new ETag: it can be saved again.
    studio.browser.type_into("[name='v:age']", "3").await;
    studio.choose("Save the changes").await;
    studio.until("document.querySelector('[name=\"w:age\"]')?.value === '333'").await;
    studio.shows("applied").await;
    assert_eq!(value(studio, "SELECT age::text FROM staff WHERE id = '4001'").await, "333");

    studio.choose("Delete").await;
    studio.choose("Delete row 4001 of staff").await;
    studio.shows("applied").await;
    assert_eq!(value(studio, "SELECT name FROM staff WHERE id = '4001'").await, "");
}

pub(super) async fn a_row_is_added_by_keyboard_alone(studio: &Studio) {
    studio.go_to("/tables/staff/new").await;
    // The first stop skips the navigation.
    studio.browser.press(TAB).await;
    assert_eq!(studio.eval("document.activeElement.className").await, "skip");
    studio.browser.press(ENTER).await;
    let focused = "document.activeElement.name || document.activeElement.textContent.trim()";
    let reach = async |name: &str| {
        for _ in 0..12 {
            if studio.eval(focused).await == name {
                return;
            }
            studio.browser.press(TAB).await;
        }
        panic!("no Tab leads to {name}");
    };
    reach("v:id").await;
    studio.browser.press("4002").await;
    reach("v:name").await;
    studio.browser.press("Kim").await;
    reach("Add the row").await;
    studio.browser.press(ENTER).await;
    studio.shows("applied").await;
    assert_eq!(value(studio, "SELECT name FROM staff WHERE id = '4002'").await, "Kim");
}

pub(super) async fn a_rejected_write_is_corrected_and_sent_again(studio: &Studio) {
    studio.go_to("/tables/staff/new").await;
    studio.browser.type_into("[name='v:id']", "4002").await;
    studio.browser.type_into("[name='v:name']", "Twice").await;
    studio.choose("Add the row").await;
    studio.shows("rejected").await;
    studio.go_to("/writes?outcome=rejected&table=staff").await;
    studio.until("document.querySelectorAll('tbody tr').length > 0").await;
    studio.picture("writes").await;
    studio.browser.click("tbody tr .acts a").await;
    studio.shows("Send it again").await;
    studio.picture("write").await;
    let edit = "document.querySelector('#row').value = '{\"id\": \"4003\", \"name\": \"Once\"}'";
    studio.eval(edit).await;
    studio.choose("Send write").await;
    studio.shows("applied").await;
    studio.shows("Sent again from").await;
    assert_eq!(value(studio, "SELECT name FROM staff WHERE id = '4003'").await, "Once");
}

pub(super) async fn a_dead_letter_is_redriven_and_another_discarded(studio: &Studio) {
    let sqs = aws_sdk_sqs::Client::new(&studio.stack.sdk_config());
    let url = &studio.stack.addresses().writes_dead_letter_queue_url;
    for (number, id) in [(1, "4101"), (2, "4102")] {
        let write = json!({
            "id": format!("01900000-0000-7000-8000-0000000000{number:02}"), "table": "staff",
            "operation": "upsert", "key": null, "row": [["id", id], ["name", "late"]],
            "accepted_at_ms": jiff::Timestamp::now().as_millisecond() - 3_600_000,
        });
        let body = json!({ "version": "1", "writes": [write] }).to_string();
        let send = sqs.send_message().queue_url(url).message_body(&body);
        let send = send.message_group_id(id).message_deduplication_id(id);
        Box::pin(send.send()).await.unwrap();
    }
    studio.go_to("/dead-letters").await;
    studio.shows("staff").await;
    studio.picture("dead-letters").await;
    studio.choose("Show").await;
    studio.shows("4101").await;
    let redrive = "document.querySelectorAll('section.panel').forEach(section => \
                   section.innerText.includes('4101') || section.remove())";
    studio.eval(redrive).await;
    studio.choose("Redrive").await;
    studio.shows("1 messages with 1 writes were sent to their queue again.").await;
    studio.go_to("/writes/01900000-0000-7000-8000-000000000001").await;
    studio.shows("applied").await;
    assert_eq!(value(studio, "SELECT name FROM staff WHERE id = '4101'").await, "late");

    studio.go_to("/dead-letters").await;
    studio.choose("Discard").await;
    studio.shows("Discard all of staff").await;
    studio.choose("Discard all of staff").await;
    studio.shows("1 messages with 1 writes were discarded.").await;
    studio.go_to("/writes/01900000-0000-7000-8000-000000000002").await;
    studio.shows("rejected").await;
    assert_eq!(value(studio, "SELECT name FROM staff WHERE id = '4102'").await, "");

    // A file is loaded over newer rows, so a person confirms its redrive.
    let addresses = studio.stack.addresses();
    let notification = json!({ "Records": [{
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": { "name": addresses.uploads_bucket },
            "object": { "key": "imports/staff/gone.csv", "eTag": "e", "sequencer": "01" },
        },
    }] });
    let send = sqs.send_message().queue_url(&addresses.imports_dead_letter_queue_url);
    Box::pin(send.message_body(notification.to_string()).send()).await.unwrap();
    studio.go_to("/dead-letters").await;
    studio.choose("Redrive…").await;
    studio.shows("Redrive all of staff").await;
    studio.shows("over rows that were changed since").await;
    studio.choose("Redrive all of staff").await;
    studio.shows("1 messages with 1 files were sent to their queue again.").await;
}
