//! `tools/list` and `tools/call`.

use countersign_core::{Arguments, Target, json::Value};
use hyper::HeaderMap;

use super::{
    Context,
    call::{self, Shape, Subject},
    page::page,
    text,
};
use crate::{
    encode, headers,
    rpc::{Id, RpcError},
    running::Step,
};

/// The tools that policy shows this principal, in the order of their names.
pub(super) fn list(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<String, RpcError> {
    let specs =
        context.server.pipeline.tools(&context.principal).map_err(|denied| context.refused(&denied))?;
    let (shown, cursor) = page(&specs, params, context.server.config.page_size, |spec| &spec.name)?;
    Ok(context.result(
        id,
        |_| {},
        |result| {
            result.array("tools", shown, |out, spec| encode::tool(out, spec));
            if let Some(cursor) = &cursor {
                result.text("nextCursor", cursor);
            }
            context.cacheable(result);
        },
    ))
}

/// One call. What is malformed is an error here; everything else is decided by the pipeline.
pub(super) fn call(
    context: Context,
    id: &Id,
    params: Option<&Value<'_>>,
    headers: Option<&HeaderMap>,
) -> Result<Step, RpcError> {
    let name = text(params, "name")?.to_owned();
    let given = params.and_then(|params| params.get("arguments"));
    let arguments = match given {
        None => Arguments::empty(),
        Some(value) => Arguments::from_json(value).map_err(|denied| RpcError::params(denied.public()))?,
    };
    if let (Some(headers), true) = (headers, context.revision.is_modern()) {
        check_params(&context, headers, &name, given)?;
    }
    let subject = Subject { method: "tools/call", name: name.clone(), arguments };
    call::start(context, id, params, Target::Tool(name), subject, Shape::Tool)
}

/// A header that contradicts its parameter is refused; a tool that is hidden from the caller gives no sign that it has such headers.
fn check_params(
    context: &Context,
    headers: &HeaderMap,
    name: &str,
    arguments: Option<&Value<'_>>,
) -> Result<(), RpcError> {
    let registry = context.server.pipeline.registry();
    let Some(entry) = registry.get(name) else { return Ok(()) };
    let checked = headers::check_params(headers, &entry.tool.spec().input_schema, arguments);
    if checked.is_err() {
        let shown =
            context.server.pipeline.tools(&context.principal).map_err(|denied| context.refused(&denied))?;
        if !shown.iter().any(|spec| *spec.name == *name) {
            return Ok(());
        }
    }
    checked
}
