//! The text of template.yaml with other code locations and another architecture.
//!
//! Changes these lines and nothing else, so that comments stay. Pure.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};

use crate::architecture::Architecture;

/// The folder in which `cargo local package` puts the code, as template.yaml names it.
const DIST: &str = "dist/";
const CODE: &str = "CodeUri: ";
const ARCHITECTURES: &str = "Architectures: [arm64]";

/// Returns the template as it is in `dist/`: the paths begin there, and name the code of this
/// architecture.
pub(crate) fn in_dist(template: &str, architecture: Architecture) -> anyhow::Result<String> {
    let in_dist = |path: &str| {
        let path = path.strip_prefix(DIST).context("it is not in dist/")?;
        Ok(path.replace(Architecture::Arm64.name(), architecture.name()))
    };
    replace(template, architecture, in_dist)
}

/// Returns the template with a location for the code of each function, which the name of the code's
/// file or folder identifies.
pub(crate) fn with_code(
    template: &str,
    architecture: Architecture,
    locations: &HashMap<&str, String>,
) -> anyhow::Result<String> {
    let mut n_found = 0;
    let location = |path: &str| {
        n_found += 1;
        let name = Path::new(path).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        locations.get(name).cloned().with_context(|| format!("there is no program called {name}"))
    };
    let filled = replace(template, architecture, location)?;
    if n_found != locations.len() {
        bail!("template.yaml: {} functions expected, {n_found} found", locations.len());
    }
    Ok(filled)
}

fn replace(
    template: &str,
    architecture: Architecture,
    mut location: impl FnMut(&str) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let mut replaced = String::with_capacity(template.len() + 1024);
    for line in template.split_inclusive('\n') {
        if let Some(path) = line.trim().strip_prefix(CODE) {
            let location =
                location(path).with_context(|| format!("template.yaml, CodeUri {path}"))?;
            replaced.push_str(&line.replace(path, &location));
        } else {
            replaced.push_str(
                &line.replace(ARCHITECTURES, &format!("Architectures: [{architecture}]")),
            );
        }
    }
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::BINARIES;

    const TEMPLATE: &str = include_str!("../../../template.yaml");

    /// Returns the lines that differ, as they are after the change.
    fn changed(filled: &str) -> Vec<&str> {
        assert_eq!(TEMPLATE.lines().count(), filled.lines().count());
        let lines = TEMPLATE.lines().zip(filled.lines());
        lines.filter(|(before, after)| before != after).map(|(_, after)| after.trim()).collect()
    }

    #[test]
    fn only_the_code_locations_and_the_architecture_change_on_the_emulator() {
        let locations: HashMap<_, _> =
            BINARIES.into_iter().map(|name| (name, format!("s3://code/{name}.zip"))).collect();
        let filled = with_code(TEMPLATE, Architecture::X86_64, &locations).unwrap();
        let mut expected = vec!["Architectures: [x86_64]".to_owned()];
        expected.extend(
            ["refresh", "enqueue", "lookup", "apply", "prune", "import", "migrate"]
                .map(|name| format!("CodeUri: s3://code/{name}.zip")),
        );
        assert_eq!(changed(&filled), expected);
    }

    #[test]
    fn the_template_of_the_other_architecture_names_its_code() {
        let filled = in_dist(TEMPLATE, Architecture::X86_64).unwrap();
        let changed = changed(&filled);
        assert_eq!(changed.len(), 1 + BINARIES.len());
        for line in ["Architectures: [x86_64]", "CodeUri: functions/x86_64/migrate"] {
            assert!(changed.contains(&line), "{changed:?}");
        }
        assert!(!filled.contains("functions/arm64"));
    }

    #[test]
    fn a_function_without_a_program_is_an_error() {
        let template = "CodeUri: dist/functions/arm64/other.zip\n";
        let error = with_code(template, Architecture::Arm64, &HashMap::new()).unwrap_err();
        let expected = "template.yaml, CodeUri dist/functions/arm64/other.zip: \
                        there is no program called other";
        assert_eq!(format!("{error:#}"), expected);
    }
}
