//! The functions that a statement may call, the types it may cast to, and the schemas it may not read.
//!
//! A function of the source's own is allowed by configuration alone.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Value, WindowType,
};

use super::{
    allowed::ALLOWED,
    walk::{Walk, folded, parts, refuse_if, unsupported},
};
use crate::{Dialect, Refusal, Rule};

/// Types that a value may be cast to: those whose input reads nothing but the value.
pub(super) const TYPES: &[&str] = &[
    "bigint",
    "binary",
    "bit",
    "blob",
    "bool",
    "boolean",
    "char",
    "character",
    "clob",
    "date",
    "datetime",
    "datetime2",
    "datetimeoffset",
    "dec",
    "decimal",
    "double",
    "float",
    "float4",
    "float8",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "interval",
    "json",
    "jsonb",
    "mediumint",
    "money",
    "national",
    "nchar",
    "nclob",
    "number",
    "numeric",
    "nvarchar",
    "real",
    "signed",
    "smalldatetime",
    "smallint",
    "smallmoney",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tinyint",
    "uniqueidentifier",
    "unsigned",
    "uuid",
    "varbinary",
    "varchar",
    "varchar2",
];

/// Functions whose result's size is an argument, and that argument's position.
const SIZED: &[(&str, usize)] =
    &[("lpad", 1), ("repeat", 1), ("replicate", 1), ("rpad", 1), ("space", 0), ("str", 1)];
/// Characters that such a function may make.
const SIZE: u32 = 10_000;

/// Functions whose first argument is a unit of time, not a column.
const WITH_UNIT: &[&str] = &["dateadd", "datediff", "datename", "datepart", "timestampadd", "timestampdiff"];
/// Units of time.
const UNITS: &[&str] = &[
    "day",
    "dayofyear",
    "dd",
    "dy",
    "hh",
    "hour",
    "mi",
    "microsecond",
    "millisecond",
    "minute",
    "mm",
    "month",
    "ms",
    "quarter",
    "second",
    "sql_tsi_day",
    "sql_tsi_hour",
    "sql_tsi_minute",
    "sql_tsi_month",
    "sql_tsi_quarter",
    "sql_tsi_second",
    "sql_tsi_week",
    "sql_tsi_year",
    "ss",
    "week",
    "weekday",
    "ww",
    "year",
    "yy",
    "yyyy",
];

/// Schemas and databases of servers' own, in any part of a name but the last.
const SYSTEM_SCHEMAS: &[&str] = &[
    "information_schema",
    "master",
    "model",
    "msdb",
    "mysql",
    "performance_schema",
    "pg_catalog",
    "pg_toast",
    "sqlite_schema",
    "sys",
    "sysadm",
    "syscat",
    "sysfun",
    "sysibm",
    "sysibmadm",
    "sysproc",
    "sysstat",
    "system",
    "tempdb",
];

/// Whether a table is of the server's own.
pub(in crate::engines::odbc) fn is_system(dialect: Dialect, parts: &[String]) -> bool {
    let Some((table, schemas)) = parts.split_last() else { return true };
    let prefixes: &[&str] = match dialect {
        Dialect::Postgres => &["pg_"],
        Dialect::Sqlite => &["sqlite_", "pragma_"],
        Dialect::Oracle => &["v$", "gv$", "dba_", "all_", "user_", "v_$", "sys_"],
        Dialect::Mssql => &["sys", "dm_"],
        Dialect::Ansi | Dialect::Mysql => &[],
    };
    prefixes.iter().any(|prefix| table.starts_with(prefix))
        || schemas.iter().any(|schema| schema.starts_with("pg_") || SYSTEM_SCHEMAS.contains(&schema.as_str()))
}

impl Walk<'_> {
    pub(super) fn function(&mut self, function: &Function) -> Result<(), Refusal> {
        let Function {
            name,
            uses_odbc_syntax: _,
            parameters,
            args,
            within_group,
            filter,
            null_treatment: _,
            over,
        } = function;
        let name = parts(name)?.join(".");
        let configured = self.functions.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name));
        // MUTATE(A8-odbc-functions): every function is allowed
        if ALLOWED.binary_search(&name.as_str()).is_err() && !configured {
            let message = format!("the function `{name}` is not on the list of allowed functions");
            return Err(Refusal::new(Rule::ForbiddenFunction, message));
        }
        let plain = matches!(parameters, FunctionArguments::None);
        refuse_if(!plain, Rule::UnsupportedSyntax, "a function takes one list of arguments")?;
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => self.query(query)?,
            FunctionArguments::List(list) => {
                sized(&name, list)?;
                self.arguments(&name, list)?;
            }
        }
        self.sorts(within_group)?;
        self.expressions(filter.as_deref())?;
        match over {
            None | Some(WindowType::NamedWindow(_)) => {}
            Some(WindowType::WindowSpec(window)) => self.window(window)?,
        }
        self.found.functions.insert(name);
        Ok(())
    }

    fn arguments(&mut self, name: &str, list: &FunctionArgumentList) -> Result<(), Refusal> {
        let FunctionArgumentList { duplicate_treatment: _, args, clauses } = list;
        for (position, argument) in args.iter().enumerate() {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => {
                    let unit = position == 0 && WITH_UNIT.contains(&name) && is_unit(expression);
                    if !unit {
                        self.expression(expression)?;
                    }
                }
                // Of `count(*)`: no column's value is read.
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if matches!(name, "count" | "count_big") => {}
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {
                    self.found.stars.insert(Vec::new());
                }
                FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(qualifier)) => {
                    self.found.stars.insert(parts(qualifier)?);
                }
                FunctionArg::Unnamed(FunctionArgExpr::WildcardWithOptions(options)) => {
                    self.star(Vec::new(), options)?;
                }
                FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                    return Err(unsupported("arguments are given by position"));
                }
            }
        }
        clauses.iter().try_for_each(|clause| match clause {
            FunctionArgumentClause::OrderBy(sorts) => self.sorts(sorts),
            FunctionArgumentClause::Separator(_)
            | FunctionArgumentClause::IgnoreOrRespectNulls(_)
            | FunctionArgumentClause::JsonNullClause(_) => Ok(()),
            FunctionArgumentClause::Where(condition) | FunctionArgumentClause::Limit(condition) => {
                self.expression(condition)
            }
            FunctionArgumentClause::OnOverflow(_)
            | FunctionArgumentClause::Having(_)
            | FunctionArgumentClause::JsonReturningClause(_) => {
                Err(unsupported("this clause of an argument is not allowed"))
            }
        })
    }
}

fn is_unit(expression: &Expr) -> bool {
    matches!(expression, Expr::Identifier(name) if name.quote_style.is_none() && UNITS.contains(&folded(name).as_str()))
}

/// INVARIANT: what one call makes out of little is small, and no such call is made on the result of another.
fn sized(name: &str, list: &FunctionArgumentList) -> Result<(), Refusal> {
    let Some((_, position)) = SIZED.iter().find(|(sized, _)| *sized == name) else { return Ok(()) };
    let argument = |position: usize| match list.args.get(position) {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expression))) => Some(expression),
        _ => None,
    };
    let small = match argument(*position) {
        Some(Expr::Value(value)) => match &value.value {
            Value::Number(number, _) => number.parse::<u32>().is_ok_and(|size| size <= SIZE),
            _ => false,
        },
        _ => name == "str" && argument(*position).is_none(),
    };
    let simple = *position == 0
        || argument(0).is_some_and(|first| {
            matches!(
                first,
                Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Cast { .. }
            ) || matches!(first, Expr::Function(inner) if inner_is_plain(inner))
        });
    // MUTATE(A9-odbc-size): one call makes a gigabyte
    let message = "the size that this function makes must be a number up to 10000, of a column or value";
    refuse_if(!small || !simple, Rule::SizeArgument, message)
}

/// Whether a function makes no more than it is given.
fn inner_is_plain(function: &Function) -> bool {
    let plain =
        ["rtrim", "ltrim", "trim", "upper", "lower", "substr", "substring", "left", "right", "char", "chr"];
    parts(&function.name).is_ok_and(|name| plain.contains(&name.join(".").as_str()))
        && matches!(&function.args, FunctionArguments::List(list) if list.args.iter().all(|argument| matches!(
            argument,
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_)))
        )))
}
