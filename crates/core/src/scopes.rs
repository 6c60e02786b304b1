//! Which scopes a credential must carry to call which tools.
//!
//! Policies can refuse for want of a scope as well, yet only these rules can say which scope would do: a client that is told asks its
//! authorization server for more (MCP authorization, Scope Challenge Handling).

use crate::{permission::Permission, principal::Principal, tool::ToolSpec};

/// One scope, and what may not be called without it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeRule {
    /// The scope, as tokens spell it.
    pub scope: String,
    /// Tools that need it, by name.
    pub tools: Vec<String>,
    /// Whatever needs one of these permissions needs the scope as well.
    pub permissions: Vec<Permission>,
}

/// All of them. The default demands nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ScopeRules(Vec<ScopeRule>);

impl ScopeRules {
    /// These rules.
    pub fn new(rules: Vec<ScopeRule>) -> ScopeRules {
        ScopeRules(rules)
    }

    /// The tools that they name.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|rule| rule.tools.iter().map(String::as_str))
    }

    /// The scopes that a tool needs; sorted, each once.
    pub fn needed(&self, spec: &ToolSpec) -> Vec<String> {
        let concerns = |rule: &&ScopeRule| {
            rule.tools.iter().any(|name| **name == *spec.name)
                || rule.permissions.iter().any(|permission| spec.permissions.contains(permission))
        };
        let mut scopes: Vec<String> = self.0.iter().filter(concerns).map(|rule| rule.scope.clone()).collect();
        scopes.sort();
        scopes.dedup();
        scopes
    }

    /// Whether the principal's credential may call the tool. A kind of credential that has no scopes, such as an API key, is bounded by
    /// policy alone.
    ///
    /// # Errors
    /// All scopes that the tool needs, when one of them is missing: one challenge is to lead to a token that does.
    pub(crate) fn check(&self, principal: &Principal, spec: &ToolSpec) -> Result<(), Vec<String>> {
        let Some(carried) = principal.scopes().filter(|_| !self.0.is_empty()) else { return Ok(()) };
        let needed = self.needed(spec);
        if needed.iter().all(|scope| carried.contains(scope)) { Ok(()) } else { Err(needed) }
    }
}
