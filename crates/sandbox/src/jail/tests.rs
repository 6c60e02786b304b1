//! The rules of a jail's fields.

use std::time::Duration;

use super::*;

fn refused(change: impl FnOnce(&mut Jail)) -> String {
    let mut jail = Jail::new("/usr/bin/true");
    assert!(jail.check().is_ok());
    change(&mut jail);
    jail.check().unwrap_err().to_string()
}

#[test]
fn each_broken_rule_names_its_field() {
    let name = |name: &str| vec![InputFile { name: name.into(), bytes: Vec::new() }];
    assert_eq!(
        refused(|jail| jail.program = "true".into()),
        "program must be an absolute path without `..`, and not the root"
    );
    assert!(refused(|jail| jail.view.read_only = vec![Bind::same("/")]).starts_with("view must"));
    assert!(refused(|jail| jail.view.read_write = vec![Bind::same("/a/../etc")]).starts_with("view must"));
    assert_eq!(refused(|jail| jail.args = vec!["a\0b".into()]), "args[0] must not contain NUL");
    assert_eq!(
        refused(|jail| jail.env = vec![("A=B".into(), "c".into())]),
        "env must have names without `=`"
    );
    for bad in ["", ".", "..", "a/b", "/a", "a\0"] {
        assert!(refused(|jail| jail.inputs = name(bad)).starts_with("inputs[0] must be"), "{bad:?}");
    }
    assert_eq!(
        refused(|jail| jail.inputs = [name("a"), name("a")].concat()),
        "inputs[1] must not repeat a name"
    );
    assert!(refused(|jail| jail.limits.wall = Duration::ZERO).starts_with("limits.wall"));
    assert!(refused(|jail| jail.limits.memory = 0).starts_with("limits.memory"));
    assert!(refused(|jail| jail.limits.processes = 0).starts_with("limits.processes"));
}

#[test]
fn captured_streams_say_whether_something_was_dropped() {
    let whole = Captured { head: b"abc".to_vec(), tail: Vec::new(), total: 3 };
    let cut = Captured { head: b"ab".to_vec(), tail: b"yz".to_vec(), total: 5 };
    assert!(!whole.truncated() && cut.truncated());
}
