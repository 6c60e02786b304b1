//! `table_stats {database, table}`: how large a table is and how fresh the planner's knowledge of it, for tables that the caller may read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Digest, Effect, Label, Output, Part, Permission, Permit, Planned,
    PowerClass, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use serde_json::json;

use crate::database::{Database, database_schema, find};

/// What an engine knows of a table without reading its rows. Unknown values are none, never guessed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TableStats {
    /// Rows as the planner believes; of all tenants where they share the table.
    pub rows: Option<u64>,
    /// Bytes of the rows.
    pub table_bytes: Option<u64>,
    /// Bytes of the indexes.
    pub index_bytes: Option<u64>,
    /// When the planner's statistics were last gathered, ISO 8601.
    pub last_analyze: Option<String>,
    /// When dead rows were last cleared, ISO 8601.
    pub last_vacuum: Option<String>,
}

pub(crate) struct TableStatsTool {
    spec: Arc<ToolSpec>,
    databases: Vec<Arc<Database>>,
}

/// What the plan found: shown at execution if it was granted.
struct Found {
    database: Arc<Database>,
    table: String,
    stats: TableStats,
}

impl TableStatsTool {
    /// For the databases whose engines keep such numbers.
    pub(crate) fn new(databases: &[Arc<Database>]) -> TableStatsTool {
        let databases: Vec<_> =
            databases.iter().filter(|database| database.engine().keeps_stats()).cloned().collect();
        let spec = ToolSpec {
            name: "table_stats".into(),
            server: "countersign".into(),
            title: "Table statistics".into(),
            description: "Shows how large a table is that you may read: estimated rows, bytes, when it was last analysed.".into(),
            purpose: "shows how much there is to be asked",
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
        TableStatsTool { spec: Arc::new(spec.pinned()), databases }
    }

    /// Whether there is a database that keeps statistics.
    pub(crate) fn is_useful(&self) -> bool {
        !self.databases.is_empty()
    }
}

#[async_trait]
impl Tool for TableStatsTool {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let database = Arc::clone(find(&self.databases, arguments.str("database"), principal)?);
        let (table, stats) = database.stats(principal, arguments.str("table").unwrap_or_default()).await?;
        Ok(Planned {
            // A table that may not be read answers as one that does not exist, so nothing here is required.
            accesses: vec![Access::filter(Action::Read, database.table(&table))],
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "stats".to_owned())]),
            detail: Box::new(Found { database, table, stats }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let found = permit.plan().detail::<Found>();
        let Found { database, table, stats } =
            found.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        // MUTATE(A12-hidden-stats): the size of a table that may not be read is told
        if !permit.grants(&Access::filter(Action::Read, database.table(table))) {
            return Err(ToolError::invalid("/table", "no such table or view [unknown_table]"));
        }
        let answer = json!({
            "database": database.name().as_ref(), "table": table, "rows_estimate": stats.rows,
            "table_bytes": stats.table_bytes, "index_bytes": stats.index_bytes,
            "last_analyze": stats.last_analyze, "last_vacuum": stats.last_vacuum
        });
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

fn output_schema() -> serde_json::Value {
    let count = json!({"type": ["integer", "null"], "minimum": 0});
    let time = json!({"type": ["string", "null"], "description": "ISO 8601; null if never or unknown"});
    json!({
        "type": "object",
        "properties": {
            "database": {"type": "string"},
            "table": {"type": "string"},
            "rows_estimate": {"type": ["integer", "null"], "minimum": 0, "description": "as the planner believes; null if never analysed"},
            "table_bytes": count, "index_bytes": count, "last_analyze": time, "last_vacuum": time
        },
        "required": ["database", "table", "rows_estimate", "table_bytes", "index_bytes", "last_analyze", "last_vacuum"]
    })
}
