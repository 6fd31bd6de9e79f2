//! Entity tags: lists of them in `If-Match` and `If-None-Match`, and the tags of rows (RFC 9110,
//! sections 8.8.3 and 13.1).
//!
//! Pure.

/// The tags of a condition's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition<'a> {
    /// `*`: any representation.
    Any,
    OneOf(Vec<EntityTag<'a>>),
}

/// One entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    pub is_weak: bool,
    /// The text with its double quotes.
    pub text: &'a str,
}

impl<'a> Condition<'a> {
    /// Parses a header: `*`, or tags in double quotes that are separated by commas. A tag may
    /// contain a comma.
    pub fn parse(header: &'a str) -> Option<Self> {
        let mut rest = header.trim();
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            // RFC 9110 has recipients accept empty elements of a list.
            rest = rest.trim_start_matches([',', ' ', '\t']);
            if rest.is_empty() {
                return (!tags.is_empty()).then_some(Self::OneOf(tags));
            }
            let strong = rest.strip_prefix("W/").unwrap_or(rest);
            let is_weak = strong.len() < rest.len();
            let inner = strong.strip_prefix('"')?;
            let (opaque, after) = inner.split_once('"')?;
            if !opaque.chars().all(|c| !c.is_ascii_control() && c != ' ') {
                return None;
            }
            let text = strong.get(..opaque.len() + 2)?;
            tags.push(EntityTag { is_weak, text });
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
    }

    /// Returns `true` if the tag is one of these by the strong comparison: weak tags are never
    /// equal.
    pub fn matches_strongly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|known| !known.is_weak && known.text == tag),
        }
    }

    /// Returns `true` if the tag is one of these by the weak comparison.
    pub fn matches_weakly(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|known| known.text == tag),
        }
    }
}

/// Makes the entity tag of a representation of a row: the row's tag, and the names of the media
/// type and the coding where they are not JSON and none.
pub fn of_row(row_tag: &str, form: &str) -> String {
    if form.is_empty() { format!("\"{row_tag}\"") } else { format!("\"{row_tag}-{form}\"") }
}

/// Adds the name of a content coding to an entity tag.
pub fn with_coding(tag: &str, coding: &str) -> String {
    format!("{}-{coding}\"", tag.strip_suffix('"').unwrap_or(tag))
}

/// Returns the tag of a row, in double quotes, of an entity tag that [`of_row`] and [`with_coding`]
/// made: whatever the representation was in which a client read the row.
pub fn row_tag(tag: &str) -> String {
    let opaque = tag.trim_matches('"');
    let (row_tag, _) = opaque.split_once('-').unwrap_or((opaque, ""));
    format!("\"{row_tag}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_list_of_tags() {
        let check = |header: &str, expected: Option<&[(bool, &str)]>| {
            let tags = Condition::parse(header).map(|condition| match condition {
                Condition::Any => vec![(false, "*")],
                Condition::OneOf(tags) => tags.iter().map(|tag| (tag.is_weak, tag.text)).collect(),
            });
            assert_eq!(tags.as_deref(), expected, "{header}");
        };
        check("*", Some(&[(false, "*")]));
        check("\"a\"", Some(&[(false, "\"a\"")]));
        check(" \"a\" ,W/\"b\", \"\"", Some(&[(false, "\"a\""), (true, "\"b\""), (false, "\"\"")]));
        check("\"a,b\",, \"c\",", Some(&[(false, "\"a,b\""), (false, "\"c\"")]));
        check("\"é\"", Some(&[(false, "\"é\"")]));
        for wrong in [
            "",
            ",",
            "a",
            "\"a",
            "\"a\" \"b\"",
            "\"a\"b",
            "w/\"a\"",
            "W/ \"a\"",
            "*, \"a\"",
            "\"a b\"",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_weak_tag_is_equal_by_the_weak_comparison_only() {
        let check = |header: &str, strongly: bool, weakly: bool| {
            let condition = Condition::parse(header).unwrap();
            let found = (condition.matches_strongly("\"a\""), condition.matches_weakly("\"a\""));
            assert_eq!(found, (strongly, weakly), "{header}");
        };
        check("*", true, true);
        check("\"b\", \"a\"", true, true);
        check("W/\"a\"", false, true);
        check("\"b\", W/\"c\", \"a-gzip\"", false, false);
    }

    #[test]
    fn the_tag_of_a_row_is_found_in_the_tags_of_its_representations() {
        for tag in [
            of_row("0f", ""),
            of_row("0f", "csv"),
            with_coding(&of_row("0f", ""), "gzip"),
            with_coding(&of_row("0f", "csv"), "gzip"),
        ] {
            assert_eq!(row_tag(&tag), "\"0f\"", "{tag}");
        }
    }
}
