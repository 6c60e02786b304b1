//! `approvals list|show|approve|deny|enroll|keys`: people and the calls that wait for them. Works beside a running server, on the same state.

mod args;
mod keys;
mod show;

use std::{path::Path, sync::Arc, thread, time::Duration};

use countersign_core::approval::{Vote, people};
use countersign_identity::process_uid;
use countersign_redact::Redactor;
use countersign_state::{Case, Desk, OperatorKey, Outcome as Found, Stage, StateError};

pub(crate) use args::{ApprovalsCommand, KeysCommand};

use super::{configuration, record, runtime};
use crate::{
    config::Config,
    print::{Exit, Failure, Outcome, Printer},
    runtime::unix_micros,
    state,
};

/// Requests that a list shows.
const LISTED: u32 = 100;
/// How often `--watch` looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What every command here works with.
struct Office {
    config: Config,
    desk: Arc<Desk>,
    redactor: Redactor,
    printer: Printer,
    runtime: tokio::runtime::Runtime,
}

/// Runs the command.
pub(crate) fn run(command: &ApprovalsCommand, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let runtime = runtime()?;
    let desk = runtime.block_on(state::desk(&config.state)).map_err(Failure::unavailable)?;
    let redactor = config.secret_set().map(Redactor::new).map_err(Failure::config)?;
    let office = Office { config, desk, redactor, printer, runtime };
    match command {
        ApprovalsCommand::List { watch: false, all } => office.list(*all),
        ApprovalsCommand::List { watch: true, .. } => office.watch(),
        ApprovalsCommand::Show { id } => {
            let case = office.wait(office.desk.find(id, unix_micros()))?;
            show::whole(&case, &office.redactor, printer);
            Ok(Exit::Ok)
        }
        ApprovalsCommand::Approve(vote) => office.vote(vote, Vote::Approve),
        ApprovalsCommand::Deny(vote) => office.vote(vote, Vote::Deny),
        ApprovalsCommand::Resolve { call, outcome, note } => office.resolve(call, (*outcome).into(), note),
        ApprovalsCommand::Enroll { name, also, tenant, out } => {
            keys::enroll(&office, name, also, tenant.as_deref(), out.as_deref())
        }
        ApprovalsCommand::Keys(KeysCommand::List) => keys::list(&office),
        ApprovalsCommand::Keys(KeysCommand::Revoke { id }) => keys::revoke(&office, id),
    }
}

impl Office {
    fn list(&self, all: bool) -> Outcome {
        let mut cases = self.wait(self.desk.list(LISTED, unix_micros()))?;
        if !all {
            cases.retain(is_open);
        }
        show::list(&cases, &self.redactor, self.printer);
        Ok(Exit::Ok)
    }

    fn watch(&self) -> Outcome {
        let mut seen: Vec<String> = Vec::new();
        self.printer.note("waiting for requests; stop with Ctrl-C");
        loop {
            let cases = self.wait(self.desk.list(LISTED, unix_micros()))?;
            for case in cases.iter().rev().filter(|case| case.stage == Stage::Waiting) {
                if !seen.contains(&case.id) {
                    seen.push(case.id.clone());
                    show::line(case, &self.redactor, self.printer);
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Signs a vote, puts it on record, and stores it.
    fn vote(&self, args: &args::Vote, vote: Vote) -> Outcome {
        let key = OperatorKey::read(&args.key).map_err(Failure::unavailable)?;
        let now = unix_micros();
        let signed = self.wait(self.desk.sign(&args.id, &key, vote, &args.reason, now))?;
        let (id, name) = (signed.id.clone(), signed.operator.name.clone());
        let detail = format!("{} {id} digest {} by {name} with {}", vote.name(), signed.digest, key.id());
        // INVARIANT: no vote counts that is not on record.
        self.record("approval-vote", &detail)?;
        self.wait(self.desk.cast(signed))?;
        let case = self.wait(self.desk.find(&id, now))?;
        if self.printer.json {
            self.printer.value(&show::json(&case, &self.redactor));
            return Ok(Exit::Ok);
        }
        let have = people(&case.request.call, &case.approvers);
        let needed = usize::from(case.request.needed);
        self.printer.say(&match vote {
            Vote::Deny => format!("{id} is denied; the caller is told why when it repeats the call"),
            Vote::Approve if have >= needed => {
                format!("{id} is approved ({have} of {needed}); the caller may now repeat the call, which runs once")
            }
            Vote::Approve => format!("{id} has {have} of {needed} approvals; it waits for another person"),
        });
        Ok(Exit::Ok)
    }

    /// Puts on record what somebody found out about a call that was cut off, and settles it.
    fn resolve(&self, call: &str, outcome: Found, note: &str) -> Outcome {
        let case = self.wait(self.desk.doubtful(call, unix_micros()))?;
        let Stage::Used { call, .. } = &case.stage else {
            return Err(Failure::usage(format!("no call `{call}` is in doubt")));
        };
        let (uid, _) = process_uid();
        let detail = format!("call {call} approval {} {} by uid {uid}: {note}", case.id, outcome.name());
        // INVARIANT: no doubt ends that is not on record.
        self.record("approval-resolved", &detail)?;
        self.wait(self.desk.resolve(&case, outcome))?;
        if self.printer.json {
            let case = self.wait(self.desk.find(&case.id, unix_micros()))?;
            self.printer.value(&show::json(&case, &self.redactor));
            return Ok(Exit::Ok);
        }
        self.printer.say(&match outcome {
            Found::Ran => format!("call {call} took effect; its approval is used up"),
            Found::DidNotRun => {
                format!("call {call} did not run; its approval is used up, and the call may be made again")
            }
        });
        Ok(Exit::Ok)
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, StateError>>) -> Result<T, Failure> {
        self.runtime.block_on(work).map_err(|error| match error {
            StateError::Refused(why) => Failure::usage(why),
            other => Failure::unavailable(other),
        })
    }

    /// Writes an event to the audit log, durable before this returns.
    fn record(&self, event: &str, detail: &str) -> Result<(), Failure> {
        record(&self.config, &self.redactor, &self.runtime, event, detail)
    }
}

/// Whether somebody may still have to do something about it.
fn is_open(case: &Case) -> bool {
    match &case.stage {
        Stage::Waiting | Stage::Approved => true,
        Stage::Used { end, .. } => matches!(end.as_str(), "running" | "in doubt"),
        Stage::Denied | Stage::Expired => false,
    }
}
