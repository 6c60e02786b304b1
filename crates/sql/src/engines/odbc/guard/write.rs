//! One INSERT, UPDATE or DELETE of one table.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Insert, ObjectName, SetExpr, TableFactor,
    TableObject, TableWithJoins, Update,
};

use super::walk::{Named, Walk, parts, refuse_if, unsupported};
use crate::{Refusal, Rule};

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<(), Refusal> {
        let Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        let odd = !optimizer_hints.is_empty()
            || or.is_some()
            || *ignore
            || table_alias.is_some()
            || *overwrite
            || !assignments.is_empty()
            || partitioned.is_some()
            || !after_columns.is_empty()
            || *has_table_keyword
            || on.is_some()
            || returning.is_some()
            || output.is_some()
            || *replace_into
            || priority.is_some()
            || insert_alias.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || multi_table_insert_type.is_some()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty()
            || multi_table_else_clause.is_some();
        refuse_if(
            odd,
            Rule::UnsupportedSyntax,
            "only INSERT INTO table (columns) VALUES … or SELECT … is allowed",
        )?;
        refuse_if(columns.is_empty(), Rule::UnsupportedSyntax, "INSERT must name its columns")?;
        let TableObject::TableName(name) = table else { return Err(unsupported("INSERT must name a table")) };
        let Some(source) = source else { return Err(unsupported("INSERT must say what it inserts")) };
        refuse_if(source.with.is_some(), Rule::UnsupportedSyntax, "INSERT takes no WITH")?;
        let plain = matches!(source.body.as_ref(), SetExpr::Values(_) | SetExpr::Select(_));
        refuse_if(!plain, Rule::UnsupportedSyntax, "INSERT takes VALUES or one SELECT")?;
        let table = self.named(name, None)?;
        self.write(table, columns)?;
        self.query(source)
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<(), Refusal> {
        let Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        let odd = !optimizer_hints.is_empty()
            || from.is_some()
            || returning.is_some()
            || output.is_some()
            || or.is_some()
            || !order_by.is_empty()
            || limit.is_some();
        refuse_if(odd, Rule::UnsupportedSyntax, "only UPDATE table SET … WHERE … is allowed")?;
        self.scope = Some(self.found.scopes.open(None));
        self.filter(selection.as_ref())?;
        let table = self.single(table)?;
        let mut columns = Vec::new();
        for Assignment { target, value } in assignments {
            match target {
                AssignmentTarget::ColumnName(name) => columns.push(name.clone()),
                AssignmentTarget::Tuple(_) => return Err(unsupported("columns are set one by one")),
            }
            self.expression(value)?;
        }
        self.write(table, &columns)
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<(), Refusal> {
        let Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        let odd = !optimizer_hints.is_empty()
            || !tables.is_empty()
            || using.is_some()
            || returning.is_some()
            || output.is_some()
            || !order_by.is_empty()
            || limit.is_some();
        refuse_if(odd, Rule::UnsupportedSyntax, "only DELETE FROM table WHERE … is allowed")?;
        self.scope = Some(self.found.scopes.open(None));
        self.filter(selection.as_ref())?;
        let FromTable::WithFromKeyword(from) = from else { return Err(unsupported("DELETE needs FROM")) };
        let [table] = from.as_slice() else { return Err(unsupported("DELETE takes one table")) };
        let table = self.single(table)?;
        self.write(table, &[])
    }

    /// The WHERE of an UPDATE or DELETE: one that looks at no column would hold for every row.
    fn filter(&mut self, selection: Option<&Expr>) -> Result<(), Refusal> {
        let others = std::mem::take(&mut self.found.columns);
        self.expressions(selection)?;
        let all = self.found.columns.is_empty();
        self.found.columns.extend(others);
        // MUTATE(A5-odbc-where): every row is updated or deleted
        refuse_if(all, Rule::Unfiltered, "UPDATE and DELETE need a WHERE that looks at a column")
    }

    /// The one table of an UPDATE or DELETE, by its name.
    fn single(&mut self, table: &TableWithJoins) -> Result<Named, Refusal> {
        let TableWithJoins { relation, joins } = table;
        refuse_if(!joins.is_empty(), Rule::UnsupportedSyntax, "one table is written at a time")?;
        self.factor(relation)?;
        match relation {
            TableFactor::Table { name, alias: None, .. } => self.named(name, None),
            _ => Err(unsupported("the table that is written takes a name and no alias")),
        }
    }

    fn write(&mut self, table: Named, columns: &[ObjectName]) -> Result<(), Refusal> {
        let last = |name: &ObjectName| Ok(parts(name)?.pop().unwrap_or_default());
        let columns: BTreeSet<String> = columns.iter().map(last).collect::<Result<_, Refusal>>()?;
        self.found.tables.insert(table.clone());
        self.found.written = Some((table, columns));
        Ok(())
    }
}
