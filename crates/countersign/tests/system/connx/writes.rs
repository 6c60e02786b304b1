//! `CONNX_ALLOW_WRITES`: without it there is nothing that writes; with it a policy and two people must agree.

use serde_json::{Value, json};

use super::{SOURCE, VSAM, site::Site};
use crate::world::*;

const ON: [(&str, &str); 1] = [("CONNX_ALLOW_WRITES", "true")];
const PHONE: &str = "SELECT rtrim(customerphone) FROM dbo.customers_vsam WHERE customerid = 'C2'";

fn site() -> Site {
    let site = Site::new("vsam", "daea_mainframe_vsam", VSAM);
    assert!(site.configure("CONNX_PASS=x\n", &SOURCE).status.success());
    site
}

fn permit(site: &Site) {
    let policies = site.path().join("policies");
    std::fs::rename(policies.join("writes.cedar.example"), policies.join("writes.cedar")).unwrap();
    // What is permitted more than at the last start waits for the operator's word.
    let checked: Value = serde_json::from_str(&site.command(&["policy", "check", "--json"], &[])).unwrap();
    site.command(&["policy", "accept", checked["digest"].as_str().unwrap()], &[]);
}

#[test]
fn nothing_writes_unless_the_variable_and_a_policy_say_so() {
    let site = site();
    let write =
        json!({"statement": "UPDATE dbo.customers_vsam SET customerphone = '1' WHERE customerid = 'C2'"});
    let tried = |variables: &[(&str, &str)]| {
        let mut client = site.open(variables);
        let listed = client.tools().iter().any(|tool| tool == "write_connx");
        assert!(!listed, "{variables:?}");
        assert_eq!(client.absent("write_connx", write.clone()), "unknown tool", "{variables:?}");
        let update = write["statement"].clone();
        client.refusal("query_connx", json!({"query": update}));
    };
    // No policy: not even with the variable.
    tried(&ON);
    // A policy: not without the variable.
    permit(&site);
    tried(&[]);
    tried(&[("CONNX_ALLOW_WRITES", "false")]);
    assert_eq!(site.ask(PHONE), "");
    let output = site.binary(&["config", "check"], &[("CONNX_ALLOW_WRITES", "perhaps")]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("`CONNX_ALLOW_WRITES`"), "{text}");
}

#[test]
fn a_write_waits_for_two_people_and_runs_once() {
    let site = site();
    permit(&site);
    let (bob, carol) = (site.enroll("bob", &ON), site.enroll("carol", &ON));
    let mut client = site.open(&ON);
    assert!(client.tools().iter().any(|tool| tool == "write_connx"));
    let write = json!({
        "statement": "UPDATE daea_Mainframe_VSAM.dbo.CUSTOMERS_VSAM SET CUSTOMERPHONE = ? WHERE CUSTOMERID = ?",
        "params": ["804-555", "C2"]
    });
    let id = held(&client.call("write_connx", write.clone()));
    let shown = site.command(&["approvals", "show", &id], &ON);
    assert!(shown.contains("write_connx [write-high]") && shown.contains("0 of 2 approvals"), "{shown}");
    let approve = |key: &std::path::Path| {
        let key = key.to_str().unwrap();
        site.command(&["approvals", "approve", &id, "--key", key, "--reason", "ticket 4711"], &ON);
    };
    approve(&bob);
    assert_eq!(held(&client.call("write_connx", write.clone())), id, "one is not enough");
    assert_eq!(site.ask(PHONE), "");
    approve(&carol);
    assert_eq!(affected(&client.call("write_connx", write.clone())), 1);
    assert_eq!(site.ask(PHONE), "804-555");
    assert_ne!(held(&client.call("write_connx", write)), id, "the second time needs new approvals");

    // Other tables are not written, whatever people would say; and what is no single filtered write is not even held.
    let other = json!({"statement": "DELETE FROM dbo.orders_vsam WHERE orderid = 10"});
    let refused = client.refusal("write_connx", other);
    assert!(!refused.contains("ap-") && refused.contains("orders_vsam"), "{refused}");
    for statement in [
        "UPDATE dbo.customers_vsam SET customerphone = ''",
        "UPDATE dbo.customers_vsam SET customerphone = '' WHERE customerid = 'C1'; DELETE FROM dbo.orders_vsam",
        "SELECT 1",
        "DROP TABLE dbo.orders_vsam",
    ] {
        let refused = client.refusal("write_connx", json!({"statement": statement}));
        assert!(!refused.contains("ap-"), "{statement}: {refused}");
    }
    assert_eq!(site.ask("SELECT count(*) FROM dbo.orders_vsam"), "3");
}
