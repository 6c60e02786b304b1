//! Forged credentials. Each attack begins with the one that is accepted and changes one thing.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::{keys::SigningKey, *},
    support::{Place, later, now, parts, profile},
};
use crate::oauth::TokenRefused;

/// A ring, the key that it believes, and a token that it accepts.
struct Forge {
    _place: Place,
    ring: CredentialRing,
    key: SigningKey,
    header: Value,
    claims: Value,
}

impl Forge {
    fn new() -> Forge {
        let place = Place::new();
        let (header, claims) = parts(&place.issue().token);
        let file: Value = serde_json::from_slice(&std::fs::read(place.path()).unwrap()).unwrap();
        let key = serde_json::from_value(file["signing"].clone()).unwrap();
        Forge { ring: place.ring(), key, header, claims, _place: place }
    }

    /// A token with our key's signature over whatever this is.
    fn sign(&self, header: &Value, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims));
        format!("{signed}.{}", BASE64URL.encode(self.key.sign(signed.as_bytes()).unwrap()))
    }

    fn ask(&self, token: &str) -> Result<(), TokenRefused> {
        self.ring.authenticate_at(token, now()).map(|_| ())
    }

    fn with_header(&self, name: &str, value: Value) -> Result<(), TokenRefused> {
        let mut header = self.header.clone();
        header[name] = value;
        self.ask(&self.sign(&header, &self.claims.to_string()))
    }

    fn with_claim(&self, name: &str, value: Value) -> Result<(), TokenRefused> {
        let mut claims = self.claims.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        self.ask(&self.sign(&self.header, &claims.to_string()))
    }
}

#[test]
fn a_forged_signature_is_refused() {
    let forge = Forge::new();
    let good = forge.sign(&forge.header, &forge.claims.to_string());
    assert_eq!(forge.ask(&good), Ok(()));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut claims = forge.claims.clone();
    claims["tenant"] = json!("globex");
    let tampered =
        format!("{}.{}.{signature}", signed.split('.').next().unwrap(), BASE64URL.encode(claims.to_string()));
    let other = SigningKey::generate(now()).unwrap();
    let of_other = BASE64URL.encode(other.sign(signed.as_bytes()).unwrap());
    for forged in [tampered, format!("{signed}.{of_other}"), format!("{signed}."), format!("{signed}.AAAA")] {
        assert_eq!(forge.ask(&forged), Err(TokenRefused::Signature));
    }
}

#[test]
fn only_our_algorithm_exists() {
    let forge = Forge::new();
    for algorithm in ["none", "None", "", "HS256", "HS512", "eddsa"] {
        assert_eq!(forge.with_header("alg", json!(algorithm)), Err(TokenRefused::Algorithm), "{algorithm}");
    }
    for algorithm in ["RS256", "ES256", "PS384"] {
        assert_eq!(forge.with_header("alg", json!(algorithm)), Err(TokenRefused::Algorithm), "{algorithm}");
    }
    // The public key as the secret of a MAC, with a MAC that is right.
    let jwks: Value = serde_json::from_str(&forge.ring.jwks().unwrap()).unwrap();
    let public = BASE64URL.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
    let mut header = forge.header.clone();
    header["alg"] = json!("HS256");
    let signed =
        format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(forge.claims.to_string()));
    let mac = hmac_sha256(&public, signed.as_bytes());
    assert_eq!(forge.ask(&format!("{signed}.{}", BASE64URL.encode(mac))), Err(TokenRefused::Algorithm));
    let unsigned = format!(
        "{}.{}.",
        BASE64URL.encode(r#"{"alg":"none","typ":"cs+jwt"}"#),
        BASE64URL.encode(forge.claims.to_string())
    );
    assert_eq!(forge.ask(&unsigned), Err(TokenRefused::Algorithm));
}

#[test]
fn a_token_of_another_type_is_no_credential() {
    let forge = Forge::new();
    assert_eq!(forge.with_header("typ", json!("application/cs+jwt")), Ok(()));
    for kind in ["at+jwt", "JWT", "", "dpop+jwt"] {
        assert_eq!(forge.with_header("typ", json!(kind)), Err(TokenRefused::Kind), "{kind}");
    }
}

#[test]
fn a_key_that_is_not_ours_is_unknown() {
    let forge = Forge::new();
    for kid in ["csk-unknown", "", "../credentials.json"] {
        assert_eq!(forge.with_header("kid", json!(kid)), Err(TokenRefused::UnknownKey), "{kid}");
    }
    for name in ["jku", "x5u", "x5c", "jwk", "crit"] {
        assert_eq!(
            forge.with_header(name, json!("https://evil.example")),
            Err(TokenRefused::Header),
            "{name}"
        );
    }
}

#[test]
fn a_credential_of_or_for_another_server_is_refused() {
    let forge = Forge::new();
    for other in [json!("https://mcp.bank.example"), json!("https://mcp.bank.example/mcp/"), json!("")] {
        assert_eq!(forge.with_claim("iss", other.clone()), Err(TokenRefused::Issuer));
        assert_eq!(forge.with_claim("aud", other.clone()), Err(TokenRefused::Audience));
    }
    let both = json!(["https://mcp.bank.example/mcp", "https://other.example"]);
    assert_eq!(forge.with_claim("aud", both), Err(TokenRefused::Audience));
    assert_eq!(forge.with_claim("iss", json!(7)), Err(TokenRefused::Claim("iss")));
    assert_eq!(forge.with_claim("aud", Value::Null), Err(TokenRefused::Claim("aud")));
}

#[test]
fn time_is_kept() {
    let forge = Forge::new();
    let at = |seconds: u64| json!(later(seconds).unix());
    assert_eq!(forge.with_claim("exp", json!(now().unix())), Err(TokenRefused::Expired));
    assert_eq!(forge.with_claim("exp", at(900)), Ok(()));
    assert_eq!(forge.with_claim("exp", at(901)), Err(TokenRefused::Claim("exp")));
    assert_eq!(forge.with_claim("iat", at(30)), Ok(()));
    assert_eq!(forge.with_claim("iat", at(31)), Err(TokenRefused::NotYet));
    for name in ["exp", "iat"] {
        assert_eq!(forge.with_claim(name, Value::Null), Err(TokenRefused::Claim(name)), "{name}");
        assert_eq!(forge.with_claim(name, json!("1")), Err(TokenRefused::Claim(name)), "{name}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let forge = Forge::new();
    assert_eq!(
        forge.with_claim("hosts", json!(["a"])),
        Err(TokenRefused::Malformed),
        "a restriction of a newer version"
    );
    for (name, value) in [
        ("scope", json!("*")),
        ("scope", json!("")),
        ("kind", json!("anonymous")),
        ("tools", json!("query_shop")),
        ("tools", json!([])),
        ("tools", json!([7])),
        ("roles", json!("reader")),
        ("run", json!(["a"])),
        ("from", json!("c1")),
        ("tenant", Value::Null),
        ("sub", Value::Null),
        ("jti", Value::Null),
        ("scope", Value::Null),
        ("kind", Value::Null),
    ] {
        let refused = forge.with_claim(name, value.clone()).unwrap_err();
        assert!(matches!(refused, TokenRefused::Claim(_)), "{name}: {value}: {refused:?}");
    }
    let twice = forge.claims.to_string().replacen('{', r#"{"tenant":"globex","#, 1);
    assert_eq!(forge.ask(&forge.sign(&forge.header, &twice)), Err(TokenRefused::Malformed));
    let store = CredentialStore::at("/nonexistent/credentials.json", profile());
    assert!(store.list(now()).unwrap().is_empty(), "no file, no credentials");
}

/// RFC 2104, as an attacker has it.
fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| -> Vec<u8> {
        (0..64).map(|place| key.get(place).copied().unwrap_or_default() ^ byte).collect()
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}
