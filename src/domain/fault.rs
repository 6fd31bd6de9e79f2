//! Faults of a row or a name: the position, the broken rule, and the nearest existing name.
//!
//! Pure. Request validation collects them, and [`Problem`](crate::api::problem::Problem) reports
//! them.

use std::borrow::Cow;

use serde::Serialize;

/// The most faults in a list.
pub const FAULTS_MAX: usize = 100;

/// One fault of a request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// The position: a JSON Pointer (RFC 6901) into the body.
    pub pointer: String,
    /// The name of the broken rule, which never changes.
    pub rule: String,
    /// A description of valid values, as "expected …".
    pub detail: String,
}

/// The faults of a body. All are counted, and the first [`FAULTS_MAX`] are kept.
#[derive(Debug, Default)]
pub struct Faults {
    listed: Vec<FieldFault>,
    total: usize,
}

impl Faults {
    /// Adds a fault. Calls `fault` only if it is kept.
    pub fn push(&mut self, fault: impl FnOnce() -> FieldFault) {
        if self.listed.len() < FAULTS_MAX {
            self.listed.push(fault());
        }
        self.total += 1;
    }

    /// Returns the number of all faults.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the faults that are kept.
    pub fn into_listed(self) -> Vec<FieldFault> {
        self.listed
    }
}

/// Returns the name that is nearest to an unknown name, or `None` if no name is near. Neither case
/// nor singular and plural make a difference.
pub fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bound = |name: &str| 1 + name.chars().count() / 4;
    // A name of a very different length is not near, and a very long one would take long to
    // compare.
    let mut names =
        names.filter(|name| unknown.len().abs_diff(name.len()) <= 4 * bound(name)).peekable();
    names.peek()?;
    let unknown = folded(unknown);
    names
        .map(|name| (strsim::damerau_levenshtein(&unknown, &folded(name)), name))
        .filter(|(distance, name)| *distance <= bound(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Returns a text of at most `chars_max` characters. A longer text ends with an ellipsis.
pub fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    if text.chars().nth(chars_max).is_none() {
        return Cow::Borrowed(text);
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

/// Returns a name in lower case, without the ending of an English plural.
fn folded(name: &str) -> String {
    let name = name.to_lowercase();
    let ends = [
        ("ies", "y"),
        ("ses", "s"),
        ("xes", "x"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("ss", "ss"),
        ("s", ""),
    ];
    for (plural, singular) in ends {
        if let Some(stem) = name.strip_suffix(plural) {
            return format!("{stem}{singular}");
        }
    }
    name
}

/// Formats a name as a step of a JSON Pointer, with `~` and `/` escaped.
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

    #[test]
    fn case_and_plural_make_no_difference() {
        for (unknown, name) in [
            ("STAFF", "staff"),
            ("ID", "id"),
            ("Categories", "category"),
            ("category", "categories"),
            ("Addresses", "address"),
            ("BOX", "boxes"),
            ("FIRSTNAME", "first_name"),
            ("status", "Status"),
        ] {
            assert_eq!(nearest(unknown, [name].into_iter()), Some(name));
        }
    }
}
