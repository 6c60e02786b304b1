//! What a credential grants, how it is narrowed, and what the file keeps of it.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use countersign_core::{AuthMethod, PrincipalKind};

use super::{
    super::*,
    support::{ADDRESS, Place, TTL, grant, later, now, parts},
};
use crate::{keyfile::KeyFileError, oauth::TokenRefused};

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_credential_makes_its_bearer_whom_it_names_and_no_more() {
    let place = Place::new();
    let issued = place.issue();
    let principal = place.ring().authenticate_at(&issued.token, now()).unwrap();
    assert_eq!((principal.issuer(), principal.subject()), (CREDENTIAL_ISSUER, "nightly"));
    assert_eq!((principal.kind(), principal.method()), (PrincipalKind::Service, AuthMethod::Credential));
    assert_eq!((principal.tenant(), principal.owner()), ("acme", Some("ann")));
    assert_eq!(principal.roles(), ["reader"]);
    assert_eq!(principal.scopes().unwrap(), ["shop:read", "shop:write"]);
    assert_eq!(principal.tools().unwrap(), ["query_shop", "write_shop"]);
    assert_eq!(principal.run().unwrap().as_str(), "acme/nightly/close-books");
    assert_eq!(principal.credential(), issued.record.id);
    let (header, claims) = parts(&issued.token);
    assert_eq!(header["typ"], "cs+jwt");
    assert_eq!((&claims["iss"], &claims["aud"]), (&ADDRESS.into(), &ADDRESS.into()));
    assert!(
        !issued.token.contains("books") && claims.get("purpose").is_none(),
        "the purpose is for operators"
    );
}

#[test]
fn there_is_no_scope_for_everything_and_no_life_without_end() {
    let place = Place::new();
    let refused = |change: &dyn Fn(&mut Grant)| {
        let mut grant = grant();
        change(&mut grant);
        place.store.issue(&grant, "books", TTL, now()).map(|_| ()).unwrap_err().to_string()
    };
    for scopes in [&[][..], &["*"], &["shop:*"], &["a b"], &["\"a\""], &[""], &["é"]] {
        let message = refused(&|grant| grant.scopes = names(scopes).unwrap());
        assert!(message.contains("there is no scope for everything"), "{scopes:?}: {message}");
    }
    for tools in [&[][..], &["*"], &["query shop"], &["query_shop,x"]] {
        assert!(refused(&|grant| grant.tools = names(tools)).contains("list of tools"), "{tools:?}");
    }
    assert!(refused(&|grant| grant.run = Some("a/b".into())).contains("a run must be"));
    assert!(refused(&|grant| grant.subject = "a/b".into()).contains("a subject must be"));
    assert!(refused(&|grant| grant.tenant = String::new()).contains("a tenant must be"));
    for seconds in [0, 901, u64::MAX] {
        let issued = place.store.issue(&grant(), "books", Duration::from_secs(seconds), now());
        assert!(matches!(issued, Err(StoreError::Lifetime { max: 900 })), "{seconds}");
    }
    for purpose in ["", "a\nb"] {
        let issued = place.store.issue(&grant(), purpose, TTL, now());
        assert!(matches!(issued, Err(StoreError::Grant(GrantError::Purpose))), "{purpose:?}");
    }
    let long = (0..64).map(|n| format!("{n:0>128}")).collect::<Vec<_>>();
    assert!(refused(&|grant| grant.scopes = long.clone()).contains("longer than 8192 bytes"));
    assert!(!place.path().exists(), "what is refused leaves nothing");
}

#[test]
fn a_credential_becomes_less_and_never_more() {
    let place = Place::new();
    let given = place.issue();
    let narrow = |scopes, tools, seconds: Option<u64>| {
        let to = Narrowing { scopes, tools };
        place.store.narrow(&given.token, &to, seconds.map(Duration::from_secs), later(60))
    };
    let less = narrow(names(&["shop:read"]), names(&["query_shop"]), Some(100)).unwrap();
    let principal = place.ring().authenticate_at(&less.token, later(60)).unwrap();
    assert_eq!(principal.scopes().unwrap(), ["shop:read"]);
    assert_eq!(principal.tools().unwrap(), ["query_shop"]);
    assert_eq!(principal.ancestors(), std::slice::from_ref(&given.record.id));
    assert_eq!(principal.run().unwrap().as_str(), "acme/nightly/close-books");
    assert_eq!((less.record.expires, less.record.purpose.as_str()), (later(160), "books"));
    assert_eq!(narrow(None, None, None).unwrap().record.expires, given.record.expires);

    let message = |outcome: Result<Issued, StoreError>| outcome.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        message(narrow(names(&["shop:admin"]), None, None)),
        "a credential can be narrowed, never widened: it does not have the scope `shop:admin`"
    );
    assert_eq!(
        message(narrow(None, names(&["query_shop", "run_python"]), None)),
        "a credential can be narrowed, never widened: it does not have the tool `run_python`"
    );
    assert_eq!(
        message(narrow(None, None, Some(541))),
        "a credential can be narrowed, never widened: it ends in 540 seconds"
    );
    assert!(matches!(narrow(None, None, Some(0)), Err(StoreError::Lifetime { .. })));
    assert!(matches!(narrow(names(&["*"]), None, None), Err(StoreError::Grant(GrantError::Scopes))));
    let again = place.store.narrow(
        &less.token,
        &Narrowing { scopes: names(&["shop:write"]), tools: None },
        None,
        later(60),
    );
    assert!(again.is_err(), "what was taken away does not come back");
}

#[test]
fn what_has_ended_cannot_be_narrowed() {
    let place = Place::new();
    let given = place.issue();
    let narrow = |now| place.store.narrow(&given.token, &Narrowing::default(), None, now);
    assert!(narrow(later(599)).is_ok());
    assert!(matches!(narrow(later(600)), Err(StoreError::NotOurs(TokenRefused::Expired))));
    assert!(matches!(
        place.store.narrow("a.b.c", &Narrowing::default(), None, now()),
        Err(StoreError::NotOurs(TokenRefused::Malformed))
    ));
}

#[test]
fn narrowing_has_an_end() {
    let place = Place::new();
    let mut token = place.issue().token;
    let narrow = |token: &str| place.store.narrow(token, &Narrowing::default(), None, now());
    for _ in 0..8 {
        token = narrow(&token).unwrap().token;
    }
    assert!(matches!(narrow(&token), Err(StoreError::TooOften)));
    let other = place.issue().token;
    for step in 0..100 {
        assert!(narrow(&other).is_ok(), "{step}");
    }
    assert!(matches!(narrow(&other), Err(StoreError::TooOften)));
    assert!(narrow(&place.issue().token).is_ok(), "another holder is not in the way");
}

#[test]
fn the_file_is_private_and_holds_no_credential() {
    let place = Place::new();
    let issued = place.issue();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path()), 0o600);
    let text = std::fs::read_to_string(place.path()).unwrap();
    let signature = issued.token.rsplit('.').next().unwrap();
    assert!(text.contains(&issued.record.id) && !text.contains(signature));

    for (bits, readable) in [(0o640, false), (0o604, false), (0o620, false), (0o600, true)] {
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(bits)).unwrap();
        assert_eq!(place.store.list(now()).is_ok(), readable, "{bits:o}");
        assert_eq!(
            CredentialRing::open(place.path(), super::support::profile()).is_ok(),
            readable,
            "{bits:o}"
        );
    }
    std::fs::write(place.path(), text.replace("\"seed\":\"", "\"seed\":\"!")).unwrap();
    let Err(StoreError::File(error @ KeyFileError::Malformed { .. })) = place.store.list(now()) else {
        panic!("a damaged file is read");
    };
    let seed = text.split("\"seed\":\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(!error.to_string().contains(seed.get(..8).unwrap()), "{error}");
}

#[test]
fn what_has_ended_is_swept() {
    let place = Place::new();
    place.issue();
    let long = place.store.issue(&grant(), "books", Duration::from_secs(900), now()).unwrap();
    assert_eq!(place.store.list(now()).unwrap().len(), 2);
    assert_eq!(place.store.list(later(600)).unwrap(), std::slice::from_ref(&long.record));
    place.store.issue(&grant(), "later", TTL, later(600)).unwrap();
    let text = std::fs::read_to_string(place.path()).unwrap();
    assert_eq!(text.matches("\"purpose\"").count(), 2, "the one that ended is gone from the file");
}
