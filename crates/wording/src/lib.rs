//! Words for errors: the nearest of some names, and the beginning of a long text.
//!
//! Pure. The worker and the command say the same by them.

use std::borrow::Cow;

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
