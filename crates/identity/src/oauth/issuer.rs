//! One issuer: what its tokens must look like, and what they may grant here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use countersign_core::{AuthMethod, Principal, PrincipalKind, json::Value};

use super::{
    algorithm::Algorithm,
    claims::{ClaimPath, Claims},
    introspection::{Introspection, IntrospectionEndpoint},
    jws::Jws,
    keys::{Keys, Timing},
    refused::TokenRefused,
    source::KeySource,
    verified::{Bound, Verified},
};
use crate::names::check_name;

/// `[identity.issuers.NAME]`, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerConfig {
    /// The name in the configuration, for records.
    pub name: String,
    /// The exact `iss` of its tokens.
    pub url: String,
    /// Where its keys are; without it, its metadata says so.
    pub jwks: Option<String>,
    /// Who a token must be for: one of these must be in `aud`.
    pub audience: Vec<String>,
    /// The algorithms that it signs with.
    pub algorithms: Vec<Algorithm>,
    /// Whether a token may lack `typ: at+jwt`, as those of older servers do.
    pub untyped: bool,
    /// What its callers are.
    pub kind: PrincipalKind,
    /// Clients whose tokens for themselves make services.
    pub services: Vec<String>,
    /// How the tenant is found.
    pub tenant: TenantRule,
    /// The tenants that it may grant.
    pub tenants: Vec<String>,
    /// Where the roles stand.
    pub roles_claim: ClaimPath,
    /// The roles that it may grant.
    pub roles: Vec<String>,
    /// What the issuer's names of roles mean here.
    pub role_names: BTreeMap<String, String>,
    /// Scopes without which nothing may be done.
    pub scopes: Vec<String>,
    /// Broad scopes, and the narrower ones that each of them includes.
    pub scope_includes: Vec<(String, String)>,
    /// Claims that are passed on to policies and catalog queries.
    pub claims: Vec<ClaimPath>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// The longest life of a token.
    pub lifetime: Duration,
    /// Whether every token must be bound to a key or a certificate of its holder.
    pub bound: bool,
    /// Whether proofs of possession must carry our nonce.
    pub nonce: bool,
}

/// How the tenant of a caller is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TenantRule {
    /// All callers of the issuer belong to it.
    Fixed(String),
    /// The token says it.
    Claim(ClaimPath),
}

pub(super) struct Issuer {
    pub(super) config: IssuerConfig,
    pub(super) keys: Keys,
    pub(super) introspection: Option<Introspection>,
}

/// An issuer, and how it is reached.
pub struct IssuerSetup {
    /// Its rules.
    pub config: IssuerConfig,
    /// What fetches its keys.
    pub keys: Arc<dyn KeySource>,
    /// What asks it about tokens that cannot be read, and for how long an answer holds.
    pub introspection: Option<(Arc<dyn IntrospectionEndpoint>, Duration)>,
}

/// What a token claimed that its issuer may not grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dropped(pub(super) usize);

/// The most roles and words of scope that are looked at.
const MAX_WORDS: usize = 256;

impl Issuer {
    pub(super) fn new(setup: IssuerSetup, timing: Timing) -> Issuer {
        let IssuerSetup { config, keys, introspection } = setup;
        let keys = Keys::new(&config.url, config.jwks.clone(), keys, timing);
        let introspection = introspection.map(|(endpoint, fresh)| Introspection::new(endpoint, fresh));
        Issuer { config, keys, introspection }
    }

    /// Takes over the keys of the issuer's former configuration, if they come from the same place: an issuer that is away while the
    /// configuration is read again is missed no more than before. They are due, so that they are fetched anew the first time they serve.
    pub(super) fn inherit(&self, former: &Issuer) {
        if (&self.config.url, &self.config.jwks) == (&former.config.url, &former.config.jwks) {
            self.keys.inherit(&former.keys);
        }
    }

    /// The scopes of a token, with those that they include.
    fn scopes<'s>(&'s self, carried: &[&'s str]) -> Vec<&'s str> {
        let mut scopes = carried.to_vec();
        let mut next = 0;
        while let Some(broad) = scopes.get(next).copied() {
            let narrower = self.config.scope_includes.iter().filter(|(one, _)| one == broad);
            for (_, narrow) in narrower {
                if !scopes.contains(&narrow.as_str()) {
                    scopes.push(narrow);
                }
            }
            next += 1;
        }
        scopes
    }

    /// What can be said of a token before its key is known.
    pub(super) fn check_header(&self, jws: &Jws<'_>) -> Result<(), TokenRefused> {
        // MUTATE(G1-algorithm): any algorithm that exists here is taken from any issuer
        if !self.config.algorithms.contains(&jws.algorithm) {
            return Err(TokenRefused::Algorithm);
        }
        // SPEC: RFC 9068 §4, RFC 8725 §3.11: an ID token is no access token, though the same key signs both.
        let untyped = self.config.untyped && matches!(jws.kind.as_str(), "" | "jwt");
        // MUTATE(G1-type): an ID token is taken for an access token
        if jws.kind != "at+jwt" && !untyped {
            return Err(TokenRefused::Kind);
        }
        Ok(())
    }

    /// Who a verified token makes its caller, at `now` (seconds since 1970). `version`: that of the keys that verified it; none if the
    /// issuer was asked.
    pub(super) fn accept(
        self: &Arc<Self>,
        value: &Value<'_>,
        now: u64,
        version: Option<u64>,
    ) -> Result<(Verified, Dropped), TokenRefused> {
        let (config, claims) = (&self.config, Claims(value));
        let audience = claims.audience()?;
        // MUTATE(G1-audience): a token for another server is taken
        if !audience.iter().any(|one| config.audience.iter().any(|own| own == one)) {
            return Err(TokenRefused::Audience);
        }
        let leeway = config.leeway.as_secs();
        let expires = claims.time("exp")?.ok_or(TokenRefused::Claim("exp"))?.saturating_add(leeway);
        // MUTATE(G1-token-expiry): a token lives for ever
        if now >= expires {
            return Err(TokenRefused::Expired);
        }
        let issued = claims.time("iat")?;
        let starts = claims.time("nbf")?.into_iter().chain(issued).max().unwrap_or(0);
        // MUTATE(G1-not-before): a token is valid before its time
        if starts > now.saturating_add(leeway) {
            return Err(TokenRefused::NotYet);
        }
        let lifetime = config.lifetime.as_secs().saturating_add(leeway.saturating_mul(2));
        let born = issued.unwrap_or(now);
        // MUTATE(G1-lifetime): a token may live for years
        if expires.saturating_sub(born) > lifetime {
            return Err(TokenRefused::Claim("exp"));
        }
        let carried = claims.words(&self.scope_path(value));
        let scopes = self.scopes(carried.get(..MAX_WORDS).unwrap_or(&carried));
        if config.scopes.iter().any(|needed| !scopes.contains(&needed.as_str())) {
            return Err(TokenRefused::Scope);
        }
        let bound = bound(value)?;
        let (principal, dropped) = self.principal(&claims, &scopes, version.is_none())?;
        let verified = Verified {
            principal: Arc::new(principal),
            issuer: Arc::clone(self),
            expires,
            bound,
            version: version.unwrap_or_default(),
            nonce: config.nonce,
            introspected: None,
        };
        if config.bound && verified.bound == Bound::Bearer {
            return Err(TokenRefused::Unbound);
        }
        Ok((verified, dropped))
    }

    fn principal(
        &self,
        claims: &Claims<'_>,
        scopes: &[&str],
        asked: bool,
    ) -> Result<(Principal, Dropped), TokenRefused> {
        let config = &self.config;
        let client = match claims.text("client_id")? {
            Some(client) => Some(client),
            None => claims.text("azp")?,
        };
        // SPEC: RFC 7662 §2.2: answers about a client's token for itself may name no subject. Only a declared service is one without.
        let itself = client.filter(|client| asked && config.services.iter().any(|one| one == client));
        let subject = claims.text("sub")?.or(itself).ok_or(TokenRefused::Claim("sub"))?;
        let visible = subject.bytes().all(|byte| byte.is_ascii_graphic());
        if subject.is_empty() || subject.len() > 255 || !visible {
            return Err(TokenRefused::Claim("sub"));
        }
        let kind = self.kind(subject, client)?;
        let (tenant, mut dropped) = self.tenant(claims)?;
        let granted = |name: &&str| {
            let name = config.role_names.get(*name).map_or(*name, String::as_str);
            config.roles.iter().find(|role| *role == name).cloned()
        };
        let named = claims.entries(&config.roles_claim);
        let named = named.get(..MAX_WORDS).unwrap_or(&named);
        let roles: Vec<String> = named.iter().filter_map(granted).collect();
        dropped.0 += named.iter().filter(|name| granted(name).is_none()).count();
        let words = scopes.iter().map(|word| (*word).to_owned());
        let mut principal = Principal::new(&config.url, subject, kind, tenant, AuthMethod::Token)
            .with_roles(roles)
            .with_scopes(words)
            .with_credential(format!("{}:{}", config.name, client.unwrap_or("-")));
        for path in &config.claims {
            if let Some(value) = claims.plain(path).filter(|value| value.len() <= 1024) {
                principal = principal.with_claim(path.name(), value);
            }
        }
        // INVARIANT: last, so that no claim of the configuration takes its place: by `jti` operators revoke one token.
        if let Some(id) = claims.text("jti")? {
            if id.len() > 256 {
                return Err(TokenRefused::Claim("jti"));
            }
            principal = principal.with_claim("jti", id);
        }
        Ok((principal, dropped))
    }

    /// SPEC: RFC 9068 §2.2 and §5: a client's token for itself has the client as its subject.
    fn kind(&self, subject: &str, client: Option<&str>) -> Result<PrincipalKind, TokenRefused> {
        let for_itself = client == Some(subject);
        match self.config.kind {
            _ if for_itself && self.config.services.iter().any(|one| one == subject) => {
                Ok(PrincipalKind::Service)
            }
            // MUTATE(G7-service): a program passes for a person
            PrincipalKind::Person if for_itself => Err(TokenRefused::Service),
            kind => Ok(kind),
        }
    }

    /// The one tenant that the token names and the issuer may grant.
    fn tenant(&self, claims: &Claims<'_>) -> Result<(String, Dropped), TokenRefused> {
        let path = match &self.config.tenant {
            TenantRule::Fixed(tenant) => return Ok((tenant.clone(), Dropped(0))),
            TenantRule::Claim(path) => path,
        };
        let named = claims.entries(path);
        let named = named.get(..MAX_WORDS).unwrap_or(&named);
        // MUTATE(G7-tenants): an issuer grants any tenant
        let granted = |name: &&&str| self.config.tenants.iter().any(|tenant| tenant == **name);
        let mut allowed = named.iter().filter(granted).filter(|name| check_name("tenant", name).is_ok());
        match (allowed.next(), allowed.next()) {
            (Some(tenant), None) => Ok(((*tenant).to_owned(), Dropped(named.len() - 1))),
            // None that may be granted, or several: which one would be a guess.
            _ => Err(TokenRefused::Tenant),
        }
    }

    /// `scope` (RFC 8693 §4.2), or `scp`, as some servers call it.
    fn scope_path(&self, value: &Value<'_>) -> ClaimPath {
        ClaimPath::member(if value.get("scope").is_some() { "scope" } else { "scp" })
    }
}

/// SPEC: RFC 7800 §3.1, RFC 9449 §6.1, RFC 8705 §3.1. A binding that we do not know is a binding that we cannot check.
fn bound(value: &Value<'_>) -> Result<Bound, TokenRefused> {
    let refused = TokenRefused::Claim("cnf");
    let Some(confirmation) = value.get("cnf") else { return Ok(Bound::Bearer) };
    let Value::Object(members) = confirmation else { return Err(refused) };
    let [member] = members.as_slice() else { return Err(refused) };
    let hash = member.value.as_str().and_then(super::hash_of).ok_or(refused.clone())?;
    match member.key.as_ref() {
        "jkt" => Ok(Bound::Key(hash)),
        "x5t#S256" => Ok(Bound::Certificate(hash)),
        _ => Err(refused),
    }
}
