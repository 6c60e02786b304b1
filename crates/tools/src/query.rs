//! `query_NAME {query, params?, cursor?}`: one read-only SQL statement with bound parameters, its result in pages.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Effect, Label, Output, Part, Permission, Permit, Planned, PowerClass,
    Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use countersign_sql::Value;
use serde_json::json;

use crate::{
    database::Database,
    engine::Purpose,
    paging::{Page, cursor_schema},
};

pub(crate) struct Query {
    spec: Arc<ToolSpec>,
    database: Arc<Database>,
}

/// The parsed call: what is judged is what runs.
struct Statement {
    sql: String,
    params: Vec<Value>,
    page: Option<Page>,
}

/// Time for planning, queueing and encoding beyond the statement's own.
pub(crate) const SLACK: Duration = Duration::from_millis(150);

impl Query {
    pub(crate) fn new(database: Arc<Database>) -> Query {
        let name = database.name();
        let limits = database.limits();
        let (dialect, placeholder) = (database.engine().dialect(), database.engine().placeholder());
        let spec = ToolSpec {
            name: format!("query_{name}").into(),
            server: "countersign".into(),
            title: format!("Query {name}"),
            description: format!(
                "Runs one read-only SQL statement (SELECT, VALUES, WITH or EXPLAIN; {dialect} dialect) on the database \
                 `{name}` and returns {{columns, rows}}. Give values as `params` for `{placeholder}` placeholders. At most {} rows; \
                 a cut result says so in `truncated`, and `next_cursor`, sent as `cursor` with the same arguments, brings the rows that \
                 follow: ORDER BY columns that leave no two rows equal. Use list_tables and describe_table first.",
                limits.rows
            ),
            purpose: "answers questions from a database without being able to change it",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "query": {
                        "type": "string", "minLength": 1, "maxLength": limits.query_chars,
                        "description": "one SQL statement"
                    },
                    "params": {
                        "type": "array", "maxItems": 100,
                        "items": {"type": ["string", "number", "boolean", "null"], "maxLength": 100_000},
                        "description": format!("values for the {placeholder} placeholders, in order")
                    },
                    "cursor": cursor_schema()
                },
                "required": ["query"],
                "additionalProperties": false
            }),
            output_schema: Some(output_schema()),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Private,
            deadline: limits.time.saturating_add(SLACK),
            digest: Digest([0; 32]),
        };
        Query { spec: Arc::new(spec.pinned()), database }
    }
}

#[async_trait]
impl Tool for Query {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let sql = arguments.str("query").ok_or_else(|| ToolError::invalid("/query", "is required"))?;
        let params = parameters(arguments)?;
        let cursor = arguments.str("cursor");
        let page = self.database.page(principal, &self.spec, (sql, &params), cursor)?;
        let facts = self.database.judge(principal, Purpose::Read, sql).await?;
        Ok(Planned {
            accesses: self.database.accesses(&facts),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", facts.operation.name().to_owned())]),
            detail: Box::new(Statement { sql: sql.to_owned(), params, page }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let plan = permit.plan();
        let Statement { sql, params, page } =
            plan.detail().ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let rows = self.database.run_page(&permit, sql, params.clone(), u64::MAX, page.as_ref()).await?;
        Ok(Output::new(Label::RETRIEVED, vec![Part::Rows(rows)]))
    }
}

/// The values of the argument `params`.
pub(crate) fn parameters(arguments: &Arguments) -> Result<Vec<Value>, ToolError> {
    match arguments.value().get("params") {
        Some(serde_json::Value::Array(items)) => items.iter().enumerate().map(parameter).collect(),
        _ => Ok(Vec::new()),
    }
}

fn parameter((position, value): (usize, &serde_json::Value)) -> Result<Value, ToolError> {
    let refuse = |rule: &str| ToolError::invalid(format!("/params/{position}"), rule);
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Boolean(*truth),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            // INVARIANT: an integer that does not fit is refused, never rounded.
            (None, _) if number.is_u64() => return Err(refuse("must fit a signed 64-bit integer")),
            (None, Some(real)) if real.fract() != 0.0 || real.abs() < 9_007_199_254_740_992.0 => {
                Value::Real(real)
            }
            _ => return Err(refuse("must fit a signed 64-bit integer or be a decimal number")),
        },
        _ => return Err(refuse("must be a string, number, boolean or null")),
    })
}

/// JSON Schema of a result set as the pipeline encodes it.
pub(crate) fn output_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "columns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"}, "type": {"type": "string"}, "masked": {"type": "boolean"}
                    },
                    "required": ["name", "type"]
                }
            },
            "rows": {
                "type": "array",
                "description": "one array per row; integers beyond 2^53-1, exact decimals, dates and bytes (base64) are strings",
                "items": {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}}
            },
            "row_count": {"type": "integer", "minimum": 0},
            "truncated": {"type": "boolean"},
            "truncated_by": {"enum": ["rows", "bytes", "time"]},
            "next_cursor": {"type": "string", "description": "there if more rows can be had: see the argument `cursor`"}
        },
        "required": ["columns", "rows", "row_count", "truncated"]
    })
}
