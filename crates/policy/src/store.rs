//! The set of policies in force. A reload that does not validate changes nothing and says why.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use countersign_core::{decision::PolicySet, ports::PolicySource};

use crate::{decide::Policies, error::PolicyErrors, facts::RegistryFacts};

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
    /// The new policies are not valid; those in force stay.
    Rejected {
        /// The digest that stays in force.
        in_force: String,
        /// Everything that is wrong.
        errors: PolicyErrors,
    },
}

/// Holds the set in force for a policies directory.
pub struct PolicyStore {
    dir: PathBuf,
    current: RwLock<Arc<Policies>>,
    /// What the set in force was validated against. One reload at a time: epochs grow by one.
    facts: Mutex<RegistryFacts>,
}

impl PolicyStore {
    /// Loads the policies of `dir`; without a valid set there is no store.
    pub fn open(dir: impl Into<PathBuf>, facts: RegistryFacts) -> Result<PolicyStore, PolicyErrors> {
        let dir = dir.into();
        let policies = Arc::new(Policies::load(&dir, &facts)?);
        Ok(PolicyStore { dir, facts: Mutex::new(facts), current: RwLock::new(policies) })
    }

    /// The set in force.
    pub fn policies(&self) -> Arc<Policies> {
        // A panic elsewhere cannot have left half a pointer here.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the directory again. Calls that are under way keep their set.
    pub fn reload(&self) -> Reload {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.policies().digest().to_owned();
        match Policies::load(&self.dir, &facts) {
            Ok(policies) if policies.digest() == in_force => Reload::Unchanged { digest: in_force },
            Ok(policies) => self.put_in_force(policies, in_force),
            Err(errors) => Reload::Rejected { in_force, errors },
        }
    }

    /// Reads the directory again for other tools. Unless it is rejected, the new set is in force and knows these tools alone.
    pub fn reload_for(&self, facts: RegistryFacts) -> Reload {
        let mut known = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.policies().digest().to_owned();
        match Policies::load(&self.dir, &facts) {
            Ok(policies) => {
                *known = facts;
                self.put_in_force(policies, in_force)
            }
            Err(errors) => Reload::Rejected { in_force, errors },
        }
    }

    /// INVARIANT: the caller holds `facts`, so no other reload is under way.
    fn put_in_force(&self, mut policies: Policies, old: String) -> Reload {
        policies.epoch = self.policies().epoch.saturating_add(1);
        let (epoch, new) = (policies.epoch, policies.digest().to_owned());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
        Reload::Accepted { epoch, old, new }
    }
}

impl PolicySource for PolicyStore {
    fn current(&self) -> Result<Arc<dyn PolicySet>, String> {
        Ok(self.policies())
    }
}
