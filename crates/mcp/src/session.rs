//! Legacy sessions: who owns them, what runs in them, how many there may be and how they end.
//!
//! INVARIANT: a session id is no credential. Every request authenticates by itself, and a session answers to its owner alone; to anyone
//! else it does not exist. Ids are 32 random bytes of ours; only their digest is kept.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use countersign_core::{Denied, Digest, Principal, RunId, Subsystem, ports::Environment};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    era::{Capabilities, Revision, Threshold},
    rpc::Id,
};

/// What `initialize` agreed on.
#[derive(Debug)]
pub(crate) struct Negotiated {
    pub(crate) revision: Revision,
    pub(crate) capabilities: Capabilities,
    pub(crate) client: Option<Arc<str>>,
}

/// A client's answer to a question: its result, or `Err` when it refused.
pub(crate) type Reaction = Result<serde_json::Value, ()>;

/// One legacy session, or the life of one stdio process.
pub(crate) struct Session {
    /// A digest of the id; what records show.
    pub(crate) digest: Arc<str>,
    /// The run that this session is.
    pub(crate) run: RunId,
    /// Fires when the session ends; everything in it stops then.
    pub(crate) ended: CancellationToken,
    owner: String,
    /// The run that the owner's credential is bound to, if it is; the session is that run then.
    bound: Option<RunId>,
    negotiated: OnceLock<Negotiated>,
    last_used: AtomicU64,
    streaming: AtomicBool,
    next_question: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    level: Option<Threshold>,
    in_flight: HashMap<Id, CancellationToken>,
    questions: HashMap<Id, oneshot::Sender<Reaction>>,
    subscriptions: HashSet<String>,
}

/// Resources that one session may subscribe to.
const MAX_SUBSCRIPTIONS: usize = 256;

impl Session {
    pub(crate) fn new(digest: &str, owner: &Principal) -> Session {
        Session {
            digest: digest.into(),
            run: owner.run().cloned().unwrap_or_else(|| RunId::new(format!("session-{digest}"))),
            ended: CancellationToken::new(),
            owner: owner.key().to_owned(),
            bound: owner.run().cloned(),
            negotiated: OnceLock::new(),
            last_used: AtomicU64::new(0),
            streaming: AtomicBool::new(false),
            next_question: AtomicU64::new(1),
            state: Mutex::default(),
        }
    }

    /// Sets what was agreed on; `false` when that happened before.
    pub(crate) fn negotiate(&self, negotiated: Negotiated) -> bool {
        self.negotiated.set(negotiated).is_ok()
    }

    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.get()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn level(&self) -> Option<Threshold> {
        self.state().level
    }

    pub(crate) fn set_level(&self, level: Threshold) {
        self.state().level = Some(level);
    }

    /// Notes a request as under way. `None` when the id is in use.
    pub(crate) fn begin(self: &Arc<Self>, id: &Id, cancel: &CancellationToken) -> Option<InFlight> {
        let mut state = self.state();
        if state.in_flight.contains_key(id) {
            return None;
        }
        state.in_flight.insert(id.clone(), cancel.clone());
        Some(InFlight { session: Arc::clone(self), id: id.clone() })
    }

    /// Stops a request of this session, and of no other. Unknown ids are ignored, as the specification asks.
    pub(crate) fn cancel(&self, id: &Id) {
        let found = self.state().in_flight.get(id).cloned();
        if let Some(cancel) = found {
            cancel.cancel();
        }
    }

    /// Registers a question of ours; its id, and where the answer will arrive.
    pub(crate) fn question(self: &Arc<Self>) -> (String, Question, oneshot::Receiver<Reaction>) {
        let (sender, receiver) = oneshot::channel();
        let id = format!("countersign-{}", self.next_question.fetch_add(1, Ordering::Relaxed));
        let key = Id(format!("\"{id}\"").into());
        self.state().questions.insert(key.clone(), sender);
        (id, Question { session: Arc::clone(self), key }, receiver)
    }

    /// Hands an answer to the question of this session that it belongs to; `false` when there is none.
    pub(crate) fn react(&self, id: &Id, reaction: Reaction) -> bool {
        let waiting = self.state().questions.remove(id);
        waiting.is_some_and(|waiting| waiting.send(reaction).is_ok())
    }

    /// Notes that the client wants to hear about a resource; `false` when it asked for too many.
    pub(crate) fn subscribe(&self, uri: &str) -> bool {
        let mut state = self.state();
        let room = state.subscriptions.len() < MAX_SUBSCRIPTIONS;
        room && {
            state.subscriptions.insert(uri.to_owned());
            true
        }
    }

    pub(crate) fn unsubscribe(&self, uri: &str) {
        self.state().subscriptions.remove(uri);
    }

    pub(crate) fn is_subscribed(&self, uri: &str) -> bool {
        self.state().subscriptions.contains(uri)
    }

    /// Takes the one place for a standalone stream; given back on drop.
    pub(crate) fn open_stream(self: &Arc<Self>) -> Option<StreamPlace> {
        let free = !self.streaming.swap(true, Ordering::AcqRel);
        free.then(|| StreamPlace(Arc::clone(self)))
    }

    fn is_busy(&self) -> bool {
        self.streaming.load(Ordering::Acquire) || !self.state().in_flight.is_empty()
    }

    /// Ends the session: whatever runs in it is cancelled.
    pub(crate) fn end(&self) {
        self.ended.cancel();
        let running: Vec<CancellationToken> = self.state().in_flight.values().cloned().collect();
        running.iter().for_each(CancellationToken::cancel);
    }
}

/// A request under way; forgotten on drop.
pub(crate) struct InFlight {
    session: Arc<Session>,
    id: Id,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.state().in_flight.remove(&self.id);
    }
}

/// A question under way; forgotten on drop.
pub(crate) struct Question {
    session: Arc<Session>,
    key: Id,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.session.state().questions.remove(&self.key);
    }
}

/// The one standalone stream of a session.
pub(crate) struct StreamPlace(Arc<Session>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streaming.store(false, Ordering::Release);
    }
}

/// What a session id leads to.
pub(crate) enum Lookup {
    Found(Arc<Session>),
    /// None such, or no longer.
    Unknown,
    /// It belongs to somebody else; the caller must not learn that it exists.
    Foreign,
}

/// All sessions of the HTTP transport.
pub(crate) struct Sessions {
    per_principal: usize,
    total: usize,
    idle: u64,
    live: Mutex<HashMap<Digest, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(per_principal: usize, total: usize, idle: Duration) -> Sessions {
        let idle = u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX);
        Sessions { per_principal, total, idle, live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session for `owner`. The owner's session that was idle longest makes room; another principal's never does.
    pub(crate) fn open(
        &self,
        owner: &Principal,
        negotiated: Negotiated,
        environment: &dyn Environment,
    ) -> Result<(String, Arc<Session>), Denied> {
        // SPEC: 2025-11-25 transports, Session Management: globally unique and cryptographically secure, visible ASCII.
        let mut random = [0; 32];
        environment.random(&mut random).map_err(|_| Denied::Unavailable(Subsystem::Server))?;
        let id = Digest(random).to_string();
        let digest = Digest::of(id.as_bytes());
        let now = environment.monotonic_nanos();
        let session = Arc::new(Session::new(&digest.to_string(), owner));
        session.negotiate(negotiated);
        session.last_used.store(now, Ordering::Relaxed);

        let mut live = self.live();
        let own = live.values().filter(|session| session.owner == owner.key()).count();
        // MUTATE(G4-cap): a principal opens any number of sessions
        if own >= self.per_principal {
            let idle = live
                .iter()
                .filter(|(_, session)| session.owner == owner.key() && !session.is_busy())
                .min_by_key(|(_, session)| session.last_used.load(Ordering::Relaxed))
                .map(|(digest, _)| *digest);
            match idle.and_then(|digest| live.remove(&digest)) {
                Some(oldest) => oldest.end(),
                None => return Err(full("sessions of the principal")),
            }
        }
        if live.len() >= self.total {
            live.retain(|_, session| self.is_fresh(session, now));
            if live.len() >= self.total {
                return Err(full("sessions"));
            }
        }
        live.insert(digest, Arc::clone(&session));
        Ok((id, session))
    }

    /// The session behind an id, for its owner.
    pub(crate) fn find(&self, id: &[u8], caller: &Principal, now: u64) -> Lookup {
        let found = self.live().get(&Digest::of(id)).cloned();
        let Some(session) = found.filter(|session| self.is_fresh(session, now)) else {
            return Lookup::Unknown;
        };
        // MUTATE(G4-owner): a session answers to whoever knows its id
        if session.owner != caller.key() {
            return Lookup::Foreign;
        }
        // MUTATE(G5-session-run): a credential for one run is used in a session of another
        if session.bound.as_ref() != caller.run() {
            return Lookup::Foreign;
        }
        session.last_used.store(now, Ordering::Relaxed);
        Lookup::Found(session)
    }

    /// Ends one session.
    pub(crate) fn close(&self, id: &[u8]) {
        let closed = self.live().remove(&Digest::of(id));
        if let Some(session) = closed {
            session.end();
        }
    }

    /// Ends the sessions that were idle too long.
    pub(crate) fn sweep(&self, now: u64) {
        self.live().retain(|_, session| {
            let keep = self.is_fresh(session, now) || session.is_busy();
            if !keep {
                session.end();
            }
            keep
        });
    }

    /// Ends all of them, when the server stops.
    pub(crate) fn end_all(&self) {
        self.live().drain().for_each(|(_, session)| session.end());
    }

    fn is_fresh(&self, session: &Session, now: u64) -> bool {
        // MUTATE(G4-expiry): a session lives forever
        now.saturating_sub(session.last_used.load(Ordering::Relaxed)) <= self.idle
    }
}

fn full(limit: &'static str) -> Denied {
    Denied::Limited { limit, retry_after: Duration::from_secs(1) }
}
