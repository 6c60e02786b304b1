//! Expected decisions, written down by people in TOML and checked by `policy test`.
//!
//! ```toml
//! [principals.ann]
//! tenant = "acme"
//! roles = ["reader"]
//!
//! [[case]]
//! as = "ann"                                             # or several: ["ann", "bob"]
//! tool = "query_shop"                                    # or several
//! access = "read column shop.users.password_hash"        # or several; all of them are needed
//! expect = "deny"
//! by = "user/default/secret-columns"                     # optional: exactly these policies decide
//! ```

use std::collections::BTreeMap;

use countersign_core::{Access, AuthMethod, Principal, PrincipalKind, Verdict};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use crate::{
    calendar,
    error::{PolicyError, PolicyErrors},
    said::access_of,
    source::PolicyFile,
};

/// When cases are decided that do not say when: Monday 2026-01-05, noon UTC.
const NOON: u64 = 1_767_614_400_000_000;

/// What a case expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The call is decided like this.
    Decided(Verdict),
    /// The tool is shown to the principal.
    Listed,
    /// It is not.
    Hidden,
    /// The call is refused before policy is asked: by the tool's schema or its guard.
    Refused,
}

/// One expected decision.
#[derive(Clone, Debug)]
pub struct Case {
    /// The line of the file on which it begins, from 1.
    pub line: usize,
    /// What the file calls the principal.
    pub who: String,
    /// Who asks.
    pub principal: Principal,
    /// Which tool.
    pub tool: String,
    /// With which arguments, if any are given.
    pub arguments: Option<Value>,
    /// The accesses to decide on; without them, those of the plan for the arguments.
    pub accesses: Vec<Access>,
    /// When, in microseconds since 1970 UTC.
    pub at: u64,
    /// How many objects a preview found.
    pub affected: Option<u64>,
    /// What is expected.
    pub expected: Expected,
    /// Exactly these policies decide, if any are given.
    pub by: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSuite {
    #[serde(default)]
    principals: BTreeMap<String, RawPrincipal>,
    #[serde(default, rename = "case")]
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrincipal {
    tenant: String,
    #[serde(default)]
    roles: Vec<String>,
    subject: Option<String>,
    issuer: Option<String>,
    kind: Option<Spanned<String>>,
    method: Option<Spanned<String>>,
    owner: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    r#as: Spanned<OneOrMany>,
    tool: OneOrMany,
    arguments: Option<toml::Table>,
    access: Option<Spanned<OneOrMany>>,
    at: Option<Spanned<toml::value::Datetime>>,
    affected: Option<u64>,
    expect: Spanned<String>,
    by: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one.clone()],
            OneOrMany::Many(many) => many.clone(),
        }
    }
}

/// Reads a file of cases; each combination of principal and tool is one.
///
/// # Errors
/// All problems of the file, with their places.
pub fn cases(file: &PolicyFile) -> Result<Vec<Case>, PolicyErrors> {
    let raw: RawSuite = toml::from_str(&file.text).map_err(|e| {
        let span = e.span().map(|span| (span.start, span.len()));
        PolicyError::at(&file.name, &file.text, span, e.message().replace('\n', "; "))
    })?;
    let mut reader = Reader { file, errors: Vec::new() };
    let principals: BTreeMap<&String, Principal> =
        raw.principals.iter().map(|(name, raw)| (name, reader.principal(name, raw))).collect();
    let cases: Vec<Case> = raw.cases.iter().flat_map(|raw| reader.case(raw, &principals)).collect();
    if reader.errors.is_empty() {
        return Ok(cases);
    }
    reader.errors.sort_by_key(|error| error.place.as_ref().map(|place| (place.line, place.column)));
    Err(PolicyErrors { errors: reader.errors })
}

/// Collects problems.
struct Reader<'f> {
    file: &'f PolicyFile,
    errors: Vec<PolicyError>,
}

impl Reader<'_> {
    fn problem<T>(&mut self, at: &Spanned<T>, message: String, help: &str) {
        let span = at.span();
        let error =
            PolicyError::at(&self.file.name, &self.file.text, Some((span.start, span.len())), message);
        self.errors.push(if help.is_empty() { error } else { error.help(help) });
    }

    fn principal(&mut self, name: &str, raw: &RawPrincipal) -> Principal {
        let kind = match &raw.kind {
            None => PrincipalKind::Person,
            Some(said) => named(said.get_ref()).unwrap_or_else(|| {
                let rule = "`kind` must be `person`, `service`, `shared` or `anonymous`".to_owned();
                self.problem(said, rule, "");
                PrincipalKind::Anonymous
            }),
        };
        let method = raw.method.as_ref().map_or(Some(AuthMethod::ApiKey), |said| named(said.get_ref()));
        let method = method.unwrap_or_else(|| {
            if let Some(said) = &raw.method {
                self.problem(said, format!("`{}` is no way to log in", said.get_ref()), "");
            }
            AuthMethod::Anonymous
        });
        let issuer = raw.issuer.as_deref().unwrap_or("keys");
        let subject = raw.subject.as_deref().unwrap_or(name);
        let mut principal =
            Principal::new(issuer, subject, kind, &raw.tenant, method).with_roles(raw.roles.clone());
        if let Some(owner) = &raw.owner {
            principal = principal.with_owner(owner);
        }
        if let Some(scopes) = &raw.scopes {
            principal = principal.with_scopes(scopes.clone());
        }
        for (name, value) in &raw.claims {
            principal = principal.with_claim(name, value);
        }
        principal
    }

    fn case(&mut self, raw: &RawCase, principals: &BTreeMap<&String, Principal>) -> Vec<Case> {
        let expected = self.expected(&raw.expect);
        let mut accesses = Vec::new();
        if let Some(said) = &raw.access {
            for text in said.get_ref().all() {
                match access_of(&text) {
                    Some(access) => accesses.push(access),
                    None => self.problem(
                        said,
                        format!("`{text}` is no access"),
                        "write an action and an object, such as `read table shop.customers`, \
                         `read column shop.users.email`, `write file docs/a.md` or `connect host example.com:443`",
                    ),
                }
            }
        }
        let at = match raw.at.as_ref().map(|said| calendar::micros(said.get_ref())) {
            None => NOON,
            Some(Some(at)) => at,
            Some(None) => {
                if let Some(said) = &raw.at {
                    self.problem(
                        said,
                        "`at` must be a time with an offset".into(),
                        "such as 2026-11-21T10:00:00Z",
                    );
                }
                NOON
            }
        };
        let start = raw.r#as.span().start;
        let line = self.file.text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
        let arguments = raw.arguments.as_ref().and_then(|table| serde_json::to_value(table).ok());
        let mut cases = Vec::new();
        for who in raw.r#as.get_ref().all() {
            let Some(principal) = principals.get(&who) else {
                let message = format!("no principal is called `{who}`");
                self.problem(&raw.r#as, message, &format!("add `[principals.{who}]`"));
                continue;
            };
            let Some(expected) = expected else { continue };
            for tool in raw.tool.all() {
                cases.push(Case {
                    line,
                    who: who.clone(),
                    principal: principal.clone(),
                    tool,
                    arguments: arguments.clone(),
                    accesses: accesses.clone(),
                    at,
                    affected: raw.affected,
                    expected,
                    by: raw.by.as_ref().map(OneOrMany::all),
                });
            }
        }
        cases
    }

    fn expected(&mut self, said: &Spanned<String>) -> Option<Expected> {
        let expected = match said.get_ref().as_str() {
            "allow" => Expected::Decided(Verdict::Allow),
            "deny" => Expected::Decided(Verdict::Deny),
            "hold 1" => Expected::Decided(Verdict::Hold { approvals: 1 }),
            "hold 2" => Expected::Decided(Verdict::Hold { approvals: 2 }),
            "listed" => Expected::Listed,
            "hidden" => Expected::Hidden,
            "refused" => Expected::Refused,
            _ => {
                let rule =
                    "`expect` must be `allow`, `deny`, `hold 1`, `hold 2`, `listed`, `hidden` or `refused`";
                self.problem(said, rule.into(), "");
                return None;
            }
        };
        Some(expected)
    }
}

/// The kind or method of that name, as records and policies know it.
pub(crate) fn named<T: serde::de::DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(Value::from(name)).ok()
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Decided(Verdict::Allow) => f.write_str("allow"),
            Expected::Decided(Verdict::Deny) => f.write_str("deny"),
            Expected::Decided(Verdict::Hold { approvals }) => write!(f, "hold {approvals}"),
            Expected::Listed => f.write_str("listed"),
            Expected::Hidden => f.write_str("hidden"),
            Expected::Refused => f.write_str("refused"),
        }
    }
}
