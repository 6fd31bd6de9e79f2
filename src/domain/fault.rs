//! The faults of a row or a name: where they are, which rule is broken, and the nearest name that exists.
//!
//! Pure. Request validation collects them, and [`Problem`](crate::api::problem::Problem) reports them.

use serde::Serialize;

/// Most faults that are listed.
pub const FAULTS_MAX: usize = 100;

/// One fault of a request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Where, as a JSON Pointer (RFC 6901) into the body.
    pub pointer: String,
    /// Which rule, by a word that does not change.
    pub rule: String,
    /// What would be right, as "expected …".
    pub detail: String,
}

/// Faults of a body as they are found: all are counted, the first [`FAULTS_MAX`] are kept.
#[derive(Debug, Default)]
pub struct Faults {
    listed: Vec<FieldFault>,
    total: usize,
}

impl Faults {
    /// Only what is kept is put into words.
    pub fn push(&mut self, fault: impl FnOnce() -> FieldFault) {
        if self.listed.len() < FAULTS_MAX {
            self.listed.push(fault());
        }
        self.total += 1;
    }

    pub fn total(&self) -> usize {
        self.total
    }

    pub fn into_listed(self) -> Vec<FieldFault> {
        self.listed
    }
}

/// Which of the names is nearest to one that is unknown, where one is near at all.
pub fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bound = |name: &str| 1 + name.chars().count() / 4;
    names
        // A name of another length cannot be near; a very long one would take long to compare.
        .filter(|name| unknown.len().abs_diff(name.len()) <= 4 * bound(name))
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .filter(|(distance, name)| *distance <= bound(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A step of a JSON Pointer: `~` and `/` escaped.
pub fn pointer_step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = || ["staff", "orders", "id"].into_iter();
        assert_eq!(nearest("stuff", names()), Some("staff"));
        assert_eq!(nearest("order", names()), Some("orders"));
        assert_eq!(nearest("customers", names()), None);
    }
}
