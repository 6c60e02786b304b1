//! `token issue|narrow|list|rotate|jwks`: this server's own short-lived credentials.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use countersign_core::Principal;
use countersign_identity::{
    CREDENTIAL_ISSUER, CredentialStore, Grant, Issued, IssuedRecord, Narrowing, StoreError, Timestamp,
};
use countersign_state::{StopKind, StopRow};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    super::{configuration, runtime},
    args::{Issue, Narrow},
    write_down,
};
use crate::{
    config::Config,
    credentials::on_record,
    print::{Exit, Failure, Outcome, Printer, Style, line},
    state,
};

/// Longer than any credential.
const MAX_INPUT: u64 = 64 << 10;

/// Issues a credential.
pub(super) fn issue(args: &Issue, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let grant = Grant {
        subject: args.subject.clone(),
        kind: args.kind.into(),
        tenant: args.tenant.clone(),
        roles: args.roles.clone(),
        scopes: args.scopes.clone(),
        tools: some(&args.tools),
        run: args.run.clone(),
        owner: args.owner.clone(),
    };
    let issued = store(&config)?.issue(&grant, &args.purpose, args.ttl, Timestamp::now()).map_err(failure)?;
    hand_out(&issued, "credential-issued", &config, args.out.as_deref(), printer)
}

/// Reads a credential from standard input and issues one that grants less.
pub(super) fn narrow(args: &Narrow, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let mut token = Zeroizing::new(String::new());
    io::stdin().take(MAX_INPUT).read_to_string(&mut token).map_err(Failure::usage)?;
    let to = Narrowing { scopes: some(&args.scopes), tools: some(&args.tools) };
    let issued = store(&config)?.narrow(token.trim(), &to, args.ttl, Timestamp::now()).map_err(failure)?;
    hand_out(&issued, "credential-narrowed", &config, args.out.as_deref(), printer)
}

/// Lets a new key sign.
pub(super) fn rotate(at_once: bool, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let kid = store(&config)?.rotate(at_once, Timestamp::now()).map_err(failure)?;
    let how = if at_once { "the old ones ended at once" } else { "the old ones end with what they signed" };
    write_down("credential-key-rotated", &config, &format!("{kid} signs, {how}"))?;
    if printer.json {
        printer.value(&json!({ "kid": kid, "at_once": at_once }));
        return Ok(Exit::Ok);
    }
    printer.say(&match at_once {
        true => {
            format!("{kid} signs from now on; running servers refuse every older credential within a second")
        }
        false => format!("{kid} signs from now on; older credentials go on until they end"),
    });
    Ok(Exit::Ok)
}

/// Prints the public keys.
pub(super) fn jwks(file: &Path, printer: Printer) -> Outcome {
    printer.say(&store(&configuration(file)?)?.jwks().map_err(failure)?);
    Ok(Exit::Ok)
}

/// Lists the living credentials.
pub(super) fn list(file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let now = Timestamp::now();
    let records = store(&config)?.list(now).map_err(failure)?;
    let stops = async { state::store(&config.state).await?.stops().await };
    let stops = runtime()?.block_on(stops).map_err(Failure::unavailable)?;
    if printer.json {
        printer.value(&records.iter().map(|record| row(record, &stops)).collect::<Vec<_>>());
        return Ok(Exit::Ok);
    }
    if records.is_empty() {
        printer.say("no credential is alive; `countersign token issue` makes one");
        return Ok(Exit::Ok);
    }
    let header = format!(
        "{:<23}{:<9}{:<9}{:<24}{:<24}{:<24}{}",
        "ID", "STATE", "ENDS IN", "SUBJECT@TENANT", "SCOPES", "TOOLS", "PURPOSE"
    );
    printer.say(&printer.styled(Style::Title, &header));
    for record in &records {
        let IssuedRecord { id, grant, purpose, expires, .. } = record;
        let standing = standing(record, &stops);
        let style = if standing == "active" { Style::Good } else { Style::Dim };
        // Padding counts characters, so it is applied before colour.
        let standing = printer.styled(style, &format!("{standing:<9}"));
        let left = expires.since(now).as_secs();
        let left = format!("{}m{:02}s", left / 60, left % 60);
        let who = line(&format!("{}@{}", grant.subject, grant.tenant));
        let scopes = line(&grant.scopes.join(","));
        let tools = grant.tools.as_ref().map_or("any".to_owned(), |tools| line(&tools.join(",")));
        let purpose = line(purpose);
        printer.say(&format!("{id:<23}{standing}{left:<9}{who:<24}{scopes:<24}{tools:<24}{purpose}"));
    }
    Ok(Exit::Ok)
}

/// `active`, `frozen` or `revoked`: what operators did to it, to what it was narrowed from, or to whom it is for.
fn standing(record: &IssuedRecord, stops: &[StopRow]) -> &'static str {
    let grant = &record.grant;
    let key = Principal::key_of(CREDENTIAL_ISSUER, &grant.subject);
    let run = grant.run_id();
    let meets = |stop: &&StopRow| match stop.kind {
        StopKind::Credential => stop.what == record.id || record.ancestors.contains(&stop.what),
        StopKind::Principal => stop.what == key,
        StopKind::Tenant => stop.what == grant.tenant,
        StopKind::Owner => grant.owner.as_ref() == Some(&stop.what),
        StopKind::Run => run.as_ref().is_some_and(|run| run.as_str() == stop.what),
        StopKind::Everything => true,
        StopKind::Tool | StopKind::Token => false,
    };
    let met: Vec<&StopRow> = stops.iter().filter(meets).collect();
    match met.iter().all(|stop| stop.frozen) {
        true if met.is_empty() => "active",
        true => "frozen",
        false => "revoked",
    }
}

/// INVARIANT: a credential that is not on record is not shown.
fn hand_out(issued: &Issued, event: &str, config: &Config, out: Option<&Path>, printer: Printer) -> Outcome {
    let IssuedRecord { id, grant, expires, .. } = &issued.record;
    // MUTATE(G5-issue-record): a credential is issued off the record
    write_down(event, config, &on_record(&issued.record))?;
    if let Some(path) = out {
        write_private(path, &issued.token)
            .map_err(|e| Failure::unavailable(anyhow::anyhow!("cannot write `{}`: {e}", path.display())))?;
    }
    if printer.json {
        let mut value = row(&issued.record, &[]);
        if let (Some(object), None) = (value.as_object_mut(), out) {
            object.insert("token".into(), issued.token.as_str().into());
        }
        printer.value(&value);
        return Ok(Exit::Ok);
    }
    let shown = match out {
        None => {
            printer.say(&issued.token);
            "It is shown this once.".to_owned()
        }
        Some(path) => format!("It is in `{}`.", path.display()),
    };
    printer.note(&format!(
        "{id} for {}@{}, until {expires}. {shown} End it with `countersign token revoke {id}`.",
        line(&grant.subject),
        line(&grant.tenant),
    ));
    Ok(Exit::Ok)
}

/// Writes a secret to a file that is not there yet and that nobody else can read.
fn write_private(path: &Path, secret: &str) -> io::Result<()> {
    // MUTATE(G5-out): anybody on the machine can read the credential
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

fn store(config: &Config) -> Result<CredentialStore, Failure> {
    let own = config.identity.credentials.as_ref().ok_or_else(|| {
        Failure::config("`[identity.credentials]` is not in the configuration, so there are no credentials of this server's own")
            .help("add the table, and `identity.resource`; see docs/identity.md")
    })?;
    Ok(CredentialStore::at(&own.file, own.profile.clone()))
}

fn some(names: &[String]) -> Option<Vec<String>> {
    (!names.is_empty()).then(|| names.to_vec())
}

fn row(record: &IssuedRecord, stops: &[StopRow]) -> serde_json::Value {
    let IssuedRecord { id, grant, purpose, kid, issued, expires, ancestors } = record;
    json!({
        "id": id,
        "state": standing(record, stops),
        "subject": grant.subject,
        "kind": grant.kind,
        "tenant": grant.tenant,
        "roles": grant.roles,
        "scopes": grant.scopes,
        "tools": grant.tools,
        "run": grant.run_id(),
        "owner": grant.owner,
        "purpose": purpose,
        "kid": kid,
        "issued": issued.to_string(),
        "expires": expires.to_string(),
        "narrowed_from": ancestors,
    })
}

fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::File(_) | StoreError::Full | StoreError::Key => Failure::unavailable(error),
        refused => Failure::usage(refused),
    }
}
