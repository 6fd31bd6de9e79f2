//! Checks a queue, its dead-letter queue, and the function that works on it.
//!
//! Pure.

use super::finding::Finding;
use crate::aws::deployed::{Function, Mapping, Queue};

const CHECK: &str = "queues";

/// AWS's advice for a queue that invokes a function (Lambda Developer Guide, "Configuring a queue
/// to use with Lambda").
const TIMEOUTS_IN_VISIBILITY: i32 = 6;

/// A queue and its demands.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The contents of the queue, and its name: `writes` or `imports`.
    pub(crate) name: &'static str,
    /// The parameter for the visibility timeout.
    pub(crate) parameter: &'static str,
    /// `maxReceiveCount` of the template.
    pub(crate) receives_min: u32,
    /// The age of the alarm, in minutes.
    pub(crate) age_max_min: u32,
}

pub(crate) const WRITES: Kind = Kind {
    name: "writes",
    parameter: "WritesVisibilityTimeout",
    receives_min: 1_000,
    age_max_min: 15,
};

pub(crate) const IMPORTS: Kind = Kind {
    name: "imports",
    parameter: "ImportsVisibilityTimeout",
    receives_min: 300,
    age_max_min: 30,
};

/// A queue with its surroundings.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) kind: &'static Kind,
    pub(crate) queue: Queue,
    pub(crate) dead: Queue,
    /// The age of the oldest message in seconds, if CloudWatch knows it.
    pub(crate) oldest_s: Option<f64>,
    pub(crate) function: Function,
    pub(crate) mappings: Vec<Mapping>,
}

/// Finds messages in a dead-letter queue.
pub(crate) fn left(name: &str, dead: &Queue) -> Option<Finding> {
    let left = dead.waiting + dead.hidden;
    (left > 0).then(|| {
        Finding::error(
            CHECK,
            format!("{name}: messages in the dead-letter queue: {left}"),
            "SQS does not deliver them any more. They are deleted 14 days after their move.",
            &format!("see the causes: aurora-sync dlq list --queue {name}"),
        )
    })
}

pub(crate) fn findings(line: &Line) -> Vec<Finding> {
    let Line { kind, queue, dead, oldest_s, .. } = line;
    let name = kind.name;
    let mut findings = Vec::new();
    findings.extend(settings(line));
    findings.extend(mapping(line));
    findings.extend(left(name, dead));
    let minutes = oldest_s.map(|seconds| seconds / 60.0);
    if let Some(minutes) = minutes.filter(|minutes| *minutes > f64::from(kind.age_max_min)) {
        findings.push(Finding::warning(
            CHECK,
            format!("{name}: the oldest message waits for {minutes:.0} minutes"),
            "The function does not keep up, or something keeps it from its work.",
            "see the check blocked, then the log of the function; else raise its concurrency: \
             docs/guide/operate.md, \"Capacity\"",
        ));
    }
    if findings.is_empty() {
        let age = minutes.map_or_else(
            || "no age known".to_owned(),
            |minutes| format!("the oldest for {minutes:.0} minutes"),
        );
        findings.push(Finding::ok(
            CHECK,
            format!(
                "{name}: messages that wait: {} ({age}), in work: {}",
                queue.waiting, queue.hidden
            ),
        ));
    }
    findings
}

fn settings(Line { kind, queue, function, .. }: &Line) -> Vec<Finding> {
    let Kind { name, parameter, receives_min, .. } = kind;
    let mut findings = Vec::new();
    let (has, needs) = (queue.visibility_timeout_s, function.timeout_s * TIMEOUTS_IN_VISIBILITY);
    if has < needs {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "{name}: the visibility timeout is {has} s, less than six times the {} s of the function",
                function.timeout_s
            ),
            "A message can be delivered again while its first delivery is at work. Nothing takes \
             effect twice, but the work is done twice.",
            &format!("sam deploy --parameter-overrides {parameter}={needs}"),
        ));
    }
    match queue.receives_max {
        Some(receives) if receives >= *receives_min => {}
        receives => {
            let receives = receives.map_or_else(
                || "no dead-letter queue".to_owned(),
                |receives| format!("a maxReceiveCount of {receives}, not {receives_min}"),
            );
            findings.push(Finding::warning(
                CHECK,
                format!("{name}: the queue has {receives}"),
                "An outage can take good messages out of their order, or out of the queue.",
                "deploy the stack again: its template has the right RedrivePolicy",
            ));
        }
    }
    findings
}

fn mapping(Line { kind, mappings, .. }: &Line) -> Vec<Finding> {
    let name = kind.name;
    let update = "aws lambda update-event-source-mapping --uuid";
    let Some(mapping) = mappings.iter().find(|mapping| mapping.is_enabled).or(mappings.first())
    else {
        return vec![Finding::error(
            CHECK,
            format!("{name}: no event source mapping invokes the function"),
            "The messages wait in their queue until they are deleted after 14 days.",
            "deploy the stack again",
        )];
    };
    let Mapping { id, is_enabled, reports_failures, .. } = mapping;
    let mut findings = Vec::new();
    if !is_enabled {
        findings.push(Finding::error(
            CHECK,
            format!("{name}: the event source mapping is disabled"),
            "The messages wait in their queue until they are deleted after 14 days.",
            &format!("{update} {id} --enabled"),
        ));
    }
    if !reports_failures {
        findings.push(Finding::error(
            CHECK,
            format!("{name}: the event source mapping does not take ReportBatchItemFailures"),
            "Lambda deletes all messages of a delivery, also those that the function wants again. They \
             are lost.",
            &format!("{update} {id} --function-response-types ReportBatchItemFailures"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    fn line() -> Line {
        let queue = Queue {
            arn: "arn:q".into(),
            visibility_timeout_s: 360,
            receives_max: Some(1_000),
            waiting: 2,
            hidden: 1,
        };
        Line {
            kind: &WRITES,
            dead: Queue { waiting: 0, hidden: 0, ..queue.clone() },
            queue,
            oldest_s: Some(90.0),
            function: Function { timeout_s: 60, modified_at: None, reserved: None },
            mappings: vec![Mapping {
                id: "m".into(),
                is_enabled: true,
                reports_failures: true,
                concurrency_max: Some(8),
            }],
        }
    }

    fn whats(line: &Line) -> Vec<String> {
        findings(line).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_good_queue_tells_its_depth_and_age() {
        assert_eq!(
            whats(&line()),
            ["writes: messages that wait: 2 (the oldest for 2 minutes), in work: 1"]
        );
    }

    #[test]
    fn each_setting_that_is_wrong_is_a_finding() {
        let mut bad = line();
        bad.queue.visibility_timeout_s = 359;
        bad.queue.receives_max = Some(10);
        bad.mappings[0].is_enabled = false;
        bad.mappings[0].reports_failures = false;
        bad.dead.hidden = 3;
        bad.oldest_s = Some(901.0);
        assert_eq!(
            whats(&bad),
            [
                "writes: the visibility timeout is 359 s, less than six times the 60 s of the function",
                "writes: the queue has a maxReceiveCount of 10, not 1000",
                "writes: the event source mapping is disabled",
                "writes: the event source mapping does not take ReportBatchItemFailures",
                "writes: messages in the dead-letter queue: 3",
                "writes: the oldest message waits for 15 minutes",
            ]
        );
        bad.mappings.clear();
        bad.queue.receives_max = None;
        let found = findings(&bad);
        assert_eq!(found[1].what, "writes: the queue has no dead-letter queue");
        assert_eq!(found[2].severity, Severity::Error);
    }
}
