//! Identifiers in SQL.

/// Quotes an identifier for SQL; doubles the quotes inside.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
