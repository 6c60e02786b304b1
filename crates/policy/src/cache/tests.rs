//! Keys tell every question from every other; the cache is bounded and keeps no errors.

use countersign_core::{AuthMethod, PrincipalKind, Verdict};

use super::*;

fn principal(subject: &str, tenant: &str, roles: &[&str]) -> Principal {
    Principal::new("keys", subject, PrincipalKind::Person, tenant, AuthMethod::ApiKey)
        .with_roles(roles.iter().map(|role| (*role).to_owned()))
}

fn allow(error: Option<&str>) -> Decision {
    Decision { verdict: Verdict::Allow, policies: vec![], error: error.map(str::to_owned) }
}

#[test]
fn different_questions_have_different_keys() {
    let base = Key::new(&principal("ann", "acme", &["a"]), ["calling", "tool"]);
    let others = [
        Key::new(&principal("bob", "acme", &["a"]), ["calling", "tool"]),
        Key::new(&principal("ann", "globex", &["a"]), ["calling", "tool"]),
        Key::new(&principal("ann", "acme", &[]), ["calling", "tool"]),
        Key::new(&principal("ann", "acme", &["a", "calling"]), ["tool"]),
        Key::new(&principal("ann", "acme", &[]), ["a", "calling", "tool"]),
        Key::new(&principal("ann", "acme", &["a"]), ["callin", "gtool"]),
        Key::new(&principal("ann", "acme", &["a"]), ["listing", "tool"]),
    ];
    assert!(others.iter().all(|other| *other != base));
}

#[test]
fn kind_and_method_are_part_of_the_question() {
    let key = |kind, method| Key::new(&Principal::new("i", "s", kind, "t", method), []);
    let base = key(PrincipalKind::Person, AuthMethod::LocalUser);
    assert!(base != key(PrincipalKind::Shared, AuthMethod::LocalUser));
    assert!(base != key(PrincipalKind::Person, AuthMethod::ApiKey));
}

#[test]
fn errors_and_long_keys_are_not_kept() {
    let cache = Cache::new();
    let key = |part: &str| Key::new(&principal("ann", "acme", &[]), [part]);
    cache.put(key("kept"), &allow(None));
    cache.put(key("error"), &allow(Some("broken")));
    cache.put(key(&"x".repeat(MAX_KEY_BYTES)), &allow(None));
    assert_eq!(cache.get(&key("kept")), Some(allow(None)));
    assert_eq!(cache.get(&key("error")), None);
    assert_eq!(cache.get(&key(&"x".repeat(MAX_KEY_BYTES))), None);
}

#[test]
fn it_stays_bounded() {
    let cache = Cache::new();
    for n in 0..SHARDS * SHARD_ENTRIES * 3 {
        cache.put(Key::new(&principal("ann", "acme", &[]), [n.to_string().as_str()]), &allow(None));
    }
    let kept: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
    assert!(kept <= SHARDS * SHARD_ENTRIES, "{kept}");
}
