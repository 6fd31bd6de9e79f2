//! The tables of imports. Each refuses rows for its own reason.

use super::model::Row;

/// The tables besides the example's.
pub(super) const TABLES: &str = "
    CREATE TABLE plain (id integer PRIMARY KEY, a text, b integer);
    CREATE TABLE checked (id varchar(4) PRIMARY KEY, a text CHECK (a <> 'never'), b integer NOT NULL);
    CREATE TABLE paired (c text, id integer, a text, b integer, PRIMARY KEY (id, c));
    CREATE TABLE single (id integer PRIMARY KEY, a text UNIQUE, b integer);
    CREATE TABLE stamped (id integer PRIMARY KEY, a text, b integer);
    COMMENT ON COLUMN stamped.b IS '@sync:version';
    CREATE TABLE keyless (id integer, a text, b integer);
    CREATE TABLE parent (id integer PRIMARY KEY);
    CREATE TABLE deferred (id integer PRIMARY KEY, a text,
        b integer REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE guarded (id integer PRIMARY KEY, a text, b integer);
    CREATE TABLE skipping (id integer PRIMARY KEY, a text, b integer);
    CREATE TABLE timed (id timestamp PRIMARY KEY, a text, b integer);";

/// The triggers, of which the catalog does not know, and the rows of `parent`.
pub(super) const GUARD: [&str; 5] = [
    "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.a = 'never' AND NEW.id % 2 = 0 THEN
            RAISE unique_violation
                USING MESSAGE = 'duplicate key value violates unique constraint \"sync_chunk_loaded_once\"';
        ELSIF NEW.a = 'never' THEN
            RAISE check_violation
                USING MESSAGE = 'new row for relation \"import_chunk\" violates check constraint \"import_chunk_conserves_rows\"';
        END IF;
        RETURN NEW;
    END $$",
    "CREATE TRIGGER guard BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION guard()",
    "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.a = 'kept' THEN NULL ELSE OLD END; END IF;
        RETURN CASE WHEN NEW.a = 'skip' THEN NULL ELSE NEW END;
    END $$",
    "CREATE TRIGGER skip BEFORE INSERT OR UPDATE OR DELETE ON skipping FOR EACH ROW EXECUTE FUNCTION skip()",
    "INSERT INTO parent SELECT generate_series(0, 9)",
];

/// The first key that no file has, except for rows that refer to nothing.
pub(super) const OTHERS: u32 = 900;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// A check, and a column that must have a value.
    Checked,
    /// A key of two columns.
    Paired,
    /// A second unique column.
    Single,
    /// A version column.
    Stamped,
    Keyless,
    /// A deferred constraint.
    Deferred,
    /// A trigger that refuses rows with the error text of a constraint of the worker.
    Guarded,
    /// A trigger that skips rows.
    Skipping,
    /// A key with several spellings.
    Timed,
    /// The example's table, the only one that the program knows.
    Staff,
}

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Plain,
        Self::Checked,
        Self::Paired,
        Self::Single,
        Self::Stamped,
        Self::Keyless,
        Self::Deferred,
        Self::Guarded,
        Self::Skipping,
        Self::Timed,
    ];

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Checked => "checked",
            Self::Paired => "paired",
            Self::Single => "single",
            Self::Stamped => "stamped",
            Self::Keyless => "keyless",
            Self::Deferred => "deferred",
            Self::Guarded => "guarded",
            Self::Skipping => "skipping",
            Self::Timed => "timed",
            Self::Staff => "staff",
        }
    }

    /// Returns the columns of a row: its key, a text, a number, and the second key column if there
    /// is one.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Paired => &["id", "a", "b", "c"],
            Self::Staff => &["id", "name", "age"],
            _ => &["id", "a", "b"],
        }
    }

    /// Returns a key as PostgreSQL spells it, of the first key column if there are two.
    pub(super) fn key(self, number: u32) -> String {
        match self {
            Self::Staff => format!("{:04}", number % 10_000),
            Self::Timed => format!("2026-01-01 00:{:02}:{:02}", number / 60, number % 60),
            _ => number.to_string(),
        }
    }

    /// Returns the SQL that shows a row in the same form.
    pub(super) fn key_sql(self) -> &'static str {
        if self == Self::Paired { "id || '/' || c" } else { "id::text" }
    }

    /// Tells if the key is a number, which has several spellings.
    pub(super) fn has_number_key(self) -> bool {
        !matches!(self, Self::Checked | Self::Staff | Self::Timed)
    }

    pub(super) fn has_key(self) -> bool {
        self != Self::Keyless
    }

    /// Tells if rows depend on each other, so that none is folded.
    pub(super) fn keeps_order(self) -> bool {
        self == Self::Single
    }

    pub(super) fn has_version(self) -> bool {
        self == Self::Stamped
    }

    /// Tells if the trigger skips the row when it is written.
    pub(super) fn skips(self, row: &Row) -> bool {
        self == Self::Skipping && row.a.as_deref() == Some("skip")
    }

    /// Tells if the trigger skips the row when it is deleted.
    pub(super) fn keeps(self, row: &Row) -> bool {
        self == Self::Skipping && row.a.as_deref() == Some("kept")
    }

    /// Tells if the table refuses the row on its own.
    pub(super) fn refuses_always(self, row: &Row) -> bool {
        matches!(self, Self::Checked | Self::Guarded) && row.a.as_deref() == Some("never")
    }

    /// Tells if the table refuses the row when it is in the table.
    pub(super) fn refuses_where_stored(self, row: &Row) -> bool {
        self.conflicts(row) || self == Self::Deferred && row.b.is_some_and(|b| b > 9)
    }

    /// Tells if the row has the unique value of another row.
    pub(super) fn conflicts(self, row: &Row) -> bool {
        self == Self::Single && row.a.as_deref().is_some_and(|a| a.starts_with("taken"))
    }
}
