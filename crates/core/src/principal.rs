//! Who is calling. A principal is the pair (issuer, subject), built through this API and never parsed from text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::RunId;

/// What kind of actor a principal is; declared by the operator, never inferred.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// One natural person.
    Person,
    /// A program that acts for itself.
    Service,
    /// A credential that several people hold; gets no high-impact rights.
    Shared,
    /// Nobody in particular; exists only under `danger.anonymous`.
    Anonymous,
}

/// How the principal proved who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// The operating-system user of a stdio process.
    LocalUser,
    /// The operating-system user at the other end of a unix socket, as the kernel names it.
    UnixPeer,
    /// An API key in the `Authorization` header.
    ApiKey,
    /// An access token of an authorization server.
    Token,
    /// A client certificate of the connection.
    Certificate,
    /// A short-lived credential of this server's own.
    Credential,
    /// No proof at all; only under `danger.anonymous`.
    Anonymous,
}

/// An authenticated caller. Roles and tenant come from the operator's configuration, never from the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    issuer: String,
    subject: String,
    key: String,
    kind: PrincipalKind,
    tenant: String,
    roles: Vec<String>,
    method: AuthMethod,
    credential: String,
    claims: BTreeMap<String, String>,
    owner: Option<String>,
    scopes: Option<Vec<String>>,
    tools: Option<Vec<String>>,
    run: Option<RunId>,
    ancestors: Vec<String>,
}

impl Principal {
    /// A principal named by `issuer` (who vouches for it) and `subject` (its name there), in `tenant`.
    pub fn new(
        issuer: impl Into<String>,
        subject: impl Into<String>,
        kind: PrincipalKind,
        tenant: impl Into<String>,
        method: AuthMethod,
    ) -> Principal {
        let (issuer, subject) = (issuer.into(), subject.into());
        let key = Principal::key_of(&issuer, &subject);
        Principal {
            issuer,
            subject,
            key,
            kind,
            tenant: tenant.into(),
            roles: Vec::new(),
            method,
            credential: String::new(),
            claims: BTreeMap::new(),
            owner: None,
            scopes: None,
            tools: None,
            run: None,
            ancestors: Vec::new(),
        }
    }

    /// The [`key`](Principal::key) of the principal that `issuer` calls `subject`.
    pub fn key_of(issuer: &str, subject: &str) -> String {
        // INVARIANT: the length prefix keeps ("a|b", "c") and ("a", "b|c") apart.
        // MUTATE(G7-key): two principals share one key
        format!("{}:{issuer}|{subject}", issuer.len())
    }

    /// Adds the roles that the operator gave this principal.
    #[must_use]
    pub fn with_roles(mut self, roles: impl IntoIterator<Item = String>) -> Principal {
        self.roles.extend(roles);
        self.roles.sort();
        self.roles.dedup();
        self
    }

    /// Names the credential that was used (a key id, never the key).
    #[must_use]
    pub fn with_credential(mut self, id: impl Into<String>) -> Principal {
        self.credential = id.into();
        self
    }

    /// Adds a claim that the issuer verifiably made, in its text form.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Principal {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Names the person for whom this agent acts, as the operator declared it.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<String>) -> Principal {
        self.owner = Some(owner.into());
        self
    }

    /// Bounds this principal by the scopes of its credential. Without this call it is not bounded by any.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = String>) -> Principal {
        let mut scopes: Vec<String> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        self.scopes = Some(scopes);
        self
    }

    /// Bounds this principal by the only tools that its credential is good for. Without this call policy alone decides.
    #[must_use]
    pub fn with_tools(mut self, tools: impl IntoIterator<Item = String>) -> Principal {
        let mut tools: Vec<String> = tools.into_iter().collect();
        tools.sort();
        tools.dedup();
        self.tools = Some(tools);
        self
    }

    /// Binds every call of this principal to one run, since its credential is good for no other.
    #[must_use]
    pub fn with_run(mut self, run: RunId) -> Principal {
        self.run = Some(run);
        self
    }

    /// Names the credentials that this one was narrowed from, the first one first. What ends one of them ends this one.
    #[must_use]
    pub fn with_ancestors(mut self, ids: impl IntoIterator<Item = String>) -> Principal {
        self.ancestors = ids.into_iter().collect();
        self
    }

    /// Whether the credential is good for a tool. Policy still has to permit it.
    pub fn may_use(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|one| one == tool))
    }

    /// The only tools that the credential is good for, sorted; none if it does not say.
    pub fn tools(&self) -> Option<&[String]> {
        self.tools.as_deref()
    }

    /// The one run that the credential is good for, if it is bound to one.
    pub fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// The credentials that this one was narrowed from, the first one first.
    pub fn ancestors(&self) -> &[String] {
        &self.ancestors
    }

    /// The credential that somebody was given first: what was narrowed from it shares its run.
    pub fn first_credential(&self) -> &str {
        self.ancestors.first().unwrap_or(&self.credential)
    }

    /// The scopes of the credential, sorted; none if it is a kind of credential that has no scopes.
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// The person for whom this agent acts, if it acts for one.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Who vouches for the subject: `local`, `keys`, `certificates`, `credentials`, `anonymous`, or the address of an authorization server.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The principal's name at its issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// A unique key for maps and limits.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The declared kind.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The tenant, from configuration; never from the model.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The roles, sorted.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// How the caller proved its identity.
    pub fn method(&self) -> AuthMethod {
        self.method
    }

    /// A verified claim by its name.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name).map(String::as_str)
    }

    /// All claims, by name.
    pub fn claims(&self) -> &BTreeMap<String, String> {
        &self.claims
    }

    /// The id of the credential used; empty when there is none.
    pub fn credential(&self) -> &str {
        &self.credential
    }
}
