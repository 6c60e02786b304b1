//! Published vectors, an outside implementation, and properties of the pure Merkle functions.

use super::*;
use proptest::prelude::*;
use tlog_tiles as outside;

/// The eight inputs and the tree roots that RFC 6962 implementations share (first in the reference
/// implementation of Certificate Transparency, `merkle_tree_test.cc`).
const INPUTS: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn leaves(n: u64) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

#[test]
fn roots_are_those_of_the_reference_implementation() {
    assert_eq!(
        merkle_tree_hash(&[]).to_vec(),
        unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    let leaves: Vec<Hash> = INPUTS.iter().map(|input| leaf_hash(&unhex(input))).collect();
    let mut frontier = Frontier::default();
    for (i, root) in ROOTS.iter().enumerate() {
        frontier.push(leaves[i]);
        assert_eq!(merkle_tree_hash(&leaves[..=i]).to_vec(), unhex(root), "size {}", i + 1);
        assert_eq!(frontier.root().to_vec(), unhex(root), "frontier of size {}", i + 1);
    }
}

/// The example of Go's `golang.org/x/mod/sumdb/note` package documentation.
#[test]
fn notes_are_those_of_the_go_package() {
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    let signer = Signer::parse(SIGNER).unwrap();
    assert_eq!(signer.verifier().to_string(), VERIFIER);
    assert_eq!(*signer.private_line(), SIGNER);
    let note = sign(TEXT, &signer).unwrap();
    assert_eq!(note, format!("{TEXT}\n{SIGNATURE}"));
    let verifier = Verifier::parse(VERIFIER).unwrap();
    assert_eq!(open(&note, &verifier).unwrap().text, TEXT);

    let changed = note.replace("cryptography", "steganography");
    assert_eq!(open(&changed, &verifier), Err(NoteError::BadSignature));
    let stranger = Signer::from_seed("stranger", &[7; 32]).unwrap();
    assert_eq!(open(&note, stranger.verifier()), Err(NoteError::Unsigned));
    assert_eq!(Verifier::parse(&VERIFIER.replace("c74f20a3", "c74f20a4")), Err(KeyError::Id));
}

/// The key of Go's checksum database, as every Go installation pins it.
#[test]
fn a_verifier_key_in_wide_use_parses() {
    const LINE: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    assert_eq!(Verifier::parse(LINE).unwrap().to_string(), LINE);
}

/// The examples in the text of C2SP tlog-tiles.
#[test]
fn tile_paths_are_those_of_the_specification() {
    assert_eq!(Tile { level: 0, index: 1_234_067, width: 256 }.path(), "tile/0/x001/x234/067");
    assert_eq!(Tile { level: 1, index: 0, width: 17 }.path(), "tile/1/000.p/17");
    assert_eq!(entries_path(1_234, 3), "tile/entries/x001/234.p/3");

    let all: Vec<Tile> = tiles(70_000).collect();
    let count =
        |level, full: bool| all.iter().filter(|t| t.level == level && (t.width == 256) == full).count();
    assert_eq!((count(0, true), count(1, true), count(2, true)), (273, 1, 0));
    let partial: Vec<(u8, u64)> = all.iter().filter(|t| t.width < 256).map(|t| (t.level, t.width)).collect();
    assert_eq!(partial, [(0, 112), (1, 17), (2, 1)]);
    assert_eq!(tiles(256).map(|t| t.path()).collect::<Vec<_>>(), ["tile/0/000", "tile/1/000.p/1"]);
}

/// Our tile paths against the outside implementation, for every tile of trees of odd sizes.
#[test]
fn tile_paths_agree_with_the_outside_implementation() {
    for size in [1, 255, 256, 257, 70_000, 16_777_217] {
        for tile in tiles(size).step_by(97) {
            // Go's path names the tile height, C2SP's does not.
            let theirs = outside::Tile::new(8, tile.level, tile.index, tile.width as u32, false);
            assert_eq!(tile.path(), theirs.path().replacen("tile/8/", "tile/", 1), "size {size}");
        }
    }
}

/// Leaf hashes kept as the outside implementation stores them.
struct Store(Vec<outside::Hash>);

impl outside::HashReader for Store {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<outside::Hash>, outside::Error> {
        Ok(indexes.iter().map(|i| self.0[*i as usize]).collect())
    }
}

fn store(n: u64) -> Store {
    let mut store = Store(Vec::new());
    for i in 0..n {
        let new = outside::stored_hashes(i, &i.to_be_bytes(), &store).unwrap();
        store.0.extend(new);
    }
    store
}

fn ours(proof: &[outside::Hash]) -> Vec<Hash> {
    proof.iter().map(|hash| hash.0).collect()
}

/// All proofs of all trees up to 70 leaves: byte for byte those of the outside implementation, and each accepts the other's.
#[test]
fn proofs_agree_with_the_outside_implementation() {
    let (all, store) = (leaves(70), store(70));
    for size in 1..=70u64 {
        let tree = &all[..size as usize];
        let root = merkle_tree_hash(tree);
        assert_eq!(outside::tree_hash(size, &store).unwrap().0, root);
        for index in 0..size {
            let proof = inclusion_proof(tree, index).unwrap();
            assert_eq!(proof, ours(&outside::prove_record(size, index, &store).unwrap()));
            verify_inclusion(&all[index as usize], index, size, &proof, &root).unwrap();
        }
        for older in 1..=size {
            let proof = consistency_proof(tree, older).unwrap();
            assert_eq!(proof, ours(&outside::prove_tree(size, older, &store).unwrap()));
            verify_consistency(older, size, &proof, &merkle_tree_hash(&all[..older as usize]), &root)
                .unwrap();
        }
    }
}

/// Our checkpoints are checkpoints to the outside implementation.
#[test]
fn checkpoints_agree_with_the_outside_implementation() {
    let signer = Signer::from_seed("example.com/log", &[3; 32]).unwrap();
    let checkpoint =
        Checkpoint { origin: "example.com/log".to_owned(), size: 70, root: merkle_tree_hash(&leaves(70)) };
    let note = checkpoint.sign(&signer).unwrap();
    let theirs = outside::Checkpoint::from_bytes(checkpoint.text().as_bytes()).unwrap();
    assert_eq!(theirs.origin(), checkpoint.origin);
    assert_eq!((theirs.size(), theirs.hash().0), (checkpoint.size, checkpoint.root));
    assert_eq!(Checkpoint::open(&note, signer.verifier()).unwrap(), checkpoint);
}

#[test]
fn malformed_checkpoints_are_refused() {
    let signer = Signer::from_seed("example.com/log", &[3; 32]).unwrap();
    let open = |text: &str| Checkpoint::open(&sign(text, &signer).unwrap(), signer.verifier());
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert!(open(&format!("a\n0\n{root}\n")).is_ok());
    assert!(open(&format!("a\n0\n{root}\nextension\n")).is_ok());
    for text in [
        "\n0\nROOT\n",
        "a\n00\nROOT\n",
        "a\n+1\nROOT\n",
        "a\n-1\nROOT\n",
        "a\n1\nROO\n",
        "a\n1\n",
        "a\n18446744073709551616\nROOT\n",
    ] {
        assert!(open(&text.replace("ROOT", root)).is_err(), "{text:?}");
    }
}

#[test]
fn several_notes_in_one_file_are_cut_apart() {
    let signer = Signer::from_seed("example.com/log", &[3; 32]).unwrap();
    let notes: Vec<String> = (1..4)
        .map(|size| Checkpoint { origin: "o".to_owned(), size, root: [1; 32] }.sign(&signer).unwrap())
        .collect();
    assert_eq!(split_notes(&notes.concat()), notes);
    assert_eq!(split_notes(&notes.join("\n")), notes);
}

proptest! {
    /// A proof with any one bit changed, a hash more or less, or another position proves nothing.
    #[test]
    fn changed_proofs_fail(size in 2u64..600, seed in any::<u64>(), bit in 0usize..256, which in any::<usize>()) {
        let tree = leaves(size);
        let root = merkle_tree_hash(&tree);
        let index = seed % size;
        let leaf = tree[index as usize];
        let proof = inclusion_proof(&tree, index).unwrap();
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root).is_ok());
        let mut changed = proof.clone();
        let at = which % changed.len();
        changed[at][bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(&leaf, index, size, &changed, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &proof[1..], &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &[&proof[..], &[root]].concat(), &root).is_err());
        prop_assert!(verify_inclusion(&leaf, (index + 1) % size, size, &proof, &root).is_err());

        let older = 1 + seed % (size - 1);
        let older_root = merkle_tree_hash(&tree[..older as usize]);
        let proof = consistency_proof(&tree, older).unwrap();
        prop_assert!(verify_consistency(older, size, &proof, &older_root, &root).is_ok());
        let mut changed = proof.clone();
        let at = which % changed.len();
        changed[at][bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_consistency(older, size, &changed, &older_root, &root).is_err());
        prop_assert!(verify_consistency(older, size, &proof[1..], &older_root, &root).is_err());
        prop_assert!(verify_consistency(older, size, &proof, &root, &root).is_err());
    }

    #[test]
    fn the_frontier_is_the_tree(size in 0u64..2000) {
        let tree = leaves(size);
        let mut frontier = Frontier::default();
        tree.iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(frontier.size(), size);
        prop_assert_eq!(frontier.root(), merkle_tree_hash(&tree));
    }

    #[test]
    fn bundles_round_trip(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20)) {
        let mut bundle = Vec::new();
        for entry in &entries {
            encode_bundle_entry(&mut bundle, entry).unwrap();
        }
        prop_assert_eq!(decode_bundle(&bundle).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        if !bundle.is_empty() {
            prop_assert!(decode_bundle(&bundle[..bundle.len() - 1]).is_err() || entries.last().unwrap().is_empty());
        }
    }

    #[test]
    fn parsers_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        let signer = Signer::from_seed("example.com/log", &[3; 32]).unwrap();
        let _ = decode_bundle(&bytes);
        let _ = Checkpoint::open(&text, signer.verifier());
        let _ = (Verifier::parse(&text), Signer::parse(&text), split_notes(&text));
    }
}
