//! The way back to the client while a call runs: progress, log notifications and questions.
//!
//! Legacy: a question is a request of ours on the call's stream, and the answer arrives as a message of its own. 2026-07-28: there are no
//! such requests; the call ends with the questions, and the client calls again with the answers.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    Pipeline,
    tool::{Ask, AskError, ClientSink, LogLevel},
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    era::{Capabilities, Threshold, level_name},
    request_state::Answers,
    rpc::{self, Object},
    session::Session,
};

/// One call's way back.
pub(crate) struct Exchange {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) events: mpsc::Sender<String>,
    /// JSON text of the token that the client chose.
    pub(crate) progress_token: Option<Box<str>>,
    pub(crate) level: Option<Threshold>,
    pub(crate) capabilities: Capabilities,
    pub(crate) questions: Questions,
}

/// How questions travel.
pub(crate) enum Questions {
    /// As requests on the stream, answered within the session.
    Session {
        /// Where the answer arrives.
        session: Arc<Session>,
        /// How long to wait for it.
        timeout: Duration,
    },
    /// As part of the result, answered by the next round.
    Rounds(Mutex<Rounds>),
}

/// What a stateless call has asked and been told.
#[derive(Default)]
pub(crate) struct Rounds {
    /// All answers so far: of earlier rounds, and of this request.
    pub(crate) answers: Answers,
    /// Questions without an answer.
    pub(crate) open: BTreeMap<String, Ask>,
    /// Capabilities that were needed and not declared.
    pub(crate) missing: Vec<&'static str>,
}

/// Notifications of one call that may wait for a slow client; more are dropped.
pub(crate) const EVENTS: usize = 64;

impl Exchange {
    /// What was asked and not answered, for a stateless call.
    pub(crate) fn rounds(&self) -> Option<MutexGuard<'_, Rounds>> {
        match &self.questions {
            Questions::Rounds(rounds) => Some(rounds.lock().unwrap_or_else(PoisonError::into_inner)),
            Questions::Session { .. } => None,
        }
    }

    async fn ask_session(
        &self,
        session: &Arc<Session>,
        timeout: Duration,
        ask: Ask,
    ) -> Result<Value, AskError> {
        let (id, _question, answer) = session.question();
        let request = rpc::request(&id, ask.method, &ask.params.to_string());
        self.events.send(request).await.map_err(|_| AskError::Unsupported)?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(Ok(answer))) if fits(ask.method, &answer) => Ok(answer),
            _ => Err(AskError::Refused),
        }
    }
}

#[async_trait]
impl ClientSink for Exchange {
    fn progress(&self, done: f64, total: Option<f64>, message: Cow<'_, str>) {
        let Some(token) = &self.progress_token else { return };
        let text = rpc::notification("notifications/progress", |params| {
            params.raw("progressToken", token);
            params.raw("progress", &number(done));
            if let Some(total) = total {
                params.raw("total", &number(total));
            }
            if !message.is_empty() {
                params.text("message", &message);
            }
        });
        // A client that does not keep up loses notifications, never the result.
        let _ = self.events.try_send(text);
    }

    fn log(&self, level: LogLevel, message: Cow<'_, str>) {
        // SPEC: 2026-07-28 logging: nothing is sent unless this request asked for a level.
        if !self.level.is_some_and(|threshold| threshold.lets_through(level)) {
            return;
        }
        let text = rpc::notification("notifications/message", |params| {
            params.text("level", level_name(level));
            params.text("logger", "countersign");
            params.text("data", &message);
        });
        let _ = self.events.try_send(text);
    }

    fn can_ask(&self, method: &str) -> bool {
        self.capabilities.allows(method).1
    }

    async fn ask(&self, mut ask: Ask) -> Result<Value, AskError> {
        let (capability, declared) = self.capabilities.allows(ask.method);
        clean(&mut ask.params, &self.pipeline);
        match &self.questions {
            Questions::Session { .. } if !declared => Err(AskError::Unsupported),
            Questions::Session { session, timeout } => self.ask_session(session, *timeout, ask).await,
            Questions::Rounds(rounds) => {
                let mut rounds = rounds.lock().unwrap_or_else(PoisonError::into_inner);
                // SPEC: 2026-07-28 MRTR: no question that the client has not declared support for.
                // MUTATE(MCP-capability): a client is asked what it cannot answer
                if !declared {
                    rounds.missing.push(capability);
                    return Err(AskError::Unsupported);
                }
                match rounds.answers.get(&ask.key) {
                    Some(answer) if fits(ask.method, answer) => Ok(answer.clone()),
                    _ => {
                        rounds.open.insert(ask.key.clone(), ask);
                        Err(AskError::InputRequired)
                    }
                }
            }
        }
    }
}

/// Whether an answer has the shape that its question asks for.
fn fits(method: &str, answer: &Value) -> bool {
    match method {
        "elicitation/create" => {
            let action = answer.get("action").and_then(Value::as_str);
            let content = answer.get("content");
            match action {
                Some("accept") => content.is_none_or(Value::is_object),
                Some("decline" | "cancel") => true,
                _ => false,
            }
        }
        "sampling/createMessage" => {
            answer.get("role").is_some_and(Value::is_string) && answer.get("content").is_some()
        }
        "roots/list" => answer.get("roots").is_some_and(Value::is_array),
        _ => false,
    }
}

/// Takes secrets out of every string of a question, at any depth.
fn clean(value: &mut Value, pipeline: &Pipeline) {
    match value {
        Value::String(text) => {
            let redacted = pipeline.redactor().text(text).into_owned();
            *text = redacted;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, pipeline)),
        Value::Object(members) => members.values_mut().for_each(|member| clean(member, pipeline)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "0".into() }
}

/// The members of an `input_required` result.
pub(crate) fn write_open(result: &mut Object<'_>, open: &BTreeMap<String, Ask>) {
    result.object("inputRequests", |requests| {
        for (key, ask) in open {
            requests.object(key, |request| {
                request.text("method", ask.method);
                request.raw("params", &ask.params.to_string());
            });
        }
    });
}
