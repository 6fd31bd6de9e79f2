//! The control endpoint: what tests and people turn while the server runs.
//!
//! ```text
//! GET    /_control/counters      calls, parameter sets, rows, bytes, each transaction's
//! DELETE /_control/counters      from zero again
//! GET    /_control/faults        the seed, what is armed, what was injected
//! POST   /_control/faults        rules, one a line
//! DELETE /_control/faults        disarms all
//! POST   /_control/clock         moves the clock of transactions and of the pause on, by `3m`
//! POST   /_control/pause         pauses the database; the next call resumes it, which takes `15s`
//! ```

use hyper::Method;
use serde_json::{Value, json};

use crate::fault::{Rule, RuleError, parse_duration};
use crate::service::Service;

/// The response to a control call: a status and a body.
pub(crate) type Answer = (u16, Value);

/// Answers a call of the control endpoint; `None` where the path is none of it.
pub(crate) fn answer(
    service: &Service,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Option<Answer> {
    let name = path.strip_prefix("/_control/")?;
    let Ok(body) = std::str::from_utf8(body) else {
        return Some((400, json!({ "message": "the body is not UTF-8" })));
    };
    let done = || (200, json!({}));
    Some(match (method, name) {
        (&Method::GET, "counters") => (200, json!(service.counters.counts())),
        (&Method::DELETE, "counters") => {
            service.counters.reset();
            done()
        }
        (&Method::GET, "faults") => (200, json!(service.faults.report())),
        (&Method::DELETE, "faults") => {
            service.faults.clear();
            done()
        }
        (&Method::POST, "faults") => match rules(body) {
            Ok(rules) => {
                for rule in rules {
                    service.faults.add(rule);
                }
                (200, json!(service.faults.report()))
            }
            Err(error) => refusal(&error),
        },
        (&Method::POST, "clock") => match parse_duration(body) {
            Ok(time) => {
                service.pass(time);
                done()
            }
            Err(error) => refusal(&error),
        },
        (&Method::POST, "pause") => match parse_duration(body) {
            Ok(takes) => {
                service.pause.pause(takes);
                done()
            }
            Err(error) => refusal(&error),
        },
        _ => (404, json!({ "message": "see /_control/faults, counters, clock, pause" })),
    })
}

fn refusal(error: &RuleError) -> Answer {
    (400, json!({ "message": error.to_string() }))
}

/// Rules, one a line; empty lines and those that begin with `#` are none.
pub(crate) fn rules(text: &str) -> Result<Vec<Rule>, RuleError> {
    let lines = text.lines().map(str::trim).zip(1..);
    lines
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, number)| line.parse().map_err(|error: RuleError| error.in_line(number)))
        .collect()
}
