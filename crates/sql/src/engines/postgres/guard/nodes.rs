//! The parse nodes that a statement may hold, and the fields that each may have: what is not in this table is refused.
//!
//! INVARIANT: the walk visits every field of every node by this table, so a call cannot hide in a clause that somebody forgot. A newer
//! grammar's nodes and fields are refused until they are added here, with a thought for what they do.

use std::{collections::HashMap, sync::LazyLock};

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A number, flag, text or enumeration.
    Scalar,
    /// One node of any type.
    Node,
    /// A list of nodes of any type.
    List,
    /// One node of this type.
    Of(&'static str),
}

/// A node type's fields.
pub(super) type Fields = Vec<(&'static str, Kind)>;

/// The fields of a node type; none if statements may not hold it.
pub(super) fn fields(node: &str) -> Option<&'static Fields> {
    static TABLE: LazyLock<HashMap<&'static str, Fields>> =
        LazyLock::new(|| NODES.iter().map(|(node, fields)| (*node, parse(fields))).collect());
    TABLE.get(node)
}

fn parse(fields: &'static str) -> Fields {
    let kind = |field: &'static str| match field.split_once('=') {
        Some((name, node)) => (name, Kind::Of(node)),
        None => match (field.strip_suffix('!'), field.strip_suffix('*')) {
            (Some(name), _) => (name, Kind::Node),
            (None, Some(name)) => (name, Kind::List),
            (None, None) => (field, Kind::Scalar),
        },
    };
    fields.split_ascii_whitespace().map(kind).collect()
}

/// Positions in the text (`location`) are not written by the parser. `name` is a scalar, `name!` a node, `name*` a list of nodes, `name=Type` a node of that type.
///
/// Left out of nodes that are here: `intoClause` and `lockingClause` of `SelectStmt` and `returningClause` of writes (refused by name), `pct_type` and `setof` of
/// `TypeName`, `catalogname` of `RangeVar`, `coldeflist` columns with constraints, and what only the analyser fills in.
const NODES: &[(&str, &str)] = &[
    ("A_ArrayExpr", "elements* list_start list_end"),
    ("A_Const", "ival=Integer fval=Float boolval=Boolean sval=String bsval=BitString isnull"),
    ("A_Expr", "kind name* lexpr! rexpr! rexpr_list_start rexpr_list_end"),
    ("A_Indices", "is_slice lidx! uidx!"),
    ("A_Indirection", "arg! indirection*"),
    ("A_Star", ""),
    ("Alias", "aliasname colnames*"),
    ("BitString", "bsval"),
    ("BoolExpr", "boolop args*"),
    ("Boolean", "boolval"),
    ("BooleanTest", "arg! booltesttype"),
    (
        "CTECycleClause",
        "cycle_col_list* cycle_mark_column cycle_mark_value! cycle_mark_default! cycle_path_column",
    ),
    ("CTESearchClause", "search_col_list* search_breadth_first search_seq_column"),
    ("CaseExpr", "arg! args* defresult!"),
    ("CaseWhen", "expr! result!"),
    ("CoalesceExpr", "args*"),
    ("CollateClause", "arg! collname*"),
    ("ColumnDef", "colname typeName=TypeName is_local collClause=CollateClause"),
    ("ColumnRef", "fields*"),
    (
        "CommonTableExpr",
        "ctename aliascolnames* ctematerialized ctequery! search_clause=CTESearchClause cycle_clause=CTECycleClause",
    ),
    ("DefElem", "defname arg! defaction arg_location"),
    ("DeleteStmt", "relation=RangeVar usingClause* whereClause! withClause=WithClause"),
    ("ExplainStmt", "query! options*"),
    ("Float", "fval"),
    (
        "FuncCall",
        "funcname* args* agg_order* agg_filter! over=WindowDef agg_within_group agg_star agg_distinct func_variadic \
         funcformat",
    ),
    ("GroupingFunc", "args*"),
    ("GroupingSet", "kind content*"),
    ("IndexElem", "name expr! collation* ordering nulls_ordering"),
    ("InferClause", "indexElems* whereClause! conname"),
    (
        "InsertStmt",
        "relation=RangeVar cols* selectStmt! onConflictClause=OnConflictClause withClause=WithClause \
         override",
    ),
    ("Integer", "ival"),
    ("JoinExpr", "jointype isNatural larg! rarg! usingClause* join_using_alias=Alias quals! alias=Alias"),
    ("JsonAggConstructor", "output=JsonOutput agg_filter! agg_order* over=WindowDef"),
    ("JsonArgument", "val=JsonValueExpr name"),
    ("JsonArrayAgg", "constructor=JsonAggConstructor arg=JsonValueExpr absent_on_null"),
    ("JsonArrayConstructor", "exprs* output=JsonOutput absent_on_null"),
    ("JsonArrayQueryConstructor", "query! output=JsonOutput format=JsonFormat absent_on_null"),
    ("JsonBehavior", "btype expr! coerce"),
    ("JsonFormat", "format_type encoding"),
    (
        "JsonFuncExpr",
        "op column_name context_item=JsonValueExpr pathspec! passing* output=JsonOutput on_empty=JsonBehavior \
         on_error=JsonBehavior wrapper quotes",
    ),
    ("JsonIsPredicate", "expr! format=JsonFormat item_type unique_keys"),
    ("JsonKeyValue", "key! value=JsonValueExpr"),
    ("JsonObjectAgg", "constructor=JsonAggConstructor arg=JsonKeyValue absent_on_null unique"),
    ("JsonObjectConstructor", "exprs* output=JsonOutput absent_on_null unique"),
    ("JsonOutput", "typeName=TypeName returning=JsonReturning"),
    ("JsonParseExpr", "expr=JsonValueExpr output=JsonOutput unique_keys"),
    ("JsonReturning", "format=JsonFormat typmod"),
    ("JsonScalarExpr", "expr! output=JsonOutput"),
    ("JsonSerializeExpr", "expr=JsonValueExpr output=JsonOutput"),
    (
        "JsonTable",
        "context_item=JsonValueExpr pathspec=JsonTablePathSpec passing* columns* on_error=JsonBehavior alias=Alias \
         lateral",
    ),
    (
        "JsonTableColumn",
        "coltype name typeName=TypeName pathspec=JsonTablePathSpec format=JsonFormat wrapper quotes columns* \
         on_empty=JsonBehavior on_error=JsonBehavior",
    ),
    ("JsonTablePathSpec", "string! name name_location"),
    ("JsonValueExpr", "raw_expr! formatted_expr! format=JsonFormat"),
    ("List", "items*"),
    ("MinMaxExpr", "op args*"),
    ("MultiAssignRef", "source! colno ncolumns"),
    ("NamedArgExpr", "arg! name argnumber"),
    ("NullTest", "arg! nulltesttype argisrow"),
    ("OnConflictClause", "action infer=InferClause targetList* whereClause!"),
    ("ParamRef", "number"),
    ("RangeFunction", "lateral ordinality is_rowsfrom functions* alias=Alias coldeflist*"),
    ("RangeSubselect", "lateral subquery! alias=Alias"),
    ("RangeTableFunc", "lateral docexpr! rowexpr! namespaces* columns* alias=Alias"),
    ("RangeTableFuncCol", "colname typeName=TypeName for_ordinality is_not_null colexpr! coldefexpr!"),
    ("RangeTableSample", "relation! method* args* repeatable!"),
    ("RangeVar", "schemaname relname inh relpersistence alias=Alias"),
    ("ResTarget", "name indirection* val!"),
    ("RowExpr", "args* row_format"),
    ("SQLValueFunction", "op typmod"),
    (
        "SelectStmt",
        "distinctClause* targetList* fromClause* whereClause! groupClause* groupDistinct havingClause! windowClause* \
         valuesLists* sortClause* limitOffset! limitCount! limitOption withClause=WithClause op all larg=SelectStmt \
         rarg=SelectStmt",
    ),
    ("SetToDefault", ""),
    ("SortBy", "node! sortby_dir sortby_nulls useOp*"),
    ("String", "sval"),
    ("SubLink", "subLinkType subLinkId testexpr! operName* subselect!"),
    ("TypeCast", "arg! typeName=TypeName"),
    ("TypeName", "names* typmods* typemod arrayBounds*"),
    ("UpdateStmt", "relation=RangeVar targetList* whereClause! fromClause* withClause=WithClause"),
    ("VariableShowStmt", "name"),
    ("WindowDef", "name refname partitionClause* orderClause* frameOptions startOffset! endOffset!"),
    ("WithClause", "ctes* recursive"),
    ("XmlExpr", "op name named_args* arg_names* args* xmloption indent typmod"),
    ("XmlSerialize", "xmloption expr! typeName=TypeName indent"),
];

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static Fields)> {
    NODES.iter().filter_map(|(node, _)| fields(node).map(|fields| (*node, fields)))
}
