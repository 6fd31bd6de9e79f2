//! The tables that files go into: each refuses rows for a reason of its own.

use super::model::Row;

/// Besides the example's own.
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

/// What is not of the catalog.
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

/// Keys from this one on are not of a file, except for those of rows that refer to nothing.
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
    /// A constraint that speaks at the commit.
    Deferred,
    /// A trigger that refuses rows, in the words of a constraint of the worker's own.
    Guarded,
    /// A trigger that leaves out rows.
    Skipping,
    /// A key that has many spellings.
    Timed,
    /// The example's table, which is all that the program knows.
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

    /// The columns of a row: its key, a text, a number, and the second part of the key where it has one.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Paired => &["id", "a", "b", "c"],
            Self::Staff => &["id", "name", "age"],
            _ => &["id", "a", "b"],
        }
    }

    /// A key, as PostgreSQL spells it; of its first column where it has two.
    pub(super) fn key(self, number: u32) -> String {
        match self {
            Self::Staff => format!("{:04}", number % 10_000),
            Self::Timed => format!("2026-01-01 00:{:02}:{:02}", number / 60, number % 60),
            _ => number.to_string(),
        }
    }

    /// The same of a row, in SQL.
    pub(super) fn key_sql(self) -> &'static str {
        if self == Self::Paired { "id || '/' || c" } else { "id::text" }
    }

    /// Elsewhere each way to write a key is another key, or it is a time.
    pub(super) fn has_number_key(self) -> bool {
        !matches!(self, Self::Checked | Self::Staff | Self::Timed)
    }

    pub(super) fn has_key(self) -> bool {
        self != Self::Keyless
    }

    /// Whether rows depend on each other, so that none is folded into another.
    pub(super) fn keeps_order(self) -> bool {
        self == Self::Single
    }

    pub(super) fn has_version(self) -> bool {
        self == Self::Stamped
    }

    /// Whether the trigger leaves out the row when it is to be written.
    pub(super) fn skips(self, row: &Row) -> bool {
        self == Self::Skipping && row.a.as_deref() == Some("skip")
    }

    /// Whether the trigger leaves out the row when it is to be deleted.
    pub(super) fn keeps(self, row: &Row) -> bool {
        self == Self::Skipping && row.a.as_deref() == Some("kept")
    }

    /// Whether the row is refused whatever else is in the table.
    pub(super) fn refuses_always(self, row: &Row) -> bool {
        matches!(self, Self::Checked | Self::Guarded) && row.a.as_deref() == Some("never")
    }

    /// Whether the row is refused once it gets into the table.
    pub(super) fn refuses_where_stored(self, row: &Row) -> bool {
        self.conflicts(row) || self == Self::Deferred && row.b.is_some_and(|b| b > 9)
    }

    /// Whether the row has what is another row's alone.
    pub(super) fn conflicts(self, row: &Row) -> bool {
        self == Self::Single && row.a.as_deref().is_some_and(|a| a.starts_with("taken"))
    }
}
