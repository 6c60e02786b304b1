//! How a database judges an entry: what is wrong with it is a problem with its place, and a database that does not answer says so.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use countersign_core::schema::Validator;
use countersign_sql::Facts;

use super::{
    entry::{Entity, Query, RowLimit, Rows},
    late::{Entry, absence},
    placeholders::{self, Dialect},
    prepared::{PreparedEntity, PreparedQuery},
    problem::{Place, Problem},
    schemas,
};
use crate::{
    database::Database,
    engine::{EngineError, Purpose},
};

#[async_trait]
impl Entry for Query {
    type Judged = PreparedQuery;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    async fn judge(
        &self,
        databases: &[Arc<Database>],
        problems: &mut Vec<Problem>,
        absent: &mut Option<String>,
    ) -> Option<PreparedQuery> {
        let entry = self;
        let before = problems.len();
        let database = find(&entry.database, databases, entry.key_place("database"), problems)?;
        let mut wrong = |key: &str, message: String, help: Option<String>| {
            problems.push(Problem { place: entry.key_place(key).clone(), message, help });
        };
        let name = &entry.name;
        let rewritten = match placeholders::rewrite(&entry.sql, Dialect::of(database.engine().dialect())) {
            Ok(rewritten) => rewritten,
            Err(unreadable) => {
                let line = entry.sql.get(..unreadable.at).unwrap_or_default().matches('\n').count() + 1;
                wrong(
                    "sql",
                    format!("`query.{name}.sql`, line {line} of the statement, {}", unreadable.rule),
                    None,
                );
                return None;
            }
        };
        let mut order = Vec::new();
        for used in &rewritten.order {
            match entry.params.iter().position(|param| param.name == *used) {
                Some(position) => order.push(position),
                None => {
                    let help = format!("add `[query.{name}.params.{used}]` with its `type`");
                    wrong(
                        "sql",
                        format!("`query.{name}.sql` uses `:{used}`, which is no parameter"),
                        Some(help),
                    );
                }
            }
        }
        for param in &entry.params {
            let limit = entry.rows == RowLimit::Param(param.name.clone());
            if !limit && !rewritten.order.contains(&param.name) {
                let message = format!(
                    "`query.{name}.params.{}` is not used: the statement has no `:{}`",
                    param.name, param.name
                );
                problems.push(Problem { place: param.place.clone(), message, help: None });
            } else if schemas::encode_array(param, database.engine().dialect()).is_err() {
                let message = format!("`query.{name}.params.{}`: this database takes no arrays", param.name);
                problems.push(Problem { place: param.place.clone(), message, help: None });
            }
        }
        if problems.len() > before {
            return None;
        }
        let purpose = if entry.write { Purpose::Write } else { Purpose::Read };
        let place = (name.as_ref(), entry.key_place("sql"));
        let facts = judged(&database, purpose, &rewritten.sql, place, problems, absent).await?;
        let mut wrong = |key: &str, message: String, help: Option<String>| {
            problems.push(Problem { place: entry.key_place(key).clone(), message, help });
        };
        // INVARIANT: engine and rewriter see the same placeholders. If they did not, a value could be taken for another.
        let takes = order.len();
        if usize::try_from(facts.parameters).ok() != Some(takes) {
            let message = format!(
                "`query.{name}.sql` has {takes} placeholders, but the database counts {}",
                facts.parameters
            );
            wrong("sql", message, Some("write placeholders as `:name`, apart from everything else".into()));
        }
        for masked in &entry.mask {
            let known = facts.columns.iter().any(|column| column.name.eq_ignore_ascii_case(masked));
            if !known && !facts.columns.is_empty() {
                wrong(
                    "mask",
                    format!("`query.{name}.mask` names a column that the result does not have"),
                    None,
                );
            }
        }
        if let Some(result) = &entry.result {
            let distinct: BTreeSet<&str> = facts.columns.iter().map(|column| column.name.as_str()).collect();
            if result.rows != Rows::Value && distinct.len() != facts.columns.len() {
                let rule = "needs columns of different names; give each an `AS name`";
                wrong("result", format!("`query.{name}.result` {rule}"), None);
            }
            if result.rows == Rows::Value && facts.columns.len() > 1 {
                wrong(
                    "result",
                    format!("`query.{name}.result` with `rows = \"value\"` needs exactly one column"),
                    None,
                );
            }
        }
        let input = schemas::input(&entry.params);
        let output = schemas::output(entry, &facts.columns);
        let rules = entry.params.iter().map(|param| Validator::compile(&param.schema));
        let compiled = Validator::compile(&output)
            .and_then(|_| Validator::compile(&input))
            .and_then(|all| Ok((all, rules.collect::<Result<Vec<_>, _>>()?)));
        let (validator, rules) = match compiled {
            Ok(compiled) => compiled,
            Err(cause) => {
                wrong("", format!("the schema of `query.{name}` cannot be used: {cause}"), None);
                return None;
            }
        };
        (problems.len() == before).then(|| PreparedQuery {
            entry: entry.clone(),
            sql: rewritten.sql,
            order,
            columns: facts.columns.clone(),
            facts,
            input,
            output,
            validator,
            rules,
            database,
        })
    }
}

#[async_trait]
impl Entry for Entity {
    type Judged = PreparedEntity;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    async fn judge(
        &self,
        databases: &[Arc<Database>],
        problems: &mut Vec<Problem>,
        absent: &mut Option<String>,
    ) -> Option<PreparedEntity> {
        let database = find(&self.database, databases, &self.place, problems)?;
        let count = format!("SELECT COUNT(*) AS total FROM {}", self.table);
        judged(&database, Purpose::Read, &count, (&self.name, &self.place), problems, absent).await?;
        Some(PreparedEntity { entity: self.clone(), database, count })
    }
}

fn find(
    name: &str,
    databases: &[Arc<Database>],
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Database>> {
    let found = databases.iter().find(|database| **database.name() == *name);
    if found.is_none() {
        let known: Vec<&str> = databases.iter().map(|database| database.name().as_ref()).collect();
        let near = super::problem::nearest(name, known.iter().copied());
        problems.push(Problem {
            place: place.clone(),
            message: "`database` must name a configured database".into(),
            help: Some(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("configured: {}", known.join(", ")),
            }),
        });
    }
    found.cloned()
}

/// The facts of a statement, which must be the same whichever tenant asks.
async fn judged(
    database: &Database,
    purpose: Purpose,
    sql: &str,
    (name, place): (&str, &Place),
    problems: &mut Vec<Problem>,
    absent: &mut Option<String>,
) -> Option<Arc<Facts>> {
    let mut first: Option<Arc<Facts>> = None;
    for tenant in database.tenants() {
        let facts = match database.judge_ahead(&tenant, purpose, sql).await {
            Ok(facts) => facts,
            Err(error) => {
                *absent = absence(&error);
                let (reason, help) = reason(error);
                let message = format!("`{name}` is refused by its database: {reason}");
                problems.push(Problem { place: place.clone(), message, help });
                return None;
            }
        };
        if first
            .as_ref()
            .is_some_and(|known| known.columns != facts.columns || known.parameters != facts.parameters)
        {
            let message = format!("`{name}` has other columns for one tenant than for another");
            problems.push(Problem { place: place.clone(), message, help: None });
            return None;
        }
        first.get_or_insert(facts);
    }
    if first.is_none() {
        let message = format!("`{name}` cannot be judged: no tenant has a login");
        problems.push(Problem { place: place.clone(), message, help: None });
    }
    first
}

/// Why a statement was not judged, for the catalog's author.
fn reason(error: EngineError) -> (String, Option<String>) {
    match error {
        EngineError::Refused(refusal) => {
            (format!("{} [{}]", refusal.message, refusal.rule.code()), refusal.detail)
        }
        EngineError::Busy { .. } => ("all its workers are busy".into(), None),
        EngineError::Killed => ("it did not answer in time".into(), None),
        EngineError::Broken(cause) | EngineError::Unreachable(cause) => {
            ("it cannot be reached".into(), Some(cause))
        }
    }
}
