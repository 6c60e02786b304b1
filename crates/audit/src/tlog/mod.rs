//! The Merkle log as pure functions: no files, no clock, no state. Named as RFC 9162 and the C2SP
//! specifications name them, so that a reader can hold the text beside the code.

mod checkpoint;
mod note;
mod proof;
mod tile;
mod tree;

#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use note::{KeyError, MAX_KEY_NAME, Note, NoteError, Signer, Verifier, open, sign, split_notes};
pub use proof::{ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
pub use tile::{BundleError, TILE_WIDTH, Tile, decode_bundle, encode_bundle_entry, entries_path, tiles};
pub use tree::{Frontier, Hash, leaf_hash, merkle_tree_hash, node_hash};
