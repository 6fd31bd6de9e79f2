//! The faults to come, and those that were: what tests and benchmarks hold on to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::fault::{Fault, Rule, When};
use crate::operation::Operation;

/// The number of faults that are remembered.
const INJECTED_MAX: usize = 1_000;

/// The faults of a server.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Armed>,
    /// Rules added so far: a rule's number is part of what its random calls depend on.
    rules: u64,
    /// Calls so far, by operation: what a replay names them by.
    calls: HashMap<&'static str, u64>,
    injected: VecDeque<String>,
    resuming_calls: u32,
}

/// A rule, and how many calls have matched it.
#[derive(Debug)]
struct Armed {
    number: u64,
    rule: Rule,
    calls: u64,
}

/// The faults as the control endpoint shows them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seed: u64,
    armed: Vec<String>,
    /// The injected faults as rules: given to a new server, they do the same to the same calls,
    /// whenever the rules that they come from were added.
    injected: Vec<String>,
}

impl Armed {
    /// Counts a call that matches; whether the fault befalls it.
    fn is_hit(&mut self, seed: u64) -> bool {
        self.calls += 1;
        match self.rule.when {
            When::Calls { first, last } => {
                self.calls >= first && last.is_none_or(|last| self.calls <= last)
            }
            When::Random(share) => chance(seed, self.number, self.calls) < share,
        }
    }
}

impl State {
    fn remember(&mut self, seed: u64, replay: String) {
        tracing::info!(seed, replay, "fault injected");
        self.injected.push_back(replay);
        if self.injected.len() > INJECTED_MAX {
            self.injected.pop_front();
        }
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::default() }
    }

    /// Arms a rule; it counts calls from now on.
    pub fn add(&self, rule: Rule) {
        let mut state = self.lock();
        state.rules += 1;
        let number = state.rules;
        state.armed.push(Armed { number, rule, calls: 0 });
    }

    /// Disarms all.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.armed.clear();
        state.resuming_calls = 0;
    }

    /// Returns the injected faults as rules.
    pub fn injected(&self) -> Vec<String> {
        self.lock().injected.iter().cloned().collect()
    }

    /// The next call of `operation` meets `fault`.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.add(Rule { operation: Some(operation), when: When::NEXT, fault });
    }

    /// The next calls that start work find the database waking up, whatever the time.
    pub fn resume_for(&self, calls: u32) {
        self.lock().resuming_calls = calls;
    }

    /// The faults that befall a call, in the order in which they were added.
    pub(crate) fn take(&self, operation: Operation) -> Vec<Fault> {
        let mut state = self.lock();
        let call = state.calls.entry(operation.name()).or_default();
        *call += 1;
        let call = *call;
        let mut faults = Vec::new();
        if operation.starts_work() && state.resuming_calls > 0 {
            state.resuming_calls -= 1;
            faults.push(Fault::FailBefore("DatabaseResumingException".to_owned()));
        }
        for armed in &mut state.armed {
            if armed.rule.operation.is_none_or(|only| only == operation) && armed.is_hit(self.seed)
            {
                faults.push(armed.rule.fault.clone());
            }
        }
        state.armed.retain(|armed| !armed.rule.when.is_over(armed.calls));
        for fault in &faults {
            let when = When::Calls { first: call, last: Some(call) };
            let replay = Rule { operation: Some(operation), when, fault: fault.clone() };
            state.remember(self.seed, replay.to_string());
        }
        faults
    }

    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        Report {
            seed: self.seed,
            armed: state.armed.iter().map(|armed| armed.rule.to_string()).collect(),
            injected: state.injected.iter().cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number from 0 to 1 that depends on nothing else, so that a seed replays a run.
fn chance(seed: u64, rule: u64, call: u64) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let rule_seed = random.u64(..).wrapping_add(rule);
    let mut random = fastrand::Rng::with_seed(rule_seed);
    let call_seed = random.u64(..).wrapping_add(call);
    fastrand::Rng::with_seed(call_seed).f64()
}

/// The database's pause: by a clock that tests can move.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<PauseState>);

#[derive(Debug, Default, Clone, Copy)]
enum PauseState {
    #[default]
    Awake,
    /// The next call that starts work begins to resume it.
    Paused {
        takes: Duration,
    },
    Resuming {
        until: Duration,
    },
}

impl Pause {
    pub(crate) fn pause(&self, takes: Duration) {
        *self.lock() = PauseState::Paused { takes };
    }

    /// Returns whether a call that starts work finds the database not there yet.
    pub(crate) fn is_resuming(&self, now: Duration) -> bool {
        let mut state = self.lock();
        if let PauseState::Paused { takes } = *state {
            *state = PauseState::Resuming { until: now + takes };
        }
        match *state {
            PauseState::Resuming { until } if now < until => true,
            _ => {
                *state = PauseState::Awake;
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PauseState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_faults_again_and_another_seed_others() {
        let run = |seed| {
            let faults = Faults::new(seed);
            faults.add("any@20% restart".parse().unwrap());
            let hits = (0..100).map(|_| !faults.take(Operation::Execute).is_empty());
            hits.collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let hits = run(1).into_iter().filter(|hit| *hit).count();
        assert!((5..40).contains(&hits), "{hits}");
    }

    #[test]
    fn rules_count_the_calls_that_match_them_and_end() {
        let faults = Faults::new(0);
        faults.add("commit@2..3 drop-answer".parse().unwrap());
        faults.add("any@3 restart".parse().unwrap());
        let mut taken = Vec::new();
        for operation in [Operation::Begin, Operation::Commit, Operation::Commit, Operation::Commit]
        {
            taken.push(faults.take(operation));
        }
        let (restart, drop) = (Fault::Restart, Fault::DropAnswer);
        assert_eq!(taken, [vec![], vec![], vec![drop.clone(), restart], vec![drop]]);
        assert_eq!(faults.report().armed, Vec::<String>::new());
        assert_eq!(
            faults.report().injected,
            ["commit@2 drop-answer", "commit@2 restart", "commit@3 drop-answer"]
        );
    }

    #[test]
    fn a_paused_database_takes_its_time_from_the_first_call_on() {
        let pause = Pause::default();
        let at = Duration::from_secs;
        assert!(!pause.is_resuming(at(0)));
        pause.pause(at(15));
        assert!(pause.is_resuming(at(100)), "the first call starts it");
        assert!(pause.is_resuming(at(114)));
        assert!(!pause.is_resuming(at(115)));
        assert!(!pause.is_resuming(at(116)));
    }
}
