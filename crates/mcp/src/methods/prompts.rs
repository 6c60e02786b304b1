//! `prompts/list` and `prompts/get`. Without a source of prompts the list is empty.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::{Arguments, Block, json::Value, tool::ClientSink};

use super::{
    Context,
    call::{self, Subject},
    page::page,
    text,
};
use crate::{
    encode,
    prompts::{PromptError, PromptIo, PromptMessage},
    rpc::{Id, RpcError},
    running::{Answer, Running, Step},
};

/// The prompts that this principal may see.
pub(super) fn list(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<String, RpcError> {
    let source = context.server.prompts.as_ref();
    let mut prompts = source.map(|source| source.list(&context.principal)).unwrap_or_default();
    prompts.sort_by(|a, b| a.name.cmp(&b.name));
    let (shown, cursor) = page(&prompts, params, context.server.config.page_size, |prompt| &prompt.name)?;
    Ok(context.result(
        id,
        |_| {},
        |result| {
            result.array("prompts", shown, encode::prompt);
            if let Some(cursor) = &cursor {
                result.text("nextCursor", cursor);
            }
            context.cacheable(result);
        },
    ))
}

/// One prompt with its arguments filled in.
pub(super) fn get(context: Context, id: &Id, params: Option<&Value<'_>>) -> Result<Step, RpcError> {
    let name = text(params, "name")?.to_owned();
    let source = context.server.prompts.clone().ok_or_else(unknown)?;
    let given = params.and_then(|params| params.get("arguments"));
    let arguments = match given {
        None => Arguments::empty(),
        Some(value) => Arguments::from_json(value).map_err(|denied| RpcError::params(denied.public()))?,
    };
    let values = strings(&arguments)?;
    let subject = Subject { method: "prompts/get", name, arguments };
    let channel = call::open(&context, params, &subject)?;
    let cancel = context.server.stop.child_token();
    let in_flight = context.track(id, &cancel)?;
    let work = context.server.working.begin();
    let (id, stopped) = (id.clone(), cancel.clone());
    let answer = tokio::spawn(async move {
        let (_work, _in_flight) = (work, in_flight);
        let io = PromptIo { sink: channel.exchange.clone().map(|exchange| exchange as Arc<dyn ClientSink>) };
        let got = tokio::select! {
            got = source.get(&context.principal, &subject.name, &values, &io) => got,
            () = stopped.cancelled() => Err(PromptError::Unanswered),
        };
        match call::unanswered(&context, &id, channel.exchange.as_deref(), &subject, got.is_ok()) {
            Some(answer) => answer,
            None => encode(&context, &id, got),
        }
    });
    Ok(Step::Running(Running { answer, events: channel.events, cancel }))
}

fn strings(arguments: &Arguments) -> Result<BTreeMap<String, String>, RpcError> {
    let members = arguments.value().as_object().into_iter().flatten();
    members
        .map(|(name, value)| match value.as_str() {
            Some(value) => Ok((name.clone(), value.to_owned())),
            None => Err(RpcError::params("the arguments of a prompt must be strings")),
        })
        .collect()
}

fn encode(context: &Context, id: &Id, got: Result<Vec<PromptMessage>, PromptError>) -> Answer {
    let error = match got {
        Ok(messages) => {
            let messages: Vec<PromptMessage> =
                messages.into_iter().map(|message| clean(context, message)).collect();
            return Answer::ok(context.result(
                id,
                |_| {},
                |result| {
                    result.array("messages", &messages, encode::prompt_message);
                },
            ));
        }
        Err(PromptError::Unknown) => unknown(),
        Err(PromptError::Invalid { field, rule }) => {
            RpcError::params(format!("invalid argument `{field}`: {rule}"))
        }
        Err(PromptError::Unanswered) => RpcError::params("the client did not answer what the prompt asks"),
    };
    Answer::error(&error, Some(id))
}

/// Takes known secrets out of what a prompt says.
fn clean(context: &Context, message: PromptMessage) -> PromptMessage {
    let redactor = context.server.pipeline.redactor();
    let content = match message.content {
        Block::Text(text) => Block::Text(redactor.text(&text).into_owned()),
        Block::Resource { uri, mime, body, binary: false } => {
            Block::Resource { uri, mime, body: redactor.text(&body).into_owned(), binary: false }
        }
        other => other,
    };
    PromptMessage { content, ..message }
}

fn unknown() -> RpcError {
    RpcError::params("unknown prompt")
}
