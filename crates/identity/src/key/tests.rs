//! The text form of keys: what is minted is read back, and every slip of the hand is noticed.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_minted_key_has_the_documented_shape() {
    let key = ApiKey::generate().unwrap();
    let text = key.reveal();
    assert_eq!(text.len(), 52);
    let rest = text.strip_prefix("cs_").unwrap();
    assert!(rest.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
    assert_eq!(ApiKey::parse(text).unwrap().hash(), key.hash());
}

#[test]
fn the_checksum_is_part_of_the_format() {
    // Computed with: printf 'cs_000…0' | sha256sum, first 32 bits in base 62, least significant character first.
    let body = format!("cs_{}", "0".repeat(43));
    let check = checksum(body.as_bytes());
    assert!(ApiKey::parse(&format!("{body}{check}")).is_ok());
    assert_eq!(check, "fkxXK3");
}

#[test]
fn every_single_typing_error_is_noticed() {
    let key = ApiKey::generate().unwrap();
    let text = key.reveal();
    for place in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
        let wrong = String::from_utf8(bytes).unwrap();
        assert_eq!(ApiKey::parse(&wrong).err(), Some(Malformed), "{place}");
    }
    for wrong in
        ["", "cs_", text.get(..51).unwrap(), &format!("{text}0"), &text.to_lowercase(), &format!(" {text}")]
    {
        assert_eq!(ApiKey::parse(wrong).err(), Some(Malformed));
    }
    assert_eq!(ApiKey::parse(&"é".repeat(26)).err(), Some(Malformed));
}

#[test]
fn keys_do_not_repeat_and_use_the_whole_alphabet() {
    let mut keys = BTreeSet::new();
    let mut seen = [0_u32; 256];
    for _ in 0..2000 {
        let key = ApiKey::generate().unwrap();
        key.reveal().bytes().skip(3).take(43).for_each(|b| seen[usize::from(b)] += 1);
        assert!(keys.insert(key.reveal().to_owned()));
    }
    // 86,000 draws of 62 characters: 1,387 each; six standard deviations are 220.
    for byte in ALPHABET {
        let count = seen[usize::from(*byte)];
        assert!((1167..1607).contains(&count), "{} came {count} times", char::from(*byte));
    }
}

#[test]
fn debug_output_hides_the_key() {
    let key = ApiKey::generate().unwrap();
    assert_eq!(format!("{key:?}"), "ApiKey(cs_…)");
}
