//! The tools and resources that exist, in one fixed order. Who may see which is policy's business.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{schema::Validator, tool::Tool};

/// A tool with its compiled schema.
pub struct Entry {
    /// The tool.
    pub tool: Arc<dyn Tool>,
    /// Its compiled input schema.
    pub validator: Validator,
}

/// A resource: a read-only view onto a tool, so that it takes the same road.
#[derive(Clone, Debug)]
pub struct Resource {
    /// A concrete URI, or a template with one `{name}` as a path segment (RFC 6570 level 1) or one `{+name}` as a path (level 2).
    pub uri: String,
    /// A short name.
    pub name: String,
    /// What it holds.
    pub description: String,
    /// RFC 2045 type of its text.
    pub mime: &'static str,
    /// The tool behind it.
    pub tool: Arc<str>,
    /// Another tool that must be visible too for the resource to exist: the one that shows that its database does.
    pub also: Option<Arc<str>>,
    /// The only tenant that it exists for, if it belongs to one.
    pub tenant: Option<Arc<str>>,
    /// Fixed arguments of that tool.
    pub fixed: BTreeMap<Arc<str>, Value>,
    /// The argument that the template's variable fills, if `uri` is a template.
    pub variable: Option<Arc<str>>,
}

/// Why a registry could not be built.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Two tools share a name.
    #[error("two tools are named `{0}`")]
    Duplicate(String),
    /// A name breaks the rule of 1–128 characters of `[A-Za-z0-9_.-]`.
    #[error("the tool name `{0}` must be 1-128 characters of A-Z, a-z, 0-9, `_`, `.` or `-`")]
    Name(String),
    /// A schema does not compile.
    #[error("the input schema of `{0}` is not a valid JSON Schema: {1}")]
    Schema(String, String),
    /// A URI would name two resources.
    #[error("the resources `{0}` and `{1}` share a URI")]
    Uri(String, String),
}

/// All tools by name, and all resources.
#[derive(Default)]
pub struct Registry {
    tools: BTreeMap<Arc<str>, Entry>,
    resources: Vec<Resource>,
}

impl Registry {
    /// A registry of these tools and resources; names are unique and schemas compile, or it is an error.
    pub fn new(tools: Vec<Arc<dyn Tool>>, resources: Vec<Resource>) -> Result<Registry, RegistryError> {
        let mut map = BTreeMap::new();
        for tool in tools {
            let spec = tool.spec();
            let name = spec.name.clone();
            let fits = (1..=128).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
            if !fits {
                return Err(RegistryError::Name(name.to_string()));
            }
            let validator = Validator::compile(&spec.input_schema)
                .map_err(|e| RegistryError::Schema(name.to_string(), e))?;
            if map.insert(name.clone(), Entry { tool, validator }).is_some() {
                return Err(RegistryError::Duplicate(name.to_string()));
            }
        }
        for (position, one) in resources.iter().enumerate() {
            // MUTATE(A22-shared): a URI names the first of two resources, and hides the other
            let shared = resources.iter().skip(position + 1).find(|other| one.overlaps(other));
            if let Some(other) = shared {
                return Err(RegistryError::Uri(one.uri.clone(), other.uri.clone()));
            }
        }
        Ok(Registry { tools: map, resources })
    }

    /// A tool by its exact name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.tools.get(name)
    }

    /// All tools, sorted by name.
    pub fn tools(&self) -> impl Iterator<Item = &Entry> {
        self.tools.values()
    }

    /// All resources and templates, in the order they were given.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource behind a concrete URI, with the value of its variable.
    ///
    /// The variable `{name}` is one path segment of `[A-Za-z0-9_.-]`, percent-decoding not applied; `{+name}` is a path, percent-decoded
    /// once. Anything else is no resource.
    pub fn resource<'u>(&self, uri: &'u str) -> Option<(&Resource, Option<Cow<'u, str>>)> {
        self.resources.iter().find_map(|resource| Some((resource, resource.matches(uri)?)))
    }
}

impl Resource {
    /// The value of the variable in a concrete URI that names this resource; the inner value is none if there is no variable.
    fn matches<'u>(&self, uri: &'u str) -> Option<Option<Cow<'u, str>>> {
        if self.variable.is_none() {
            return (self.uri == uri).then_some(None);
        }
        let (prefix, name, suffix) = self.template()?;
        let value = uri.strip_prefix(prefix)?.strip_suffix(suffix)?;
        Some(Some(if name.starts_with('+') { decoded_path(value)? } else { segment(value)?.into() }))
    }

    /// Whether a URI of one could name the other: each is tried with an example of the other. This finds all templates whose variable ends
    /// the URI, which is what operators may write.
    fn overlaps(&self, other: &Resource) -> bool {
        self.matches(&other.example()).is_some() || other.matches(&self.example()).is_some()
    }

    fn example(&self) -> String {
        match self.variable.as_ref().and_then(|_| self.template()) {
            Some((prefix, _, suffix)) => format!("{prefix}x{suffix}"),
            None => self.uri.clone(),
        }
    }

    /// What stands before, in and behind the braces.
    fn template(&self) -> Option<(&str, &str, &str)> {
        let (prefix, rest) = self.uri.split_once('{')?;
        let (name, suffix) = rest.split_once('}')?;
        Some((prefix, name, suffix))
    }
}

fn segment(value: &str) -> Option<&str> {
    let plain = (1..=128).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    plain.then_some(value)
}

/// A path of RFC 3986 §3.3, percent-decoded once. INVARIANT: an encoded `/` is no separator, so it is refused; what the rest decodes to is
/// judged by the tool like any other argument.
fn decoded_path(value: &str) -> Option<Cow<'_, str>> {
    let literal = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@')
            || matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
    };
    if value.is_empty() {
        return None;
    }
    if value.bytes().all(literal) {
        return Some(value.into());
    }
    let mut bytes = value.bytes();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok().filter(|byte| *byte != b'/')?
            }
            byte if literal(byte) => byte,
            _ => return None,
        };
        decoded.push(byte);
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
