//! `[resource.NAME]`: a tool that reads, with its arguments fixed, under a URI of the operator's choice. It is policed and recorded as that tool.

use std::sync::Arc;

use countersign_core::{Denied, PowerClass, Tool, ToolSpec, registry::Resource, schema::Validator};
use serde_json::{Map, Value as Json};

use super::{
    entry::View,
    keys::{Keys, is_name, title_of},
    prepared::Prepared,
    problem::{Problem, nearest},
    read::DESCRIPTION,
};
use crate::{database::Database, describe_table::DescribeTable, list_tables::ListTables};

pub(super) const KEYS: &[&str] = &["uri", "tool", "title", "description", "arguments"];
/// Characters of a URI at most.
const URI: usize = 256;

/// Reads one entry. Whether there is such a tool, and what it takes, [`resolve`] finds out.
pub(super) fn read(name: &str, keys: &Keys<'_>, problems: &mut Vec<Problem>) -> Option<View> {
    let before = problems.len();
    let uri = keys.required("uri", URI, problems);
    let tool = keys.required("tool", 64, problems);
    let description = keys.required("description", DESCRIPTION, problems);
    let title = keys.text("title", 100, problems).unwrap_or_else(|| title_of(name));
    let arguments = match keys.json("arguments", problems) {
        Some(Json::Object(members)) => members,
        Some(_) => {
            problems.push(keys.wrong("arguments", "must be a table", None));
            Map::new()
        }
        None => Map::new(),
    };
    let variable = uri.as_deref().map(variable);
    if let Some(Err(rule)) = variable {
        let help =
            "for example `domain://datasets`, or `domain://datasets/{name}` with a parameter of the tool";
        problems.push(keys.wrong("uri", rule, Some(help)));
    }
    let variable = variable.and_then(Result::ok).flatten().map(Arc::from);
    let (uri, tool, description) = (uri?, tool?, description?);
    (problems.len() == before).then(|| View {
        name: name.into(),
        uri,
        title,
        description,
        tool: tool.as_str().into(),
        arguments: arguments.into_iter().map(|(name, value)| (name.as_str().into(), value)).collect(),
        variable,
        place: keys.place().clone(),
    })
}

/// The variable of a URI, if it has one and follows the rules.
fn variable(uri: &str) -> Result<Option<&str>, &'static str> {
    let (scheme, rest) = uri.split_once("://").ok_or("must have a scheme and `://`")?;
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'.' | b'-');
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(letters) {
        return Err("must begin with a scheme in lower case");
    }
    if matches!(scheme, "http" | "https" | "file") {
        return Err("must not be of a scheme that clients or file roots serve");
    }
    let (path, variable) = match rest.rsplit_once("/{") {
        Some((path, last)) => (path, Some(last.strip_suffix('}').unwrap_or_default())),
        None => (rest, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/');
    if path.is_empty() || !path.bytes().all(plain) {
        return Err("must be of letters, digits and `-._~/`, with a host");
    }
    match variable {
        Some(name) if !is_name(name) => Err("must end with its one variable: `/{name}`"),
        variable => Ok(variable),
    }
}

/// The resources, each held against the tool behind it.
pub(super) fn resolve(
    views: &[View],
    prepared: &Prepared,
    databases: &[Arc<Database>],
    problems: &mut Vec<Problem>,
) -> Vec<Resource> {
    let mut specs: Vec<Arc<ToolSpec>> =
        prepared.tools().iter().map(|one| Arc::clone(one.tool.spec())).collect();
    if !databases.is_empty() {
        specs.push(Arc::clone(ListTables::new(databases).spec()));
        specs.push(Arc::clone(DescribeTable::new(databases).spec()));
    }
    let one = |view: &View| {
        let found = against(view, &specs, databases);
        let found = found.map_err(|(message, help)| {
            let message = format!("`resource.{}.{message}", view.name);
            problems.push(Problem { place: view.place.clone(), message, help });
        });
        found.ok().map(|also| Resource {
            uri: view.uri.clone(),
            name: view.title.clone(),
            description: view.description.clone(),
            mime: if prepared.is_text(&view.tool) { "text/plain" } else { "application/json" },
            tool: Arc::clone(&view.tool),
            also,
            tenant: None,
            fixed: view.arguments.clone(),
            variable: view.variable.clone(),
        })
    };
    views.iter().filter_map(one).collect()
}

/// What is wrong with an entry, from the key on, and what to do about it.
type Wrong = (String, Option<String>);

/// Which other tool must be visible too, if the tool is there, only reads, and takes what it would be given.
fn against(
    view: &View,
    specs: &[Arc<ToolSpec>],
    databases: &[Arc<Database>],
) -> Result<Option<Arc<str>>, Wrong> {
    let wrong = |message: String| (message, None);
    let Some(spec) = specs.iter().find(|spec| spec.name == view.tool) else {
        let near = nearest(&view.tool, specs.iter().map(|spec| spec.name.as_ref()));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a query needs `expose = true` to be a tool".into(),
        };
        return Err((
            "tool` must name a tool of the catalog, `list_tables` or `describe_table`".into(),
            Some(help),
        ));
    };
    // INVARIANT: reading a resource changes nothing, so that clients may read them unasked.
    // MUTATE(A22-reads): a tool that writes can be offered as a resource
    if spec.power > PowerClass::ReadHigh {
        return Err(wrong("tool` must name a tool that only reads".into()));
    }
    let mut schema = spec.input_schema.clone();
    if let Some(name) = view.variable.as_deref() {
        let kind = schema.pointer(&format!("/properties/{name}/type")).and_then(Json::as_str);
        if !matches!(kind, Some("string" | "integer")) || view.arguments.contains_key(name) {
            let rule = "must be a parameter of the tool, a string or an integer, and not among `arguments`";
            return Err(wrong(format!("uri` has the variable `{name}`, which {rule}")));
        }
        if let Some(required) = schema.get_mut("required").and_then(Json::as_array_mut) {
            required.retain(|one| one != name);
        }
    }
    let given: Json = view.arguments.iter().map(|(name, value)| (&**name, value.clone())).collect();
    let rules =
        Validator::compile(&schema).map_err(|cause| wrong(format!("tool` cannot be used: {cause}")))?;
    if let Err(Denied::Invalid { field, rule }) = rules.check(&given) {
        let place = if field.is_empty() { String::new() } else { format!(" at `{field}`") };
        return Err(wrong(format!("arguments` are not what the tool takes:{place} {rule}")));
    }
    if !matches!(&*view.tool, "list_tables" | "describe_table") {
        return Ok(None);
    }
    let name = view.arguments.get("database").and_then(Json::as_str).unwrap_or_default();
    match databases.iter().find(|database| **database.name() == *name) {
        Some(database) => Ok(crate::resources::shown_by(database)),
        None => Err(wrong("arguments.database` must name a configured database".into())),
    }
}
