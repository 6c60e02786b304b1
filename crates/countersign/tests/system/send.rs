//! `send_request` on a running server: what leaves is what people saw, once, to the hosts of its own list.

use std::{net::IpAddr, path::Path};

use countersign_testbed::{
    certificate,
    internet::{Names, inside},
};
use serde_json::{Value, json};

use crate::{approvals::Office as _, web::Web, world::*};

const POLICY: &str = r#"
@id("tests-send")
permit (principal in Role::"operator", action == Action::"send_request", resource);
@id("tests-write-hosts")
permit (principal in Role::"operator", action == Action::"write", resource is Host)
unless { resource.name == "closed.example.com" };
@id("tests-trusted-runs")
forbid (principal, action == Action::"list_tables", resource) when { context.integrity != "trusted" };
@id("tests-no-admin-paths")
forbid (principal, action == Action::"send_request", resource)
when { context has input && context.input.url like "*/admin/*" };
"#;

const SEND: &str = r#"
[fetch]
allow = ["docs.example.com"]
ca = "ca.pem"
[fetch.send]
allow = ["api.example.com", "other.example.com", "closed.example.com"]
methods = ["POST", "DELETE"]
"#;

/// Servers with certificates at every address, and a world that may send to some of them.
fn world(more: &str) -> (World, Web) {
    let (web, names) = (Web::default(), Names::serve());
    let secret = "[redact.secrets]\nkey = \"file:key\"\n";
    let extra = format!("{SEND}{more}\n{secret}");
    let world = World::new_with(Shape { extra, ..Shape::default() }, |dir| {
        certificate(dir, &["DNS:*.example.com"]);
        std::fs::write(dir.join("key"), "sk-prod-31415926535897").unwrap();
        std::fs::set_permissions(dir.join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    });
    web.start_tls(443, world.dir.path());
    for name in ["docs", "api", "other", "closed"] {
        let at: IpAddr = "93.184.215.14".parse().unwrap();
        names.set(&format!("{name}.example.com"), vec![vec![at]]);
    }
    std::fs::write(world.dir.path().join("policies/send.cedar"), POLICY).unwrap();
    (world, web)
}

fn ticket(path: &str) -> Value {
    json!({
        "method": "POST", "url": format!("https://api.example.com{path}"), "content_type": "application/json",
        "body": r#"{"title": "sk-prod-31415926535897 leaks"}"#,
    })
}

fn send(client: &mut Client, arguments: &Value) -> Value {
    client.call("send_request", arguments.clone())
}

/// Everything that the server wrote about calls.
fn recorded(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| match path.is_dir() {
        true => recorded(&path),
        false => String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
    });
    texts.collect()
}

#[test]
fn a_request_is_shown_approved_and_sent_once() {
    if !inside("send::a_request_is_shown_approved_and_sent_once") {
        return;
    }
    let (world, web) = world("");
    let keys = ["olga", "omar"].map(|name| world.enroll(name));
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let id = held(&send(&mut ann, &ticket("/tickets")));
    assert!(web.heads().is_empty(), "nothing leaves before it is approved");
    let shown = world.command(&["approvals", "show", &id]);
    for text in [
        "send_request [write-high]",
        "floor/unpreviewed-high-writes-need-two",
        "write host api.example.com:443",
        "+POST https://api.example.com/tickets",
        "+content-type: application/json",
        "leaks",
        "0 of 2 approvals",
        "cannot be tried out",
    ] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    assert!(!shown.contains("31415926535897"), "approvers see it redacted: {shown}");
    assert!(world.approve(&id, &keys[0]).status.success());
    held(&send(&mut ann, &ticket("/tickets")));
    assert!(world.approve(&id, &keys[1]).status.success());
    let answered = send(&mut ann, &ticket("/tickets"));
    let structured = &answered["structuredContent"];
    assert_eq!((&structured["status"], &structured["location"]), (&json!(201), &json!("/tickets/7")));
    let sent = web.heads();
    let body = ticket("")["body"].as_str().unwrap().to_owned();
    assert!(sent.len() == 1 && sent[0].starts_with("POST /tickets HTTP/1.1\r\n"), "{sent:?}");
    assert!(sent[0].contains("content-type: application/json\r\n") && sent[0].ends_with(&body), "{sent:?}");
    assert!(!sent[0].contains("ann") && !sent[0].contains(&world.ann), "nothing of the caller: {sent:?}");
    assert_ne!(held(&send(&mut ann, &ticket("/tickets"))), id, "the second time needs a new approval");
    let log = recorded(&world.audit());
    assert!(log.contains("\"operation\":\"post\"") && log.contains("\"bytes\":\"41\""), "{log}");
    assert!(!log.contains("leaks") && !log.contains("/tickets"), "{log}");
    // What may be read may not be written, nor the reverse, nor what policy or the list of methods leaves out.
    for (url, method, rule) in [
        ("https://docs.example.com/", "POST", "fetch.allow"),
        ("https://closed.example.com/", "POST", "host closed.example.com:443"),
        ("https://api.example.com/admin/users", "POST", "tests-no-admin-paths"),
        ("https://api.example.com/x/../admin/users", "POST", "as it is sent"),
        ("https://api.example.com/", "PUT", "method"),
    ] {
        let arguments = json!({"name": "send_request", "arguments": {"method": method, "url": url}});
        let refused = ann.modern("tools/call", arguments).body;
        assert!(refused.contains(rule) && !refused.contains("ap-"), "{method} {url}: {refused}");
    }
    let read = ann.call("fetch_url", json!({"url": "https://api.example.com/"}));
    assert!(text_of(&read).contains("fetch.allow"), "{read}");
    assert!(web.heads().is_empty());
    let doctor = String::from_utf8(world.try_command(&["doctor"]).stdout).unwrap();
    assert!(doctor.contains("may send POST, DELETE to api.example.com"), "{doctor}");
}

/// Asks, has it approved by one, and asks again.
fn released(world: &World, client: &mut Client, key: &Path, arguments: &Value) -> Value {
    let id = held(&send(client, arguments));
    let approved = world.approve(&id, key);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    send(client, arguments)
}

#[test]
fn what_was_cut_off_is_in_doubt_and_not_sent_again() {
    if !inside("send::what_was_cut_off_is_in_doubt_and_not_sent_again") {
        return;
    }
    let (world, web) = world("power = \"write-low\"");
    let key = world.enroll("olga");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    // A redirect is told and not followed, whatever it says of the method.
    let moved = released(&world, &mut ann, &key, &ticket("/moved"));
    let structured = &moved["structuredContent"];
    assert_eq!(
        (&structured["status"], &structured["location"]),
        (&json!(307), &json!("https://other.example.com/"))
    );
    assert_eq!(web.heads().len(), 1);
    // It was answered, in a form that is not read: that is known, and it happened.
    let zipped = released(&world, &mut ann, &key, &ticket("/zipped"));
    assert_eq!(zipped["structuredContent"]["status"], 200, "{zipped}");
    assert!(zipped["structuredContent"]["unread"].as_str().unwrap().contains("compressed"), "{zipped}");
    web.heads();
    // It was not answered: nobody knows, and the approval is gone.
    let silent = released(&world, &mut ann, &key, &ticket("/silent"));
    assert!(text_of(&silent).contains("whether it took effect is not known"), "{silent}");
    assert_eq!(web.heads().len(), 1);
    held(&send(&mut ann, &ticket("/silent")));
    assert!(web.heads().is_empty());
    let ends: Vec<Value> = world.requests().iter().map(|request| request["state"].clone()).collect();
    assert!(ends.contains(&json!("in doubt")), "{ends:?}");
}

#[test]
fn a_key_answers_a_retry_and_what_it_answers_is_untrusted() {
    if !inside("send::a_key_answers_a_retry_and_what_it_answers_is_untrusted") {
        return;
    }
    let (world, web) = world("power = \"write-low\"");
    let key = world.enroll("olga");
    let _server = world.serve();
    let mut ann = world.client(&world.ann);
    let mut arguments = ticket("/tickets");
    arguments["idempotency_key"] = json!("ticket-4711");
    let first = released(&world, &mut ann, &key, &arguments);
    assert_eq!(first["structuredContent"]["status"], 201, "{first}");
    // Another credential of the same person, whose run has read nothing yet.
    let fresh = || {
        let made = world.command(&[
            "token", "key", "create", "--for", "ann", "--tenant", "acme", "--role", "operator", "--json",
        ]);
        world.client(serde_json::from_str::<Value>(&made).unwrap()["key"].as_str().unwrap())
    };
    let (mut retrying, mut other) = (fresh(), fresh());
    // A server that looked at the keys just now looks again half a second later.
    std::thread::sleep(std::time::Duration::from_millis(700));
    let again = send(&mut retrying, &arguments);
    assert_eq!(again["structuredContent"], first["structuredContent"], "the recorded answer");
    assert_eq!(web.heads().len(), 1, "it was sent once");
    let tables = retrying.call("list_tables", json!({"database": "shop"}));
    assert!(text_of(&tables).contains("tests-trusted-runs"), "{tables}");
    assert_ne!(
        other.call("list_tables", json!({"database": "shop"}))["isError"],
        true,
        "it is the answer that taints"
    );
}
