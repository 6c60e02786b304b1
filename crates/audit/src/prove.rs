//! Proofs that one entry is in the log: made from the directory, checked with nothing but the proof and a public key.

use crate::error::OpenError;
use crate::files::read_if_there;
use crate::follow::{Follower, Step};
use crate::keys::load_verifier;
use crate::layout;
use crate::read::{ReadError, read};
use crate::search::{Query, search};
use crate::tlog::{
    Checkpoint, Hash, KeyError, ProofError, Tile, Verifier, inclusion_proof, leaf_hash, tiles,
    verify_inclusion,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What kind of document this is, in its first member.
const FORMAT: &str = "countersign-audit-proof-1";

/// A proof that stands alone: hand it to someone together with nothing but trust in the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// `countersign-audit-proof-1`.
    pub format: String,
    /// The log's verifier key line. Trust it only if you know it from elsewhere.
    pub vkey: String,
    /// The signed checkpoint (C2SP tlog-checkpoint) of the tree that holds the entry.
    pub checkpoint: String,
    /// The position of the entry in the tree.
    pub index: u64,
    /// The entry, base64.
    pub entry: String,
    /// The inclusion proof (RFC 9162 §2.1.3), base64, from the leaf upwards.
    pub inclusion: Vec<String>,
}

/// What a valid proof proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The tree that holds the entry.
    pub origin: String,
    /// The size of the tree when it was signed.
    pub size: u64,
    /// The entry.
    pub entry: Vec<u8>,
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Not a proof document.
    #[error("not a proof: {0}")]
    Malformed(&'static str),
    /// The key line is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signed with another key than the one that is trusted.
    #[error("the proof is not of the key that you trust")]
    OtherKey,
    /// The checkpoint is not signed by the key.
    #[error(transparent)]
    Checkpoint(#[from] crate::tlog::CheckpointError),
    /// The hashes do not lead from the entry to the checkpoint.
    #[error(transparent)]
    Inclusion(#[from] ProofError),
}

/// Why no proof can be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no such entry.
    #[error("the log has no such entry")]
    NotFound,
    /// What is there does not lead to a signed checkpoint.
    #[error("the log is damaged there; `audit verify` says more")]
    Damaged,
}

impl From<OpenError> for ProveError {
    fn from(error: OpenError) -> ProveError {
        ProveError::Read(error.into())
    }
}

impl From<crate::error::FileError> for ProveError {
    fn from(error: crate::error::FileError) -> ProveError {
        ProveError::Read(error.into())
    }
}

/// Proves every entry of a call.
///
/// # Errors
/// When there is none, or the log cannot be read or is damaged there.
pub fn prove_call(dir: &Path, call: &str) -> Result<Vec<Proof>, ProveError> {
    let query = Query { call: Some(call.to_owned()), ..Query::default() };
    let found: Vec<_> = search(read(dir)?, query).collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Err(ProveError::NotFound);
    }
    found.iter().map(|entry| prove(dir, entry.slot, entry.epoch, entry.index)).collect()
}

/// Proves entry `index` of the tree of `slot` and `epoch`, under the latest checkpoint of that tree.
///
/// # Errors
/// When there is no such entry, or the log cannot be read or is damaged there.
pub fn prove(dir: &Path, slot: u32, epoch: u32, index: u64) -> Result<Proof, ProveError> {
    let verifier = load_verifier(dir)?;
    let tree = match Follower::open(dir, slot, epoch, &verifier)? {
        Some(wal) => tree_from_wal(wal, index, &verifier)?,
        None => tree_from_tiles(dir, slot, epoch, index)?,
    };
    let inclusion = inclusion_proof(&tree.leaves, index).map_err(|_| ProveError::NotFound)?;
    let proof = Proof {
        format: FORMAT.to_owned(),
        vkey: verifier.to_string(),
        checkpoint: tree.note,
        index,
        entry: STANDARD.encode(tree.entry),
        inclusion: inclusion.iter().map(|hash| STANDARD.encode(hash)).collect(),
    };
    check_proof(&proof, None).map_err(|_| ProveError::Damaged)?;
    Ok(proof)
}

/// Checks a proof, offline. With `trusted`, a verifier key line, the proof must be of that key; without it, the
/// answer is only as good as the source of the proof.
///
/// # Errors
/// Says which link of the chain from the entry to the key is broken.
pub fn check_proof(proof: &Proof, trusted: Option<&str>) -> Result<Proven, CheckError> {
    if proof.format != FORMAT {
        return Err(CheckError::Malformed("another format"));
    }
    let verifier = Verifier::parse(&proof.vkey)?;
    if let Some(trusted) = trusted
        && Verifier::parse(trusted.trim())? != verifier
    {
        return Err(CheckError::OtherKey);
    }
    let checkpoint = Checkpoint::open(&proof.checkpoint, &verifier)?;
    let entry =
        STANDARD.decode(&proof.entry).map_err(|_| CheckError::Malformed("the entry is not base64"))?;
    let inclusion: Option<Vec<Hash>> =
        proof.inclusion.iter().map(|hash| STANDARD.decode(hash).ok()?.try_into().ok()).collect();
    let inclusion = inclusion.ok_or(CheckError::Malformed("a hash is not base64 of 32 bytes"))?;
    verify_inclusion(&leaf_hash(&entry), proof.index, checkpoint.size, &inclusion, &checkpoint.root)?;
    Ok(Proven { origin: checkpoint.origin, size: checkpoint.size, entry })
}

struct Tree {
    leaves: Vec<Hash>,
    note: String,
    entry: Vec<u8>,
}

fn tree_from_wal(mut wal: Follower, index: u64, verifier: &Verifier) -> Result<Tree, ProveError> {
    let mut tree = Tree { leaves: Vec::new(), note: String::new(), entry: Vec::new() };
    while let Step::Batch(batch) = wal.next(verifier)? {
        for entry in batch.entries() {
            if tree.leaves.len() as u64 == index {
                tree.entry = entry.to_vec();
            }
            tree.leaves.push(leaf_hash(entry));
        }
        tree.note = batch.note;
    }
    Ok(tree)
}

fn tree_from_tiles(dir: &Path, slot: u32, epoch: u32, index: u64) -> Result<Tree, ProveError> {
    let epoch_dir = layout::epoch(dir, slot, epoch);
    let note = read_if_there(&layout::checkpoint(&epoch_dir))?.ok_or(ProveError::NotFound)?;
    let note = String::from_utf8(note).map_err(|_| ProveError::Damaged)?;
    let size = Checkpoint::parse_unverified(&note).ok_or(ProveError::Damaged)?.size;
    let mut leaves: Vec<Hash> = Vec::new();
    let mut entry = None;
    for tile in tiles(size).take_while(|tile: &Tile| tile.level == 0) {
        let hashes = read_if_there(&epoch_dir.join(tile.path()))?.ok_or(ProveError::Damaged)?;
        if leaves.len() as u64 <= index && index < leaves.len() as u64 + tile.width {
            let path = epoch_dir.join(crate::tlog::entries_path(tile.index, tile.width));
            let bundle = read_if_there(&path)?.ok_or(ProveError::Damaged)?;
            let entries = crate::tlog::decode_bundle(&bundle).map_err(|_| ProveError::Damaged)?;
            let position = usize::try_from(index - leaves.len() as u64).map_err(|_| ProveError::Damaged)?;
            entry = entries.get(position).map(|entry| entry.to_vec());
        }
        leaves.extend_from_slice(hashes.as_chunks::<32>().0);
    }
    Ok(Tree { leaves, note, entry: entry.ok_or(ProveError::NotFound)? })
}
