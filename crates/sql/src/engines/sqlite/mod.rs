//! SQLite.

/// A name as SQLite compares it: ASCII letters in lower case, all names of the schema table made one.
pub fn fold(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "sqlite_master" | "sqlite_temp_master" | "sqlite_temp_schema" => "sqlite_schema".to_owned(),
        _ => name,
    }
}
