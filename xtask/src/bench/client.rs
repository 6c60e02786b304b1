//! The load client: many callers on one thread, each with one connection kept open, each with one call under way.
//!
//! HTTP is written by hand over the socket, so that the client's own cost is small and known. Every answer is checked: its status, that
//! it carries this call's id, and that it carries this call's text; a server that mixes answers up does not pass.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::connection::{Answer, Connection, header};
use super::question::{ID, Question, TEXT};
use crate::e2e::http::Era;

/// Failures that are kept to be shown; all are counted.
const SHOWN: usize = 5;
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Which server is asked what, by how many callers at once.
pub(super) struct Load<'a> {
    pub(super) address: &'a str,
    pub(super) question: &'a Question,
    pub(super) callers: usize,
}

/// What a run gave.
#[derive(Default)]
pub(super) struct Outcome {
    /// The latency of every right answer.
    pub(super) nanoseconds: Vec<u64>,
    pub(super) elapsed: Duration,
    pub(super) errors: u64,
    /// Some of the failures, in words.
    pub(super) failures: Vec<String>,
}

/// Runs the load for the given time.
pub(super) fn run(load: &Load<'_>, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut connections = Vec::new();
        for _ in 0..load.callers {
            connections.push(Connection::open(load.address, load.question).await?);
        }
        let start = Instant::now();
        let callers: Vec<_> = connections
            .into_iter()
            .enumerate()
            .map(|(caller, connection)| {
                tokio::task::spawn_local(call_until(connection, load.question.clone(), caller, start + time))
            })
            .collect();
        let mut total = Outcome::default();
        for caller in callers {
            let outcome = caller.await?;
            total.nanoseconds.extend(outcome.nanoseconds);
            total.errors += outcome.errors;
            total.failures.extend(outcome.failures);
        }
        total.failures.truncate(SHOWN);
        total.elapsed = start.elapsed();
        Ok(total)
    })
}

async fn call_until(mut connection: Connection, question: Question, caller: usize, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let forms = question.forms();
    // Callers count in ranges of their own, so that ids never meet.
    let mut id = (caller as u64 + 1) * 1_000_000;
    while Instant::now() < end {
        id += 1;
        let index = usize::try_from(id).unwrap_or_default() % forms.len().max(1);
        let Some((body, expected)) = forms.get(index).map(|form| form.fill(id)) else { break };
        let start = Instant::now();
        let answer = tokio::time::timeout(CALL_LIMIT, connection.exchange(&body)).await;
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let checked = match answer {
            Ok(Ok(answer)) => check(&answer, id, &expected),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", CALL_LIMIT.as_secs())),
        };
        match checked {
            Ok(()) => outcome.nanoseconds.push(took),
            Err(error) => {
                outcome.errors += 1;
                if outcome.failures.len() < SHOWN {
                    outcome.failures.push(format!("{error:#}"));
                }
                // The connection may be in the middle of something: this caller is done.
                break;
            }
        }
    }
    outcome
}

fn check(answer: &Answer, id: u64, expected: &str) -> Result<()> {
    let body = std::str::from_utf8(&answer.body).context("not UTF-8")?;
    let shown = || body.chars().take(300).collect::<String>();
    ensure!(answer.status == 200, "HTTP {}: {}", answer.status, shown());
    let marker = format!("\"id\":{id}");
    let own = body
        .match_indices(&marker)
        .any(|(at, _)| body.as_bytes().get(at + marker.len()).is_none_or(|next| !next.is_ascii_digit()));
    ensure!(own, "not the answer to call {id}: {}", shown());
    ensure!(body.contains(expected), "`{expected}` is missing: {}", shown());
    ensure!(!body.contains("\"isError\":true") && !body.contains("\"error\":"), "an error: {}", shown());
    Ok(())
}

/// A real answer, with the places of id and text left open, for the bare server to fill in.
pub(super) struct Template {
    /// Header lines that tell what the body is.
    pub(super) head: Vec<(String, String)>,
    /// The body in three kinds of parts: text, `{ID}` and `{TEXT}`.
    pub(super) body: String,
}

impl Template {
    /// As the bare server reads it.
    pub(super) fn to_json(&self) -> String {
        json!({"head": self.head, "body": self.body}).to_string()
    }
}

/// Asks once and makes a template of the answer.
pub(super) fn capture(address: &str, question: &Question) -> Result<Template> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let id = 987_654_321;
    let (message, expected) = question.forms().first().context("nothing to ask")?.fill(id);
    let answer =
        runtime.block_on(async { Connection::open(address, question).await?.exchange(&message).await })?;
    check(&answer, id, &expected)?;
    let body = String::from_utf8(answer.body)?
        .replace(&expected, TEXT)
        .replace(&format!("\"id\":{id}"), &format!("\"id\":{ID}"));
    let kept = ["content-type", "cache-control"];
    let head = kept
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), header(&answer.head, name)?.to_owned())))
        .collect();
    Ok(Template { head, body })
}

/// Opens sessions of the older era, calls once in each, and leaves them without a word.
pub(super) fn abandon(address: &str, key: Option<&str>, count: usize) -> Result<()> {
    let question = Question::listed(
        Era::Session,
        key,
        "list_tables",
        vec![(json!({"database": "shop"}), "customers".to_owned())],
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for id in 0..count as u64 {
            let mut connection = Connection::open(address, &question).await?;
            let (message, expected) = question.forms().first().context("nothing to ask")?.fill(id);
            check(&connection.exchange(&message).await?, id, &expected)?;
        }
        Ok(())
    })
}
