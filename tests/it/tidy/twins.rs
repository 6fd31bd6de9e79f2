//! Texts that must agree: documents, template, samples and code.

use std::fs;

use aurora_sync::functions::import::read::options;

use super::{code, files};

#[test]
fn a_test_uses_every_sample_event() {
    let tests: String = files("tests", "rs").into_iter().map(|(_, text)| text).collect();
    for (path, _) in files("events", "json") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(tests.contains(&format!("\"{name}\"")), "{} is not used", path.display());
    }
}

#[test]
fn product_code_names_no_table_of_the_example() {
    for folder in ["src", "crates/catalog/src", "crates/cli/src"] {
        for (path, text) in files(folder, "rs") {
            if path.ends_with("tests.rs") {
                continue;
            }
            assert!(!code(&text).contains("staff"), "{}", path.display());
        }
    }
}

/// Returns the cells of the rows of a document's first table.
fn table(path: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim_matches('|').split(" |");
        cells.map(|cell| cell.trim().to_owned()).collect()
    });
    rows.collect()
}

/// Returns the texts in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_option_of_an_import_is_documented() {
    let rows = table("docs/reference/options.md");
    let documented: Vec<_> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(documented, options::ALL.map(|option| option.name));
}

/// Returns the parameters of the template, with their defaults.
fn parameters() -> Vec<(String, String)> {
    let template = fs::read_to_string("template.yaml").unwrap();
    let (_, rest) = template.split_once("\nParameters:\n").unwrap();
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("  "));
    let mut found: Vec<(String, String)> = Vec::new();
    for line in lines {
        let name = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'));
        if let Some(name) =
            name.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            found.push((name.to_owned(), String::new()));
        } else if let Some(default) = line.strip_prefix("    Default: ") {
            default.trim_matches('"').clone_into(&mut found.last_mut().unwrap().1);
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn every_parameter_of_the_template_is_documented_with_its_default() {
    let rows = table("docs/reference/parameters.md");
    let parameters = parameters();
    for row in &rows {
        for name in quoted(&row[0]) {
            assert!(parameters.iter().any(|(found, _)| found == name), "there is no {name}");
        }
    }
    for (name, default) in parameters {
        let row = rows.iter().find(|row| quoted(&row[0]).any(|found| found == name));
        let cell = &row.unwrap_or_else(|| panic!("{name} is not documented"))[1];
        if default.is_empty() {
            let is_words = !cell.starts_with(|first: char| first == '`' || first.is_ascii_digit());
            assert!(is_words, "{name}: {cell}");
        } else {
            // A number may have a unit.
            let documented = match cell.strip_prefix('`') {
                Some(quoted) => quoted.split('`').next(),
                None => cell.split(' ').next(),
            };
            let documented = documented.unwrap();
            assert_eq!(documented, default, "{name}");
        }
    }
}

/// Returns the lines of a resource or a parameter of the template.
fn block(template: &str, name: &str) -> String {
    let (_, rest) =
        template.split_once(&format!("\n  {name}:\n")).unwrap_or_else(|| panic!("no {name}"));
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// Returns the part of the template that describes resources.
fn resources(template: &str) -> &str {
    let (_, rest) = template.split_once("\nResources:\n").unwrap();
    rest.split_once("\nOutputs:\n").unwrap().0
}

/// The migrations run before any other function changes, and whatever the function uses.
#[test]
fn every_function_of_the_template_depends_on_the_migrations() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let names = resources(&template).lines().filter_map(|line| line.strip_prefix("  "));
    let functions = names.filter_map(|name| name.strip_suffix("Function:"));
    let functions: Vec<_> =
        functions.filter(|name| !name.starts_with(' ') && *name != "Migrate").collect();
    assert_eq!(functions.len(), 6, "{functions:?}");
    for name in functions {
        let block = block(&template, &format!("{name}Function"));
        assert!(block.contains("\n    DependsOn: Migrations\n"), "{name}");
    }
}

/// Lambda refuses a queue whose messages come again before its function is done.
#[test]
fn no_visibility_timeout_can_be_below_the_timeout_of_its_function() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let value = |name: &str, property: &str| -> u32 {
        let block = block(&template, name);
        let (_, rest) = block.split_once(&format!(" {property}: ")).unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    for (queue, function) in [("Writes", "Apply"), ("Imports", "Import")] {
        let parameter = format!("{queue}VisibilityTimeout");
        let timeout = value(&format!("{function}Function"), "Timeout");
        assert_eq!(value(&parameter, "MinValue"), timeout, "{parameter}");
        assert_eq!(value(&parameter, "Default"), 6 * timeout, "{parameter}");
    }
}

/// Whatever holds data, except for the catalog, which can be made anew.
#[test]
fn the_stack_policy_protects_what_holds_data() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let policy = fs::read_to_string("stack-policy.json").unwrap();
    let mut protected: Vec<_> = policy
        .split("LogicalResourceId/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let types = ["AWS::RDS::DBCluster", "AWS::SQS::Queue", "AWS::S3::Bucket"];
    let names = resources(&template).lines();
    let names = names.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    let holds_data = |name: &&str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && *name != "CatalogBucket"
            && types
                .iter()
                .any(|of| block(&template, name).starts_with(&format!("    Type: {of}\n")))
    };
    let mut expected: Vec<_> = names.filter(holds_data).collect();
    protected.sort_unstable();
    expected.sort_unstable();
    assert_eq!(protected, expected);
}

#[test]
fn every_problem_type_is_documented_with_its_status() {
    let source = fs::read_to_string("src/api/problem.rs").unwrap();
    // ("word", 404, "Title")
    let kinds = source.split("(\"").skip(1).filter_map(|rest| {
        let (word, rest) = rest.split_once("\", ")?;
        let status = rest.get(..3).filter(|status| status.parse::<u16>().is_ok())?;
        Some([format!("`{word}`"), status.to_owned()])
    });
    let kinds: Vec<_> = kinds.collect();
    assert!(kinds.len() > 10, "{kinds:?}");
    let rows = table("docs/reference/errors.md");
    let documented: Vec<_> = rows.iter().map(|row| [row[0].clone(), row[1].clone()]).collect();
    assert_eq!(documented, kinds);
}

/// Compares each metric filter of the template with the log lines of the functions: there is a line
/// that the filter counts, and the line has the field that the metric adds up.
#[test]
fn metric_filters_match_log_lines() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let source: String = files("src", "rs").into_iter().map(|(_, text)| code(&text)).collect();
    let log_lines: Vec<&str> = ["tracing::error!(", "tracing::warn!(", "tracing::info!("]
        .iter()
        .flat_map(|name| source.split(name).skip(1))
        .filter_map(|rest| {
            rest.split_once(");").map(|(line, _)| line.trim_end_matches([',', ' ', '\n']))
        })
        .collect();
    let mut filters = 0;
    for filter in template.split("FilterPattern: '{ $.message = \"").skip(1) {
        filters += 1;
        let (message, rest) = filter.split_once('"').unwrap();
        let (_, value) = rest.split_once("MetricValue: ").unwrap();
        let value = value.lines().next().unwrap();
        let literal = format!("\"{message}\"");
        let lines = log_lines.iter().filter(|line| line.ends_with(&literal));
        let is_counted = |line: &str| match value.strip_prefix("$.") {
            Some(field) => line.split(',').any(|argument| argument.trim().starts_with(field)),
            None => true,
        };
        let counted = lines.clone().filter(|line| is_counted(line)).count();
        assert!(counted > 0 && counted == lines.count(), "{message}: {value}");
    }
    assert_eq!(filters, template.matches("FilterPattern:").count(), "a filter of another form");
    assert!(filters > 0);
}

/// Compares the alarms on metrics of the product's own namespace with the metric filters: a filter
/// makes each metric.
#[test]
fn alarms_name_metrics_that_a_filter_makes() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let metrics = |namespace: &str| -> Vec<String> {
        let found = template.split(namespace).skip(1).map(|rest| {
            let (_, metric) = rest.split_once("MetricName: ").unwrap();
            metric.lines().next().unwrap().to_owned()
        });
        found.collect()
    };
    let made = metrics("MetricNamespace: aurora-sync\n");
    let watched = metrics(" Namespace: aurora-sync\n");
    assert!(!watched.is_empty());
    for metric in watched {
        assert!(made.contains(&metric), "no filter makes {metric}");
    }
}
