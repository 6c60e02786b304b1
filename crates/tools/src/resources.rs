//! `schema://` resources: the same answers as `list_tables` and `describe_table`, over the same road.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::registry::Resource;

use crate::database::Database;

const MIME: &str = "application/json";

/// `schema://NAME` and `schema://NAME/{table}` for each database.
pub(crate) fn schema(databases: &[Arc<Database>]) -> Vec<Resource> {
    let both = |database: &Arc<Database>| {
        let name = database.name();
        let also = shown_by(database);
        let fixed = BTreeMap::from([("database".into(), name.as_ref().into())]);
        [
            Resource {
                uri: format!("schema://{name}"),
                name: format!("{name} schema"),
                description: format!("The tables and views of `{name}` that you may read"),
                mime: MIME,
                tool: "list_tables".into(),
                also: also.clone(),
                tenant: None,
                fixed: fixed.clone(),
                variable: None,
            },
            Resource {
                uri: format!("schema://{name}/{{table}}"),
                name: format!("{name} table"),
                description: format!("The columns of one table or view of `{name}`"),
                mime: MIME,
                tool: "describe_table".into(),
                also: also.clone(),
                tenant: None,
                fixed,
                variable: Some("table".into()),
            },
        ]
    };
    databases.iter().flat_map(both).collect()
}

/// The tool without which the schema of a database does not exist for a caller: the one that asks it. Where there is none, whoever may list tables
/// may see the schema; policy then hides each table.
pub(crate) fn shown_by(database: &Database) -> Option<Arc<str>> {
    database.is_raw().then(|| format!("query_{}", database.name()).into())
}
