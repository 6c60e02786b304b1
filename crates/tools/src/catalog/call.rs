//! One call of a catalog query, whichever tool it came through: planned as its statement, run as it was judged.

use std::{collections::BTreeMap, sync::Arc};

use countersign_core::{
    Effect, Label, Output, Part, Permit, Plan, Planned, Preview, PreviewPermit, Principal, RowSet, ToolError,
    ToolSpec,
};
use serde_json::{Value as Json, json};

use super::{
    entry::Rows,
    prepared::PreparedQuery,
    schemas::{self, Bound},
};
use crate::{paging::Page, write::COUNTED};

/// The parsed call: what was authorized is what runs.
struct Ready {
    query: Arc<PreparedQuery>,
    bound: Bound,
    page: Option<Page>,
}

/// How a query is called, beside its own arguments.
pub(super) struct Asked<'a> {
    /// The tool that is called.
    pub(super) tool: &'a ToolSpec,
    /// Which page of the result is wanted.
    pub(super) cursor: Option<&'a str>,
    /// Where in the tool's arguments those of the query are, for messages.
    pub(super) prefix: &'a str,
}

/// Plans a call.
pub(super) async fn plan(
    query: &Arc<PreparedQuery>,
    principal: &Principal,
    arguments: &Json,
    asked: Asked<'_>,
) -> Result<Planned, ToolError> {
    let bound = schemas::bind(query, principal, arguments, asked.prefix)?;
    let entry = &query.entry;
    let page = match (entry.paged, asked.cursor) {
        (true, cursor) => query.database.page(principal, asked.tool, (&query.sql, &bound.values), cursor)?,
        (false, None) => None,
        (false, Some(_)) => return Err(ToolError::invalid("/cursor", "is for queries that have pages")),
    };
    Ok(Planned {
        accesses: query.accesses(principal).await?,
        effect: if entry.write { Effect::Write } else { Effect::Read },
        destinations: Vec::new(),
        facts: BTreeMap::from([
            ("operation", query.facts.operation.name().to_owned()),
            ("query", entry.name.to_string()),
        ]),
        detail: Box::new(Ready { query: Arc::clone(query), bound, page }),
    })
}

/// Tries out what was planned, if it writes.
pub(super) async fn preview(plan: &Plan, permit: PreviewPermit) -> Result<Preview, ToolError> {
    let ready = plan.detail::<Ready>();
    let Ready { query, bound, .. } =
        ready.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
    if !query.entry.write {
        return Ok(Preview { affected: Some(0), ..Preview::default() });
    }
    query.database.rehearse(&permit, &query.sql, bound.values.clone()).await
}

/// Runs what was planned.
pub(super) async fn execute(permit: Permit) -> Result<Output, ToolError> {
    let ready = permit.plan().detail::<Ready>();
    let Ready { query, bound, page } =
        ready.ok_or_else(|| ToolError::internal("the plan is not of this tool"))?;
    let entry = &query.entry;
    if entry.write {
        let affected = query.database.write(&permit, &query.sql, bound.values.clone()).await?;
        return Ok(Output::new(COUNTED, vec![Part::Json(json!({"affected": affected}))]));
    }
    // One row answers a question for one; a second shows that there were more.
    let single = entry.result.as_ref().is_some_and(|result| result.rows != Rows::Objects);
    let limit = if single { 1 } else { bound.rows.unwrap_or(u64::MAX) };
    let values = bound.values.clone();
    let mut rows = query.database.run_page(&permit, &query.sql, values, limit, page.as_ref()).await?;
    mask(&mut rows, &entry.mask);
    // INVARIANT: a mask that fits no column hides nothing, so there is no answer. Engines that name columns early refuse it at load.
    let fits = |name: &String| rows.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    if !entry.mask.iter().all(fits) {
        return Err(ToolError::internal("the catalog masks a column that the result does not have"));
    }
    let part = match &entry.result {
        Some(result) => Part::Shaped(rows, schemas::shape(result, bound.echo.clone())),
        None => Part::Rows(rows),
    };
    Ok(Output::new(Label::RETRIEVED, vec![part]))
}

/// INVARIANT: a column that the entry masks is masked in every result, whatever the letters of its name in this one.
fn mask(rows: &mut RowSet, masked: &[String]) {
    for column in &mut rows.columns {
        // MUTATE(A16-catalog-mask): the entry's masks are not applied
        column.masked |= masked.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
    }
}
