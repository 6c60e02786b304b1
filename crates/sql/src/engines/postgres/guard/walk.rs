//! The walk over the parse tree: every node, every field, by the table of [`nodes`](super::nodes).

use super::{
    GuardConfig, calls, from,
    json::Json,
    nodes::{self, Kind},
    select, sizes,
    syntax::{ColumnUse, Columns, Name, Syntax},
};
use crate::{Refusal, Rule};

/// A node's fields as the parser wrote them.
#[derive(Clone, Copy)]
pub(super) struct Fields<'t>(pub(super) &'t [(&'t str, Json<'t>)]);

impl<'t> Fields<'t> {
    pub(super) fn get(self, name: &str) -> Option<&'t Json<'t>> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    pub(super) fn text(self, name: &str) -> Option<&'t str> {
        match self.get(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn flag(self, name: &str) -> bool {
        matches!(self.get(name), Some(Json::Flag(true)))
    }

    /// A number; 0 if it is absent, as the parser leaves out zeros.
    pub(super) fn number(self, name: &str) -> i64 {
        match self.get(name) {
            Some(Json::Number(number)) => number.parse().unwrap_or_default(),
            _ => 0,
        }
    }

    pub(super) fn list(self, name: &str) -> &'t [Json<'t>] {
        match self.get(name) {
            Some(Json::List(items)) => items,
            _ => &[],
        }
    }

    /// The fields of a field whose type is fixed.
    pub(super) fn object(self, name: &str) -> Option<Fields<'t>> {
        match self.get(name) {
            Some(Json::Object(fields)) => Some(Fields(fields)),
            _ => None,
        }
    }

    /// The node in a field of any type.
    pub(super) fn node(self, name: &str) -> Option<(&'t str, Fields<'t>)> {
        self.get(name).and_then(node)
    }

    /// The texts of a list of `String` nodes.
    pub(super) fn names(self, name: &str) -> Vec<&'t str> {
        self.list(name).iter().filter_map(string).collect()
    }
}

/// A node's type and fields; none for a null.
pub(super) fn node<'t>(json: &'t Json<'t>) -> Option<(&'t str, Fields<'t>)> {
    match json {
        Json::Object(members) => match members.as_slice() {
            [(name, Json::Object(fields))] => Some((*name, Fields(fields))),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a `String` node.
pub(super) fn string<'t>(json: &'t Json<'t>) -> Option<&'t str> {
    match node(json) {
        Some(("String", fields)) => Some(fields.text("sval").unwrap_or_default()),
        _ => None,
    }
}

/// Walks one statement and collects what it names.
pub(super) struct Walk<'c> {
    pub(super) config: &'c GuardConfig,
    pub(super) found: Syntax,
    /// Names of common table expressions in scope, innermost last.
    pub(super) ctes: Vec<String>,
    /// The scope that the walk is in.
    pub(super) scope: u32,
    /// Whether the next `SELECT` is the outermost one, alone.
    pub(super) outermost: bool,
    /// Whether the walk is in the `FROM` of the outermost `SELECT`.
    pub(super) outermost_from: bool,
    /// Whether all columns of relations met now are read.
    pub(super) whole: bool,
    pub(super) sizes: sizes::Budget,
    depth: usize,
    nodes: usize,
}

impl<'c> Walk<'c> {
    pub(super) fn new(config: &'c GuardConfig, found: Syntax) -> Walk<'c> {
        Walk {
            config,
            found,
            ctes: Vec::new(),
            scope: 0,
            outermost: false,
            outermost_from: false,
            whole: false,
            sizes: sizes::Budget::default(),
            depth: 0,
            nodes: 0,
        }
    }

    /// Opens a scope within the current one and returns the latter.
    pub(super) fn enter_scope(&mut self) -> u32 {
        let around = self.scope;
        // There are at most as many scopes as nodes, which are limited.
        self.scope = u32::try_from(self.found.scopes.len()).unwrap_or(u32::MAX);
        self.found.scopes.push(around);
        around
    }

    /// Visits a node of any type.
    pub(super) fn any(&mut self, json: &Json<'_>) -> Result<(), Refusal> {
        match json {
            Json::Null => Ok(()),
            // The parser's null in a list.
            Json::Object(members) if members.is_empty() => Ok(()),
            _ => match node(json) {
                Some((name, fields)) => self.visit(name, fields),
                None => Err(unsupported("a value that is no node", "")),
            },
        }
    }

    pub(super) fn all(&mut self, list: &[Json<'_>]) -> Result<(), Refusal> {
        list.iter().try_for_each(|item| self.any(item))
    }

    /// Visits a node of a known type.
    pub(super) fn visit(&mut self, name: &str, fields: Fields<'_>) -> Result<(), Refusal> {
        self.depth += 1;
        self.nodes += 1;
        // MUTATE(A9-pg-depth): statements may nest without limit
        if self.depth > self.config.max_depth || self.nodes > self.config.max_nodes {
            return Err(Refusal::new(
                Rule::TooComplex,
                "the statement nests too deeply or has too many parts",
            ));
        }
        let visited = self.dispatch(name, fields);
        self.depth -= 1;
        visited
    }

    fn dispatch(&mut self, name: &str, fields: Fields<'_>) -> Result<(), Refusal> {
        match name {
            "SelectStmt" => return select::select(self, fields),
            "ColumnRef" => return self.column(fields, false),
            "RangeVar" => return from::relation(self, fields, false),
            "JoinExpr" => return from::join(self, fields),
            "RangeFunction" => from::function(self, fields),
            "RangeSubselect" => from::alias(self, fields, None),
            "RangeTableFunc" => {
                sizes::xml_table(fields)?;
                from::alias(self, fields, Some("xmltable"));
            }
            "RangeTableFuncCol" => {
                sizes::xml_column(fields)?;
                self.label(fields.text("colname"));
            }
            "JsonTable" => from::alias(self, fields, Some("json_table")),
            "RangeTableSample" => from::sample(fields)?,
            "JsonTableColumn" | "JsonTablePathSpec" => self.label(fields.text("name")),
            "ColumnDef" => self.label(fields.text("colname")),
            "ResTarget" => self.label(fields.text("name")),
            "FuncCall" => calls::function(self, fields)?,
            "SQLValueFunction" => calls::value_function(self, fields)?,
            "A_Expr" => calls::operator(self, fields)?,
            "SubLink" => calls::sublink(self, fields)?,
            "SortBy" => calls::sort(self, fields)?,
            "CaseExpr" if fields.get("arg").is_some() => {
                self.operator(None, "=");
            }
            "TypeName" => return calls::type_name(self, fields),
            "CollateClause" => calls::collation(fields)?,
            "A_Indirection" => indirection(fields)?,
            "A_Const" => sizes::constant(fields)?,
            "ParamRef" => self.parameter(fields)?,
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" => {
                return Err(Refusal::new(Rule::DataModifyingCte, "a part of the statement writes"));
            }
            _ => {}
        }
        self.fields(name, fields, &[])
    }

    /// Visits every field of a node but those named, which the caller has visited; a field that is not in the table is refused.
    pub(super) fn fields(&mut self, name: &str, fields: Fields<'_>, visited: &[&str]) -> Result<(), Refusal> {
        let Some(table) = nodes::fields(name) else {
            return Err(unsupported("a kind of expression or clause that is not on the list", name));
        };
        for (field, value) in fields.0 {
            // MUTATE(A8-pg-fields): fields that the table does not know are skipped
            let Some((_, kind)) = table.iter().find(|(known, _)| known == field) else {
                return Err(unsupported("a clause that is not on the list", &format!("{name}.{field}")));
            };
            if visited.contains(field) {
                continue;
            }
            match (kind, value) {
                (Kind::Scalar, Json::Flag(_) | Json::Number(_) | Json::Text(_)) => {}
                (Kind::Node, value) => self.any(value)?,
                (Kind::List, Json::List(items)) => self.all(items)?,
                (Kind::Of(node), Json::Object(fields)) => self.visit(node, Fields(fields))?,
                _ => return Err(unsupported("a value of an unexpected kind", &format!("{name}.{field}"))),
            }
        }
        Ok(())
    }

    /// A use of a column.
    pub(super) fn column(&mut self, fields: Fields<'_>, projected: bool) -> Result<(), Refusal> {
        self.fields("ColumnRef", fields, &["fields"])?;
        let mut parts = Vec::new();
        let mut star = false;
        for part in fields.list("fields") {
            match node(part) {
                Some(("String", text)) if !star => parts.push(text.text("sval").unwrap_or_default()),
                Some(("A_Star", _)) if !star => star = true,
                _ => return Err(unsupported("a name of an unexpected form", "ColumnRef")),
            }
        }
        let columns = match (star, parts.pop_if(|_| !star)) {
            (false, Some(name)) => Columns::Named(name.to_owned()),
            _ => Columns::All,
        };
        let qualifier = match parts.as_slice() {
            [] => None,
            [name] => Some(Name { schema: None, name: (*name).to_owned() }),
            [schema, name] => Some(Name { schema: Some((*schema).to_owned()), name: (*name).to_owned() }),
            _ => return Err(unsupported("a column qualified with a database", "ColumnRef")),
        };
        let scope = self.scope;
        self.found.columns.insert(ColumnUse { qualifier, columns, scope, projected, written: false });
        Ok(())
    }

    /// A column that is named without an expression, as in `USING (c)`.
    pub(super) fn bare_column(&mut self, name: &str, written: bool) {
        let columns = Columns::Named(name.to_owned());
        let scope = self.scope;
        self.found.columns.insert(ColumnUse { qualifier: None, columns, scope, projected: false, written });
    }

    pub(super) fn operator(&mut self, schema: Option<&str>, symbol: &str) {
        self.found.operators.insert(Name { schema: schema.map(str::to_owned), name: symbol.to_owned() });
    }

    pub(super) fn label(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.found.labels.insert(name.to_owned());
        }
    }

    fn parameter(&mut self, fields: Fields<'_>) -> Result<(), Refusal> {
        match u32::try_from(fields.number("number")) {
            Ok(number @ 1..=65_535) => {
                self.found.parameters = self.found.parameters.max(number);
                Ok(())
            }
            _ => Err(Refusal::new(Rule::Parameters, "placeholders are $1 to $65535")),
        }
    }
}

/// `(x).f` calls a function `f` if `x` has no such field, so that only subscripts may follow an expression.
fn indirection(fields: Fields<'_>) -> Result<(), Refusal> {
    let subscripts =
        fields.list("indirection").iter().all(|part| matches!(node(part), Some(("A_Indices", _))));
    // MUTATE(A8-pg-indirection): a field may be selected from an expression
    if !subscripts {
        return Err(Refusal::new(
            Rule::FieldSelection,
            "a field is selected from an expression, which can call any function; name the column of a table instead",
        ));
    }
    Ok(())
}

pub(super) fn unsupported(what: &str, detail: &str) -> Refusal {
    let refusal = Refusal::new(Rule::UnsupportedSyntax, format!("the statement holds {what}"));
    if detail.is_empty() { refusal } else { refusal.with_detail(detail) }
}
