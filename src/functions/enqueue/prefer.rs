//! Preferences of a client: the `Prefer` header (RFC 7240) and the response's `Preference-Applied`.
//!
//! Pure. Ignores unknown preferences, as the RFC requires.

use aws_lambda_events::http::HeaderMap;

/// The handling of an insert whose key exists, with the names of PostgREST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolution {
    MergeDuplicates,
    IgnoreDuplicates,
}

/// The handling of a list with invalid items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    /// Accepts all items or none.
    Strict,
    /// Accepts the valid items and reports the others.
    Partial,
}

/// The supported preferences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    pub(super) resolution: Option<Resolution>,
    pub(super) handling: Option<Handling>,
    /// `true` if the request asks for a resolution that does not exist. A plain insert would
    /// surprise its sender.
    pub(super) has_unknown_resolution: bool,
}

impl Preferences {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut preferences = Self::default();
        let (mut has_resolution, mut has_handling) = (false, false);
        let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
        for (name, value) in lines.flat_map(parse) {
            // The first of two preferences with one name counts (RFC 7240, "Syntax").
            match name.as_str() {
                "resolution" if !has_resolution => {
                    has_resolution = true;
                    preferences.resolution = match value.as_str() {
                        "merge-duplicates" => Some(Resolution::MergeDuplicates),
                        "ignore-duplicates" => Some(Resolution::IgnoreDuplicates),
                        _ => {
                            preferences.has_unknown_resolution = true;
                            None
                        }
                    };
                }
                "handling" if !has_handling => {
                    has_handling = true;
                    preferences.handling = match value.as_str() {
                        "strict" => Some(Handling::Strict),
                        "partial" => Some(Handling::Partial),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        preferences
    }

    /// Returns the value of `Preference-Applied`, or `None` if no preference applies.
    pub(super) fn applied(self) -> Option<String> {
        let resolution = self.resolution.map(|resolution| match resolution {
            Resolution::MergeDuplicates => "resolution=merge-duplicates",
            Resolution::IgnoreDuplicates => "resolution=ignore-duplicates",
        });
        let handling = self.handling.map(|handling| match handling {
            Handling::Strict => "handling=strict",
            Handling::Partial => "handling=partial",
        });
        let applied: Vec<_> = resolution.into_iter().chain(handling).collect();
        (!applied.is_empty()).then(|| applied.join(", "))
    }
}

/// Parses the preferences of one header line: names in lower case, values without quotes, no
/// parameters.
fn parse(line: &str) -> Vec<(String, String)> {
    split(line, ',')
        .iter()
        .filter_map(|preference| {
            let preference = split(preference, ';').into_iter().next()?;
            let (name, value) = preference.split_once('=').unwrap_or((&preference, ""));
            let name = name.trim().to_ascii_lowercase();
            (!name.is_empty()).then(|| (name, unquoted(value.trim())))
        })
        .collect()
}

/// Splits a text at a separator, except within quotes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for character in text.chars() {
        if character == separator && !is_quoted {
            parts.push(String::new());
            continue;
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_parsed_as_in_the_rfc() {
        let check = |lines: &[&str], applied: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("prefer", line.parse().unwrap());
            }
            assert_eq!(Preferences::of(&headers).applied().as_deref(), applied, "{lines:?}");
        };
        check(&[], None);
        check(&["resolution=merge-duplicates"], Some("resolution=merge-duplicates"));
        check(
            &["return=minimal, Resolution = \"ignore-duplicates\" ; x=1", "HANDLING=partial"],
            Some("resolution=ignore-duplicates, handling=partial"),
        );
        check(&["handling=strict; handling=partial"], Some("handling=strict"));
        check(&["handling=partial", "handling=strict"], Some("handling=partial"));
        check(&["note=\"a, handling=partial\"; b"], None);
        check(&["note=\"\\\", handling=partial\", handling=strict"], Some("handling=strict"));
        check(&["resolution=other, handling=lenient, wait"], None);
        check(&["resolution", ",,;=,", "\"", "handling="], None);
    }
}
