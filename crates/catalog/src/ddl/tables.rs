//! The tables that a sequence of statements leaves.
//!
//! Pure. Understands what makes, changes and drops tables and the types of their columns; every
//! other statement is left to the database.

use std::collections::HashMap;

use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, AlterTypeAddValuePosition,
    AlterTypeOperation, ColumnDef, ColumnOption, CreateTable, ForeignKeyConstraint, GeneratedAs,
    Ident, ObjectName, ObjectType, PrimaryKeyConstraint, RenameTableNameKind, Statement,
    TableConstraint, UserDefinedTypeRepresentation,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::data_type::{UserType, is_built_in, label, typed};
use super::fault::Fault;
use super::name::{Name, fold};
use super::rules::{self, Remark};
use super::split::{Piece, is_word};
use crate::catalog::{Access, Column, ForeignKey, Table, WhenAbsent, path};

/// The tables so far, and the types that columns may have.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: Vec<Table>,
    types: HashMap<Name, UserType>,
}

impl Tables {
    /// The tables, with foreign keys to tables that are among them.
    pub(super) fn into_tables(self) -> Vec<Table> {
        let keys: HashMap<String, Vec<String>> =
            self.tables.iter().map(|table| (table.path(), table.primary_key.clone())).collect();
        let mut tables = self.tables;
        for foreign_key in tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
            // Without columns the other table's primary key is meant.
            if foreign_key.parent_columns.is_empty() {
                foreign_key.parent_columns =
                    keys.get(&foreign_key.parent).cloned().unwrap_or_default();
            }
        }
        for table in &mut tables {
            table.foreign_keys.retain(|foreign_key| {
                keys.contains_key(&foreign_key.parent)
                    && foreign_key.columns.len() == foreign_key.parent_columns.len()
            });
        }
        tables
    }

    /// Takes one more statement.
    pub(super) fn apply(&mut self, piece: &Piece) -> Result<(), Fault> {
        if let Some(index) = rules::row_logic(piece).and_then(|name| self.find(&name)) {
            self.tables[index].has_row_logic = true;
        }
        if let Some(remark) = rules::remark(piece) {
            return self.note(remark).map_err(|cause| Fault::new(piece.line, cause));
        }
        if !concerns_tables(piece) {
            return Ok(());
        }
        let tokens = without_sequence_options(&piece.tokens);
        let statement = Parser::new(&PostgreSqlDialect {})
            .with_tokens(tokens)
            .parse_statement()
            .map_err(|error| {
                Fault::new(piece.line, format!("the catalog cannot read this statement: {error}"))
            })?;
        self.apply_statement(statement).map_err(|cause| Fault::new(piece.line, cause))
    }

    fn apply_statement(&mut self, statement: Statement) -> Result<(), String> {
        match statement {
            Statement::CreateTable(create) => self.create(&create),
            Statement::AlterTable(alter) => self.alter(&alter),
            Statement::CreateType {
                name,
                representation: Some(UserDefinedTypeRepresentation::Enum { labels: found }),
            } => {
                self.types.insert(
                    Name::of(&name),
                    UserType::Enum { labels: found.iter().map(label).collect() },
                );
                Ok(())
            }
            Statement::CreateDomain(domain) => {
                let base = typed(&domain.data_type, &self.types);
                let is_not_null = base.is_not_null;
                let has_default = base.has_default || domain.default.is_some();
                let has_own_equality = base.has_own_equality
                    || domain.collation.as_ref().is_some_and(|collation| {
                        !is_built_in(&ObjectName::from(vec![collation.clone()]))
                    });
                let domain_type = UserType::Domain {
                    base: base.column_type,
                    is_not_null,
                    has_default,
                    has_own_equality,
                    fraction_digits: base.fraction_digits,
                };
                self.types.insert(Name::of(&domain.name), domain_type);
                Ok(())
            }
            Statement::AlterType(alter) => {
                self.alter_type(&Name::of(&alter.name), &alter.operation);
                Ok(())
            }
            Statement::Drop { object_type, names, .. } => {
                for name in &names {
                    self.drop(object_type, &Name::of(name));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes what a statement says about a table without changing its columns.
    fn note(&mut self, remark: Remark) -> Result<(), String> {
        let Some(index) = self.find(remark.table()) else { return Ok(()) };
        let table = &mut self.tables[index];
        match remark {
            Remark::Index(_, words) => has_rules(table, Some(&words)),
            Remark::Exclusion(_, words) => {
                has_rules(table, Some(&words));
                table.rows_exclude = true;
            }
            Remark::Constraint(_, constraint) => add_constraint(table, &constraint)?,
            Remark::TableComment(_, comment) => {
                table.access = Access::default();
                for mark in rules::marks(&comment)? {
                    mark.of_table(table)?;
                }
            }
            Remark::ColumnComment(_, column, comment) => {
                if table.version_column.as_ref() == Some(&column) {
                    table.version_column = None;
                }
                let marks = rules::marks(&comment)?;
                if let Some(known) = table.columns.iter_mut().find(|known| known.name == column) {
                    known.access = Access::default();
                }
                for mark in marks {
                    mark.of_column(table, &column)?;
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, create: &CreateTable) -> Result<(), String> {
        let Name { schema, name } = Name::of(&create.name);
        if create.temporary {
            return Ok(());
        }
        // A partition is reached through its parent.
        if create.partition_of.is_some() {
            return Ok(());
        }
        let unsupported = [
            (create.like.is_some(), "LIKE"),
            (create.query.is_some(), "AS SELECT"),
            (create.inherits.is_some(), "INHERITS"),
        ];
        if let Some((_, what)) = unsupported.iter().find(|(is_used, _)| *is_used) {
            return Err(format!(
                "the catalog cannot hold a table that is made with {what}, as its columns stand elsewhere; write them out"
            ));
        }
        let known = Name { schema: schema.clone(), name: name.clone() };
        if self.find(&known).is_some() {
            return if create.if_not_exists {
                Ok(())
            } else {
                Err(format!("the table \"{name}\" exists already"))
            };
        }
        let mut table = Table {
            schema,
            name,
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            rows_exclude: false,
            has_row_logic: create.partition_by.is_some(),
            version_column: None,
            access: Access::default(),
        };
        for column in &create.columns {
            self.add_column(&mut table, column)?;
        }
        for column in &create.columns {
            add_checks(&mut table, column);
        }
        for constraint in &create.constraints {
            add_constraint(&mut table, constraint)?;
        }
        let path = table.path();
        if path.starts_with("_sync") || path.contains('/') {
            return Err(format!("a table cannot be reached under the name \"{path}\"; rename it"));
        }
        if self.tables.iter().any(|other| other.path() == path) {
            return Err(format!("two tables would be reached under /{path}; rename one"));
        }
        self.tables.push(table);
        Ok(())
    }

    fn add_column(&self, table: &mut Table, definition: &ColumnDef) -> Result<(), String> {
        let name = fold(&definition.name);
        if table.column(&name).is_some() {
            return Err(format!("the column \"{name}\" stands twice"));
        }
        let typed = typed(&definition.data_type, &self.types);
        let mut column = Column {
            name: name.clone(),
            column_type: typed.column_type,
            nullable: !typed.is_not_null,
            when_absent: if typed.has_default { WhenAbsent::Default } else { WhenAbsent::Null },
            has_rules: typed.has_rules,
            has_own_equality: typed.has_own_equality,
            fraction_digits: typed.fraction_digits,
            access: Access::default(),
        };
        let mut is_key = false;
        let mut foreign_keys = Vec::new();
        for option in &definition.options {
            match &option.option {
                ColumnOption::NotNull => column.nullable = false,
                ColumnOption::Default(_) => column.when_absent = WhenAbsent::Default,
                ColumnOption::PrimaryKey(key) => {
                    can_be_met(key)?;
                    is_key = true;
                }
                ColumnOption::Unique(_) => {
                    column.has_rules = true;
                    table.rows_exclude = true;
                }
                ColumnOption::Collation(collation) if !is_built_in(collation) => {
                    column.has_own_equality = true;
                }
                ColumnOption::ForeignKey(constraint) => {
                    column.has_rules = true;
                    foreign_keys.push(foreign_key(vec![name.clone()], constraint));
                }
                ColumnOption::Generated { generated_as, generation_expr, .. } => {
                    column.when_absent = when_generated(*generated_as, generation_expr.is_some());
                    // An identity column is NOT NULL; an expression's may be NULL.
                    if generation_expr.is_none() {
                        column.nullable = false;
                    }
                }
                _ => {}
            }
        }
        table.has_row_logic |= column.when_absent == WhenAbsent::Generated;
        table.columns.push(column);
        table.foreign_keys.extend(foreign_keys);
        if is_key {
            set_primary_key(table, vec![name])?;
        }
        Ok(())
    }

    fn alter(&mut self, alter: &AlterTable) -> Result<(), String> {
        let name = Name::of(&alter.name);
        let Some(index) = self.find(&name) else { return Ok(()) };
        let mut table = self.tables[index].clone();
        let old_path = table.path();
        for operation in &alter.operations {
            self.alter_table(&mut table, operation)?;
        }
        let path = table.path();
        self.tables[index] = table;
        if path != old_path {
            for key in self.tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
                if key.parent == old_path {
                    key.parent.clone_from(&path);
                }
            }
        }
        Ok(())
    }

    fn alter_table(
        &self,
        table: &mut Table,
        operation: &AlterTableOperation,
    ) -> Result<(), String> {
        match operation {
            AlterTableOperation::AddColumn { column_def, if_not_exists, .. } => {
                if *if_not_exists && table.column(&fold(&column_def.name)).is_some() {
                    return Ok(());
                }
                self.add_column(table, column_def)?;
                add_checks(table, column_def);
                Ok(())
            }
            AlterTableOperation::DropColumn { column_names, .. } => {
                for name in column_names.iter().map(fold) {
                    table.columns.retain(|column| column.name != name);
                    // A key goes with any of its columns.
                    if table.primary_key.contains(&name) {
                        table.primary_key.clear();
                    }
                    table.foreign_keys.retain(|foreign_key| !foreign_key.columns.contains(&name));
                    table.version_column.take_if(|version| *version == name);
                }
                Ok(())
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.alter_column(table, &fold(column_name), op)
            }
            AlterTableOperation::AddConstraint { constraint, .. } => {
                add_constraint(table, constraint)
            }
            // The primary key's own name is not kept: this is PostgreSQL's default for it.
            AlterTableOperation::DropConstraint { name, .. }
                if fold(name) == format!("{}_pkey", table.name) =>
            {
                table.primary_key.clear();
                Ok(())
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                let (old, new) = (fold(old_column_name), fold(new_column_name));
                for column in &mut table.columns {
                    if column.name == old {
                        column.name.clone_from(&new);
                    }
                }
                let own = table.foreign_keys.iter_mut().flat_map(|key| &mut key.columns);
                for name in table.primary_key.iter_mut().chain(own).chain(&mut table.version_column)
                {
                    if *name == old {
                        name.clone_from(&new);
                    }
                }
                Ok(())
            }
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(name) | RenameTableNameKind::As(name),
            } => {
                table.name = Name::of(name).name;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn alter_column(
        &self,
        table: &mut Table,
        name: &str,
        operation: &AlterColumnOperation,
    ) -> Result<(), String> {
        let Some(column) = table.columns.iter_mut().find(|column| column.name == name) else {
            return Err(format!("there is no column \"{name}\" to alter"));
        };
        match operation {
            AlterColumnOperation::SetNotNull => column.nullable = false,
            AlterColumnOperation::DropNotNull => column.nullable = true,
            AlterColumnOperation::SetDefault { .. } => column.when_absent = WhenAbsent::Default,
            AlterColumnOperation::DropDefault => column.when_absent = WhenAbsent::Null,
            AlterColumnOperation::SetDataType { data_type, .. } => {
                let typed = typed(data_type, &self.types);
                column.column_type = typed.column_type;
                column.has_own_equality |= typed.has_own_equality;
                column.fraction_digits = typed.fraction_digits;
            }
            AlterColumnOperation::AddGenerated { generated_as, .. } => {
                column.nullable = false;
                column.when_absent =
                    when_generated(generated_as.unwrap_or(GeneratedAs::Always), false);
            }
        }
        Ok(())
    }

    fn alter_type(&mut self, name: &Name, operation: &AlterTypeOperation) {
        let Some(UserType::Enum { labels }) = self.types.get_mut(name) else { return };
        match operation {
            AlterTypeOperation::AddValue(add) => {
                let index_of = |name: &Ident| labels.iter().position(|known| *known == label(name));
                let index = match &add.position {
                    Some(AlterTypeAddValuePosition::Before(name)) => index_of(name),
                    Some(AlterTypeAddValuePosition::After(name)) => {
                        index_of(name).map(|index| index + 1)
                    }
                    None => None,
                };
                labels.insert(index.unwrap_or(labels.len()), label(&add.value));
            }
            AlterTypeOperation::RenameValue(rename) => {
                for known in labels {
                    if *known == label(&rename.from) {
                        *known = label(&rename.to);
                    }
                }
            }
            AlterTypeOperation::Rename(rename) => {
                if let Some(user_type) = self.types.remove(name) {
                    let name = Name { schema: name.schema.clone(), name: fold(&rename.new_name) };
                    self.types.insert(name, user_type);
                }
            }
        }
    }

    fn drop(&mut self, object_type: ObjectType, name: &Name) {
        match object_type {
            ObjectType::Table => {
                self.tables.retain(|table| !name.means(table.schema.as_deref(), &table.name));
            }
            ObjectType::Schema => {
                self.tables.retain(|table| table.schema.as_deref() != Some(name.name.as_str()));
            }
            ObjectType::Type => {
                self.types.remove(name);
            }
            _ => {}
        }
    }

    fn find(&self, name: &Name) -> Option<usize> {
        self.tables.iter().position(|table| name.means(table.schema.as_deref(), &table.name))
    }
}

/// Removes the parentheses after IDENTITY: they say nothing of the column, and the parser
/// does not know the `SEQUENCE NAME` of dumps.
fn without_sequence_options(tokens: &[Token]) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut depth = 0_usize;
    for token in tokens {
        let follows_identity = kept.last().is_some_and(|last| is_word(last, "IDENTITY"));
        match token {
            Token::LParen if depth > 0 || follows_identity => depth += 1,
            Token::RParen if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            other => kept.push(other.clone()),
        }
    }
    kept
}

/// Returns whether a statement can change what the catalog holds. Other statements are not
/// parsed, so that they may be anything that PostgreSQL takes.
fn concerns_tables(piece: &Piece) -> bool {
    if piece.begins_with(&["ALTER", "TABLE"]) {
        return alters_columns(&piece.tokens);
    }
    if piece.begins_with(&["CREATE"]) {
        let modifiers = ["GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED"];
        let kind = (1..=modifiers.len())
            .find(|index| !modifiers.iter().any(|word| piece.is_word(*index, word)))
            .unwrap_or(1);
        let is_enum = || piece.tokens.iter().any(|token| is_word(token, "ENUM"));
        return piece.is_word(kind, "TABLE")
            || piece.is_word(kind, "DOMAIN")
            || (piece.is_word(kind, "TYPE") && is_enum());
    }
    ["TABLE", "SCHEMA", "TYPE"].iter().any(|word| piece.begins_with(&["DROP", word]))
        || (piece.begins_with(&["ALTER", "TYPE"])
            && piece.tokens.iter().any(|token| is_word(token, "VALUE")))
}

/// Returns whether an `ALTER TABLE` has an action on columns, on the primary key, or on the name.
fn alters_columns(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    let mut is_at_action = false;
    let mut words = tokens.iter().enumerate().skip(2);
    // The name: words, dots, ONLY, IF EXISTS, an asterisk.
    let first = words.find(|(index, token)| {
        let is_name_part = index.checked_sub(1).is_none_or(|before| {
            let before = &tokens[before];
            matches!(before, Token::Period)
                || ["TABLE", "ONLY", "IF", "EXISTS"].iter().any(|word| is_word(before, word))
        });
        !is_name_part && !matches!(token, Token::Period | Token::Mul)
    });
    let Some((first, _)) = first else { return false };
    for (index, token) in tokens.iter().enumerate().skip(first) {
        if index == first {
            is_at_action = true;
        }
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => {
                is_at_action = true;
                continue;
            }
            _ => {}
        }
        if is_at_action && is_catalog_action(&tokens[index..]) {
            return true;
        }
        is_at_action = false;
    }
    false
}

fn is_catalog_action(action: &[Token]) -> bool {
    let word =
        |index: usize, word: &str| action.get(index).is_some_and(|token| is_word(token, word));
    let is_other_constraint = |index: usize| {
        ["CHECK", "FOREIGN", "UNIQUE", "EXCLUDE"].iter().any(|kind| word(index, kind))
    };
    if word(0, "ADD") {
        return !(is_other_constraint(1) || (word(1, "CONSTRAINT") && is_other_constraint(3)));
    }
    if word(0, "ALTER") {
        // ALTER CONSTRAINT, and what PostgreSQL keeps for itself of a column.
        let after_name = if word(1, "COLUMN") { 3 } else { 2 };
        let is_own = ["STATISTICS", "STORAGE", "COMPRESSION", "("]
            .iter()
            .any(|kind| word(after_name + 1, kind));
        return !(word(1, "CONSTRAINT") || (word(after_name, "SET") && is_own));
    }
    word(0, "DROP") || word(0, "RENAME")
}

fn when_generated(generated_as: GeneratedAs, has_expression: bool) -> WhenAbsent {
    match generated_as {
        _ if has_expression => WhenAbsent::Generated,
        GeneratedAs::ExpStored => WhenAbsent::Generated,
        GeneratedAs::Always => WhenAbsent::AlwaysIdentity,
        GeneratedAs::ByDefault => WhenAbsent::Default,
    }
}

fn add_constraint(table: &mut Table, constraint: &TableConstraint) -> Result<(), String> {
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            can_be_met(key)?;
            let columns = key
                .columns
                .iter()
                .map(|column| match &column.column.expr {
                    sqlparser::ast::Expr::Identifier(name) => Ok(fold(name)),
                    other => Err(format!("a primary key has columns only, not {other}")),
                })
                .collect::<Result<_, _>>()?;
            set_primary_key(table, columns)
        }
        TableConstraint::PrimaryKeyUsingIndex(_) => {
            Err("the catalog cannot tell the columns of PRIMARY KEY USING INDEX; name them"
                .to_owned())
        }
        TableConstraint::Unique(unique) => {
            let names: Option<Vec<_>> = unique
                .columns
                .iter()
                .map(|column| match &column.column.expr {
                    sqlparser::ast::Expr::Identifier(name) => Some(fold(name)),
                    _ => None,
                })
                .collect();
            has_rules(table, names.as_deref());
            table.rows_exclude = true;
            Ok(())
        }
        TableConstraint::ForeignKey(constraint) => {
            let columns: Vec<_> = constraint.columns.iter().map(fold).collect();
            has_rules(table, Some(&columns));
            table.foreign_keys.push(foreign_key(columns, constraint));
            Ok(())
        }
        // CHECK and EXCLUDE.
        other => {
            constrains(table, &other.to_string());
            table.rows_exclude |= !matches!(other, TableConstraint::Check(_));
            Ok(())
        }
    }
}

fn foreign_key(columns: Vec<String>, constraint: &ForeignKeyConstraint) -> ForeignKey {
    let Name { schema, name } = Name::of(&constraint.foreign_table);
    ForeignKey {
        columns,
        parent: path(schema.as_deref(), &name),
        parent_columns: constraint.referred_columns.iter().map(fold).collect(),
    }
}

/// The checks of a column, which may be about others too, even about such that come later in the
/// statement.
fn add_checks(table: &mut Table, definition: &ColumnDef) {
    for option in &definition.options {
        if let ColumnOption::Check(check) = &option.option {
            constrains(table, &check.to_string());
        }
    }
}

/// Notes that the columns which a constraint names are under it. One that names the table is about
/// all of its columns, now and later.
fn constrains(table: &mut Table, constraint: &str) {
    let words = rules::words_of(constraint);
    table.has_row_logic |= words.as_ref().is_none_or(|words| words.contains(&table.name));
    has_rules(table, words.as_deref());
}

/// Notes that these columns, or all, are under rules that the catalog does not hold.
fn has_rules(table: &mut Table, names: Option<&[String]>) {
    for column in &mut table.columns {
        column.has_rules |= names.is_none_or(|names| names.contains(&column.name));
    }
}

/// `ON CONFLICT` finds no rows by a key that is checked at the commit (source: PostgreSQL,
/// "INSERT").
fn can_be_met(key: &PrimaryKeyConstraint) -> Result<(), String> {
    let characteristics = key.characteristics.as_ref();
    if characteristics.and_then(|characteristics| characteristics.deferrable) == Some(true) {
        return Err("a primary key that is DEFERRABLE cannot be written by (PostgreSQL has no ON CONFLICT for it); \
             leave DEFERRABLE out"
            .to_owned());
    }
    Ok(())
}

fn set_primary_key(table: &mut Table, columns: Vec<String>) -> Result<(), String> {
    if !table.primary_key.is_empty() {
        return Err(format!("the table \"{}\" has two primary keys", table.name));
    }
    for name in &columns {
        let column = table.columns.iter_mut().find(|column| column.name == *name);
        let column =
            column.ok_or_else(|| format!("there is no column \"{name}\" for the primary key"))?;
        column.nullable = false;
    }
    table.primary_key = columns;
    rules::no_mark_on_key(table)
}
