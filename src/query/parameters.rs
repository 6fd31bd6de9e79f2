//! The values of a statement, each bound under a name of its own and cast where it stands.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;

use crate::field::{Parameter, parameter};

/// Values, as they are bound.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// Binds a value and gives its place in the SQL text: `:p1::bpchar`.
    pub(super) fn bind(&mut self, value: &str, column_type: &ColumnType) -> String {
        self.bind_as(value, &column_type.cast_name())
    }

    /// The same, for a type by its SQL name.
    pub(super) fn bind_as(&mut self, value: &str, cast_name: &str) -> String {
        let name = format!("p{}", self.0.len() + 1);
        let place = format!(":{name}::{cast_name}");
        self.0.push(parameter(name, value));
        place
    }

    pub(super) fn into_vec(self) -> Vec<Parameter> {
        self.0
    }
}
