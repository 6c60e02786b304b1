//! `policy prove` through the binary: the shipped policies hold, looser ones are shown with a call, and without an answer nothing is proved.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use crate::{matrix::Everything, shop::Ran};

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

/// A program that answers like this, and then reads on for ever.
fn answering(path: &Path, answers: &str) {
    fs::write(path, format!("#!/bin/sh\nprintf '{answers}'\nexec cat >/dev/null\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_the_floor_ensures_is_proved_for_every_tool() {
    let everything = Everything::new();
    let ran = everything.run(&["policy", "prove", "--json"]);
    let answer = json(&ran);
    let proofs = answer["properties"].as_array().unwrap();
    assert_eq!((ran.code, proofs.len()), (0, 7), "{}", ran.out);
    for proof in proofs {
        assert!(proof["holds"] == true && proof["proved"].as_u64().unwrap() > 0, "{proof}");
    }
    assert!(answer["solver"].as_str().unwrap().starts_with("cvc5 "), "{answer}");
}

#[test]
fn a_property_that_does_not_hold_is_shown_with_a_call() {
    let everything = Everything::new();
    let never = "// Nobody but the clerk.\n@id(\"only-clerks-write\")\nforbid (principal, action == Action::\"write\", resource is Table)\nunless { principal in Role::\"clerk\" };\n";
    fs::write(everything.path("never.cedar"), never).unwrap();
    let ran = everything.run(&["policy", "prove", "--never", "never.cedar"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    for part in [
        "proved tenants-stay-apart",
        "broken only-clerks-write",
        "  write table as User",
        "in Role::\"admin\"",
        "Action::\"write\"",
        "Table::",
        "permitted by user/admin/write-tables (admin.cedar:",
        "7 of 8 properties hold",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn two_directories_are_compared_call_by_call() {
    let everything = Everything::new();
    let same = everything.run(&["policy", "prove", "--against", "policies"]);
    assert!(same.code == 0 && same.out.contains("both decide every call alike"), "{}{}", same.out, same.err);
    let other = everything.without("secret-files");
    let ran = everything.run(&["policy", "prove", "--against", other.to_str().unwrap(), "--json"]);
    let difference = json(&ran);
    assert_eq!((ran.code, &difference["newly_denied"]), (1, &serde_json::json!([])), "{difference}");
    let found = &difference["newly_permitted"][0];
    assert_eq!(found["question"], "read file as User", "{difference}");
    assert_eq!(found["forbidden_by"], serde_json::json!(["user/default/secret-files"]), "{difference}");
}

#[test]
fn without_an_answer_nothing_is_proved() {
    let everything = Everything::new();
    let refused = |solver: &str, parts: &[&str]| {
        let ran = everything.run(&["policy", "prove", "--seconds", "1", "--solver", solver]);
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{solver}: {}", ran.err);
        for part in ["nothing is proved: "].iter().chain(parts) {
            assert!(ran.err.contains(part), "{solver}: {part}: {}", ran.err);
        }
    };
    refused("/nowhere/cvc5", &["there is no solver `/nowhere/cvc5`", "apt-get install cvc5"]);
    let hello = |name: &str| format!("(:name \"{name}\")\\n(:version \"1.0.3\")\\n");
    for (file, answers, part) in [
        ("z3", hello("Z3"), "it is no cvc5"),
        ("unsure", format!("{}unknown\\n", hello("cvc5")), "the solver gave up"),
        ("hanging", hello("cvc5"), "it does not answer"),
        ("mute", String::new(), "it does not answer"),
    ] {
        answering(&everything.path(file), &answers);
        refused(file, &[part]);
    }
    fs::write(everything.path("dying"), "#!/bin/sh\nkill -9 $$\n").unwrap();
    fs::set_permissions(everything.path("dying"), fs::Permissions::from_mode(0o755)).unwrap();
    refused("dying", &["the solver failed"]);
}

#[test]
fn an_untested_solver_is_warned_of() {
    let everything = Everything::new();
    // The real one, under another version.
    let script = "#!/bin/sh\n/usr/bin/cvc5 \"$@\" | sed -u 's/^(:version .*/(:version \"9.9.9\")/'\n";
    fs::write(everything.path("newer"), script).unwrap();
    fs::set_permissions(everything.path("newer"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = everything.run(&["policy", "prove", "--against", "policies", "--solver", "newer"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("cvc5 9.9.9 is not a version that this was tested with (1.0.3)"), "{}", ran.err);
}
