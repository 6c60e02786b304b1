//! What a worker is asked and what it answers.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Access, ColumnInfo, Facts, Object, Open, Refusal, RowsDigest, Value, engines::postgres::guard::Syntax,
};

/// What a worker is asked. It handles one request at a time; the first must be [`Request::Open`].
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Opens the database. Answered by [`Response::Ready`].
    Open(Open),
    /// Judges a statement without running it. Answered by [`Response::Facts`].
    Prepare {
        /// The statement.
        sql: String,
        /// Whether it is to write: one `INSERT`, `UPDATE` or `DELETE` instead of one query.
        write: bool,
    },
    /// Runs a statement. Answered by one or more [`Response::Rows`], the last of which has `done`.
    Run(Run),
    /// Runs a write and takes it back. Answered by [`Response::Rehearsal`].
    Rehearse(Run),
    /// Runs a write. Answered by [`Response::Written`].
    Write {
        /// The statement.
        run: Run,
        /// How many rows it must change to last, where that is said.
        expected: Option<u64>,
    },
    /// Lists tables and views. Answered by [`Response::Tables`].
    Tables,
    /// Describes one table or view. Answered by [`Response::Table`].
    Describe {
        /// Its name, in any case.
        table: String,
    },
    /// Asks how large a table is believed to be. Answered by [`Response::Estimate`].
    Estimate {
        /// Its name, in any case.
        table: String,
    },
}

/// A statement to run.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// The statement, as it was prepared.
    pub sql: String,
    /// Values for the placeholders, by position.
    pub params: Vec<Value>,
    /// All that it may touch: the accesses of its facts, or more.
    pub granted: BTreeSet<Access>,
    /// Columns that may be projected but not seen: their values are void in the result. INVARIANT: engines refuse a run where such a column is
    /// used in any other way.
    pub masked: BTreeSet<Object>,
    /// Where it is cut.
    pub limits: RunLimits,
}

/// Where a statement's run is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunLimits {
    /// Rows at the head of the result that are passed over: only their digest is answered. They count for time and for nothing else.
    pub skip: u64,
    /// Rows at most, after those that are passed over.
    pub rows: u64,
    /// Bytes of values at most ([`Value::size`]), over all rows.
    pub bytes: u64,
    /// Time at most, measured by the worker from the request's arrival; millisecond steps.
    pub time: Duration,
}

/// What a worker answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    /// The database is open.
    Ready,
    /// The statement passed the guard.
    Facts(Facts),
    /// The statement's text passed the guard; what its names mean is for the master to find out.
    Syntax(Box<Syntax>),
    /// The statement was refused or failed. After [`Response::Rows`] it ends the answer and the rows before it are void.
    Refused(Refusal),
    /// Some rows.
    Rows(Rows),
    /// What a write would do.
    Rehearsal(Rehearsal),
    /// What a write did.
    Written {
        /// Rows changed, those by triggers and foreign keys included.
        affected: u64,
    },
    /// The tables and views, by name.
    Tables(Vec<TableInfo>),
    /// One table or view.
    Table(TableDetail),
    /// How large a table is believed to be.
    Estimate(TableEstimate),
}

/// A batch of a result.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rows {
    /// The result's columns, in the first batch only.
    pub columns: Vec<ColumnInfo>,
    /// Rows, each with one value a column.
    pub rows: Vec<Vec<Value>>,
    /// In the last batch: how the result ended.
    pub done: Option<Done>,
}

/// What a write would do, found out in a transaction that was rolled back.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rehearsal {
    /// Rows changed, those by triggers and foreign keys included; none where not all of it can be tried out.
    pub affected: Option<u64>,
    /// Some of the rows as they are.
    pub before: Option<Rows>,
    /// The same as they would be.
    pub after: Option<Rows>,
    /// What else people should know before they approve it.
    pub warnings: Vec<String>,
}

/// How a result ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Why there may be more rows than were sent; none if the result is complete.
    pub truncated: Option<Truncated>,
    /// Of the rows that were passed over: of fewer than [`RunLimits::skip`] if there were no more.
    pub skipped: RowsDigest,
    /// Positions of the columns whose values are void because they are masked, in order.
    pub masked: Vec<u32>,
}

/// Why a result was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truncated {
    /// At the limit on rows.
    Rows,
    /// At the limit on bytes.
    Bytes,
    /// At the deadline.
    Time,
}

impl Truncated {
    /// `rows`, `bytes` or `time`.
    pub fn name(self) -> &'static str {
        match self {
            Truncated::Rows => "rows",
            Truncated::Bytes => "bytes",
            Truncated::Time => "time",
        }
    }
}

/// Table, view or virtual table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableKind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A virtual table, such as a full-text index.
    Virtual,
}

impl TableKind {
    /// `table`, `view` or `virtual`.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Table => "table",
            TableKind::View => "view",
            TableKind::Virtual => "virtual",
        }
    }
}

/// A table or view in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableInfo {
    /// Its name as defined; policy compares the folded name ([`fold`](crate::engines::sqlite::fold)).
    pub name: String,
    /// What it is.
    pub kind: TableKind,
}

/// What an engine believes of a table without counting its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableEstimate {
    /// Its name as defined.
    pub name: String,
    /// Rows, as the planner's statistics have it; none without such. Never guessed.
    pub rows: Option<u64>,
}

/// A table or view, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableDetail {
    /// Its name as defined.
    pub name: String,
    /// What it is.
    pub kind: TableKind,
    /// Its columns in order; hidden ones of virtual tables are left out.
    pub columns: Vec<ColumnDetail>,
    /// Its foreign keys; one entry a column pair.
    pub foreign_keys: Vec<ForeignKey>,
}

/// A column, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnDetail {
    /// Its name as defined.
    pub name: String,
    /// Its declared type; empty if it has none.
    pub decl_type: String,
    /// Whether it can hold null.
    pub nullable: bool,
    /// Its place in the primary key from 1; 0 if it is not part of it.
    pub primary_key: u32,
}

/// One column pair of a foreign key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignKey {
    /// The column here.
    pub column: String,
    /// The table it refers to.
    pub table: String,
    /// The column there; none for that table's primary key.
    pub references: Option<String>,
}
