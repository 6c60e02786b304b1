//! The parts of a pipeline that no test watches: a clock that hardly moves, the label of one run, a caller on this machine.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use async_trait::async_trait;
use countersign_core::{
    Arguments, AuthMethod, Call, Digest, Label, Origin, Principal, PrincipalKind, RunId, Target, Transport,
    json,
    ports::{Environment, Runs},
};

pub(crate) struct Host(AtomicU64);

impl Default for Host {
    fn default() -> Host {
        Host(AtomicU64::new(1))
    }
}

impl Environment for Host {
    fn unix_micros(&self) -> u64 {
        1_800_000_000_000_000
    }
    fn monotonic_nanos(&self) -> u64 {
        self.0.fetch_add(1000, SeqCst)
    }
    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        bytes.fill(self.0.fetch_add(1, SeqCst) as u8);
        Ok(())
    }
}

/// The label of the one run that a test has.
#[derive(Default)]
pub(crate) struct OneRun(Mutex<Label>);

#[async_trait]
impl Runs for OneRun {
    async fn of(&self, _holder: Digest) -> Result<RunId, String> {
        Ok(RunId::new("run-1"))
    }
    async fn join(&self, _run: &RunId, label: Label) -> Result<(), String> {
        let mut known = self.0.lock().unwrap();
        *known = known.join(label);
        Ok(())
    }
    async fn label(&self, _run: &RunId) -> Result<Label, String> {
        Ok(*self.0.lock().unwrap())
    }
}

/// A call by somebody of a tenant.
pub(crate) fn call(tenant: &str, target: Target, arguments: &str) -> Call {
    let parsed = json::parse(arguments.as_bytes(), json::Limits::default()).unwrap();
    Call {
        principal: Arc::new(Principal::new("keys", "ann", PrincipalKind::Person, tenant, AuthMethod::ApiKey)),
        run: RunId::new("run-1"),
        target,
        arguments: Arguments::from_json(&parsed).unwrap(),
        origin: Origin {
            transport: Transport::Http,
            protocol: "2026-07-28",
            client: None,
            peer: "127.0.0.1:1".into(),
            session: None,
            traceparent: None,
        },
        cancel: Default::default(),
        sink: None,
    }
}
