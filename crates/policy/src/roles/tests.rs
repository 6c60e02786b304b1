//! What a role includes, and what `roles.toml` must not say.

use super::*;

fn parse(text: &str) -> Result<Roles, String> {
    let file = PolicyFile { name: ROLES_FILE.into(), text: text.into() };
    Roles::parse(&file).map_err(|errors| errors.to_string())
}

#[test]
fn a_role_is_all_that_it_includes() {
    let roles =
        parse("[roles]\nreader = []\nanalyst = [\"reader\"]\noperator = [\"analyst\"]\n").expect("valid");
    let of = |role: &str| roles.of(&[role.to_owned()]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(of("operator"), ["analyst", "operator", "reader"]);
    assert_eq!(of("reader"), ["reader"]);
    assert_eq!(of("stranger"), ["stranger"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let wrong = parse("[roles]\na = [\"b\"]\nb = [\"a\"]\nc = [\"nobody\"]\nd = 1\n\"e f\" = []\n[other]\n");
    insta::assert_snapshot!(wrong.expect_err("refused"), @r#"
    roles.toml:7:2: only the table `[roles]` belongs here
        7 | [other]
          |  ^^^^^
    roles.toml:5:5: `d` must be a list of the roles that it includes
        5 | d = 1
          |     ^
    roles.toml:6:1: a role's name must be 1-64 characters of A-Z, a-z, 0-9, `_`, `.`, `@` or `-`
        6 | "e f" = []
          | ^^^^^
    roles.toml:4:5: `c` includes `nobody`, which is not declared
        4 | c = ["nobody"]
          |     ^^^^^^^^^^
      help: add `nobody = []`
    roles.toml:2:1: `a` includes itself
        2 | a = ["b"]
          | ^
    roles.toml:3:1: `b` includes itself
        3 | b = ["a"]
          | ^
    "#);
    assert!(parse("[roles\n").expect_err("refused").starts_with("roles.toml:1:7: "));
}
