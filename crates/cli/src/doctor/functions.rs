//! Checks the functions of a stack: their code, and their number at once.
//!
//! Pure.

use super::finding::Finding;

const VERSIONS: &str = "versions";
const QUOTAS: &str = "quotas";

/// Lambda writes its time down before CloudFormation does. Both are rounded.
const TOLERANCE_S: i64 = 2;

/// A function of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Deployed {
    /// The name in the template, such as `ApplyFunction`.
    pub(crate) logical_id: String,
    pub(crate) name: String,
    /// The last change by CloudFormation, in seconds of Unix time.
    pub(crate) updated_at: i64,
    /// The last change by whomever.
    pub(crate) modified_at: Option<i64>,
    pub(crate) reserved: Option<i32>,
    /// The most invocations that its queue begins at once.
    pub(crate) invoked_max: Option<i32>,
}

/// Finds functions that somebody has changed since they were deployed.
pub(crate) fn of_code(functions: &[Deployed]) -> Vec<Finding> {
    let changed = functions.iter().filter(|function| {
        function.modified_at.is_some_and(|at| at > function.updated_at + TOLERANCE_S)
    });
    let changed: Vec<_> = changed.map(|function| function.logical_id.as_str()).collect();
    if changed.is_empty() {
        return vec![Finding::ok(
            VERSIONS,
            format!("the {} functions are as the stack has deployed them", functions.len()),
        )];
    }
    vec![Finding::warning(
        VERSIONS,
        format!("changed since the stack was deployed: {}", changed.join(", ")),
        "The functions may not be of one package, and the next deployment takes the change back.",
        "make the change in the package or in the template's parameters, and deploy the stack again",
    )]
}

/// Compares the functions that may run at once with those that the queues begin. `account` is the
/// quota of the account, less that of reserved functions.
pub(crate) fn of_quotas(functions: &[Deployed], account: Option<i32>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in functions {
        let Deployed { logical_id, name, reserved, invoked_max, .. } = function;
        match reserved {
            Some(0) => findings.push(Finding::error(
                QUOTAS,
                format!("{logical_id} is switched off: its reserved concurrency is 0"),
                "Lambda refuses each invocation.",
                &format!("aws lambda delete-function-concurrency --function-name {name}"),
            )),
            Some(reserved) if invoked_max.is_some_and(|max| max > *reserved) => {
                findings.push(Finding::warning(
                    QUOTAS,
                    format!(
                        "{logical_id} has a reserved concurrency of {reserved}, and its queue begins up to {}",
                        invoked_max.unwrap_or_default()
                    ),
                    "Lambda refuses deliveries, and each of them counts as one.",
                    "reserve as many, or lower ApplyConcurrency or ImportConcurrency",
                ));
            }
            _ => {}
        }
    }
    let shared = functions.iter().filter(|function| function.reserved.is_none());
    let begun: i32 = shared.filter_map(|function| function.invoked_max).sum();
    if let Some(account) = account.filter(|account| *account <= begun) {
        findings.push(Finding::warning(
            QUOTAS,
            format!(
                "the account runs {account} functions at once, and the queues begin up to {begun}"
            ),
            "While the queues are busy, the API responds 503.",
            "have AWS raise the quota \"Concurrent executions\" of Lambda, or lower ApplyConcurrency \
             and ImportConcurrency",
        ));
    }
    if findings.is_empty() {
        let account =
            account.map_or_else(|| "some number of".to_owned(), |account| account.to_string());
        findings.push(Finding::ok(
            QUOTAS,
            format!(
                "the account runs {account} functions at once, and the queues begin up to {begun}"
            ),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    fn apply() -> Deployed {
        Deployed {
            logical_id: "ApplyFunction".into(),
            name: "stack-apply".into(),
            updated_at: 1_000,
            modified_at: Some(1_001),
            reserved: None,
            invoked_max: Some(8),
        }
    }

    #[test]
    fn a_function_that_was_changed_by_hand_is_named() {
        assert_eq!(of_code(&[apply()])[0].severity, Severity::Ok);
        let changed = Deployed { modified_at: Some(2_000), ..apply() };
        let found = of_code(&[changed, apply()]);
        assert_eq!(found[0].what, "changed since the stack was deployed: ApplyFunction");
    }

    #[test]
    fn an_account_of_ten_functions_is_too_small_for_ten_deliveries() {
        let import = Deployed { invoked_max: Some(2), ..apply() };
        let severity = |account| of_quotas(&[apply(), import.clone()], Some(account))[0].severity;
        assert_eq!(severity(10), Severity::Warning);
        assert_eq!(severity(11), Severity::Ok);
    }

    #[test]
    fn reserved_concurrency_must_fit_the_queue() {
        let severity = |reserved| {
            of_quotas(&[Deployed { reserved: Some(reserved), ..apply() }], Some(1_000))[0].severity
        };
        assert_eq!(severity(0), Severity::Error);
        assert_eq!(severity(7), Severity::Warning);
        assert_eq!(severity(8), Severity::Ok);
    }
}
