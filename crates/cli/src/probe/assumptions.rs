//! The assumptions that only a real AWS account can settle, each with its experiment.
//!
//! The Data API server of this repository behaves as they say: `crates/data-api-server/README.md`
//! marks them as unknown, inferred or stricter. An assumption names the test of that behavior.

use std::pin::Pin;
use std::sync::Arc;

use super::experiments::{
    batches, gateway, limits, parameters, requests, results, services, time, transactions,
};
use super::lab::Lab;
use super::seen::Seen;

/// An assumption.
#[derive(Debug)]
pub(crate) struct Assumption {
    pub(crate) id: &'static str,
    pub(crate) text: &'static str,
    /// The files that must change if it does not hold.
    pub(crate) relied_on_by: &'static [&'static str],
    /// The tests of the Data API server that pin it.
    pub(crate) tests: &'static [&'static str],
    /// It takes about a minute.
    pub(crate) is_slow: bool,
    pub(crate) experiment: Experiment,
}

/// An experiment, and its course.
pub(crate) type Experiment = fn(Arc<Lab>) -> Trial;
type Trial = Pin<Box<dyn Future<Output = anyhow::Result<Seen>> + Send>>;

/// Makes the experiment of a function of [`super::experiments`].
macro_rules! by {
    ($function:path) => {
        |lab| Box::pin(async move { $function(&lab).await })
    };
}

/// Makes the experiment that nobody can make by a command, with the reason.
macro_rules! not_here {
    ($reason:literal) => {
        |_| Box::pin(async { Ok(Seen::NotTried($reason.to_owned())) })
    };
}

const SERVER: &str = "crates/data-api-server/README.md";
const ERRORS: &str = "src/domain/error/data_api.rs";
const TRANSACTION: &str = "src/database/transaction.rs";
const PLAN: &str = "src/database/plan/mod.rs";
const HTTP: &str = "src/api/http.rs";
const LOOK_UP: &str = "docs/guide/look-up.md";
const GATEWAY: &str = "docs/reference/errors.md";

/// Makes an assumption about the Data API that takes no time.
const fn assumption(
    id: &'static str,
    text: &'static str,
    relied_on_by: &'static [&'static str],
    tests: &'static [&'static str],
    experiment: Experiment,
) -> Assumption {
    Assumption { id, text, relied_on_by, tests, is_slow: false, experiment }
}

pub(crate) const ASSUMPTIONS: &[Assumption] = &[
    // --- Requests of the Data API ---
    assumption(
        "unknown-path",
        "A path that the API does not have is 404 UnknownOperationException.",
        &[SERVER],
        &["requests::all_five_paths_answer"],
        by!(requests::unknown_path),
    ),
    assumption(
        "wrong-type",
        "A member of the wrong type is 400 SerializationException.",
        &[SERVER],
        &["requests::what_the_model_does_not_allow_is_a_serialization_exception"],
        by!(requests::wrong_type),
    ),
    assumption(
        "body-not-utf8",
        "A request that is not UTF-8 is 400 SerializationException.",
        &[SERVER],
        &["requests::what_the_model_does_not_allow_is_a_serialization_exception"],
        by!(requests::not_utf8),
    ),
    assumption(
        "missing-member",
        "A missing, empty or too long member is 400 ValidationException.",
        &[SERVER, ERRORS],
        &["requests::what_is_missing_or_too_long_is_a_validation_exception"],
        by!(requests::missing_member),
    ),
    assumption(
        "unlisted-value",
        "A value that the model does not list, and a NUL in sql, are 400 ValidationException.",
        &[SERVER],
        &["requests::values_that_the_model_does_not_list_are_a_validation_exception"],
        by!(requests::unlisted_value),
    ),
    assumption(
        "batch-semicolon",
        "A batch does not take a semicolon at the end of its statement.",
        &[SERVER],
        &["batches::a_closing_semicolon_is_for_execute_only"],
        by!(requests::batch_semicolon),
    ),
    assumption(
        "request-of-the-worker",
        "A request of 4 MiB less 32 KiB is taken; those of the worker are smaller.",
        &[PLAN],
        &["limits::a_request_holds_four_mebibytes_with_its_headers"],
        by!(limits::request_of_the_worker),
    ),
    assumption(
        "request-to-the-byte",
        "A request has at most 4 MiB with its headers; one byte more is 400 BadRequestException.",
        &[PLAN, SERVER],
        &["limits::a_request_holds_four_mebibytes_with_its_headers"],
        by!(limits::request_to_the_byte),
    ),
    assumption(
        "sql-text",
        "A statement has at most 65,536 characters, not bytes; one more is 400 ValidationException.",
        &["src/functions/migrate/split.rs", SERVER],
        &["limits::an_sql_text_holds_65_536_characters"],
        by!(limits::sql_text),
    ),
    assumption(
        "missing-secret",
        "A secret that is not there is 400 SecretsErrorException.",
        &[ERRORS],
        &[
            "requests::the_cluster_and_the_secret_are_checked",
            "secrets::a_secret_that_cannot_be_retrieved_is_a_secrets_error",
        ],
        by!(requests::missing_secret),
    ),
    assumption(
        "invalid-secret",
        "A secret without username and password is 400 InvalidSecretException.",
        &[ERRORS],
        &["secrets::a_secret_without_a_login_is_invalid"],
        not_here!("it needs a secret that is wrong; make one, and call the Data API with it"),
    ),
    assumption(
        "wrong-password",
        "A wrong password is 400 DatabaseErrorException with SQLSTATE 28P01.",
        &[ERRORS],
        &["secrets::a_wrong_password_is_an_error_of_the_database"],
        not_here!(
            "it needs a secret with a wrong password; make one, and call the Data API with it"
        ),
    ),
    assumption(
        "rotated-secret",
        "After a rotation of its secret, a user is refused for a moment only.",
        &[ERRORS],
        &[
            "secrets::other_secrets_are_looked_up_once_in_secrets_manager",
            "secrets::a_rotated_secret_is_looked_up_once_more",
        ],
        not_here!(
            "it would change a password; rotate a secret by hand under traffic, and read the logs"
        ),
    ),
    assumption(
        "no-database",
        "A request that names no database goes to the default one.",
        &[SERVER],
        &[],
        by!(requests::no_database),
    ),
    assumption(
        "other-database",
        "A call of a transaction goes to its database, whatever database it names.",
        &[SERVER],
        &[],
        by!(requests::other_database),
    ),
    // --- Parameters ---
    assumption(
        "declared-types",
        "Parameters have the types text, bigint, double precision, boolean and bytea, and those of \
         their hints.",
        &["src/database/parameter_set.rs", "src/functions/lookup/reader.rs"],
        &["parameters::each_member_has_its_declared_type"],
        by!(parameters::declared_types),
    ),
    assumption(
        "uncast-text",
        "A text for an integer column, without a cast, is 42804.",
        &["docs/decisions/0009-values-travel-as-text.md"],
        &["parameters::a_string_is_text_and_nothing_is_coerced"],
        by!(parameters::uncast_text),
    ),
    assumption(
        "null-false",
        "isNull: false is NULL too.",
        &[SERVER],
        &["parameters::null_has_no_type"],
        by!(parameters::null_false),
    ),
    assumption(
        "six-digits",
        "The hint TIMESTAMP takes six digits of a second.",
        &[SERVER],
        &["parameters::hints_take_their_documented_formats_only"],
        by!(parameters::six_digits),
    ),
    assumption(
        "other-format",
        "A time in another format than the documented one is 400 BadRequestException.",
        &[SERVER],
        &["parameters::hints_take_their_documented_formats_only"],
        by!(parameters::other_format),
    ),
    assumption(
        "surplus-name",
        "A parameter that the statement lacks, and one that is given twice, are refused.",
        &[SERVER],
        &["parameters::names_must_be_those_of_the_statement"],
        by!(parameters::surplus_name),
    ),
    assumption(
        "missing-name",
        "A parameter that is not given is 08P01.",
        &[SERVER],
        &["parameters::names_must_be_those_of_the_statement"],
        by!(parameters::missing_name),
    ),
    assumption(
        "worker-syntax",
        "The scanner of parameters leaves quotes, comments and casts alone.",
        &["src/database/statement/mod.rs"],
        &["parameters::placeholders_are_scanned_as_the_service_does"],
        by!(parameters::worker_syntax),
    ),
    assumption(
        "scanner",
        "The scanner of parameters looks into $$ quotes and array slices.",
        &["src/functions/migrate/split.rs", SERVER],
        &["parameters::placeholders_are_scanned_as_the_service_does"],
        by!(parameters::dollar_quotes),
    ),
    assumption(
        "scanner-escapes",
        "The scanner of parameters takes \\' for the end of a quote, E'…' too, and nests comments.",
        &[SERVER],
        &["parameters::placeholders_are_scanned_as_the_service_does"],
        by!(parameters::escapes),
    ),
    assumption(
        "nan",
        "NaN is sent and returned as the string \"NaN\" in doubleValue.",
        &[SERVER],
        &["results::numbers_and_booleans"],
        by!(parameters::nan),
    ),
    // --- Results ---
    assumption(
        "infinite-time",
        "An infinite time in a result is 500 InternalFailure without a message.",
        &["src/functions/lookup/reader.rs", ERRORS],
        &["results::infinite_times_end_in_a_failure_without_a_message"],
        by!(results::infinity),
    ),
    assumption(
        "json-as-text",
        "JSON that is cast to text comes back as it is stored.",
        &["src/api/query/statement.rs"],
        &["results::json_is_parsed_and_written_again"],
        by!(results::json_rewritten),
    ),
    assumption(
        "json-order",
        "A result of type json is written again, with its members sorted.",
        &[SERVER],
        &["results::json_is_parsed_and_written_again"],
        by!(results::json_order),
    ),
    assumption(
        "returning-count",
        "The count of INSERT … RETURNING is 0, beside its records.",
        &[SERVER],
        &["results::records_are_there_for_queries_and_counts_for_changes"],
        by!(results::returning),
    ),
    assumption(
        "metadata",
        "The type, precision and scale of columnMetadata are those of JDBC.",
        &[SERVER],
        &["results::metadata_come_for_queries_where_they_are_asked_for"],
        by!(results::metadata),
    ),
    assumption(
        "equal-labels",
        "Two columns of one label in formatted records are 400 UnsupportedResultException.",
        &[SERVER],
        &["results::records_can_be_formatted_as_json"],
        by!(results::equal_labels),
    ),
    assumption(
        "unsupported-type",
        "An interval in a result is 400 UnsupportedResultException, which names the type.",
        &["src/functions/lookup/reader.rs"],
        &["results::types_that_the_service_cannot_return_fail_the_call"],
        by!(results::unsupported_type),
    ),
    assumption(
        "time-zone",
        "A timestamptz comes back in UTC without its offset, whatever zone the session has.",
        &["src/api/query/statement.rs"],
        &["results::times_have_no_three_or_six_digits_and_no_offset"],
        by!(results::time_zone),
    ),
    assumption(
        "date-style",
        "A date comes back in the DateStyle of the session.",
        &[SERVER],
        &[],
        by!(results::date_style),
    ),
    assumption(
        "result-size",
        "A result has at most 1 MiB: 2 bytes a row, 4 a column, and the texts.",
        &["docs/reference/limits.md", "src/functions/lookup/rows.rs"],
        &["limits::a_result_holds_one_mebibyte"],
        by!(limits::result),
    ),
    assumption(
        "large-row",
        "A row of more than 64 KB comes back.",
        &["docs/reference/limits.md"],
        &["limits::a_result_holds_one_mebibyte"],
        by!(limits::large_row),
    ),
    assumption(
        "formatted-size",
        "Formatted records have at most 10 MB; more is 400 BadRequestException.",
        &[SERVER],
        &["limits::formatted_records_hold_ten_megabytes"],
        by!(limits::formatted),
    ),
    assumption(
        "overflow-in-transaction",
        "A result that is too large ends its transaction.",
        &[SERVER],
        &["limits::a_result_that_is_too_large_ends_its_transaction"],
        by!(results::overflow_in_transaction),
    ),
    // --- Batches ---
    assumption(
        "batch-outside",
        "Outside of a transaction, the sets before a failing one stand.",
        &[SERVER, "docs/decisions/0001-change-rows-in-one-way.md"],
        &["batches::outside_a_transaction_the_sets_before_a_failing_one_stand"],
        by!(batches::outside),
    ),
    assumption(
        "batch-inside",
        "A failing set aborts its transaction: the next call is 25P02 or 404, and nothing stands.",
        &["src/database/batch.rs", TRANSACTION],
        &["batches::inside_a_transaction_a_failing_set_aborts_it"],
        by!(batches::inside),
    ),
    assumption(
        "batch-names-no-set",
        "The error of a batch is that of PostgreSQL, and does not name the set.",
        &["docs/decisions/0002-bisect-inside-the-server.md", ERRORS],
        &["batches::inside_a_transaction_a_failing_set_aborts_it"],
        by!(batches::unnamed_set),
    ),
    assumption(
        "batch-without-sets",
        "A batch without sets succeeds and runs nothing.",
        &["src/aws/data_api.rs"],
        &["batches::no_sets_are_a_success_that_runs_nothing"],
        by!(batches::no_sets),
    ),
    assumption(
        "batch-of-an-empty-set",
        "A batch of one empty set runs once, and returns empty generatedFields.",
        &["src/database/batch.rs"],
        &["batches::each_set_is_one_execution_and_none_is_counted"],
        by!(batches::one_empty_set),
    ),
    assumption(
        "batch-order",
        "The sets of a batch run in their order.",
        &["docs/decisions/0004-order-writes-by-key.md"],
        &["batches::several_hundred_sets_keep_their_order"],
        by!(batches::order),
    ),
    assumption(
        "batch-types",
        "Each set of a batch has its own types.",
        &[SERVER],
        &["batches::nulls_change_the_types_from_set_to_set"],
        by!(batches::types_of_each_set),
    ),
    assumption(
        "batch-copy",
        "COPY in a batch ends the session of its transaction.",
        &[SERVER],
        &["batches::a_batch_that_copies_ends_its_session"],
        by!(batches::copy),
    ),
    // --- Transactions and sessions ---
    assumption(
        "aborted-commit",
        "The commit of an aborted transaction rolls back, and says Transaction Committed.",
        &[TRANSACTION],
        &["transactions::the_commit_of_an_aborted_transaction_rolls_back_and_does_not_tell"],
        by!(transactions::aborted_commit),
    ),
    assumption(
        "refused-commit",
        "A commit that a deferred constraint refuses is an error with its SQLSTATE, and nothing stands.",
        &["src/database/batch.rs", ERRORS],
        &[],
        by!(transactions::deferred),
    ),
    assumption(
        "two-calls",
        "A second call on a transaction is refused at once: Transaction is still running a query.",
        &[TRANSACTION, ERRORS],
        &["transactions::two_calls_at_once_on_one_transaction_are_one_too_many"],
        by!(transactions::two_calls),
    ),
    assumption(
        "ended-ids",
        "A transaction that has ended is 404 TransactionNotFoundException.",
        &[TRANSACTION, ERRORS],
        &["transactions::ids_that_are_unknown_or_ended_are_not_found"],
        by!(transactions::ended_ids),
    ),
    assumption(
        "savepoint",
        "SAVEPOINT and ROLLBACK TO are plain SQL.",
        &[SERVER],
        &["transactions::savepoints_are_plain_sql"],
        by!(transactions::savepoint),
    ),
    assumption(
        "user-of-the-secret",
        "A call works as the user of its secret, never in a session of another user.",
        &["src/database/roles.rs"],
        &["secrets::a_session_is_lent_to_its_own_user_only", "secrets::each_secret_has_its_user"],
        by!(transactions::other_user),
    ),
    assumption(
        "other-secret",
        "A transaction is not found with the secret of another user.",
        &[SERVER],
        &["secrets::a_transaction_is_found_by_its_own_user_only"],
        by!(transactions::other_secret),
    ),
    assumption(
        "forgotten-settings",
        "SET outside of a transaction has no effect on later calls.",
        &["docs/guide/operate.md", "src/functions/migrate/apply.rs"],
        &["transactions::nothing_of_a_call_is_left_for_the_next"],
        by!(transactions::forgotten_settings),
    ),
    assumption(
        "cached-plan",
        "After ALTER TABLE a statement may fail with 0A000, and then succeeds.",
        &["src/domain/error/sqlstate.rs"],
        &["errors::a_plan_that_a_migration_has_changed_fails_once"],
        by!(transactions::cached_plan),
    ),
    assumption(
        "prepared-statements",
        "A session keeps 100 prepared statements.",
        &[SERVER],
        &["limits::a_session_keeps_a_bounded_number_of_statements"],
        by!(transactions::prepared_statements),
    ),
    // --- Errors, time limits, the pause ---
    assumption(
        "error-form",
        "An error is `ERROR: message; SQLState: 23505`, without PostgreSQL's detail.",
        &[ERRORS, "src/domain/error/sqlstate.rs"],
        &["errors::errors_of_postgresql_have_the_services_form"],
        by!(time::error_form),
    ),
    assumption(
        "error-parts",
        "The hint and the position of an error stand between its message and its SQLSTATE.",
        &[ERRORS],
        &["errors::errors_of_postgresql_have_the_services_form"],
        by!(time::error_parts),
    ),
    assumption(
        "error-of-a-function",
        "The message of a RAISE comes with its lines, and its SQLSTATE at the end.",
        &[ERRORS, "sql/sync/0002_settle.sql"],
        &["errors::errors_of_postgresql_have_the_services_form"],
        by!(time::error_of_function),
    ),
    assumption(
        "own-limit",
        "A statement_timeout that a transaction sets itself cancels its statement.",
        &["sql/sync/0002_settle.sql", ERRORS],
        &[],
        by!(time::own_limit),
    ),
    Assumption {
        is_slow: true,
        ..assumption(
            "time-limit",
            "A call ends after 45 s: 400 StatementTimeoutException, and its transaction is over.",
            &[TRANSACTION, "docs/reference/limits.md"],
            &["errors::a_statement_that_takes_too_long_is_cancelled"],
            by!(time::time_limit),
        )
    },
    Assumption {
        is_slow: true,
        ..assumption(
            "continue-after-timeout",
            "With continueAfterTimeout a statement goes on in its transaction, which can be committed \
             then.",
            &["src/functions/migrate/apply.rs", TRANSACTION],
            &["errors::a_statement_can_go_on_after_its_time"],
            by!(time::goes_on),
        )
    },
    assumption(
        "resuming",
        "A paused database responds 400 DatabaseResumingException at once, and then resumes.",
        &[TRANSACTION],
        &["errors::a_paused_database_fails_fast_and_takes_its_time_to_resume"],
        by!(time::resuming),
    ),
    assumption(
        "new-cluster",
        "In the first seconds of a new cluster, calls fail in a way that is tried again.",
        &["src/functions/migrate/outage.rs"],
        &[],
        not_here!(
            "it needs a new cluster; read the log of the function migrate after a first deployment"
        ),
    ),
    assumption(
        "database-away",
        "While PostgreSQL restarts, calls are 504 DatabaseUnavailableException.",
        &[ERRORS],
        &["faults::postgresql_can_be_restarted_under_it"],
        not_here!(
            "it would interrupt the database; fail the cluster over by hand, and read the logs"
        ),
    ),
    assumption(
        "too-many-sessions",
        "A call for which no session is left is 53300, or another error that is tried again.",
        &[ERRORS],
        &[],
        not_here!("it would take all sessions of the database"),
    ),
    // --- API Gateway ---
    assumption(
        "gateway-body-not-utf8",
        "A JSON body that is not UTF-8 is refused as malformed-body, whatever the gateway makes of it.",
        &[HTTP],
        &[],
        by!(gateway::body_not_utf8),
    ),
    assumption(
        "gateway-bytes",
        "A body that is no text reaches the function as its bytes.",
        &[HTTP],
        &[],
        by!(gateway::bytes),
    ),
    assumption(
        "gateway-unsigned",
        "A request without a signature is 403 with the message Forbidden.",
        &[GATEWAY],
        &[],
        by!(gateway::unsigned),
    ),
    assumption(
        "gateway-question-mark",
        "A path ends at %3F.",
        &[HTTP, LOOK_UP],
        &[],
        by!(gateway::question_mark),
    ),
    assumption(
        "gateway-percent",
        "%25 before two hexadecimal digits is decoded twice.",
        &[HTTP, LOOK_UP],
        &[],
        by!(gateway::percent_twice),
    ),
    assumption(
        "gateway-slash",
        "A path with %2F reaches the function.",
        &[HTTP, LOOK_UP],
        &[],
        by!(gateway::slash),
    ),
    assumption(
        "gateway-large-body",
        "A body over 10 MB, or over the 6 MiB of an event, is 413 Request Entity Too Large.",
        &[GATEWAY, "docs/reference/limits.md"],
        &[],
        by!(gateway::large_body),
    ),
    assumption(
        "gateway-preflight",
        "A preflight request needs no signature where AllowedOrigins is set.",
        &["template.yaml"],
        &[],
        by!(gateway::preflight),
    ),
    assumption(
        "gateway-access-log",
        "The access log has a line of JSON for each request.",
        &["template.yaml", "docs/guide/deploy.md"],
        &[],
        not_here!("the log comes minutes later; read /aws/vendedlogs/STACK-api"),
    ),
    // --- SQS, S3, Lambda ---
    assumption(
        "queue-group",
        "A hidden message of a FIFO queue holds back the later ones of its group, and no others.",
        &["src/functions/apply/mod.rs", "docs/decisions/0005-retry-later-with-backoff.md"],
        &[],
        by!(services::hidden_message_holds_its_group),
    ),
    assumption(
        "queue-receives",
        "A queue takes a maxReceiveCount of 1,000.",
        &["template.yaml", "src/domain/backoff.rs"],
        &[],
        by!(services::receives_max),
    ),
    assumption(
        "object-if-match",
        "S3 writes an object only if its ETag is that of If-Match.",
        &["src/functions/refresh.rs"],
        &[],
        by!(services::if_match),
    ),
    assumption(
        "object-metadata",
        "S3 returns metadata in encoded words, or decoded.",
        &["src/aws/objects/mod.rs", "crates/cli/src/aws/objects.rs"],
        &[],
        by!(services::metadata),
    ),
    assumption(
        "recursive-loop",
        "Lambda does not stop an import that sends itself messages.",
        &["template.yaml"],
        &[],
        not_here!(
            "it takes an import of some hours; import a file of hundreds of millions of rows, and look \
             for RecursiveInvocationsDropped"
        ),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap()
    }

    #[test]
    fn each_assumption_has_an_id_of_its_own_and_files_that_exist() {
        let mut ids = HashSet::new();
        for Assumption { id, relied_on_by, .. } in ASSUMPTIONS {
            assert!(ids.insert(id), "{id} is there twice");
            assert!(!relied_on_by.is_empty(), "{id}");
            for file in *relied_on_by {
                assert!(root().join(file).exists(), "{id}: {file}");
            }
        }
    }

    /// Each row of the server's page of behaviors that says "unknown", "inferred" or "stricter"
    /// names a test that an assumption names too.
    #[test]
    fn each_behavior_that_the_server_assumes_is_tried() {
        let page = std::fs::read_to_string(root().join(SERVER)).unwrap();
        let tried: HashSet<_> =
            ASSUMPTIONS.iter().flat_map(|assumption| assumption.tests).collect();
        let mut rows = 0;
        for row in page.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
            let Some(verdict) = cells.last().filter(|_| cells.len() == 4) else { continue };
            if ["unknown", "inferred", "stricter"].iter().any(|word| verdict.contains(word)) {
                rows += 1;
                let is_tried = tried.iter().any(|test| row.contains(&format!("`{test}`")));
                assert!(is_tried, "{row}");
            }
        }
        assert!(rows > 30, "{rows} rows");
    }

    #[test]
    fn each_test_that_an_assumption_names_is_in_the_server_page() {
        let page = std::fs::read_to_string(root().join(SERVER)).unwrap();
        for test in ASSUMPTIONS.iter().flat_map(|assumption| assumption.tests) {
            assert!(page.contains(&format!("`{test}`")), "{test}");
        }
    }
}
