//! `list_tables {database}`: the tables and views that policy lets the caller read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Digest, Effect, Label, Output, Part, Permission, Permit, Planned,
    PowerClass, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use countersign_sql::TableInfo;
use serde_json::json;

use crate::database::{Database, database_schema, find};

pub(crate) struct ListTables {
    spec: Arc<ToolSpec>,
    databases: Vec<Arc<Database>>,
}

/// What the plan found: shown at execution as far as it was granted.
struct Found {
    database: Arc<Database>,
    tables: Vec<TableInfo>,
}

impl ListTables {
    pub(crate) fn new(databases: &[Arc<Database>]) -> ListTables {
        let spec = ToolSpec {
            name: "list_tables".into(),
            server: "countersign".into(),
            title: "List tables".into(),
            description: "Lists the tables and views of a database that you may read.".into(),
            purpose: "shows what can be asked",
            input_schema: json!({
                "type": "object",
                "properties": {"database": database_schema()},
                "required": ["database"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "database": {"type": "string"},
                    "tables": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "kind": {"enum": ["table", "view", "virtual"]}
                            },
                            "required": ["name", "kind"]
                        }
                    }
                },
                "required": ["database", "tables"]
            })),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Internal,
            deadline: Duration::from_secs(5),
            digest: Digest([0; 32]),
        };
        ListTables { spec: Arc::new(spec.pinned()), databases: databases.to_vec() }
    }
}

#[async_trait]
impl Tool for ListTables {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let database = Arc::clone(find(&self.databases, arguments.str("database"), principal)?);
        let tables = database.tables(principal).await?;
        Ok(Planned {
            accesses: tables.iter().map(|t| Access::filter(Action::Read, database.table(&t.name))).collect(),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "list".to_owned())]),
            detail: Box::new(Found { database, tables }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let found = permit.plan().detail::<Found>();
        let Found { database, tables } =
            found.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let shown: Vec<_> = tables
            .iter()
            .filter(|table| permit.grants(&Access::filter(Action::Read, database.table(&table.name))))
            .map(|table| json!({"name": table.name, "kind": table.kind.name()}))
            .collect();
        let answer = json!({"database": database.name().as_ref(), "tables": shown});
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}
