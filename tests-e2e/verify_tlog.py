"""Checks an audit log with a verifier that shares no code with Countersign: the Python package aics-tlog.

Usage: verify_tlog.py AUDIT_DIR

Every tree of the log directory (slot-NNN/epoch-NNNNNN with a checkpoint) is checked: the checkpoint's signature under AUDIT_DIR/vkey,
every tile and every entry against its root, and the proofs of inclusion and consistency that our own tools would give. Prints one line
a tree. Exits with 1 when anything does not hold, or when there is no tree at all.
"""

import sys
from pathlib import Path

from aics_tlog import (
    DirectoryTileStore,
    VerifiedTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    inclusion_proof_from_tiles,
    parse_note,
    parse_vkey,
    tree_root_from_tiles,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)


def check_tree(tree, vkey):
    # Each tree has an origin of its own, so that no checkpoint can stand in for another's.
    origin = f"{vkey.name}/{tree.parent.name}/{tree.name}"
    head = verify_checkpoint(parse_note((tree / "checkpoint").read_bytes()), vkey, expected_origin=origin)
    assert head.ok, f"{tree}: checkpoint: {head.error}"
    store = DirectoryTileStore(tree)
    audit_tiles(store, head.size, head.root)
    reader = VerifiedTileReader(store, head.size, head.root)
    for index in sorted({0, head.size // 2, head.size - 1}) if head.size else []:
        entry = reader.entry(index)
        proof = inclusion_proof_from_tiles(reader, index, head.size)
        assert verify_leaf_inclusion(entry, index, head.size, proof, head.root), f"{tree}: entry {index}"
    old = head.size // 2
    if old:
        proof = consistency_proof_from_tiles(reader, old, head.size)
        old_root = tree_root_from_tiles(reader, old, head.size)
        assert verify_consistency(old, head.size, old_root, head.root, proof), f"{tree}: not append-only"
    return head


def main(directory):
    vkey = parse_vkey((directory / "vkey").read_text().strip())
    trees = sorted(path.parent for path in directory.glob("slot-*/epoch-*/checkpoint"))
    if not trees:
        print(f"{directory}: no published tree")
        return 1
    for tree in trees:
        head = check_tree(tree, vkey)
        print(f"{tree.relative_to(directory)}: {head.size} entries, root {head.root.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
