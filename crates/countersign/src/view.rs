//! The operator's view: every decision as it is made, one line each on standard error.
//!
//! On a terminal a line is for a person; otherwise it is one JSON object. Every text of a call passes the redactor and is kept on one
//! line, so that nothing a caller sends can forge an entry, move the cursor, or show a secret.

use std::{
    borrow::Cow,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use countersign_core::{CallId, ports::Observer, record::Summary};
use countersign_redact::Redactor;
use serde::Serialize;
use serde_json::json;

use crate::print::{Printer, Style, stderr_is_terminal};

#[cfg(test)]
mod tests;

/// Objects that a line names before it only counts them.
const SHOWN_OBJECTS: usize = 3;
/// Characters of one text on a line.
const SHOWN_CHARS: usize = 120;
/// Lines that wait for a slow terminal or pipe.
const QUEUE: usize = 4096;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(10);

/// Prints decisions. INVARIANT: whoever calls never waits for the terminal; what it cannot take is counted and left out (the audit log
/// has it all).
pub(crate) struct View {
    redactor: Redactor,
    printer: Printer,
    people: bool,
    dropped: Arc<AtomicU64>,
    queue: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl View {
    /// A view on standard error: lines for people on a terminal, unless `printer` was asked for JSON.
    pub(crate) fn new(redactor: Redactor, printer: Printer) -> View {
        let (queue, lines) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let writer =
            thread::Builder::new().name("view".into()).spawn(move || write(printer, &lines, &counter));
        let people = stderr_is_terminal() && !printer.json;
        View { redactor, printer, people, dropped, queue: Some(queue), writer: writer.ok() }
    }

    /// Something that is no call, such as a reload.
    pub(crate) fn notice(&self, text: &str) {
        if self.people {
            text.lines().for_each(|line| self.put(format!("          {}", self.redactor.line(line))));
        } else {
            self.put(json!({"notice": self.redactor.line(text)}).to_string());
        }
    }

    fn put(&self, line: String) {
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(line).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn line(&self, summary: &Summary<'_>, cause: Option<&str>) -> String {
        // MUTATE(K2-view): the operator's view shows secrets and hidden characters
        let shown = |text: &str| cut(&self.redactor.line(text));
        let style = |style: Style, text: &str| self.printer.on_err(style, text);
        let (mark, colour) = match summary.result {
            "ok" => ("✓", Style::Good),
            "failed" | "tool-error" | "deadline" | "cancelled" => ("!", Style::Warn),
            "not-approved" => ("…", Style::Warn),
            _ => ("✗", Style::Bad),
        };
        let principal = summary.principal;
        let who = format!("{}@{}", shown(principal.subject()), shown(principal.tenant()));
        let clock = style(Style::Dim, &clock(summary.at));
        let mut line = format!("{clock} {} {who}  {}", style(colour, mark), shown(summary.tool));
        if summary.result != "ok" {
            let _ = write!(line, "  {}", style(colour, &shown(summary.result)));
            if !summary.message.is_empty() {
                let _ = write!(line, ": {}", shown(summary.message));
            }
        }
        // A refusal's message names what was refused.
        let tables = tables(summary.touched.iter().map(String::as_str));
        if summary.result == "ok" && !tables.is_empty() {
            let named: Vec<String> = tables.iter().take(SHOWN_OBJECTS).map(|one| shown(one)).collect();
            let more = tables.len().saturating_sub(SHOWN_OBJECTS);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(line, "  {}", style(Style::Dim, &format!("{}{rest}", named.join(", "))));
        }
        if summary.result == "ok" {
            let _ = write!(line, "  {} row{}", summary.rows, if summary.rows == 1 { "" } else { "s" });
        }
        let _ =
            write!(line, "  {}  {}", millis(summary.micros), style(Style::Dim, &summary.call.to_string()));
        if let Some(cause) = cause {
            let _ = write!(line, "  cause: {}", shown(cause));
        }
        line
    }

    fn json(&self, summary: &Summary<'_>, cause: Option<&str>) -> String {
        let principal = summary.principal;
        let all = |texts: &'_ [String]| -> Vec<String> {
            texts.iter().map(|one| self.redactor.line(one).into_owned()).collect()
        };
        let shown = Shown {
            t: summary.at,
            call: summary.call,
            issuer: self.redactor.line(principal.issuer()),
            subject: self.redactor.line(principal.subject()),
            tenant: self.redactor.line(principal.tenant()),
            tool: self.redactor.line(summary.tool),
            result: self.redactor.line(summary.result),
            message: self.redactor.line(summary.message),
            touched: all(summary.touched),
            policies: all(summary.policies),
            rows: summary.rows,
            micros: summary.micros,
            cause: cause.map(|text| self.redactor.line(text)),
        };
        serde_json::to_string(&shown)
            .unwrap_or_else(|_| r#"{"notice":"a decision could not be shown"}"#.into())
    }
}

/// A decision for programs, each text redacted and on one line.
#[derive(Serialize)]
struct Shown<'a> {
    t: u64,
    call: CallId,
    issuer: Cow<'a, str>,
    subject: Cow<'a, str>,
    tenant: Cow<'a, str>,
    tool: Cow<'a, str>,
    result: Cow<'a, str>,
    message: Cow<'a, str>,
    touched: Vec<String>,
    policies: Vec<String>,
    rows: u64,
    micros: u64,
    cause: Option<Cow<'a, str>>,
}

impl Observer for View {
    fn decided(&self, summary: &Summary<'_>, cause: Option<&str>) {
        let text = if self.people { self.line(summary, cause) } else { self.json(summary, cause) };
        self.put(text);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes lines as they come, several at once when they come fast.
fn write(printer: Printer, lines: &Receiver<String>, dropped: &AtomicU64) {
    while let Ok(mut text) = lines.recv() {
        // While this thread sleeps nobody has to wake it: under load one write shows many decisions.
        thread::sleep(GATHER);
        for line in lines.try_iter().take(QUEUE) {
            text.push('\n');
            text.push_str(&line);
        }
        let missed = dropped.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let _ = write!(
                text,
                "\n{}",
                json!({"notice": format!("{missed} decisions were not shown; the audit log has them")})
            );
        }
        printer.note(&text);
    }
}

/// What a call touched, in short: its tables, or all there is when it touched none.
pub(crate) fn tables<'a>(accesses: impl Iterator<Item = &'a str> + Clone) -> Vec<&'a str> {
    let tables: Vec<&str> = accesses.clone().filter(|access| access.contains(" table ")).collect();
    if tables.is_empty() { accesses.collect() } else { tables }
}

/// The first characters of a text, marked where it was cut.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The time of day in UTC: `11:32:07Z`.
fn clock(micros: u64) -> String {
    let second = micros / 1_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

fn millis(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros / 100 % 10)
}
