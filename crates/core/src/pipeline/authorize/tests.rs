//! What becomes of an access that may be left out and takes people's approval.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    call::Arguments,
    ids::Digest,
    plan::{Effect, Object, Planned},
    principal::{AuthMethod, Principal, PrincipalKind},
    tool::{PowerClass, Sensitivity, ToolSpec},
};

/// Holds the call, and every access to the hosts whose names say so, for as many people as they say.
struct Holds(u8);

fn held(approvals: u8) -> Decision {
    let verdict = if approvals == 0 { Verdict::Allow } else { Verdict::Hold { approvals } };
    Decision { verdict, policies: Vec::new(), error: None }
}

impl PolicySet for Holds {
    fn epoch(&self) -> u64 {
        1
    }
    fn digest(&self) -> &str {
        ""
    }
    fn decide_call(&self, _question: &CallQuestion<'_>) -> Decision {
        held(self.0)
    }
    fn decide_access(&self, _question: &CallQuestion<'_>, access: &Access) -> Decision {
        match &access.object {
            Object::Host { port, .. } => held(u8::try_from(*port).unwrap()),
            _ => held(0),
        }
    }
}

/// The ports that are granted, and the people that it takes, of optional accesses whose ports say how many they take.
fn granted(call: u8, ports: &[u16]) -> (Vec<u16>, u8) {
    let spec = ToolSpec {
        name: "probe".into(),
        server: "countersign".into(),
        title: String::new(),
        description: String::new(),
        purpose: "",
        input_schema: json!({"type": "object"}),
        output_schema: None,
        power: PowerClass::ReadHigh,
        permissions: Vec::new(),
        sensitivity: Sensitivity::Public,
        deadline: Duration::from_secs(1),
        digest: Digest([0; 32]),
    };
    let host = |port: &u16| Object::Host { host: "example.com".into(), port: *port };
    let accesses = ports.iter().map(|port| Access::filter(Action::Connect, host(port))).collect();
    let planned = Planned { accesses, effect: Effect::Egress, ..Planned::nothing() };
    let plan = Plan::seal(Arc::new(spec), Arguments::empty(), planned);
    let principal = Principal::new("keys", "ann", PrincipalKind::Person, "acme", AuthMethod::ApiKey);
    let question = CallQuestion::new(&principal, plan.spec(), Phase::Listing, 0);
    let authorized = judge(&Holds(call), &question, &plan, &mut Vec::new()).unwrap();
    let port = |access: Access| match access.object {
        Object::Host { port, .. } => Some(port),
        _ => None,
    };
    (authorized.granted.into_iter().filter_map(port).collect(), authorized.holds)
}

#[test]
fn an_optional_access_asks_nobody_and_comes_with_those_who_are_asked() {
    assert_eq!(granted(0, &[0, 1, 2]), (vec![0], 0), "nobody is asked");
    assert_eq!(granted(1, &[0, 1, 2]), (vec![0, 1], 1), "one person's word is not that of two");
    assert_eq!(granted(2, &[0, 1, 2]), (vec![0, 1, 2], 2));
}
