//! An entry with `expose = true`: a tool of its own, with the entry's name, schemas and power class.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::{
    Arguments, CallIo, Digest, Output, Permission, Permit, Plan, Planned, PowerClass, Preview, PreviewPermit,
    Principal, Sensitivity, Tool, ToolError, ToolSpec,
};

use super::{call, entry::Query, prepared::LateQuery, schemas};
use crate::{paging::cursor_schema, query::SLACK};

pub(super) struct Exposed {
    spec: Arc<ToolSpec>,
    query: Arc<LateQuery>,
}

impl Exposed {
    pub(super) fn new(query: Arc<LateQuery>) -> Exposed {
        let entry = &query.entry;
        let spec = ToolSpec {
            name: Arc::clone(&entry.name),
            server: "countersign".into(),
            title: entry.title.clone(),
            description: entry.description.clone(),
            purpose: "answers one question that the operator wrote down",
            input_schema: input(&query.entry),
            // A query that waits for its database has none: nobody knows its columns.
            output_schema: query.known().map(|judged| judged.output.clone()),
            power: entry.power,
            permissions: match entry.power {
                PowerClass::ReadLow | PowerClass::ReadHigh => vec![Permission::ReadDatabase],
                PowerClass::WriteLow | PowerClass::WriteHigh => {
                    vec![Permission::ReadDatabase, Permission::WriteDatabase]
                }
            },
            sensitivity: Sensitivity::Private,
            deadline: query.database.limits().time.saturating_add(SLACK),
            digest: Digest([0; 32]),
        };
        Exposed { spec: Arc::new(spec.pinned()), query }
    }
}

/// The argument that names a page.
const CURSOR: &str = "cursor";

/// JSON Schema of the arguments: the query's own, and where it has pages, which of them.
fn input(entry: &Query) -> serde_json::Value {
    let mut schema = schemas::input(&entry.params);
    if let Some(properties) =
        schema.get_mut("properties").and_then(|p| p.as_object_mut()).filter(|_| entry.paged)
    {
        properties.insert(CURSOR.into(), cursor_schema());
    }
    schema
}

#[async_trait]
impl Tool for Exposed {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let asked = call::Asked { tool: &self.spec, cursor: arguments.str(CURSOR), prefix: "" };
        let query = self.query.get().await?;
        if !query.entry.paged {
            let asked = call::Asked { cursor: None, ..asked };
            return call::plan(query, principal, arguments.value(), asked).await;
        }
        let mut own = arguments.value().clone();
        own.as_object_mut().map(|own| own.remove(CURSOR));
        call::plan(query, principal, &own, asked).await
    }

    async fn preview(&self, plan: &Plan, permit: PreviewPermit) -> Result<Preview, ToolError> {
        call::preview(plan, permit).await
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        call::execute(permit).await
    }
}
