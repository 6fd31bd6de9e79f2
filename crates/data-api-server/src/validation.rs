//! Checks the members of a request by the service model: required members, lengths, allowed values.
//!
//! Pure.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::request::{Object, Request, Text};

/// Most characters of an SQL text (`SqlStatement`).
const SQL_CHARACTERS_MAX: usize = 65_536;

/// Most characters of a database's name (`DbName`).
const DATABASE_CHARACTERS_MAX: usize = 64;

/// Most characters of a transaction's id (`Id`).
const ID_CHARACTERS_MAX: usize = 192;

/// Fewest and most characters of an ARN (`Arn`).
const ARN_CHARACTERS: std::ops::RangeInclusive<usize> = 11..=100;

/// A transaction's id is looked at first: calls are counted by it.
pub(crate) fn check_id(request: &Request<'_>) -> Result<(), ApiError> {
    is_within(request.transaction_id.as_deref(), "transactionId", ID_CHARACTERS_MAX)
}

/// The members that do not depend on anything else.
pub(crate) fn check(request: &Request<'_>) -> Result<(), ApiError> {
    let database = request.database.as_deref();
    is_within(database, "database", DATABASE_CHARACTERS_MAX)?;
    if database.is_some_and(|name| name.contains('\0')) {
        return Err(ApiError::validation("database must not contain a NUL character"));
    }
    let records = request.format_records_as.as_deref();
    is_one_of(records, "formatRecordsAs", &["NONE", "JSON"])?;
    if let Some(Object(options)) = &request.result_set_options {
        let decimals = options.decimal_return_type.as_deref();
        is_one_of(decimals, "decimalReturnType", &["STRING", "DOUBLE_OR_LONG"])?;
        is_one_of(options.long_return_type.as_deref(), "longReturnType", &["STRING", "LONG"])?;
    }
    if request.schema.is_some() {
        return Err(ApiError::validation("The schema parameter isn't supported"));
    }
    Ok(())
}

pub(crate) fn required<'a>(member: Option<&'a str>, name: &str) -> Result<&'a str, ApiError> {
    member
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::validation(format!("{name} must not be empty")))
}

pub(crate) fn arn<'a>(member: Option<&'a str>, name: &str) -> Result<&'a str, ApiError> {
    let arn = required(member, name)?;
    if ARN_CHARACTERS.contains(&arn.chars().count()) {
        Ok(arn)
    } else {
        let (min, max) = ARN_CHARACTERS.into_inner();
        Err(ApiError::validation(format!("{name} must have from {min} to {max} characters")))
    }
}

pub(crate) fn sql<'a>(request: &'a Request<'_>) -> Result<&'a str, ApiError> {
    let sql = request.sql.as_ref().map(|Text(sql)| Cow::as_ref(sql));
    let sql = required(sql, "sql")?;
    is_within(Some(sql), "sql", SQL_CHARACTERS_MAX)?;
    if sql.contains('\0') {
        return Err(ApiError::validation("sql must not contain a NUL character"));
    }
    Ok(sql)
}

fn is_within(member: Option<&str>, name: &str, max: usize) -> Result<(), ApiError> {
    match member {
        // A character has a byte at least: most texts need no counting.
        Some(text) if text.len() > max && text.chars().count() > max => Err(ApiError::validation(
            format!("{name} must have length less than or equal to {max}"),
        )),
        _ => Ok(()),
    }
}

fn is_one_of(member: Option<&str>, name: &str, known: &[&str]) -> Result<(), ApiError> {
    match member {
        Some(value) if !known.contains(&value) => {
            Err(ApiError::validation(format!("{name} must be one of [{}]", known.join(", "))))
        }
        _ => Ok(()),
    }
}
