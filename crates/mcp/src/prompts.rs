//! The port through which prompts are supplied. Countersign has none of its own; the conformance fixtures do.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use countersign_core::{
    Block, Principal,
    tool::{Ask, AskError, ClientSink},
};
use serde_json::Value;

/// A prompt as it is listed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it takes.
    pub arguments: Vec<PromptArgument>,
}

/// One argument of a prompt.
#[derive(Clone, Debug)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Whether it must be given.
    pub required: bool,
}

/// One message of a prompt.
#[derive(Clone, Debug)]
pub struct PromptMessage {
    /// `user` or `assistant`.
    pub role: &'static str,
    /// Its content.
    pub content: Block,
}

/// Why a prompt was not given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PromptError {
    /// No such prompt for this principal.
    Unknown,
    /// An argument breaks a rule.
    Invalid {
        /// Which one.
        field: String,
        /// What must hold.
        rule: String,
    },
    /// The client did not answer what it was asked.
    Unanswered,
}

/// A prompt's way back to the client.
pub struct PromptIo {
    pub(crate) sink: Option<Arc<dyn ClientSink>>,
}

impl PromptIo {
    /// Asks the client; the answer is untrusted input.
    pub async fn ask(&self, ask: Ask) -> Result<Value, AskError> {
        match &self.sink {
            Some(sink) => sink.ask(ask).await,
            None => Err(AskError::Unsupported),
        }
    }
}

/// A source of prompts.
#[async_trait]
pub trait Prompts: Send + Sync {
    /// The prompts that this principal may see, in a fixed order.
    fn list(&self, principal: &Principal) -> Vec<Prompt>;

    /// The messages of one prompt.
    async fn get(
        &self,
        principal: &Principal,
        name: &str,
        arguments: &BTreeMap<String, String>,
        io: &PromptIo,
    ) -> Result<Vec<PromptMessage>, PromptError>;

    /// Values for an argument that start with what was typed so far.
    fn complete(&self, principal: &Principal, name: &str, argument: &str, typed: &str) -> Vec<String>;
}
