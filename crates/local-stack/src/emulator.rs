//! The AWS emulator as a child process, together with every function that it starts.
//!
//! All of them are one process group whose leader, a shell, reads a pipe from us. When we end,
//! however we end, the pipe closes and the shell kills the group: the emulator itself leaves its
//! functions running when it is killed. Nothing here knows what is deployed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::http::Http;
use crate::python::Python;

/// `$@` is the emulator. Whoever ends first, it or we, everybody else ends too.
const GUARD: &str = r#"("$@"; kill -s KILL 0) & cat >/dev/null; kill -s KILL 0"#;

/// It takes one second. A minute says that something hangs.
const READY_WITHIN: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Emulator {
    guard: Child,
    /// Never written to: its end is our sign of life.
    _alive: ChildStdin,
    url: String,
    log: PathBuf,
}

impl Emulator {
    /// Starts it on a free port of this machine, seen by this machine only.
    pub(crate) async fn start(python: &Python, folder: &Path, http: &Http) -> anyhow::Result<Self> {
        const ATTEMPTS: u32 = 5;
        for attempt in 1.. {
            let port = free_port().context("cannot find a free port on 127.0.0.1")?;
            let mut emulator = Self::spawn(python, folder, port)?;
            if emulator.wait_until_ready(http).await? {
                return Ok(emulator);
            }
            let log = fs::read_to_string(&emulator.log).unwrap_or_default();
            // Somebody else took the port between our look and its start.
            if attempt < ATTEMPTS && log.contains("already in use") {
                continue;
            }
            bail!("the AWS emulator ended at once: {}", last_lines(&log));
        }
        unreachable!("the last attempt returns")
    }

    fn spawn(python: &Python, folder: &Path, port: u16) -> anyhow::Result<Self> {
        let log = folder.join("emulator.log");
        let temporary = folder.join("tmp");
        fs::create_dir_all(&temporary)
            .with_context(|| format!("cannot create {}", temporary.display()))?;
        let output =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(python.bin()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).context("the PATH cannot be passed on")?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(python.interpreter())
            .args(["-m", "ministack"])
            .current_dir(folder)
            // Functions inherit the emulator's environment, hence a clean one.
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .env("TMPDIR", &temporary)
            .env("S3_DATA_DIR", folder.join("s3"))
            .env("STATE_DIR", folder.join("state"))
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("LAMBDA_EXECUTOR", "local")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // It would remove the containers of other emulators.
            .env("DOCKER_HOST", format!("unix://{}", folder.join("no-docker").display()))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().context("cannot share the emulator's log")?)
            .stderr(output)
            .spawn()
            .context("cannot run sh")?;
        let alive = guard.stdin.take().context("the guard has no input")?;
        Ok(Self { guard, _alive: alive, url: format!("http://127.0.0.1:{port}"), log })
    }

    /// Returns whether it got ready; false when it ended.
    async fn wait_until_ready(&mut self, http: &Http) -> anyhow::Result<bool> {
        let started = Instant::now();
        let url = format!("{}/_ministack/ready", self.url);
        while started.elapsed() < READY_WITHIN {
            if self.has_ended() {
                return Ok(false);
            }
            if http.get(&url).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        bail!("the AWS emulator is not ready after {READY_WITHIN:?}: {}", last_lines(&log))
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.guard.try_wait(), Ok(None))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Its state is of no use to anybody, so there is nothing to end gracefully.
        if let Some(group) = i32::try_from(self.guard.id()).ok().and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(group, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!("cannot kill the AWS emulator: {error}");
        }
        if let Err(error) = self.guard.wait() {
            tracing::warn!("cannot wait for the AWS emulator: {error}");
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let first = lines.len().saturating_sub(10);
    lines.get(first..).unwrap_or_default().join("\n")
}
