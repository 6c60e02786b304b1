//! From text to checked policies: parsed, named by their `@id`, and validated strictly against the schema. All problems are
//! collected; one problem anywhere and there are no policies.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
};

use cedar_policy::{Policy, PolicyId, PolicySet, ValidationMode, Validator};
use countersign_core::Digest;

use crate::{
    entities::Names,
    error::{PolicyError, PolicyErrors},
    facts::RegistryFacts,
    mentions::{self, Mentions},
    roles::{ROLES_FILE, Roles},
    schema,
    source::PolicyFile,
};

/// The policies that are part of every set.
const FLOOR: &str = include_str!("floor.cedar");
/// How errors and reports name the file of the floor set.
pub(crate) const FLOOR_FILE: &str = "built-in floor.cedar";
/// The most policies in one set.
const MAX_POLICIES: usize = 20_000;

/// Whether a policy permits or forbids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It permits, unless another forbids.
    Permit,
    /// It forbids, whatever others permit.
    Forbid,
}

/// Where a policy comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyInfo {
    /// `floor/ID`, or `user/FILE/ID` with the file's name less `.cedar`.
    pub id: String,
    /// The file's name.
    pub file: String,
    /// The line of its first word, from 1.
    pub line: usize,
    /// What it does.
    pub effect: Effect,
}

/// What was found about a set of policies that is valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// SHA-256 over the texts of all policies, in hexadecimal.
    pub digest: String,
    /// All policies, those of the floor set first, then by file and line.
    pub policies: Vec<PolicyInfo>,
    /// What is legal and yet suspicious: a policy that can never apply, text in confusable letters.
    pub warnings: Vec<PolicyError>,
    /// The schema that the policies were validated against, in Cedar's notation.
    pub schema: String,
}

/// Valid policies, ready to be sliced.
pub(crate) struct Checked {
    pub(crate) policies: Vec<Arc<Loaded>>,
    pub(crate) roles: Roles,
    pub(crate) report: Report,
}

/// One policy with what is known of it beforehand.
pub(crate) struct Loaded {
    pub(crate) policy: Policy,
    /// What it looks at.
    pub(crate) mentions: Mentions,
    /// SHA-256 of what it says, whatever its id, its comments and its layout.
    pub(crate) body: Digest,
    /// The roles that may hinder a principal who has them: all that a forbid names, and those in the conditions of a permit.
    pub(crate) hinders: BTreeSet<String>,
}

impl Loaded {
    fn new(policy: Policy) -> Loaded {
        let mut mentions = Mentions::default();
        let json = policy.to_json().ok();
        mentions.add(json.as_ref());
        let mut hinders = BTreeSet::new();
        let forbids = policy.effect() == cedar_policy::Effect::Forbid;
        let hindering =
            json.as_ref().and_then(|json| if forbids { Some(json) } else { json.get("conditions") });
        hindering.into_iter().for_each(|json| mentions::roles(json, &mut hinders));
        let body = match json {
            Some(serde_json::Value::Object(mut json)) => {
                json.remove("annotations");
                serde_json::Value::Object(json).to_string()
            }
            _ => policy.to_string(),
        };
        Loaded { policy, mentions, body: Digest::of(body.as_bytes()), hinders }
    }
}

/// The floor set as it is shipped.
pub(crate) fn floor() -> PolicyFile {
    PolicyFile { name: FLOOR_FILE.into(), text: FLOOR.into() }
}

/// A parsed policy with the file that it comes from.
struct Parsed<'f> {
    policy: Policy,
    file: &'f PolicyFile,
    info: PolicyInfo,
}

/// Parses and validates `floor` and the user's `files` together.
pub(crate) fn check(
    floor: &PolicyFile,
    files: &[PolicyFile],
    facts: &RegistryFacts,
    names: &Names,
) -> Result<Checked, PolicyErrors> {
    let (schema, schema_text) = schema::generate(facts)?;
    let mut errors = Vec::new();
    let mut parsed = parse(floor, "floor", &mut errors);
    let mut roles = Roles::default();
    for file in files {
        if file.name == ROLES_FILE {
            match Roles::parse(file) {
                Ok(found) => roles = found,
                Err(found) => errors.extend(found.errors),
            }
            continue;
        }
        let stem = file.name.strip_suffix(".cedar").unwrap_or(&file.name);
        if is_plain(stem) {
            parsed.extend(parse(file, &format!("user/{stem}"), &mut errors));
        } else {
            let rule = "the file's name must be 1-64 characters of A-Z, a-z, 0-9, `_`, `.` or `-`";
            errors.push(PolicyError::whole(&file.name, rule));
        }
    }
    if parsed.len() > MAX_POLICIES {
        let message = format!("there are {} policies, the limit is {MAX_POLICIES}", parsed.len());
        errors.push(PolicyError::whole("policies", message));
        return Err(PolicyErrors { errors });
    }
    let mut warnings = validate(schema, &parsed, &mut errors);
    warnings.extend(unknown_roles(&parsed, &roles, names));
    unknown_tools(&parsed, facts, names, &mut errors);
    if !errors.is_empty() {
        let order: Vec<&str> = [floor].into_iter().chain(files).map(|file| file.name.as_str()).collect();
        errors.sort_by_key(|error| {
            let file = order.iter().position(|name| *name == error.file);
            (file, error.place.as_ref().map(|place| (place.line, place.column)))
        });
        return Err(PolicyErrors { errors });
    }
    let texts =
        [floor].into_iter().chain(files).flat_map(|file| [file.name.as_bytes(), file.text.as_bytes()]);
    let report = Report {
        digest: Digest::of_fields("countersign policies v1", texts).to_string(),
        policies: parsed.iter().map(|one| one.info.clone()).collect(),
        warnings,
        schema: schema_text,
    };
    let policies = parsed.into_iter().map(|one| Arc::new(Loaded::new(one.policy))).collect();
    Ok(Checked { policies, roles, report })
}

/// The policies of one file, each under the id `prefix/ID`.
fn parse<'f>(file: &'f PolicyFile, prefix: &str, errors: &mut Vec<PolicyError>) -> Vec<Parsed<'f>> {
    let set = match PolicySet::from_str(&file.text) {
        Ok(set) => set,
        Err(found) => {
            errors.extend(found.iter().map(|one| PolicyError::cedar(&file.name, &file.text, one)));
            return Vec::new();
        }
    };
    for template in set.templates() {
        let message = "templates are not supported".to_string();
        let help = "write out the principal and the resource instead of `?principal` and `?resource`";
        let span = template.as_ref().loc().map(|loc| (loc.span.offset(), loc.span.len()));
        errors.push(PolicyError::at(&file.name, &file.text, span, message).help(help));
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|policy| span(policy));
    let mut seen = BTreeMap::new();
    let mut parsed = Vec::new();
    for policy in policies {
        let start = span(policy).map(|(offset, len)| (offset, len.min(first_line(&file.text, offset))));
        let problem = |message: String| PolicyError::at(&file.name, &file.text, start, message);
        let Some(id) = policy.annotation("id").filter(|id| is_plain(id)) else {
            let message = match policy.annotation("id") {
                None => "this policy has no `@id`".to_owned(),
                Some(_) => "an `@id` must be 1-64 characters of A-Z, a-z, 0-9, `_`, `.` or `-`".to_owned(),
            };
            errors.push(problem(message).help("write `@id(\"a-short-name\")` above the policy"));
            continue;
        };
        let line = problem(String::new()).place.map_or(1, |place| place.line);
        if let Some(first) = seen.insert(id.to_owned(), line) {
            errors.push(problem(format!("the id `{id}` is already used on line {first}")));
            continue;
        }
        let effect = match policy.effect() {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        };
        let id = format!("{prefix}/{id}");
        let info = PolicyInfo { id: id.clone(), file: file.name.clone(), line, effect };
        parsed.push(Parsed { policy: policy.new_id(PolicyId::new(id)), file, info });
    }
    parsed
}

/// Strict validation of all policies at once; yields the warnings.
fn validate(
    schema: cedar_policy::Schema,
    parsed: &[Parsed<'_>],
    errors: &mut Vec<PolicyError>,
) -> Vec<PolicyError> {
    let mut set = PolicySet::new();
    for one in parsed {
        if let Err(cause) = set.add(one.policy.clone()) {
            errors.push(PolicyError::whole(&one.file.name, cause.to_string()));
        }
    }
    let at =
        |id: &PolicyId, found: &dyn miette::Diagnostic| match parsed.iter().find(|one| one.policy.id() == id)
        {
            Some(one) => PolicyError::cedar(&one.file.name, &one.file.text, found),
            None => PolicyError::whole("policies", found.to_string()),
        };
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    // MUTATE(H5-validation): policies need no longer agree with the schema
    errors.extend(result.validation_errors().map(|found| at(found.policy_id(), found)));
    result.validation_warnings().map(|found| at(found.policy_id(), found)).collect()
}

/// Cedar knows which actions exist, but not which tools: a misspelt `Tool::"…"` in a `forbid` would forbid nothing.
fn unknown_tools(parsed: &[Parsed<'_>], facts: &RegistryFacts, names: &Names, errors: &mut Vec<PolicyError>) {
    let known: BTreeSet<&str> = facts.tools.iter().map(|tool| &*tool.spec.name).collect();
    for one in parsed {
        for literal in one.policy.entity_literals() {
            let Some(name) = names.tool_name(&literal).filter(|name| !known.contains(name)) else { continue };
            let place = place_of(one, name);
            let message = format!("there is no tool `{name}`");
            let help = format!("the tools are: {}", known.iter().copied().collect::<Vec<_>>().join(", "));
            errors.push(PolicyError::at(&one.file.name, &one.file.text, place, message).help(help));
        }
    }
}

/// Where roles are declared, one that is not is probably misspelt: legal, since issuers may know more roles, and yet suspicious.
fn unknown_roles(parsed: &[Parsed<'_>], roles: &Roles, names: &Names) -> Vec<PolicyError> {
    let declared: BTreeSet<&str> = roles.declared().collect();
    let mut warnings = Vec::new();
    for one in parsed.iter().filter(|_| !declared.is_empty()) {
        for literal in one.policy.entity_literals() {
            let Some(name) = names.role_name(&literal).filter(|name| !declared.contains(name)) else {
                continue;
            };
            let message = format!("`{ROLES_FILE}` declares no role `{name}`");
            let help = format!("the roles are: {}", declared.iter().copied().collect::<Vec<_>>().join(", "));
            let place = place_of(one, name);
            warnings.push(PolicyError::at(&one.file.name, &one.file.text, place, message).help(help));
        }
    }
    warnings
}

/// Where a policy names an entity, as offset and length in bytes.
fn place_of(one: &Parsed<'_>, name: &str) -> Option<(usize, usize)> {
    let quoted = format!("\"{name}\"");
    let (offset, len) = span(&one.policy)?;
    let body = one.file.text.get(offset..offset.saturating_add(len)).unwrap_or_default();
    Some(body.find(&quoted).map_or((offset, 1), |found| (offset + found, quoted.len())))
}

/// Where a policy stands in its file, as offset and length in bytes.
fn span(policy: &Policy) -> Option<(usize, usize)> {
    policy.as_ref().loc().map(|loc| (loc.span.offset(), loc.span.len()))
}

/// How many bytes are left of the line at `offset`.
fn first_line(text: &str, offset: usize) -> usize {
    text.get(offset..).and_then(|rest| rest.lines().next()).map_or(0, str::len)
}

/// Names that appear in ids, and so in answers and records, are short and plain.
fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests;
