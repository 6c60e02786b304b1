//! Operators' keys: made, enrolled, listed, revoked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use countersign_core::approval::Operator;
use countersign_identity::{Timestamp, check_name};
use countersign_state::{KeyRow, OperatorKey};
use serde_json::json;

use super::Office;
use crate::{
    print::{Exit, Failure, Outcome, Style, line},
    runtime::unix_micros,
};

pub(super) fn enroll(
    office: &Office,
    name: &str,
    also: &[String],
    tenant: Option<&str>,
    out: Option<&Path>,
) -> Outcome {
    for (what, text) in [("name", name)]
        .into_iter()
        .chain(also.iter().map(|s| ("subject", s.as_str())))
        .chain(tenant.map(|t| ("tenant", t)))
    {
        check_name(what, text).map_err(Failure::usage)?;
    }
    let path = out.map_or_else(|| PathBuf::from(format!("{name}.operator-key")), Path::to_owned);
    outside(office, &path)?;
    let key = OperatorKey::create(&path, name).map_err(Failure::unavailable)?;
    let operator =
        Operator { name: name.to_owned(), subjects: also.to_vec(), tenant: tenant.map(str::to_owned) };
    let enrolled = enrol(office, operator, &key);
    let Ok(row) = enrolled else {
        // The file is ours and of no use to anybody.
        let _ = fs::remove_file(&path);
        return enrolled.map(|_| Exit::Ok);
    };
    if office.printer.json {
        office.printer.value(&json!({"key": row_json(&row), "file": path}));
        return Ok(Exit::Ok);
    }
    office.printer.say(&format!(
        "{} is enrolled with key {}; the private key is in `{}`",
        line(name),
        row.id,
        path.display()
    ));
    office.printer.note(
        "The file has no passphrase: whoever can read it can approve. Keep it where the server and the agents cannot read it.",
    );
    Ok(Exit::Ok)
}

fn enrol(office: &Office, operator: Operator, key: &OperatorKey) -> Result<KeyRow, Failure> {
    let tenant = operator.tenant.as_deref().unwrap_or("any");
    let detail = format!(
        "{} key {} for tenant {tenant}, also {}",
        operator.name,
        key.id(),
        if operator.subjects.is_empty() { "nobody else".to_owned() } else { operator.subjects.join(" ") }
    );
    // INVARIANT: no key is enrolled that is not on record.
    office.record("operator-enrol", &detail)?;
    office.wait(office.desk.enroll(operator, key.public(), unix_micros()))
}

/// INVARIANT: a private key never lies where the server works: what can read its state could approve.
fn outside(office: &Office, path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = parent.canonicalize().map_err(|e| {
        Failure::unavailable(anyhow::anyhow!("cannot use the directory `{}`: {e}", parent.display()))
    })?;
    let config = &office.config;
    for own in [&config.state.dir, &config.audit.dir, &config.policy.dir] {
        if own.canonicalize().is_ok_and(|own| real.starts_with(own)) {
            return Err(Failure::usage(format!("`{}` lies in the server's own directories", path.display()))
                .help("keep the key elsewhere, with --out FILE"));
        }
    }
    Ok(())
}

pub(super) fn list(office: &Office) -> Outcome {
    let keys = office.wait(office.desk.keys())?;
    let printer = office.printer;
    if printer.json {
        printer.value(&keys.iter().map(row_json).collect::<Vec<_>>());
        return Ok(Exit::Ok);
    }
    if keys.is_empty() {
        printer.say(
            "no operator can approve anything yet; `countersign approvals enroll --name NAME` makes a key",
        );
        return Ok(Exit::Ok);
    }
    let header = format!("{:<22}{:<9}{:<20}{:<16}ALSO", "ID", "STATE", "NAME", "TENANT");
    printer.say(&printer.styled(Style::Title, &header));
    for key in &keys {
        let (state, style) =
            if key.revoked.is_some() { ("revoked", Style::Dim) } else { ("active", Style::Good) };
        printer.say(&format!(
            "{:<22}{}{:<20}{:<16}{}",
            line(&key.id),
            printer.styled(style, &format!("{state:<9}")),
            line(&key.name),
            line(key.tenant.as_deref().unwrap_or("any")),
            line(&key.subjects.join(" "))
        ));
    }
    Ok(Exit::Ok)
}

pub(super) fn revoke(office: &Office, id: &str) -> Outcome {
    office.record("operator-revoke", &format!("key {id}"))?;
    let row = office.wait(office.desk.revoke(id, unix_micros()))?;
    match office.printer.json {
        true => office.printer.value(&row_json(&row)),
        false => office.printer.say(&format!(
            "{} of {} is revoked; no signature of it counts any more, also none it gave before",
            row.id,
            line(&row.name)
        )),
    }
    Ok(Exit::Ok)
}

fn row_json(key: &KeyRow) -> serde_json::Value {
    let time = |micros: u64| Timestamp::from_unix(micros / 1_000_000).to_string();
    json!({
        "id": key.id, "name": key.name, "also": key.subjects, "tenant": key.tenant,
        "enrolled": time(key.enrolled), "revoked": key.revoked.map(time)
    })
}
