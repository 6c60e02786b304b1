//! `list_catalog {database?}`: the queries that policy lets the caller run with `run_catalog_query`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Action, Arguments, CallIo, Digest, Effect, Label, Need, Output, Part, Permission, Permit,
    Planned, PowerClass, Principal, Sensitivity, Tool, ToolError, ToolSpec,
};
use serde_json::json;

use super::prepared::{LateQuery, PreparedQuery};

pub(super) struct ListCatalog {
    spec: Arc<ToolSpec>,
    queries: Vec<Arc<LateQuery>>,
}

/// What the plan found: shown at execution as far as it was granted.
struct Found {
    listed: Vec<(Arc<PreparedQuery>, Vec<Access>)>,
}

impl ListCatalog {
    /// `queries` are those of class read-low.
    pub(super) fn new(queries: Vec<Arc<LateQuery>>) -> ListCatalog {
        let spec = ToolSpec {
            name: "list_catalog".into(),
            server: "countersign".into(),
            title: "List catalog".into(),
            description: "Lists the predefined queries that you may run with run_catalog_query: their names, what they answer, and their \
                          parameters. What you may not run, and what waits for its database, is not shown."
                .into(),
            purpose: "shows what can be asked",
            input_schema: json!({
                "type": "object",
                "properties": {"database": crate::database::database_schema()},
                "required": [],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "queries": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "title": {"type": "string"},
                                "description": {"type": "string"},
                                "database": {"type": "string"},
                                "params": {"type": "object", "description": "JSON Schema of `params`"},
                                "paged": {"type": "boolean", "description": "whether it takes a `cursor`"}
                            },
                            "required": ["name", "title", "description", "database", "params", "paged"]
                        }
                    }
                },
                "required": ["queries"]
            })),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Internal,
            deadline: Duration::from_secs(5),
            digest: Digest([0; 32]),
        };
        ListCatalog { spec: Arc::new(spec.pinned()), queries }
    }
}

#[async_trait]
impl Tool for ListCatalog {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let asked = arguments.str("database");
        let mut listed = Vec::new();
        for query in self.queries.iter().filter(|query| query.database.is_for(principal)) {
            if asked.is_some_and(|database| *query.entry.database != *database) {
                continue;
            }
            // A query whose database is not there, or refuses it to this tenant, is none that the caller may run.
            let Ok(query) = query.get().await else { continue };
            if let Ok(accesses) = query.accesses(principal).await {
                listed.push((Arc::clone(query), accesses));
            }
        }
        let questions = listed.iter().flat_map(|(_, accesses)| accesses).flat_map(questions);
        Ok(Planned {
            accesses: questions.collect(),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([("operation", "list".to_owned())]),
            detail: Box::new(Found { listed }),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let found = permit.plan().detail::<Found>();
        let Found { listed } = found.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let granted = |access: &Access| questions(access).iter().any(|question| permit.grants(question));
        let shown: Vec<_> = listed
            .iter()
            // MUTATE(A11-listed): queries are listed that the caller may not run
            .filter(|(_, accesses)| accesses.iter().all(granted))
            .map(|(query, _)| {
                let entry = &query.entry;
                json!({
                    "name": entry.name.as_ref(), "title": entry.title, "description": entry.description,
                    "database": entry.database.as_ref(), "params": query.input,
                    "paged": entry.paged
                })
            })
            .collect();
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(json!({"queries": shown}))]))
    }
}

/// What policy is asked about an access of a query that is only listed: any of them granted would let it run.
pub(super) fn questions(access: &Access) -> Vec<Access> {
    let mut questions = vec![Access::filter(access.action, access.object.clone())];
    if access.need == Need::Maskable {
        questions.push(Access::filter(Action::Mask, access.object.clone()));
    }
    questions
}
