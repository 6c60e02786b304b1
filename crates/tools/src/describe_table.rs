//! `describe_table {database, table}`: the columns that policy lets the caller read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Digest, Effect, Label, Output, Part, Permission, Permit, Planned,
    PowerClass, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use countersign_sql::TableDetail;
use serde_json::json;

use crate::database::{Database, database_schema, find};

pub(crate) struct DescribeTable {
    spec: Arc<ToolSpec>,
    databases: Vec<Arc<Database>>,
}

/// What the plan found: shown at execution as far as it was granted.
struct Found {
    database: Arc<Database>,
    table: TableDetail,
}

impl DescribeTable {
    pub(crate) fn new(databases: &[Arc<Database>]) -> DescribeTable {
        let spec = ToolSpec {
            name: "describe_table".into(),
            server: "countersign".into(),
            title: "Describe table".into(),
            description: "Shows the columns of a table or view that you may read: type, nullability, keys."
                .into(),
            purpose: "shows what can be asked",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "database": database_schema(),
                    "table": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\x00-\\x1f\\x7f]+$"}
                },
                "required": ["database", "table"],
                "additionalProperties": false
            }),
            output_schema: Some(output_schema()),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Internal,
            deadline: Duration::from_secs(5),
            digest: Digest([0; 32]),
        };
        DescribeTable { spec: Arc::new(spec.pinned()), databases: databases.to_vec() }
    }
}

#[async_trait]
impl Tool for DescribeTable {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let database = Arc::clone(find(&self.databases, arguments.str("database"), principal)?);
        let table = database.describe(principal, arguments.str("table").unwrap_or_default()).await?;
        let columns = table.columns.iter().map(|column| database.column(&table.name, &column.name));
        let referenced = table.foreign_keys.iter().map(|key| database.table(&key.table));
        let own = std::iter::once(database.table(&table.name));
        Ok(Planned {
            // A table that may not be read answers as one that does not exist, so nothing here is required.
            accesses: own.chain(columns).chain(referenced).map(|o| Access::filter(Action::Read, o)).collect(),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "describe".to_owned())]),
            detail: Box::new(Found { database, table }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let found = permit.plan().detail::<Found>();
        let Found { database, table } =
            found.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let readable =
            |column: &str| permit.grants(&Access::filter(Action::Read, database.column(&table.name, column)));
        let visible = |name: &str| permit.grants(&Access::filter(Action::Read, database.table(name)));
        // MUTATE(A12-hidden-table): a table that may not be read is described
        if !visible(&table.name) {
            return Err(ToolError::invalid("/table", "no such table or view [unknown_table]"));
        }
        let columns: Vec<_> = table
            .columns
            .iter()
            .filter(|column| readable(&column.name))
            .map(|column| {
                json!({
                    "name": column.name, "type": column.decl_type, "nullable": column.nullable,
                    "primary_key": column.primary_key
                })
            })
            .collect();
        let foreign_keys: Vec<_> = table
            .foreign_keys
            .iter()
            .filter(|key| readable(&key.column) && visible(&key.table))
            .map(|key| json!({"column": key.column, "table": key.table, "references": key.references}))
            .collect();
        let answer = json!({
            "database": database.name().as_ref(), "table": table.name, "kind": table.kind.name(),
            "columns": columns, "foreign_keys": foreign_keys
        });
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

fn output_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "database": {"type": "string"},
            "table": {"type": "string"},
            "kind": {"enum": ["table", "view", "virtual"]},
            "columns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"}, "type": {"type": "string"}, "nullable": {"type": "boolean"},
                        "primary_key": {"type": "integer", "description": "place in the primary key from 1, else 0"}
                    },
                    "required": ["name", "type", "nullable", "primary_key"]
                }
            },
            "foreign_keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "column": {"type": "string"}, "table": {"type": "string"},
                        "references": {"type": ["string", "null"]}
                    },
                    "required": ["column", "table"]
                }
            }
        },
        "required": ["database", "table", "kind", "columns", "foreign_keys"]
    })
}
