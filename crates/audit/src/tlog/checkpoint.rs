//! Checkpoints: the text that a log signs. SPEC: C2SP tlog-checkpoint.

use super::{Hash, Note, NoteError, Signer, Verifier, note};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A tree head: which log, how many entries, which root hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The identity of the tree, unique among all trees.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root hash at that size.
    pub root: Hash,
}

/// Why a text is not a checkpoint, or not one that the key signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text is not a checkpoint.
    #[error("the checkpoint has no valid {0}")]
    Malformed(&'static str),
}

impl Checkpoint {
    /// The three lines that are signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The checkpoint as a signed note.
    pub fn sign(&self, signer: &Signer) -> Result<String, NoteError> {
        note::sign(&self.text(), signer)
    }

    /// Reads a note, checks the signature of `verifier`, then parses the text.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::parse(&note::open(note, verifier)?)
    }

    /// Parses the text of a note whose signature was checked. Extension lines are read over.
    pub fn parse(note: &Note) -> Result<Checkpoint, CheckpointError> {
        let mut lines = note.text.lines();
        let origin = lines.next().filter(|line| !line.is_empty());
        let origin = origin.ok_or(CheckpointError::Malformed("origin"))?.to_owned();
        let size = lines.next().and_then(parse_size).ok_or(CheckpointError::Malformed("tree size"))?;
        let root = lines.next().and_then(parse_hash).ok_or(CheckpointError::Malformed("root hash"))?;
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Malformed("extension line"));
        }
        Ok(Checkpoint { origin, size, root })
    }

    /// Reads the text of a note without looking at its signatures, for callers that check a later one that covers it.
    pub(crate) fn parse_unverified(note: &str) -> Option<Checkpoint> {
        let (text, _) = note.rsplit_once("\n\n")?;
        Checkpoint::parse(&Note { text: format!("{text}\n") }).ok()
    }
}

/// Decimal without leading zeroes or sign.
fn parse_size(line: &str) -> Option<u64> {
    let size: u64 = line.parse().ok()?;
    (size.to_string() == line).then_some(size)
}

fn parse_hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}
