//! Any source behind an ODBC driver, guarded by a parser that refuses what it cannot be sure to read as the source does.
