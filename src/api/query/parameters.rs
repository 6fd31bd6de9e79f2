//! The values of a statement, each bound under a name of its own and cast where it stands.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;

use super::statement::Query;
use crate::domain::field::{Parameter, parameter};

/// Values, as they are bound.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    bound: Vec<Parameter>,
    meets_unknown_types: bool,
}

impl Parameters {
    /// Binds a value and gives its place in the SQL text: `:p1::bpchar`.
    pub(super) fn bind(&mut self, value: &str, column_type: &ColumnType) -> String {
        self.meet(column_type);
        self.bind_as(value, &column_type.cast_name())
    }

    /// The same, for a type by its SQL name.
    pub(super) fn bind_as(&mut self, value: &str, cast_name: &str) -> String {
        let name = format!("p{}", self.bound.len() + 1);
        let placeholder = format!(":{name}::{cast_name}");
        self.bound.push(parameter(name, value));
        placeholder
    }

    /// Notes a type of which values are compared or put in order.
    pub(super) fn meet(&mut self, column_type: &ColumnType) {
        self.meets_unknown_types |= match column_type {
            ColumnType::Other { .. } => true,
            ColumnType::Array(element) => matches!(**element, ColumnType::Other { .. }),
            _ => false,
        };
    }

    pub(super) fn into_query(self, sql: String) -> Query {
        Query { sql, parameters: self.bound, meets_unknown_types: self.meets_unknown_types }
    }
}
