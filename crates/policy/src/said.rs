//! Accesses as records and test files write them: `read table shop.customers`, back into values. For looking back and for tests; what a call
//! does is never parsed from such a text.

use countersign_core::{Access, Action, Need, Object};

/// All actions on objects.
const ACTIONS: [Action; 6] =
    [Action::Read, Action::Write, Action::Connect, Action::Execute, Action::Use, Action::Mask];

/// The access that a text names, if it names one. A column whose own name holds a dot is taken for a column of another table.
pub fn access_of(text: &str) -> Option<Access> {
    let (action, object) = text.split_once(' ')?;
    let action = ACTIONS.into_iter().find(|known| known.name() == action)?;
    Some(Access { action, object: object_of(object)?, need: Need::Required })
}

/// The object that a text names.
fn object_of(text: &str) -> Option<Object> {
    let (kind, name) = text.split_once(' ')?;
    let in_database =
        || name.split_once('.').filter(|(database, rest)| !database.is_empty() && !rest.is_empty());
    match kind {
        "table" => in_database()
            .map(|(database, table)| Object::Table { database: database.into(), table: table.into() }),
        "column" => {
            let (database, rest) = in_database()?;
            let (table, column) = rest.rsplit_once('.')?;
            Some(Object::Column { database: database.into(), table: table.into(), column: column.into() })
        }
        "function" => in_database()
            .map(|(database, name)| Object::Function { database: database.into(), name: name.into() }),
        "query" => in_database()
            .map(|(database, name)| Object::Query { database: database.into(), name: name.into() }),
        "file" => {
            let (root, path) = name.split_once('/')?;
            Some(Object::File { root: root.into(), path: path.into() })
        }
        "host" => {
            let (host, port) = name.rsplit_once(':')?;
            Some(Object::Host { host: host.into(), port: port.parse().ok()? })
        }
        "command" => Some(Object::Command { name: name.into() }),
        "interpreter" => Some(Object::Interpreter { name: name.into() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
