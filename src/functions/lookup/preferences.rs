//! The `Prefer` header of a look-up (RFC 7240): `count=exact`, `count=planned` or
//! `count=estimated`, as in PostgREST.
//!
//! Pure. Ignores unknown preferences, as the RFC requires.

/// The way to count the rows of all pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Reads and counts all rows.
    Exact,
    /// Uses the estimate of PostgreSQL's planner.
    Planned,
    /// The same. PostgREST counts exactly up to a limit of rows; this estimate costs no such scan.
    Estimated,
}

impl Count {
    /// Returns the first supported `count` of the header.
    pub(super) fn from_prefer(header: &str) -> Option<Self> {
        header.split(',').find_map(|preference| {
            // Parameters of a preference follow a semicolon. This one has none.
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("count") {
                return None;
            }
            match value.trim().trim_matches('"') {
                "exact" => Some(Self::Exact),
                "planned" => Some(Self::Planned),
                "estimated" => Some(Self::Estimated),
                _ => None,
            }
        })
    }

    /// Returns the value of `Preference-Applied`.
    pub(super) fn applied(self) -> &'static str {
        match self {
            Self::Exact => "count=exact",
            Self::Planned => "count=planned",
            Self::Estimated => "count=estimated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        for (header, expected) in [
            ("count=exact", Some(Count::Exact)),
            ("return=minimal, Count=\"planned\"; x=1", Some(Count::Planned)),
            ("count=estimated, count = exact", Some(Count::Estimated)),
            ("count=other, count = exact", Some(Count::Exact)),
            ("recount=exact", None),
            ("count", None),
            ("", None),
        ] {
            assert_eq!(Count::from_prefer(header), expected, "{header}");
        }
    }
}
