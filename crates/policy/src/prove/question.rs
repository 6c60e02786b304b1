//! Every kind of question that can be asked of policies: a tool, or an action on a kind of object, by a user or an agent.

use std::sync::Arc;

use cedar_policy::{EntityTypeName, RequestEnv};
use countersign_core::Action;

use super::{ProveError, world};
use crate::{
    decide::Policies,
    entities::Names,
    facts::RegistryFacts,
    schema::{ACCESSES, PRINCIPALS},
    slice::Index,
};

/// One kind of question.
pub(super) struct Kind {
    /// For people: `call pay as Agent`, `read column as User`.
    pub(super) title: String,
    /// The types of principal and resource, and the action.
    pub(super) env: RequestEnv,
    /// What holds of every such question, as conditions in Cedar.
    pub(super) known: Vec<String>,
    about: About,
}

enum About {
    Tool(Arc<str>),
    Object(Action, &'static str),
}

impl Kind {
    /// The policies of a set that can decide on such a question.
    pub(super) fn index<'p>(&self, policies: &'p Policies) -> Option<&'p Index> {
        match &self.about {
            About::Tool(name) => policies.tool_index(name),
            About::Object(action, kind) => policies.index_of(*action, kind),
        }
    }
}

/// All kinds of questions that can be asked with these tools, databases and roots.
pub(super) fn all(facts: &RegistryFacts, names: &Names) -> Result<Vec<Kind>, ProveError> {
    let mut kinds = Vec::new();
    for principal in PRINCIPALS {
        let env = |action: &str, resource: &str| {
            Ok::<_, ProveError>(RequestEnv::new(
                type_name(principal)?,
                names.action(action),
                type_name(resource)?,
            ))
        };
        for fact in &facts.tools {
            let name = &fact.spec.name;
            kinds.push(Kind {
                title: format!("call {name} as {principal}"),
                env: env(name, "Tool")?,
                known: world::of_tool(fact),
                about: About::Tool(Arc::clone(name)),
            });
        }
        for (action, objects) in ACCESSES {
            for object in objects {
                // An object that lies in nothing that there is: nobody asks.
                let Some(known) = world::of_object(object, facts) else { continue };
                kinds.push(Kind {
                    title: format!("{} {} as {principal}", action.name(), object.to_lowercase()),
                    env: env(action.name(), object)?,
                    known,
                    about: About::Object(action, object),
                });
            }
        }
    }
    Ok(kinds)
}

fn type_name(name: &str) -> Result<EntityTypeName, ProveError> {
    name.parse().map_err(|cause| ProveError::Internal(format!("`{name}`: {cause}")))
}
