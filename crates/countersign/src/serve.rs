//! A serving process from start to end: compose, announce, serve, reload on SIGHUP, drain on SIGTERM or Ctrl-C, close the log.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use countersign_core::ports::Observer;
use countersign_identity::{ServerTls, process_uid};
use countersign_mcp::{Change, Server, serve_http, serve_stdio};
use countersign_policy::Reload;
use countersign_redact::Redactor;
use countersign_tools::{Database, files};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    callers, catalog,
    compose::{self, Composed, Mode},
    config::{self, Config, EverySecret},
    confirm,
    door::Door,
    engines,
    listen::{self, Bound},
    runtime::unix_micros,
    state::doubt,
    wall,
};

/// How often counted events are written out.
const FLUSH: Duration = Duration::from_secs(5);

/// Serves HTTP until a signal ends it. `ready` is called once calls are accepted; `notice` says what a reload did.
pub(crate) fn http(
    config: &Config,
    bound: Bound,
    redactor: Redactor,
    observer: Arc<dyn Observer>,
    ready: impl FnOnce(),
    notice: impl Fn(&str) + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let wall = prepare(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let tls = config.server.tls.clone().map(ServerTls::open).transpose()?.map(Arc::new);
        let composed = Arc::new(compose::build(config, redactor, observer, Mode::Http).await?);
        let door = Arc::new(callers::door(config, &composed)?);
        let server = Arc::new(compose::server(config, &composed, Arc::clone(&door))?);
        announce(&composed, config, "start", wall).await?;
        let doubts = doubts(&composed).await?;
        for text in composed.base.contained.absent.iter().chain(&doubts).chain(&composed.waiting) {
            notice(text);
        }
        let shutdown = CancellationToken::new();
        tokio::spawn(end_on_signal(shutdown.clone()));
        let notice = Arc::new(notice);
        tokio::spawn(sweep(Arc::clone(&composed), {
            let notice = Arc::clone(&notice);
            move |text: &str| notice(text)
        }));
        tokio::spawn(keep_stops(Arc::clone(&composed), {
            let notice = Arc::clone(&notice);
            move |text: &str| notice(text)
        }));
        let reloaded = Reloaded {
            composed: Arc::clone(&composed),
            file: config.file.clone(),
            tls: tls.clone(),
            door,
            server: Arc::clone(&server),
            secrets: EverySecret::of(config),
        };
        tokio::spawn(upkeep(reloaded, move |text: &str| notice(text)));
        let listener = listen::listener(bound, tls.as_ref())?;
        ready();
        serve_http(listener, server, shutdown).await?;
        close(&composed, config, wall).await
    })
}

/// Serves stdio until the client closes it. Only the configured operating-system user is served.
pub(crate) fn stdio(config: &Config, redactor: Redactor, observer: Arc<dyn Observer>) -> anyhow::Result<()> {
    let local = config
        .identity
        .local
        .as_ref()
        .context("stdio needs `[identity.local]` in the configuration: it names who the local user is")?;
    let principal = local.authenticate(process_uid())?;
    let wall = prepare(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(async {
        let composed = Arc::new(compose::build(config, redactor, observer, Mode::Stdio).await?);
        let door = Arc::new(callers::door(config, &composed)?);
        let server = Arc::new(compose::server(config, &composed, Arc::clone(&door))?);
        announce(&composed, config, "start", wall).await?;
        doubts(&composed).await?;
        tokio::spawn(sweep(Arc::clone(&composed), |_| {}));
        let shutdown = CancellationToken::new();
        tokio::spawn(end_on_signal(shutdown.clone()));
        tokio::spawn(keep_stops(Arc::clone(&composed), |_| {}));
        let reloaded = Reloaded {
            composed: Arc::clone(&composed),
            file: config.file.clone(),
            tls: None,
            door,
            server: Arc::clone(&server),
            secrets: EverySecret::of(config),
        };
        tokio::spawn(upkeep(reloaded, |_| {}));
        tokio::select! {
            served = serve_stdio(tokio::io::stdin(), tokio::io::stdout(), server, principal) => served?,
            () = shutdown.cancelled() => {}
        }
        close(&composed, config, wall).await
    });
    // A read of standard input cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    served
}

/// What must be there before the wall goes up, and the wall. The process has one thread.
fn prepare(config: &Config) -> anyhow::Result<&'static str> {
    compose::create_private(&config.state.dir)?;
    compose::create_private(&config.audit.dir)?;
    wall::enter(config)
}

async fn announce(composed: &Composed, config: &Config, event: &str, wall: &str) -> anyhow::Result<()> {
    let contained = &composed.base.contained;
    let sandbox =
        contained.grade.map_or("unused".to_owned(), |grade| format!("{grade} ({})", contained.about));
    let detail = format!(
        "version {} config {} policy {} danger {:?} sandbox {} wall {wall}",
        env!("CARGO_PKG_VERSION"),
        config.digest,
        countersign_core::decision::PolicySet::digest(composed.policy.policies().as_ref()),
        config.danger.switches(),
        sandbox
    );
    let recorded = composed.pipeline.event(event, None, "", &detail).await;
    recorded.map_err(|e| anyhow::anyhow!("the audit log cannot record the {event}: {}", e.cause))
}

/// Uses of approvals that were cut off, as texts for the operator. They are recorded at every start until somebody clears them up.
async fn doubts(composed: &Composed) -> anyhow::Result<Vec<String>> {
    let cases = composed.desk.in_doubt(unix_micros()).await?;
    let texts: Vec<String> = cases.iter().map(doubt).collect();
    for text in &texts {
        let recorded = composed.pipeline.event("approval-in-doubt", None, "", text).await;
        recorded.map_err(|e| anyhow::anyhow!("the audit log cannot record what is in doubt: {}", e.cause))?;
    }
    Ok(texts)
}

async fn close(composed: &Composed, config: &Config, wall: &str) -> anyhow::Result<()> {
    composed.pipeline.flush_events();
    announce(composed, config, "stop", wall).await?;
    match &composed.audit {
        Some(log) => Ok(log.close()?),
        None => Ok(()),
    }
}

async fn end_on_signal(shutdown: CancellationToken) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    shutdown.cancel();
}

/// Reads what is frozen and revoked again and again; while it cannot be read, calls are refused.
async fn keep_stops(composed: Arc<Composed>, notice: impl Fn(&str)) {
    let stops = Arc::clone(&composed.stops);
    stops.keep(|error| notice(&format!("calls are refused: the state cannot be read: {error}"))).await;
}

/// Clears up what a server that was killed in the middle of a change left in the roots, and names what somebody must look at.
async fn sweep(composed: Arc<Composed>, notice: impl Fn(&str)) {
    for folder in composed.base.folders.iter().filter(|folder| folder.settings().write) {
        let (root, folder) = (Arc::clone(folder.root().name()), Arc::clone(folder));
        let Ok(swept) = tokio::task::spawn_blocking(move || files::sweep(&folder)).await else { continue };
        let kept = swept.kept.iter().map(|path| {
            format!("`{path}` in the root `{root}` was left by a change that was cut off, and holds what nobody let go: move it back, or remove it")
        });
        let removed = format!(
            "{} files of changes that were cut off were removed from the root `{root}`",
            swept.removed
        );
        for text in kept.chain((swept.removed > 0).then_some(removed)) {
            notice(&text);
            if let Err(e) = composed.pipeline.event("files-swept", None, "", &text).await {
                notice(&format!("what was swept could not be recorded: {}", e.cause));
            }
        }
    }
}

/// What SIGHUP has read again.
struct Reloaded {
    composed: Arc<Composed>,
    file: std::path::PathBuf,
    tls: Option<Arc<ServerTls>>,
    door: Arc<Door>,
    server: Arc<Server>,
    secrets: EverySecret,
}

/// Writes out counted events, and reloads on SIGHUP.
async fn upkeep(mut reloaded: Reloaded, notice: impl Fn(&str)) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let mut tick = tokio::time::interval(FLUSH);
    loop {
        tokio::select! {
            _ = tick.tick() => reloaded.composed.pipeline.flush_events(),
            _ = hangup.recv() => reload(&mut reloaded, &notice).await,
        }
    }
}

/// The catalog, policies, keys, certificates, secrets and callers are read again; what does not validate changes nothing. Everything is recorded.
async fn reload(reloaded: &mut Reloaded, notice: &impl Fn(&str)) {
    let Reloaded { composed, file, tls, door, server, secrets } = reloaded;
    let report = async |event: &str, detail: &str| {
        notice(&format!("{event}: {detail}"));
        if let Err(e) = composed.pipeline.event(event, None, "", detail).await {
            notice(&format!("the reload could not be recorded: {}", e.cause));
        }
    };
    // Before the policies, since a policy may name a tool that only the new catalog has.
    let confirmed = match composed.confirm.confirmed().await {
        Ok(digest) => digest,
        Err(e) => {
            notice(&format!("what the operator confirmed cannot be read: {e:#}"));
            None
        }
    };
    let kept = || {
        if let Err(e) = composed.confirm.in_force(&composed.policy.policies()) {
            notice(&format!("which policies are in force cannot be kept: {e:#}"));
        }
    };
    match catalog::reload(composed, confirmed.as_deref()).await {
        Ok(Some(done)) => {
            kept();
            report("catalog-reload", &done).await;
            composed.changes.announce(Change::Tools);
        }
        Ok(None) => {}
        Err(e) => {
            notice(&format!("{e:#}"));
            report("catalog-rejected", "the catalog in force stays").await;
        }
    }
    match composed.policy.reload(confirmed.as_deref()) {
        Reload::Unchanged { digest } => report("policy-unchanged", &digest).await,
        Reload::Held { in_force, digest, loosens } => {
            notice(&confirm::held(&digest, &loosens));
            report("policy-held", &format!("{in_force} stays in force; {digest} waits for the operator"))
                .await;
        }
        Reload::Accepted { old, new, .. } => {
            kept();
            report("policy-reload", &format!("{old} -> {new}")).await;
            composed.changes.announce(Change::Tools);
            composed.changes.announce(Change::Resources);
        }
        Reload::Rejected { in_force, errors } => {
            notice(&errors.to_string());
            report("policy-rejected", &format!("{in_force} stays in force")).await;
        }
    }
    match composed.keys.reload() {
        Ok(count) => report("keys-reload", &format!("{count} keys")).await,
        Err(e) => report("keys-rejected", &e.to_string()).await,
    }
    match tls.as_ref().map(|tls| (tls.reload(), tls.fingerprint())) {
        Some((Ok(true), fingerprint)) => {
            report("certificate-changed", &format!("sha256 {fingerprint}")).await
        }
        Some((Ok(false), _)) => report("certificate-unchanged", "the certificate is the same").await,
        Some((Err(e), _)) => {
            notice(&e.to_string());
            report("certificate-rejected", "the certificate in force stays").await;
        }
        None => {}
    }
    match config::load(file)
        .map_err(anyhow::Error::from)
        .and_then(|config| Ok((secrets.join(&config)?, config)))
    {
        Ok((all, config)) => {
            // Before they are used.
            composed.pipeline.redactor().replace(all);
            report("secrets-reload", &format!("config {}", config.digest)).await;
            let renewed = renewed(composed, &config);
            if !renewed.is_empty() {
                report("logins-renewed", &renewed.join(", ")).await;
            }
            match callers::reload(&config, door, server, composed) {
                Ok(counts) => report("identity-reload", &counts).await,
                Err(e) => {
                    notice(&format!("{e:#}"));
                    report("identity-rejected", "the callers in force stay").await;
                }
            }
        }
        Err(e) => {
            notice(&e.to_string());
            report("config-rejected", "the secrets and callers in force stay").await;
        }
    }
}

/// The databases whose passwords were changed, and the egress proxy if its login was. Users, addresses and databases stay as they are until
/// the next start.
fn renewed<'a>(composed: &'a Composed, config: &Config) -> Vec<&'a str> {
    let renews = |database: &&Arc<Database>| {
        let credentials = config.databases.get(&**database.name()).and_then(engines::credentials);
        credentials.is_some_and(|credentials| database.renew(&credentials))
    };
    let databases = composed.base.databases.iter().filter(renews).map(|database| &**database.name());
    let proxy = composed.base.proxy_login.as_ref().zip(config.fetch.proxy_login.as_ref());
    let proxy = proxy.filter(|(held, given)| held.renew(given)).map(|_| "fetch.proxy");
    databases.chain(proxy).collect()
}
