//! The context of a question: what policies may know besides the principal, the action and the resource. What no policy of a slice looks
//! at is not computed.

use cedar_policy::{Context, RestrictedExpression as Expression};
use countersign_core::{CallQuestion, Object, Phase, PlanFacts};

use crate::{
    calendar::datetime, entities::method_name, facts::TrustedHosts, input::InputShape, mentions::Mentions,
    schema::TOUCHED,
};

/// The context of a question about a tool whose arguments have this shape.
pub(crate) fn of_call(
    question: &CallQuestion<'_>,
    shape: &InputShape,
    mentions: &Mentions,
    trusted: &TrustedHosts,
    approvals: u8,
) -> Result<Context, String> {
    let arguments = question.phase.arguments();
    let foreseen = match question.phase {
        Phase::Previewed { foreseen, .. } => Some(foreseen),
        Phase::Listing | Phase::Calling { .. } => None,
    };
    let unpreviewed = foreseen.is_some_and(|foreseen| foreseen.affected.is_none());
    // A count beyond what policy can compare is the largest that it can.
    let affected = foreseen.and_then(|foreseen| foreseen.affected);
    let affected = affected.map(|count| Expression::new_long(i64::try_from(count).unwrap_or(i64::MAX)));
    let looked_at = mentions.has("input") || mentions.has("inputOpaque");
    let input = match arguments.filter(|_| looked_at) {
        Some(arguments) => Some(shape.convert(arguments).ok_or("the arguments are not an object")?),
        None => None,
    };
    let opaque = input.as_ref().is_some_and(|(_, opaque)| *opaque);
    let mut pairs = who(question, mentions, approvals);
    pairs.push(("listing", Expression::new_bool(arguments.is_none())));
    pairs.push(("inputOpaque", Expression::new_bool(opaque)));
    pairs.push(("unpreviewed", Expression::new_bool(unpreviewed)));
    pairs.extend(input.map(|(record, _)| ("input", record)));
    pairs.extend(affected.map(|count| ("affected", count)));
    if let Some(facts) = question.plan.filter(|_| mentions.has("plan")) {
        pairs.push(("plan", plan(&facts, trusted)?));
    }
    context(pairs)
}

/// The context of a question about an object.
pub(crate) fn of_access(
    question: &CallQuestion<'_>,
    mentions: &Mentions,
    approvals: u8,
) -> Result<Context, String> {
    let mut pairs = who(question, mentions, approvals);
    pairs.push(("tool", text(&question.tool.name)));
    pairs.push(("power", text(question.tool.power.name())));
    context(pairs)
}

/// What both kinds of questions know.
fn who(question: &CallQuestion<'_>, mentions: &Mentions, approvals: u8) -> Vec<(&'static str, Expression)> {
    let mut pairs = vec![
        ("approvals", Expression::new_long(approvals.into())),
        ("method", text(method_name(question.principal.method()))),
    ];
    if mentions.has("now") {
        pairs.push(("now", Expression::new_datetime(datetime(question.at))));
    }
    if mentions.has("integrity") || mentions.has("confidentiality") {
        pairs.push(("integrity", text(question.label.integrity.name())));
        pairs.push(("confidentiality", text(question.label.confidentiality.name())));
    }
    let scopes = question.principal.scopes().filter(|_| mentions.has("scopes"));
    pairs.extend(scopes.map(|scopes| ("scopes", Expression::new_set(scopes.iter().map(|one| text(one))))));
    pairs
}

/// What the plan says. Names are in lower case, as attributes of objects are.
fn plan(facts: &PlanFacts<'_>, trusted: &TrustedHosts) -> Result<Expression, String> {
    let set = |names: Vec<String>| Expression::new_set(names.into_iter().map(Expression::new_string));
    let touched = |kind: &str| {
        let objects = facts.accesses.iter().map(|access| &access.object).filter(|one| one.kind() == kind);
        // `table shop.customers`, without the word before the name.
        let names =
            objects.filter_map(|one| one.to_string().split_once(' ').map(|(_, name)| name.to_lowercase()));
        set(names.collect())
    };
    let all_trusted = facts.accesses.iter().all(|access| match &access.object {
        Object::Host { host, port } => trusted.has(host, *port),
        _ => true,
    });
    let mut pairs = vec![
        ("allTrusted".to_owned(), Expression::new_bool(all_trusted)),
        ("effect".to_owned(), text(effect_name(facts))),
        ("destinations".to_owned(), set(facts.destinations.iter().map(|one| one.to_lowercase()).collect())),
    ];
    pairs.extend(facts.facts.get("operation").map(|operation| ("operation".to_owned(), text(operation))));
    pairs.extend(TOUCHED.iter().map(|(name, kind)| ((*name).to_owned(), touched(kind))));
    Expression::new_record(pairs).map_err(|cause| cause.to_string())
}

fn effect_name(facts: &PlanFacts<'_>) -> &'static str {
    use countersign_core::Effect;
    match facts.effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Egress => "egress",
        Effect::Execute => "execute",
    }
}

fn context(pairs: Vec<(&'static str, Expression)>) -> Result<Context, String> {
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(pairs).map_err(|cause| cause.to_string())
}

fn text(value: &str) -> Expression {
    Expression::new_string(value.to_owned())
}
