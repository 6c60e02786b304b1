//! Who counts, and that every field of a request is under its digest.

use super::*;

pub(super) fn call() -> BoundCall {
    BoundCall {
        tenant: "acme".into(),
        issuer: "keys".into(),
        subject: "ann".into(),
        owner: None,
        claims: BTreeMap::new(),
        run: "r".into(),
        integrity: "trusted".into(),
        confidentiality: "public".into(),
        tool: "t".into(),
        pin: "p".into(),
        power: "write-high".into(),
        arguments: "{}".into(),
        accesses: Vec::new(),
        destinations: Vec::new(),
        policy: "d".into(),
    }
}

fn request() -> Request {
    Request { call: call(), preview: ShownPreview::default(), policies: Vec::new(), needed: 1, expires: 7 }
}

#[test]
fn every_part_of_a_request_is_under_its_digest() {
    let preview = |preview: ShownPreview| Request { preview, ..request() };
    let others = [
        Request { call: BoundCall { arguments: "{\"a\":1}".into(), ..call() }, ..request() },
        Request { policies: vec!["x".into()], ..request() },
        Request { needed: 2, ..request() },
        Request { expires: 8, ..request() },
        preview(ShownPreview { affected: Some(0), ..ShownPreview::default() }),
        preview(ShownPreview { before: Some("{}".into()), ..ShownPreview::default() }),
        preview(ShownPreview { after: Some("{}".into()), ..ShownPreview::default() }),
        preview(ShownPreview { diff: Some("{}".into()), ..ShownPreview::default() }),
        preview(ShownPreview { basis: Some("{}".into()), ..ShownPreview::default() }),
        preview(ShownPreview { warnings: vec!["w".into()], ..ShownPreview::default() }),
    ];
    for (at, one) in others.iter().enumerate() {
        assert_ne!(one.digest(), request().digest());
        assert!(others.iter().skip(at + 1).all(|other| other.digest() != one.digest()), "{one:?}");
    }
}

#[test]
fn a_vote_is_bound_to_what_it_says_of_what_and_by_whom() {
    let digest = request().digest();
    let base = Vote::Approve.statement(digest, "bob", "");
    let other = Request { needed: 2, ..request() }.digest();
    for statement in [
        Vote::Deny.statement(digest, "bob", ""),
        Vote::Approve.statement(other, "bob", ""),
        Vote::Approve.statement(digest, "eve", ""),
        Vote::Approve.statement(digest, "bob", "x"),
        Vote::Approve.statement(digest, "bo", "b"),
    ] {
        assert_ne!(statement, base);
    }
}

#[test]
fn people_are_counted_once_and_only_if_they_may() {
    let approver = |name: &str, subjects: &[&str], tenant: Option<&str>| Approver {
        operator: Operator {
            name: name.into(),
            subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
            tenant: tenant.map(str::to_owned),
        },
        key: String::new(),
        signature: String::new(),
        reason: String::new(),
    };
    let count = |approvers: &[Approver]| people(&call(), approvers);
    assert_eq!(count(&[approver("bob", &[], None), approver("Bob", &[], None)]), 1);
    assert_eq!(count(&[approver("bob", &[], None), approver("carol", &[], Some("acme"))]), 2);
    assert_eq!(count(&[approver("ann", &[], None)]), 0, "the caller");
    assert_eq!(count(&[approver("x", &["Ann"], None)]), 0, "the caller under another name");
    assert_eq!(count(&[approver("bob", &[], Some("globex"))]), 0, "another tenant's");
    let owned = BoundCall { owner: Some("bob".into()), ..call() };
    assert_eq!(people(&owned, &[approver("bob", &[], None)]), 0, "whose agent it is");
}
