//! Builds the seven programs that the template deploys, for this machine or for Lambda, and zips
//! them. Builds the command `aurora-sync`, too.
//!
//! Knows nothing of their work; each is a path to an executable.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::architecture::Architecture;
use crate::python::Kit;

/// The newest glibc that programs may need: Amazon Linux 2023, on which Lambda runs them, has it.
const GLIBC: &str = "2.34";

const LAMBDA_TOOLS: Kit = Kit {
    name: "package",
    contents: "the linker for Lambda",
    file: "crates/local-stack/package-requirements.txt",
    requirements: include_str!("../package-requirements.txt"),
};

/// The names of the programs, as the code locations of template.yaml have them.
pub const BINARIES: [&str; 7] =
    ["enqueue", "apply", "import", "lookup", "migrate", "prune", "refresh"];

/// The name of the command.
const COMMAND: &str = "aurora-sync";

/// The paths of the programs.
#[derive(Debug, Clone)]
pub struct Functions {
    pub enqueue: PathBuf,
    pub apply: PathBuf,
    pub import: PathBuf,
    pub lookup: PathBuf,
    pub migrate: PathBuf,
    pub prune: PathBuf,
    pub refresh: PathBuf,
}

impl Functions {
    fn of(built: &[(String, PathBuf)]) -> anyhow::Result<Self> {
        let path = |name| path_of(built, name);
        Ok(Self {
            enqueue: path("enqueue")?,
            apply: path("apply")?,
            import: path("import")?,
            lookup: path("lookup")?,
            migrate: path("migrate")?,
            prune: path("prune")?,
            refresh: path("refresh")?,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let paths = [
            &self.enqueue,
            &self.apply,
            &self.import,
            &self.lookup,
            &self.migrate,
            &self.prune,
            &self.refresh,
        ];
        BINARIES.into_iter().zip(paths.map(PathBuf::as_path))
    }
}

/// The build profile of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

/// Builds the seven programs with cargo, whose progress goes to standard error.
pub async fn build_functions(workspace: &Path, profile: Profile) -> anyhow::Result<Functions> {
    // Under `cargo run` the same cargo, else the one on the PATH.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build");
    match profile {
        // With the package of `cargo local`, dependencies have the features that they have been
        // built with for it, and none is built twice.
        Profile::Dev => cargo.args(["--package", "local"]),
        Profile::Release => cargo.arg("--release"),
    };
    build_all(cargo, workspace).await
}

/// Builds the command `aurora-sync`, and returns its path.
pub(crate) async fn build_command(workspace: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // With the package of `cargo local`, for the same reason.
    cargo.args(["build", "--package", "local", "--package", "aurora-sync-cli", "--bin", COMMAND]);
    let built = run(cargo, workspace).await?;
    path_of(&built, COMMAND)
}

/// Builds the seven programs for Lambda with one run of cargo, so that each dependency is compiled
/// once.
pub(crate) async fn build_for_lambda(
    workspace: &Path,
    architecture: Architecture,
) -> anyhow::Result<Functions> {
    let tools = LAMBDA_TOOLS.bin().await?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools.clone()).chain(std::env::split_paths(&path));
    let mut cargo = Command::new(tools.join("cargo-zigbuild"));
    cargo
        // Zig is a module of the Python in this folder.
        .env("PATH", std::env::join_paths(folders).context("the PATH cannot be passed on")?)
        .args(["zigbuild", "--release", "--target"])
        .arg(format!("{}.{GLIBC}", architecture.target()));
    build_all(cargo, workspace).await
}

async fn build_all(mut cargo: Command, workspace: &Path) -> anyhow::Result<Functions> {
    cargo.args(["--bins", "--package", "aurora-sync"]);
    Functions::of(&run(cargo, workspace).await?)
}

/// Runs cargo, and returns the names and paths of the programs that it has built.
async fn run(mut cargo: Command, workspace: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    cargo
        .kill_on_drop(true)
        .current_dir(workspace)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    // The variables that `cargo run` sets for this program would look like a change to build
    // scripts, and make both cargos build in turns what the other has built.
    for (name, _) in std::env::vars_os() {
        let is_own =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_own) {
            cargo.env_remove(&name);
        }
    }
    // `output()` would take standard error too, and nobody would see the progress.
    let cargo = cargo.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let output = cargo.wait_with_output().await.context("cannot wait for cargo")?;
    if !output.status.success() {
        bail!("cargo could not build the programs; its messages are above");
    }
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    executables(&messages)
}

fn executables(messages: &str) -> anyhow::Result<Vec<(String, PathBuf)>> {
    #[derive(Deserialize)]
    struct Message {
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .with_context(|| format!("not a message of cargo: {line}"))?;
        if let (Some(target), Some(executable)) = (message.target, message.executable) {
            found.push((target.name, executable));
        }
    }
    Ok(found)
}

fn path_of(built: &[(String, PathBuf)], name: &str) -> anyhow::Result<PathBuf> {
    let program = built.iter().find(|(built, _)| built == name);
    program.map(|(_, path)| path.clone()).with_context(|| format!("cargo built no {name}"))
}

/// Zips a program as Lambda wants it, under the name `bootstrap`, and the files of a folder below
/// `sql/`. The same files make the same bytes.
pub(crate) fn zip_program(
    program: &Path,
    sql: Option<&Path>,
    archive: &Path,
    compression: CompressionMethod,
) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut program = BufReader::new(File::open(program)?);
        let mut zip = ZipWriter::new(BufWriter::new(File::create(archive)?));
        let options = SimpleFileOptions::default()
            .compression_method(compression)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o755);
        zip.start_file("bootstrap", options)?;
        io::copy(&mut program, &mut zip)?;
        for (name, path) in sql.map(sql_files).transpose()?.into_iter().flatten() {
            zip.start_file(format!("sql/{name}"), options.unix_permissions(0o644))?;
            io::copy(&mut File::open(&path)?, &mut zip)?;
        }
        zip.finish()?.flush()?;
        Ok(())
    };
    write().with_context(|| format!("cannot zip {} as {}", program.display(), archive.display()))
}

/// Returns the files of a folder that `migrate` applies, sorted by name: not those of its folders.
pub(crate) fn sql_files(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_sql = path.extension().is_some_and(|extension| extension == "sql");
        if let (Some(name), true) = (name, is_sql && path.is_file()) {
            files.insert(name.to_owned(), path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seven_executables_are_read_from_the_messages_of_cargo() {
        let message = |name, executable| {
            serde_json::json!({ "target": { "name": name }, "executable": executable }).to_string()
        };
        let mut messages = vec![message("serde", None)];
        messages.extend(BINARIES.map(|name| message(name, Some(format!("/t/{name}")))));
        messages.push("{\"reason\":\"build-finished\",\"success\":true}".to_owned());
        let built = executables(&messages.join("\n")).unwrap();
        let functions = Functions::of(&built).unwrap();
        for (binary, path) in functions.iter() {
            assert_eq!(path, Path::new("/t").join(binary));
        }
        let none = executables("{\"reason\":\"build-finished\"}").unwrap();
        let error = Functions::of(&none).unwrap_err();
        assert_eq!(error.to_string(), "cargo built no enqueue");
    }

    #[test]
    fn a_zip_holds_the_program_and_the_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (program, sql) = (folder.path().join("migrate"), folder.path().join("sql"));
        fs::write(&program, "program").unwrap();
        fs::create_dir_all(sql.join("sync")).unwrap();
        fs::write(sql.join("0001_a.sql"), "SELECT 1").unwrap();
        fs::write(sql.join("README.txt"), "").unwrap();
        let archive = folder.path().join("migrate.zip");
        zip_program(&program, Some(&sql), &archive, CompressionMethod::Stored).unwrap();
        let mut zip = zip::ZipArchive::new(File::open(&archive).unwrap()).unwrap();
        let names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["bootstrap", "sql/0001_a.sql"]);
        assert_eq!(io::read_to_string(zip.by_index(1).unwrap()).unwrap(), "SELECT 1");
    }
}
