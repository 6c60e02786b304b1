//! What the operator writes cannot leave the literals of the head, and what is granted to nobody is what the policy forbids.

use super::*;

fn plan(role: &str) -> Plan {
    Plan {
        name: "shop".into(),
        database: "shop".into(),
        logins: vec![PlannedLogin {
            role: role.into(),
            tenant: Some(("acme".into(), "1".into())),
            verifier: None,
            writes: true,
        }],
        schemas: vec!["public".into()],
        ..Plan::default()
    }
}

#[test]
fn names_of_the_operator_stay_literals() {
    assert_eq!(literal("plain"), "'plain'");
    assert_eq!(literal("it's; DROP TABLE x --"), "'it''s; DROP TABLE x --'");
    assert_eq!(literal(r"back\'slash"), r"E'back\\''slash'");
    let text = script(&plan("x'); DROP TABLE customers; --"));
    assert!(text.contains("  ('x''); DROP TABLE customers; --', 'acme', '1', NULL, true);\n"), "{text}");
}

#[test]
fn a_name_cannot_end_the_comment_that_it_stands_in() {
    let text = script(&Plan { name: "shop\nDROP TABLE customers;".into(), ..plan("reader") });
    assert!(!text.lines().any(|line| line.starts_with("DROP TABLE")), "{text}");
}

#[test]
fn the_body_is_closed_to_text_of_the_operator() {
    for template in ["{}", "{0}", "$1"] {
        assert!(!BODY.contains(template), "{template}");
    }
    assert!(BODY.trim_end().ends_with("COMMIT;"));
}

#[test]
fn columns_that_the_default_policy_forbids_are_granted_to_nobody() {
    let policy =
        countersign_policy::DEFAULT_POLICIES.iter().find(|(name, _)| *name == "default.cedar").unwrap().1;
    let rule = policy.split("@id(\"secret-columns\")").nth(1).unwrap().split("};").next().unwrap();
    let mut patterns = 0;
    for pattern in rule.split("like \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let open = pattern.ends_with('*');
        let expected = format!("{}{}", pattern.trim_matches('*'), if open { "" } else { "$" });
        assert!(SECRET_COLUMNS.split('|').any(|one| one == expected), "{pattern} is not in {SECRET_COLUMNS}");
        patterns += 1;
    }
    assert_eq!(patterns, SECRET_COLUMNS.split('|').count());
}

#[test]
fn access_lines_name_nobody_else() {
    let plan = plan("Shop reader");
    assert_eq!(
        access_lines(&plan, &From::Network("10.0.0.7/32".into())),
        "hostssl  shop  \"Shop reader\"  10.0.0.7/32  scram-sha-256\nlocal    all  \"Shop reader\"  reject\n\
         host     all  \"Shop reader\"  all  reject\n"
    );
    assert_eq!(hba("all"), "\"all\"");
}
