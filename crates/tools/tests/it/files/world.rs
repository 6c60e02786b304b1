//! A pipeline with the file tools over directories of a test.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use countersign_core::{
    decision::PolicySet,
    limits::{LimitConfig, Limits},
    pipeline::Parts,
    ports::*,
    record::Summary,
    registry::Registry,
    *,
};
use countersign_tools::files::{Folder, FolderSettings, Globs, Root, file_resources, file_tools};
use serde_json::Value;

use super::ports::{self, Host, OneRun};

pub(super) const KIB: u64 = 1 << 10;

/// Directories, and the pipeline above them.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) pipeline: Pipeline,
    pub(super) rules: Arc<Rules>,
}

/// Everything is allowed but what holds one of these texts.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) deny: Mutex<Vec<&'static str>>,
    /// Every access that was asked for.
    pub(super) asked: Mutex<Vec<String>>,
}

/// The settings of a root that tests start from.
pub(super) fn settings() -> FolderSettings {
    FolderSettings {
        tenant: None,
        write: true,
        scratch: false,
        deny: Globs::denying(&[]).unwrap(),
        max_read: 64 * KIB,
        max_file: 256 * KIB,
        max_entries: 10,
        max_search: 50,
        quota: None,
    }
}

impl World {
    /// One root, `data`, with a file next door that must stay out of reach.
    pub(super) fn new(settings: FolderSettings) -> World {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir_all(data.join("sub")).unwrap();
        std::fs::create_dir(dir.path().join("data-evil")).unwrap();
        for (name, text) in [
            ("secret.txt", "OUTSIDE"),
            ("data-evil/x", "OUTSIDE"),
            ("data-evil/x.txt", "OUTSIDE"),
            ("data/report.txt", "INSIDE"),
            ("data/notes..txt", "INSIDE"),
            ("data/sub/inner.txt", "INSIDE"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let root = folder("data", &data, settings);
        World::of(dir, &[root])
    }

    pub(super) fn of(dir: tempfile::TempDir, folders: &[Arc<Folder>]) -> World {
        let rules = Arc::new(Rules::default());
        let pipeline = Pipeline::new(Parts {
            registry: Registry::new(file_tools(folders), file_resources(folders)).unwrap(),
            policy: Arc::new(Source(Arc::clone(&rules))),
            audit: Arc::new(NoLog),
            limits: Limits::new(LimitConfig::wide(), None),
            environment: Arc::new(Host::default()),
            observer: Arc::new(Nobody),
            runs: Arc::new(OneRun::default()),
            reply_bytes: 64 << 20,
            redactor: Default::default(),
        });
        World { dir, pipeline, rules }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A call by somebody of the tenant `acme`.
    pub(super) async fn call(&self, tool: &str, arguments: Value) -> Result<Value, Refused> {
        self.call_as("acme", Target::Tool(tool.into()), arguments).await
    }

    pub(super) async fn call_as(
        &self,
        tenant: &str,
        target: Target,
        arguments: Value,
    ) -> Result<Value, Refused> {
        let call = ports::call(tenant, target, &arguments.to_string());
        let reply = self.pipeline.run(call).await?;
        Ok(serde_json::from_str(reply.structured().unwrap()).unwrap())
    }

    /// The public text of a refusal.
    pub(super) async fn refused(&self, tool: &str, arguments: Value) -> String {
        match self.call(tool, arguments.clone()).await {
            Ok(answer) => panic!("{tool} {arguments} answered {answer}"),
            Err(refused) => refused.message,
        }
    }
}

pub(super) fn folder(name: &str, path: &Path, settings: FolderSettings) -> Arc<Folder> {
    Arc::new(Folder::new(Root::open(name, path).unwrap(), settings))
}

struct Source(Arc<Rules>);

impl PolicySource for Source {
    fn current(&self) -> Result<Arc<dyn PolicySet>, String> {
        Ok(Arc::new(View(Arc::clone(&self.0))))
    }
}

struct View(Arc<Rules>);

impl PolicySet for View {
    fn epoch(&self) -> u64 {
        1
    }
    fn digest(&self) -> &str {
        "policy"
    }
    fn decide_call(&self, _question: &CallQuestion<'_>) -> Decision {
        Decision { verdict: Verdict::Allow, policies: vec![], error: None }
    }
    fn decide_access(&self, _question: &CallQuestion<'_>, access: &Access) -> Decision {
        let text = access.to_string();
        let denied = self.0.deny.lock().unwrap().iter().any(|part| text.contains(part));
        self.0.asked.lock().unwrap().push(text);
        let verdict = if denied { Verdict::Deny } else { Verdict::Allow };
        Decision { verdict, policies: vec!["rule".into()], error: None }
    }
}

struct NoLog;

#[async_trait]
impl AuditLog for NoLog {
    fn append(&self, _entry: Vec<u8>, _class: EntryClass) -> Result<Ticket, AuditError> {
        Ok(Ticket(0))
    }
    async fn durable(&self, _ticket: Ticket) -> Result<(), AuditError> {
        Ok(())
    }
    fn fingerprint(&self, canonical: &[u8]) -> [u8; 32] {
        Digest::of(canonical).0
    }
}

struct Nobody;

impl Observer for Nobody {
    fn decided(&self, _summary: &Summary<'_>, _cause: Option<&str>) {}
}
