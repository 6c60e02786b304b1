//! Help texts and exit codes of the command line itself.

use crate::shop::run;

#[test]
fn the_first_page() {
    let ran = run(&["--help"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(ran.out, @"");
}

#[test]
fn quickstart_teaches() {
    insta::assert_snapshot!(run(&["quickstart", "--help"]).out, @"");
}

#[test]
fn every_command_has_help() {
    for words in [
        &["serve"][..],
        &["stdio"],
        &["doctor"],
        &["why"],
        &["config", "show"],
        &["config", "check"],
        &["config", "schema"],
        &["policy", "check"],
        &["policy", "explain"],
        &["tools", "list"],
        &["audit", "verify"],
        &["audit", "tail"],
        &["audit", "search"],
        &["audit", "prove"],
        &["token", "key", "create"],
        &["token", "key", "list"],
        &["token", "key", "revoke"],
        &["token", "key", "renew"],
    ] {
        let ran = run(&[words, &["--help"]].concat());
        assert_eq!(ran.code, 0, "{words:?}");
        assert!(ran.out.contains("Usage: countersign"), "{words:?}: {}", ran.out);
    }
}

#[test]
fn a_slip_is_answered_with_a_suggestion() {
    let ran = run(&["quickstat"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.err, @"");
    assert_eq!(run(&[]).code, 2);
}

#[test]
fn hidden_commands_do_nothing_by_themselves() {
    // Without a socket on descriptor 0 a worker has nothing to serve, and says nothing.
    let ran = run(&["__sqlite-worker"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (4, "", ""));
}
