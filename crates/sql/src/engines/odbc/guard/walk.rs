//! The walk over a parsed query: a closed list of what may stand in it.
//!
//! INVARIANT: every struct is taken apart field by field and every enum's variant is named, so that a newer parser's additions do not
//! compile until somebody has judged them, and a variant that is not named is refused.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Cte, Distinct, Expr, Fetch, GroupByExpr, GroupByWithModifier, Ident, LimitClause, NamedWindowDefinition,
    NamedWindowExpr, ObjectName, ObjectNamePart, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions,
    OrderBySort, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableAlias, TableAliasColumnDef, Top, TopQuantity, Values, WildcardAdditionalOptions, With,
};

use super::scope::{Derived, Scopes, Use};
use crate::{Dialect, Refusal, Rule};

/// A table as the statement names it, folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::engines::odbc) struct Named {
    /// Its name's parts, the table's own last.
    pub(in crate::engines::odbc) parts: Vec<String>,
    /// What the statement calls it.
    pub(super) alias: Option<String>,
}

impl Named {
    /// Whether a qualifier means it: its alias, or the end of its name.
    pub(super) fn is(&self, qualifier: &[String]) -> bool {
        match (&self.alias, qualifier) {
            (_, []) => true,
            (Some(alias), [name]) => alias == name,
            (Some(_), _) => false,
            (None, qualifier) => self.parts.ends_with(qualifier),
        }
    }
}

/// What was found in a statement; all names folded.
#[derive(Default, Debug)]
pub(in crate::engines::odbc) struct Found {
    /// Tables, and names of common table expressions: which is which shows when all are known.
    pub(in crate::engines::odbc) tables: BTreeSet<Named>,
    /// Names of common table expressions.
    pub(super) ctes: BTreeSet<String>,
    /// What the statement itself names: derived tables and their columns, results.
    pub(super) defined: BTreeSet<String>,
    /// Columns as they are used, with their qualifier.
    pub(super) columns: BTreeSet<(Vec<String>, String)>,
    /// Whose columns are read altogether: everybody's, if the qualifier is empty.
    pub(super) stars: BTreeSet<Vec<String>>,
    /// Functions that are called.
    pub(super) functions: BTreeSet<String>,
    /// The table that is written, and its columns.
    pub(super) written: Option<(Named, BTreeSet<String>)>,
    /// Where each name stands.
    pub(super) scopes: Scopes,
    pub(super) dialect: Dialect,
}

/// The walk's state.
pub(super) struct Walk<'a> {
    pub(super) dialect: Dialect,
    pub(super) functions: &'a BTreeSet<String>,
    pub(super) found: Found,
    /// The SELECT that is walked.
    pub(super) scope: Option<usize>,
    /// Whether the names of its items count.
    labelled: bool,
}

type Walked = Result<(), Refusal>;

impl<'a> Walk<'a> {
    pub(super) fn new(dialect: Dialect, functions: &'a BTreeSet<String>) -> Walk<'a> {
        let found = Found { dialect, ..Found::default() };
        Walk { dialect, functions, found, scope: None, labelled: false }
    }

    /// A name in the place of a column.
    pub(super) fn column(&mut self, qualifier: Vec<String>, column: String) {
        let (scope, labelled) = (self.scope, self.labelled);
        self.found.scopes.uses.insert(Use {
            scope,
            labelled,
            qualifier: qualifier.clone(),
            column: column.clone(),
        });
        self.found.columns.insert((qualifier, column));
    }

    pub(super) fn query(&mut self, query: &Query) -> Walked {
        self.inner(query, self.scope).map(drop)
    }

    /// A query that sees the names of `outer`, and the SELECT whose items are its columns.
    pub(super) fn inner(&mut self, query: &Query, outer: Option<usize>) -> Result<Option<usize>, Refusal> {
        let before =
            (std::mem::replace(&mut self.scope, outer), std::mem::replace(&mut self.labelled, false));
        let body = self.parts_of(query)?;
        (self.scope, self.labelled) = before;
        Ok(body)
    }

    fn parts_of(&mut self, query: &Query) -> Result<Option<usize>, Refusal> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        refuse_if(!locks.is_empty(), Rule::RowLock, "a query may not lock rows")?;
        let odd = for_clause.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || !pipe_operators.is_empty();
        refuse_if(
            odd,
            Rule::UnsupportedSyntax,
            "`FOR XML`, `FOR JSON`, `SETTINGS`, `FORMAT` and pipes are not allowed",
        )?;
        if let Some(With { with_token: _, recursive: _, cte_tables }) = with {
            cte_tables.iter().try_for_each(|cte| self.cte(cte))?;
        }
        let body = self.body(body)?;
        if let Some(order_by) = order_by {
            let outer = self.scope;
            (self.scope, self.labelled) = (body.or(outer), body.is_some());
            self.order_by(order_by)?;
            (self.scope, self.labelled) = (outer, false);
        }
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                self.expressions(limit)?;
                if let Some(Offset { value, rows: _ }) = offset {
                    self.expression(value)?;
                }
                self.expressions(limit_by)?;
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.expression(offset)?;
                self.expression(limit)?;
            }
        }
        if let Some(Fetch { with_ties: _, percent: _, quantity }) = fetch {
            self.expressions(quantity)?;
        }
        Ok(body)
    }

    fn cte(&mut self, cte: &Cte) -> Walked {
        let Cte { alias, query, from, materialized: _, closing_paren_token: _ } = cte;
        refuse_if(from.is_some(), Rule::UnsupportedSyntax, "this form of `WITH` is not allowed")?;
        let renamed = self.alias(alias)?;
        self.found.ctes.insert(folded(&alias.name));
        let body = self.inner(query, self.scope)?;
        self.found.scopes.ctes.push(Derived { name: Some(folded(&alias.name)), renamed, body });
        Ok(())
    }

    /// The first SELECT of a chain gives its columns their names.
    fn body(&mut self, body: &SetExpr) -> Result<Option<usize>, Refusal> {
        // A chain of unions leans to the left: a loop keeps it off the stack.
        let mut body = body;
        loop {
            match body {
                SetExpr::SetOperation { left, op: _, set_quantifier: _, right } => {
                    self.body(right)?;
                    body = left;
                }
                SetExpr::Select(select) => return self.select(select),
                SetExpr::Query(query) => return self.inner(query, self.scope),
                SetExpr::Values(Values { explicit_row: _, value_keyword: _, rows }) => {
                    rows.iter().try_for_each(|row| self.expressions(&row.content))?;
                    return Ok(None);
                }
                SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                    return Err(Refusal::new(Rule::DataModifyingCte, "a part of a query may not write"));
                }
                SetExpr::Table(_) => {
                    return Err(unsupported("`TABLE name` is not allowed: write SELECT * FROM name"));
                }
            }
        }
    }

    fn select(&mut self, select: &Select) -> Result<Option<usize>, Refusal> {
        let outer = self.scope;
        self.scope = Some(self.found.scopes.open(outer));
        self.clauses(select)?;
        Ok(std::mem::replace(&mut self.scope, outer))
    }

    fn clauses(&mut self, select: &Select) -> Walked {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            // Of MySQL: priority, caching and order of joins.
            select_modifiers: _,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        refuse_if(into.is_some(), Rule::SelectInto, "`SELECT INTO` creates a table")?;
        let odd = !optimizer_hints.is_empty()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
            || *flavor != SelectFlavor::Standard;
        refuse_if(
            odd,
            Rule::UnsupportedSyntax,
            "a clause of this SELECT is not on the list of allowed clauses",
        )?;
        match distinct {
            None | Some(Distinct::All | Distinct::Distinct) => {}
            Some(Distinct::On(columns)) => self.expressions(columns)?,
        }
        if let Some(Top { with_ties: _, percent: _, quantity: Some(TopQuantity::Expr(count)) }) = top {
            self.expression(count)?;
        }
        projection.iter().try_for_each(|item| self.item(item))?;
        from.iter().try_for_each(|table| self.joined(table))?;
        self.expressions(selection)?;
        // Oracle looks for the names of items in `ORDER BY` only.
        self.labelled = self.dialect != Dialect::Oracle;
        match group_by {
            GroupByExpr::All(modifiers) => self.modifiers(modifiers)?,
            GroupByExpr::Expressions(expressions, modifiers) => {
                self.expressions(expressions)?;
                self.modifiers(modifiers)?;
            }
        }
        self.expressions(having)?;
        self.labelled = false;
        for NamedWindowDefinition(name, window) in named_window {
            self.found.defined.insert(folded(name));
            match window {
                NamedWindowExpr::NamedWindow(_) => {}
                NamedWindowExpr::WindowSpec(window) => self.window(window)?,
            }
        }
        Ok(())
    }

    fn modifiers(&mut self, modifiers: &[GroupByWithModifier]) -> Walked {
        modifiers.iter().try_for_each(|modifier| match modifier {
            GroupByWithModifier::Rollup | GroupByWithModifier::Cube | GroupByWithModifier::Totals => Ok(()),
            GroupByWithModifier::GroupingSets(sets) => self.expression(sets),
        })
    }

    pub(super) fn item(&mut self, item: &SelectItem) -> Walked {
        let label = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last(),
            SelectItem::ExprWithAlias { expr: _, alias } => Some(alias),
            _ => None,
        };
        if let Some(scope) = self.found.scopes.of(self.scope) {
            scope.labels.extend(label.map(folded));
            scope.star |= matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        }
        match item {
            SelectItem::UnnamedExpr(expression) => self.expression(expression),
            SelectItem::ExprWithAlias { expr, alias } => {
                self.define(alias);
                self.expression(expr)
            }
            SelectItem::ExprWithAliases { expr: _, aliases: _ } => {
                Err(unsupported("several aliases are not allowed"))
            }
            SelectItem::Wildcard(options) => self.star(Vec::new(), options),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let qualifier = parts(name)?;
                self.star(qualifier, options)
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                Err(field_selection())
            }
        }
    }

    pub(super) fn star(&mut self, qualifier: Vec<String>, options: &WildcardAdditionalOptions) -> Walked {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let odd = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        refuse_if(odd, Rule::UnsupportedSyntax, "`*` takes no options")?;
        self.found.stars.insert(qualifier);
        Ok(())
    }

    fn order_by(&mut self, order_by: &OrderBy) -> Walked {
        let OrderBy { kind, interpolate } = order_by;
        refuse_if(interpolate.is_some(), Rule::UnsupportedSyntax, "`INTERPOLATE` is not allowed")?;
        match kind {
            OrderByKind::All(_) => Err(unsupported("`ORDER BY ALL` is not allowed")),
            OrderByKind::Expressions(expressions) => self.sorts(expressions),
        }
    }

    pub(super) fn sorts(&mut self, sorts: &[OrderByExpr]) -> Walked {
        sorts.iter().try_for_each(|OrderByExpr { expr, options, with_fill }| {
            let OrderByOptions { sort, nulls_first: _ } = options;
            let odd = with_fill.is_some() || matches!(sort, Some(OrderBySort::Using(_)));
            refuse_if(odd, Rule::UnsupportedSyntax, "this form of `ORDER BY` is not allowed")?;
            self.expression(expr)
        })
    }

    /// The alias of a derived table with the names of its columns.
    pub(super) fn alias(&mut self, alias: &TableAlias) -> Result<Vec<String>, Refusal> {
        let TableAlias { explicit: _, name, columns, at } = alias;
        refuse_if(at.is_some(), Rule::UnsupportedSyntax, "this form of an alias is not allowed")?;
        self.define(name);
        let rename = |column: &TableAliasColumnDef| {
            refuse_if(column.data_type.is_some(), Rule::UnsupportedSyntax, "an alias may not define types")?;
            self.define(&column.name);
            Ok(folded(&column.name))
        };
        columns.iter().map(rename).collect()
    }

    pub(super) fn define(&mut self, name: &Ident) {
        self.found.defined.insert(folded(name));
    }
}

/// A name as it is compared: ASCII letters in lower case.
pub(super) fn folded(name: &Ident) -> String {
    name.value.to_ascii_lowercase()
}

/// The parts of a name, folded.
pub(super) fn parts(name: &ObjectName) -> Result<Vec<String>, Refusal> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(name) => Ok(folded(name)),
        ObjectNamePart::Function(_) => Err(unsupported("a name may not be computed")),
    };
    name.0.iter().map(part).collect()
}

pub(super) fn unsupported(message: &str) -> Refusal {
    Refusal::new(Rule::UnsupportedSyntax, message)
}

pub(super) fn field_selection() -> Refusal {
    Refusal::new(Rule::FieldSelection, "a field of an expression may not be selected: it may call a function")
}

pub(super) fn refuse_if(condition: bool, rule: Rule, message: &str) -> Result<(), Refusal> {
    match condition {
        false => Ok(()),
        true => Err(Refusal::new(rule, message)),
    }
}
