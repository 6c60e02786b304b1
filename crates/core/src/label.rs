//! Data-flow labels. Labels only rise: a run that has read untrusted or private data stays that way.

use serde::{Deserialize, Serialize};

/// How far a text may be believed, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Integrity {
    /// Written by the operator or by Countersign itself.
    #[default]
    Trusted,
    /// Retrieved content: anyone may have written it.
    Untrusted,
    /// Content in which a detector saw an attack.
    Suspicious,
}

impl Integrity {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Integrity::Trusted => "trusted",
            Integrity::Untrusted => "untrusted",
            Integrity::Suspicious => "suspicious",
        }
    }
}

/// How far a text may travel, from widest to narrowest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidentiality {
    /// Anyone may read it.
    #[default]
    Public,
    /// Members of the organisation may read it.
    Internal,
    /// The tenant's own data.
    Private,
    /// Credentials and the like.
    Secret,
}

impl Confidentiality {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Confidentiality::Public => "public",
            Confidentiality::Internal => "internal",
            Confidentiality::Private => "private",
            Confidentiality::Secret => "secret",
        }
    }
}

/// The label of a result or of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Label {
    /// How far it may be believed.
    pub integrity: Integrity,
    /// How far it may travel.
    pub confidentiality: Confidentiality,
}

impl Label {
    /// What retrieved tenant data is: untrusted and private.
    pub const RETRIEVED: Label =
        Label { integrity: Integrity::Untrusted, confidentiality: Confidentiality::Private };

    /// The least label that is at least as high as both.
    #[must_use]
    pub fn join(self, other: Label) -> Label {
        Label {
            integrity: self.integrity.max(other.integrity),
            confidentiality: self.confidentiality.max(other.confidentiality),
        }
    }
}
