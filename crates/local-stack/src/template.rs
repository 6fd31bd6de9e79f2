//! Fills the code locations into the text of template.yaml, and changes nothing else.

use std::collections::HashMap;

use anyhow::{Context, bail};

/// Replaces each function's `CodeUri: .` by the location of the program that its `Binary` names.
pub(crate) fn with_code(
    template: &str,
    locations: &HashMap<&str, String>,
) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(template.len() + 1024);
    let mut binary = None;
    let mut n_filled = 0;
    for line in template.split_inclusive('\n') {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("Binary: ") {
            binary = Some(name);
        }
        if text != "CodeUri: ." {
            filled.push_str(line);
            continue;
        }
        // SAM's order: the function's Metadata stands before its Properties in our template.
        let name = binary.take().context("template.yaml: a CodeUri without a Binary before it")?;
        let location = locations
            .get(name)
            .with_context(|| format!("template.yaml: there is no program called {name}"))?;
        filled.push_str(&line.replace("CodeUri: .", &format!("CodeUri: {location}")));
        n_filled += 1;
    }
    if n_filled != locations.len() {
        bail!("template.yaml: {} functions expected, {n_filled} found", locations.len());
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::BINARIES;

    #[test]
    fn only_the_code_locations_change() {
        let template = include_str!("../../../template.yaml");
        let locations: HashMap<_, _> =
            BINARIES.into_iter().map(|name| (name, format!("s3://code/{name}.zip"))).collect();
        let filled = with_code(template, &locations).unwrap();
        let changed: Vec<_> = template
            .lines()
            .zip(filled.lines())
            .filter(|(before, after)| before != after)
            .collect();
        let expected: Vec<_> =
            ["refresh", "enqueue", "lookup", "apply", "prune", "import", "migrate"]
                .map(|name| format!("      CodeUri: s3://code/{name}.zip"))
                .into();
        assert!(changed.iter().all(|(before, _)| *before == "      CodeUri: ."));
        assert_eq!(changed.iter().map(|(_, after)| *after).collect::<Vec<_>>(), expected);
        assert_eq!(template.lines().count(), filled.lines().count());
    }

    #[test]
    fn a_function_without_a_program_is_an_error() {
        let template = "Binary: other\nCodeUri: .\n";
        let error = with_code(template, &HashMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "template.yaml: there is no program called other");
    }
}
