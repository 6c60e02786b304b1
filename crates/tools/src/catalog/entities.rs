//! `describe_entities` and `count_entities {entity}`: tables under the names that people use for them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_core::{
    Access, Arguments, CallIo, Cell, Digest, Effect, Label, Output, Part, Permission, Permit, Planned,
    PowerClass, Principal, RowShape, Sensitivity, Shape, Tool, ToolError, ToolSpec,
};
use serde_json::json;

use super::{
    list::questions,
    prepared::{LateEntity, PreparedEntity},
};
use crate::{engine::Purpose, query::SLACK};

pub(super) struct DescribeEntities {
    spec: Arc<ToolSpec>,
    entities: Vec<Arc<LateEntity>>,
}

/// What the plan found: shown at execution as far as it was granted.
struct Found {
    listed: Vec<(Arc<PreparedEntity>, Vec<Access>)>,
}

impl DescribeEntities {
    pub(super) fn new(entities: Vec<Arc<LateEntity>>) -> DescribeEntities {
        let spec = ToolSpec {
            name: "describe_entities".into(),
            server: "countersign".into(),
            title: "Describe entities".into(),
            description: "Lists the things that this server knows by name, with other names for them and the table that holds them."
                .into(),
            purpose: "shows what can be asked",
            input_schema: json!({"type": "object", "properties": {}, "additionalProperties": false}),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "entities": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "entity": {"type": "string"},
                                "aliases": {"type": "array", "items": {"type": "string"}},
                                "table": {"type": "string"},
                                "description": {"type": "string"}
                            },
                            "required": ["entity", "aliases", "table", "description"]
                        }
                    }
                },
                "required": ["entities"]
            })),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Internal,
            deadline: Duration::from_secs(5),
            digest: Digest([0; 32]),
        };
        DescribeEntities { spec: Arc::new(spec.pinned()), entities }
    }
}

#[async_trait]
impl Tool for DescribeEntities {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, _arguments: &Arguments) -> Result<Planned, ToolError> {
        let mut listed = Vec::new();
        for entity in self.entities.iter().filter(|late| late.database.is_for(principal)) {
            let Ok(entity) = entity.get().await else { continue };
            if let Ok(accesses) = accesses(entity, principal).await {
                listed.push((Arc::clone(entity), accesses));
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
            // MUTATE(A12-entities): entities are described whose table the caller may not read
            .filter(|(_, accesses)| accesses.iter().all(granted))
            .map(|(prepared, _)| {
                let entity = &prepared.entity;
                json!({
                    "entity": entity.name.as_ref(), "aliases": entity.aliases, "table": entity.table,
                    "description": entity.description
                })
            })
            .collect();
        Ok(Output::new(Label::RETRIEVED, vec![Part::Json(json!({"entities": shown}))]))
    }
}

pub(super) struct CountEntities {
    spec: Arc<ToolSpec>,
    entities: Vec<Arc<LateEntity>>,
}

impl CountEntities {
    pub(super) fn new(entities: Vec<Arc<LateEntity>>) -> CountEntities {
        let time = entities.iter().map(|entity| entity.database.limits().time).max();
        let spec = ToolSpec {
            name: "count_entities".into(),
            server: "countersign".into(),
            title: "Count entities".into(),
            description: "Counts the rows of an entity that describe_entities shows, by its name or another name for it.".into(),
            purpose: "counts what the operator gave a name",
            input_schema: json!({
                "type": "object",
                "properties": {"entity": {"type": "string", "minLength": 1, "maxLength": 64}},
                "required": ["entity"],
                "additionalProperties": false
            }),
            output_schema: Some(json!({
                "type": "object",
                "properties": {
                    "entity": {"type": "string"},
                    "table": {"type": "string"},
                    "total": {"type": ["integer", "string", "null"]}
                },
                "required": ["entity", "table", "total"]
            })),
            power: PowerClass::ReadLow,
            permissions: vec![Permission::ReadDatabase],
            sensitivity: Sensitivity::Internal,
            deadline: time.unwrap_or(Duration::from_secs(5)).saturating_add(SLACK),
            digest: Digest([0; 32]),
        };
        CountEntities { spec: Arc::new(spec.pinned()), entities }
    }
}

#[async_trait]
impl Tool for CountEntities {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError> {
        let asked = arguments.str("entity").unwrap_or_default();
        let name = asked.trim().to_lowercase();
        let mut theirs = self.entities.iter().filter(|late| late.database.is_for(principal));
        let known = theirs.find(|late| {
            let entity = &late.entry;
            *entity.name == *name || entity.aliases.contains(&name)
        });
        let entity = known.ok_or_else(|| {
            ToolError::invalid("/entity", "must name an entity that describe_entities shows")
                .with_detail(Some(format!("Unknown entity: {asked}")))
        })?;
        let entity = entity.get().await?;
        Ok(Planned {
            accesses: accesses(entity, principal).await?,
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::from([
                ("operation", "select".to_owned()),
                ("entity", entity.entity.name.to_string()),
            ]),
            detail: Box::new(Arc::clone(entity)),
        })
    }

    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        let planned = permit.plan().detail::<Arc<PreparedEntity>>();
        let entity = planned.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
        let mut rows = entity.database.run_page(&permit, &entity.count, Vec::new(), 1, None).await?;
        // Some drivers count in decimals.
        for cell in &mut rows.cells {
            if let Cell::Decimal(text) = cell
                && let Ok(count) = text.parse()
            {
                *cell = Cell::Integer(count);
            }
        }
        let shape = Shape {
            key: "total".into(),
            rows: RowShape::Value,
            count: None,
            truncated: None,
            echo: vec![
                ("entity".into(), entity.entity.name.as_ref().into()),
                ("table".into(), entity.entity.table.as_str().into()),
            ],
        };
        Ok(Output::new(Label::RETRIEVED, vec![Part::Shaped(rows, shape)]))
    }
}

/// What counting an entity touches.
async fn accesses(entity: &PreparedEntity, principal: &Principal) -> Result<Vec<Access>, ToolError> {
    let facts = entity.database.judge(principal, Purpose::Read, &entity.count).await?;
    Ok(entity.database.accesses(&facts))
}
