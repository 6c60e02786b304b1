//! A desk on a real SQLite file, and requests for it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use countersign_core::{
    CallId,
    approval::{Approvals, BoundCall, Claim, LIFETIME_MICROS, Operator, Request, ShownPreview, Use, Vote},
};
use countersign_state::{Desk, KeyRow, OperatorKey, Seal, SqliteStore, StateError, Store};

/// Any moment.
pub const NOW: u64 = 1_800_000_000_000_000;

pub struct World {
    pub dir: tempfile::TempDir,
    pub desk: Desk,
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let desk = open(&dir);
        World { dir, desk }
    }

    /// Another process on the same state.
    pub fn another(&self) -> Desk {
        open(&self.dir)
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("state.db")
    }

    /// The database as somebody sees it who can write to the file.
    pub fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }

    /// A key of a person, enrolled.
    pub async fn person(&self, name: &str) -> OperatorKey {
        self.person_with(operator(name)).await.0
    }

    pub async fn person_with(&self, operator: Operator) -> (OperatorKey, KeyRow) {
        let key = self.key(&operator.name);
        let row = self.desk.enroll(operator, key.public(), NOW).await.unwrap();
        (key, row)
    }

    /// A key that nobody enrolled.
    pub fn key(&self, name: &str) -> OperatorKey {
        let file =
            (0..).map(|n| self.dir.path().join(format!("{name}.{n}"))).find(|path| !path.exists()).unwrap();
        OperatorKey::create(&file, name).unwrap()
    }

    pub async fn ask(&self, request: &Request) -> String {
        let id = format!("ap-{}", &request.call.digest().to_string()[..8]);
        self.desk.ask(&id, request, NOW).await.unwrap()
    }

    pub async fn approve(&self, id: &str, key: &OperatorKey) -> Result<(), StateError> {
        let signed = self.desk.sign(id, key, Vote::Approve, "looks right", NOW).await?;
        self.desk.cast(signed).await
    }

    pub async fn claim(&self, call: &BoundCall, by: u8) -> Claim {
        self.desk.claim(call, usage(by)).await.unwrap()
    }
}

fn open(dir: &tempfile::TempDir) -> Desk {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.path().join("state.db")).unwrap());
    Desk::new(store, Seal::open(&dir.path().join("seal.key")).unwrap())
}

pub fn operator(name: &str) -> Operator {
    Operator { name: name.into(), subjects: Vec::new(), tenant: None }
}

/// A call's use, still under way.
pub fn usage(by: u8) -> Use {
    Use { call: call_id(by), now: NOW, until: NOW + 20_000_000 }
}

pub fn call_id(by: u8) -> CallId {
    CallId::new(NOW / 1000, [by; 10])
}

pub fn bound(arguments: &str) -> BoundCall {
    BoundCall {
        tenant: "acme".into(),
        issuer: "keys".into(),
        subject: "ann".into(),
        owner: None,
        claims: BTreeMap::new(),
        run: "run-1".into(),
        integrity: "trusted".into(),
        confidentiality: "public".into(),
        tool: "write_shop".into(),
        pin: "00".into(),
        power: "write-high".into(),
        arguments: arguments.into(),
        accesses: vec!["write table shop.customers".into()],
        destinations: Vec::new(),
        policy: "p1".into(),
    }
}

pub fn request(arguments: &str, needed: u8) -> Request {
    Request {
        call: bound(arguments),
        preview: ShownPreview { affected: Some(3), before: Some("{}".into()), ..ShownPreview::default() },
        policies: vec!["floor/writes-need-approval".into()],
        needed,
        expires: NOW + LIFETIME_MICROS,
    }
}
