//! The user as whom PostgreSQL runs, and the folder that this user can reach.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::folder;

/// The user of the server: PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    Us,
    Other { uid: u32, gid: u32 },
}

impl Owner {
    pub(crate) fn of_server() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Us);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        for wanted in ["postgres", "nobody"] {
            for user in users.lines() {
                let fields: Vec<_> = user.split(':').collect();
                if let [name, _, uid, gid, ..] = fields.as_slice()
                    && *name == wanted
                {
                    return Ok(Self::Other { uid: uid.parse()?, gid: gid.parse()? });
                }
            }
        }
        bail!("PostgreSQL refuses to run as root, and there is no user \"postgres\" or \"nobody\"")
    }

    /// Our folder, or a temporary one where that user cannot get there.
    pub(crate) fn base_folder(self) -> anyhow::Result<PathBuf> {
        let folder = folder::base()?;
        let Self::Other { uid, .. } = self else { return Ok(folder) };
        let is_open = folder.ancestors().all(|part| {
            fs::metadata(part).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
        });
        if is_open {
            return Ok(folder);
        }
        let folder = std::env::temp_dir().join(format!("ephemeral-postgres-{uid}"));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    pub(crate) fn own(self, path: &Path) -> anyhow::Result<()> {
        match self {
            Self::Us => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give {} to PostgreSQL's user", path.display())),
        }
    }

    pub(crate) fn run_as(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }
}
