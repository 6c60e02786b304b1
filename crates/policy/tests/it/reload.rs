//! The policies directory: order, limits, links; a reload that fails keeps the last good set.

use std::{fs, os::unix::fs::symlink, path::Path};

use countersign_core::{CallQuestion, Phase, Verdict, decision::PolicySet, ports::PolicySource};
use countersign_policy::{Policies, PolicyStore, Reload};

use crate::support::*;

fn write_defaults(dir: &Path) {
    for file in default_files() {
        fs::write(dir.join(file.name), file.text).unwrap();
    }
}

fn refused(dir: &Path) -> String {
    let errors = Policies::load(dir, &facts()).err().expect("refused").to_string();
    errors.replace(&dir.display().to_string(), "DIR")
}

#[test]
fn a_bad_reload_keeps_the_last_good_set_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    write_defaults(dir.path());
    let store = PolicyStore::open(dir.path(), None, facts()).expect("valid");
    let first = store.policies();
    let held = store.current().expect("in force");
    assert_eq!((first.epoch(), store.reload(None)), (1, Reload::Unchanged { digest: first.digest().into() }));

    fs::write(dir.path().join("more.cedar"), "@id(\"x\") permit (principal, action, resorce);").unwrap();
    let Reload::Rejected { in_force, errors } = store.reload(None) else {
        panic!("a broken file was accepted")
    };
    assert_eq!(in_force, first.digest());
    assert_eq!(errors.errors[0].file, "more.cedar");
    assert_eq!(store.policies().digest(), first.digest());
    assert_eq!(call(&store.policies(), &operator(), "query_shop", NO_ARGUMENTS).verdict, Verdict::Allow);

    fs::write(
        dir.path().join("more.cedar"),
        "@id(\"closed\") forbid (principal, action in Action::\"call\", resource);",
    )
    .unwrap();
    let reload = store.reload(None);
    let now = store.policies();
    let expected = Reload::Accepted { epoch: 2, old: first.digest().into(), new: now.digest().into() };
    assert_eq!(reload, expected);
    assert_ne!(now.digest(), first.digest());
    assert_eq!(now.epoch(), 2);
    // The new set answers anew: nothing cached under the old one is left.
    assert_eq!(call(&now, &operator(), "query_shop", NO_ARGUMENTS).verdict, Verdict::Deny);
    // A call that started under the old set ends under it.
    assert_eq!(held.epoch(), 1);

    fs::remove_dir_all(dir.path()).unwrap();
    assert!(matches!(store.reload(None), Reload::Rejected { .. }));
    assert_eq!(store.policies().epoch(), 2);
}

#[test]
fn a_reload_that_loosens_waits_for_exactly_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    write_defaults(dir.path());
    let store = PolicyStore::open(dir.path(), None, facts()).expect("valid");
    let before = store.policies().digest().to_owned();
    let support = person("acme", &["support"]);
    let more = "@id(\"more\") permit (principal in Role::\"support\", action in Action::\"call\", resource);";
    fs::write(dir.path().join("more.cedar"), more).unwrap();

    let Reload::Held { in_force, digest, loosens } = store.reload(None) else { panic!("it was let in") };
    assert_eq!((in_force, loosens.len()), (before.clone(), 1));
    assert_eq!(listed(&store.policies(), &support, "query_shop").verdict, Verdict::Deny);
    // Another digest than the confirmed one waits as well, also for other tools.
    assert!(matches!(store.reload(Some(&before)), Reload::Held { .. }));
    assert!(matches!(store.reload_for(facts(), Some("")), Reload::Held { .. }));
    assert_eq!(store.policies().epoch(), 1);

    assert!(matches!(store.reload(Some(&digest)), Reload::Accepted { epoch: 2, .. }));
    assert_eq!(listed(&store.policies(), &support, "query_shop").verdict, Verdict::Allow);
    // Back to less goes through by itself.
    fs::remove_file(dir.path().join("more.cedar")).unwrap();
    assert!(matches!(store.reload(None), Reload::Accepted { epoch: 3, .. }));
}

#[test]
fn observed_policies_are_read_beside_and_decide_nothing() {
    let (dir, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_defaults(dir.path());
    let store = PolicyStore::open(dir.path(), Some(beside.path().to_owned()), facts()).expect("valid");
    let policies = store.policies();
    assert_eq!(call(&policies, &operator(), "query_shop", NO_ARGUMENTS).verdict, Verdict::Allow);
    let observed = policies.observed().expect("another set");
    let (tool, principal) = (&spec("query_shop"), &operator());
    let question = CallQuestion::new(principal, tool, Phase::Listing, AT);
    assert_eq!(observed.decide_call(&question).verdict, Verdict::Deny);

    // What is only observed may loosen without anybody's word, and must be valid like any other.
    let open = "@id(\"open\") permit (principal, action, resource);";
    fs::write(beside.path().join("open.cedar"), open).unwrap();
    assert!(matches!(store.reload(None), Reload::Accepted { epoch: 2, .. }));
    let policies = store.policies();
    assert_eq!(policies.observed().expect("another set").decide_call(&question).verdict, Verdict::Allow);
    assert_eq!(listed(&policies, &operator(), "refund_order").verdict, Verdict::Deny);
    fs::write(beside.path().join("open.cedar"), "permit (").unwrap();
    assert!(matches!(store.reload(None), Reload::Rejected { .. }));
}

#[test]
fn only_cedar_files_count_and_links_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write_defaults(elsewhere.path());
    for file in default_files() {
        symlink(elsewhere.path().join(&file.name), dir.path().join(&file.name)).unwrap();
    }
    fs::write(dir.path().join("README.md"), "not a policy").unwrap();
    fs::write(dir.path().join("old.cedar.bak"), "not a policy").unwrap();
    fs::write(dir.path().join(".swap.cedar"), "not a policy").unwrap();
    let policies = Policies::load(dir.path(), &facts()).expect("valid");
    assert_eq!(policies.digest(), defaults().digest());
}

#[test]
fn the_digest_binds_names_and_texts() {
    let digest = |name: &str, text: &str| {
        Policies::from_files(&[file(name, text)], &facts()).expect("valid").digest().to_owned()
    };
    let base = digest("a.cedar", "// x");
    assert_ne!(base, digest("b.cedar", "// x"));
    assert_ne!(base, digest("a.cedar", "// y"));
    assert_eq!(base, digest("a.cedar", "// x"));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("binary.cedar"), [0xff, 0xfe]).unwrap();
    fs::write(at("huge.cedar"), vec![b' '; 256 * 1024 + 1]).unwrap();
    fs::create_dir(at("folder.cedar")).unwrap();
    symlink(at("nowhere"), at("dangling.cedar")).unwrap();
    insta::assert_snapshot!(refused(dir.path()), @r"
    binary.cedar: the file must be UTF-8 text
    dangling.cedar: cannot read the file: No such file or directory (os error 2)
    folder.cedar: not a regular file
    huge.cedar: the file is larger than 262144 bytes
    ");
}

#[test]
fn too_many_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..257 {
        fs::write(dir.path().join(format!("{n}.cedar")), "").unwrap();
    }
    insta::assert_snapshot!(refused(dir.path()), @"DIR: the directory holds 257 policy files, the limit is 256");
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("policies");
    insta::assert_snapshot!(
        refused(&missing),
        @"DIR: cannot read the policies directory: No such file or directory (os error 2)"
    );
}
