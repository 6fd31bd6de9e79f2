//! Child processes that never outlive this one, however it ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child as StdChild, Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, kill_process, kill_process_group, set_parent_process_death_signal,
};

/// The time limit for a child to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A running child; stops when it is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Child {
    child: StdChild,
    stop_signal: Signal,
}

impl Child {
    /// Starts a command in a process group of its own, so that Ctrl-C at the terminal reaches it
    /// through us only. `stop_signal` is how it is asked to stop.
    pub fn spawn(mut command: Command, stop_signal: Signal) -> io::Result<Self> {
        command.process_group(0);
        #[expect(unsafe_code, reason = "the closure makes one system call and allocates nothing")]
        // SAFETY: between fork and exec only async-signal-safe calls are made.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
            });
        }
        let child = spawn_from_keeper(command)?;
        Ok(Self { child, stop_signal })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status, if it has ended.
    pub fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to stop, waits, and kills what is left of its group.
    pub fn stop(&mut self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        if matches!(self.child.try_wait(), Ok(None)) {
            // Fails only where the child has just ended.
            kill_process(pid, self.stop_signal).ok();
            let started = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < STOP_WITHIN {
                thread::sleep(Duration::from_millis(10));
            }
        }
        // Its own children, and itself where it did not listen.
        kill_process_group(pid, Signal::KILL).ok();
        drop(self.child.wait());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

type Job = (Command, Sender<io::Result<StdChild>>);

/// Spawns from one thread that lives as long as the process: the parent-death signal comes when the
/// *thread* that spawned ends (prctl(2), `PR_SET_PDEATHSIG`), and test threads end early.
fn spawn_from_keeper(command: Command) -> io::Result<StdChild> {
    static KEEPER: OnceLock<Sender<Job>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in jobs {
                // The one who asked may be gone; then the child stops with its handle.
                drop(answer.send(command.spawn()));
            }
        });
        sender
    });
    let gone = || io::Error::other("the thread that starts processes has ended");
    let (sender, answer) = channel();
    keeper.send((command, sender)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stops_with_its_handle_and_its_own_children_with_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]);
        let child = Child::spawn(command, Signal::TERM).unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        drop(child);
        // A killed process is there until the system's first process has taken note of it.
        let started = Instant::now();
        while rustix::process::test_kill_process_group(pid).is_ok() {
            assert!(started.elapsed() < Duration::from_mins(1), "its own children live on");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
