//! What the names of a statement mean in a database: accesses for the policy, never fewer than the statement makes.

mod calls;

use std::collections::BTreeSet;

use super::{
    Catalogue, GuardConfig,
    catalogue::{Kind, RelationInfo, RelationKey},
    lists,
    syntax::{ColumnUse, Columns, Name, Relation, Syntax},
};
use crate::{Access, Facts, Object, Operation, Refusal, Rule};

/// Views within views at most.
const MAX_VIEWS: usize = 16;

/// Columns that every table has.
const SYSTEM_COLUMNS: &[&str] = &["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

/// Resolves a judged statement. Tables are named `schema.table`, functions `schema.name`, or `name` if they are built in. Views count as
/// read, with all that they read in turn. `columns` of the facts is empty: the server tells them when it prepares the statement.
///
/// # Errors
/// The rule it breaks: a name that does not exist or cannot be what it seems, or a view or function that does what no caller may.
pub fn resolve(syntax: &Syntax, catalogue: &Catalogue, config: &GuardConfig) -> Result<Facts, Refusal> {
    let mut resolver = Resolver {
        catalogue,
        config,
        accesses: BTreeSet::new(),
        projected: BTreeSet::new(),
        used: BTreeSet::new(),
    };
    resolver.statement(syntax, &catalogue.search_path, &mut Vec::new())?;
    let projected = resolver.projected.difference(&resolver.used).cloned().collect();
    Ok(Facts {
        operation: syntax.operation,
        accesses: resolver.accesses,
        projected,
        columns: Vec::new(),
        parameters: syntax.parameters,
    })
}

struct Resolver<'a> {
    catalogue: &'a Catalogue,
    config: &'a GuardConfig,
    accesses: BTreeSet<Access>,
    /// Columns with a use that is only projected, and those with another use.
    projected: BTreeSet<Object>,
    used: BTreeSet<Object>,
}

/// A relation of the statement that was found.
struct Found<'a> {
    relation: &'a Relation,
    key: RelationKey,
    /// None for views of `information_schema`, whose columns are not listed.
    info: Option<&'a RelationInfo>,
}

impl Found<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.relation.alias.as_deref().unwrap_or(&self.key.name) == name
    }

    /// Whether the statement may call one of its columns so. A renamed column has its old name no more.
    fn has(&self, column: &str) -> bool {
        let Some(info) = self.info else { return true };
        let renamed = &self.relation.renamed;
        renamed.iter().any(|name| name == column)
            || info.columns.iter().skip(renamed.len()).any(|known| known.name == column)
            || SYSTEM_COLUMNS.contains(&column)
    }
}

impl<'a> Resolver<'a> {
    /// A statement, or the body of a view.
    fn statement(
        &mut self,
        syntax: &'a Syntax,
        path: &[String],
        views: &mut Vec<RelationKey>,
    ) -> Result<(), Refusal> {
        let mut relations = Vec::new();
        for relation in &syntax.relations {
            relations.push(self.relation(relation, syntax.operation, path, views)?);
        }
        for relation in
            relations.iter().filter(|found| found.relation.whole || !found.relation.renamed.is_empty())
        {
            self.all_columns(relation, false);
        }
        for column in &syntax.columns {
            self.column(column, syntax, &relations)?;
        }
        for function in &syntax.functions {
            self.function(function, path)?;
        }
        for operator in &syntax.operators {
            self.operator(operator, path)?;
        }
        syntax.types.iter().try_for_each(|name| self.type_name(name, path))
    }

    fn relation(
        &mut self,
        relation: &'a Relation,
        operation: Operation,
        path: &[String],
        views: &mut Vec<RelationKey>,
    ) -> Result<Found<'a>, Refusal> {
        let name = &relation.name;
        if name.schema.as_deref() == Some("information_schema") && !relation.written {
            let key = RelationKey::new("information_schema", &name.name);
            self.accesses.insert(Access::table(key.written()));
            return Ok(Found { relation, key, info: None });
        }
        let found = self.find(name, path).and_then(|key| self.catalogue.relations.get_key_value(&key));
        let Some((key, info)) = found else {
            return Err(unknown("a table that does not exist or is not to be seen", &name.name));
        };
        // Views may read other schemas: that is what they are for. Callers name what stands in those that were opened to them.
        // MUTATE(A8-pg-schemas): tables of every schema may be named
        if views.is_empty() && !self.catalogue.search_path.contains(&key.schema) {
            return Err(unknown("a table that does not exist or is not to be seen", &name.name));
        }
        let table = Access::table(key.written());
        if relation.written {
            if info.kind != Kind::Table {
                return Err(Refusal::new(
                    Rule::ForbiddenAction,
                    "only tables are written, not views or foreign tables",
                ));
            }
            self.accesses.insert(table.clone().written());
        }
        if !relation.written || operation != Operation::Insert {
            self.accesses.insert(table);
        }
        if matches!(info.kind, Kind::View | Kind::MaterializedView) {
            self.view(key, info, views)?;
        }
        Ok(Found { relation, key: key.clone(), info: Some(info) })
    }

    /// What a view reads counts as read, and none of it as only projected.
    fn view(
        &mut self,
        key: &RelationKey,
        info: &'a RelationInfo,
        views: &mut Vec<RelationKey>,
    ) -> Result<(), Refusal> {
        if views.contains(key) {
            return Ok(());
        }
        if views.len() >= MAX_VIEWS {
            return Err(Refusal::new(
                Rule::TooComplex,
                format!("views are nested more than {MAX_VIEWS} deep"),
            ));
        }
        // MUTATE(A8-pg-views): what views read does not count
        match &info.body {
            Some(Ok(body)) => {
                views.push(key.clone());
                let projected = self.projected.clone();
                let read = self.statement(body, &[], views);
                let through: Vec<Object> = self.projected.difference(&projected).cloned().collect();
                self.used.extend(through);
                views.pop();
                read.map_err(|refusal| distrusted(key, &refusal))
            }
            Some(Err(refusal)) => Err(distrusted(key, refusal)),
            None => Err(Refusal::new(Rule::UntrustedView, "the body of a view is not known")
                .with_detail(key.written())),
        }
    }

    fn find(&self, name: &Name, path: &[String]) -> Option<RelationKey> {
        match &name.schema {
            Some(schema) => Some(RelationKey::new(schema, &name.name)),
            None => path
                .iter()
                .map(|schema| RelationKey::new(schema, &name.name))
                .find(|key| self.catalogue.relations.contains_key(key)),
        }
    }

    fn column(
        &mut self,
        column: &ColumnUse,
        syntax: &Syntax,
        relations: &[Found<'_>],
    ) -> Result<(), Refusal> {
        if column.written {
            return self.written_column(column, relations);
        }
        match (&column.qualifier, &column.columns) {
            (None, Columns::All) => {
                for relation in relations.iter().filter(|relation| relation.relation.scope == column.scope) {
                    self.all_columns(relation, column.projected);
                }
                Ok(())
            }
            (None, Columns::Named(name)) => self.bare(name, column, syntax, relations),
            (Some(qualifier), columns) => self.qualified(qualifier, columns, column, syntax, relations),
        }
    }

    /// `c`: a column of any relation, or the whole row of a relation of that name.
    fn bare(
        &mut self,
        name: &str,
        column: &ColumnUse,
        syntax: &Syntax,
        relations: &[Found<'_>],
    ) -> Result<(), Refusal> {
        let mut known = syntax.labels.contains(name)
            || lists::value_label(name)
            || syntax.derived.contains(name)
            || syntax.joins.contains(name)
            || syntax.function_aliases.iter().any(|(alias, columns)| alias == name || columns.contains(name))
            || syntax.functions.iter().any(|function| self.has_output(function, name))
            // A column of a subquery, or of the arms of a UNION: it counts where it was selected.
            || relations.iter().any(|relation| relation.has(name));
        for relation in relations.iter().filter(|relation| syntax.sees(column.scope, relation.relation.scope))
        {
            if relation.has(name) {
                self.one_column(relation, name, column.projected);
            }
            // MUTATE(A8-pg-whole-row): an alias as a value does not count as its columns
            if relation.is_named(name) {
                known = true;
                self.all_columns(relation, false);
            }
        }
        if syntax.joins.contains(name) {
            relations.iter().for_each(|relation| self.all_columns(relation, false));
        }
        // MUTATE(A8-pg-unknown): names that the catalogue does not know pass
        if known { Ok(()) } else { Err(unknown("a column that does not exist", name)) }
    }

    /// `q.c` or `q.*`.
    fn qualified(
        &mut self,
        qualifier: &Name,
        columns: &Columns,
        column: &ColumnUse,
        syntax: &Syntax,
        relations: &[Found<'_>],
    ) -> Result<(), Refusal> {
        let named: Vec<&Found<'_>> = relations
            .iter()
            .filter(|relation| syntax.sees(column.scope, relation.relation.scope))
            .filter(|relation| match &qualifier.schema {
                Some(schema) => {
                    relation.relation.alias.is_none()
                        && relation.key == RelationKey::new(schema, &qualifier.name)
                }
                None => {
                    relation.is_named(&qualifier.name)
                        // What `ON CONFLICT` would have inserted.
                        || (qualifier.name == "excluded" && relation.relation.written)
                }
            })
            .collect();
        let joined = qualifier.schema.is_none() && syntax.joins.contains(&qualifier.name);
        let derived = qualifier.schema.is_none()
            && (joined
                || syntax.derived.contains(&qualifier.name)
                || syntax.function_aliases.contains_key(&qualifier.name));
        if named.is_empty() && !derived {
            return Err(unknown("a table or alias that is not there", &qualifier.name));
        }
        let Columns::Named(name) = columns else {
            named.iter().for_each(|relation| self.all_columns(relation, column.projected));
            if joined {
                relations.iter().for_each(|relation| self.all_columns(relation, false));
            }
            return Ok(());
        };
        let mut found = false;
        for relation in &named {
            if relation.has(name) {
                found = true;
                self.one_column(relation, name, column.projected);
            }
        }
        if joined {
            for relation in relations.iter().filter(|relation| relation.has(name)) {
                found = true;
                self.one_column(relation, name, false);
            }
        }
        let lacking: Vec<&&Found<'_>> = named.iter().filter(|relation| !relation.has(name)).collect();
        // MUTATE(A8-pg-unlisted): where no columns are listed, any function passes as one
        if lacking.is_empty() && !derived && named.iter().all(|relation| relation.info.is_some()) {
            return Ok(());
        }
        // From here on `q.name` may be a call `name(q)` in some scope.
        // MUTATE(A8-pg-attribute): `alias.function` passes as a column
        if (!found && !derived) || self.is_foreign_function(name) {
            return Err(selection(name));
        }
        lacking.iter().for_each(|relation| self.all_columns(relation, false));
        if let Some(columns) = syntax.function_aliases.get(&qualifier.name) {
            let output = syntax.functions.iter().any(|function| self.has_output(function, name));
            // One value that a function of the database gives a name has that name, not the alias.
            // MUTATE(A8-pg-alias-output): the alias of such a function counts as its column
            let alias = *name == qualifier.name && self.any_output(&syntax.functions);
            return if output || (columns.contains(name) && !alias) { Ok(()) } else { Err(selection(name)) };
        }
        let known = found
            || syntax.labels.contains(name)
            || lists::value_label(name)
            || relations.iter().any(|relation| relation.has(name))
            || syntax.functions.iter().any(|function| self.has_output(function, name))
            || syntax.function_aliases.values().any(|columns| columns.contains(name));
        if known { Ok(()) } else { Err(selection(name)) }
    }

    fn written_column(&mut self, column: &ColumnUse, relations: &[Found<'_>]) -> Result<(), Refusal> {
        for relation in relations.iter().filter(|relation| relation.relation.written) {
            let table = relation.key.written();
            let Some(info) = relation.info else { continue };
            match &column.columns {
                Columns::All => {
                    let all = info.columns.iter().map(|known| Access::column(&table, &known.name).written());
                    self.accesses.extend(all);
                }
                Columns::Named(name) if info.columns.iter().any(|known| known.name == *name) => {
                    self.accesses.insert(Access::column(table, name).written());
                }
                Columns::Named(name) => return Err(unknown("a column that does not exist", name)),
            }
        }
        Ok(())
    }

    fn all_columns(&mut self, relation: &Found<'_>, projected: bool) {
        for column in relation.info.map(|info| info.columns.as_slice()).unwrap_or_default() {
            self.one_column(relation, &column.name, projected);
        }
    }

    /// A read of one column, and of what a generated column is made of.
    fn one_column(&mut self, relation: &Found<'_>, name: &str, projected: bool) {
        let Some(info) = relation.info else { return };
        // What is renamed counts as read whole already.
        let Some(column) = info.columns.iter().find(|column| column.name == name) else { return };
        let table = relation.key.written();
        self.accesses.insert(Access::table(&table));
        let access = Access::column(&table, name);
        if projected { &mut self.projected } else { &mut self.used }.insert(access.object.clone());
        self.accesses.insert(access);
        for source in &column.sources {
            let access = Access::column(&table, source);
            self.used.insert(access.object.clone());
            self.accesses.insert(access);
        }
    }
}

fn unknown(what: &str, name: &str) -> Refusal {
    Refusal::new(Rule::UnknownName, format!("the statement names {what}")).with_detail(name)
}

fn selection(name: &str) -> Refusal {
    Refusal::new(
        Rule::FieldSelection,
        "what is selected from a table or alias is no column of it, and could be a call of a function",
    )
    .with_detail(name)
}

fn distrusted(key: &RelationKey, refusal: &Refusal) -> Refusal {
    Refusal::new(Rule::UntrustedView, format!("a view does what no statement may ({})", refusal.rule.code()))
        .with_detail(key.written())
}
