//! Checks the users of the database, their rights, and the message groups that wait for a person.
//!
//! Pure.

use super::finding::Finding;
use crate::refresh::{BlockedGroup, Checked, User};

const ROLES: &str = "roles";
const BLOCKED: &str = "blocked";

/// The groups that are named one by one.
const GROUPS_NAMED_MAX: usize = 5;

/// Returns the findings about the users and their rights.
pub(crate) fn of_users(checked: &Checked) -> Vec<Finding> {
    let Checked { users, missing_rights, .. } = checked;
    let mut findings = Vec::new();
    if !missing_rights.is_empty() {
        let (rights, grants) = (missing_rights.join(", "), missing_rights.join("; GRANT "));
        findings.push(Finding::error(
            ROLES,
            format!("the roles lack rights on the worker's own schema: {rights}"),
            "PostgreSQL refuses the functions. Writes wait in their queue.",
            &format!("deploy the stack again, or as the owner: GRANT {grants};"),
        ));
    }
    for (role, parameter) in
        [("sync_reader", "ReaderSecretArn"), ("sync_writer", "WriterSecretArn")]
    {
        if !users.iter().any(|user| user.roles.iter().any(|of| of == role)) {
            findings.push(Finding::error(
                ROLES,
                format!("no user has the rights of {role}"),
                "PostgreSQL refuses the functions, whatever the role is granted.",
                &format!("GRANT {role} TO the user of the secret {parameter};"),
            ));
        }
    }
    findings.extend(users.iter().flat_map(of_user));
    if findings.is_empty() {
        let users =
            users.iter().map(|User { name, roles, .. }| format!("{name} ({})", roles.join(", ")));
        let users = users.collect::<Vec<_>>().join(", ");
        findings.push(Finding::ok(
            ROLES,
            format!("PostgreSQL holds the users to their rights: {users}"),
        ));
    }
    findings
}

fn of_user(user: &User) -> Vec<Finding> {
    let User { name, is_superuser, bypasses_row_security, owns, .. } = user;
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let warning = |what: &str, why, help: String| {
        Finding::warning(ROLES, format!("{name} {what}"), why, &help)
    };
    let mut findings = Vec::new();
    if *is_superuser {
        findings.push(warning(
            "is a superuser",
            "PostgreSQL refuses it nothing: neither grants nor row security hold for the functions.",
            format!("ALTER ROLE {quoted} NOSUPERUSER;"),
        ));
    }
    if *bypasses_row_security {
        findings.push(warning(
            "has BYPASSRLS",
            "Row policies do not hold for the functions.",
            format!("ALTER ROLE {quoted} NOBYPASSRLS;"),
        ));
    }
    if !owns.is_empty() {
        findings.push(warning(
            &format!("owns tables that the API offers: {}", owns.join(", ")),
            "An owner may do everything with its table, whatever is granted, and row policies do not \
             hold for it.",
            "ALTER TABLE … OWNER TO a role that no function has".to_owned(),
        ));
    }
    findings
}

/// Returns the findings about message groups that wait for a person.
pub(crate) fn of_blocked(blocked: &[BlockedGroup]) -> Vec<Finding> {
    if blocked.is_empty() {
        return vec![Finding::ok(BLOCKED, "no message group waits for a person".to_owned())];
    }
    let named = blocked.iter().take(GROUPS_NAMED_MAX).map(|found| {
        let BlockedGroup { group, writes, cause, since, tried_at } = found;
        format!("{group}: {writes} (cause {cause}, since {since}, tried at {tried_at})")
    });
    let mut what = named.collect::<Vec<_>>().join("; ");
    if let Some(more @ 1..) = blocked.len().checked_sub(GROUPS_NAMED_MAX) {
        what.push_str(&format!("; and {more} groups more"));
    }
    vec![Finding::error(
        BLOCKED,
        format!("accepted writes wait for a person, by message group: {what}"),
        "They are kept and tried again, and the later writes of their groups wait behind them.",
        "read the log of the function apply, and remove the cause. They go on by themselves within 19 \
         minutes",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

    fn user(name: &str, role: &str) -> User {
        User {
            name: name.into(),
            roles: vec![role.into()],
            is_superuser: false,
            bypasses_row_security: false,
            owns: Vec::new(),
        }
    }

    fn checked(users: Vec<User>, missing_rights: &[&str]) -> Checked {
        Checked {
            worker: "1".into(),
            users,
            missing_rights: missing_rights.iter().map(|&right| right.to_owned()).collect(),
            blocked: Vec::new(),
        }
    }

    #[test]
    fn each_power_of_a_user_is_a_warning() {
        let strong = User {
            is_superuser: true,
            bypasses_row_security: true,
            owns: vec!["staff".into()],
            ..user("w", "sync_writer")
        };
        let found = of_users(&checked(vec![user("r", "sync_reader"), strong], &[]));
        assert!(found.iter().all(|finding| finding.severity == Severity::Warning));
        let whats: Vec<_> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            whats,
            ["w is a superuser", "w has BYPASSRLS", "w owns tables that the API offers: staff"]
        );
        assert_eq!(found[1].help.as_deref(), Some("ALTER ROLE \"w\" NOBYPASSRLS;"));
    }

    #[test]
    fn a_role_without_a_user_and_a_missing_right_are_errors() {
        let found = of_users(&checked(
            vec![user("r", "sync_reader")],
            &["SELECT ON sync.write to sync_reader", "USAGE ON SCHEMA sync to sync_writer"],
        ));
        assert!(found.iter().all(|finding| finding.severity == Severity::Error));
        assert_eq!(
            found[0].help.as_deref(),
            Some(
                "deploy the stack again, or as the owner: GRANT SELECT ON sync.write to sync_reader; \
                 GRANT USAGE ON SCHEMA sync to sync_writer;"
            )
        );
        assert_eq!(found[1].what, "no user has the rights of sync_writer");
    }

    #[test]
    fn the_first_blocked_groups_are_named() {
        let group = |number| BlockedGroup {
            group: format!("staff:{number}"),
            writes: 2,
            cause: "42501".into(),
            since: "s".into(),
            tried_at: "t".into(),
        };
        let found = of_blocked(&(0..7).map(group).collect::<Vec<_>>());
        assert!(found[0].what.contains(": staff:0: 2 (cause 42501, since s, tried at t); staff:1"));
        assert!(found[0].what.ends_with("; and 2 groups more"), "{}", found[0].what);
        assert_eq!(of_blocked(&[])[0].severity, Severity::Ok);
    }
}
