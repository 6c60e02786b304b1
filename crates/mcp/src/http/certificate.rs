//! A client's certificate on a connection that stays open. INVARIANT: what a handshake accepted holds no longer than a new handshake would
//! accept it: it is judged again when the rules of TLS are others, and once a minute, since certificates expire.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_rustls::rustls::{
    HandshakeKind, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, UnixTime},
};

use super::listener::TlsSettings;

/// How long a judgement under the same rules is believed.
const BELIEVED: Duration = Duration::from_secs(60);

/// What a client showed, and under which rules it was accepted last.
pub(super) struct Shown {
    settings: TlsSettings,
    chain: Vec<CertificateDer<'static>>,
    accepted: Mutex<Option<(Arc<ServerConfig>, Instant)>>,
}

impl Shown {
    /// What a handshake under `rules` has accepted; none if the client showed nothing. A handshake that only resumes has judged nothing.
    pub(super) fn in_handshake(
        session: &ServerConnection,
        settings: TlsSettings,
        rules: Arc<ServerConfig>,
    ) -> Option<Shown> {
        let chain: Vec<_> = session.peer_certificates()?.iter().map(|one| one.clone().into_owned()).collect();
        let full = session.handshake_kind().is_some_and(|kind| kind != HandshakeKind::Resumed);
        let accepted = Mutex::new(full.then(|| (rules, Instant::now())));
        Some(Shown { settings, chain, accepted })
    }

    /// The client's own certificate.
    pub(super) fn leaf(&self) -> Option<Arc<[u8]>> {
        self.chain.first().map(|leaf| Arc::from(leaf.as_ref()))
    }

    /// Whether it would be accepted now.
    pub(super) fn holds(&self) -> bool {
        let rules = (self.settings)();
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accepted
            .as_ref()
            .is_some_and(|(config, at)| Arc::ptr_eq(config, &rules.config) && at.elapsed() < BELIEVED);
        if known {
            return true;
        }
        let (Some(verifier), Some((leaf, others))) = (&rules.clients, self.chain.split_first()) else {
            return false;
        };
        let judged = verifier.verify_client_cert(leaf, others, UnixTime::now());
        *accepted = judged.is_ok().then(|| (rules.config, Instant::now()));
        accepted.is_some()
    }
}
