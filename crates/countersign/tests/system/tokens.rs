//! Access tokens at the real binary: scopes for tools, callers that a reload takes away, and what `doctor` finds of issuers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    issuer::Issuer,
    tls::{authority, event, event_of, localhost, write_server},
    world::*,
};

fn world(issuer: &Issuer, extra: &str) -> (World, String) {
    // The port is not known before the world is made, and nothing compares it with this address.
    let resource = "http://127.0.0.1:8931/mcp".to_owned();
    let extra = format!("{}{extra}", issuer.settings(&resource));
    (World::new(Shape { extra, ..Shape::default() }), resource)
}

const SCOPES: &str =
    "[identity.scopes.databases]\nscope = \"tools:sql\"\npermissions = [\"read-database\"]\n";

#[test]
fn a_call_beyond_the_tokens_scopes_is_answered_with_what_it_needs() {
    let issuer = Issuer::start();
    let (world, resource) =
        world(&issuer, &format!("scope_includes = [\"tools:admin=tools:sql\"]\n{SCOPES}"));
    let _server = world.serve();
    let call = json!({"name": "query_shop", "arguments": {"query": "SELECT 41 + 1"}});
    let mut narrow = world.client(&issuer.token(&resource, |_| {}));
    assert!(narrow.modern("tools/list", json!({})).body.contains("query_shop"), "it may know of the tool");
    let answer = narrow.modern("tools/call", call.clone());
    let challenge = answer.header("www-authenticate").unwrap();
    let metadata = "resource_metadata=\"http://127.0.0.1:8931/.well-known/oauth-protected-resource/mcp\"";
    assert_eq!(answer.status, 403, "{answer:?}");
    for part in ["error=\"insufficient_scope\"", "scope=\"tools:sql\"", metadata] {
        assert!(challenge.contains(part), "{challenge}");
    }
    let record = event(&world, "insufficient-scope");
    assert!(record.contains("tools:sql") && record.contains("\"deny\""), "{record}");
    for scope in ["tools:sql", "tools:admin"] {
        let token = issuer.token(&resource, |claims| claims["scope"] = scope.into());
        let answer = world.client(&token).modern("tools/call", call.clone());
        assert!(answer.status == 200 && answer.body.contains("42"), "{scope}: {answer:?}");
    }
    assert_eq!(
        world.client(&world.ann).modern("tools/call", call.clone()).status,
        200,
        "a key has no scopes"
    );
    // Who may not know of the tool is told of no scope.
    let guest = issuer.token(&resource, |claims| claims["roles"] = json!([]));
    let answer = world.client(&guest).modern("tools/call", call);
    assert!(
        answer.header("www-authenticate").is_none() && answer.body.contains("unknown tool"),
        "{answer:?}"
    );
}

#[test]
fn a_scope_for_a_tool_that_does_not_exist_is_a_mistake() {
    let issuer = Issuer::start();
    let (world, _) = world(&issuer, "[identity.scopes.one]\nscope = \"x\"\ntools = [\"query_shpo\"]\n");
    let output = world.try_command(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("`query_shpo`, which does not exist"), "{said}");
}

#[test]
fn a_reload_changes_who_may_call_and_a_bad_one_keeps_the_callers() {
    let issuer = Issuer::start();
    let (world, resource) = world(&issuer, "");
    let server = world.serve();
    let token = issuer.token(&resource, |_| {});
    let status = |token: &str| world.client(token).modern("tools/list", json!({})).status;
    assert_eq!(status(&token), 200);
    let good = std::fs::read_to_string(world.config()).unwrap();
    let reload = |text: &str| {
        std::fs::write(world.config(), text).unwrap();
        server.signal("-HUP");
    };

    // An authority that cannot be read, and a scope for no tool: the callers stay.
    reload(&good.replace("tenant_claim", "ca = \"absent.pem\"\ntenant_claim"));
    event(&world, "identity-rejected");
    assert_eq!(status(&token), 200);
    reload(&good.replace("tenants = [\"acme\"]", "tenants = 7"));
    event(&world, "config-rejected");
    assert_eq!(status(&token), 200);

    // The tenant is granted no more: who belongs to it is nobody, though the token was good before.
    reload(&good.replace("tenants = [\"acme\"]", "tenants = [\"globex\"]"));
    event(&world, "identity-reload");
    let gone = |token: &str| {
        (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            status(token) == 401
        })
    };
    assert!(gone(&token));
    event(&world, "token-tenant");
    // Scopes and metadata are those of the file, too.
    reload(
        &format!("{good}{SCOPES}")
            .replace("resource = \"http://127.0.0.1:8931", "resource = \"http://127.0.0.1:8932"),
    );
    let call = json!({"name": "query_shop", "arguments": {"query": "SELECT 1"}});
    let token = issuer.token("http://127.0.0.1:8932/mcp", |_| {});
    let stepped = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let answer = world.client(&token).modern("tools/call", call.clone());
        answer.status == 403 && answer.header("www-authenticate").is_some_and(|text| text.contains(":8932/"))
    });
    assert!(stepped);
    server.stop();
}

#[test]
fn what_happens_to_issuers_and_keys_is_on_record() {
    let issuer = Issuer::start();
    let introspection = format!(
        "introspection = \"{}/introspect\"\nintrospection_client = \"countersign\"\nintrospection_secret = \"file:secret\"\n",
        issuer.url
    );
    let resource = "http://127.0.0.1:8931/mcp".to_owned();
    let extra = format!("{}{introspection}", issuer.settings(&resource));
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        std::fs::write(dir.join("secret"), "the-introspection-secret").unwrap();
    });
    let server = world.serve();
    let mut serial = 0;
    let mut status = || {
        serial += 1;
        let token = issuer.token(&resource, |claims| claims["jti"] = format!("t-{serial}").into());
        world.client(&token).modern("tools/list", json!({})).status
    };
    assert_eq!(status(), 200);

    let opaque = "an-opaque-token-of-somebody";
    assert_eq!(world.client(opaque).modern("tools/list", json!({})).status, 503, "nobody can say");
    let record = event(&world, "introspection-failed");
    assert!(record.contains("404") && !record.contains(opaque), "{record}");
    issuer.publish("/introspect", &json!({"active": false}));
    assert_eq!(world.client(opaque).modern("tools/list", json!({})).status, 401);
    event(&world, "token-inactive");
    let now = countersign_identity::Timestamp::now().unix();
    issuer.publish(
        "/introspect",
        &json!({
            "active": true, "token_type": "Bearer", "sub": "bob", "aud": resource, "exp": now + 60, "org": "acme", "roles": ["operator"],
        }),
    );
    let mut bob = world.client("another-opaque-token-of-bob");
    assert!(bob.modern("tools/list", json!({})).body.contains("query_shop"));

    // A reload has the keys fetched again when they next serve.
    issuer.add_key();
    server.signal("-HUP");
    let changed = event_of(&world, "issuer-keys-changed", || assert_eq!(status(), 200));
    assert!(changed.contains("1 -> 2 keys"), "{changed}");
    issuer.forget_all();
    server.signal("-HUP");
    // The last good keys serve on.
    event_of(&world, "issuer-unreachable", || assert_eq!(status(), 200));

    event(&world, "keys-reload");
    std::fs::write(world.dir.path().join("state/keys.json"), "{").unwrap();
    server.signal("-HUP");
    event(&world, "keys-rejected");
    server.stop();
}

/// Grade and text of the checks about a subject.
fn checks(world: &World, about: &str) -> Vec<(String, String)> {
    let output = world.try_command(&["doctor", "--json"]);
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    checks.iter().filter(|c| c["about"] == about).map(|c| (text(c, "grade"), text(c, "found"))).collect()
}

#[test]
fn doctor_looks_at_issuers() {
    let issuer = Issuer::start();
    let (world, _) = world(&issuer, "");
    let found = checks(&world, "issuer");
    assert!(found.iter().all(|(grade, _)| grade == "good"), "{found:?}");
    assert!(found[0].1.contains("1 of 1 keys"), "{found:?}");
    issuer.set_ahead(120);
    let found = checks(&world, "issuer");
    assert!(found[1].0 == "bad" && found[1].1.contains("s ahead of ours"), "{found:?}");
    issuer.set_ahead(-120);
    assert!(checks(&world, "issuer")[1].1.contains("s behind ours"));
    issuer.publish("/jwks", &json!({"keys": []}));
    let found = checks(&world, "issuer");
    assert!(found[0].0 == "bad" && found[0].1.starts_with("corp: http://127.0.0.1:"), "{found:?}");
    issuer.publish("/.well-known/oauth-authorization-server", &json!({"issuer": "https://evil.example"}));
    let found = checks(&world, "issuer");
    assert!(found[0].0 == "bad", "{found:?}");
}

#[test]
fn doctor_looks_at_the_certificate() {
    let (own, other) = (authority(), authority());
    let extra = "[server.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n".to_owned();
    let world =
        World::new_with(Shape { extra, ..Shape::default() }, |dir| write_server(dir, &own, localhost()));
    let dir = world.dir.path();
    let allowed = |name: &str| {
        let text = std::fs::read_to_string(world.config()).unwrap();
        std::fs::write(
            world.config(),
            text.replace("[server]\n", &format!("[server]\nallowed_hosts = [\"{name}\"]\n")),
        )
        .unwrap();
    };
    let now = countersign_identity::Timestamp::now();
    let on = |days: u64| {
        let date = now.after(Duration::from_secs(days * 86_400)).date();
        let part = |from: usize, to: usize| date[from..to].parse::<u16>().unwrap();
        let (month, day) = (u8::try_from(part(5, 7)).unwrap(), u8::try_from(part(8, 10)).unwrap());
        rcgen::date_time_ymd(part(0, 4).into(), month, day)
    };
    let grade = |expected: &str, text: &str| {
        let found = checks(&world, "certificate");
        assert!(
            found.iter().any(|(grade, said)| grade == expected && said.contains(text)),
            "{text}: {found:?}"
        );
    };
    grade("good", "for localhost, until ");
    let mut params = localhost();
    params.not_after = on(5);
    write_server(dir, &own, params);
    grade("warning", "it expires on ");
    let mut params = localhost();
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2020, 2, 1));
    write_server(dir, &own, params);
    grade("bad", "it expired on 2020-02-01");
    let mut params = localhost();
    params.not_before = on(3);
    write_server(dir, &own, params);
    grade("bad", "it is not valid before ");
    write_server(dir, &own, localhost());
    allowed("mcp.bank.example");
    grade("bad", "the certificate is not for `mcp.bank.example`");
    let mut params = localhost();
    params.subject_alt_names.push(rcgen::SanType::DnsName("*.bank.example".try_into().unwrap()));
    write_server(dir, &other, params);
    grade("good", "for localhost, *.bank.example, until ");
    assert_eq!(checks(&world, "certificate").len(), 1, "the wildcard is for it");
    let key = dir.join("server.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o604)).unwrap();
    grade("bad", "can be read by every user of this machine");
    write_server(dir, &own, localhost());
    let pem = std::fs::read(dir.join("server.pem")).unwrap();
    write_server(dir, &own, localhost());
    std::fs::write(dir.join("server.pem"), pem).unwrap();
    grade("bad", "TLS cannot be set up with these files");
}
