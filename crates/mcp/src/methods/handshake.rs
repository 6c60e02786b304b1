//! How client and server get to know each other: `initialize` of the legacy era, `server/discover` of the stateless one.

use std::sync::Arc;

use countersign_core::json::Value;

use super::{Context, text};
use crate::{
    era::{Capabilities, Revision, Threshold, client_name},
    rpc::{Id, Object, RpcError},
    server::Server,
    session::{Negotiated, Session},
};

/// Reads what the client offers. The version that we answer with is the client's if we speak it, else our newest legacy one.
pub(crate) fn initialize(params: Option<&Value<'_>>) -> Result<Negotiated, RpcError> {
    let requested = text(params, "protocolVersion")?;
    let capabilities = params.and_then(|params| params.get("capabilities")).filter(|value| value.is_object());
    let capabilities = capabilities.ok_or_else(|| RpcError::params("`capabilities` must be an object"))?;
    let client = params.and_then(|params| params.get("clientInfo")).and_then(client_name);
    Ok(Negotiated {
        revision: Revision::negotiate(requested),
        capabilities: Capabilities::read(capabilities),
        client: client.map(Arc::from),
    })
}

/// The answer to `initialize`.
pub(crate) fn initialized(server: &Server, session: &Session, id: &Id) -> String {
    let revision = session.negotiated().map_or(Revision::V2025_11_25, |negotiated| negotiated.revision);
    let mut out = String::with_capacity(512);
    let mut frame = Object::open(&mut out);
    frame.raw("jsonrpc", "\"2.0\"");
    frame.raw("id", &id.0);
    frame.object("result", |result| {
        result.text("protocolVersion", revision.name());
        capabilities(server, result);
        result.raw("serverInfo", &server.identity);
        instructions(server, result);
    });
    frame.close();
    out
}

/// `server/discover`.
pub(super) fn discover(context: &Context, id: &Id) -> String {
    let server = &context.server;
    let members = |result: &mut Object<'_>| {
        result.array("supportedVersions", Revision::ALL, |out, revision| {
            crate::encode::string(out, revision.name());
        });
        capabilities(server, result);
        instructions(server, result);
        context.cacheable(result);
    };
    context.result(id, |_| {}, members)
}

fn capabilities(server: &Server, result: &mut Object<'_>) {
    result.object("capabilities", |capabilities| {
        capabilities.object("tools", |tools| tools.flag("listChanged", true));
        capabilities.object("resources", |resources| {
            resources.flag("listChanged", true);
            if server.config.resource_updates {
                resources.flag("subscribe", true);
            }
        });
        capabilities.object("prompts", |prompts| prompts.flag("listChanged", true));
        capabilities.object("logging", |_| {});
        if server.prompts.is_some() {
            capabilities.object("completions", |_| {});
        }
    });
}

fn instructions(server: &Server, result: &mut Object<'_>) {
    if !server.config.instructions.is_empty() {
        result.text("instructions", &server.config.instructions);
    }
}

/// `logging/setLevel` of the legacy era.
pub(super) fn set_level(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<String, RpcError> {
    let level = Threshold::parse(text(params, "level")?)
        .ok_or_else(|| RpcError::params("`level` must be one of the severities of RFC 5424"))?;
    if let Some(session) = &context.session {
        session.set_level(level);
    }
    Ok(context.result(id, |_| {}, |_| {}))
}
