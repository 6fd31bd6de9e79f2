//! Texts that must agree: documents, template, samples and code.

use std::collections::BTreeMap;
use std::fs;

use aurora_sync::functions::metrics::EMBEDDED;

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
    assert_eq!(documented, import_options::ALL.map(|option| option.name));
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

/// Returns the log lines of the functions that make metrics: the arguments of their macros.
fn metric_lines() -> Vec<String> {
    let source: String = files("src", "rs").into_iter().map(|(_, text)| code(&text)).collect();
    let lines = ["tracing::error!(", "tracing::warn!(", "tracing::info!(", "metrics::line!("];
    let lines = lines.iter().flat_map(|name| {
        let lines = source.split(name).skip(1).filter_map(|rest| rest.split_once(");"));
        let lines = lines.map(|(line, _)| line.trim_end_matches([',', ' ', '\n']).to_owned());
        lines.filter(|line| *name == "metrics::line!(" || line.contains("target: metrics::TARGET"))
    });
    lines.collect()
}

/// Returns the names that a log line gives to its fields.
fn fields(line: &str) -> Vec<&str> {
    let arguments = line.split(',').map(|argument| argument.trim().trim_start_matches('%'));
    arguments.map(|argument| argument.split(" =").next().unwrap().trim()).collect()
}

/// Compares each metric filter of the template with the log lines of the functions: there is a line
/// that the filter counts, at whatever level, and the line has the field that the metric adds up.
#[test]
fn metric_filters_match_log_lines() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let log_lines = metric_lines();
    let mut filters = 0;
    for filter in template.split("FilterPattern: '{ $.message = \"").skip(1) {
        filters += 1;
        let (message, rest) = filter.split_once('"').unwrap();
        let (_, value) = rest.split_once("MetricValue: ").unwrap();
        let value = value.lines().next().unwrap();
        let literal = format!("\"{message}\"");
        let lines = log_lines.iter().filter(|line| line.ends_with(&literal));
        let is_counted = |line: &&String| match value.strip_prefix("$.") {
            Some(field) => fields(line).iter().any(|found| found.starts_with(field)),
            None => true,
        };
        let counted = lines.clone().filter(is_counted).count();
        assert!(counted > 0 && counted == lines.count(), "{message}: {value}");
    }
    assert_eq!(filters, template.matches("FilterPattern:").count(), "a filter of another form");
    assert!(filters > 0);
}

/// The macro of these lines adds the use of the Data API itself.
#[test]
fn every_embedded_metric_is_the_field_of_a_log_line() {
    let lines = metric_lines();
    for (name, _) in EMBEDDED.iter().filter(|(name, _)| !name.starts_with("data_api_")) {
        assert!(lines.iter().any(|line| fields(line).contains(name)), "no line has {name}");
    }
}

const NAMESPACE: &str = "aurora-sync/${AWS::StackName}";

/// Returns the metrics of the product: those of metric filters, and those in log lines.
fn own_metrics(template: &str) -> Vec<String> {
    let of_filters = metric_names(template, &format!("MetricNamespace: !Sub {NAMESPACE}\n"));
    let embedded = EMBEDDED.iter().map(|(name, _)| (*name).to_owned());
    of_filters.into_iter().chain(embedded).collect()
}

/// Returns the names of the metrics that follow the lines of a namespace.
fn metric_names(template: &str, namespace: &str) -> Vec<String> {
    let found = template.split(namespace).skip(1).map(|rest| {
        let (_, metric) = rest.split_once("MetricName: ").unwrap();
        metric.lines().next().unwrap().to_owned()
    });
    found.collect()
}

#[test]
fn alarms_and_the_dashboard_name_metrics_that_exist() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let made = own_metrics(&template);
    let mut watched = metric_names(&template, &format!(" Namespace: !Sub {NAMESPACE}\n"));
    assert!(watched.len() > 5, "{watched:?}");
    let dashboard = block(&template, "Dashboard");
    let own = format!("[\"{NAMESPACE}\", \"");
    let shown = dashboard.split(&own).skip(1);
    watched.extend(shown.map(|rest| rest.split('"').next().unwrap().to_owned()));
    for metric in watched {
        assert!(made.contains(&metric), "nothing makes {metric}");
    }
    let (_, body) = dashboard.split_once("DashboardBody: !Sub |\n").unwrap();
    serde_json::from_str::<serde_json::Value>(body).unwrap();
}

/// Each alarm on a metric of the product has a test that produces its condition, and names the
/// metric or the log line that a filter counts.
#[test]
fn a_test_produces_the_condition_of_each_own_alarm() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let filters = template.split("FilterPattern: '{ $.message = \"").skip(1).map(|filter| {
        let (message, rest) = filter.split_once('"').unwrap();
        let (_, metric) = rest.split_once("MetricName: ").unwrap();
        (metric.lines().next().unwrap(), message)
    });
    let filters: BTreeMap<_, _> = filters.collect();
    let tests = files("tests/it", "rs").into_iter();
    let tests = tests.filter(|(path, _)| !path.starts_with("tests/it/tidy"));
    let tests: String = tests.map(|(_, text)| text).collect();
    let watched = metric_names(&template, &format!(" Namespace: !Sub {NAMESPACE}\n"));
    assert!(watched.len() > 5, "{watched:?}");
    for metric in &watched {
        let produced = filters.get(metric.as_str()).copied().unwrap_or(metric);
        assert!(tests.contains(&format!("\"{produced}\"")), "no test produces {metric}");
    }
}

#[test]
fn every_metric_is_documented() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let rows = table("docs/reference/metrics.md");
    let mut documented: Vec<_> =
        rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    let mut made = own_metrics(&template);
    documented.sort_unstable();
    made.sort_unstable();
    assert_eq!(documented, made);
}

/// Each alarm has its row in the runbook, and its text names the command that shows more.
#[test]
fn every_alarm_is_in_the_runbook_and_names_a_command() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let rows = table("docs/guide/operate.md");
    let mut documented: Vec<_> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    let mut alarms = Vec::new();
    for alarm in template.split("Type: AWS::CloudWatch::Alarm\n").skip(1) {
        let (_, text) = alarm.split_once("AlarmDescription: ").unwrap();
        assert!(text.lines().take(5).any(|line| line.contains("Run:")), "{text}");
    }
    let mut names = Vec::new();
    for line in template.lines() {
        let name = line.trim().trim_start_matches("- ");
        if let Some(list) = name.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
            names = list.split(", ").collect();
        } else if let Some(name) = name.strip_suffix("Alarm:") {
            match name.strip_prefix("${").and_then(|name| name.split_once('}')) {
                Some((_, rest)) => alarms.extend(names.iter().map(|name| format!("{name}{rest}"))),
                None => alarms.push(name.to_owned()),
            }
        }
    }
    alarms.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, alarms);
}
