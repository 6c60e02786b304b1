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
    facts: RegistryFacts,
    current: RwLock<Arc<Policies>>,
    /// One reload at a time: epochs grow by one.
    reloading: Mutex<()>,
}

impl PolicyStore {
    /// Loads the policies of `dir`; without a valid set there is no store.
    pub fn open(dir: impl Into<PathBuf>, facts: RegistryFacts) -> Result<PolicyStore, PolicyErrors> {
        let dir = dir.into();
        let policies = Arc::new(Policies::load(&dir, &facts)?);
        Ok(PolicyStore { dir, facts, current: RwLock::new(policies), reloading: Mutex::new(()) })
    }

    /// The set in force.
    pub fn policies(&self) -> Arc<Policies> {
        // A panic elsewhere cannot have left half a pointer here.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the directory again. Calls that are under way keep their set.
    pub fn reload(&self) -> Reload {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.policies();
        let in_force = old.digest().to_owned();
        let mut policies = match Policies::load(&self.dir, &self.facts) {
            Ok(policies) => policies,
            Err(errors) => return Reload::Rejected { in_force, errors },
        };
        if policies.digest() == in_force {
            return Reload::Unchanged { digest: in_force };
        }
        policies.epoch = old.epoch.saturating_add(1);
        let (epoch, new) = (policies.epoch, policies.digest().to_owned());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
        Reload::Accepted { epoch, old: in_force, new }
    }
}

impl PolicySource for PolicyStore {
    fn current(&self) -> Result<Arc<dyn PolicySet>, String> {
        Ok(self.policies())
    }
}
