//! The set of policies in force. A reload that does not validate changes nothing and says why; one that loosens waits for the operator.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use countersign_core::{decision::PolicySet, ports::PolicySource};

use crate::{
    decide::Policies,
    error::PolicyErrors,
    facts::RegistryFacts,
    loosen::{InForce, loosened},
};

/// What a reload did; the digests are for the record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reload {
    /// The texts are those in force: nothing changed, not even the epoch.
    Unchanged {
        /// The digest in force.
        digest: String,
    },
    /// The new policies are in force.
    Accepted {
        /// The new epoch.
        epoch: u64,
        /// The digest that was in force.
        old: String,
        /// The digest that is in force now.
        new: String,
    },
    /// The new policies are valid and loosen; those in force stay until the operator confirms exactly these.
    Held {
        /// The digest that stays in force.
        in_force: String,
        /// The digest that waits.
        digest: String,
        /// In what it loosens.
        loosens: Vec<String>,
    },
    /// The new policies are not valid; those in force stay.
    Rejected {
        /// The digest that stays in force.
        in_force: String,
        /// Everything that is wrong.
        errors: PolicyErrors,
    },
}

/// Holds the set in force for a policies directory, and the one that is only observed, if there is one.
pub struct PolicyStore {
    dir: PathBuf,
    observe: Option<PathBuf>,
    current: RwLock<Arc<Policies>>,
    /// What the set in force was validated against. One reload at a time: epochs grow by one.
    facts: Mutex<RegistryFacts>,
}

impl PolicyStore {
    /// Loads the policies of `dir`, and of `observe`; without valid sets there is no store.
    pub fn open(
        dir: impl Into<PathBuf>,
        observe: Option<PathBuf>,
        facts: RegistryFacts,
    ) -> Result<PolicyStore, PolicyErrors> {
        let dir = dir.into();
        let policies = Arc::new(load(&dir, observe.as_deref(), &facts)?);
        Ok(PolicyStore { dir, observe, facts: Mutex::new(facts), current: RwLock::new(policies) })
    }

    /// The set in force.
    pub fn policies(&self) -> Arc<Policies> {
        // A panic elsewhere cannot have left half a pointer here.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the directory again. Calls that are under way keep their set. A set that loosens is let in only if its digest is `accepted`.
    pub fn reload(&self, accepted: Option<&str>) -> Reload {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.policies();
        match load(&self.dir, self.observe.as_deref(), &facts) {
            Ok(policies) if same(&policies, &in_force) => {
                Reload::Unchanged { digest: in_force.digest().to_owned() }
            }
            Ok(policies) => self.admit(policies, &in_force, accepted, || ()),
            Err(errors) => Reload::Rejected { in_force: in_force.digest().to_owned(), errors },
        }
    }

    /// Reads the directory again for other tools. If the new set is let in, it is in force and knows these tools alone.
    pub fn reload_for(&self, facts: RegistryFacts, accepted: Option<&str>) -> Reload {
        let mut known = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.policies();
        match load(&self.dir, self.observe.as_deref(), &facts) {
            Ok(policies) => self.admit(policies, &in_force, accepted, || *known = facts),
            Err(errors) => Reload::Rejected { in_force: in_force.digest().to_owned(), errors },
        }
    }

    /// INVARIANT: the caller holds `facts`, so no other reload is under way.
    fn admit(
        &self,
        mut policies: Policies,
        in_force: &Policies,
        accepted: Option<&str>,
        before: impl FnOnce(),
    ) -> Reload {
        let loosens = loosened(&InForce::of(in_force), &policies);
        let (old, new) = (in_force.digest().to_owned(), policies.digest().to_owned());
        // INVARIANT: exactly what the operator confirmed is let in, by its digest.
        // MUTATE(H2-confirm): a reload that loosens needs nobody's word
        if !loosens.is_empty() && accepted != Some(new.as_str()) {
            return Reload::Held { in_force: old, digest: new, loosens };
        }
        before();
        policies.epoch = in_force.epoch.saturating_add(1);
        let epoch = policies.epoch;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
        Reload::Accepted { epoch, old, new }
    }
}

/// The policies of a directory, with those that are only observed.
fn load(dir: &Path, observe: Option<&Path>, facts: &RegistryFacts) -> Result<Policies, PolicyErrors> {
    let mut policies = Policies::load(dir, facts)?;
    policies.observed = observe.map(|dir| Policies::load(dir, facts).map(Arc::new)).transpose()?;
    Ok(policies)
}

/// Whether both sets and what is observed beside them are the same.
fn same(one: &Policies, other: &Policies) -> bool {
    let observed = |set: &Policies| set.observed.as_ref().map(|set| set.digest().to_owned());
    one.digest() == other.digest() && observed(one) == observed(other)
}

impl PolicySource for PolicyStore {
    fn current(&self) -> Result<Arc<dyn PolicySet>, String> {
        Ok(self.policies())
    }
}
