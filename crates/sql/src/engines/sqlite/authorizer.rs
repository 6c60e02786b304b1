//! The gate in every connection: SQLite's authorizer and progress handler, under one state that says what is going on.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

use super::{Interrupt, fold, functions};
use crate::{Refusal, Rule};

/// One report of the authorizer, folded. The accessor is the view in whose body it happens: a name reported for the text of the statement
/// itself and one reported for a view's body are different facts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Report {
    /// A column is read; the name is empty if the table is used without any of its columns.
    Read { table: String, column: String, accessor: Option<String> },
    /// A function is called.
    Call { function: String, accessor: Option<String> },
    /// Rows are written: one column of them, or whole rows. The accessor is the trigger that does it.
    Write { table: String, column: Option<String>, accessor: Option<String> },
}

impl Report {
    /// The view or trigger in whose body it happens.
    pub(super) fn accessor(&self) -> Option<&str> {
        match self {
            Report::Read { accessor, .. }
            | Report::Call { accessor, .. }
            | Report::Write { accessor, .. } => accessor.as_deref(),
        }
    }
}

/// What was reported while a statement was prepared.
#[derive(Default, Debug)]
pub(super) struct Recording {
    /// All reads and calls.
    pub(super) reports: BTreeSet<Report>,
    /// How often each column was reported as read, by table and column.
    pub(super) mentions: BTreeMap<(String, String), usize>,
    /// Whether a select was seen at all.
    pub(super) selects: bool,
    /// The first thing that was refused.
    pub(super) refused: Option<Refusal>,
    /// Whether the statement is to write.
    writes: bool,
    /// The table that is written first: SQLite reports the statement's own before those of triggers.
    pub(super) first_write: Option<String>,
}

/// What a running statement may do when SQLite prepares it again, or when a virtual table prepares statements of its own.
#[derive(Clone, Default, Debug)]
pub(super) struct Permitted {
    /// What was reported when it was judged.
    pub(super) reports: BTreeSet<Report>,
    /// The tables beneath the virtual tables it reads.
    pub(super) beneath: BTreeSet<String>,
    /// Whether it may write at all.
    pub(super) writes: bool,
}

#[derive(Debug)]
enum Mode {
    /// Our own statements.
    Internal,
    /// A caller's statement is being prepared.
    Record(Recording),
    /// A caller's statement runs.
    Enforce(Permitted),
}

#[derive(Debug)]
struct State {
    mode: Mode,
    deadline: Option<Instant>,
    stopped: Option<Rule>,
    refused: Option<Refusal>,
}

/// The connection's gate; the callbacks hold clones.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    state: Arc<Mutex<State>>,
}

impl Default for Gate {
    fn default() -> Gate {
        let state = State { mode: Mode::Internal, deadline: None, stopped: None, refused: None };
        Gate { state: Arc::new(Mutex::new(state)) }
    }
}

/// Virtual machine instructions between two looks at the clock: well below a millisecond.
const INSTRUCTIONS: i32 = 1_000;
/// Time between two questions whether to stop.
const POLL: Duration = Duration::from_millis(1);

impl Gate {
    /// Puts the gate into a connection.
    pub(super) fn install(
        &self,
        connection: &mut Connection,
        mut interrupt: impl Interrupt,
    ) -> rusqlite::Result<()> {
        let gate = self.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| gate.lock().authorize(context)))?;
        let gate = self.clone();
        let mut polled = Instant::now();
        connection.progress_handler(
            INSTRUCTIONS,
            Some(move || {
                let now = Instant::now();
                let due = now.duration_since(polled) >= POLL;
                if due {
                    polled = now;
                }
                let mut state = gate.lock();
                if state.stopped.is_none() && due && interrupt.interrupted() {
                    state.stopped = Some(Rule::Cancelled);
                }
                // MUTATE(A9-deadline): a statement runs as long as it likes
                if state.stopped.is_none() && state.deadline.is_some_and(|deadline| now >= deadline) {
                    state.stopped = Some(Rule::Deadline);
                }
                state.stopped.is_some()
            }),
        )
    }

    /// Begins a request, with its deadline.
    pub(super) fn start(&self, deadline: Option<Instant>) {
        *self.lock() = State { mode: Mode::Internal, deadline, stopped: None, refused: None };
    }

    /// Runs `work`, which prepares a caller's statement, and returns what was reported. Only a statement that is to write may.
    pub(super) fn record<T>(&self, writes: bool, work: impl FnOnce() -> T) -> (T, Recording) {
        self.lock().mode = Mode::Record(Recording { writes, ..Recording::default() });
        let result = work();
        match mem::replace(&mut self.lock().mode, Mode::Internal) {
            Mode::Record(recording) => (result, recording),
            Mode::Internal | Mode::Enforce(_) => (result, Recording::default()),
        }
    }

    /// From here to [`Gate::relax`], only what is permitted.
    pub(super) fn enforce(&self, permitted: Permitted) {
        self.lock().mode = Mode::Enforce(permitted);
    }

    /// Back to statements of our own; returns what was being enforced.
    pub(super) fn relax(&self) -> Permitted {
        match mem::replace(&mut self.lock().mode, Mode::Internal) {
            Mode::Enforce(permitted) => permitted,
            Mode::Internal | Mode::Record(_) => Permitted::default(),
        }
    }

    /// What the gate refused while it was enforcing.
    pub(super) fn refused(&self) -> Option<Refusal> {
        self.lock().refused.take()
    }

    /// Why the gate stopped the statement: deadline or cancelled.
    pub(super) fn stopped(&self) -> Option<Rule> {
        self.lock().stopped
    }

    /// Time left until the deadline; none if there is no deadline.
    pub(super) fn remaining(&self) -> Option<Duration> {
        self.lock().deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held left at worst a stale mode, and every request sets its own.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn authorize(&mut self, context: AuthContext<'_>) -> Authorization {
        match &mut self.mode {
            Mode::Internal => Authorization::Allow,
            Mode::Record(recording) => recording.authorize(context),
            Mode::Enforce(permitted) => match permitted.authorize(context) {
                Ok(()) => Authorization::Allow,
                Err(refusal) => {
                    self.refused.get_or_insert(refusal);
                    Authorization::Deny
                }
            },
        }
    }
}

impl Recording {
    fn authorize(&mut self, context: AuthContext<'_>) -> Authorization {
        match report(context, self.writes) {
            Ok(Some(report)) => {
                match &report {
                    Report::Write { table, .. } => {
                        self.first_write.get_or_insert_with(|| table.clone());
                    }
                    Report::Read { table, column, .. } => {
                        let count = self.mentions.entry((table.clone(), column.clone())).or_default();
                        *count = count.saturating_add(1);
                    }
                    Report::Call { .. } => {}
                }
                self.reports.insert(report);
            }
            Ok(None) => self.selects = true,
            Err(refusal) => {
                self.refused.get_or_insert(refusal);
                return Authorization::Deny;
            }
        }
        Authorization::Allow
    }
}

impl Permitted {
    fn authorize(&self, context: AuthContext<'_>) -> Result<(), Refusal> {
        // A full-text index watches for changes by other connections. The pragma without a value reads one number.
        if let AuthAction::Pragma { pragma_name: "data_version", pragma_value: None } = context.action
            && !self.beneath.is_empty()
        {
            return Ok(());
        }
        let Some(report) = report(context, self.writes)? else { return Ok(()) };
        // INVARIANT: a statement names its tables in its text, so a top-level read that was not reported when it was judged comes from a
        // virtual table's own statement, which may read what is beneath that virtual table.
        let internal = match &report {
            Report::Read { table, accessor: None, .. } => self.beneath.contains(table),
            Report::Call { accessor: None, .. } => !self.beneath.is_empty(),
            // Nothing is ever written that was not reported.
            Report::Read { .. } | Report::Call { .. } | Report::Write { .. } => false,
        };
        // MUTATE(A8-enforce): a changed schema changes what a judged statement reads
        if internal || self.reports.contains(&report) { Ok(()) } else { Err(schema_changed()) }
    }
}

pub(super) fn schema_changed() -> Refusal {
    Refusal::new(Rule::SchemaChanged, "the schema changed since the statement was judged; prepare it again")
}

/// The closed list of what a statement may do: select, recurse, read and call allowed functions; and write rows, if it is to write. `None` is a select or a recursion.
fn report(context: AuthContext<'_>, writes: bool) -> Result<Option<Report>, Refusal> {
    let accessor = context.accessor.map(fold);
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Ok(None),
        AuthAction::Read { table_name, column_name } => {
            let (table, column) = (fold(table_name), column_name.to_ascii_lowercase());
            Ok(Some(Report::Read { table, column, accessor }))
        }
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name } if writes => {
            Ok(Some(Report::Write { table: fold(table_name), column: None, accessor }))
        }
        AuthAction::Update { table_name, column_name } if writes => {
            let column = Some(column_name.to_ascii_lowercase());
            Ok(Some(Report::Write { table: fold(table_name), column, accessor }))
        }
        AuthAction::Function { function_name } if functions::allowed(function_name) => {
            Ok(Some(Report::Call { function: function_name.to_ascii_lowercase(), accessor }))
        }
        AuthAction::Function { function_name } => {
            let message =
                format!("the function `{}` is not on the list of allowed functions", fold(function_name));
            Err(Refusal::new(Rule::ForbiddenFunction, message))
        }
        other => {
            // MUTATE(A2-authorizer): statements may do more than read
            Err(Refusal::new(Rule::ForbiddenAction, format!("a query may only read; this {}", deed(other))))
        }
    }
}

/// What the statement does, in words.
fn deed(action: AuthAction<'_>) -> &'static str {
    match action {
        AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. } => "writes rows",
        AuthAction::Pragma { .. } => "reads or changes a setting (pragma)",
        AuthAction::Attach { .. } => "attaches a database or writes one out",
        AuthAction::Detach { .. } => "detaches a database",
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "changes the transaction",
        AuthAction::Analyze { .. } | AuthAction::Reindex { .. } => "rebuilds an index or statistics",
        _ => "changes the schema",
    }
}
