//! The policy decision point: Cedar, validated against a schema that is made from the tool registry.
//!
//! [`Policies`] is one immutable set of policies; it answers the pipeline's questions. [`PolicyStore`] holds the set in force and
//! swaps it on a reload that validates. The reading order is `facts` (what exists), `schema` (what a policy may say), `load` (text
//! to checked policies), `decide` (question to verdict), `explain` and `store`.
//!
//! Invariants: deny by default; an evaluation error denies, although Cedar would merely skip the policy; the floor set is part of
//! every set and holds only `forbid`, which no `permit` overrides; ids of entities are built from data and never parsed.
#![forbid(unsafe_code)]

mod cache;
mod calendar;
mod cases;
mod context;
mod decide;
mod entities;
mod error;
mod explain;
mod facts;
mod input;
mod judge;
mod load;
mod loosen;
mod matrix;
mod mentions;
#[cfg(feature = "prove")]
mod prove;
mod replay;
mod roles;
mod said;
mod schema;
mod slice;
mod source;
mod store;

pub use cases::{Case, Expected, cases};
pub use decide::Policies;
pub use error::{Place, PolicyError, PolicyErrors};
pub use explain::{Explained, Explanation, Unlock};
pub use facts::{DatabaseFact, RegistryFacts, RootFact, ToolFact, TrustedHosts};
pub use load::{Effect, PolicyInfo, Report};
pub use loosen::{InForce, loosened, tightened};
pub use matrix::{Cell, Matrix, Questions, Row};
#[cfg(feature = "prove")]
pub use prove::{Difference, Found, Proof, Properties, ProveError, Prover, TESTED, solver_arguments};
pub use replay::{Reasons, Recorded, Replayed};
pub use roles::Roles;
pub use said::access_of;
pub use source::PolicyFile;
pub use store::{PolicyStore, Reload};

/// The policies that a new installation starts with, as (file name, text). They are ordinary user policies.
pub const DEFAULT_POLICIES: &[(&str, &str)] = &[
    ("admin.cedar", include_str!("../../../policies/admin.cedar")),
    ("analyst.cedar", include_str!("../../../policies/analyst.cedar")),
    ("default.cedar", include_str!("../../../policies/default.cedar")),
    ("operator.cedar", include_str!("../../../policies/operator.cedar")),
    ("roles.toml", include_str!("../../../policies/roles.toml")),
];
