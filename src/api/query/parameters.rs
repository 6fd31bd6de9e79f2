//! The values of a statement, each bound to its own name and cast in the SQL text.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;

use crate::domain::field::{Parameter, parameter};

/// A statement with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub sql: String,
    pub parameters: Vec<Parameter>,
    /// `true` if the statement compares or orders values of a type that only the database knows.
    pub has_unknown_types: bool,
}

/// The bound values.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    bound: Vec<Parameter>,
    has_unknown_types: bool,
}

impl Parameters {
    /// Begins with values that are bound already.
    pub(super) fn with(bound: &[Parameter]) -> Self {
        Self { bound: bound.to_vec(), has_unknown_types: false }
    }

    /// Binds a value. Returns its placeholder in the SQL text, such as `:p1::bpchar`.
    pub(super) fn bind(&mut self, value: &str, column_type: &ColumnType) -> String {
        self.note_type(column_type);
        self.bind_as(value, &column_type.cast_name())
    }

    /// Binds a value of the type with this SQL name.
    pub(super) fn bind_as(&mut self, value: &str, cast_name: &str) -> String {
        let name = format!("p{}", self.bound.len() + 1);
        let placeholder = format!(":{name}::{cast_name}");
        self.bound.push(parameter(name, value));
        placeholder
    }

    /// Records a type whose values the statement compares or orders.
    pub(super) fn note_type(&mut self, column_type: &ColumnType) {
        self.has_unknown_types |= match column_type {
            ColumnType::Other { .. } => true,
            ColumnType::Array(element) => matches!(**element, ColumnType::Other { .. }),
            _ => false,
        };
    }

    pub(super) fn into_query(self, sql: String) -> Query {
        Query { sql, parameters: self.bound, has_unknown_types: self.has_unknown_types }
    }
}
