//! Wiring for tests: a pipeline whose policy allows everything that is not hidden, whose log keeps what it is told, and whose clock is
//! the real one. The real policy and log are tested where they live.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use countersign_core::{
    AuthMethod, CallQuestion, Decision, Digest, Label, Pipeline, Principal, PrincipalKind, RunId, Tool,
    Verdict,
    decision::PolicySet,
    limits::{LimitConfig, Limits},
    pipeline::Parts,
    plan::Access,
    ports::{AuditError, AuditLog, EntryClass, Environment, Observer, PolicySource, Runs, Ticket},
    record::Summary,
    registry::{Registry, Resource},
    stops::{Stop, Stops, Subject},
};
use countersign_mcp::{Authenticator, NotAuthenticated, Presented};

/// Allows what is not on the list of `hidden` tools of the principal's tenant.
pub(crate) struct Permissive {
    pub(crate) hidden: HashMap<String, Vec<String>>,
}

impl PolicySet for Permissive {
    fn epoch(&self) -> u64 {
        1
    }

    fn digest(&self) -> &str {
        "permissive"
    }

    fn decide_call(&self, question: &CallQuestion<'_>) -> Decision {
        let hidden = self.hidden.get(question.principal.tenant());
        let deny = hidden.is_some_and(|names| names.iter().any(|name| **name == *question.tool.name));
        let verdict = if deny { Verdict::Deny } else { Verdict::Allow };
        Decision { verdict, policies: Vec::new(), error: None }
    }

    fn decide_access(&self, _question: &CallQuestion<'_>, _access: &Access) -> Decision {
        Decision { verdict: Verdict::Allow, policies: Vec::new(), error: None }
    }
}

struct Source(Arc<Permissive>);

impl PolicySource for Source {
    fn current(&self) -> Result<Arc<dyn PolicySet>, String> {
        Ok(Arc::clone(&self.0) as Arc<dyn PolicySet>)
    }
}

/// Keeps every entry, or only counts them.
#[derive(Default)]
pub(crate) struct MemoryLog {
    pub(crate) entries: Mutex<Vec<String>>,
    pub(crate) count: AtomicU64,
    pub(crate) keep: bool,
}

#[async_trait]
impl AuditLog for MemoryLog {
    fn append(&self, entry: Vec<u8>, _class: EntryClass) -> Result<Ticket, AuditError> {
        if self.keep {
            self.entries.lock().unwrap().push(String::from_utf8(entry).unwrap());
        }
        Ok(Ticket(self.count.fetch_add(1, Ordering::Relaxed)))
    }

    async fn durable(&self, _ticket: Ticket) -> Result<(), AuditError> {
        Ok(())
    }

    fn fingerprint(&self, canonical: &[u8]) -> [u8; 32] {
        countersign_core::Digest::of(canonical).0
    }
}

struct Clock(Instant);

impl Environment for Clock {
    fn unix_micros(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(now.as_micros()).unwrap()
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        getrandom::fill(bytes).map_err(|e| e.to_string())
    }
}

struct Blind;

impl Observer for Blind {
    fn decided(&self, _summary: &Summary<'_>, _cause: Option<&str>) {}
}

/// A run for each holder, without labels.
struct PlainRuns;

#[async_trait]
impl Runs for PlainRuns {
    async fn of(&self, holder: Digest) -> Result<RunId, String> {
        Ok(RunId::new(format!("run-{holder}")))
    }
    async fn join(&self, _run: &RunId, _label: Label) -> Result<(), String> {
        Ok(())
    }
    async fn label(&self, _run: &RunId) -> Result<Label, String> {
        Ok(Label::default())
    }
}

/// A pipeline over these tools and resources.
pub(crate) fn pipeline(
    tools: Vec<Arc<dyn Tool>>,
    resources: Vec<Resource>,
    hidden: HashMap<String, Vec<String>>,
    log: &Arc<MemoryLog>,
    stops: Arc<dyn Stops>,
) -> Arc<Pipeline> {
    let parts = Parts {
        registry: Registry::new(tools, resources).unwrap(),
        policy: Arc::new(Source(Arc::new(Permissive { hidden }))),
        audit: Arc::clone(log) as Arc<dyn AuditLog>,
        limits: Limits::new(LimitConfig::wide(), None),
        environment: Arc::new(Clock(Instant::now())),
        observer: Arc::new(Blind),
        runs: Arc::new(PlainRuns),
        reply_bytes: 1 << 20,
        redactor: Default::default(),
    };
    Arc::new(Pipeline::new(parts).with_stops(stops))
}

/// A principal of a tenant.
pub(crate) fn principal(name: &str, tenant: &str) -> Arc<Principal> {
    Arc::new(
        Principal::new("keys", name, PrincipalKind::Person, tenant, AuthMethod::ApiKey).with_credential(name),
    )
}

/// A principal whose token carries these scopes.
pub(crate) fn scoped(name: &str, tenant: &str, scopes: &[&str]) -> Arc<Principal> {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned());
    Arc::new((*principal(name, tenant)).clone().with_scopes(scopes))
}

/// `Bearer NAME` is the principal of that name; nobody else is anybody, unless anonymous callers are let in.
pub(crate) struct Names {
    pub(crate) known: Mutex<HashMap<String, Arc<Principal>>>,
    pub(crate) anonymous: Option<Arc<Principal>>,
    /// Subjects that an operator revoked.
    pub(crate) revoked: Mutex<Vec<String>>,
}

impl Stops for Names {
    fn check(&self, subject: &Subject<'_>) -> Result<Option<Stop>, String> {
        let revoked = self.revoked.lock().unwrap().iter().any(|name| name == subject.principal.subject());
        Ok(revoked.then_some(Stop::Revoked { what: "principal" }))
    }
}

impl Names {
    fn find(&self, authorization: &[u8]) -> Result<Arc<Principal>, NotAuthenticated> {
        let token = authorization.strip_prefix(b"Bearer ").and_then(|token| std::str::from_utf8(token).ok());
        let found = token.and_then(|token| self.known.lock().unwrap().get(token).cloned());
        let nobody = self.anonymous.clone().filter(|_| authorization.is_empty());
        let code = if authorization.is_empty() { "missing" } else { "unknown" };
        found.or(nobody).ok_or(match token {
            Some("narrow") => NotAuthenticated::Scope("token-scope"),
            Some("unproved") => NotAuthenticated::Proof("proof-invalid"),
            Some("old-nonce") => NotAuthenticated::Nonce("n1".into()),
            _ => NotAuthenticated::Credential(code),
        })
    }
}

#[async_trait]
impl Authenticator for Names {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Principal>, NotAuthenticated> {
        self.find(presented.authorization)
    }

    fn still_holds(&self, presented: &Presented<'_>, principal: &Principal) -> bool {
        self.find(presented.authorization).is_ok_and(|found| *found == *principal)
    }
}
