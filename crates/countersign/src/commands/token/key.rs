//! `token key create|list|revoke|renew`: the life of API keys.

use std::{path::Path, time::Duration};

use countersign_identity::{KeyFileError, KeyRecord, KeyStore, Minted, NewKey, Timestamp};
use serde_json::json;

use super::{super::configuration, args::KeyCommand, write_down};
use crate::{
    config::Config,
    print::{Exit, Failure, Outcome, Printer, Style, line},
};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Runs the command.
pub(super) fn run(command: &KeyCommand, file: &Path, printer: Printer) -> Outcome {
    let config = configuration(file)?;
    let store = KeyStore::at(&config.identity.keys);
    let now = Timestamp::now();
    match command {
        KeyCommand::Create { subject, tenant, roles, claims, kind, days } => {
            let new = NewKey {
                subject: subject.clone(),
                kind: (*kind).into(),
                tenant: tenant.clone(),
                roles: roles.clone(),
                claims: claims.iter().cloned().collect(),
                lifetime: Duration::from_secs(u64::from(*days) * DAY),
            };
            let minted = store.mint(new, now).map_err(failure)?;
            created(&minted.record, &config)?;
            hand_out(&minted, printer);
            if roles.is_empty() && !printer.json {
                printer
                    .note("note: the key has no role; policies that ask for one will not permit it anything");
            }
        }
        KeyCommand::Renew { id, days, overlap_hours } => {
            let lifetime = Duration::from_secs(u64::from(*days) * DAY);
            let overlap = Duration::from_secs(u64::from(*overlap_hours) * HOUR);
            let minted = store.renew(id, lifetime, overlap, now).map_err(failure)?;
            let detail = format!(
                "{} in place of {id}, which goes on for at most {overlap_hours} hours",
                about(&minted.record)
            );
            write_down("api-key-renewed", &config, &detail)?;
            hand_out(&minted, printer);
            if !printer.json {
                printer.note(&format!(
                    "note: the old key goes on for at most {overlap_hours} hours; change your clients by then"
                ));
            }
        }
        KeyCommand::Revoke { id } => {
            // The revocation comes first: a record that cannot be written must not keep an operator from it.
            let record = store.revoke(id, now).map_err(failure)?;
            write_down("api-key-revoked", &config, &about(&record))?;
            if printer.json {
                printer.value(&row(&record, now));
            } else {
                printer.say(&format!("{} is revoked; running servers refuse it within a second", record.id));
            }
        }
        KeyCommand::List => list(&store.list().map_err(failure)?, now, printer),
    }
    Ok(Exit::Ok)
}

/// Puts a new key on record. INVARIANT: one that is not there is not shown, so that nobody has it.
pub(crate) fn created(key: &KeyRecord, config: &Config) -> Result<(), Failure> {
    // MUTATE(L5-key-record): a key is minted off the record
    write_down("api-key-created", config, &about(key))
}

/// A key as records name it: whose it is, and what it is worth.
fn about(key: &KeyRecord) -> String {
    let claims: Vec<String> = key.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "{} for {}@{}, {:?}, roles [{}], claims [{}], until {}",
        key.id,
        key.subject,
        key.tenant,
        key.kind,
        key.roles.join(" "),
        claims.join(" "),
        key.expires
    )
}

/// Shows a key: the only time.
fn hand_out(minted: &Minted, printer: Printer) {
    let (key, record) = (minted.key.reveal(), &minted.record);
    if printer.json {
        let mut value = row(record, record.created);
        if let Some(object) = value.as_object_mut() {
            object.insert("key".into(), key.into());
        }
        printer.value(&value);
        return;
    }
    printer.say(key);
    printer.note(&format!(
        "{} for {}@{}, valid until {}. It is shown this once; only its hash is stored.",
        record.id,
        line(&record.subject),
        line(&record.tenant),
        record.expires.date()
    ));
}

fn list(keys: &[KeyRecord], now: Timestamp, printer: Printer) {
    if printer.json {
        printer.value(&keys.iter().map(|key| row(key, now)).collect::<Vec<_>>());
        return;
    }
    if keys.is_empty() {
        printer.say("no keys; `countersign token key create` mints one");
        return;
    }
    let header = format!(
        "{:<14}{:<9}{:<12}{:<24}{:<10}{}",
        "ID", "STATE", "EXPIRES", "SUBJECT@TENANT", "KIND", "ROLES"
    );
    printer.say(&printer.styled(Style::Title, &header));
    for key in keys {
        let state = state(key, now);
        let style = if state == "active" { Style::Good } else { Style::Dim };
        let who = line(&format!("{}@{}", key.subject, key.tenant));
        // Padding counts characters, so it is applied before colour.
        let state = printer.styled(style, &format!("{state:<9}"));
        let kind = format!("{:?}", key.kind).to_lowercase();
        let roles = line(&key.roles.join(", "));
        printer.say(&format!(
            "{:<14}{state}{:<12}{who:<24}{kind:<10}{roles}",
            line(&key.id),
            key.expires.date()
        ));
    }
}

/// `active`, `expired` or `revoked`.
pub(crate) fn state(key: &KeyRecord, now: Timestamp) -> &'static str {
    match key.revoked {
        Some(_) => "revoked",
        None if now >= key.expires => "expired",
        None => "active",
    }
}

fn row(key: &KeyRecord, now: Timestamp) -> serde_json::Value {
    json!({
        "id": key.id,
        "state": state(key, now),
        "subject": key.subject,
        "kind": key.kind,
        "tenant": key.tenant,
        "roles": key.roles,
        "claims": key.claims,
        "created": key.created.to_string(),
        "expires": key.expires.to_string(),
        "revoked": key.revoked.map(|time| time.to_string()),
        "renews": key.renews,
    })
}

fn failure(error: KeyFileError) -> Failure {
    match error {
        KeyFileError::Name(_) | KeyFileError::UnknownId { .. } | KeyFileError::Revoked { .. } => {
            Failure::usage(error)
        }
        other => Failure::unavailable(other),
    }
}
