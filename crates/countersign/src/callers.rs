//! Who may call, as the configuration says: made at the start, and again whenever the configuration is read again.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, ensure};
use countersign_core::{registry::Registry, scopes::ScopeRules};
use countersign_egress::Roots;
use countersign_identity::{
    Certificates, PeerUsers, danger,
    oauth::{
        Fetcher, IntrospectionClient, IntrospectionEndpoint, IssuerSetup, Metadata, ResourceServer, Timing,
    },
};
use countersign_mcp::{OAuth, Server};

use crate::{
    compose::Composed,
    config::{Config, Identity},
    credentials,
    door::{Door, OnRecord},
};

/// Everybody but holders of API keys, which live in a file of their own.
pub(crate) struct Callers {
    /// Access tokens; none without issuers.
    pub(crate) tokens: Option<Arc<ResourceServer>>,
    pub(crate) certificates: Certificates,
    pub(crate) users: PeerUsers,
}

/// Those who may call now.
pub(crate) struct Live(RwLock<Arc<Callers>>);

impl Live {
    /// These.
    pub(crate) fn new(callers: Callers) -> Live {
        Live(RwLock::new(Arc::new(callers)))
    }

    /// Those of now.
    pub(crate) fn current(&self) -> Arc<Callers> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, callers: Callers) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(callers);
    }
}

/// The door of a server.
pub(crate) fn door(config: &Config, composed: &Composed) -> anyhow::Result<Door> {
    let callers = callers(&config.identity, None, composed)?;
    let anonymous = config.danger.anonymous.as_ref().map(|a| danger::anonymous(&a.tenant, &a.roles));
    let (keys, credentials) = (Arc::clone(&composed.keys), credentials::ring(config)?);
    Ok(Door { keys, credentials, callers: Live::new(callers), anonymous })
}

/// Puts the callers of a configuration in place of those in force, and says how many there are. What cannot be set up changes nothing.
pub(crate) fn reload(
    config: &Config,
    door: &Door,
    server: &Server,
    composed: &Composed,
) -> anyhow::Result<String> {
    let (identity, pipeline) = (&config.identity, &composed.pipeline);
    check_scopes(&identity.scopes, &pipeline.registry())?;
    // INVARIANT: nothing below this line fails, so callers, scopes and metadata are all of one configuration.
    let callers = callers(identity, door.callers.current().tokens.as_ref(), composed)?;
    door.callers.replace(callers);
    pipeline.replace_scopes(identity.scopes.clone());
    server.replace_oauth(oauth(config));
    let (issuers, certificates) = (identity.issuers.len(), identity.certificates.len());
    Ok(format!("{issuers} issuers, {certificates} client certificates, {} users", identity.users.len()))
}

/// A rule for a tool that does not exist protects nothing: its operator meant another one.
pub(crate) fn check_scopes(rules: &ScopeRules, registry: &Registry) -> anyhow::Result<()> {
    for name in rules.tools() {
        // MUTATE(H3-scope-tools): a scope that is demanded of a misspelt tool is demanded of none
        let exists = registry.get(name).is_some();
        ensure!(exists, "`identity.scopes` names the tool `{name}`, which does not exist");
    }
    Ok(())
}

/// `former`: what checks tokens now; it stays, with what it remembers, and gets the new issuers.
fn callers(
    identity: &Identity,
    former: Option<&Arc<ResourceServer>>,
    composed: &Composed,
) -> anyhow::Result<Callers> {
    let tokens = match identity.resource.as_ref().filter(|_| !identity.issuers.is_empty()) {
        None => None,
        Some(resource) => Some(tokens(resource, setups(identity)?, former, composed)?),
    };
    Ok(Callers {
        tokens,
        certificates: Certificates::new(identity.certificates.clone()),
        users: PeerUsers::new(&identity.users),
    })
}

fn tokens(
    resource: &str,
    issuers: Vec<IssuerSetup>,
    former: Option<&Arc<ResourceServer>>,
    composed: &Composed,
) -> anyhow::Result<Arc<ResourceServer>> {
    if let Some(former) = former {
        former.replace(resource, issuers);
        return Ok(Arc::clone(former));
    }
    let witness = Arc::new(OnRecord(Arc::clone(&composed.pipeline)));
    let server = ResourceServer::new(resource, issuers, Timing::default(), witness)?;
    Ok(Arc::new(match &composed.proofs {
        Some(shared) => server.with_shared_proofs(Arc::clone(shared)),
        None => server,
    }))
}

fn setups(identity: &Identity) -> anyhow::Result<Vec<IssuerSetup>> {
    let mut setups = Vec::new();
    for issuer in &identity.issuers {
        let roots = issuer.ca.clone().map_or(Roots::System, Roots::File);
        let unsafe_way = || format!("the issuer `{}` cannot be reached safely", issuer.config.name);
        let keys = Arc::new(Fetcher::new(&roots).with_context(unsafe_way)?);
        let introspection = match &issuer.introspection {
            None => None,
            Some(asked) => {
                let endpoint =
                    IntrospectionClient::new(&roots, &asked.url, &asked.client, asked.secret.reveal());
                let endpoint: Arc<dyn IntrospectionEndpoint> = Arc::new(endpoint.with_context(unsafe_way)?);
                Some((endpoint, asked.fresh))
            }
        };
        setups.push(IssuerSetup { config: issuer.config.clone(), keys, introspection });
    }
    Ok(setups)
}

/// What clients read to get a token; nothing without issuers.
pub(crate) fn oauth(config: &Config) -> Option<OAuth> {
    let issuers: Vec<_> = config.identity.issuers.iter().map(|issuer| &issuer.config).collect();
    let resource = config.identity.resource.clone().filter(|_| !issuers.is_empty())?;
    let mut scopes: Vec<String> = issuers.iter().flat_map(|issuer| issuer.scopes.clone()).collect();
    scopes.sort();
    scopes.dedup();
    let scope = scopes.join(" ");
    let metadata = Metadata {
        resource,
        issuers: issuers.iter().map(|issuer| issuer.url.clone()).collect(),
        scopes,
        bound: issuers.iter().all(|issuer| issuer.bound),
        certificates: config.server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
    };
    Some(OAuth { document: metadata.document(), url: metadata.url(), scope })
}

/// The names under which this server may be addressed: the listed ones, and that of its own address.
pub(crate) fn hosts(config: &Config) -> Vec<String> {
    let own = config.identity.resource.as_deref().and_then(|resource| resource.split("://").nth(1));
    let own = own.and_then(|rest| rest.split(['/', ':']).next()).map(str::to_ascii_lowercase);
    config.server.allowed_hosts.iter().cloned().chain(own).collect()
}
