//! `write_NAME {statement, params?, idempotency_key?}`: one INSERT, UPDATE or DELETE, shown to people before it happens.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Arguments, CallIo, Confidentiality, Digest, Effect, Integrity, Label, Need, Output, Part,
    Permission, Permit, Plan, Planned, PowerClass, Preview, PreviewPermit, Principal, Sensitivity, Tool,
    ToolError, ToolSpec,
};
use countersign_sql::Value;
use serde_json::json;

use crate::{database::Database, engine::Purpose, query::parameters};

pub(crate) struct Write {
    spec: Arc<ToolSpec>,
    database: Arc<Database>,
}

/// The parsed call: what is judged, tried out and approved is what runs.
struct Statement {
    sql: String,
    params: Vec<Value>,
}

/// Time for planning, queueing and encoding beyond the statement's own.
const SLACK: Duration = Duration::from_millis(500);

/// A number of rows: the tenant's own, and ours to say.
pub(crate) const COUNTED: Label =
    Label { integrity: Integrity::Trusted, confidentiality: Confidentiality::Private };

impl Write {
    pub(crate) fn new(database: Arc<Database>) -> Write {
        let name = database.name();
        let limits = database.limits();
        let (dialect, placeholder) = (database.engine().dialect(), database.engine().placeholder());
        let spec = ToolSpec {
            name: format!("write_{name}").into(),
            server: "countersign".into(),
            title: format!("Write to {name}"),
            description: format!(
                "Runs one INSERT, UPDATE or DELETE ({dialect} dialect) on the database `{name}` and returns {{affected}}. Give values as \
                 `params` for `{placeholder}` placeholders. UPDATE and DELETE need a WHERE. A person is shown the effect and approves it \
                 first: the first call is answered with the id of a request; once it is approved, repeat exactly the same call. It runs \
                 only if it still changes as many rows as were approved. Give an `idempotency_key` to make a retry safe: the same key \
                 with the same arguments runs once."
            ),
            purpose: "changes rows of a database, each change seen and approved by a person",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "statement": {
                        "type": "string", "minLength": 1, "maxLength": limits.query_chars,
                        "description": "one INSERT, UPDATE or DELETE statement"
                    },
                    "params": {
                        "type": "array", "maxItems": 100,
                        "items": {"type": ["string", "number", "boolean", "null"], "maxLength": 100_000},
                        "description": format!("values for the {placeholder} placeholders, in order")
                    },
                    "idempotency_key": {
                        "type": "string", "minLength": 8, "maxLength": 128, "pattern": "^[A-Za-z0-9._:-]+$",
                        "description": "a name of your choice for this one change, such as a UUID"
                    }
                },
                "required": ["statement"],
                "additionalProperties": false
            }),
            output_schema: Some(output_schema()),
            power: PowerClass::WriteHigh,
            permissions: vec![Permission::ReadDatabase, Permission::WriteDatabase],
            sensitivity: Sensitivity::Private,
            deadline: limits.time.saturating_add(SLACK),
            digest: Digest([0; 32]),
        };
        Write { spec: Arc::new(spec.pinned()), database }
    }
}

#[async_trait]
impl Tool for Write {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let sql =
            arguments.str("statement").ok_or_else(|| ToolError::invalid("/statement", "is required"))?;
        let params = parameters(arguments)?;
        let facts = self.database.judge(principal, Purpose::Write, sql).await?;
        if !facts.operation.writes() {
            return Err(ToolError::internal("the engine judged a query as a write"));
        }
        // A masked value cannot be written with: what a write reads, it must be allowed to see.
        let accesses = self.database.accesses(&facts).into_iter();
        let accesses = accesses.map(|access| Access { need: Need::Required, ..access }).collect();
        Ok(Planned {
            accesses,
            effect: Effect::Write,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", facts.operation.name().to_owned())]),
            detail: Box::new(Statement { sql: sql.to_owned(), params }),
        })
    }

    async fn preview(&self, plan: &Plan, permit: PreviewPermit) -> Result<Preview, ToolError> {
        let Statement { sql, params } = statement(plan)?;
        self.database.rehearse(&permit, sql, params.clone()).await
    }

    fn once_key<'a>(&self, arguments: &'a Arguments) -> Option<&'a str> {
        arguments.str("idempotency_key")
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let Statement { sql, params } = statement(permit.plan())?;
        let affected = self.database.write(&permit, sql, params.clone()).await?;
        Ok(Output::new(COUNTED, vec![Part::Json(json!({"affected": affected}))]))
    }
}

fn statement(plan: &Plan) -> Result<&Statement, ToolError> {
    plan.detail().ok_or_else(|| ToolError::internal("the plan is not of this tool"))
}

/// The answer of a write.
pub(crate) fn output_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "affected": {
                "type": "integer", "minimum": 0,
                "description": "rows changed; with SQLite, those changed by triggers and foreign keys included"
            }
        },
        "required": ["affected"]
    })
}
