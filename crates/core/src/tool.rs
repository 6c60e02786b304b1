//! What a tool is: metadata that policy and clients see, and three steps — plan, preview, execute.

use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_redact::Redactor;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    call::Arguments,
    denied::{Denied, Failure},
    ids::Digest,
    output::{Output, RowSet},
    permission::Permission,
    pipeline::{Permit, PreviewPermit},
    plan::{Plan, Planned},
    principal::Principal,
};

/// How much harm a tool can do; decides the default policy and the title that people see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerClass {
    /// Reads ordinary data: any user.
    ReadLow,
    /// Reads sensitive data: elevated scope, and recorded.
    ReadHigh,
    /// Changes little: user and confirmation.
    WriteLow,
    /// Changes much: elevated scope and human approval.
    WriteHigh,
}

impl PowerClass {
    /// The name used in policies, records and titles.
    pub fn name(self) -> &'static str {
        match self {
            PowerClass::ReadLow => "read-low",
            PowerClass::ReadHigh => "read-high",
            PowerClass::WriteLow => "write-low",
            PowerClass::WriteHigh => "write-high",
        }
    }
}

/// How sensitive the data is that a tool returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Public or made up.
    Public,
    /// Internal to the organisation.
    Internal,
    /// The tenant's private data.
    Private,
}

/// Everything that is said about a tool; fixed when the registry is built.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// 1–128 characters of `[A-Za-z0-9_.-]`.
    pub name: Arc<str>,
    /// The server that the tool belongs to: `countersign` for our own.
    pub server: Arc<str>,
    /// A short name for people.
    pub title: String,
    /// What it does, for the model.
    pub description: String,
    /// Why it exists, for the operator.
    pub purpose: &'static str,
    /// JSON Schema 2020-12 of the arguments; always an object, unknown members refused.
    pub input_schema: Value,
    /// JSON Schema of the structured result, if there is one.
    pub output_schema: Option<Value>,
    /// The class of harm.
    pub power: PowerClass,
    /// What it needs to do its work; policies speak of it.
    pub permissions: Vec<Permission>,
    /// The sensitivity of what it returns.
    pub sensitivity: Sensitivity,
    /// How long a call may take.
    pub deadline: Duration,
    /// SHA-256 over name, description, schemas, class and permissions: the pin.
    pub digest: Digest,
}

impl ToolSpec {
    /// Computes the pin; call it after the fields are set.
    #[must_use]
    pub fn pinned(mut self) -> ToolSpec {
        let input = self.input_schema.to_string();
        let output = self.output_schema.as_ref().map(Value::to_string).unwrap_or_default();
        self.permissions.sort();
        self.permissions.dedup();
        let fields = [
            self.server.as_bytes(),
            self.name.as_bytes(),
            self.title.as_bytes(),
            self.description.as_bytes(),
            input.as_bytes(),
            output.as_bytes(),
            self.power.name().as_bytes(),
        ];
        let permissions = self.permissions.iter().map(|permission| permission.name().as_bytes());
        self.digest = Digest::of_fields("countersign tool v1", fields.into_iter().chain(permissions));
        self
    }

    /// The title that clients show: it names the power class.
    pub fn shown_title(&self) -> String {
        format!("{} [{}]", self.title, self.power.name())
    }
}

/// Why a tool could not plan or finish. `cause` is for the log alone.
#[derive(Clone, Debug)]
pub struct ToolError {
    /// What the caller is told.
    pub denied: Denied,
    /// What the operator's log is told.
    pub cause: Option<String>,
    /// What the caller alone is told: may quote the caller's own input, so it is never recorded.
    pub detail: Option<String>,
}

impl ToolError {
    /// An error that the caller can act on.
    pub fn failed(public: impl Into<String>) -> ToolError {
        ToolError {
            denied: Denied::Failed { failure: Failure::Tool, public: public.into() },
            cause: None,
            detail: None,
        }
    }

    /// An argument that breaks a rule of the tool.
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> ToolError {
        ToolError {
            denied: Denied::Invalid { field: field.into(), rule: rule.into() },
            cause: None,
            detail: None,
        }
    }

    /// Adds a text for the caller alone.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> ToolError {
        self.detail = detail;
        self
    }

    /// Something inside broke: the caller gets an id, the log the cause.
    pub fn internal(cause: impl Into<String>) -> ToolError {
        ToolError { denied: Denied::internal(), cause: Some(cause.into()), detail: None }
    }
}

impl From<Denied> for ToolError {
    fn from(denied: Denied) -> ToolError {
        ToolError { denied, cause: None, detail: None }
    }
}

/// What an approver is shown before a write: counts and samples, raw. Only redaction turns it into something that is shown.
#[derive(Default)]
pub struct Preview {
    /// Affected objects, counted in a transaction that was rolled back; none if the effect reaches beyond a transaction.
    pub affected: Option<u64>,
    /// Some of them as they are.
    pub before: Option<RowSet>,
    /// The same as they would be.
    pub after: Option<RowSet>,
    /// What would change in a text, as a unified diff.
    pub diff: Option<String>,
    /// The digest of what the effect was worked out from. It is approved with the rest, and execution asserts that it still holds.
    pub basis: Option<Digest>,
    /// What else approvers should know, in our words.
    pub warnings: Vec<String>,
}

/// One tool. Items own their metadata, schema and logic; `compose.rs` of the binary lists them.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The metadata.
    fn spec(&self) -> &Arc<ToolSpec>;

    /// Finds out what the call will touch, without any effect. May read catalogue metadata, never rows.
    async fn plan(&self, principal: &Principal, arguments: &Arguments) -> Result<Planned, ToolError>;

    /// Shows the effect of a write, rolled back. A tool that cannot says so by an effect that is not counted.
    async fn preview(&self, _plan: &Plan, _permit: PreviewPermit) -> Result<Preview, ToolError> {
        Ok(Preview {
            warnings: vec!["this tool cannot show its effect beforehand".into()],
            ..Preview::default()
        })
    }

    /// The idempotency key that the caller gave, if the tool takes one.
    fn once_key<'a>(&self, _arguments: &'a Arguments) -> Option<&'a str> {
        None
    }

    /// Does exactly what the permit's plan says. Dropping the future stops the work.
    async fn execute(&self, permit: Permit, io: &CallIo) -> Result<Output, ToolError>;
}

/// What a tool may do towards its caller while it runs: every text passes redaction on its way.
pub struct CallIo {
    pub(crate) redactor: Redactor,
    pub(crate) sink: Option<Arc<dyn ClientSink>>,
    /// Fires on cancellation; tools that start outside work hand it on.
    pub cancel: CancellationToken,
    /// What is left of the call's time, from the moment execution started.
    pub budget: Duration,
}

impl CallIo {
    /// Reports progress; dropped when the caller asked for none.
    pub fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        if let Some(sink) = &self.sink {
            sink.progress(done, total, self.redactor.text(message));
        }
    }

    /// Sends a log notification; dropped when the caller asked for none.
    pub fn log(&self, level: LogLevel, message: &str) {
        if let Some(sink) = &self.sink {
            sink.log(level, self.redactor.text(message));
        }
    }

    /// Asks the client (elicitation, sampling, roots); the answer is untrusted input.
    pub async fn ask(&self, request: Ask) -> Result<Value, AskError> {
        match &self.sink {
            Some(sink) => sink.ask(request).await,
            None => Err(AskError::Unsupported),
        }
    }
}

/// Severity of a log notification (RFC 5424 names, as MCP uses them).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// Details for developers.
    Debug,
    /// Ordinary events.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// A question to the client in mid-call.
#[derive(Clone, Debug)]
pub struct Ask {
    /// A name that is unique within the call; how an answer finds its question when the call is retried.
    pub key: String,
    /// The MCP method: `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: &'static str,
    /// Its parameters.
    pub params: Value,
}

/// Why a question got no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AskError {
    /// The client did not declare the capability, or cannot be reached.
    Unsupported,
    /// The client must retry the call with the answer (revision 2026-07-28); the tool returns at once.
    InputRequired,
    /// The client refused or failed.
    Refused,
}

/// The way back to the client during a call; implemented by the transport.
#[async_trait]
pub trait ClientSink: Send + Sync {
    /// Sends a progress notification. The text is redacted.
    fn progress(&self, done: f64, total: Option<f64>, message: Cow<'_, str>);

    /// Sends a log notification. The text is redacted.
    fn log(&self, level: LogLevel, message: Cow<'_, str>);

    /// Whether the client said that it can be asked by this method.
    fn can_ask(&self, method: &str) -> bool;

    /// Asks the client.
    async fn ask(&self, request: Ask) -> Result<Value, AskError>;
}
