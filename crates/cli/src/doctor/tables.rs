//! Compares the tables that the API knows with those of the database.
//!
//! Pure.

use super::finding::Finding;
use crate::refresh::Refreshed;

const CHECK: &str = "tables";

/// Returns the findings of a comparison that the function `refresh` has made, or of its failure.
pub(crate) fn findings(compared: &anyhow::Result<Refreshed>) -> Vec<Finding> {
    let compared = match compared {
        Ok(compared) => compared,
        Err(error) => {
            return vec![Finding::error(
                CHECK,
                format!("the tables cannot be read from the database: {error:#}"),
                "Without the database nothing is applied or read. Writes wait in their queue.",
                "read the log of the function refresh",
            )];
        }
    };
    let Refreshed { version, stored_before, tables, changes, remarks, .. } = compared;
    let mut findings = Vec::new();
    if stored_before.is_none() {
        findings.push(Finding::error(
            CHECK,
            "no catalog of the tables is stored".to_owned(),
            "Each request gets 503 until there is one.",
            "aurora-sync refresh",
        ));
    }
    if tables.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            "the API offers no table".to_owned(),
            "Only what the two roles have been granted is offered.",
            "GRANT SELECT ON my_table TO sync_reader; GRANT SELECT, INSERT, UPDATE, DELETE ON my_table \
             TO sync_writer;",
        ));
    }
    if !changes.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!("the database has changed since its tables were read: {}", changes.join("; ")),
            "The functions find a change within a minute while there are requests. Until then, \
             requests that do not fit the tables may be accepted, and rejected later.",
            "aurora-sync refresh",
        ));
    }
    for remark in remarks {
        findings.push(Finding::warning(
            CHECK,
            remark.clone(),
            "The table is not offered as it was granted.",
            "change the table or its grants, then aurora-sync refresh",
        ));
    }
    if findings.is_empty() {
        let names = tables.join(", ");
        findings.push(Finding::ok(
            CHECK,
            format!("the API knows the tables of the database (version {version}): {names}"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    fn compared() -> Refreshed {
        Refreshed {
            version: "ab".into(),
            stored_before: Some("ab".into()),
            tables: vec!["staff".into()],
            changes: Vec::new(),
            remarks: Vec::new(),
            checked: None,
        }
    }

    fn found(compared: Refreshed) -> Vec<(Severity, String)> {
        let findings = findings(&Ok(compared)).into_iter();
        findings.map(|finding| (finding.severity, finding.what)).collect()
    }

    #[test]
    fn equal_tables_are_well() {
        let [(severity, what)] = found(compared()).try_into().unwrap();
        assert_eq!(severity, Severity::Ok);
        assert_eq!(what, "the API knows the tables of the database (version ab): staff");
    }

    #[test]
    fn each_change_and_each_remark_is_named() {
        let changes = vec!["staff.age: removed".into(), "staff.email: added".into()];
        let remarks = vec!["orders: it has no key".into()];
        let warnings = found(Refreshed { changes, remarks, ..compared() });
        assert!(warnings.iter().all(|(severity, _)| *severity == Severity::Warning));
        let [(_, changed), (_, remark)] = warnings.try_into().unwrap();
        assert!(changed.ends_with(": staff.age: removed; staff.email: added"), "{changed}");
        assert_eq!(remark, "orders: it has no key");
    }

    #[test]
    fn a_database_that_cannot_be_read_and_a_catalog_that_is_missing_are_errors() {
        let failed = findings(&Err(anyhow::anyhow!("it is away")));
        assert_eq!(failed[0].severity, Severity::Error);
        assert!(failed[0].what.ends_with("it is away"));
        let missing = found(Refreshed { stored_before: None, ..compared() });
        assert_eq!(missing[0].0, Severity::Error);
    }
}
