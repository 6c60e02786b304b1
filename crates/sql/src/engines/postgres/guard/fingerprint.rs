//! A name for statements of one form: for records, limits and lists. Not for decisions.
//!
//! Statements that differ in white space, comments, letter case of keywords or literals have the same fingerprint; those that differ in
//! anything else, schemas and aliases among it, have different ones. It is a hash of 128 bits without a key: somebody who tries can make
//! two statements collide, so nothing may be granted by it.

use super::json::Json;

/// Fields that hold positions in the text.
const POSITIONS: &[&str] = &[
    "stmt_location",
    "stmt_len",
    "rexpr_list_start",
    "rexpr_list_end",
    "list_start",
    "list_end",
    "name_location",
    "arg_location",
];

/// The fingerprint of a tree.
pub(super) fn fingerprint(tree: &Json<'_>) -> u128 {
    let mut hash = Hash(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    write(&mut hash, tree);
    hash.0
}

fn write(hash: &mut Hash, json: &Json<'_>) {
    match json {
        Json::Null => hash.mark(b'n'),
        Json::Flag(flag) => hash.mark(if *flag { b't' } else { b'f' }),
        Json::Number(number) => hash.text(b'#', number),
        Json::Text(text) => hash.text(b's', text),
        Json::List(items) => {
            hash.mark(b'[');
            // Lists of literals, as in `IN (1, 2, 3)`, count as one whatever their length.
            let mut previous = false;
            for item in items {
                let literal = is_literal(item);
                if !(literal && previous) {
                    write(hash, item);
                }
                previous = literal;
            }
            hash.mark(b']');
        }
        Json::Object(members) => {
            hash.mark(b'{');
            for (name, value) in members {
                if POSITIONS.contains(name) {
                    continue;
                }
                hash.text(b'm', name);
                if *name == "A_Const" { hash.mark(b'?') } else { write(hash, value) }
            }
            hash.mark(b'}');
        }
    }
}

fn is_literal(json: &Json<'_>) -> bool {
    matches!(json, Json::Object(members) if matches!(members.as_slice(), [("A_Const", _)]))
}

/// FNV-1a of 128 bits over groups of eight bytes, with lengths so that texts cannot run into each other.
struct Hash(u128);

impl Hash {
    fn word(&mut self, word: u64) {
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        self.0 = (self.0 ^ u128::from(word)).wrapping_mul(PRIME);
        // The product carries upwards alone; this brings its upper half down.
        self.0 ^= self.0 >> 64;
    }

    fn mark(&mut self, mark: u8) {
        self.word(u64::from(mark));
    }

    fn text(&mut self, mark: u8, text: &str) {
        self.word(u64::try_from(text.len()).unwrap_or(u64::MAX) << 8 | u64::from(mark));
        let (groups, rest) = text.as_bytes().as_chunks::<8>();
        groups.iter().for_each(|group| self.word(u64::from_be_bytes(*group)));
        self.word(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
}
