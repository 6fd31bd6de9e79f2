//! The table of the probe.
//!
//! Pure.

use serde_json::json;

use super::assumptions::Assumption;
use super::seen::Seen;
use crate::outcome::Outcome;

/// The longest text of an observation.
const SEEN_CHARS_MAX: usize = 300;

/// An assumption with its result.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) assumption: &'static Assumption,
    pub(crate) seen: Seen,
}

/// Returns the outcome: an assumption that does not hold needs attention.
pub(crate) fn outcome(lines: &[Line]) -> Outcome {
    let of = |line: &Line| match line.seen {
        Seen::Holds(_) | Seen::NotTried(_) => Outcome::Good,
        Seen::DoesNotHold(_) => Outcome::Attention,
        Seen::Unsettled(_) => Outcome::Failed,
    };
    lines.iter().map(of).max().unwrap_or(Outcome::Good)
}

/// Formats the lines for people, a paragraph each, with a summary at the end.
pub(crate) fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for Line { assumption, seen } in lines {
        let (verdict, found) = seen.parts();
        let found = match seen {
            Seen::NotTried(_) => format!("not tried here: {}", shortened(found)),
            Seen::Unsettled(_) => format!("the experiment failed: {}", shortened(found)),
            _ => format!("seen: {}", shortened(found)),
        };
        text.push_str(&format!("{verdict:<13}  {}: {}\n", assumption.id, assumption.text));
        text.push_str(&format!("{:13}  {found}\n", ""));
        text.push_str(&format!(
            "{:13}  relied on by: {}\n",
            "",
            assumption.relied_on_by.join(", ")
        ));
    }
    let count = |rank| lines.iter().filter(|line| line.seen.rank() == rank).count();
    text.push_str(&format!(
        "{} assumptions: {} hold, {} were not tried, {} are unsettled, {} do not hold",
        lines.len(),
        count(0),
        count(1),
        count(2),
        count(3)
    ));
    text
}

pub(crate) fn json(lines: &[Line]) -> String {
    let lines = lines.iter().map(|Line { assumption, seen }| {
        let (verdict, found) = seen.parts();
        json!({
            "id": assumption.id,
            "assumption": assumption.text,
            "verdict": verdict,
            "seen": found,
            "relied_on_by": assumption.relied_on_by,
            "tests": assumption.tests,
        })
    });
    lines.collect::<serde_json::Value>().to_string()
}

fn shortened(text: &str) -> String {
    let line = text.replace('\n', " ");
    if line.chars().count() <= SEEN_CHARS_MAX {
        return line;
    }
    line.chars().take(SEEN_CHARS_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::assumptions::ASSUMPTIONS;
    use super::*;

    fn lines(seen: Vec<Seen>) -> Vec<Line> {
        seen.into_iter().map(|seen| Line { assumption: &ASSUMPTIONS[0], seen }).collect()
    }

    #[test]
    fn an_assumption_that_does_not_hold_needs_attention() {
        let holds = || Seen::Holds(String::new());
        let not_tried = || Seen::NotTried(String::new());
        assert_eq!(outcome(&lines(vec![holds(), not_tried()])), Outcome::Good);
        let broken = Seen::DoesNotHold(String::new());
        assert_eq!(outcome(&lines(vec![broken.clone(), holds()])), Outcome::Attention);
        let unsettled = Seen::Unsettled(String::new());
        assert_eq!(outcome(&lines(vec![broken, unsettled])), Outcome::Failed);
    }

    #[test]
    fn each_line_has_the_assumption_what_was_seen_and_who_relies_on_it() {
        let text = text(&lines(vec![Seen::DoesNotHold("500\nnothing".into())]));
        let Assumption { id, text: assumption, relied_on_by, .. } = &ASSUMPTIONS[0];
        assert_eq!(
            text,
            format!(
                "does not hold  {id}: {assumption}\n\
                 \x20              seen: 500 nothing\n\
                 \x20              relied on by: {}\n\
                 1 assumptions: 0 hold, 0 were not tried, 0 are unsettled, 1 do not hold",
                relied_on_by.join(", ")
            )
        );
    }
}
