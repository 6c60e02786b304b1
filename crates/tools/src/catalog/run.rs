//! `run_catalog_query {name, params, cursor?}`: runs one entry of class read-low. Policy decides on the entry and on all that its statement touches.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Output, Permission, Permit, Planned, PowerClass, Principal, Sensitivity, Tool,
    ToolError, ToolSpec,
};
use serde_json::{Map, Value as Json, json};

use super::{call, prepared::LateQuery};
use crate::{paging::cursor_schema, query::SLACK};

pub(super) struct RunCatalogQuery {
    spec: Arc<ToolSpec>,
    queries: Vec<Arc<LateQuery>>,
}

impl RunCatalogQuery {
    /// `queries` are those of class read-low.
    pub(super) fn new(queries: Vec<Arc<LateQuery>>) -> RunCatalogQuery {
        let time = queries.iter().map(|query| query.database.limits().time).max();
        let spec = ToolSpec {
            name: "run_catalog_query".into(),
            server: "countersign".into(),
            title: "Run catalog query".into(),
            description: "Runs one predefined query by its name. list_catalog shows the queries that you may run and their parameters; give \
                          values for them in `params`. If the answer has a `next_cursor`, the same call with it as `cursor` brings the \
                          rows that follow."
                .into(),
            purpose: "answers the questions that the operator wrote down",
            input_schema: json!({
                "type": "object",
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$", "description": "a query's name, as list_catalog gives it"},
                    "params": {"type": "object", "maxProperties": 64, "description": "the query's parameters by name"},
                    "cursor": cursor_schema()
                },
                "required": ["name"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({"type": "object"})),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Private,
            deadline: time.unwrap_or(Duration::from_secs(5)).saturating_add(SLACK),
            digest: Digest([0; 32]),
        };
        RunCatalogQuery { spec: Arc::new(spec.pinned()), queries }
    }
}

#[async_trait]
impl Tool for RunCatalogQuery {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let name = arguments.str("name").unwrap_or_default();
        let mut theirs = self.queries.iter().filter(|query| query.database.is_for(principal));
        let query = theirs.find(|query| *query.entry.name == *name);
        let query =
            query.ok_or_else(|| ToolError::invalid("/name", "must name a query that list_catalog shows"))?;
        let none = Json::Object(Map::new());
        let params = arguments.value().get("params").unwrap_or(&none);
        let asked = call::Asked { tool: &self.spec, cursor: arguments.str("cursor"), prefix: "/params" };
        call::plan(query.get().await?, principal, params, asked).await
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        call::execute(permit).await
    }
}
