//! Certificates of a real authority, and whose they are.

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;

fn certificate(names: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn rule(subject: &str, matches: &str) -> CertificateRule {
    CertificateRule {
        subject: subject.into(),
        matches: CertificateMatch::parse(matches).unwrap(),
        kind: PrincipalKind::Service,
        tenant: "north".into(),
        roles: vec!["reader".into()],
    }
}

#[test]
fn a_certificate_is_recognised_by_its_names_or_its_hash() {
    let exact = certificate(vec![dns("other.bank.example")]);
    let digits: String = sha256(&exact).iter().map(|byte| format!("{byte:02x}")).collect();
    let certificates = Certificates::new(vec![
        rule("nightly", "dns:Nightly.bank.example"),
        rule("agent", "uri:spiffe://bank.example/agent"),
        rule("pinned", &format!("sha256:{digits}")),
    ]);
    let who = |names| certificates.identify(&certificate(names)).map(|one| one.subject().to_owned());
    assert_eq!(who(vec![dns("nightly.bank.example")]).as_deref(), Some("nightly"));
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    assert_eq!(who(vec![dns("x"), uri("spiffe://bank.example/agent")]).as_deref(), Some("agent"));
    assert_eq!(certificates.identify(&exact).unwrap().subject(), "pinned");

    assert_eq!(who(vec![]), None);
    assert_eq!(who(vec![dns("*.bank.example")]), None, "a wildcard is nobody");
    assert_eq!(who(vec![dns("nightly.bank.example.evil.example")]), None);
    assert_eq!(who(vec![uri("spiffe://bank.example/agent/x")]), None);
    assert_eq!(
        who(vec![dns("nightly.bank.example"), uri("spiffe://bank.example/agent")]),
        None,
        "two at once"
    );
    assert!(certificates.identify(b"no certificate").is_none());
    let found = certificates.identify(&exact).unwrap();
    assert_eq!(
        (found.issuer(), found.tenant(), found.method()),
        ("certificates", "north", AuthMethod::Certificate)
    );
}

#[test]
fn what_can_be_matched() {
    for bad in [
        "",
        "dns:",
        "dns:*.bank.example",
        "uri:x",
        "sha256:00",
        "cn:x",
        "dns:a b",
        &format!("sha256:{}", "g".repeat(64)),
    ] {
        assert!(CertificateMatch::parse(bad).is_err(), "{bad}");
    }
}
