//! `resources/list`, `resources/templates/list`, `resources/read` and, in the legacy era, subscriptions. Resources are views onto tools and
//! take the same road.

use countersign_core::{Arguments, Target, json::Value, registry::Resource};

use super::{
    Context,
    call::{self, Shape, Subject},
    page::page,
    text,
};
use crate::{
    encode,
    rpc::{Id, RpcError},
    running::Step,
};

/// The longest URI that is looked at.
const MAX_URI: usize = 2048;

/// The concrete resources.
pub(super) fn list(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<String, RpcError> {
    listed(context, id, params, "resources", |resource| resource.variable.is_none())
}

/// The templates.
pub(super) fn templates(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<String, RpcError> {
    listed(context, id, params, "resourceTemplates", |resource| resource.variable.is_some())
}

fn listed(
    context: &Context,
    id: &Id,
    params: Option<&Value<'_>>,
    member: &str,
    belongs: impl Fn(&Resource) -> bool,
) -> Result<String, RpcError> {
    let mut visible = visible(context)?;
    visible.retain(belongs);
    visible.sort_unstable_by(|a, b| a.uri.cmp(&b.uri));
    let (shown, cursor) = page(&visible, params, context.server.config.page_size, |resource| &resource.uri)?;
    Ok(context.result(
        id,
        |_| {},
        |result| {
            result.array(member, shown, encode::resource);
            if let Some(cursor) = &cursor {
                result.text("nextCursor", cursor);
            }
            context.cacheable(result);
        },
    ))
}

fn visible(context: &Context) -> Result<Vec<Resource>, RpcError> {
    context.server.pipeline.resources(&context.principal).map_err(|denied| context.refused(&denied))
}

/// Reads one resource through its tool.
pub(super) fn read(context: Context, id: &Id, params: Option<&Value<'_>>) -> Result<Step, RpcError> {
    let uri = uri(params)?;
    let registry = context.server.pipeline.registry();
    let found = registry.resource(&uri);
    let mime = found.map_or("text/plain", |(resource, _)| resource.mime);
    let subject = Subject { method: "resources/read", name: uri.clone(), arguments: Arguments::empty() };
    call::start(context, id, params, Target::Resource(uri.clone()), subject, Shape::Resource { uri, mime })
}

/// `resources/subscribe` and `resources/unsubscribe`.
pub(super) fn subscribe(
    context: &Context,
    id: &Id,
    params: Option<&Value<'_>>,
    on: bool,
) -> Result<String, RpcError> {
    let uri = uri(params)?;
    let Some(session) = &context.session else {
        return Err(RpcError::invalid("a subscription needs a session"));
    };
    if !on {
        session.unsubscribe(&uri);
    } else if !session.subscribe(&uri) {
        return Err(RpcError::params("too many subscriptions"));
    }
    Ok(context.result(id, |_| {}, |_| {}))
}

fn uri(params: Option<&Value<'_>>) -> Result<String, RpcError> {
    let uri = text(params, "uri")?;
    if uri.is_empty() || uri.len() > MAX_URI {
        return Err(RpcError::params("`uri` must be 1 to 2048 bytes long"));
    }
    Ok(uri.to_owned())
}
