//! What a credential grants, and how that becomes less: never more.

use countersign_core::{AuthMethod, Principal, RunId};
use serde::{Deserialize, Serialize};

use super::CREDENTIAL_ISSUER;
use crate::{
    keyfile::KeyKind,
    names::{NameError, check_name},
};

/// The most roles, scopes and tools of one credential.
const MAX_NAMES: usize = 64;

/// What a credential grants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Whom it is for.
    pub subject: String,
    /// What holds it.
    pub kind: KeyKind,
    /// The tenant.
    pub tenant: String,
    /// The roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The scopes; at least one.
    pub scopes: Vec<String>,
    /// The only tools that it is good for; none stands for all that policy permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The name of the run that all its calls belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The person for whom the holder acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// What to leave of a credential. Roles are not among it: a policy may forbid what a role would do, so that fewer roles could be more.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Narrowing {
    /// The scopes to keep; all without any.
    pub scopes: Option<Vec<String>>,
    /// The tools to keep; all without any.
    pub tools: Option<Vec<String>>,
}

/// Why nothing is granted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrantError {
    /// A name breaks the rules.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A scope is missing, or is none.
    #[error(
        "a credential needs 1-64 scopes, each of 1-128 visible characters without `*`, `\"` and `\\`: there is no scope for everything"
    )]
    Scopes,
    /// A tool's name is none.
    #[error("a list of tools has 1-64 names, each of 1-128 characters of A-Z, a-z, 0-9, `_`, `.` and `-`")]
    Tools,
    /// There are too many roles.
    #[error("a credential has at most {MAX_NAMES} roles")]
    Roles,
    /// Nobody says what it is for.
    #[error("a credential needs a purpose of 1-200 characters, none of which is a control character")]
    Purpose,
    /// Something is asked for that the credential does not have.
    #[error("a credential can be narrowed, never widened: it does not have the {what} `{name}`")]
    Wider {
        /// `scope` or `tool`.
        what: &'static str,
        /// Its name; it has the form of one.
        name: String,
    },
}

impl Grant {
    /// Checks every name, and that nothing stands for everything.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), GrantError> {
        check_name("subject", &self.subject)?;
        check_name("tenant", &self.tenant)?;
        self.roles.iter().try_for_each(|role| check_name("role", role))?;
        self.run.iter().try_for_each(|run| check_name("run", run))?;
        self.owner.iter().try_for_each(|owner| check_name("owner", owner))?;
        if self.roles.len() > MAX_NAMES {
            return Err(GrantError::Roles);
        }
        check_scopes(&self.scopes)?;
        self.tools.as_deref().map_or(Ok(()), check_tools)
    }

    /// What is left of this grant.
    ///
    /// # Errors
    /// [`GrantError::Wider`] for anything that this grant does not have.
    pub fn narrowed(&self, to: &Narrowing) -> Result<Grant, GrantError> {
        let mut left = self.clone();
        if let Some(scopes) = &to.scopes {
            check_scopes(scopes)?;
            left.scopes = subset("scope", scopes, Some(&self.scopes))?;
        }
        if let Some(tools) = &to.tools {
            check_tools(tools)?;
            left.tools = Some(subset("tool", tools, self.tools.as_ref())?);
        }
        Ok(left)
    }

    /// The id of the run that it is bound to. INVARIANT: no part has a `/`, so no two tenants or holders share a run.
    pub fn run_id(&self) -> Option<RunId> {
        let name = self.run.as_ref()?;
        Some(RunId::new(format!("{}/{}/{name}", self.tenant, self.subject)))
    }

    /// The principal that a credential of this id, narrowed from `ancestors`, makes its bearer.
    pub(super) fn principal(self, id: String, ancestors: Vec<String>) -> Principal {
        let run = self.run_id();
        let mut principal = Principal::new(
            CREDENTIAL_ISSUER,
            self.subject,
            self.kind.into(),
            self.tenant,
            AuthMethod::Credential,
        )
        .with_roles(self.roles)
        .with_scopes(self.scopes)
        .with_credential(id)
        .with_ancestors(ancestors);
        if let Some(tools) = self.tools {
            principal = principal.with_tools(tools);
        }
        if let Some(run) = run {
            principal = principal.with_run(run);
        }
        match self.owner {
            Some(owner) => principal.with_owner(owner),
            None => principal,
        }
    }
}

/// Checks what an operator says that a credential is for.
pub(super) fn check_purpose(purpose: &str) -> Result<(), GrantError> {
    let fits = (1..=200).contains(&purpose.chars().count()) && !purpose.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(GrantError::Purpose) }
}

/// SPEC: RFC 6749 §3.3, without `*`.
fn check_scopes(scopes: &[String]) -> Result<(), GrantError> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'*' | b'"' | b'\\');
    let fits = |scope: &String| (1..=128).contains(&scope.len()) && scope.bytes().all(plain);
    // MUTATE(G5-wildcard): a credential may have no scopes, or one for everything
    if !(1..=MAX_NAMES).contains(&scopes.len()) || !scopes.iter().all(fits) {
        return Err(GrantError::Scopes);
    }
    Ok(())
}

fn check_tools(tools: &[String]) -> Result<(), GrantError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let fits = |tool: &String| (1..=128).contains(&tool.len()) && tool.bytes().all(plain);
    if !(1..=MAX_NAMES).contains(&tools.len()) || !tools.iter().all(fits) {
        return Err(GrantError::Tools);
    }
    Ok(())
}

fn subset(
    what: &'static str,
    wanted: &[String],
    had: Option<&Vec<String>>,
) -> Result<Vec<String>, GrantError> {
    // MUTATE(G5-narrow): a credential can be widened
    match wanted.iter().find(|name| had.is_some_and(|had| !had.contains(name))) {
        Some(name) => Err(GrantError::Wider { what, name: name.clone() }),
        None => Ok(wanted.to_vec()),
    }
}
