//! Inclusion and consistency proofs: made from leaf hashes, checked with nothing but two roots.

use super::tree::{Hash, empty_root, merkle_tree_hash, node_hash, split_point};

/// Why a proof cannot be made, or does not prove what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf or the older tree lies outside the tree.
    #[error("the tree of {size} entries has no entry or earlier size {wanted}")]
    OutOfRange {
        /// The leaf index or older tree size that was asked for.
        wanted: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The proof has hashes to spare or too few of them.
    #[error("the proof has the wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root hash")]
    Root,
}

/// The inclusion proof of leaf `index`, from the leaf upwards. SPEC: RFC 9162 §2.1.3.1.
pub fn inclusion_proof(leaves: &[Hash], index: u64) -> Result<Vec<Hash>, ProofError> {
    let out_of_range = ProofError::OutOfRange { wanted: index, size: leaves.len() as u64 };
    let position = usize::try_from(index).map_err(|_| out_of_range)?;
    if position >= leaves.len() {
        return Err(out_of_range);
    }
    let mut proof = Vec::new();
    path(leaves, position, &mut proof);
    Ok(proof)
}

fn path(leaves: &[Hash], index: usize, proof: &mut Vec<Hash>) {
    if leaves.len() < 2 {
        return;
    }
    let k = split_point(leaves.len());
    let (left, right) = leaves.split_at(k);
    match index.checked_sub(k) {
        None => {
            path(left, index, proof);
            proof.push(merkle_tree_hash(right));
        }
        Some(index) => {
            path(right, index, proof);
            proof.push(merkle_tree_hash(left));
        }
    }
}

/// Checks that `leaf` is entry `index` of the tree of `size` entries under `root`. SPEC: RFC 9162 §2.1.3.2.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { wanted: index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// The proof that the tree over `leaves` extends the tree over its first `older` leaves.
/// SPEC: RFC 9162 §2.1.4.1. Empty for an empty or equal older tree.
pub fn consistency_proof(leaves: &[Hash], older: u64) -> Result<Vec<Hash>, ProofError> {
    let out_of_range = ProofError::OutOfRange { wanted: older, size: leaves.len() as u64 };
    let older = usize::try_from(older).map_err(|_| out_of_range)?;
    if older > leaves.len() {
        return Err(out_of_range);
    }
    let mut proof = Vec::new();
    if older > 0 {
        subproof(leaves, older, true, &mut proof);
    }
    Ok(proof)
}

fn subproof(leaves: &[Hash], older: usize, whole: bool, proof: &mut Vec<Hash>) {
    if older >= leaves.len() {
        if !whole {
            proof.push(merkle_tree_hash(leaves));
        }
        return;
    }
    let k = split_point(leaves.len());
    let (left, right) = leaves.split_at(k);
    if older <= k {
        subproof(left, older, whole, proof);
        proof.push(merkle_tree_hash(right));
    } else {
        subproof(right, older - k, false, proof);
        proof.push(merkle_tree_hash(left));
    }
}

/// Checks that the tree (`size`, `root`) extends the tree (`older_size`, `older_root`).
/// SPEC: RFC 9162 §2.1.4.2.
pub fn verify_consistency(
    older_size: u64,
    size: u64,
    proof: &[Hash],
    older_root: &Hash,
    root: &Hash,
) -> Result<(), ProofError> {
    if older_size > size {
        return Err(ProofError::OutOfRange { wanted: older_size, size });
    }
    if older_size == size || older_size == 0 {
        let expected = if older_size == size { *root } else { empty_root() };
        return match proof {
            [] if *older_root == expected => Ok(()),
            [] => Err(ProofError::Root),
            _ => Err(ProofError::Length),
        };
    }
    let (mut node, mut last) = (older_size - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // A complete older tree is its own starting point; otherwise the proof begins with one.
    let (start, rest) = match (older_size.is_power_of_two(), proof.split_first()) {
        (_, None) => return Err(ProofError::Length),
        (true, Some(_)) => (*older_root, proof),
        (false, Some((first, rest))) => (*first, rest),
    };
    let (mut older_hash, mut hash) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            older_hash = node_hash(sibling, &older_hash);
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if older_hash == *older_root && hash == *root { Ok(()) } else { Err(ProofError::Root) }
}
