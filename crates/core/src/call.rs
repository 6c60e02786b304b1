//! One call as it arrives: who, what, from where. The transport builds it; the pipeline consumes it.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    denied::Denied,
    ids::RunId,
    json::{self, Value as Json},
    principal::Principal,
    tool::ClientSink,
};

/// What is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A tool by name.
    Tool(String),
    /// A resource by URI; it resolves to a tool and arguments and takes the same road.
    Resource(String),
}

/// The transport a call came over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// Standard input and output of a child process.
    Stdio,
}

impl Transport {
    /// The name used in records.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Stdio => "stdio",
        }
    }
}

/// Where a call came from. Client names are claims, recorded and never trusted.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The transport.
    pub transport: Transport,
    /// The protocol revision spoken.
    pub protocol: &'static str,
    /// The client's name and version as it gave them, cut to 100 characters.
    pub client: Option<Arc<str>>,
    /// The peer's address, or the process id of a stdio parent.
    pub peer: Arc<str>,
    /// A digest of the legacy session id, never the id.
    pub session: Option<Arc<str>>,
    /// W3C `traceparent`, if the caller sent a well-formed one.
    pub traceparent: Option<String>,
}

/// Arguments in the two forms that the pipeline needs: the canonical text that is hashed, and the values that tools read.
#[derive(Clone, Debug)]
pub struct Arguments {
    canonical: Arc<str>,
    value: Arc<Value>,
}

impl Arguments {
    /// From a strictly parsed JSON value; it must be an object.
    pub fn from_json(value: &Json<'_>) -> Result<Arguments, Denied> {
        let Json::Object(_) = value else {
            return Err(Denied::Invalid { field: "arguments".into(), rule: "must be an object".into() });
        };
        let owned = json::to_serde(value)
            .map_err(|e| Denied::Invalid { field: "arguments".into(), rule: e.to_string() })?;
        Ok(Arguments { canonical: json::canonical(value).into(), value: Arc::new(owned) })
    }

    /// No arguments: `{}`.
    pub fn empty() -> Arguments {
        Arguments { canonical: "{}".into(), value: Arc::new(Value::Object(serde_json::Map::new())) }
    }

    /// The canonical text: sorted keys, no white space, number lexemes untouched.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The values.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// A string argument by name.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.value.get(name).and_then(Value::as_str)
    }
}

/// One call, before any decision.
pub struct Call {
    /// Who calls: authenticated before the body was read.
    pub principal: Arc<Principal>,
    /// The run that labels and budgets attach to.
    pub run: RunId,
    /// What is called.
    pub target: Target,
    /// With which arguments.
    pub arguments: Arguments,
    /// From where.
    pub origin: Origin,
    /// Fires when the caller cancels.
    pub cancel: CancellationToken,
    /// Where progress and log notifications go, if the caller asked for them.
    pub sink: Option<Arc<dyn ClientSink>>,
}
