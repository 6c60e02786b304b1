//! Which paths pass the first wall, and how they are read.

use super::*;

fn refused(text: &str) -> bool {
    RelPath::parse(text).is_err()
}

#[test]
fn parents_and_absolute_paths_are_refused() {
    for text in ["..", "../x", "a/..", "a/../b", "./..", "a//..//b", "/", "/etc/passwd", "//x", ""] {
        assert!(refused(text), "{text}");
    }
}

#[test]
fn characters_that_nobody_sees_are_refused() {
    for text in [
        "a\0b",
        "a\nb",
        "a\rb",
        "\u{1b}[31mx",
        "\u{7f}",
        "a\u{202e}b",
        "a\u{200b}b",
        "\u{feff}a",
        "a\u{e0041}b",
        "a\u{85}b",
    ] {
        assert!(refused(text), "{text:?}");
    }
}

#[test]
fn special_names_of_other_systems_are_refused() {
    for text in [
        "a\\b",
        "C:\\x",
        "c:",
        "C:x",
        "sub/d:",
        "CON",
        "con.txt",
        "sub/NUL",
        "aux",
        "COM1",
        "lpt9.log",
        "com¹",
        "CONIN$",
        "NUL:",
        "a.txt::$DATA",
        "REPORT~1.TXT",
        "x ",
        "sub /x",
        ".. /x",
    ] {
        assert!(refused(text), "{text:?}");
    }
}

#[test]
fn ordinary_names_are_taken_as_they_stand() {
    for text in [
        "a..b",
        "...",
        "....txt",
        "..foo",
        "foo..",
        "a.",
        "-rf",
        "--help",
        "with space.txt",
        "quote'.txt",
        "日本語.txt",
        "emoji😀.md",
        "👩‍💻.md",
        "ünïcode/ß.txt",
        "100%25.txt",
        "%2e%2e",
        "~",
        "~root/x",
        "*.txt",
        "{a}.txt",
        "console.log",
        "com10",
        "comma.txt",
        "auxiliary",
        "nullable.rs",
        "foo~",
        "backup.~1~",
        "2024-01-01T10:00:00.log",
        "proc/self/environ",
        "nülle",
    ] {
        assert_eq!(RelPath::parse(text).map(|path| path.as_str().to_owned()), Ok(text.to_owned()), "{text}");
    }
}

#[test]
fn redundant_parts_are_dropped_and_lengths_hold() {
    let parse = |text: &str| RelPath::parse(text).unwrap().as_str().to_owned();
    assert_eq!(parse("./a//./b/"), "a/b");
    assert_eq!(parse("."), "");
    assert!(!refused(&"x".repeat(255)));
    assert!(refused(&"x".repeat(256)));
    assert!(refused(&"./".repeat(2049)));
    assert!(!refused(&["x"; 2048].join("/")));
}

#[test]
fn an_absolute_path_counts_by_whole_names() {
    let prefix = ["srv".to_owned(), "docs".to_owned()];
    let rest = |text: &str| below(text, &prefix).map(|path| path.map(|path| path.as_str().to_owned()));
    assert_eq!(rest("/srv/docs//a/./b"), Ok(Some("a/b".to_owned())));
    assert_eq!(rest("/srv/docs"), Ok(Some(String::new())));
    assert_eq!(rest("/srv/docs_old/x"), Ok(None));
    assert_eq!(rest("/srv"), Ok(None));
    assert_eq!(rest("/SRV/docs/x"), Ok(None));
    assert!(rest("/srv/docs/../x").is_err());
}
