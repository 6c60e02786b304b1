//! Writing: tried out in a transaction that is rolled back, or run in one that is committed only if it changes as many rows as were approved.
//!
//! A trigger, a rule, a foreign table or a cascading foreign key can act where a rollback does not reach, or on rows that the server does
//! not count. Where one takes part nothing is tried out, and the effect counts as unknown: policy then asks for more people.

use std::{collections::BTreeSet, sync::Arc};

use countersign_sql::{
    Action, Facts, Object, Operation, Refusal, Rule, Run, Value, engines::postgres::client::Schema,
};
use tokio::time::{Instant, timeout_at};

use super::{PostgresPool, Snapshot, WriteSession, sample};
use crate::engine::{Caller, EngineError, Purpose, Rehearsed};

/// What acts beside a statement on one table, as four texts: the kind of the relation (`i` if others inherit from it), its triggers and
/// rules, tables whose foreign keys follow a change of it, and whether its columns draw from sequences.
const COMPANIONS: &str = "
SELECT CASE WHEN c.relkind = 'r' AND c.relhassubclass THEN 'i' ELSE c.relkind::pg_catalog.text END,
  (SELECT pg_catalog.string_agg(x.n, ', ' ORDER BY x.n) FROM (
     SELECT t.tgname::pg_catalog.text AS n FROM pg_catalog.pg_trigger t
       WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
     UNION ALL
     SELECT r.rulename::pg_catalog.text FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1') x),
  (SELECT pg_catalog.string_agg(f.conrelid::pg_catalog.regclass::pg_catalog.text, ', ') FROM pg_catalog.pg_constraint f
     WHERE f.confrelid = c.oid AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))),
  (SELECT pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_attribute a
     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       AND (a.attidentity <> '' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%'))
FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.oid";

impl PostgresPool {
    pub(super) async fn try_out(&self, caller: Caller<'_>, run: &Run) -> Result<Rehearsed, EngineError> {
        self.within(run, async {
            let (snapshot, facts) = self.granted_write(caller, run).await?;
            let mut session = self.begin(caller, run).await?;
            let companions = companions(&mut session, &snapshot.schema, &facts).await?;
            let mut rehearsed = Rehearsed { warnings: companions.warnings, ..Rehearsed::default() };
            if companions.contained {
                let syntax = self.syntax(Purpose::Write, &run.sql).await?;
                match sample::run(&mut session, run, (&facts, &syntax), &snapshot.schema).await? {
                    Some(seen) => {
                        rehearsed.affected = Some(seen.affected);
                        (rehearsed.before, rehearsed.after) = (seen.before, seen.after);
                        if seen.all {
                            rehearsed.warnings.push("every row that this login can see is changed".into());
                        }
                    }
                    None => {
                        rehearsed.affected = Some(affect(&mut session, run).await?);
                        rehearsed
                            .warnings
                            .push("this login cannot read what it writes: no rows are shown".into());
                    }
                }
            }
            session.rollback().await?;
            Ok(rehearsed)
        })
        .await
    }

    pub(super) async fn write_out(
        &self,
        caller: Caller<'_>,
        run: &Run,
        expected: Option<u64>,
    ) -> Result<u64, EngineError> {
        self.within(run, async {
            let (snapshot, facts) = self.granted_write(caller, run).await?;
            let mut session = self.begin(caller, run).await?;
            // INVARIANT: what was tried out had no companions; one that came since would act unseen.
            if expected.is_some() && !companions(&mut session, &snapshot.schema, &facts).await?.contained {
                session.rollback().await?;
                return Err(refused(Rule::SchemaChanged, "the schema changed since the effect was shown"));
            }
            let affected = affect(&mut session, run).await?;
            // MUTATE(A17-pg-count): a write changes other rows than were approved
            if expected.is_some_and(|expected| expected != affected) {
                session.rollback().await?;
                let message = format!(
                    "the statement would change {affected} rows now, not the {} that were approved; nothing was changed",
                    expected.unwrap_or_default()
                );
                return Err(refused(Rule::RowCount, &message));
            }
            session.commit().await?;
            Ok(affected)
        })
        .await
    }

    /// INVARIANT: what is written is what was granted, by the schema as it is now.
    async fn granted_write(
        &self,
        caller: Caller<'_>,
        run: &Run,
    ) -> Result<(Arc<Snapshot>, Arc<Facts>), EngineError> {
        let (snapshot, facts) = self.facts(caller, Purpose::Write, &run.sql).await?;
        // MUTATE(A5-pg-granted): a write touches what was not granted
        if !facts.accesses.is_subset(&run.granted) {
            return Err(refused(Rule::SchemaChanged, "the schema changed"));
        }
        Ok((snapshot, facts))
    }

    async fn begin(&self, caller: Caller<'_>, run: &Run) -> Result<WriteSession, EngineError> {
        let mut session = self.writer(caller).await?;
        session.begin(run.limits.time.min(self.dialer.config.statement_timeout)).await?;
        Ok(session)
    }

    async fn within<T>(
        &self,
        run: &Run,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let until = Instant::now() + run.limits.time + self.dialer.config.grace;
        timeout_at(until, work).await.unwrap_or(Err(EngineError::Killed))
    }
}

/// Runs the statement and counts. Rows that it would return were shown to nobody who approved it: returning is refused, and the session,
/// dropped, takes the statement back.
async fn affect(session: &mut WriteSession, run: &Run) -> Result<u64, EngineError> {
    let written = session.execute(&run.sql, &run.params, 0).await?;
    if !written.columns.is_empty() {
        return Err(refused(Rule::NotAWrite, "a write returns no rows: leave RETURNING out"));
    }
    Ok(written.affected)
}

/// What acts beside a statement.
struct Companions {
    /// Whether a rollback undoes all of the effect, and the server counts it.
    contained: bool,
    warnings: Vec<String>,
}

async fn companions(
    session: &mut WriteSession,
    schema: &Schema,
    facts: &Facts,
) -> Result<Companions, EngineError> {
    let mut found = Companions { contained: true, warnings: Vec::new() };
    for table in written_tables(facts) {
        let gone = || refused(Rule::SchemaChanged, "a table that is written is not there");
        let oid = schema.relation(table).ok_or_else(gone)?.oid;
        let asked = session.execute(COMPANIONS, &[Value::Integer(oid.into())], 1).await?;
        let [Value::Text(kind), triggers, cascades, Value::Text(sequences)] = asked.values.as_slice() else {
            return Err(gone());
        };
        let mut beyond = |warning: String| {
            found.contained = false;
            found.warnings.push(warning);
        };
        if kind != "r" {
            beyond(format!("`{table}` is not an ordinary table: where its rows are kept is not known here"));
        }
        if let Value::Text(triggers) = triggers {
            beyond(format!(
                "triggers or rules of `{table}` act as well, on what is not known here: {triggers}"
            ));
        }
        if let (Value::Text(tables), true) = (cascades, facts.operation != Operation::Insert) {
            beyond(format!("foreign keys may change rows of {tables} as well, which are not counted"));
        }
        if sequences != "0" && facts.operation == Operation::Insert {
            found.warnings.push(format!("showing this used up numbers of the sequences of `{table}`"));
        }
    }
    if !found.contained {
        found.warnings.push("the effect was not tried out".into());
    }
    Ok(found)
}

/// The tables that a statement writes, as facts name them: one, unless a view stands before others.
pub(super) fn written_tables(facts: &Facts) -> BTreeSet<&str> {
    let written = facts.accesses.iter().filter_map(|access| match (&access.action, &access.object) {
        (Action::Write, Object::Table { table }) => Some(table.as_str()),
        _ => None,
    });
    written.collect()
}

fn refused(rule: Rule, message: &str) -> EngineError {
    EngineError::Refused(Refusal::new(rule, message))
}
