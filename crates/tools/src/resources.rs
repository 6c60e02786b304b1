//! `schema://` resources: the same answers as `list_tables` and `describe_table`, over the same road.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::registry::Resource;

use crate::database::Database;

const MIME: &str = "application/json";

/// `schema://NAME` and `schema://NAME/{table}` for each database.
pub(crate) fn schema(databases: &[Arc<Database>]) -> Vec<Resource> {
    let both = |database: &Arc<Database>| {
        let name = database.name();
        // Whoever may see the tool that asks may see the schema; without such a tool, whoever may list tables: policy then hides each table.
        let also: Option<Arc<str>> = database.is_raw().then(|| format!("query_{name}").into());
        let fixed = BTreeMap::from([("database", name.to_string())]);
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
                variable: Some("table"),
            },
        ]
    };
    databases.iter().flat_map(both).collect()
}
