//! What a call will do, decided before it does anything: the plan and its accesses.
//!
//! `Tool::plan` yields a [`Planned`]; the pipeline seals it into a [`Plan`] with the pinned tool, the canonical arguments and a
//! digest. Policy decides on every access, people approve the digest, and the permit carries exactly that plan.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;

use crate::{call::Arguments, ids::Digest, tool::ToolSpec};

/// One action on an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Reads rows, bytes or metadata.
    Read,
    /// Changes something.
    Write,
    /// Opens a connection to a host.
    Connect,
    /// Runs a program.
    Execute,
    /// Calls a function inside an engine, or a query of the catalog.
    Use,
    /// Sees that a value is there, but a mask in its place.
    Mask,
}

impl Action {
    /// The name used in policies and records.
    pub fn name(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Write => "write",
            Action::Connect => "connect",
            Action::Execute => "execute",
            Action::Use => "use",
            Action::Mask => "mask",
        }
    }
}

/// What an action is done to. Names are canonical: folded as the engine folds them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// A table or view of a configured database.
    Table {
        /// The database's configured name.
        database: Arc<str>,
        /// The table or view, `schema.table` where the engine has schemas.
        table: String,
    },
    /// A column.
    Column {
        /// The database's configured name.
        database: Arc<str>,
        /// The table or view.
        table: String,
        /// The column.
        column: String,
    },
    /// A function inside an engine.
    Function {
        /// The database's configured name.
        database: Arc<str>,
        /// The function.
        name: String,
    },
    /// A query of the catalog, whatever tool runs it. What its statement touches is beside it in the plan.
    Query {
        /// The database's configured name.
        database: Arc<str>,
        /// The query's name.
        name: String,
    },
    /// A file or directory below a configured root.
    File {
        /// The root's configured name.
        root: Arc<str>,
        /// The path below it, with `/` and without `.` or `..`; empty for the root itself.
        path: String,
    },
    /// A place on the network.
    Host {
        /// The host in lower case: a name, or an address in its one canonical form.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// A configured command.
    Command {
        /// Its configured name.
        name: Arc<str>,
    },
    /// An interpreter that runs code of the caller.
    Interpreter {
        /// The language: `python`.
        name: Arc<str>,
    },
}

impl Object {
    /// What kind of object: the entity type's name in policies.
    pub fn kind(&self) -> &'static str {
        match self {
            Object::Table { .. } => "Table",
            Object::Column { .. } => "Column",
            Object::Function { .. } => "Function",
            Object::Query { .. } => "Query",
            Object::File { .. } => "File",
            Object::Host { .. } => "Host",
            Object::Command { .. } => "Command",
            Object::Interpreter { .. } => "Interpreter",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Table { database, table } => write!(f, "table {database}.{table}"),
            Object::Column { database, table, column } => write!(f, "column {database}.{table}.{column}"),
            Object::Function { database, name } => write!(f, "function {database}.{name}"),
            Object::Query { database, name } => write!(f, "query {database}.{name}"),
            Object::File { root, path } => write!(f, "file {root}/{path}"),
            Object::Host { host, port } => write!(f, "host {host}:{port}"),
            Object::Command { name } => write!(f, "command {name}"),
            Object::Interpreter { name } => write!(f, "interpreter {name}"),
        }
    }
}

/// Whether the call stands or falls with an access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Need {
    /// Denied access denies the call.
    Required,
    /// Denied access leaves the object out of the answer (lists of tables, say).
    Filter,
    /// Denied access denies the call, unless [`Action::Mask`] on the object is allowed: then that is granted instead.
    Maskable,
}

/// One action on one object, and whether the call needs it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Access {
    /// The action.
    pub action: Action,
    /// The object.
    pub object: Object,
    /// Required, or filtered out when denied.
    pub need: Need,
}

impl Access {
    /// An access without which the call is refused.
    pub fn required(action: Action, object: Object) -> Access {
        Access { action, object, need: Need::Required }
    }

    /// A read that policy may turn into a masked one.
    pub fn maskable(object: Object) -> Access {
        Access { action: Action::Read, object, need: Need::Maskable }
    }

    /// An access whose denial only hides the object.
    pub fn filter(action: Action, object: Object) -> Access {
        Access { action, object, need: Need::Filter }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.name(), self.object)
    }
}

/// What a call does to the world. Anything but `Read` has its intent durable before it starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes data.
    Write,
    /// Sends data out.
    Egress,
    /// Runs code.
    Execute,
}

/// What a tool's `plan` found out. It has had no effect.
pub struct Planned {
    /// Every object the call touches.
    pub accesses: Vec<Access>,
    /// The class of effect.
    pub effect: Effect,
    /// Hosts, paths or accounts that data goes to.
    pub destinations: Vec<String>,
    /// Short facts for the record and for policy (`operation` = `select`); never argument values.
    pub facts: BTreeMap<&'static str, String>,
    /// The tool's own parsed form, handed back at execution: parse once, run what was authorized.
    pub detail: Box<dyn Any + Send + Sync>,
}

impl Planned {
    /// A plan that touches nothing and changes nothing.
    pub fn nothing() -> Planned {
        Planned {
            accesses: Vec::new(),
            effect: Effect::Read,
            destinations: Vec::new(),
            facts: BTreeMap::new(),
            detail: Box::new(()),
        }
    }
}

/// A sealed plan: what policy, the approver and the record all see.
pub struct Plan {
    spec: Arc<ToolSpec>,
    arguments: Arguments,
    planned: Planned,
    digest: Digest,
}

impl Plan {
    /// Binds what the tool planned to the pinned tool and the canonical arguments.
    pub(crate) fn seal(spec: Arc<ToolSpec>, arguments: Arguments, mut planned: Planned) -> Plan {
        planned.accesses.sort();
        planned.accesses.dedup();
        let accesses: Vec<String> = planned.accesses.iter().map(Access::to_string).collect();
        let fields = [spec.name.as_bytes(), &spec.digest.0, arguments.canonical().as_bytes()];
        let rest = accesses.iter().chain(&planned.destinations).map(String::as_bytes);
        let digest = Digest::of_fields("countersign plan v1", fields.into_iter().chain(rest));
        Plan { spec, arguments, planned, digest }
    }

    /// The tool, as pinned when the call was resolved.
    pub fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// The validated arguments.
    pub fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// Every access, sorted, without duplicates.
    pub fn accesses(&self) -> &[Access] {
        &self.planned.accesses
    }

    /// The class of effect.
    pub fn effect(&self) -> Effect {
        self.planned.effect
    }

    /// Where data goes.
    pub fn destinations(&self) -> &[String] {
        &self.planned.destinations
    }

    /// Facts for the record.
    pub fn facts(&self) -> &BTreeMap<&'static str, String> {
        &self.planned.facts
    }

    /// The tool's own parsed form.
    pub fn detail<T: 'static>(&self) -> Option<&T> {
        self.planned.detail.downcast_ref()
    }

    /// SHA-256 over tool, schema digest, canonical arguments, accesses and destinations.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}
