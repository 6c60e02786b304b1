//! The arguments of `run_python`: their schema, and what they ask for within the configured limits.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_core::{Digest, Permission, PowerClass, Sensitivity, ToolError, ToolSpec};
use countersign_sandbox::{InputFile, JailLimits};
use serde_json::{Value as Json, json};

use super::PythonConfig;
use crate::contained;

/// Under which name the guard finds the code. Callers cannot name it: their names start with a letter, a digit or `_`.
pub(super) const CODE: &str = ".main.py";

/// Input files of one call.
const FILES: u32 = 16;

/// What a file may be called.
const NAME: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$";

/// A call that was read and fits the limits.
pub(super) struct Request {
    pub(super) code: String,
    pub(super) stdin: Vec<u8>,
    pub(super) files: Vec<InputFile>,
    pub(super) limits: JailLimits,
}

/// What is said of the tool.
pub(super) fn spec(
    config: &PythonConfig,
    grade: &str,
    version: &str,
    modules: &BTreeSet<String>,
) -> ToolSpec {
    let limits = &config.limits;
    let seconds = limits.wall.as_secs().max(1);
    let memory = (limits.memory >> 20).max(1);
    let modules = modules.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    ToolSpec {
        name: "run_python".into(),
        server: "countersign".into(),
        title: "Run Python".into(),
        description: format!(
            "Runs Python {version} code in a sandbox (grade: {grade}) and returns its output and the files that it leaves. There is no \
             network, no other process, and nothing of the machine to see; every call starts afresh. `print` what you want to know. Files: \
             `read_text(name)`, `read_bytes(name)`, `write_text(name, text)`, `write_bytes(name, data)`; standard input: \
             `stdin.read()`. There is no `open`, `input`, `eval`, `exec` or `asyncio`. Modules that may be imported: {modules}."
        ),
        purpose: "computes with code of the model, contained and without network",
        input_schema: json!({
            "type": "object",
            "properties": {
                "code": {"type": "string", "minLength": 1, "maxLength": config.code_bytes, "description": "the program"},
                "stdin": {"type": "string", "maxLength": config.files_bytes, "description": "what its standard input holds"},
                "files": {
                    "type": "array", "maxItems": FILES, "description": "files that it finds in its directory",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "pattern": NAME},
                            "text": {"type": "string", "maxLength": config.files_bytes},
                            "base64": {"type": "string", "maxLength": config.files_bytes.saturating_mul(2), "description": "instead of `text`, for what is none"}
                        },
                        "required": ["name"],
                        "additionalProperties": false
                    }
                },
                "limits": {
                    "type": "object", "description": "less than what is allowed anyway",
                    "properties": {
                        "seconds": {"type": "integer", "minimum": 1, "maximum": seconds},
                        "memory_mib": {"type": "integer", "minimum": LEAST_MEMORY.min(memory), "maximum": memory}
                    },
                    "additionalProperties": false
                }
            },
            "required": ["code"],
            "additionalProperties": false
        }),
        output_schema: Some(contained::output_schema()),
        power: PowerClass::ReadHigh,
        permissions: vec![Permission::ExecuteCode],
        sensitivity: Sensitivity::Internal,
        deadline: limits.wall.saturating_add(super::JUDGING).saturating_add(contained::SLACK),
        digest: Digest([0; 32]),
    }
    .pinned()
}

/// With less, Python does not start.
const LEAST_MEMORY: u64 = 32;

/// Reads arguments that keep the schema.
///
/// # Errors
/// The field and the rule that it breaks.
pub(super) fn read(arguments: &Json, config: &PythonConfig) -> Result<Request, ToolError> {
    let text = |name: &str| arguments.get(name).and_then(Json::as_str).unwrap_or_default();
    let code = text("code");
    // MUTATE(E3-length): code may be of any length
    if code.len() > config.code_bytes as usize {
        return Err(ToolError::invalid("/code", format!("must be at most {} bytes", config.code_bytes)));
    }
    if code.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(ToolError::invalid(
            "/code",
            "must hold no control characters but tabs and ends of lines",
        ));
    }
    let files = arguments.get("files").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let files = files.iter().enumerate().map(|(at, one)| file(at, one)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(at) = files.iter().position(|file| !names.insert(file.name.as_str())) {
        return Err(ToolError::invalid(format!("/files/{at}/name"), "must not repeat a name"));
    }
    let total = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes.len() as u64));
    if total > config.files_bytes {
        return Err(ToolError::invalid(
            "/files",
            format!("must hold at most {} bytes together", config.files_bytes),
        ));
    }
    Ok(Request {
        code: code.to_owned(),
        stdin: text("stdin").as_bytes().to_vec(),
        files,
        limits: limits(arguments.get("limits"), &config.limits),
    })
}

fn file(at: usize, file: &Json) -> Result<InputFile, ToolError> {
    let text = |name: &str| file.get(name).and_then(Json::as_str);
    let bytes = match (text("text"), text("base64")) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD
            .decode(encoded)
            .map_err(|_| ToolError::invalid(format!("/files/{at}/base64"), "must be base64 (RFC 4648)"))?,
        _ => return Err(ToolError::invalid(format!("/files/{at}"), "must hold either `text` or `base64`")),
    };
    Ok(InputFile { name: text("name").unwrap_or_default().to_owned(), bytes })
}

/// The limits of a run: what the call asks for, and never more than the configuration allows.
fn limits(asked: Option<&Json>, most: &JailLimits) -> JailLimits {
    let asked = |name: &str| asked.and_then(|limits| limits.get(name)).and_then(Json::as_u64);
    let mut limits = most.clone();
    if let Some(seconds) = asked("seconds") {
        // MUTATE(E1-maximum): a call may ask for more than the configuration allows
        limits.wall = Duration::from_secs(seconds).min(most.wall);
        limits.cpu_seconds = seconds.clamp(1, most.cpu_seconds);
    }
    if let Some(mib) = asked("memory_mib") {
        limits.memory = mib.saturating_mul(1 << 20).min(most.memory);
    }
    // The end of memory reaches the code as a `MemoryError`.
    limits.address_space = Some(limits.memory);
    limits
}
