//! This server's own credentials over HTTP: its public keys, and narrower credentials for holders of one.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use countersign_core::{AuthMethod, Denied, Pipeline, Subsystem, json::Value};
use countersign_identity::{
    CredentialRing, CredentialStore, GrantError, Issued, IssuedRecord, Narrowing, StoreError, Timestamp,
    read_authorization,
};
use countersign_mcp::{Credentials, NarrowRequest, NotNarrowed};
use serde_json::json;

use crate::config::Config;

/// What checks credentials, what issues them, and where that is recorded.
pub(crate) struct OwnCredentials {
    ring: Arc<CredentialRing>,
    store: CredentialStore,
    pipeline: Arc<Pipeline>,
}

/// What checks credentials; none where there are none of our own.
///
/// # Errors
/// If the file of the configuration is there and cannot be used.
pub(crate) fn ring(config: &Config) -> anyhow::Result<Option<Arc<CredentialRing>>> {
    let Some(own) = &config.identity.credentials else { return Ok(None) };
    let ring = CredentialRing::open(&own.file, own.profile.clone())
        .context("the keys of this server's own credentials cannot be read")?;
    Ok(Some(Arc::new(ring)))
}

/// What a holder asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    to: Narrowing,
    ttl: Option<Duration>,
}

#[async_trait]
impl Credentials for OwnCredentials {
    fn keys(&self) -> Result<String, Denied> {
        self.ring.jwks().ok_or(Denied::Unavailable(Subsystem::State))
    }

    async fn narrow(&self, request: NarrowRequest<'_>) -> Result<String, NotNarrowed> {
        let NarrowRequest { principal, presented, body } = request;
        let narrowed = match (principal.method(), wanted(body)) {
            (AuthMethod::Credential, Ok(wanted)) => self.issue(presented.authorization, wanted).await,
            (AuthMethod::Credential, Err(rule)) => Err(NotNarrowed::Invalid(rule)),
            _ => Err(NotNarrowed::Forbidden(
                "only a credential that this server issued can be narrowed".into(),
            )),
        };
        let peer = presented.peer.source.to_string();
        match narrowed {
            Ok(issued) => {
                // INVARIANT: a credential that is not on record is not handed out.
                let detail = on_record(&issued.record);
                let log = &self.pipeline;
                // MUTATE(G5-narrow-record): what holders make of their credentials is not recorded
                let recorded = log.event("credential-narrowed", Some(principal), &peer, &detail).await;
                recorded.map_err(|_| NotNarrowed::Denied(Denied::Unavailable(Subsystem::Audit)))?;
                Ok(answer(&issued))
            }
            Err(refused) => {
                let why = match &refused {
                    NotNarrowed::Invalid(rule) | NotNarrowed::Forbidden(rule) => rule.clone(),
                    NotNarrowed::Denied(denied) => denied.public(),
                };
                self.pipeline.security_detail("credential-not-narrowed", Some(principal), &why);
                Err(refused)
            }
        }
    }
}

impl OwnCredentials {
    /// Serves holders of what `ring` believes; none where there are no credentials of our own.
    pub(crate) fn of(
        config: &Config,
        pipeline: &Arc<Pipeline>,
        ring: Option<&Arc<CredentialRing>>,
    ) -> Option<OwnCredentials> {
        let (own, ring) = (config.identity.credentials.as_ref()?, Arc::clone(ring?));
        let store = CredentialStore::at(&own.file, own.profile.clone());
        Some(OwnCredentials { ring, store, pipeline: Arc::clone(pipeline) })
    }

    /// Files are written, so this is kept from the threads that serve.
    async fn issue(&self, authorization: &[u8], wanted: Wanted) -> Result<Issued, NotNarrowed> {
        let (_, token) =
            read_authorization(authorization).map_err(|_| NotNarrowed::Denied(Denied::Unauthenticated))?;
        let (store, token) = (self.store.clone(), zeroize::Zeroizing::new(token.to_owned()));
        let issue = move || store.narrow(&token, &wanted.to, wanted.ttl, Timestamp::now());
        let issued = tokio::task::spawn_blocking(issue).await;
        let broken = || NotNarrowed::Denied(Denied::Unavailable(Subsystem::State));
        issued.map_err(|_| broken())?.map_err(|error| match error {
            StoreError::Grant(GrantError::Wider { .. })
            | StoreError::Longer { .. }
            | StoreError::TooOften => NotNarrowed::Forbidden(error.to_string()),
            StoreError::Grant(_) | StoreError::Lifetime { .. } | StoreError::TooLong => {
                NotNarrowed::Invalid(error.to_string())
            }
            StoreError::NotOurs(_) => NotNarrowed::Denied(Denied::Unauthenticated),
            StoreError::File(_) | StoreError::Full | StoreError::Key => broken(),
        })
    }
}

/// What stands in the record when a credential is issued.
pub(crate) fn on_record(record: &IssuedRecord) -> String {
    let IssuedRecord { id, grant, purpose, ancestors, expires, .. } = record;
    let mut detail = format!("{id} for {}@{} until {expires}", grant.subject, grant.tenant);
    let mut add = |what: &str, names: &[String]| {
        if !names.is_empty() {
            detail.push_str(&format!(", {what} {}", names.join(" ")));
        }
    };
    add("roles", &grant.roles);
    add("scopes", &grant.scopes);
    add("tools", grant.tools.as_deref().unwrap_or_default());
    add("run", grant.run.as_slice());
    add("owner", grant.owner.as_slice());
    add("narrowed from", ancestors);
    detail.push_str(&format!(": {purpose}"));
    detail
}

/// SPEC: RFC 6749 §5.1, with the id by which the credential can be revoked, and its tools.
fn answer(issued: &Issued) -> String {
    let IssuedRecord { id, grant, issued: from, expires, .. } = &issued.record;
    json!({
        "access_token": issued.token.as_str(),
        "token_type": "Bearer",
        "expires_in": expires.since(*from).as_secs(),
        "scope": grant.scopes.join(" "),
        "tools": grant.tools,
        "id": id,
    })
    .to_string()
}

/// Reads what is asked for; the rule that it breaks.
fn wanted(body: &Value<'_>) -> Result<Wanted, String> {
    let Value::Object(members) = body else { return Err("the body must be one JSON object".into()) };
    let known = ["scopes", "tools", "ttl"];
    if members.iter().any(|member| !known.contains(&member.key.as_ref())) {
        return Err(
            "the body has a member that is not known here; there are `scopes`, `tools` and `ttl`".into()
        );
    }
    let seconds = |value: &Value<'_>| match value {
        Value::Number(lexeme) => lexeme.parse().ok().map(Duration::from_secs),
        _ => None,
    };
    let ttl = body.get("ttl").map(|value| seconds(value).ok_or("`ttl` must be a whole number of seconds"));
    Ok(Wanted {
        to: Narrowing { scopes: texts(body, "scopes")?, tools: texts(body, "tools")? },
        ttl: ttl.transpose()?,
    })
}

fn texts(body: &Value<'_>, name: &str) -> Result<Option<Vec<String>>, String> {
    let rule = || format!("`{name}` must be a list of texts");
    match body.get(name) {
        None => Ok(None),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or_else(rule),
        Some(_) => Err(rule()),
    }
}
