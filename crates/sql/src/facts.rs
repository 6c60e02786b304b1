//! What a statement does, as its engine reports it: the vocabulary that every engine's guard shares.

use std::collections::BTreeSet;

/// What kind of statement it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `SELECT`, `VALUES` or `WITH … SELECT`.
    Select,
    /// `EXPLAIN` or `EXPLAIN QUERY PLAN` of a select: reads no row, but its accesses are those of the select.
    Explain,
    /// `SHOW` of a setting that is on the list.
    Show,
    /// `INSERT`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
}

impl Operation {
    /// The name in records: lower case.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Select => "select",
            Operation::Explain => "explain",
            Operation::Show => "show",
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }

    /// Whether it changes rows.
    pub fn writes(self) -> bool {
        matches!(self, Operation::Insert | Operation::Update | Operation::Delete)
    }
}

/// What is done to an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// Its rows or values are read, or it is called.
    Read,
    /// Its rows or values are changed.
    Write,
}

/// Something a statement touches. Names are folded as the engine compares them (SQLite: ASCII lower case; PostgreSQL: as stored, tables as
/// `schema.table`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// A table, view or virtual table is read, be it only for its number of rows.
    Table {
        /// Its name; all names of SQLite's schema table are `sqlite_schema`.
        table: String,
    },
    /// A column is read. The column's table is always among the accesses too.
    Column {
        /// The table or view.
        table: String,
        /// The column; `rowid` for the implicit key of a table without an integer primary key.
        column: String,
    },
    /// A function is called.
    Function {
        /// Its name.
        name: String,
    },
}

/// One action on one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Access {
    /// What is done.
    pub action: Action,
    /// What it is done to.
    pub object: Object,
}

impl Access {
    /// A read of a table.
    pub fn table(table: impl Into<String>) -> Access {
        Access { action: Action::Read, object: Object::Table { table: table.into() } }
    }

    /// A read of a column.
    pub fn column(table: impl Into<String>, column: impl Into<String>) -> Access {
        Access { action: Action::Read, object: Object::Column { table: table.into(), column: column.into() } }
    }

    /// The same object, written.
    #[must_use]
    pub fn written(self) -> Access {
        Access { action: Action::Write, ..self }
    }

    /// A call of a function.
    pub fn function(name: impl Into<String>) -> Access {
        Access { action: Action::Read, object: Object::Function { name: name.into() } }
    }
}

/// A column of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnInfo {
    /// Its name as the engine gives it; need not be unique.
    pub name: String,
    /// The declared type of the table column it comes from; none for expressions.
    pub decl_type: Option<String>,
}

/// What a statement does. A statement that has facts has passed the guard: it is one read-only query with a result, or, where a write was asked
/// for, one `INSERT`, `UPDATE` or `DELETE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What kind of statement it is.
    pub operation: Operation,
    /// All that it reads and calls, sorted: never less than what it can reveal, sometimes more (a virtual table counts as read whole).
    pub accesses: BTreeSet<Access>,
    /// Those columns among them that are only projected: each use is a whole item of the outermost select list, so that the value can be masked in
    /// the result and shows nowhere else. Never more than that; an engine that cannot tell leaves it empty.
    pub projected: BTreeSet<Object>,
    /// Its result's columns.
    pub columns: Vec<ColumnInfo>,
    /// How many parameters it takes: the highest number of a placeholder.
    pub parameters: u32,
}
