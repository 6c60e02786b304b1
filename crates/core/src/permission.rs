//! What a tool may do to the world, in the words of policies: each tool declares which of these it needs, and its pin covers them.

use serde::Serialize;

/// One kind of power over something outside. A tool that declares none computes and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Reads files.
    ReadFiles,
    /// Makes, changes or removes files.
    WriteFiles,
    /// Runs programs or code that the caller brings.
    ExecuteCode,
    /// Talks to other hosts on the caller's behalf.
    Network,
    /// Reads rows or metadata of databases.
    ReadDatabase,
    /// Changes rows of databases.
    WriteDatabase,
    /// Changes how a system is set up: users, rights, settings, Countersign itself.
    Admin,
}

impl Permission {
    /// All of them.
    pub const ALL: [Permission; 7] = [
        Permission::ReadFiles,
        Permission::WriteFiles,
        Permission::ExecuteCode,
        Permission::Network,
        Permission::ReadDatabase,
        Permission::WriteDatabase,
        Permission::Admin,
    ];

    /// The name in policies and records.
    pub fn name(self) -> &'static str {
        match self {
            Permission::ReadFiles => "read-files",
            Permission::WriteFiles => "write-files",
            Permission::ExecuteCode => "execute-code",
            Permission::Network => "network",
            Permission::ReadDatabase => "read-database",
            Permission::WriteDatabase => "write-database",
            Permission::Admin => "admin",
        }
    }
}
