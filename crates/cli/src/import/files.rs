//! The files of a command line, and their bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::arguments;
use crate::aws::objects::Parts;
use crate::preview::HEAD_BYTES;

/// A file that is there, and the name of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// `None` is standard input.
    pub(super) path: Option<PathBuf>,
    pub(super) name: String,
}

/// Returns the files of a command line, if all are there and can be meant.
pub(super) fn named(arguments: &arguments::Import) -> anyhow::Result<Vec<Named>> {
    let arguments::Import { files, table, name, rejected, .. } = arguments;
    if files.len() > 1 && (name.is_some() || rejected.is_some()) {
        bail!("--name and --rejected are for one file, and {} are given", files.len());
    }
    if table.is_empty() || table.contains('/') {
        bail!("--table {table:?} is not the name of a table");
    }
    let named = |path: &PathBuf| -> anyhow::Result<Named> {
        if path == Path::new("-") {
            let name = name.clone().unwrap_or_else(|| "stdin.csv".to_owned());
            return Ok(Named { path: None, name });
        }
        let found = std::fs::metadata(path);
        let found = found.with_context(|| format!("cannot read {}", path.display()))?;
        if !found.is_file() && found.is_dir() {
            bail!("{} is a folder", path.display());
        }
        let own =
            path.file_name().map(|own| own.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Named { path: Some(path.clone()), name: name.clone().unwrap_or(own) })
    };
    let files: Vec<_> = files.iter().map(named).collect::<anyhow::Result<_>>()?;
    if let Some(file) = files.iter().find(|file| file.name.is_empty() || file.name.ends_with('/')) {
        bail!("{:?} is not a name for an object", file.name);
    }
    if files.iter().filter(|file| file.path.is_none()).count() > 1 {
        bail!("standard input can be read once");
    }
    Ok(files)
}

/// The beginning of a file, read before its upload.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Bytes,
    /// `true` if the file has no more bytes.
    pub(super) is_whole: bool,
}

/// Reads the beginning of a file. That of standard input is not read again: it is uploaded from
/// here.
pub(super) async fn head(file: &Named) -> anyhow::Result<Head> {
    let bytes = match &file.path {
        None => beginning(tokio::io::stdin()).await,
        Some(path) => {
            let cannot = || format!("cannot read {}", path.display());
            beginning(File::open(path).await.with_context(cannot)?).await.with_context(cannot)
        }
    }?;
    Ok(Head { is_whole: bytes.len() < HEAD_BYTES, bytes })
}

async fn beginning(input: impl AsyncRead + Unpin) -> anyhow::Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut input = input.take(HEAD_BYTES as u64);
    while input.read_buf(&mut bytes).await? > 0 {}
    Ok(bytes.freeze())
}

/// Cuts an input into parts.
#[derive(Debug)]
pub(super) struct PartsOf<R> {
    pub(super) input: R,
    /// The bytes of each part but the last.
    pub(super) part_bytes: u64,
}

impl<R: AsyncRead + Unpin> Parts for PartsOf<R> {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut part = BytesMut::new();
        let mut input = (&mut self.input).take(self.part_bytes);
        while input.read_buf(&mut part).await.context("cannot read the file to its end")? > 0 {}
        Ok((!part.is_empty()).then(|| part.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn checked(line: &str) -> Result<Vec<String>, String> {
        let words = ["aurora-sync", "import"].into_iter().chain(line.split(' '));
        let Command::Import(arguments) = Arguments::parse_from(words).command else {
            panic!("the command is import");
        };
        let files = named(&arguments).map_err(|error| format!("{error:#}"))?;
        Ok(files.into_iter().map(|file| file.name).collect())
    }

    #[test]
    fn objects_are_named_like_their_files() {
        assert_eq!(checked("-t t Cargo.toml src/main.rs").unwrap(), ["Cargo.toml", "main.rs"]);
        assert_eq!(checked("-t t src/main.rs --name 2026/a.csv").unwrap(), ["2026/a.csv"]);
        assert_eq!(checked("-t t -").unwrap(), ["stdin.csv"]);
    }

    #[test]
    fn a_command_line_that_cannot_be_meant_is_refused() {
        for (line, expected) in [
            ("-t t src", "src is a folder"),
            ("-t t missing.csv", "cannot read missing.csv"),
            ("-t a/b -", "is not the name of a table"),
            ("-t t - -", "standard input can be read once"),
            ("-t t Cargo.toml - --name a.csv", "are for one file"),
            ("-t t - --name a/", "is not a name for an object"),
        ] {
            let error = checked(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[tokio::test]
    async fn a_file_is_cut_into_parts_of_one_size() {
        for (len, expected) in [(0, vec![]), (4, vec![4]), (9, vec![4, 4, 1])] {
            let content = vec![b'x'; len];
            let mut parts = PartsOf { input: content.as_slice(), part_bytes: 4 };
            let mut found = Vec::new();
            while let Some(part) = parts.next().await.unwrap() {
                found.push(part.len());
            }
            assert_eq!(found, expected);
        }
    }
}
