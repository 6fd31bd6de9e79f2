//! `aurora-sync tables`.

use anyhow::bail;

use super::output::{Cell, columns, has_colours, printable};
use super::{deployed, ended, print_json};
use crate::arguments::general::Tables;
use crate::operations::Deployed;
use crate::operations::tables::{self, Column, Offer, Table};
use crate::outcome::Outcome;
use crate::progress::line;

pub(crate) async fn run(arguments: &Tables) -> Outcome {
    match deployed(&arguments.place).await {
        Ok(deployed) => ended(list(&deployed, arguments).await),
        Err(outcome) => outcome,
    }
}

async fn list(deployed: &Deployed, arguments: &Tables) -> anyhow::Result<Outcome> {
    let mut offer = tables::read(deployed).await?;
    if let Some(name) = &arguments.table {
        offer.tables.retain(|table| table.name == *name);
        if offer.tables.is_empty() {
            bail!("the API offers no table \"{name}\": aurora-sync tables lists them");
        }
    }
    if arguments.json {
        print_json(&offer)?;
    } else {
        line(&text(&offer, arguments.table.is_some(), has_colours()));
    }
    Ok(Outcome::Good)
}

fn text(offer: &Offer, has_columns: bool, has_colours: bool) -> String {
    if offer.tables.is_empty() {
        return "the API offers no table; grant the roles their rights:\n  \
                GRANT SELECT ON my_table TO sync_reader;\n  \
                GRANT SELECT, INSERT, UPDATE, DELETE ON my_table TO sync_writer;"
            .to_owned();
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for table in &offer.tables {
        rows.push(row(table));
        if has_columns {
            rows.extend(table.columns.iter().map(|column| column_row(table, column)));
        }
    }
    columns(&rows, has_colours)
}

fn row(table: &Table) -> Vec<Cell> {
    let key = match table.key.as_slice() {
        [] => "no key".to_owned(),
        key => format!("key {}", key.join(",")),
    };
    vec![
        printable(&table.name).into(),
        rights(
            table.is_read,
            &[
                ("insert", table.is_inserted),
                ("update", table.is_updated),
                ("delete", table.is_deleted),
            ],
        )
        .into(),
        printable(&key).into(),
        format!("{} columns", table.columns.len()).into(),
        printable(table.comment.as_deref().unwrap_or_default()).into(),
    ]
}

fn column_row(table: &Table, column: &Column) -> Vec<Cell> {
    let writer = [("insert", column.is_inserted), ("update", column.is_updated)];
    let mut remarks = Vec::new();
    if table.key.contains(&column.name) {
        remarks.push("key");
    }
    if column.is_required {
        remarks.push("required");
    }
    if column.is_nullable {
        remarks.push("nullable");
    }
    vec![
        format!("  {}", printable(&column.name)).into(),
        rights(column.is_read, &writer).into(),
        printable(&column.kind).into(),
        remarks.join(", ").into(),
    ]
}

/// Lists the rights of the two roles.
fn rights(is_read: bool, writer: &[(&str, bool)]) -> String {
    let given: Vec<_> =
        writer.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
    let reader = is_read.then(|| "sync_reader: select".to_owned());
    let writer = (!given.is_empty()).then(|| format!("sync_writer: {}", given.join(", ")));
    let rights: Vec<_> = reader.into_iter().chain(writer).collect();
    rights.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_each_role_are_named() {
        assert_eq!(
            rights(true, &[("insert", true), ("update", false), ("delete", true)]),
            "sync_reader: select; sync_writer: insert, delete"
        );
        assert_eq!(rights(false, &[("insert", true)]), "sync_writer: insert");
    }
}
