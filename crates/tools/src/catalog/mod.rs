//! The catalog: predefined, parameterised statements in version-controlled files.
//!
//! Three steps, each of which can fail and then changes nothing: [`Catalog::read`] reads the files and checks what can be checked without a
//! database; [`Catalog::prepare`] has each statement judged by its database and generates schemas; the tools of [`Prepared::tools`] then run
//! exactly those statements, with values as bound parameters and nothing else of what a model wrote.

mod answer;
mod call;
mod entities;
mod entry;
mod exposed;
mod judge;
mod keys;
mod late;
mod list;
mod param;
mod placeholders;
mod prepared;
mod problem;
mod read;
mod resource;
mod run;
mod schemas;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use countersign_core::{PowerClass, Tool};

pub use entry::{
    Answer, Bind, Catalog, Entity, Kind, Origin, Param, Query, ResultShape, RowLimit, Rows, Scalar, View,
};
pub use prepared::{Prepared, PreparedQuery};
pub use problem::{CatalogErrors, Place, Problem};

/// A tool of the catalog, and the one database that it reaches, if it is one.
pub struct CatalogTool {
    /// The tool.
    pub tool: Arc<dyn Tool>,
    /// The database's configured name.
    pub database: Option<Arc<str>>,
}

impl Prepared {
    /// The tools: `list_catalog` and `run_catalog_query` if there are queries for them, one for each exposed query and each fixed answer,
    /// `describe_entities` and `count_entities` if there are entities.
    pub fn tools(&self) -> Vec<CatalogTool> {
        let of_all = |tool: Arc<dyn Tool>| CatalogTool { tool, database: None };
        let mut tools = Vec::new();
        let plain: Vec<_> =
            // MUTATE(A11-class): the tool of class read-low runs entries of any class
            self.queries.iter().filter(|query| query.entry.power == PowerClass::ReadLow).cloned().collect();
        if !plain.is_empty() {
            tools.push(of_all(Arc::new(list::ListCatalog::new(plain.clone()))));
            tools.push(of_all(Arc::new(run::RunCatalogQuery::new(plain))));
        }
        for query in self.queries.iter().filter(|query| query.entry.expose) {
            let tool = Arc::new(exposed::Exposed::new(Arc::clone(query)));
            tools.push(CatalogTool { tool, database: Some(Arc::clone(&query.entry.database)) });
        }
        if !self.entities.is_empty() {
            tools.push(of_all(Arc::new(entities::DescribeEntities::new(self.entities.clone()))));
            tools.push(of_all(Arc::new(entities::CountEntities::new(self.entities.clone()))));
        }
        for answer in &self.answers {
            tools.push(of_all(Arc::new(answer::FixedAnswer::new(answer.clone()))));
        }
        tools
    }
}
