//! How ids look.

use super::*;

#[test]
fn a_call_id_is_a_uuid_of_version_7() {
    let id = CallId::new(0x0123_4567_89ab, [0xff; 10]);
    assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
    assert!(CallId::new(1, [0; 10]).to_string() < CallId::new(2, [0; 10]).to_string());
}

#[test]
fn a_digest_is_64_lower_case_digits() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Digest::of(b"").to_string(), empty);
    let (ab_c, a_bc) = ([&b"ab"[..], b"c"], [&b"a"[..], b"bc"]);
    assert_ne!(Digest::of_fields("d", ab_c), Digest::of_fields("d", a_bc));
}
