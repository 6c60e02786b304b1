//! A pipeline whose policy, log and tool can be told to misbehave.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_core::{
    decision::PolicySet,
    limits::{LimitConfig, Limits, Rate},
    pipeline::Parts,
    ports::*,
    record::Summary,
    registry::{Registry, Resource},
    *,
};
use serde_json::{Value, json};

use crate::ports::{self, Host, OneRun};

/// What happened, in order.
pub type Journal = Arc<Mutex<Vec<String>>>;

pub struct World {
    pub pipeline: Arc<Pipeline>,
    pub journal: Journal,
    pub log: Arc<Log>,
    pub policy: Arc<Rules>,
    pub tool: Arc<Probe>,
}

impl World {
    pub fn events(&self) -> Vec<String> {
        self.journal.lock().unwrap().clone()
    }

    pub fn entries(&self) -> Vec<Value> {
        self.log.entries.lock().unwrap().clone()
    }
}

#[derive(Default)]
pub struct Log {
    pub journal: Journal,
    pub entries: Mutex<Vec<Value>>,
    pub fail_append: AtomicBool,
    pub fail_durable: AtomicBool,
}

#[async_trait]
impl AuditLog for Log {
    fn append(&self, entry: Vec<u8>, _class: EntryClass) -> Result<Ticket, AuditError> {
        if self.fail_append.load(SeqCst) {
            return Err(AuditError { cause: "disk full".into() });
        }
        let value: Value = serde_json::from_slice(&entry).unwrap();
        self.journal.lock().unwrap().push(format!("append {}", value["kind"].as_str().unwrap()));
        let mut entries = self.entries.lock().unwrap();
        entries.push(value);
        Ok(Ticket(entries.len() as u64))
    }

    async fn durable(&self, _ticket: Ticket) -> Result<(), AuditError> {
        tokio::task::yield_now().await;
        if self.fail_durable.load(SeqCst) {
            return Err(AuditError { cause: "fsync failed".into() });
        }
        self.journal.lock().unwrap().push("durable".into());
        Ok(())
    }

    fn fingerprint(&self, canonical: &[u8]) -> [u8; 32] {
        Digest::of(canonical).0
    }
}

/// Answers by name of the object; everything else is allowed.
#[derive(Default)]
pub struct Rules {
    pub hidden: AtomicBool,
    pub deny: Mutex<Vec<String>>,
    pub hold: Mutex<Vec<(String, u8)>>,
    pub error: Mutex<Vec<String>>,
    /// Objects that may be read masked.
    pub mask: Mutex<Vec<String>>,
    pub absent: AtomicBool,
    /// Rules that are asked as well and decide nothing.
    pub observed: Mutex<Option<Arc<Rules>>>,
}

pub struct View(pub Arc<Rules>, pub Option<Box<View>>);

impl View {
    fn decide(&self, object: &str) -> Decision {
        let named = |verdict| Decision { verdict, policies: vec!["rule".into()], error: None };
        if self.0.error.lock().unwrap().iter().any(|o| o == object) {
            return Decision {
                // Against the port's contract, so that the pipeline is seen to deny by itself.
                verdict: Verdict::Allow,
                policies: vec![],
                error: Some("evaluation error".into()),
            };
        }
        if self.0.deny.lock().unwrap().iter().any(|o| o == object) {
            return named(Verdict::Deny);
        }
        let hold = self.0.hold.lock().unwrap().iter().find(|(o, _)| o == object).map(|(_, n)| *n);
        named(hold.map_or(Verdict::Allow, |approvals| Verdict::Hold { approvals }))
    }
}

impl PolicySet for View {
    fn epoch(&self) -> u64 {
        1
    }
    fn digest(&self) -> &str {
        "policy-digest"
    }
    fn decide_call(&self, question: &CallQuestion<'_>) -> Decision {
        match question.phase {
            Phase::Listing if self.0.hidden.load(SeqCst) => {
                Decision { verdict: Verdict::Deny, policies: vec![], error: None }
            }
            Phase::Listing => Decision { verdict: Verdict::Allow, policies: vec![], error: None },
            Phase::Calling { .. } | Phase::Previewed { .. } => self.decide("call"),
        }
    }
    fn decide_access(&self, _question: &CallQuestion<'_>, access: &Access) -> Decision {
        let object = access.object.to_string();
        match access.action {
            Action::Mask if self.0.mask.lock().unwrap().contains(&object) => {
                self.decide(&format!("mask {object}"))
            }
            _ => self.decide(&object),
        }
    }
    fn observed(&self) -> Option<&dyn PolicySet> {
        self.1.as_deref().map(|view| view as &dyn PolicySet)
    }
}

pub struct Source(pub Arc<Rules>);

impl PolicySource for Source {
    fn current(&self) -> Result<Arc<dyn PolicySet>, String> {
        if self.0.absent.load(SeqCst) {
            Err("no valid policy".into())
        } else {
            let observed = self.0.observed.lock().unwrap().clone();
            let observed = observed.map(|rules| Box::new(View(rules, None)));
            Ok(Arc::new(View(Arc::clone(&self.0), observed)))
        }
    }
}

/// A tool that notes when it plans and executes.
pub struct Probe {
    spec: Arc<ToolSpec>,
    journal: Journal,
    pub effect: Mutex<Effect>,
    pub accesses: Mutex<Vec<Access>>,
    pub delay: Mutex<Duration>,
    pub text: Mutex<String>,
    pub granted: Mutex<Vec<String>>,
    pub broken: AtomicBool,
    pub busy: AtomicBool,
    /// The log that takes no more entries once the tool has run.
    pub breaks: Mutex<Option<Arc<Log>>>,
}

pub fn table(name: &str) -> Object {
    Object::Table { database: "shop".into(), table: name.into() }
}

#[async_trait]
impl Tool for Probe {
    fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }
    async fn plan(&self, _principal: &Principal, _arguments: &Arguments) -> Result<Planned, ToolError> {
        self.journal.lock().unwrap().push("plan".into());
        Ok(Planned {
            accesses: self.accesses.lock().unwrap().clone(),
            effect: *self.effect.lock().unwrap(),
            ..Planned::nothing()
        })
    }
    async fn execute(&self, permit: Permit, _io: &CallIo) -> Result<Output, ToolError> {
        self.journal.lock().unwrap().push("execute".into());
        *self.granted.lock().unwrap() = permit.granted().iter().map(Access::to_string).collect();
        if self.broken.load(SeqCst) {
            return Err(ToolError::internal("cannot open /etc/passwd"));
        }
        if self.busy.load(SeqCst) {
            return Err(Denied::Limited { limit: "workers", retry_after: Duration::from_secs(1) }.into());
        }
        if let Some(log) = self.breaks.lock().unwrap().take() {
            log.fail_append.store(true, SeqCst);
        }
        let delay = *self.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Ok(Output::new(Label::RETRIEVED, vec![Part::Text(self.text.lock().unwrap().clone())]))
    }
}

struct Watcher(Journal);

impl Observer for Watcher {
    fn decided(&self, summary: &Summary<'_>, cause: Option<&str>) {
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        self.0.lock().unwrap().push(format!("shown {}{cause}", summary.result));
    }
}

pub fn world() -> World {
    world_with_rate(60_000, 1_000)
}

pub fn world_with_rate(per_minute: u32, burst: u32) -> World {
    let journal = Journal::default();
    let log = Arc::new(Log { journal: Arc::clone(&journal), ..Log::default() });
    let policy = Arc::new(Rules::default());
    let spec = ToolSpec {
        name: "probe".into(),
        server: "countersign".into(),
        title: "Probe".into(),
        description: "notes what happens".into(),
        purpose: "tests",
        input_schema: json!({"type":"object","properties":{"text":{"type":"string","maxLength":10}},
            "required":["text"],"additionalProperties":false}),
        output_schema: None,
        power: PowerClass::ReadLow,
        permissions: Vec::new(),
        sensitivity: Sensitivity::Private,
        deadline: Duration::from_millis(200),
        digest: Digest([0; 32]),
    }
    .pinned();
    let tool = Arc::new(Probe {
        spec: Arc::new(spec),
        journal: Arc::clone(&journal),
        effect: Mutex::new(Effect::Read),
        accesses: Mutex::default(),
        delay: Mutex::default(),
        text: Mutex::new("rows".into()),
        granted: Mutex::default(),
        broken: AtomicBool::new(false),
        busy: AtomicBool::new(false),
        breaks: Mutex::new(None),
    });
    let resource = Resource {
        uri: "schema://{text}".into(),
        name: "schema".into(),
        description: String::new(),
        mime: "application/json",
        tool: "probe".into(),
        also: None,
        tenant: None,
        fixed: Default::default(),
        variable: Some("text".into()),
    };
    let rate = Rate { per_minute, burst };
    let limits = LimitConfig {
        principal: rate,
        tool: rate,
        server: rate,
        concurrent_principal: 4,
        concurrent_server: 8,
        ..LimitConfig::wide()
    };
    let pipeline = Arc::new(Pipeline::new(Parts {
        registry: Registry::new(vec![tool.clone()], vec![resource]).unwrap(),
        policy: Arc::new(Source(Arc::clone(&policy))),
        audit: log.clone(),
        limits: Limits::new(limits, None),
        environment: Arc::new(Host::default()),
        observer: Arc::new(Watcher(Arc::clone(&journal))),
        runs: Arc::new(OneRun::default()),
        reply_bytes: 1000,
        redactor: Default::default(),
    }));
    World { pipeline, journal, log, policy, tool }
}

pub fn call(target: Target, arguments: &str) -> Call {
    ports::call("acme", target, arguments)
}

pub fn probe(arguments: &str) -> Call {
    call(Target::Tool("probe".into()), arguments)
}
