//! What a statement does, as its engine reports it: the vocabulary that every engine's guard shares.

use std::collections::BTreeSet;

/// What kind of statement it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `SELECT`, `VALUES` or `WITH … SELECT`.
    Select,
    /// `EXPLAIN` or `EXPLAIN QUERY PLAN` of a select: reads no row, but its accesses are those of the select.
    Explain,
}

/// Something a statement reads or uses. Names are folded as the engine compares them (SQLite: ASCII lower case).
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

/// One read of one object; reading is the only action there is so far.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Access {
    /// What is read or called.
    pub object: Object,
}

impl Access {
    /// A read of a table.
    pub fn table(table: impl Into<String>) -> Access {
        Access { object: Object::Table { table: table.into() } }
    }

    /// A read of a column.
    pub fn column(table: impl Into<String>, column: impl Into<String>) -> Access {
        Access { object: Object::Column { table: table.into(), column: column.into() } }
    }

    /// A call of a function.
    pub fn function(name: impl Into<String>) -> Access {
        Access { object: Object::Function { name: name.into() } }
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

/// What a statement does. A statement that has facts has passed the guard: it is one read-only query with a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What kind of statement it is.
    pub operation: Operation,
    /// All that it reads and calls, sorted: never less than what it can reveal, sometimes more (a virtual table counts as read whole).
    pub accesses: BTreeSet<Access>,
    /// Its result's columns.
    pub columns: Vec<ColumnInfo>,
    /// How many parameters it takes: the highest number of a placeholder.
    pub parameters: u32,
}
