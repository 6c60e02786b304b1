//! Replies, tools, resources and prompts as JSON, written by hand: the results of every call pass here.

use countersign_core::{
    Block, Permission, PowerClass, Refused, Reply, ToolSpec, json::push_string, label::Integrity,
    registry::Resource,
};

use crate::{
    prompts::{Prompt, PromptMessage},
    rpc::Object,
};

/// `_meta` of a tool's result: what a client or an operator can look the call up by.
pub(crate) fn reply_meta(meta: &mut Object<'_>, reply: &Reply) {
    meta.text("countersign/call", &reply.call().to_string());
    if reply.label().integrity > Integrity::Trusted {
        meta.flag("countersign/untrusted", true);
    }
    if let Some(reason) = reply.truncated() {
        meta.text("countersign/truncated", reason);
    }
}

/// The members of a tool's result.
pub(crate) fn reply(result: &mut Object<'_>, reply: &Reply) {
    result.array("content", reply.blocks(), block);
    if let Some(structured) = reply.structured() {
        result.raw("structuredContent", structured);
    }
    result.flag("isError", reply.is_error());
}

/// `_meta` of a refusal.
pub(crate) fn refused_meta(meta: &mut Object<'_>, refused: &Refused) {
    meta.text("countersign/call", &refused.call.to_string());
    meta.text("countersign/code", refused.denied.code());
    if let Some(wait) = refused.denied.retry_after() {
        meta.number("countersign/retryAfterMs", i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    }
}

/// The members of a refusal that a model can read and correct.
pub(crate) fn refused(result: &mut Object<'_>, refused: &Refused) {
    let text = format!("{} ({}, call {})", refused.message, refused.denied.code(), refused.call);
    result.array("content", [text], |out, text| {
        let mut content = Object::open(out);
        content.text("type", "text");
        content.text("text", &text);
        content.close();
    });
    result.flag("isError", true);
}

/// One content block.
pub(crate) fn block(out: &mut String, block: &Block) {
    let mut content = Object::open(out);
    match block {
        Block::Text(text) => {
            content.text("type", "text");
            content.text("text", text);
        }
        Block::Media { kind, mime, base64 } => {
            content.text("type", kind);
            content.text("data", base64);
            content.text("mimeType", mime);
        }
        Block::Resource { uri, mime, body, binary } => {
            content.text("type", "resource");
            content.object("resource", |resource| contents(resource, uri, mime, body, *binary));
        }
    }
    content.close();
}

/// The contents of a resource, as `resources/read` and embedded resources show them.
fn contents(out: &mut Object<'_>, uri: &str, mime: &str, body: &str, binary: bool) {
    out.text("uri", uri);
    out.text("mimeType", mime);
    out.text(if binary { "blob" } else { "text" }, body);
}

/// One item of `contents` of a resource that was read through a tool.
pub(crate) fn resource_contents(out: &mut String, block: &Block, uri: &str, mime: &str) {
    let mut item = Object::open(out);
    match block {
        Block::Text(text) => contents(&mut item, uri, mime, text, false),
        Block::Media { mime, base64, .. } => contents(&mut item, uri, mime, base64, true),
        Block::Resource { uri, mime, body, binary } => contents(&mut item, uri, mime, body, *binary),
    }
    item.close();
}

/// A tool as it is listed. Annotations follow from the class of harm, which the title names, and from whether it talks to other hosts.
pub(crate) fn tool(out: &mut String, spec: &ToolSpec) {
    let read_only = matches!(spec.power, PowerClass::ReadLow | PowerClass::ReadHigh);
    let title = spec.shown_title();
    let mut tool = Object::open(out);
    tool.text("name", &spec.name);
    tool.text("title", &title);
    tool.text("description", &spec.description);
    tool.raw("inputSchema", &spec.input_schema.to_string());
    if let Some(schema) = &spec.output_schema {
        tool.raw("outputSchema", &schema.to_string());
    }
    tool.object("annotations", |annotations| {
        annotations.text("title", &title);
        annotations.flag("readOnlyHint", read_only);
        annotations.flag("destructiveHint", spec.power == PowerClass::WriteHigh);
        annotations.flag("openWorldHint", spec.permissions.contains(&Permission::Network));
    });
    tool.close();
}

/// A resource or a template as it is listed.
pub(crate) fn resource(out: &mut String, resource: &Resource) {
    let mut item = Object::open(out);
    item.text(if resource.variable.is_some() { "uriTemplate" } else { "uri" }, &resource.uri);
    item.text("name", &resource.name);
    item.text("description", &resource.description);
    item.text("mimeType", resource.mime);
    item.close();
}

/// A prompt as it is listed.
pub(crate) fn prompt(out: &mut String, prompt: &Prompt) {
    let mut item = Object::open(out);
    item.text("name", &prompt.name);
    item.text("description", &prompt.description);
    item.array("arguments", &prompt.arguments, |out, argument| {
        let mut item = Object::open(out);
        item.text("name", &argument.name);
        item.text("description", &argument.description);
        item.flag("required", argument.required);
        item.close();
    });
    item.close();
}

/// One message of a prompt.
pub(crate) fn prompt_message(out: &mut String, message: &PromptMessage) {
    let mut item = Object::open(out);
    item.text("role", message.role);
    let mut content = String::new();
    block(&mut content, &message.content);
    item.raw("content", &content);
    item.close();
}

/// A JSON string.
pub(crate) fn string(out: &mut String, text: &str) {
    push_string(out, text);
}
