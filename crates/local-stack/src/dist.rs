//! The folder `dist/`: all that a deployment needs, with nothing to build. `cargo local package`
//! makes it, and a release is a zip of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, bail};
use zip::CompressionMethod;

use crate::architecture::Architecture;
use crate::functions::{Functions, sql_files, zip_program};
use crate::{template, workspace};

/// The name of the README as it is in `dist/`, and its text.
const README: (&str, &str) = ("README.md", include_str!("../dist/README.md"));

/// The file that tells what goes into the folder of the user's SQL files.
const SQL_README: (&str, &str) = ("README.txt", include_str!("../dist/sql.txt"));

/// Files of this checkout that are in `dist/` as they are.
const COPIED: [&str; 4] = ["samconfig.toml", "stack-policy.json", "LICENSE-APACHE", "LICENSE-MIT"];

/// A way to zip the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zips {
    /// Small: to be carried over a network.
    Compressed,
    /// Fast to make: for tests.
    Stored,
}

/// Lays out a folder with the programs of these architectures, and the files of `sql` for
/// `migrate`. Files of the user that are there already stay.
pub fn lay_out(
    dist: &Path,
    programs: &[(Architecture, Functions)],
    sql: Option<&Path>,
    zips: Zips,
) -> anyhow::Result<()> {
    let root = workspace::root()?;
    let template = root.join(Architecture::Arm64.template());
    let template = fs::read_to_string(&template)
        .with_context(|| format!("cannot read {}", template.display()))?;
    let compression = match zips {
        Zips::Compressed => CompressionMethod::Deflated,
        Zips::Stored => CompressionMethod::Stored,
    };
    for (architecture, functions) in programs {
        let folder = dist.join("functions").join(architecture.name());
        create(&folder)?;
        for (name, program) in functions.iter() {
            if name == "migrate" {
                lay_out_migrate(&folder.join(name), program, sql)?;
            } else {
                let archive = folder.join(format!("{name}.zip"));
                zip_program(program, None, &archive, compression)?;
            }
        }
        let template = template::in_dist(&template, *architecture)?;
        write(&dist.join(architecture.template()), &template)?;
    }
    write(&dist.join(README.0), README.1)?;
    for name in COPIED {
        copy(&root.join(name), &dist.join(name), 0o644)?;
    }
    Ok(())
}

/// Lays out the function that is a folder, so that a user can put files into it.
fn lay_out_migrate(folder: &Path, program: &Path, sql: Option<&Path>) -> anyhow::Result<()> {
    let own = folder.join("sql");
    create(&own)?;
    copy(program, &folder.join("bootstrap"), 0o755)?;
    write(&own.join(SQL_README.0), SQL_README.1)?;
    let Some(sql) = sql else { return Ok(()) };
    let cannot = |folder: &Path| format!("cannot read {}", folder.display());
    let files = sql_files(sql).with_context(|| cannot(sql))?;
    for (name, path) in &files {
        copy(path, &own.join(name), 0o644)?;
    }
    let present = sql_files(&own).with_context(|| cannot(&own))?;
    if let Some(name) = present.keys().find(|name| !files.contains_key(*name)) {
        bail!(
            "{} has {name}, and {} has not; remove it, or package without --sql",
            own.display(),
            sql.display()
        );
    }
    Ok(())
}

fn create(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Copies a file, and lets everybody read it: Lambda runs the functions as another user.
fn copy(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    fs::copy(from, to)
        .and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::BINARIES;

    fn programs(folder: &Path) -> Functions {
        let [enqueue, apply, import, lookup, migrate, prune, refresh] = BINARIES.map(|name| {
            let path = folder.join(name);
            fs::write(&path, name).unwrap();
            path
        });
        Functions { enqueue, apply, import, lookup, migrate, prune, refresh }
    }

    /// Returns the files of a folder and its subfolders, by their paths in it.
    fn files(folder: &Path) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn a_dist_holds_every_path_that_its_template_names() {
        let folder = tempfile::tempdir().unwrap();
        let (programs, dist) = (programs(folder.path()), folder.path().join("dist"));
        let programs =
            [Architecture::Arm64, Architecture::X86_64].map(|one| (one, programs.clone()));
        lay_out(&dist, &programs, None, Zips::Compressed).unwrap();
        let mut expected = vec![
            "LICENSE-APACHE".to_owned(),
            "LICENSE-MIT".into(),
            "README.md".into(),
            "samconfig.toml".into(),
            "stack-policy.json".into(),
            "template-x86_64.yaml".into(),
            "template.yaml".into(),
        ];
        for (architecture, template) in
            [("arm64", "template.yaml"), ("x86_64", "template-x86_64.yaml")]
        {
            let template = fs::read_to_string(dist.join(template)).unwrap();
            let mut n_named = 0;
            for path in template.lines().filter_map(|line| line.trim().strip_prefix("CodeUri: ")) {
                n_named += 1;
                assert!(path.starts_with(&format!("functions/{architecture}/")), "{path}");
                assert!(dist.join(path).exists(), "{path}");
            }
            assert_eq!(n_named, BINARIES.len());
            for name in ["apply.zip", "enqueue.zip", "import.zip", "lookup.zip"] {
                expected.push(format!("functions/{architecture}/{name}"));
            }
            for name in ["migrate/bootstrap", "migrate/sql/README.txt", "prune.zip", "refresh.zip"]
            {
                expected.push(format!("functions/{architecture}/{name}"));
            }
        }
        expected.sort();
        assert_eq!(files(&dist), expected);
    }

    #[test]
    fn the_same_programs_make_the_same_zips() {
        let folder = tempfile::tempdir().unwrap();
        let programs = [(Architecture::Arm64, programs(folder.path()))];
        let [one, other] = ["one", "other"].map(|name| {
            let dist = folder.path().join(name);
            lay_out(&dist, &programs, None, Zips::Compressed).unwrap();
            fs::read(dist.join("functions/arm64/enqueue.zip")).unwrap()
        });
        assert_eq!(one, other);
    }

    #[test]
    fn files_of_the_user_are_copied_and_no_other_one_is_left_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let programs = [(Architecture::Arm64, programs(folder.path()))];
        let (dist, sql) = (folder.path().join("dist"), folder.path().join("sql"));
        fs::create_dir_all(sql.join("sync")).unwrap();
        fs::write(sql.join("0001_a.sql"), "SELECT 1").unwrap();
        lay_out(&dist, &programs, Some(&sql), Zips::Stored).unwrap();
        let own = dist.join("functions/arm64/migrate/sql");
        assert_eq!(files(&own), ["0001_a.sql", "README.txt"]);

        // Without --sql they stay.
        lay_out(&dist, &programs, None, Zips::Stored).unwrap();
        assert_eq!(files(&own), ["0001_a.sql", "README.txt"]);

        fs::write(own.join("0002_b.sql"), "SELECT 2").unwrap();
        let error = lay_out(&dist, &programs, Some(&sql), Zips::Stored).unwrap_err().to_string();
        assert!(error.contains("has 0002_b.sql, and"), "{error}");
    }
}
