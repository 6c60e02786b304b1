//! Runs of this server's own credentials: a credential for one run is good in no other, and narrowing begins no clean one.

use countersign_core::{AuthMethod, Principal, PrincipalKind, RunId};
use serde_json::json;

use crate::site::{Http, Reply, Site};

fn agent(credential: &str) -> Principal {
    Principal::new("credentials", "agent", PrincipalKind::Service, "acme", AuthMethod::Credential)
        .with_credential(credential)
}

fn echo(who: &str) -> Http {
    Http::modern(who, 1, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}}))
}

async fn in_session(site: &Site, who: &str, session: &str) -> Reply {
    let arguments = json!({"name": "echo", "arguments": {"text": "x"}});
    site.send(&Http::post(who).session(session).call(1, "tools/call", arguments)).await
}

#[tokio::test]
async fn a_credential_for_one_run_is_used_in_no_other() {
    let site = Site::start().await;
    site.admit("free", agent("c1"));
    site.admit("close", agent("c2").with_run(RunId::new("acme/agent/close")));
    site.admit("audit", agent("c3").with_run(RunId::new("acme/agent/audit")));
    for who in ["close", "audit", "close"] {
        assert_eq!(site.send(&echo(who)).await.status, 200);
    }
    assert_eq!(site.runs(), ["acme/agent/close", "acme/agent/audit", "acme/agent/close"]);

    let session = site.session("close", json!({})).await;
    assert_eq!(in_session(&site, "close", &session).await.status, 200);
    assert_eq!(site.runs().last().unwrap(), "acme/agent/close");
    for other in ["audit", "free"] {
        assert_eq!(in_session(&site, other, &session).await.status, 404, "{other}");
    }
    let session = site.session("free", json!({})).await;
    assert_eq!(in_session(&site, "close", &session).await.status, 404, "a session of no run of its own");
    assert_eq!(in_session(&site, "free", &session).await.status, 200);
    assert!(site.logged("session-of-another-principal"));
}

#[tokio::test]
async fn what_was_narrowed_stays_in_its_run() {
    let site = Site::start().await;
    site.admit("given", agent("c1"));
    site.admit("narrowed", agent("c2").with_ancestors(["c1".to_owned()]));
    site.admit("again", agent("c3").with_ancestors(["c1".to_owned(), "c2".to_owned()]));
    site.admit("another", agent("c4"));
    for who in ["given", "narrowed", "again", "another"] {
        assert_eq!(site.send(&echo(who)).await.status, 200);
    }
    let runs = site.runs();
    assert!(runs[0] == runs[1] && runs[1] == runs[2] && runs[2] != runs[3], "{runs:?}");
}
