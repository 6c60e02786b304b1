//! The life of an API key on the command line.

use serde_json::Value;

use crate::shop::Shop;

#[test]
fn created_listed_renewed_revoked() {
    let (shop, _) = Shop::made();
    let made = shop
        .run(&["token", "key", "create", "--for", "bob", "--tenant", "south", "--role", "reader", "--json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(key.starts_with("cs_") && key.len() == 52);

    let listed = shop.run(&["token", "key", "list"]);
    assert!(listed.out.contains(id) && listed.out.contains("bob@south"), "{}", listed.out);
    let everything = format!("{}{}", listed.out, shop.run(&["token", "key", "list", "--json"]).out);
    assert!(!everything.contains("cs_"), "keys are shown once");

    let renewed = shop.run(&["token", "key", "renew", id, "--overlap-hours", "0"]);
    assert_eq!(renewed.code, 0);
    assert!(renewed.out.starts_with("cs_") && renewed.err.contains("bob@south"), "{}", renewed.err);

    let revoked = shop.run(&["token", "key", "revoke", id]);
    assert_eq!(revoked.out, format!("{id} is revoked; running servers refuse it within a second\n"));
    let states: Vec<Value> =
        serde_json::from_str(&shop.run(&["token", "key", "list", "--json"]).out).unwrap();
    let states: Vec<&str> = states.iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["active", "revoked", "active"]);

    // Whatever gives or takes a key is on record, with whose it is, and no key is.
    let events = shop.run(&["audit", "search", "api-key-", "--json"]);
    let details = |event: &str| -> Vec<String> {
        let entries = events.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let named = entries.filter(|entry| entry["event"] == event);
        named.map(|entry| entry["detail"].as_str().unwrap().to_owned()).collect()
    };
    let created = details("api-key-created");
    assert_eq!(created.len(), 2, "the sample's and bob's: {}", events.out);
    let bobs = created.iter().find(|detail| detail.starts_with(id)).unwrap();
    assert!(bobs.contains("bob@south") && bobs.contains("roles [reader]"), "{bobs}");
    assert!(bobs.contains(", by uid "), "{bobs}");
    assert!(details("api-key-renewed")[0].contains(&format!("in place of {id}")));
    assert!(details("api-key-revoked")[0].starts_with(id));
    assert!(!events.out.contains("cs_"), "{}", events.out);
}

#[test]
fn what_cannot_be_done_says_why() {
    let (shop, _) = Shop::made();
    let ran = shop.run(&["token", "key", "revoke", "key-nobody"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (2, "error: no key has the id `key-nobody`; `countersign token key list` shows them\n")
    );
    let ran = shop.run(&["token", "key", "create", "--for", "bob|admin", "--tenant", "south"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @"error: a subject must be 1-64 characters of A-Z, a-z, 0-9, `.`, `_`, `@` or `-`, and start with a letter or digit");
}
