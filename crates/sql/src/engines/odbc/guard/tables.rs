//! What may stand in FROM: tables, subqueries and joins of them. Functions that return tables, and all that reaches elsewhere, do not.

use sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableIndexHints,
    TableWithJoins,
};

use super::{
    functions,
    scope::Derived,
    walk::{Named, Walk, folded, parts, refuse_if, unsupported},
};
use crate::{Refusal, Rule};

/// Hints of SQL Server that take no lock.
const HINTS: &[&str] = &["nolock", "readcommitted", "readpast", "readuncommitted", "snapshot"];

impl Walk<'_> {
    pub(super) fn joined(&mut self, tables: &TableWithJoins) -> Result<(), Refusal> {
        let TableWithJoins { relation, joins } = tables;
        self.factor(relation)?;
        joins.iter().try_for_each(|join| {
            let Join { relation, global, join_operator } = join;
            refuse_if(*global, Rule::UnsupportedSyntax, "`GLOBAL JOIN` is not allowed")?;
            let lateral = matches!(join_operator, JoinOperator::CrossApply | JoinOperator::OuterApply);
            self.part(relation, lateral)?;
            self.join(join_operator)
        })
    }

    fn join(&mut self, operator: &JoinOperator) -> Result<(), Refusal> {
        let constraint = match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint)
            | JoinOperator::StraightJoin(constraint) => constraint,
            JoinOperator::CrossApply | JoinOperator::OuterApply => return Ok(()),
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::AsOf { .. }
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => return Err(unsupported("this kind of join is not allowed")),
        };
        match constraint {
            JoinConstraint::None => Ok(()),
            JoinConstraint::On(condition) => self.expression(condition),
            JoinConstraint::Using(columns) => columns.iter().try_for_each(|column| {
                let column = parts(column)?.pop().unwrap_or_default();
                self.column(Vec::new(), column);
                Ok(())
            }),
            // Compares every column that both sides have.
            JoinConstraint::Natural => {
                self.found.stars.insert(Vec::new());
                Ok(())
            }
        }
    }

    pub(super) fn factor(&mut self, factor: &TableFactor) -> Result<(), Refusal> {
        self.part(factor, false)
    }

    /// A part of FROM. A subquery that is `applied`, or `LATERAL`, sees the names beside it.
    fn part(&mut self, factor: &TableFactor, applied: bool) -> Result<(), Refusal> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                // MUTATE(A8-odbc-tables): a function stands where a table should
                refuse_if(
                    args.is_some(),
                    Rule::ForbiddenFunction,
                    "functions that return tables are not allowed",
                )?;
                let odd = version.is_some()
                    || *with_ordinality
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || sample.is_some();
                refuse_if(odd, Rule::UnsupportedSyntax, "a table takes a name and an alias, nothing more")?;
                with_hints.iter().try_for_each(hint)?;
                let _: &[TableIndexHints] = index_hints;
                self.table(name, alias.as_ref())
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                refuse_if(
                    sample.is_some(),
                    Rule::UnsupportedSyntax,
                    "a sample of a subquery is not allowed",
                )?;
                let renamed = alias.as_ref().map(|alias| self.alias(alias)).transpose()?;
                let own = self.scope;
                let outer = self.found.scopes.of(own).and_then(|own| own.outer);
                let body = self.inner(subquery, if *lateral || applied { own } else { outer })?;
                let name = alias.as_ref().map(|alias| folded(&alias.name));
                let derived = Derived { name, renamed: renamed.unwrap_or_default(), body };
                if let Some(own) = self.found.scopes.of(own) {
                    own.derived.push(derived);
                }
                Ok(())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                refuse_if(alias.is_some(), Rule::UnsupportedSyntax, "a join takes no alias")?;
                self.joined(table_with_joins)
            }
            TableFactor::TableFunction { .. }
            | TableFactor::Function { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::XmlTable { .. } => {
                Err(Refusal::new(Rule::ForbiddenFunction, "functions that return tables are not allowed"))
            }
            TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::SemanticView { .. } => Err(unsupported("this does not belong in FROM")),
        }
    }

    pub(super) fn table(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<(), Refusal> {
        let named = self.named(name, alias)?;
        if let Some(scope) = self.found.scopes.of(self.scope) {
            let renamed =
                alias.map(|alias| alias.columns.iter().map(|column| folded(&column.name)).collect());
            let derived =
                Derived { name: named.alias.clone(), renamed: renamed.unwrap_or_default(), body: None };
            scope.derived.extend((!derived.renamed.is_empty()).then_some(derived));
            scope.tables.insert(named.clone());
        }
        self.found.tables.insert(named);
        Ok(())
    }

    pub(super) fn named(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Named, Refusal> {
        let parts = parts(name)?;
        refuse_if(parts.len() > 3, Rule::ForbiddenAction, "another server's tables are not allowed")?;
        // MUTATE(A8-odbc-system): the server's catalogue is read
        if functions::is_system(self.dialect, &parts) {
            return Err(Refusal::new(
                Rule::SystemCatalog,
                "the server's own catalogue is not read by queries: use list_tables and describe_table",
            ));
        }
        let alias = match alias {
            None => None,
            Some(alias) => {
                // Renamed columns hide which are read.
                if !alias.columns.is_empty() {
                    self.found.stars.insert(Vec::new());
                }
                self.alias(alias)?;
                Some(folded(&alias.name))
            }
        };
        Ok(Named { parts, alias })
    }
}

fn hint(hint: &Expr) -> Result<(), Refusal> {
    match hint {
        Expr::Identifier(name) if HINTS.contains(&folded(name).as_str()) => Ok(()),
        _ => Err(Refusal::new(Rule::RowLock, "of a table's hints only those that take no lock are allowed")),
    }
}
