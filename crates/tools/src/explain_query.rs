//! `explain_query {database, query, params?}`: how the database would run a statement, without running it.
//!
//! A plan tells more than a result: how many rows are expected where tells what is in them. So a caller who may not read every column that
//! the statement uses, unmasked, gets none; and of each node only its kind, its table or index and the estimates are shown, never the
//! expressions, which may be those of a view.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Arguments, CallIo, Cell, Digest, Effect, Label, Output, Part, Permission, Permit, Planned,
    PowerClass, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use countersign_sql::{Operation, Value};
use serde_json::{Value as Json, json};

use crate::{
    database::{Database, database_schema, find},
    engine::Purpose,
    query::parameters,
};

pub(crate) struct ExplainQuery {
    spec: Arc<ToolSpec>,
    databases: Vec<Arc<Database>>,
}

/// The parsed call.
struct Explained {
    database: Arc<Database>,
    sql: String,
    params: Vec<Value>,
}

/// Nodes of a plan that are shown at most.
const MAX_NODES: usize = 500;

impl ExplainQuery {
    /// For the databases that take raw SQL and can explain it.
    pub(crate) fn new(databases: &[Arc<Database>]) -> ExplainQuery {
        let explains = |database: &&Arc<Database>| database.is_raw() && database.engine().explain().is_some();
        let databases: Vec<_> = databases.iter().filter(explains).cloned().collect();
        let longest = databases.iter().map(|database| database.limits().query_chars).max().unwrap_or(1);
        let time = databases.iter().map(|database| database.limits().time).max().unwrap_or_default();
        let spec = ToolSpec {
            name: "explain_query".into(),
            server: "countersign".into(),
            title: "Explain query".into(),
            description: "Shows how a database would run a read-only SQL statement, with its estimates of rows and cost, without \
                          running it. You must be allowed to read every column that the statement uses."
                .into(),
            purpose: "shows what a query would cost before it runs",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "database": database_schema(),
                    "query": {
                        "type": "string", "minLength": 1, "maxLength": longest,
                        "description": "one SQL statement, without EXPLAIN"
                    },
                    "params": {
                        "type": "array", "maxItems": 100,
                        "items": {"type": ["string", "number", "boolean", "null"], "maxLength": 100_000},
                        "description": "values for the placeholders, in order"
                    }
                },
                "required": ["database", "query"],
                "additionalProperties": false
            }),
            output_schema: Some(output_schema()),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Private,
            deadline: time.saturating_add(Duration::from_millis(150)),
            digest: Digest([0; 32]),
        };
        ExplainQuery { spec: Arc::new(spec.pinned()), databases }
    }

    /// Whether there is a database to explain for.
    pub(crate) fn is_useful(&self) -> bool {
        !self.databases.is_empty()
    }
}

#[async_trait]
impl Tool for ExplainQuery {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let database = Arc::clone(find(&self.databases, arguments.str("database"), principal)?);
        let query = arguments.str("query").ok_or_else(|| ToolError::invalid("/query", "is required"))?;
        let explain =
            database.engine().explain().ok_or_else(|| ToolError::invalid("/database", "cannot explain"))?;
        let sql = format!("{explain} {query}");
        let params = parameters(arguments)?;
        let facts = database.judge(principal, Purpose::Read, &sql).await?;
        if facts.operation != Operation::Explain {
            return Err(ToolError::invalid("/query", "must be one query"));
        }
        // INVARIANT: whatever an engine calls only projected, a plan needs it unmasked.
        let accesses = database.accesses(&facts).into_iter().map(|a| Access::required(a.action, a.object));
        Ok(Planned {
            accesses: accesses.collect(),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", facts.operation.name().to_owned())]),
            detail: Box::new(Explained { database, sql, params }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let plan = permit.plan().detail::<Explained>();
        let Explained { database, sql, params } =
            plan.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let rows = database.run(&permit, sql, params.clone()).await?;
        let mut nodes = match rows.columns.len() {
            1 => postgres(&rows.cells),
            _ => sqlite(&rows.cells),
        };
        nodes.truncate(MAX_NODES);
        let text: Vec<String> = nodes.iter().map(Node::line).collect();
        let answer = json!({
            "database": database.name().as_ref(),
            "plan": nodes.iter().map(Node::json).collect::<Vec<_>>(),
            "text": text.join("\n")
        });
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(answer)]))
    }
}

/// One step of a plan.
struct Node {
    depth: usize,
    step: String,
    object: Option<String>,
    rows: Option<f64>,
    cost: Option<f64>,
}

impl Node {
    fn json(&self) -> Json {
        json!({"depth": self.depth, "step": self.step, "on": self.object, "rows": self.rows, "cost": self.cost})
    }

    fn line(&self) -> String {
        let mut line = format!("{}{}", "  ".repeat(self.depth), self.step);
        if let Some(object) = &self.object {
            line.push_str(&format!(" on {object}"));
        }
        if let (Some(rows), Some(cost)) = (self.rows, self.cost) {
            line.push_str(&format!("  (rows {rows}, cost {cost})"));
        }
        line
    }
}

/// `EXPLAIN (FORMAT JSON)`: one cell.
fn postgres(cells: &[Cell]) -> Vec<Node> {
    let Some(Cell::Text(text)) = cells.first() else { return Vec::new() };
    let plan: Json = serde_json::from_str(text).unwrap_or_default();
    let mut nodes = Vec::new();
    if let Some(root) = plan.pointer("/0/Plan") {
        postgres_node(root, 0, &mut nodes);
    }
    nodes
}

fn postgres_node(plan: &Json, depth: usize, nodes: &mut Vec<Node>) {
    if nodes.len() >= MAX_NODES || depth > 100 {
        return;
    }
    let text = |key: &str| plan.get(key).and_then(Json::as_str);
    let number = |key: &str| plan.get(key).and_then(Json::as_f64);
    let object = match (text("Relation Name"), text("Index Name")) {
        (Some(table), Some(index)) => Some(format!("{table} by {index}")),
        (table, index) => table.or(index).map(str::to_owned),
    };
    let step = match text("Join Type") {
        Some(kind) => format!("{} ({kind})", text("Node Type").unwrap_or_default()),
        None => text("Node Type").unwrap_or_default().to_owned(),
    };
    nodes.push(Node { depth, step, object, rows: number("Plan Rows"), cost: number("Total Cost") });
    for child in plan.get("Plans").and_then(Json::as_array).into_iter().flatten() {
        postgres_node(child, depth + 1, nodes);
    }
}

/// `EXPLAIN QUERY PLAN`: id, parent, unused, detail.
fn sqlite(cells: &[Cell]) -> Vec<Node> {
    let mut depths: BTreeMap<i64, usize> = BTreeMap::new();
    let mut nodes = Vec::new();
    for row in cells.chunks_exact(4) {
        if let [Cell::Integer(id), Cell::Integer(parent), _, Cell::Text(step)] = row {
            let depth = depths.get(parent).map_or(0, |depth| depth + 1);
            depths.insert(*id, depth);
            nodes.push(Node { depth, step: step.clone(), object: None, rows: None, cost: None });
        }
    }
    nodes
}

fn output_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "database": {"type": "string"},
            "plan": {
                "type": "array",
                "description": "the steps, each below the one that uses it",
                "items": {
                    "type": "object",
                    "properties": {
                        "depth": {"type": "integer", "minimum": 0},
                        "step": {"type": "string"},
                        "on": {"type": ["string", "null"], "description": "the table or index"},
                        "rows": {"type": ["number", "null"], "description": "rows expected"},
                        "cost": {"type": ["number", "null"], "description": "cost expected, in the planner's own unit"}
                    },
                    "required": ["depth", "step", "on", "rows", "cost"]
                }
            },
            "text": {"type": "string", "description": "the same, indented"}
        },
        "required": ["database", "plan", "text"]
    })
}
