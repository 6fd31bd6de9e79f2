//! `aurora-sync doctor` on a stack that is broken part by part.

use aws_sdk_lambda::types::ScalingConfig;
use aws_sdk_s3::types::NotificationConfiguration;
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use local_stack::http_server::HttpServer;
use local_stack::{Options, Profile, Stack, build_functions, workspace};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::cli::{Cli, put_metric, run_sql};

/// A stack whose parts can be broken.
struct Patient {
    stack: Stack,
    lambda: aws_sdk_lambda::Client,
    sqs: aws_sdk_sqs::Client,
    s3: aws_sdk_s3::Client,
    cloudformation: aws_sdk_cloudformation::Client,
}

/// A finding: its check, its severity and its text.
type Found = (String, String, String);

impl Patient {
    async fn admit(options: Options) -> Self {
        let stack = Stack::start(options).await.unwrap();
        let config = stack.sdk_config();
        Self {
            lambda: aws_sdk_lambda::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            s3: aws_sdk_s3::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            stack,
        }
    }

    /// Returns the exit status and the findings.
    async fn doctor(&self, api_url: &str) -> (i32, Vec<Found>) {
        let cli = Cli::of(&self.stack);
        // The emulator's API is not where its outputs say.
        let words = format!("--json --stack aurora-sync --api {api_url}");
        let run = move || cli.run("doctor", &words, "");
        let (status, said, progress) = spawn_blocking(run).await.unwrap();
        let findings: Vec<Value> =
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{progress}"));
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let found =
            |finding| (text(finding, "check"), text(finding, "severity"), text(finding, "what"));
        (status, findings.iter().map(found).collect())
    }

    async fn check(&self) -> (i32, Vec<Found>) {
        self.doctor(&self.stack.addresses().api_url).await
    }

    fn sql(&self, sql: &str) {
        tokio::task::block_in_place(|| run_sql(&self.stack, sql));
    }

    /// Returns the name of a function.
    async fn function(&self, logical_id: &str) -> String {
        let found = self.cloudformation.describe_stack_resource().stack_name("aurora-sync");
        let found = found.logical_resource_id(logical_id).send().await.unwrap();
        found.stack_resource_detail.unwrap().physical_resource_id.unwrap()
    }

    /// Returns the id of the mapping of a function.
    async fn mapping(&self, logical_id: &str) -> String {
        let function = self.function(logical_id).await;
        let found = self.lambda.list_event_source_mappings().function_name(function);
        let found = found.send().await.unwrap().event_source_mappings.unwrap();
        found[0].uuid.clone().unwrap()
    }

    async fn set_queue(&self, url: &str, name: QueueAttributeName, value: &str) {
        let set = self.sqs.set_queue_attributes().queue_url(url).attributes(name, value);
        set.send().await.unwrap();
    }

    /// Sets the age of the oldest message, which the emulator does not measure.
    async fn set_age(&self, queue: &str, seconds: f64) {
        let data = json!({
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{ "Name": "QueueName", "Value": queue }],
            "Value": seconds,
        });
        put_metric(&self.stack, "AWS/SQS", &data).await;
    }
}

/// Fails unless a finding begins with this text.
fn assert_found(findings: &[Found], (check, severity, what): (&str, &str, &str)) {
    let is_found = findings
        .iter()
        .any(|found| found.0 == check && found.1 == severity && found.2.starts_with(what));
    assert!(is_found, "{check}, {severity}, {what}: {findings:#?}");
}

fn not_ok(findings: &[Found]) -> Vec<&Found> {
    findings.iter().filter(|(_, severity, _)| severity != "ok").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_part_of_a_stack_is_a_finding() {
    let functions = build_functions(&workspace::root().unwrap(), Profile::Dev).await.unwrap();
    let options = Options::new(functions).unwrap().parameter("Authorization", "NONE");
    let patient = Patient::admit(options).await;
    an_open_api_is_the_only_finding_of_a_good_stack(&patient).await;
    another_version_and_another_time_are_findings(&patient).await;
    an_api_that_wants_a_token_is_not_checked(&patient).await;
    broken_settings_are_findings(&patient).await;
    missing_rights_are_findings(&patient).await;
}

async fn an_open_api_is_the_only_finding_of_a_good_stack(patient: &Patient) {
    let (status, findings) = patient.check().await;
    let open = ("api", "warning", "the API serves requests that nobody signed");
    assert_found(&findings, open);
    assert_eq!((status, not_ok(&findings).len()), (3, 1), "{findings:#?}");
    for well in [
        ("tables", "ok", "the API knows the tables of the database"),
        (
            "roles",
            "ok",
            "PostgreSQL holds the users to their rights: sync_reader_sync (sync_reader), \
             sync_writer_sync (sync_writer)",
        ),
        ("blocked", "ok", "no message group waits for a person"),
        ("clock", "ok", "the clock of this machine is right"),
        ("versions", "ok", "the functions and this command are aurora-sync "),
        ("versions", "ok", "the 7 functions are as the stack has deployed them"),
        ("queues", "ok", "writes: messages that wait: 0 (no age known), in work: 0"),
        ("queues", "ok", "imports: messages that wait: 0"),
        ("buckets", "ok", "the three buckets are there, and uploads notify their queue"),
        ("quotas", "ok", "the account runs "),
    ] {
        assert_found(&findings, well);
    }
}

/// An API of another version, whose clock is an hour behind.
async fn another_version_and_another_time_are_findings(patient: &Patient) {
    let server = HttpServer::start(|_| async {
        let hour_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
        let date = hour_ago.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let body = json!({ "info": { "version": "99.0.0" } }).to_string();
        Ok(Response::builder().header("date", date).body(Full::new(Bytes::from(body)))?)
    });
    let server = server.await.unwrap();
    let (status, findings) = patient.doctor(&server.url()).await;
    assert_eq!(status, 1, "{findings:#?}");
    assert_found(&findings, ("versions", "error", "lookup is 99.0.0, refresh "));
    assert_found(&findings, ("clock", "error", "the clock of this machine is 3"));
}

async fn an_api_that_wants_a_token_is_not_checked(patient: &Patient) {
    let server = HttpServer::start(|_| async {
        let body = Full::new(Bytes::from_static(br#"{"message":"Unauthorized"}"#));
        Ok(Response::builder().status(401).body(body)?)
    });
    let server = server.await.unwrap();
    let (status, findings) = patient.doctor(&server.url()).await;
    let expected = ("api", "skipped", "the API responds 401: it wants a token");
    assert_found(&findings, expected);
    assert_eq!((status, not_ok(&findings).len()), (0, 1), "{findings:#?}");
}

async fn broken_settings_are_findings(patient: &Patient) {
    patient.sql(
        "ALTER ROLE sync_writer_sync BYPASSRLS;
         ALTER TABLE staff OWNER TO sync_reader_sync;
         CREATE ROLE strong LOGIN SUPERUSER;
         GRANT sync_writer TO strong;
         INSERT INTO sync.blocked (message_group, write_ids, cause)
         VALUES ('staff:7', '{00000000-0000-4000-8000-000000000001}', '42501')",
    );
    let addresses = patient.stack.addresses();
    let writes = &addresses.writes_queue_url;
    patient.set_queue(writes, QueueAttributeName::VisibilityTimeout, "10").await;
    let dead = "arn:aws:sqs:us-east-1:000000000000:aurora-sync-writes-dead.fifo";
    let redrive = json!({ "deadLetterTargetArn": dead, "maxReceiveCount": 5 }).to_string();
    patient.set_queue(writes, QueueAttributeName::RedrivePolicy, &redrive).await;
    let dead = &addresses.imports_dead_letter_queue_url;
    patient.sqs.send_message().queue_url(dead).message_body("x").send().await.unwrap();
    patient.set_age("aurora-sync-writes.fifo", 3_600.0).await;

    let lambda = &patient.lambda;
    let mapping = lambda.update_event_source_mapping().uuid(patient.mapping("ApplyFunction").await);
    let scaling = ScalingConfig::builder().maximum_concurrency(1_000).build();
    let mapping = mapping.set_function_response_types(Some(Vec::new())).scaling_config(scaling);
    mapping.send().await.unwrap();
    let mapping =
        lambda.update_event_source_mapping().uuid(patient.mapping("ImportFunction").await);
    mapping.enabled(false).send().await.unwrap();
    for (logical_id, reserved) in [("PruneFunction", 0), ("ImportFunction", 1)] {
        let put = lambda.put_function_concurrency();
        let put = put.function_name(patient.function(logical_id).await);
        put.reserved_concurrent_executions(reserved).send().await.unwrap();
    }
    // A change in the first seconds counts as one of the deployment.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let update = lambda.update_function_configuration().memory_size(1_024);
    update.function_name(patient.function("PruneFunction").await).send().await.unwrap();
    let put = patient.s3.put_bucket_notification_configuration().bucket(&addresses.uploads_bucket);
    let nothing = NotificationConfiguration::builder().build();
    put.notification_configuration(nothing).send().await.unwrap();

    let (status, findings) = patient.check().await;
    assert_eq!(status, 1);
    for broken in [
        ("roles", "warning", "strong is a superuser"),
        ("roles", "warning", "sync_writer_sync has BYPASSRLS"),
        ("roles", "warning", "sync_reader_sync owns tables that the API offers: staff"),
        (
            "blocked",
            "error",
            "accepted writes wait for a person, by message group: staff:7: 1 (cause 42501, since ",
        ),
        (
            "queues",
            "warning",
            "writes: the visibility timeout is 10 s, less than six times the 60 s of the function",
        ),
        ("queues", "warning", "writes: the queue has a maxReceiveCount of 5, not 1000"),
        (
            "queues",
            "error",
            "writes: the event source mapping does not take ReportBatchItemFailures",
        ),
        ("queues", "warning", "writes: the oldest message waits for 60 minutes"),
        ("queues", "error", "imports: the event source mapping is disabled"),
        ("queues", "error", "imports: messages in the dead-letter queue: 1"),
        ("buckets", "error", "the uploads bucket does not notify the queue of imports"),
        ("versions", "warning", "changed since the stack was deployed: PruneFunction"),
        ("quotas", "error", "PruneFunction is switched off: its reserved concurrency is 0"),
        (
            "quotas",
            "warning",
            "ImportFunction has a reserved concurrency of 1, and its queue begins up to 2",
        ),
        ("quotas", "warning", "the account runs "),
    ] {
        assert_found(&findings, broken);
    }
}

async fn missing_rights_are_findings(patient: &Patient) {
    patient.sql(
        "REVOKE INSERT ON sync.write FROM sync_writer;
         REVOKE sync_reader FROM sync_reader_sync",
    );
    let uploads = &patient.stack.addresses().uploads_bucket;
    patient.s3.delete_bucket().bucket(uploads).send().await.unwrap();
    let (status, findings) = patient.check().await;
    assert_eq!(status, 1);
    for broken in [
        (
            "roles",
            "error",
            "the roles lack rights on the worker's own schema: INSERT ON sync.write to sync_writer",
        ),
        ("roles", "error", "no user has the rights of sync_reader"),
        ("buckets", "error", "cannot reach the bucket aurora-sync-uploads-"),
    ] {
        assert_found(&findings, broken);
    }
}
