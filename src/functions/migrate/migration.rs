//! A file as the statements that run, and the files that are refused before anything runs.
//!
//! Pure.

use super::error::MigrateError;
use super::files::SqlFile;
use super::split::{self, Fault, MARK, Statement};

/// A file that can be run.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) has_transaction: bool,
    pub(super) statements: Vec<Statement>,
}

impl Migration {
    /// Cuts a file into statements, and refuses one that could not run as a whole.
    pub(super) fn of(file: &SqlFile) -> Result<Self, MigrateError> {
        let refused =
            |Fault { line, cause }| MigrateError::Refused { name: file.name.clone(), line, cause };
        let has_transaction = file.text.lines().next().is_none_or(|line| line.trim_end() != MARK);
        let statements = split::statements(&file.text).map_err(refused)?;
        for statement in &statements {
            check(statement, has_transaction)
                .map_err(|cause| refused(Fault::new(statement.line, cause)))?;
        }
        let (name, checksum) = (file.name.clone(), file.checksum());
        Ok(Self { name, checksum, has_transaction, statements })
    }
}

/// The beginnings of statements that begin or end a transaction, or a part of one.
const OF_TRANSACTIONS: [&[&str]; 9] = [
    &["ABORT"],
    &["BEGIN"],
    &["COMMIT"],
    &["END"],
    &["PREPARE", "TRANSACTION"],
    &["RELEASE"],
    &["ROLLBACK"],
    &["SAVEPOINT"],
    &["START", "TRANSACTION"],
];

/// The beginnings of statements that PostgreSQL runs outside a transaction only.
const OUTSIDE: [&[&str]; 7] = [
    &["ALTER", "SYSTEM"],
    &["CREATE", "DATABASE"],
    &["CREATE", "TABLESPACE"],
    &["DROP", "DATABASE"],
    &["DROP", "TABLESPACE"],
    &["REINDEX", "DATABASE"],
    &["VACUUM"],
];

/// The beginnings of statements that PostgreSQL runs outside a transaction only, if they say
/// `CONCURRENTLY`. (`REFRESH MATERIALIZED VIEW CONCURRENTLY` runs in a transaction.)
const CONCURRENTLY: [&[&str]; 5] = [
    &["ALTER", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["DROP", "INDEX"],
    &["REINDEX"],
];

/// Returns the reason to refuse a statement.
fn check(statement: &Statement, has_transaction: bool) -> Result<(), String> {
    let is_one_of = |beginnings: &[&'static [&str]]| {
        beginnings.iter().copied().find(|words| statement.begins_with(words))
    };
    if let Some(words) = is_one_of(&OF_TRANSACTIONS) {
        let words = words.join(" ");
        return Err(if has_transaction {
            format!("leave {words} out: the file runs in one transaction")
        } else {
            format!("leave {words} out: each statement of the file runs on its own")
        });
    }
    let concurrently = is_one_of(&CONCURRENTLY).filter(|_| statement.has_word("CONCURRENTLY"));
    if has_transaction {
        return match (is_one_of(&OUTSIDE), concurrently) {
            (Some(words), _) => Err(outside(&words.join(" "))),
            (None, Some(words)) => Err(outside(&format!("{} CONCURRENTLY", words.join(" ")))),
            (None, None) => Ok(()),
        };
    }
    let is_index = concurrently.is_some_and(|words| words.contains(&"INDEX"));
    if is_index && !(statement.has_word("IF") && statement.has_word("EXISTS")) {
        return Err("write IF NOT EXISTS and a name, or IF EXISTS: a file without a transaction \
                    that stops is run again from its first statement"
            .to_owned());
    }
    Ok(())
}

fn outside(words: &str) -> String {
    format!(
        "{words} cannot run in a transaction; put it into a file of its own whose first line is \
         `{MARK}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(text: &str) -> Result<Migration, MigrateError> {
        Migration::of(&SqlFile { name: "0002_test.sql".into(), text: text.into() })
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = migration(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_file_that_begins_or_ends_transactions_is_refused() {
        for words in [
            "BEGIN",
            "begin work",
            "START TRANSACTION READ WRITE",
            "COMMIT",
            "COMMIT AND CHAIN",
            "COMMIT PREPARED 'x'",
            "END",
            "ROLLBACK TO SAVEPOINT a",
            "ABORT",
            "SAVEPOINT a",
            "RELEASE a",
            "PREPARE TRANSACTION 'x'",
        ] {
            let text = format!("SELECT 1;\n-- a comment\n{words};");
            check_refused(&text, "0002_test.sql, line 3: leave ");
            check_refused(&format!("{MARK}\n{text}"), "0002_test.sql, line 4: leave ");
        }
    }

    #[test]
    fn bodies_of_functions_and_prepared_statements_are_no_transactions() {
        let text = "PREPARE a AS SELECT 1; DO $$ BEGIN PERFORM 1; END $$;
            CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;
            CREATE TABLE \"begin\" (\"commit\" int)";
        assert_eq!(migration(text).unwrap().statements.len(), 4);
    }

    #[test]
    fn a_statement_that_cannot_run_in_a_transaction_needs_the_mark() {
        for sql in [
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "create unique index concurrently if not exists i on t (a)",
            "DROP INDEX CONCURRENTLY IF EXISTS i",
            "REINDEX INDEX CONCURRENTLY i",
            "REINDEX (CONCURRENTLY, VERBOSE) TABLE t",
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
            "VACUUM ANALYZE t",
            "CREATE DATABASE d",
            "ALTER SYSTEM SET work_mem = '8MB'",
        ] {
            let text = format!("\n{sql};");
            let error = migration(&text).unwrap_err().to_string();
            assert!(error.starts_with("0002_test.sql, line 2: "), "{error}");
            assert!(error.contains(MARK), "{error}");
            let marked = migration(&format!("{MARK}\r\n{sql};")).unwrap();
            assert!(!marked.has_transaction);
        }
        for sql in ["CREATE INDEX i ON t (a)", "REFRESH MATERIALIZED VIEW CONCURRENTLY v"] {
            assert!(migration(sql).unwrap().has_transaction);
        }
    }

    #[test]
    fn an_index_outside_a_transaction_must_be_repeatable() {
        for sql in ["CREATE INDEX CONCURRENTLY ON t (a)", "DROP INDEX CONCURRENTLY i"] {
            let expected = "0002_test.sql, line 2: write IF NOT EXISTS";
            check_refused(&format!("{MARK}\n{sql};"), expected);
        }
    }

    #[test]
    fn the_mark_is_the_first_line_only() {
        assert!(migration(&format!("\n{MARK}\nSELECT 1")).unwrap().has_transaction);
    }
}
