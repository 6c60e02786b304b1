//! What counts as looser, and what does not.

use super::*;
use crate::{facts::RegistryFacts, source::PolicyFile};

const OLD: &str = r#"
@id("read") permit (principal in Role::"reader", action == Action::"read", resource is Table);
@id("not-pay") forbid (principal, action == Action::"read", resource is Table) when { resource.name == "pay" };
"#;
const ROLES: &str = "[roles]\nreader = []\nadmin = []\n";

fn set(cedar: &str, roles: &str) -> Policies {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    Policies::from_files(&[file("a.cedar", cedar), file("roles.toml", roles)], &RegistryFacts::default())
        .expect("valid policies")
}

fn found(cedar: &str, roles: &str) -> Vec<String> {
    loosened(&InForce::of(&set(OLD, ROLES)), &set(cedar, roles))
}

#[test]
fn what_is_the_same_in_other_words_of_layout_and_name_does_not_loosen() {
    let moved = r#"// a comment
@id("salaries") forbid (principal, action == Action::"read", resource is Table) when { resource.name == "pay" };
@id("tables")
permit (
  principal in Role::"reader", action == Action::"read", resource is Table
);"#;
    assert_eq!(found(moved, ROLES), Vec::<String>::new());
}

#[test]
fn tightening_does_not_loosen() {
    let tighter = format!(r#"{OLD}@id("nobody") forbid (principal, action, resource);"#);
    assert_eq!(found(&tighter, ROLES), Vec::<String>::new());
    let without_permit = OLD.lines().filter(|line| !line.contains("permit")).collect::<Vec<_>>().join("\n");
    assert_eq!(found(&without_permit, "[roles]\nreader = []\n"), Vec::<String>::new());
}

#[test]
fn a_new_permit_a_lost_forbid_and_a_wider_role_loosen() {
    let more = format!(r#"{OLD}@id("more") permit (principal, action, resource);"#);
    assert_eq!(
        found(&more, ROLES),
        ["`user/a/more` permits what was not permitted in these words (a.cedar:4)"]
    );
    let wider = OLD.replace("Role::\"reader\"", "Role::\"guest\"");
    assert_eq!(found(&wider, ROLES).len(), 1);
    let lost = OLD.replace("== \"pay\"", "== \"wages\"");
    assert_eq!(found(&lost, ROLES), ["`user/a/not-pay` no longer forbids what it forbade"]);
    let roles = "[roles]\nreader = []\nadmin = [\"reader\"]\n";
    assert_eq!(found(OLD, roles), ["the role `admin` now includes `reader`"]);
}

/// Who leaves a role leaves what is forbidden to it, and what a condition denies it.
#[test]
fn a_role_that_sheds_what_a_forbid_names_loosens() {
    let within = "[roles]\nreader = []\nintern = []\nadmin = [\"intern\"]\n";
    let without = "[roles]\nreader = []\nintern = []\nadmin = []\n";
    let permit =
        r#"@id("p") permit (principal in Role::"intern", action == Action::"read", resource is Table);"#;
    let forbid = r#"@id("f") forbid (principal in Role::"intern", action, resource);"#;
    let unless = r#"@id("u") permit (principal, action, resource) unless { principal in Role::"intern" };"#;
    let found = |cedar: &str| loosened(&InForce::of(&set(cedar, within)), &set(cedar, without));
    assert_eq!(found(permit), Vec::<String>::new());
    for cedar in [forbid, unless] {
        let found = found(cedar);
        assert!(
            matches!(found.as_slice(), [text] if text.contains("no longer includes `intern`")),
            "{found:?}"
        );
    }
}

#[test]
fn what_tightens_is_said_in_its_own_words() {
    let found = |cedar: &str, roles: &str| tightened(&set(OLD, ROLES), &set(cedar, roles));
    assert_eq!(found(OLD, ROLES), Vec::<String>::new());
    let more = format!(r#"{OLD}@id("nobody") forbid (principal, action, resource);"#);
    assert_eq!(
        found(&more, ROLES),
        ["`user/a/nobody` forbids what was not forbidden in these words (a.cedar:4)"]
    );
    let fewer = OLD.replace("permit (principal in Role::\"reader\"", "permit (principal in Role::\"guest\"");
    assert_eq!(found(&fewer, ROLES), ["`user/a/read` no longer permits what it permitted (a.cedar:2)"]);
    let narrower = tightened(&set(OLD, "[roles]\nreader = []\nadmin = [\"reader\"]\n"), &set(OLD, ROLES));
    assert_eq!(narrower, ["the role `admin` no longer includes `reader`"]);
}

/// What is kept survives being written and read.
#[test]
fn what_is_kept_is_what_was() {
    let kept = InForce::of(&set(OLD, ROLES));
    let text = serde_json::to_string(&kept).expect("JSON");
    assert_eq!(serde_json::from_str::<InForce>(&text).expect("the same"), kept);
}
