//! Revisions of the protocol, and what a request of the stateless era carries in its `_meta`.

use countersign_core::{json::Value, tool::LogLevel};

use crate::rpc::{INVALID_PARAMS, RpcError, UNSUPPORTED_VERSION};

/// A revision that we speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Revision {
    V2026_07_28,
    V2025_11_25,
    V2025_06_18,
    V2025_03_26,
}

impl Revision {
    /// Newest first.
    pub(crate) const ALL: [Revision; 4] =
        [Revision::V2026_07_28, Revision::V2025_11_25, Revision::V2025_06_18, Revision::V2025_03_26];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Revision::V2026_07_28 => "2026-07-28",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_03_26 => "2025-03-26",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Revision> {
        Revision::ALL.into_iter().find(|revision| revision.name() == name)
    }

    /// Stateless: every request carries its own version and capabilities.
    pub(crate) fn is_modern(self) -> bool {
        self == Revision::V2026_07_28
    }

    /// What `initialize` answers: the client's version if it is a legacy one of ours, else our newest legacy one.
    pub(crate) fn negotiate(requested: &str) -> Revision {
        Revision::parse(requested).filter(|revision| !revision.is_modern()).unwrap_or(Revision::V2025_11_25)
    }
}

/// The error for a version that is not ours.
pub(crate) fn unsupported(requested: &str) -> RpcError {
    let shown: String = requested.chars().take(32).collect();
    RpcError::new(UNSUPPORTED_VERSION, 400, "unsupported protocol version").with_data(|data| {
        data.array("supported", Revision::ALL, |out, revision| {
            countersign_core::json::push_string(out, revision.name());
        });
        data.text("requested", &shown);
    })
}

/// What the client said it can do; nothing else of its capabilities matters to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Capabilities {
    pub(crate) sampling: bool,
    pub(crate) elicitation: bool,
    pub(crate) roots: bool,
}

impl Capabilities {
    pub(crate) fn read(value: &Value<'_>) -> Capabilities {
        let has = |name| value.get(name).is_some_and(Value::is_object);
        Capabilities { sampling: has("sampling"), elicitation: has("elicitation"), roots: has("roots") }
    }

    /// The capability that a question needs, and whether it was declared.
    pub(crate) fn allows(self, method: &str) -> (&'static str, bool) {
        match method {
            "elicitation/create" => ("elicitation", self.elicitation),
            "sampling/createMessage" => ("sampling", self.sampling),
            "roots/list" => ("roots", self.roots),
            _ => ("extensions", false),
        }
    }

    pub(crate) fn any(self) -> bool {
        self.sampling || self.elicitation || self.roots
    }
}

/// The least severity that a client wants to read (RFC 5424 order).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Threshold(u8);

const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl Threshold {
    pub(crate) fn parse(name: &str) -> Option<Threshold> {
        LEVELS.iter().position(|level| *level == name).and_then(|at| u8::try_from(at).ok()).map(Threshold)
    }

    pub(crate) fn lets_through(self, level: LogLevel) -> bool {
        let rank = match level {
            LogLevel::Debug => 0,
            LogLevel::Info => 1,
            LogLevel::Warning => 3,
            LogLevel::Error => 4,
        };
        rank >= self.0
    }
}

/// The name of a severity on the wire.
pub(crate) fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
    }
}

/// What `_meta` of a stateless request says.
#[derive(Debug)]
pub(crate) struct RequestMeta {
    pub(crate) capabilities: Capabilities,
    pub(crate) client: Option<String>,
    pub(crate) level: Option<Threshold>,
}

pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const META_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The version that a request names in its `_meta`, if it names one.
pub(crate) fn meta_version<'v>(params: Option<&'v Value<'_>>) -> Option<&'v str> {
    params?.get("_meta")?.get(META_VERSION)?.as_str()
}

impl RequestMeta {
    /// SPEC: basic, Per-request protocol fields: version and capabilities are required; -32602 with HTTP 400 when missing.
    pub(crate) fn read(params: Option<&Value<'_>>) -> Result<RequestMeta, RpcError> {
        let meta = params.and_then(|params| params.get("_meta"));
        let meta = meta.filter(|meta| meta.is_object()).ok_or_else(|| missing("params._meta"))?;
        if meta.get(META_VERSION).and_then(Value::as_str).is_none() {
            return Err(missing(META_VERSION));
        }
        let capabilities = meta.get(META_CAPABILITIES).filter(|value| value.is_object());
        let capabilities = Capabilities::read(capabilities.ok_or_else(|| missing(META_CAPABILITIES))?);
        let level = match meta.get(META_LEVEL) {
            None => None,
            Some(level) => match level.as_str().and_then(Threshold::parse) {
                Some(level) => Some(level),
                None => {
                    return Err(RpcError::new(INVALID_PARAMS, 400, "the log level is not one of RFC 5424's"));
                }
            },
        };
        Ok(RequestMeta { capabilities, client: meta.get(META_CLIENT).and_then(client_name), level })
    }
}

fn missing(name: &'static str) -> RpcError {
    RpcError::new(INVALID_PARAMS, 400, format!("`{name}` is required on every request of this revision"))
}

/// `name/version` as the client claims, cut to 100 characters. A claim: recorded, never believed.
pub(crate) fn client_name(info: &Value<'_>) -> Option<String> {
    let name = info.get("name")?.as_str()?;
    let version = info.get("version").and_then(Value::as_str).unwrap_or_default();
    Some(name.chars().chain("/".chars()).chain(version.chars()).take(100).collect())
}
