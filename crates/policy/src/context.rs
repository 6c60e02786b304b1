//! The context of a question: what policies may know besides the principal, the action and the resource.

use cedar_policy::{Context, RestrictedExpression as Expression};
use countersign_core::{CallQuestion, Phase};
use serde_json::Value;

use crate::{entities::method_name, slice::ToolSlice};

/// The context of a question about a tool.
pub(crate) fn of_call(
    question: &CallQuestion<'_>,
    tool: &ToolSlice,
    approvals: u8,
) -> Result<Context, String> {
    let arguments: Option<&Value> = question.phase.arguments();
    let foreseen = match question.phase {
        Phase::Previewed { foreseen, .. } => Some(foreseen),
        Phase::Listing | Phase::Calling { .. } => None,
    };
    let unpreviewed = foreseen.is_some_and(|foreseen| foreseen.affected.is_none());
    // A count beyond what policy can compare is the largest that it can.
    let affected = foreseen.and_then(|foreseen| foreseen.affected);
    let affected = affected.map(|count| Expression::new_long(i64::try_from(count).unwrap_or(i64::MAX)));
    let input = match arguments.filter(|_| tool.slice.reads_arguments()) {
        Some(arguments) => Some(tool.shape.convert(arguments).ok_or("the arguments are not an object")?),
        None => None,
    };
    let opaque = input.as_ref().is_some_and(|(_, opaque)| *opaque);
    let pairs = [
        ("approvals".to_owned(), Expression::new_long(approvals.into())),
        ("method".to_owned(), Expression::new_string(method_name(question.principal.method()).to_owned())),
        ("listing".to_owned(), Expression::new_bool(arguments.is_none())),
        ("inputOpaque".to_owned(), Expression::new_bool(opaque)),
        ("unpreviewed".to_owned(), Expression::new_bool(unpreviewed)),
    ];
    let input = input.map(|(record, _)| ("input".to_owned(), record));
    let affected = affected.map(|count| ("affected".to_owned(), count));
    Context::from_pairs(pairs.into_iter().chain(input).chain(affected)).map_err(|cause| cause.to_string())
}

/// The context of a question about an object.
pub(crate) fn of_access(question: &CallQuestion<'_>, approvals: u8) -> Result<Context, String> {
    let string = |value: &str| Expression::new_string(value.to_owned());
    let pairs = [
        ("approvals".to_owned(), Expression::new_long(approvals.into())),
        ("method".to_owned(), string(method_name(question.principal.method()))),
        ("tool".to_owned(), string(&question.tool.name)),
        ("power".to_owned(), string(question.tool.power.name())),
    ];
    Context::from_pairs(pairs).map_err(|cause| cause.to_string())
}
