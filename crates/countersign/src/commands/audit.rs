//! `audit verify|tail|search|prove`: the record of calls, for the operator and for the auditor.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use countersign_audit::{Entry, ProveError, Query, VerifyOptions, prove_call, read, search, verify};
use countersign_identity::Timestamp;
use serde_json::Value;

use super::configuration;
use crate::{
    cli::{AuditCommand, LogDir},
    print::{Exit, Failure, Outcome, Printer, Style, line},
    view::tables,
};

/// How often `tail --follow` looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs the command.
pub(crate) fn run(command: &AuditCommand, file: &Path, printer: Printer) -> Outcome {
    match command {
        AuditCommand::Verify { dir, since, vkey } => check(dir, since, vkey.as_deref(), printer),
        AuditCommand::Tail { log, lines, follow } => tail(&directory(log, file)?, *lines, *follow, printer),
        AuditCommand::Search { log, text, principal, tool, decision, since, until, lines } => {
            let micros = |time: &Timestamp| time.unix().saturating_mul(1_000_000);
            let query = Query {
                call: None,
                principal: principal.clone(),
                tool: tool.clone(),
                decision: decision.clone(),
                since: since.as_ref().map(micros),
                until: until.as_ref().map(micros),
                text: text.clone(),
            };
            find(&directory(log, file)?, query, *lines, printer)
        }
        AuditCommand::Prove { log, call } => prove(&directory(log, file)?, call, printer),
    }
}

/// The log that a command is about.
pub(crate) fn directory(log: &LogDir, file: &Path) -> Result<PathBuf, Failure> {
    let dir = match &log.dir {
        Some(dir) => dir.clone(),
        None => configuration(file)?.audit.dir,
    };
    match fs::metadata(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Failure::unavailable(anyhow::anyhow!(
            "there is no audit log in `{}`",
            dir.display()
        ))
        .help(
            "the first start of `countersign serve` or `countersign stdio` makes it; `--dir` names another",
        )),
        _ => Ok(dir),
    }
}

fn check(dir: &Path, since: &[PathBuf], vkey: Option<&str>, printer: Printer) -> Outcome {
    let kept = |path: &PathBuf| {
        fs::read_to_string(path)
            .map_err(|e| Failure::unavailable(anyhow::anyhow!("cannot read `{}`: {e}", path.display())))
    };
    let notes: Vec<String> = since.iter().map(kept).collect::<Result<_, _>>()?;
    let since = (!notes.is_empty()).then(|| notes.join("\n"));
    let options = VerifyOptions { vkey: vkey.map(str::to_owned), since };
    let report = verify(dir, &options).map_err(Failure::unavailable)?;
    if printer.json {
        printer.value(&report);
    } else {
        for text in report.to_string().lines() {
            let style = match text {
                bad if bad.starts_with("PROBLEM") || bad.starts_with("NOT") => Some(Style::Bad),
                good if good.starts_with("verified") => Some(Style::Good),
                _ => None,
            };
            let text = line(text);
            printer.say(&style.map_or(text.clone(), |style| printer.styled(style, &text)));
        }
    }
    Ok(if report.ok() { Exit::Ok } else { Exit::No })
}

fn tail(dir: &Path, lines: usize, follow: bool, printer: Printer) -> Outcome {
    let mut entries = read(dir).map_err(Failure::unavailable)?;
    let mut latest = VecDeque::new();
    for entry in entries.by_ref() {
        latest.push_back(entry.map_err(Failure::unavailable)?);
        if latest.len() > lines {
            latest.pop_front();
        }
    }
    latest.iter().for_each(|entry| show(entry, printer));
    if !follow {
        return Ok(Exit::Ok);
    }
    loop {
        for entry in entries.by_ref() {
            show(&entry.map_err(Failure::unavailable)?, printer);
        }
        thread::sleep(PAUSE);
    }
}

fn find(dir: &Path, query: Query, lines: usize, printer: Printer) -> Outcome {
    let mut latest = VecDeque::new();
    for entry in search(read(dir).map_err(Failure::unavailable)?, query) {
        latest.push_back(entry.map_err(Failure::unavailable)?);
        if latest.len() > lines {
            latest.pop_front();
        }
    }
    latest.iter().for_each(|entry| show(entry, printer));
    Ok(if latest.is_empty() { Exit::No } else { Exit::Ok })
}

fn prove(dir: &Path, call: &str, printer: Printer) -> Outcome {
    match prove_call(dir, call) {
        Ok(proofs) => {
            printer.value(&proofs);
            Ok(Exit::Ok)
        }
        Err(ProveError::NotFound) => {
            printer.note("no record names that call");
            Ok(Exit::No)
        }
        Err(error) => Err(Failure::unavailable(error)),
    }
}

/// One record: as it was written, or as a line for people.
pub(crate) fn show(entry: &Entry, printer: Printer) {
    let text = String::from_utf8_lossy(&entry.bytes);
    match serde_json::from_slice::<Value>(&entry.bytes) {
        // Records are JSON, so that control characters are escaped in them; hidden ones are shown as well.
        _ if printer.json => printer.say(&line(&text)),
        Ok(record) => printer.say(&summary(&record, printer)),
        Err(_) => printer.say(&line(&text)),
    }
}

fn summary(record: &Value, printer: Printer) -> String {
    let text = |pointer: &str| line(record.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    let number = |pointer: &str| record.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let time = Timestamp::from_unix(number("/t") / 1_000_000);
    let kind = text("/kind");
    let style = match (kind.as_str(), text("/result").as_str()) {
        ("refusal", _) => Style::Bad,
        ("outcome", "ok") | ("intent", _) => Style::Good,
        ("outcome", _) => Style::Warn,
        _ => Style::Dim,
    };
    let who = format!("{}@{}", text("/who/subject"), text("/who/tenant"));
    let touched = || {
        let items =
            record.pointer("/accesses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        tables(items.iter().filter_map(Value::as_str)).into_iter().map(line).collect::<Vec<_>>().join(", ")
    };
    let rest = match kind.as_str() {
        "intent" | "preview" => format!("{who}  {}  {}", text("/tool"), touched()),
        "refusal" => format!("{who}  {}  {}: {}", text("/tool"), text("/code"), text("/message")),
        "outcome" => format!("{}  {} rows  {} µs", text("/result"), number("/rows"), number("/micros")),
        _ => format!("{}  {}", text("/event"), text("/detail")),
    };
    let head = printer.styled(Style::Dim, &time.to_string());
    let kind = printer.styled(style, &format!("{kind:<12}"));
    format!("{head}  {kind}  {rest}  {}", printer.styled(Style::Dim, &text("/call"))).trim_end().to_owned()
}
