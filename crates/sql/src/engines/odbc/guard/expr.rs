//! The expressions that may stand in a statement.

use sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Interval, TypedString, UnaryOperator, Value,
    ValueWithSpan, WindowFrame, WindowFrameBound, WindowSpec,
};

use super::{
    functions,
    walk::{Walk, field_selection, folded, parts, refuse_if, unsupported},
};
use crate::{Refusal, Rule};

type Walked = Result<(), Refusal>;

impl Walk<'_> {
    pub(super) fn expressions<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr>) -> Walked {
        expressions.into_iter().try_for_each(|expression| self.expression(expression))
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> Walked {
        // A chain of operators leans to the left: a loop keeps it off the stack.
        let mut expression = expression;
        while let Expr::BinaryOp { left, op, right } = expression {
            binary(op)?;
            self.expression(right)?;
            expression = left;
        }
        self.operand(expression)
    }

    fn operand(&mut self, expression: &Expr) -> Walked {
        match expression {
            Expr::Identifier(name) => {
                self.column(Vec::new(), folded(name));
                Ok(())
            }
            Expr::CompoundIdentifier(names) => {
                let mut names: Vec<String> = names.iter().map(folded).collect();
                let column = names.pop().unwrap_or_default();
                self.column(names, column);
                Ok(())
            }
            Expr::QualifiedWildcard(name, _) => {
                self.found.stars.insert(parts(name)?);
                Ok(())
            }
            Expr::Value(value) => literal(value),
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: _ }) => {
                data_type_allowed(data_type)?;
                literal(value)
            }
            Expr::Interval(Interval {
                value,
                leading_field: _,
                leading_precision: _,
                last_field: _,
                fractional_seconds_precision: _,
            }) => self.expression(value),
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::Nested(inner)
            | Expr::Ceil { expr: inner, field: _ }
            | Expr::Floor { expr: inner, field: _ }
            | Expr::Extract { field: _, syntax: _, expr: inner } => self.expression(inner),
            Expr::UnaryOp { op, expr } => {
                let allowed = matches!(op, UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not);
                refuse_if(!allowed, Rule::ForbiddenOperator, "this operator is not allowed")?;
                self.expression(expr)
            }
            Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right)
            | Expr::AtTimeZone { timestamp: left, time_zone: right }
            | Expr::Position { expr: left, r#in: right }
            | Expr::RLike { negated: _, expr: left, pattern: right, regexp: _ } => {
                self.expression(left)?;
                self.expression(right)
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } | Expr::AllOp { left, compare_op, right } => {
                binary(compare_op)?;
                self.expression(left)?;
                self.expression(right)
            }
            Expr::Like { negated: _, any: _, expr, pattern, escape_char }
            | Expr::ILike { negated: _, any: _, expr, pattern, escape_char }
            | Expr::SimilarTo { negated: _, expr, pattern, escape_char } => {
                self.expression(expr)?;
                self.expression(pattern)?;
                self.expressions(escape_char.as_deref())
            }
            Expr::InList { expr, list, negated: _ } => {
                self.expression(expr)?;
                self.expressions(list)
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                self.expression(expr)?;
                self.query(subquery)
            }
            Expr::Between { expr, negated: _, low, high } => {
                self.expressions([expr.as_ref(), low.as_ref(), high.as_ref()])
            }
            Expr::Exists { subquery, negated: _ } | Expr::Subquery(subquery) => self.query(subquery),
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.expressions(operand.as_deref())?;
                for CaseWhen { condition, result } in conditions {
                    self.expressions([condition, result])?;
                }
                self.expressions(else_result.as_deref())
            }
            Expr::Cast { kind, expr, data_type, format } => {
                let odd = format.is_some() || *kind == CastKind::SafeCast;
                refuse_if(odd, Rule::UnsupportedSyntax, "this form of a cast is not allowed")?;
                data_type_allowed(data_type)?;
                self.expression(expr)
            }
            Expr::Convert { is_try: _, expr, data_type, charset, target_before_value: _, styles } => {
                refuse_if(
                    charset.is_some(),
                    Rule::UnsupportedSyntax,
                    "character sets are not converted in queries",
                )?;
                data_type.iter().try_for_each(data_type_allowed)?;
                self.expression(expr)?;
                self.expressions(styles)
            }
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                self.expression(expr)?;
                self.expressions(substring_from.as_deref())?;
                self.expressions(substring_for.as_deref())
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters } => {
                self.expressions(trim_what.as_deref())?;
                self.expression(expr)?;
                self.expressions(trim_characters.iter().flatten())
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.expressions([expr.as_ref(), overlay_what.as_ref(), overlay_from.as_ref()])?;
                self.expressions(overlay_for.as_deref())
            }
            Expr::Collate { expr, collation: _ } => self.expression(expr),
            Expr::Tuple(items) => self.expressions(items),
            Expr::Array(Array { elem, named: _ }) => self.expressions(elem),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                self.expressions(sets.iter().flatten())
            }
            Expr::Function(function) => self.function(function),
            Expr::CompoundFieldAccess { .. } => Err(field_selection()),
            // MUTATE(A8-odbc-closed): an expression that is not understood passes
            _ => Err(unsupported("an expression is not on the list of those that are understood")),
        }
    }

    pub(super) fn window(&mut self, window: &WindowSpec) -> Walked {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = window;
        self.expressions(partition_by)?;
        self.sorts(order_by)?;
        match window_frame {
            None => Ok(()),
            Some(WindowFrame { units: _, start_bound, end_bound }) => {
                self.bound(start_bound)?;
                end_bound.iter().try_for_each(|bound| self.bound(bound))
            }
        }
    }

    fn bound(&mut self, bound: &WindowFrameBound) -> Walked {
        match bound {
            WindowFrameBound::CurrentRow => Ok(()),
            WindowFrameBound::Preceding(count) | WindowFrameBound::Following(count) => {
                self.expressions(count.as_deref())
            }
        }
    }
}

/// Literals whose extent and meaning all dialects share.
fn literal(value: &ValueWithSpan) -> Walked {
    match &value.value {
        Value::Number(..)
        | Value::SingleQuotedString(_)
        | Value::NationalStringLiteral(_)
        | Value::HexStringLiteral(_)
        | Value::Boolean(_)
        | Value::Null
        | Value::Placeholder(_) => Ok(()),
        _ => Err(unsupported("this kind of literal is not allowed")),
    }
}

fn binary(operator: &BinaryOperator) -> Walked {
    let allowed = matches!(
        operator,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor
            | BinaryOperator::BitwiseOr
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::MyIntegerDivide
            | BinaryOperator::Regexp
            | BinaryOperator::Glob
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::Overlaps
    );
    refuse_if(!allowed, Rule::ForbiddenOperator, "this operator is not allowed")
}

/// Types by their plain names: one of the source's own may run code when a value is cast to it.
fn data_type_allowed(data_type: &DataType) -> Walked {
    let name = data_type.to_string().to_ascii_lowercase();
    let plain = name.split(['(', ' ', '[']).next().unwrap_or_default();
    refuse_if(
        !functions::TYPES.contains(&plain),
        Rule::ForbiddenType,
        "this type is not on the list of allowed types",
    )
}
