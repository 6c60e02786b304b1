//! Some of the rows that a write changes, before and after: what the people who approve it look at.
//!
//! The statement itself shows them. It becomes a common table expression that returns what it changed, and the query around it still
//! sees the table as it was (PostgreSQL manual, "Data-Modifying Statements in `WITH`"), so that one run gives the count and both samples.

use countersign_sql::{
    Action, ColumnInfo, Facts, Object, Operation, Rule, Run, Value,
    engines::postgres::{
        client::{Schema, Written},
        guard::Syntax,
    },
};

use super::{WriteSession, writes::written_tables};
use crate::engine::{EngineError, EngineRows};

/// Rows of a sample, and the bytes that its values may have.
const ROWS: usize = 10;
const BYTES: u64 = 64 << 10;
/// Columns of a sample at most.
const COLUMNS: usize = 100;

/// What the columns of a table are: name, type, whether it may be long, whether it belongs to the primary key, and how many do. Only those
/// that the login may read, since a statement that returns others fails.
const SHOWABLE: &str = "
SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod),
  t.typlen = -1 AND t.oid <> 'pg_catalog.numeric'::pg_catalog.regtype,
  COALESCE(a.attnum = ANY (i.indkey), false), COALESCE(i.indnkeyatts, 0)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attnum";

/// What a statement did, seen from within its transaction.
pub(super) struct Seen {
    pub(super) affected: u64,
    /// Whether it changed every row of the table that the login can see.
    pub(super) all: bool,
    pub(super) before: Option<EngineRows>,
    pub(super) after: Option<EngineRows>,
}

/// Runs the statement so that it shows its rows. None if it cannot: nothing has run then, and the transaction goes on.
pub(super) async fn run(
    session: &mut WriteSession,
    run: &Run,
    judged: (&Facts, &Syntax),
    schema: &Schema,
) -> Result<Option<Seen>, EngineError> {
    let Some(showing) = Showing::of(session, run, judged, schema).await? else { return Ok(None) };
    session.execute("SAVEPOINT shown", &[], 0).await?;
    match session.execute(&showing.sql, &run.params, ROWS as u64).await {
        Ok(written) => showing.read(&written).map(Some),
        // Row security may hide from a login what it writes: such a statement runs only if it returns nothing.
        Err(EngineError::Refused(refusal)) if refusal.rule != Rule::Deadline => {
            session.execute("ROLLBACK TO SAVEPOINT shown", &[], 0).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A statement that shows what it does, and how its answer is read.
struct Showing {
    sql: String,
    columns: Vec<ColumnInfo>,
    operation: Operation,
    /// Whether a row is shown as it was beside what it becomes.
    paired: bool,
}

struct Column {
    info: ColumnInfo,
    quoted: String,
    long: bool,
    key: bool,
}

impl Showing {
    async fn of(
        session: &mut WriteSession,
        run: &Run,
        (facts, syntax): (&Facts, &Syntax),
        schema: &Schema,
    ) -> Result<Option<Showing>, EngineError> {
        let target = syntax.relations.iter().find(|relation| relation.written);
        let table = written_tables(facts).pop_first();
        let relation = table.and_then(|table| schema.relation(table));
        let (Some(target), Some(table), Some(relation)) = (target, table, relation) else { return Ok(None) };
        let asked = session.execute(SHOWABLE, &[Value::Integer(relation.oid.into())], 10_000).await?;
        let (mut columns, in_key) = columns(&asked);
        let keys = columns.iter().filter(|column| column.key).count();
        let keyed = keys > 0 && keys == in_key;
        // INVARIANT: a key that is written leads to another row than the one that was changed.
        // MUTATE(A17-pg-pair): a row is shown beside one that it has nothing to do with
        let rewritten = |column: &Column| touches(facts, table, &column.info.name, Some(Action::Write));
        let paired = match facts.operation {
            Operation::Update => keyed && !columns.iter().any(|column| column.key && rewritten(column)),
            Operation::Insert => keyed,
            _ => false,
        };
        columns.retain(|column| column.key || touches(facts, table, &column.info.name, None));
        columns.truncate(COLUMNS);
        if columns.is_empty() {
            return Ok(None);
        }
        let reference = quote(target.alias.as_ref().unwrap_or(&target.name.name));
        let table = format!("{}.{}", quote(&relation.key.schema), quote(&relation.key.name));
        let sql = compose(&run.sql, &reference, &table, &columns, paired);
        let columns = columns.into_iter().map(|column| column.info).collect();
        Ok(Some(Showing { sql, columns, operation: facts.operation, paired }))
    }

    fn read(&self, written: &Written) -> Result<Seen, EngineError> {
        let width = 3 + self.columns.len() * (1 + usize::from(self.paired));
        let mut seen = Seen { affected: 0, all: false, before: None, after: None };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for row in written.values.chunks(width) {
            let [Value::Integer(affected), Value::Integer(there), Value::Boolean(known), shown @ ..] = row
            else {
                return Err(EngineError::Broken("the effect of a write cannot be read".into()));
            };
            seen.affected = u64::try_from(*affected).unwrap_or_default();
            seen.all = self.operation != Operation::Insert && *affected > 1 && there == affected;
            let (new, old) = shown.split_at_checked(self.columns.len()).unwrap_or((shown, &[]));
            match self.operation {
                Operation::Delete => before.push(new),
                _ => after.push(new),
            }
            if *known {
                before.push(old);
            }
        }
        (seen.before, seen.after) = (self.sample(&before), self.sample(&after));
        Ok(seen)
    }

    /// As many of the rows as fit; none of no rows.
    fn sample(&self, rows: &[&[Value]]) -> Option<EngineRows> {
        let mut bytes = 0u64;
        let fit = rows.iter().take_while(|row| {
            bytes = row.iter().map(Value::size).fold(bytes, u64::saturating_add);
            bytes <= BYTES
        });
        let values: Vec<Value> = fit.flat_map(|row| row.iter().cloned()).collect();
        let rows = EngineRows { columns: self.columns.clone(), values, ..EngineRows::default() };
        (!rows.values.is_empty()).then_some(rows)
    }
}

/// The statement within a query of what it changes: how many rows, how many there were (one more than that at most), whether a row was there
/// before, its columns, and the same as they were.
///
/// INVARIANT: the text is one judged statement without `RETURNING`, so what is put around it cannot become part of it; whatever it does is
/// rolled back.
fn compose(sql: &str, reference: &str, table: &str, columns: &[Column], paired: bool) -> String {
    let (mut returned, mut shown, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (at, column) in columns.iter().enumerate() {
        returned.push(format!("{reference}.{} AS c{at}", column.quoted));
        shown.push(cut(&format!("changed.c{at}"), column.long));
        if column.key {
            keys.push((at, &column.quoted));
        }
    }
    let (mut known, mut join) = ("false".to_owned(), String::new());
    if paired {
        shown.extend(columns.iter().map(|column| cut(&format!("was.{}", column.quoted), column.long)));
        let same: Vec<String> = keys.iter().map(|(at, key)| format!("was.{key} = changed.c{at}")).collect();
        join = format!(" LEFT JOIN {table} AS was ON {}", same.join(" AND "));
        known = keys.first().map_or(known, |(_, key)| format!("was.{key} IS NOT NULL"));
    }
    format!(
        "WITH changed AS (\n{}\nRETURNING {}\n), total AS (SELECT pg_catalog.count(*) AS n FROM changed)
SELECT (SELECT n FROM total), (SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {table} LIMIT (SELECT n + 1 FROM total)) AS there), {known}, {}
FROM (SELECT * FROM changed LIMIT {ROWS}) AS changed{join}",
        sql.trim_end().trim_end_matches(';'),
        returned.join(", "),
        shown.join(", "),
    )
}

/// A long value by its beginning.
fn cut(column: &str, long: bool) -> String {
    if long { format!("pg_catalog.left({column}::pg_catalog.text, 1000)") } else { column.to_owned() }
}

/// The columns that may be shown, and how many the primary key has.
fn columns(asked: &Written) -> (Vec<Column>, usize) {
    let mut in_key = 0;
    let column = |row: &[Value]| match row {
        [
            Value::Text(name),
            Value::Text(kind),
            Value::Boolean(long),
            Value::Boolean(key),
            Value::Integer(keys),
        ] => {
            in_key = usize::try_from(*keys).unwrap_or_default();
            let info = ColumnInfo { name: name.clone(), decl_type: Some(kind.clone()) };
            Some(Column { info, quoted: quote(name), long: *long, key: *key })
        }
        _ => None,
    };
    let columns = asked.values.chunks(5).filter_map(column).collect();
    (columns, in_key)
}

fn touches(facts: &Facts, table: &str, column: &str, how: Option<Action>) -> bool {
    facts.accesses.iter().any(|access| {
        let meant = matches!(&access.object, Object::Column { table: of, column: name } if of == table && name == column);
        meant && how.is_none_or(|how| access.action == how)
    })
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
