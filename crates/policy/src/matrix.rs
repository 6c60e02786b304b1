//! The authorization matrix: what each role may do, tool by tool and object by object. For people to read before they let a set in, and for
//! tests to compare with what was meant.

use std::collections::BTreeSet;

use countersign_core::{
    Access, AuthMethod, CallQuestion, Phase, Principal, PrincipalKind, ToolSpec, Verdict,
};
use serde_json::{Value, json};

use crate::{
    decide::Policies,
    facts::{RegistryFacts, ToolFact},
};

/// What a matrix is made for.
pub struct Questions<'a> {
    /// The tools.
    pub facts: &'a RegistryFacts,
    /// The tenant of the principals that are asked for.
    pub tenant: &'a str,
    /// Roles beside those that policies and `roles.toml` name.
    pub roles: &'a [String],
    /// Objects, each with the action on it; decided for a tool of the highest power.
    pub accesses: &'a [Access],
    /// When, in microseconds since 1970 UTC.
    pub at: u64,
}

/// One row: a tool or an access, and what each role may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// `call query_shop`, or `read table shop.users`.
    pub what: String,
    /// One for each role.
    pub cells: Vec<Cell>,
}

/// What one role may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cell {
    /// As policy decides, whatever the arguments.
    Decided(Verdict),
    /// The tool is shown, and the rest rests on the arguments, the plan or the time.
    Depends,
    /// Policy could not be evaluated, which denies.
    Failed,
}

/// Roles by tools and objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matrix {
    /// The columns: each role by itself, after nobody in particular, `(no role)`.
    pub roles: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What the first column is called.
const NO_ROLE: &str = "(no role)";

impl Policies {
    /// The matrix of this set, for persons with one role each.
    pub fn matrix(&self, questions: &Questions<'_>) -> Matrix {
        let mut roles: BTreeSet<String> = self.roles().declared().map(str::to_owned).collect();
        roles.extend(questions.roles.iter().cloned());
        roles.extend(self.named_roles());
        let principals: Vec<Principal> = [None]
            .into_iter()
            .chain(roles.iter().map(Some))
            .map(|role| person(questions.tenant).with_roles(role.cloned()))
            .collect();
        let mut rows: Vec<Row> = Vec::new();
        for fact in &questions.facts.tools {
            let cells = principals.iter().map(|principal| self.tool_cell(principal, fact, questions.at));
            rows.push(Row { what: format!("call {}", fact.spec.name), cells: cells.collect() });
        }
        let strongest = questions.facts.tools.iter().map(|fact| &fact.spec).max_by_key(|spec| spec.power);
        for access in questions.accesses {
            let cells = strongest.into_iter().flat_map(|spec| {
                principals.iter().map(|principal| self.access_cell(principal, spec, access, questions.at))
            });
            rows.push(Row { what: access.to_string(), cells: cells.collect() });
        }
        let columns = [NO_ROLE.to_owned()].into_iter().chain(roles).collect();
        Matrix { roles: columns, rows }
    }

    fn tool_cell(&self, principal: &Principal, fact: &ToolFact, at: u64) -> Cell {
        let ask = |phase| self.evaluate_call(&CallQuestion::new(principal, &fact.spec, phase, at));
        if ask(Phase::Listing).verdict == Verdict::Deny {
            return Cell::Decided(Verdict::Deny);
        }
        let looks = |member: &str| self.tool_index(&fact.spec.name).is_some_and(|i| i.mentions.has(member));
        if ["input", "plan", "now"].iter().any(|member| looks(member)) {
            return Cell::Depends;
        }
        let arguments = &json!({});
        cell(&ask(Phase::Calling { arguments }))
    }

    fn access_cell(&self, principal: &Principal, tool: &ToolSpec, access: &Access, at: u64) -> Cell {
        let arguments = &json!({});
        let question = CallQuestion::new(principal, tool, Phase::Calling { arguments }, at);
        cell(&self.evaluate_access(&question, access))
    }
}

fn cell(decision: &countersign_core::Decision) -> Cell {
    if decision.error.is_some() { Cell::Failed } else { Cell::Decided(decision.verdict) }
}

fn person(tenant: &str) -> Principal {
    Principal::new("keys", "somebody", PrincipalKind::Person, tenant, AuthMethod::ApiKey)
}

impl Cell {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Cell::Decided(Verdict::Allow) => "allow",
            Cell::Decided(Verdict::Deny) => "-",
            Cell::Decided(Verdict::Hold { approvals: 1 }) => "hold 1",
            Cell::Decided(Verdict::Hold { .. }) => "hold 2",
            Cell::Depends => "depends",
            Cell::Failed => "error",
        }
    }
}

impl Matrix {
    /// As JSON: `{"roles": […], "rows": [{"what": …, "reader": "allow", …}]}`.
    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let cells =
                self.roles.iter().zip(&row.cells).map(|(role, cell)| (role.clone(), cell.word().into()));
            let cells: serde_json::Map<String, Value> = cells.collect();
            json!({ "what": row.what, "cells": cells })
        };
        json!({ "roles": self.roles, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }

    /// The rows in which two matrices differ, each with what it was and is; a row that only one has is one of dashes in the other.
    pub fn differences(&self, new: &Matrix) -> Vec<String> {
        let word = |matrix: &Matrix, what: &str, role: &str| {
            let row = matrix.rows.iter().find(|row| row.what == what)?;
            let column = matrix.roles.iter().position(|name| name == role)?;
            row.cells.get(column).map(|cell| cell.word())
        };
        let roles: BTreeSet<&String> = self.roles.iter().chain(&new.roles).collect();
        let whats: BTreeSet<&String> = self.rows.iter().chain(&new.rows).map(|row| &row.what).collect();
        let mut found = Vec::new();
        for what in whats {
            for role in &roles {
                // A role that a set does not know is one without rights of its own.
                let of = |matrix: &Matrix| {
                    word(matrix, what, role).or_else(|| word(matrix, what, NO_ROLE)).unwrap_or("-")
                };
                let (was, is) = (of(self), of(new));
                if was != is {
                    found.push(format!("{what} as {role}: {was} -> {is}"));
                }
            }
        }
        found
    }
}

/// A table for people: roles across, tools and objects down.
impl std::fmt::Display for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = self.roles.iter().map(|role| role.chars().count().max(7)).collect();
        write!(f, "{:first$}", "")?;
        for (role, width) in self.roles.iter().zip(&widths) {
            write!(f, "  {role:width$}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:first$}", row.what)?;
            for (cell, width) in row.cells.iter().zip(&widths) {
                write!(f, "  {:width$}", cell.word())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
