//! The floor only forbids; ids and lines are those of the file.

use std::str::FromStr;

use super::*;

#[test]
fn the_floor_only_forbids() {
    let set = PolicySet::from_str(FLOOR).expect("valid Cedar");
    assert!(set.num_of_policies() > 0);
    for policy in set.policies() {
        assert_eq!(policy.effect(), cedar_policy::Effect::Forbid, "{policy}");
    }
}

#[test]
fn a_user_file_cannot_pass_for_the_floor() {
    let names = Names::new().expect("valid");
    let user = [PolicyFile {
        name: "floor.cedar".into(),
        text: r#"@id("tenant-tools") permit (principal, action, resource);"#.into(),
    }];
    let checked = check(&floor(), &user, &RegistryFacts::default(), &names).expect("valid");
    let ids: Vec<&str> = checked.report.policies.iter().map(|info| info.id.as_str()).collect();
    assert!(ids.contains(&"floor/tenant-tools") && ids.contains(&"user/floor/tenant-tools"), "{ids:?}");
}

#[test]
fn lines_are_those_of_the_file() {
    let names = Names::new().expect("valid");
    let text = "// first\n\n@id(\"a\")\nforbid (principal, action, resource);\n// é\n@id(\"b\") forbid (principal, action, resource);";
    let user = [PolicyFile { name: "x.cedar".into(), text: text.into() }];
    let checked = check(&floor(), &user, &RegistryFacts::default(), &names).expect("valid");
    let lines: Vec<(String, usize)> = checked
        .report
        .policies
        .into_iter()
        .filter(|info| info.file == "x.cedar")
        .map(|info| (info.id, info.line))
        .collect();
    assert_eq!(lines, [("user/x/a".to_owned(), 3), ("user/x/b".to_owned(), 6)]);
}
