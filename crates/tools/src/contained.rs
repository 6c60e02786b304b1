//! One run of a contained program on behalf of a call: its turn, its limits, and what the caller is told of its end.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::{Denied, Label, Output, Part, ToolError, denied::Subsystem};
use countersign_sandbox::{Captured, Finished, Jail, JailError, JailLimits, ResultFile, Sandbox, Status};
use serde_json::{Map, Value as Json, json};

use crate::slots::Slots;

/// How many callers may wait for their turn, and for how long.
const QUEUE: usize = 16;
const WAIT: Duration = Duration::from_secs(5);

/// Time for planning, waiting and setting up beyond the program's own.
pub(crate) const SLACK: Duration = Duration::from_secs(8);

/// The sandbox, and how many programs may run in it at once.
pub(crate) struct Runner {
    sandbox: Sandbox,
    turns: Slots,
}

impl Runner {
    pub(crate) fn new(sandbox: Sandbox, at_once: usize) -> Runner {
        Runner { sandbox, turns: Slots::new(at_once, QUEUE, WAIT) }
    }

    /// How well the sandbox contains, for descriptions and records.
    pub(crate) fn grade(&self) -> String {
        self.sandbox.to_string()
    }

    /// The sandbox itself.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Runs a program to its end. Dropping the future kills it with all that it started.
    ///
    /// # Errors
    /// [`Denied::Limited`] when too many wait; [`Denied::Unavailable`] when the jail cannot be set up: nothing ran.
    pub(crate) async fn run(&self, jail: Jail) -> Result<Finished, ToolError> {
        let busy = |_| ToolError::from(Denied::Limited { limit: "workers", retry_after: WAIT });
        let _turn = self.turns.take().await.map_err(busy)?;
        self.sandbox.run(jail).await.map_err(unavailable)
    }
}

/// INVARIANT: a program that cannot be contained does not run; the call is refused.
fn unavailable(error: JailError) -> ToolError {
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        cause = format!("{cause}: {deeper}");
        source = deeper.source();
    }
    ToolError { denied: Denied::Unavailable(Subsystem::Sandbox), cause: Some(cause), detail: None }
}

/// The JSON Schema of what [`output`] makes.
pub(crate) fn output_schema() -> Json {
    let count = || json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "properties": {
            "status": {
                "enum": ["exited", "killed", "timed-out", "out-of-memory", "too-much-output", "disk-full"],
                "description": "how the program ended; all but `exited` are the limits at work, or a crash"
            },
            "reason": {"type": "string", "description": "which limit ended the program, and what it is; absent if it ended by itself"},
            "exit_code": {"type": ["integer", "null"], "description": "of a program that ended by itself; 0 means success"},
            "signal": {"type": ["integer", "null"]},
            "stdout": {"type": "string"},
            "stderr": {"type": "string"},
            "stdout_bytes": count(),
            "stderr_bytes": count(),
            "truncated": {"type": "boolean", "description": "whether output was left out in the middle"},
            "files": {
                "type": "array",
                "description": "files that the program left",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "size": count(),
                        "text": {"type": "string"},
                        "base64": {"type": "string", "description": "the content of a file that is no text"}
                    },
                    "required": ["name", "size"],
                    "additionalProperties": false
                }
            },
            "files_left_out": count(),
            "milliseconds": count()
        },
        "required": ["status", "exit_code", "stdout", "stderr", "truncated", "milliseconds"],
        "additionalProperties": false
    })
}

/// What the caller is told. Whatever a program writes is untrusted, whoever wrote the program. `limits` are those that it ran under.
pub(crate) fn output(finished: Finished, limits: &JailLimits) -> Output {
    let (status, code, signal) = match finished.status {
        Status::Exit(code) => ("exited", Some(code), None),
        Status::Signal(signal) => ("killed", None, Some(signal)),
        Status::TimedOut => ("timed-out", None, None),
        Status::OutOfMemory => ("out-of-memory", None, None),
        Status::TooMuchOutput => ("too-much-output", None, None),
        Status::ScratchFull => ("disk-full", None, None),
    };
    let truncated = finished.stdout.truncated() || finished.stderr.truncated();
    let mut answer = json!({
        "status": status,
        "exit_code": code,
        "signal": signal,
        "stdout": text(&finished.stdout),
        "stderr": text(&finished.stderr),
        "stdout_bytes": finished.stdout.total,
        "stderr_bytes": finished.stderr.total,
        "truncated": truncated,
        "files": finished.files.into_iter().map(file).collect::<Vec<_>>(),
        "files_left_out": finished.files_left_out,
        "milliseconds": u64::try_from(finished.usage.wall.as_millis()).unwrap_or(u64::MAX),
    });
    if let (Some(reason), Some(members)) = (reason(finished.status, limits), answer.as_object_mut()) {
        members.insert("reason".into(), reason.into());
    }
    let output = Output::new(Label::RETRIEVED, vec![Part::Json(answer)]);
    // A program that ends by itself has answered, also with a code that is not 0.
    if code.is_some() { output } else { output.error() }
}

/// Which limit ended a program.
fn reason(status: Status, limits: &JailLimits) -> Option<String> {
    Some(match status {
        Status::Exit(_) => return None,
        Status::Signal(signal) => {
            format!("it was ended by signal {signal}: a crash, or a limit that it ran into")
        }
        Status::TimedOut => {
            format!("it was killed at the end of its time, {} ms", limits.wall.as_millis())
        }
        Status::OutOfMemory => {
            format!("it was killed because it used all of its memory, {} MiB", limits.memory >> 20)
        }
        Status::TooMuchOutput => format!(
            "it was killed because it wrote many times the {} KiB that are kept of each of its outputs",
            limits.output >> 10
        ),
        Status::ScratchFull => {
            format!("it was killed because its directory held more than {} MiB", limits.scratch >> 20)
        }
    })
}

/// A stream as text, with a line that says what is missing.
fn text(captured: &Captured) -> String {
    let mut text = String::from_utf8_lossy(&captured.head).into_owned();
    if captured.truncated() {
        let kept = (captured.head.len() as u64).saturating_add(captured.tail.len() as u64);
        let missing = captured.total.saturating_sub(kept);
        text.push_str(&format!("\n[... {missing} bytes left out ...]\n"));
    }
    text.push_str(&String::from_utf8_lossy(&captured.tail));
    text
}

fn file(file: ResultFile) -> Json {
    let mut shown =
        Map::from_iter([("name".to_owned(), file.name.into()), ("size".to_owned(), file.size.into())]);
    match file.bytes.map(String::from_utf8) {
        // A NUL is UTF-8, and no text.
        Some(Ok(text)) if text.contains('\0') => {
            drop(shown.insert("base64".into(), STANDARD.encode(text).into()))
        }
        Some(Ok(text)) => drop(shown.insert("text".into(), text.into())),
        Some(Err(bytes)) => drop(shown.insert("base64".into(), STANDARD.encode(bytes.as_bytes()).into())),
        None => {}
    }
    Json::Object(shown)
}
