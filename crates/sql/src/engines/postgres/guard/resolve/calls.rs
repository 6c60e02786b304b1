//! Functions, operators and types by name: which of the database's own may be meant, and whether each of these is allowed.

use super::{RelationKey, Resolver, lists, unknown};
use crate::{Access, Refusal, Rule, engines::postgres::guard::syntax::Name};

impl Resolver<'_> {
    pub(super) fn function(&mut self, name: &Name, path: &[String]) -> Result<(), Refusal> {
        let built_in = lists::is_function(&name.name) || lists::is_value_function(&name.name);
        let candidates: Vec<RelationKey> = match name.schema.as_deref() {
            Some("pg_catalog") => Vec::new(),
            Some(schema) => vec![RelationKey::new(schema, &name.name)],
            None => path.iter().map(|schema| RelationKey::new(schema, &name.name)).collect(),
        };
        let built_in = built_in && matches!(name.schema.as_deref(), None | Some("pg_catalog"));
        let mut found = built_in;
        for key in candidates {
            let Some(function) = self.catalogue.functions.get(&key) else { continue };
            found = true;
            // MUTATE(A8-pg-extension): any function with the name of a known extension's may be called
            let listed = function.extension && lists::is_extension_function(&key.name);
            if listed || self.config.functions.contains(&key.written()) {
                self.accesses.insert(Access::function(key.written()));
            // MUTATE(A8-pg-shadow): a function of the user may stand in for a built-in one
            } else if !(built_in && function.extension) {
                let refusal = Refusal::new(
                    Rule::ForbiddenFunction,
                    "a function that is not allowed has the name of one that is called; write pg_catalog before a built-in one",
                );
                return Err(refusal.with_detail(key.written()));
            }
        }
        if built_in {
            self.accesses.insert(Access::function(&name.name));
        }
        if found { Ok(()) } else { Err(unknown("a function that does not exist", &name.name)) }
    }

    /// An operator: built in, of an extension, or configured. One without a schema must be so in every schema where it is looked for.
    pub(super) fn operator(&self, operator: &Name, path: &[String]) -> Result<(), Refusal> {
        let symbol = &operator.name;
        let listed = self.config.operators.contains(symbol);
        let known = |schema: &String| self.catalogue.operators.get(&(schema.clone(), symbol.clone()));
        let found: Vec<&bool> = match &operator.schema {
            Some(schema) => known(schema).into_iter().collect(),
            None => path.iter().filter_map(known).collect(),
        };
        let built_in = operator.schema.is_none() && lists::is_operator(symbol);
        // MUTATE(A8-pg-operators): every operator may be used
        if !(built_in || listed || !found.is_empty()) {
            return Err(Refusal::new(
                Rule::ForbiddenOperator,
                "the statement uses an operator that is not allowed",
            )
            .with_detail(symbol));
        }
        // MUTATE(A8-pg-operator-shadow): an operator of the user may stand in for a built-in one
        if !listed && found.iter().any(|extension| !**extension) {
            return Err(Refusal::new(
                Rule::ForbiddenOperator,
                "an operator that is not allowed is used, or has the symbol of one that is; write OPERATOR(pg_catalog.…) for a built-in one",
            )
            .with_detail(symbol));
        }
        Ok(())
    }

    /// A type that is not built in: configured, or one whose input and casts run nothing of the database's own.
    pub(super) fn type_name(&self, name: &Name, path: &[String]) -> Result<(), Refusal> {
        let key = match &name.schema {
            Some(schema) => Some((schema.clone(), name.name.clone())),
            None => path
                .iter()
                .map(|schema| (schema.clone(), name.name.clone()))
                .find(|key| self.catalogue.types.contains_key(key)),
        };
        let allowed = key.is_some_and(|key| {
            let listed = self.config.types.contains(&RelationKey::new(&key.0, &key.1).written());
            listed
                || self
                    .catalogue
                    .types
                    .get(&key)
                    .is_some_and(|info| (info.enumeration || info.extension) && !info.casts)
        });
        if allowed {
            return Ok(());
        }
        Err(Refusal::new(Rule::ForbiddenType, "the statement names a type that is not allowed")
            .with_detail(&name.name))
    }

    /// Whether a function of the database that may not be called has this name, in any schema.
    pub(super) fn is_foreign_function(&self, name: &str) -> bool {
        self.catalogue
            .functions
            .keys()
            .any(|key| key.name == name && !self.config.functions.contains(&key.written()))
    }

    /// Whether a function of the database that is called names what it returns.
    pub(super) fn any_output<'n>(&self, functions: impl IntoIterator<Item = &'n Name>) -> bool {
        functions.into_iter().any(|function| {
            self.catalogue
                .functions
                .iter()
                .any(|(key, info)| key.name == function.name && !info.columns.is_empty())
        })
    }

    /// Whether a function that is called returns rows with this column.
    pub(super) fn has_output(&self, function: &Name, column: &str) -> bool {
        self.catalogue.functions.iter().any(|(key, info)| {
            key.name == function.name
                && info.columns.contains(column)
                && self.config.functions.contains(&key.written())
        })
    }
}
