//! `completion/complete`: values for the arguments of prompts. Resource templates offer none: their values are data, and data is read
//! through calls.

use countersign_core::json::Value;

use super::{Context, text};
use crate::{
    encode,
    rpc::{Id, RpcError},
};

/// SPEC: completion: at most 100 values.
const MAX_VALUES: usize = 100;

pub(super) fn complete(context: &Context, id: &Id, params: Option<&Value<'_>>) -> Result<String, RpcError> {
    let member = |name: &str| params.and_then(|params| params.get(name));
    let (reference, argument) = (member("ref"), member("argument"));
    let values = match text(reference, "type")? {
        "ref/prompt" => {
            let name = text(reference, "name")?;
            let (argument, typed) = (text(argument, "name")?, text(argument, "value")?);
            let source = context.server.prompts.as_ref();
            source
                .map(|source| source.complete(&context.principal, name, argument, typed))
                .unwrap_or_default()
        }
        "ref/resource" => Vec::new(),
        _ => return Err(RpcError::params("`ref.type` must be `ref/prompt` or `ref/resource`")),
    };
    let redactor = context.server.pipeline.redactor();
    Ok(context.result(
        id,
        |_| {},
        |result| {
            result.object("completion", |completion| {
                completion.array("values", values.iter().take(MAX_VALUES), |out, value| {
                    encode::string(out, &redactor.text(value));
                });
                completion.flag("hasMore", values.len() > MAX_VALUES);
            });
        },
    ))
}
