//! `freeze`, `thaw` and `revoke`: the kill switch. Works beside running servers, which notice within a second.

use std::{path::Path, time::Duration};

use clap::{ArgGroup, Args};
use countersign_core::Principal;
use countersign_identity::{CREDENTIAL_ISSUER, CredentialStore, Timestamp};
use countersign_redact::Redactor;
use countersign_state::{StopKind, StopRow, token};
use serde_json::json;

use super::{configuration, record, runtime};
use crate::{
    config::Config,
    print::{Exit, Failure, Outcome, Printer, Style, line},
    runtime::unix_micros,
    state,
};

/// What to freeze or thaw; nothing named means everything.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what"))]
pub(crate) struct Freeze {
    /// All calls of this tenant
    #[arg(long, group = "what")]
    tenant: Option<String>,
    /// All calls of this principal
    #[arg(long, group = "what", num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    principal: Option<Vec<String>>,
    /// All calls of agents that act for this person
    #[arg(long, group = "what", value_name = "PERSON")]
    owner: Option<String>,
    /// All calls of this tool
    #[arg(long, group = "what")]
    tool: Option<String>,
    /// Why; goes on record
    #[arg(long, default_value = "")]
    reason: String,
}

/// What to thaw.
#[derive(Args, Debug)]
pub(crate) struct Thaw {
    #[command(flatten)]
    what: Freeze,
    /// Only show what is frozen and revoked
    #[arg(long)]
    list: bool,
}

/// What to revoke, for good.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("whom").required(true))]
pub(crate) struct Revoke {
    /// A credential, by its id
    #[arg(group = "whom", value_name = "ID")]
    id: Option<String>,
    /// A credential, by its id, such as that of an API key
    #[arg(long, group = "whom", value_name = "ID")]
    credential: Option<String>,
    /// A principal, with whatever credential
    #[arg(long, group = "whom", num_args = 2, value_names = ["ISSUER", "SUBJECT"])]
    principal: Option<Vec<String>>,
    /// All agents that act for this person
    #[arg(long, group = "whom", value_name = "PERSON")]
    owner: Option<String>,
    /// An agent that holds credentials of this server, by its name there
    #[arg(long, group = "whom", value_name = "SUBJECT")]
    agent: Option<String>,
    /// A session, by its digest in the record
    #[arg(long, group = "whom", value_name = "DIGEST")]
    session: Option<String>,
    /// A run or session, by the id in the record
    #[arg(long, group = "whom", value_name = "ID")]
    run: Option<String>,
    /// A token of an issuer, by its `jti`
    #[arg(long, group = "whom", num_args = 2, value_names = ["ISSUER", "JTI"])]
    token: Option<Vec<String>>,
    /// Why; goes on record
    #[arg(long, default_value = "")]
    reason: String,
}

/// What a command line names: the kind, its name in the state, and for people.
struct Named {
    kind: StopKind,
    what: String,
    shown: String,
}

impl Named {
    fn simple(kind: StopKind, what: &str) -> Named {
        Named { kind, what: what.to_owned(), shown: format!("{} {what}", kind.name()) }
    }

    fn pair(kind: StopKind, pair: &[String]) -> Option<Named> {
        let [issuer, name] = pair else { return None };
        let what = match kind {
            StopKind::Token => token(issuer, name),
            _ => Principal::key_of(issuer, name),
        };
        Some(Named { kind, what, shown: format!("{} {name} of {issuer}", kind.name()) })
    }
}

impl Named {
    /// INVARIANT: whatever a token's own claims call its issuer and itself, revoking by these ends it: a credential of this server's own is
    /// known by its id alone.
    fn token(pair: &[String], config: &Config) -> Option<Named> {
        let [issuer, jti] = pair else { return None };
        let own = config.identity.credentials.as_ref().map(|own| own.profile.address.as_str());
        // MUTATE(G5-own-jti): a credential that is named by issuer and `jti` is said to be revoked and goes on
        match [own, Some(CREDENTIAL_ISSUER)].contains(&Some(issuer)) {
            true => Some(Named::simple(StopKind::Credential, jti)),
            false => Named::pair(StopKind::Token, pair),
        }
    }
}

impl Freeze {
    fn named(&self) -> Option<Named> {
        let simple =
            [(StopKind::Tenant, &self.tenant), (StopKind::Owner, &self.owner), (StopKind::Tool, &self.tool)];
        let named = simple
            .into_iter()
            .find_map(|(kind, what)| what.as_deref().map(|what| Named::simple(kind, what)))
            .or_else(|| Named::pair(StopKind::Principal, self.principal.as_deref()?));
        named.or_else(|| {
            let everything = Named {
                kind: StopKind::Everything,
                what: String::new(),
                shown: StopKind::Everything.name().to_owned(),
            };
            self.principal.is_none().then_some(everything)
        })
    }
}

impl Revoke {
    fn named(&self, config: &Config) -> Option<Named> {
        if let Some(agent) = &self.agent {
            let what = Principal::key_of(CREDENTIAL_ISSUER, agent);
            return Some(Named { kind: StopKind::Principal, what, shown: format!("agent {agent}") });
        }
        if let Some(session) = &self.session {
            let what = format!("session-{session}");
            return Some(Named { kind: StopKind::Run, what, shown: format!("session {session}") });
        }
        let simple = [
            (StopKind::Credential, &self.id),
            (StopKind::Credential, &self.credential),
            (StopKind::Owner, &self.owner),
            (StopKind::Run, &self.run),
        ];
        simple
            .into_iter()
            .find_map(|(kind, what)| what.as_deref().map(|what| Named::simple(kind, what)))
            .or_else(|| Named::pair(StopKind::Principal, self.principal.as_deref()?))
            .or_else(|| Named::token(self.token.as_deref()?, config))
    }
}

/// Runs `freeze`.
pub(crate) fn freeze(args: &Freeze, file: &Path, printer: Printer) -> Outcome {
    stop(args.named(), true, &args.reason, &configuration(file)?, printer)
}

/// Runs `revoke`.
pub(crate) fn revoke(args: &Revoke, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    stop(args.named(&config), false, &args.reason, &config, printer)
}

fn stop(named: Option<Named>, frozen: bool, reason: &str, config: &Config, printer: Printer) -> Outcome {
    let named = named.ok_or_else(|| Failure::usage("name exactly one thing to stop"))?;
    let runtime = runtime()?;
    let store = runtime.block_on(state::store(&config.state)).map_err(Failure::unavailable)?;
    let operator = operator();
    let until = match (named.kind, frozen) {
        (StopKind::Credential, false) => ends(config, &named.what),
        _ => None,
    };
    let row = StopRow {
        kind: named.kind,
        what: named.what,
        frozen,
        reason: reason.to_owned(),
        operator: operator.clone(),
        at: unix_micros(),
        until,
    };
    // The stop comes first: a record that cannot be written must not keep an operator from stopping things.
    runtime.block_on(store.stop(row)).map_err(Failure::unavailable)?;
    let event = if frozen { "freeze" } else { "revoke" };
    let redactor = config.secret_set().map(Redactor::new).map_err(Failure::config)?;
    let detail = format!("{} by {operator}: {reason}", named.shown);
    record(config, &redactor, &runtime, event, &detail)?;
    if printer.json {
        printer.value(&json!({ "stopped": named.kind.name(), "frozen": frozen }));
        return Ok(Exit::Ok);
    }
    let shown = line(&named.shown);
    printer.say(&match frozen {
        true => format!(
            "{shown} is frozen; running servers refuse such calls within a second; `countersign thaw` ends it"
        ),
        false => format!("{shown} is revoked; running servers refuse it within a second, open streams end"),
    });
    Ok(Exit::Ok)
}

/// When a credential of this server's own has ended everywhere, so that its revocation need not be kept; in microseconds since 1970.
fn ends(config: &Config, id: &str) -> Option<u64> {
    let own = config.identity.credentials.as_ref()?;
    let alive = CredentialStore::at(&own.file, own.profile.clone()).list(Timestamp::now()).ok()?;
    let ends = alive.into_iter().find(|record| record.id == id)?.expires;
    ends.after(CLOCKS).unix().checked_mul(1_000_000)
}

/// How far the clocks of servers may be apart.
const CLOCKS: Duration = Duration::from_secs(3600);

/// Who runs this command, as the operating system knows it.
fn operator() -> String {
    format!("uid {}", countersign_identity::process_uid().0)
}

/// Runs `thaw`.
pub(crate) fn thaw(args: &Thaw, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let runtime = runtime()?;
    let store = runtime.block_on(state::store(&config.state)).map_err(Failure::unavailable)?;
    if args.list {
        let rows = runtime.block_on(store.stops()).map_err(Failure::unavailable)?;
        list(&rows, printer);
        return Ok(Exit::Ok);
    }
    let named = args.what.named().ok_or_else(|| Failure::usage("name exactly one thing to thaw"))?;
    let redactor = config.secret_set().map(Redactor::new).map_err(Failure::config)?;
    let detail = format!("{} by {}: {}", named.shown, operator(), args.what.reason);
    // INVARIANT: nothing goes on again that is not on record.
    record(&config, &redactor, &runtime, "thaw", &detail)?;
    let thawed = runtime.block_on(store.thaw(named.kind, &named.what)).map_err(Failure::unavailable)?;
    if printer.json {
        printer.value(&json!({ "thawed": thawed }));
        return Ok(if thawed { Exit::Ok } else { Exit::No });
    }
    let shown = line(&named.shown);
    match thawed {
        true => printer.say(&format!("{shown} goes on again within a second")),
        false => printer.say(&format!(
            "{shown} was not frozen; `countersign thaw --list` shows what is, and what is revoked stays so"
        )),
    }
    Ok(if thawed { Exit::Ok } else { Exit::No })
}

fn list(rows: &[StopRow], printer: Printer) {
    if printer.json {
        let value = |row: &StopRow| {
            json!({ "kind": row.kind.name(), "what": row.what, "frozen": row.frozen, "reason": row.reason, "by": row.operator,
                    "at_micros": row.at })
        };
        printer.value(&rows.iter().map(value).collect::<Vec<_>>());
        return;
    }
    if rows.is_empty() {
        printer.say("nothing is frozen or revoked");
        return;
    }
    let header = format!("{:<9}{:<12}{:<40}{}", "STATE", "KIND", "WHAT", "REASON");
    printer.say(&printer.styled(Style::Title, &header));
    for row in rows {
        let state = if row.frozen { "frozen" } else { "revoked" };
        let (kind, what) = (row.kind.name(), line(&row.what));
        printer.say(&format!("{state:<9}{kind:<12}{what:<40}{}", line(&row.reason)));
    }
}
