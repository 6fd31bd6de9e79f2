//! The grammar of faults: what is to go wrong, and when.
//!
//! Pure. One rule is one line, the same on the command line, in a file and over the control
//! endpoint:
//!
//! ```text
//! commit drop-answer                     the next commit is done, its answer lost
//! commit@3 drop-request                  the third from now is not done, the connection closed
//! batch@2..4 sql=40P01                   a deadlock for the second, third and fourth
//! any@5% fail-before=ThrottlingException one call in twenty, by the server's seed
//! execute@1.. delay=200ms                every one
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::EXCEPTIONS;
use crate::operation::Operation;

/// A fault and the calls that it befalls.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `None` is any.
    pub operation: Option<Operation>,
    pub when: When,
    pub fault: Fault,
}

/// Which of the calls that match, counted from 1 since the rule was added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// These, both included; without an end, all from the first on.
    Calls { first: u64, last: Option<u64> },
    /// Each with this probability, from 0 to 1.
    Random(f64),
}

/// A fault that a call can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call takes this much longer.
    Delay(Duration),
    /// Answers this exception; nothing runs.
    FailBefore(String),
    /// Does the work and then answers this exception.
    FailAfter(String),
    /// Closes the connection; nothing runs.
    DropRequest,
    /// Does the work and then closes the connection without an answer.
    DropAnswer,
    /// Does the work and closes the connection in the middle of the answer.
    CutAnswer,
    /// The database is paused; this call starts to resume it, which takes this long.
    Resume(Duration),
    /// Answers `StatementTimeoutException`; the statement is not done, and its transaction aborted.
    Timeout,
    /// Answers `StatementTimeoutException` though the statement is done.
    TimeoutAfter,
    /// The call's transaction is gone, rolled back.
    LoseTransaction,
    /// PostgreSQL fails with this SQLSTATE; a transaction is aborted by it.
    Sql(String),
    /// PostgreSQL ends all sessions, as a restart does.
    Restart,
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

impl RuleError {
    pub(crate) fn in_line(self, number: usize) -> Self {
        Self(format!("line {number}: {}", self.0))
    }
}

impl When {
    /// The next call.
    pub const NEXT: Self = Self::Calls { first: 1, last: Some(1) };

    /// Returns whether no call can be befallen any more after this many.
    pub(crate) fn is_over(self, calls: u64) -> bool {
        matches!(self, Self::Calls { last: Some(last), .. } if calls >= last)
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (calls, fault) = text.trim().split_once(char::is_whitespace).ok_or_else(|| {
            RuleError(format!("\"{text}\": expected calls and a fault, as in commit@2 drop-answer"))
        })?;
        let (operation, when) = calls.split_once('@').unwrap_or((calls, "1"));
        let operation = match operation {
            "any" => None,
            word => Some(Operation::of_word(word).ok_or_else(|| {
                RuleError(format!(
                    "\"{word}\": expected execute, batch, begin, commit, rollback or any"
                ))
            })?),
        };
        Ok(Self { operation, when: when.parse()?, fault: fault.trim().parse()? })
    }
}

impl FromStr for When {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let error =
            || RuleError(format!("\"{text}\": expected a number, a range as 2..4 or 2.., or 5%"));
        let number =
            |text: &str| text.parse::<u64>().ok().filter(|number| *number >= 1).ok_or_else(error);
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().map_err(|_| error())?;
            return if (0.0..=100.0).contains(&percent) {
                Ok(Self::Random(percent / 100.0))
            } else {
                Err(error())
            };
        }
        match text.split_once("..") {
            None => number(text).map(|n| Self::Calls { first: n, last: Some(n) }),
            Some((first, "")) => Ok(Self::Calls { first: number(first)?, last: None }),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first <= last {
                    Ok(Self::Calls { first, last: Some(last) })
                } else {
                    Err(error())
                }
            }
        }
    }
}

impl FromStr for Fault {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (word, argument) = match text.split_once('=') {
            Some((word, argument)) => (word, Some(argument)),
            None => (text, None),
        };
        let needs = |what: &str| RuleError(format!("\"{text}\": expected {word}={what}"));
        let duration = || {
            let duration = argument.and_then(|text| parse_duration(text).ok());
            duration.ok_or_else(|| needs("a duration, such as 200ms or 15s"))
        };
        let exception = || {
            let name = argument.filter(|name| EXCEPTIONS.iter().any(|(known, _)| known == name));
            name.map(str::to_owned)
                .ok_or_else(|| needs("an exception of the service, such as ThrottlingException"))
        };
        let fault = match word {
            "delay" => Self::Delay(duration()?),
            "fail-before" => Self::FailBefore(exception()?),
            "fail-after" => Self::FailAfter(exception()?),
            "resume" => Self::Resume(duration()?),
            "sql" => {
                // A state that means success is none to fail with.
                let is_state = |text: &&str| {
                    text.len() == 5
                        && !text.starts_with("00")
                        && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
                };
                let state = argument.filter(is_state);
                Self::Sql(state.ok_or_else(|| needs("an SQLSTATE, such as 40P01"))?.to_owned())
            }
            _ if argument.is_some() => {
                return Err(RuleError(format!("\"{text}\": no fault that takes an argument")));
            }
            "drop-request" => Self::DropRequest,
            "drop-answer" => Self::DropAnswer,
            "cut-answer" => Self::CutAnswer,
            "timeout" => Self::Timeout,
            "timeout-after" => Self::TimeoutAfter,
            "lose-transaction" => Self::LoseTransaction,
            "restart" => Self::Restart,
            _ => return Err(RuleError(format!("\"{word}\": no such fault"))),
        };
        Ok(fault)
    }
}

/// A duration as `200ms`, `15s` or `3m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, RuleError> {
    let duration: Option<jiff::SignedDuration> = text.trim().parse().ok();
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| RuleError(format!("\"{text}\": expected a duration, such as 200ms or 15s")))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation.map_or("any", Operation::word);
        write!(f, "{operation}@{} {}", self.when, self.fault)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls { first, last: Some(last) } if first == last => write!(f, "{first}"),
            Self::Calls { first, last: Some(last) } => write!(f, "{first}..{last}"),
            Self::Calls { first, last: None } => write!(f, "{first}.."),
            Self::Random(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(f, "delay={}ms", time.as_millis()),
            Self::FailBefore(exception) => write!(f, "fail-before={exception}"),
            Self::FailAfter(exception) => write!(f, "fail-after={exception}"),
            Self::DropRequest => f.write_str("drop-request"),
            Self::DropAnswer => f.write_str("drop-answer"),
            Self::CutAnswer => f.write_str("cut-answer"),
            Self::Resume(time) => write!(f, "resume={}ms", time.as_millis()),
            Self::Timeout => f.write_str("timeout"),
            Self::TimeoutAfter => f.write_str("timeout-after"),
            Self::LoseTransaction => f.write_str("lose-transaction"),
            Self::Sql(state) => write!(f, "sql={state}"),
            Self::Restart => f.write_str("restart"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for (text, expected) in [
            ("commit drop-answer", "commit@1 drop-answer"),
            ("batch@2..4  sql=40P01", "batch@2..4 sql=40P01"),
            ("any@5% fail-before=ThrottlingException", "any@5% fail-before=ThrottlingException"),
            ("execute@3.. delay=1s", "execute@3.. delay=1000ms"),
            ("begin resume=15s", "begin@1 resume=15000ms"),
            ("rollback timeout-after", "rollback@1 timeout-after"),
        ] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), expected);
            assert_eq!(expected.parse::<Rule>().unwrap(), rule);
        }
    }

    #[test]
    fn a_text_that_is_no_rule_is_reported() {
        for (text, expected) in [
            ("commit", "expected calls and a fault"),
            ("comit drop-answer", "expected execute, batch"),
            ("commit@0 drop-answer", "expected a number"),
            ("any@120% restart", "expected a number"),
            ("any delay=soon", "expected delay=a duration"),
            ("any sql=deadlock", "expected sql=an SQLSTATE"),
            ("any explode", "no such fault"),
            ("any restart=now", "takes an argument"),
            ("any@4..2 restart", "expected a number"),
            ("any fail-after=ThrotlingException", "expected fail-after=an exception"),
            ("any sql=00000", "expected sql=an SQLSTATE"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
