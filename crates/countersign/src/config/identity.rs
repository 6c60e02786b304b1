//! `[identity]` and `[server.tls]`: who may call, and over what. The rules here concern more than one setting.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use countersign_core::{PrincipalKind, scopes::ScopeRules};
use countersign_identity::{
    CertificateMatch, CertificateRule, ClientCertificates, CredentialProfile, LocalUser, TlsFiles,
    oauth::{Algorithm, ClaimPath, IssuerConfig, TenantRule},
};

use super::{Config, Listen, Secret, checked::Settings, error::Problem, raw::Raw, scopes};

/// `[identity]`
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The key file.
    pub(crate) keys: PathBuf,
    /// The operator of stdio; without it stdio refuses everybody.
    pub(crate) local: Option<LocalUser>,
    /// Users of this machine on the unix socket.
    pub(crate) users: Vec<LocalUser>,
    /// Holders of client certificates.
    pub(crate) certificates: Vec<CertificateRule>,
    /// This server's own address.
    pub(crate) resource: Option<String>,
    /// Authorization servers.
    pub(crate) issuers: Vec<Issuer>,
    /// `[identity.scopes.NAME]`
    pub(crate) scopes: ScopeRules,
    /// Short-lived credentials of this server's own; none unless they are turned on.
    pub(crate) credentials: Option<Credentials>,
}

/// `[identity.credentials]`
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// The keys that sign, and what is alive.
    pub(crate) file: PathBuf,
    /// What all of them have in common.
    pub(crate) profile: CredentialProfile,
}

/// `[identity.issuers.NAME]`
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// What its tokens must look like, and what they may grant.
    pub(crate) config: IssuerConfig,
    /// Whom to trust for its web server; without it, the system's authorities.
    pub(crate) ca: Option<PathBuf>,
    /// Where it is asked about tokens that cannot be read.
    pub(crate) introspection: Option<Introspection>,
}

/// `introspection` of an issuer, and what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Introspection {
    /// The endpoint.
    pub(crate) url: String,
    /// Our client id.
    pub(crate) client: String,
    /// Our secret.
    pub(crate) secret: Secret,
    /// How long an answer holds.
    pub(crate) fresh: Duration,
}

/// Reads the table.
pub(super) fn identity(settings: &Settings<'_>) -> Option<Identity> {
    let resource = settings.text("identity.resource");
    let names = |table: &str| settings.raw.names(table).into_iter();
    Some(Identity {
        keys: settings.path("identity.keys")?,
        local: local(settings)?,
        users: names("identity.users").map(|name| user(settings, &name)).collect::<Option<_>>()?,
        certificates: names("identity.certificates")
            .map(|name| certificate(settings, &name))
            .collect::<Option<_>>()?,
        issuers: names("identity.issuers")
            .map(|name| issuer(settings, &name, resource.as_deref()))
            .collect::<Option<_>>()?,
        scopes: scopes::rules(settings)?,
        credentials: credentials(settings, resource.as_deref())?,
        resource,
    })
}

/// Reads `[server.tls]`.
pub(super) fn tls(settings: &Settings<'_>) -> Option<Option<TlsFiles>> {
    if !settings.raw.has_table("server.tls") {
        return Some(None);
    }
    Some(Some(TlsFiles {
        certificate: settings.path("server.tls.certificate")?,
        key: settings.path("server.tls.key")?,
        clients: match settings.text("server.tls.clients")?.as_str() {
            "required" => ClientCertificates::Required,
            "optional" => ClientCertificates::Optional,
            _ => ClientCertificates::Off,
        },
        client_ca: settings.path("server.tls.client_ca"),
        client_crl: settings.path("server.tls.client_crl"),
    }))
}

fn local(settings: &Settings<'_>) -> Option<Option<LocalUser>> {
    if !settings.raw.has_table("identity.local") {
        return Some(None);
    }
    let claim = |name: String| {
        let value = settings.text(&format!("identity.local.claims.{name}"))?;
        Some((name, value))
    };
    Some(Some(LocalUser {
        uid: settings.count("identity.local.uid")?,
        user: settings.text("identity.local.user")?,
        tenant: settings.text("identity.local.tenant")?,
        roles: settings.texts("identity.local.roles")?,
        claims: settings.raw.names("identity.local.claims").into_iter().filter_map(claim).collect(),
    }))
}

/// Without an address, which is then among the problems, the profile fits no token.
fn credentials(settings: &Settings<'_>, resource: Option<&str>) -> Option<Option<Credentials>> {
    if !settings.raw.has_table("identity.credentials") {
        return Some(None);
    }
    Some(Some(Credentials {
        file: settings.path("identity.credentials.file")?,
        profile: CredentialProfile {
            address: resource.unwrap_or_default().to_owned(),
            max_ttl: settings.span("identity.credentials.max_ttl")?,
        },
    }))
}

fn user(settings: &Settings<'_>, name: &str) -> Option<LocalUser> {
    let key = |key: &str| format!("identity.users.{name}.{key}");
    Some(LocalUser {
        uid: settings.count(&key("uid"))?,
        user: name.to_owned(),
        tenant: settings.text(&key("tenant"))?,
        roles: settings.texts(&key("roles"))?,
        claims: BTreeMap::new(),
    })
}

fn certificate(settings: &Settings<'_>, name: &str) -> Option<CertificateRule> {
    let key = |key: &str| format!("identity.certificates.{name}.{key}");
    Some(CertificateRule {
        subject: name.to_owned(),
        matches: CertificateMatch::parse(&settings.text(&key("matches"))?).ok()?,
        kind: kind(&settings.text(&key("kind"))?),
        tenant: settings.text(&key("tenant"))?,
        roles: settings.texts(&key("roles"))?,
    })
}

fn issuer(settings: &Settings<'_>, name: &str, resource: Option<&str>) -> Option<Issuer> {
    let key = |key: &str| format!("identity.issuers.{name}.{key}");
    let text = |name: &str| settings.text(&key(name));
    let texts = |name: &str| settings.texts(&key(name));
    let claim = |text: &str| ClaimPath::parse(text).ok();
    let tenant = match (text("tenant"), text("tenant_claim")) {
        (Some(tenant), _) => TenantRule::Fixed(tenant),
        (None, path) => TenantRule::Claim(claim(path.as_deref().unwrap_or("tenant"))?),
    };
    let mut audience = texts("audience")?;
    if audience.is_empty() {
        audience.extend(resource.map(str::to_owned));
    }
    let renamed = |text: &String| text.rsplit_once('=').map(|(theirs, ours)| (theirs.into(), ours.into()));
    let config = IssuerConfig {
        name: name.to_owned(),
        url: text("url")?,
        jwks: text("jwks"),
        audience,
        algorithms: texts("algorithms")?.iter().filter_map(|name| Algorithm::parse(name)).collect(),
        untyped: settings.texts("danger.untyped_tokens")?.iter().any(|one| one == name),
        kind: kind(&text("kind")?),
        services: texts("services")?,
        tenant,
        tenants: texts("tenants")?,
        roles_claim: claim(&text("roles_claim")?)?,
        roles: texts("roles")?,
        role_names: texts("role_names")?.iter().filter_map(renamed).collect(),
        scopes: texts("scopes")?,
        scope_includes: texts("scope_includes")?.iter().filter_map(|pair| scopes::include(pair)).collect(),
        claims: texts("claims")?.iter().filter_map(|path| claim(path)).collect(),
        leeway: settings.span(&key("leeway"))?,
        lifetime: settings.span(&key("lifetime"))?,
        bound: settings.flag(&key("bound"))?,
        nonce: settings.flag(&key("nonce"))?,
    };
    let introspection = match (text("introspection"), text("introspection_client")) {
        (Some(url), Some(client)) => {
            let fresh = settings.span(&key("introspection_cache"))?;
            // Without the secret, `problems` says what is missing.
            let secret = settings.secrets.get(&secret_name(name)).cloned();
            secret.map(|secret| Introspection { url, client, secret, fresh })
        }
        _ => None,
    };
    Some(Issuer { config, ca: settings.path(&key("ca")), introspection })
}

/// Under which name the secret of an issuer's introspection is removed from what leaves.
pub(super) fn secret_name(issuer: &str) -> String {
    format!("introspection_{issuer}")
}

fn kind(word: &str) -> PrincipalKind {
    match word {
        "service" => PrincipalKind::Service,
        "shared" => PrincipalKind::Shared,
        _ => PrincipalKind::Person,
    }
}

/// What contradicts itself, or lets somebody in by accident.
pub(super) fn problems(config: &Config, raw: &Raw) -> Vec<Problem> {
    let mut found = Found { raw, problems: Vec::new() };
    found.transport(config);
    found.connections(config);
    if !config.identity.issuers.is_empty() && config.identity.resource.is_none() {
        found.add(
            "identity.issuers",
            "`identity.resource` is missing",
            "with issuers, the server must know its own address: their tokens must be for it, and clients find it in the metadata",
        );
    }
    if config.identity.credentials.is_some() && config.identity.resource.is_none() {
        found.add(
            "identity.credentials",
            "`identity.resource` is missing",
            "the server's own credentials name it as their issuer and audience: set the address by which clients call it",
        );
    }
    let mut urls = BTreeSet::new();
    for Issuer { config: issuer, .. } in &config.identity.issuers {
        if !urls.insert(&issuer.url) {
            let key = format!("identity.issuers.{}.url", issuer.name);
            found.add(&key, &format!("`{key}` is that of another issuer as well"), "one table for each");
        }
        found.issuer(issuer);
    }
    found.introspection(config);
    let known = |name: &String| config.identity.issuers.iter().any(|issuer| issuer.config.name == *name);
    for name in config.danger.untyped_tokens.iter().filter(|name| !known(name)) {
        let message = format!("`danger.untyped_tokens` names `{name}`, which is no issuer");
        found.add("danger.untyped_tokens", &message, "name tables of `[identity.issuers]`");
    }
    found.problems
}

struct Found<'r> {
    raw: &'r Raw,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, message: &str, help: &str) {
        let place = self.raw.values.get(key).and_then(|read| read.place).or_else(|| self.raw.place_of(key));
        self.problems.push(Problem { place, message: message.to_owned(), help: Some(help.to_owned()) });
    }

    fn transport(&mut self, config: &Config) {
        let server = &config.server;
        let in_the_clear = matches!(&server.listen, Listen::Tcp(address) if !address.ip().is_loopback());
        // MUTATE(G3-loopback): plain HTTP is served to the network
        if in_the_clear && server.tls.is_none() {
            self.add(
                "server.listen",
                "`server.listen` must be a loopback address without `[server.tls]`: plain HTTP beyond this machine would show API keys \
                 and data to the network",
                "add `[server.tls]` with `certificate` and `key`; or use `127.0.0.1:8931` behind a proxy that terminates TLS on this machine",
            );
        }
        let Some(tls) = &server.tls else { return };
        if matches!(server.listen, Listen::Unix(_)) {
            self.add("server.tls", "`server.tls` means nothing on a unix socket", "leave the table out");
        }
        if tls.clients != ClientCertificates::Off && tls.client_ca.is_none() {
            self.add(
                "server.tls.clients",
                "`server.tls.clients` needs `server.tls.client_ca`",
                "name the authority that signs the clients' certificates",
            );
        }
    }

    fn connections(&mut self, config: &Config) {
        let (server, identity) = (&config.server, &config.identity);
        let clients = server.tls.as_ref().map_or(ClientCertificates::Off, |tls| tls.clients);
        if !identity.certificates.is_empty() && clients == ClientCertificates::Off {
            self.add(
                "identity.certificates",
                "`identity.certificates` means nothing while `server.tls.clients` is \"off\"",
                "set it to \"optional\" or \"required\"",
            );
        }
        if !identity.users.is_empty() && !matches!(server.listen, Listen::Unix(_)) {
            self.add(
                "identity.users",
                "`identity.users` means nothing without a unix socket",
                "set `server.listen = \"unix:PATH\"`",
            );
        }
        let mut seen = BTreeSet::new();
        for user in identity.users.iter().filter(|user| !seen.insert(user.uid)) {
            let key = format!("identity.users.{}.uid", user.user);
            self.add(
                &key,
                &format!("`{key}` is that of another user as well"),
                "one user id is one principal",
            );
        }
    }

    /// A token that cannot be read does not say whose it is: with two endpoints, one of them would be shown the other's tokens.
    fn introspection(&mut self, config: &Config) {
        const PARTS: [&str; 3] = ["introspection", "introspection_client", "introspection_secret"];
        let mut asked = 0;
        for Issuer { config: issuer, .. } in &config.identity.issuers {
            let key = |part: &str| format!("identity.issuers.{}.{part}", issuer.name);
            let said = PARTS.map(|part| self.raw.values.contains_key(&key(part)));
            let some = said.contains(&true);
            asked += usize::from(some);
            for (part, _) in PARTS.iter().zip(said).filter(|(_, said)| some && !said) {
                let message = format!("`{}` is missing", key(part));
                self.add(
                    &key("introspection"),
                    &message,
                    "introspection needs its address, a client id and a secret",
                );
            }
            if asked > 1 && some {
                let message = format!("`{}`: another issuer has introspection already", key("introspection"));
                self.add(
                    &key("introspection"),
                    &message,
                    "a token that cannot be read does not say whose it is; one issuer may be asked",
                );
            }
        }
    }

    fn issuer(&mut self, issuer: &IssuerConfig) {
        let table = format!("identity.issuers.{}", issuer.name);
        let key = |name: &str| format!("{table}.{name}");
        let says = |name: &str| self.raw.values.contains_key(&key(name));
        let (fixed, claimed) = (says("tenant"), says("tenant_claim"));
        if issuer.algorithms.is_empty() {
            let message = format!("`{}` must name one at least", key("algorithms"));
            self.add(&key("algorithms"), &message, "ask the issuer's documentation");
        }
        if fixed == claimed {
            self.add(
                &table,
                &format!("`{table}` needs either `tenant` or `tenant_claim`"),
                "`tenant = \"NAME\"` for all its callers, or `tenant_claim = \"CLAIM\"` with the list of `tenants`",
            );
        } else if claimed && issuer.tenants.is_empty() {
            self.add(
                &key("tenant_claim"),
                &format!("`{}` is missing", key("tenants")),
                "list the tenants that this issuer may grant; a claim alone grants none",
            );
        }
        for (theirs, ours) in issuer.role_names.iter().filter(|(_, ours)| !issuer.roles.contains(ours)) {
            let shown: String = countersign_redact::neutral::neutral_line(theirs).chars().take(100).collect();
            let message = format!(
                "`{}` makes `{shown}` the role `{ours}`, which `roles` does not list",
                key("role_names")
            );
            self.add(&key("role_names"), &message, "an issuer grants the roles of its `roles` alone");
        }
    }
}
