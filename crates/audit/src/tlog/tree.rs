//! Hashes of the tree. SPEC: RFC 9162 §2.1.1 (identical to RFC 6962 §2.1), SHA-256.

use sha2::{Digest, Sha256};

/// One SHA-256 value: a leaf hash, a node hash or a root hash.
pub type Hash = [u8; 32];

/// Hash of one entry: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0x00]).chain_update(entry).finalize().into()
}

/// Hash of an interior node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([0x01]).chain_update(left).chain_update(right).finalize().into()
}

/// Merkle tree hash over leaf hashes; the root of the empty tree is `SHA-256("")`.
pub fn merkle_tree_hash(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node_hash(&merkle_tree_hash(left), &merkle_tree_hash(right))
        }
    }
}

pub(super) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The largest power of two smaller than `n`. INVARIANT: `n >= 2`; anything less yields 1.
pub(super) fn split_point(n: usize) -> usize {
    n.div_ceil(2).checked_next_power_of_two().unwrap_or(1)
}

/// The right edge of a growing tree: all that is needed to append a leaf and to compute the root.
///
/// Holds at most 64 hashes, however large the tree is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees that the tree is made of, the largest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds one leaf hash at the right.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut complete = self.size;
        // INVARIANT: there is one peak for each bit set in `size`; equal ones merge as in binary addition.
        while complete & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
            complete >>= 1;
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The root hash at the current size.
    pub fn root(&self) -> Hash {
        let mut from_right = self.peaks.iter().rev();
        match from_right.next() {
            None => empty_root(),
            Some(last) => from_right.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}
