//! Arguments within limits, the list of modules, and what is made of the guard's answers.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use countersign_core::Denied;
use countersign_sandbox::{Captured, Finished, JailLimits, Status, Usage};
use serde_json::{Value as Json, json};

use super::{Judged, PythonConfig, arguments, interpreter, judged, modules};

fn config() -> PythonConfig {
    PythonConfig {
        interpreter: None,
        imports: Vec::new(),
        packages: None,
        code_bytes: 1000,
        limits: JailLimits { wall: Duration::from_secs(10), memory: 128 << 20, ..JailLimits::default() },
        files_bytes: 100,
        at_once: 1,
    }
}

/// The field that is refused.
fn refused(arguments: Json) -> String {
    match arguments::read(&arguments, &config()).map_err(|e| e.denied) {
        Err(Denied::Invalid { field, .. }) => field,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn code_has_a_length_in_bytes_and_no_control_characters() {
    assert!(arguments::read(&json!({"code": "x".repeat(1000)}), &config()).is_ok());
    assert_eq!(refused(json!({"code": "x".repeat(1001)})), "/code");
    assert_eq!(refused(json!({"code": "\u{e9}".repeat(501)})), "/code");
    assert_eq!(refused(json!({"code": "print(1)\u{0}"})), "/code");
    assert_eq!(refused(json!({"code": "print(1)\u{1b}[2J"})), "/code");
    assert!(arguments::read(&json!({"code": "if 1:\r\n\tprint(1)\n"}), &config()).is_ok());
}

#[test]
fn files_are_few_small_and_named_once() {
    let read = arguments::read(
        &json!({"code": "1", "files": [{"name": "a", "text": "\u{e9}"}, {"name": "b", "base64": "AP8="}]}),
        &config(),
    );
    let files = read.map_err(|e| e.denied).unwrap().files;
    assert_eq!((files[0].bytes.as_slice(), files[1].bytes.as_slice()), ("\u{e9}".as_bytes(), &[0, 255][..]));
    assert_eq!(refused(json!({"code": "1", "files": [{"name": "a", "text": "x".repeat(101)}]})), "/files");
    assert_eq!(
        refused(json!({"code": "1", "files": [{"name": "a", "text": ""}, {"name": "a", "text": ""}]})),
        "/files/1/name"
    );
    assert_eq!(refused(json!({"code": "1", "files": [{"name": "a"}]})), "/files/0");
    assert_eq!(refused(json!({"code": "1", "files": [{"name": "a", "base64": "!"}]})), "/files/0/base64");
}

#[test]
fn a_call_asks_for_less_and_never_for_more() {
    let limits = |asked: Json| {
        let read = arguments::read(&json!({"code": "1", "limits": asked}), &config());
        read.map_err(|e| e.denied).unwrap().limits
    };
    let less = limits(json!({"seconds": 2, "memory_mib": 64}));
    assert_eq!((less.wall, less.memory, less.cpu_seconds), (Duration::from_secs(2), 64 << 20, 2));
    let more = limits(json!({"seconds": 1000, "memory_mib": 9999}));
    assert_eq!((more.wall, more.memory), (Duration::from_secs(10), 128 << 20));
    assert_eq!(limits(json!({})).address_space, Some(128 << 20));
}

#[test]
fn the_list_of_modules_never_holds_asyncio() {
    let standard = modules::allowed(&[]).unwrap();
    for module in [
        "asyncio",
        "os",
        "sys",
        "io",
        "socket",
        "subprocess",
        "ctypes",
        "importlib",
        "builtins",
        "inspect",
        "pathlib",
    ] {
        assert!(!standard.contains(module), "{module}");
    }
    assert!(modules::allowed(&["numpy".into()]).unwrap().contains("numpy"));
    for module in ["asyncio", "", "a,asyncio", "a.b", "asyncio.events", "9a", "a b"] {
        assert!(modules::allowed(&[module.into()]).is_err(), "{module:?}");
    }
}

fn finished(status: Status, stdout: &str) -> Finished {
    let head = stdout.as_bytes().to_vec();
    Finished {
        status,
        stdout: Captured { total: head.len() as u64, head, tail: Vec::new() },
        stderr: Captured::default(),
        files: Vec::new(),
        files_left_out: 0,
        usage: Usage::default(),
    }
}

#[test]
fn only_a_whole_answer_of_the_guard_counts() {
    let fine = finished(Status::Exit(0), r#"{"imports": ["math"], "python": "3.11.2"}"#);
    let Ok(Judged::Fine { imports, .. }) = judged(&fine) else { panic!("fine") };
    assert_eq!(imports, ["math"]);
    let refused = finished(Status::Exit(0), r#"{"refused": {"line": 3, "rule": "no"}}"#);
    assert!(matches!(judged(&refused), Ok(Judged::Refused { line: 3, .. })));
    for (status, text) in [
        (Status::Exit(1), r#"{"imports": []}"#),
        (Status::Signal(11), ""),
        (Status::TimedOut, ""),
        (Status::OutOfMemory, r#"{"imports": []}"#),
        (Status::Exit(0), ""),
        (Status::Exit(0), "{}"),
        (Status::Exit(0), r#"{"imports": [}"#),
    ] {
        assert!(judged(&finished(status, text)).is_err(), "{status:?} {text}");
    }
}

#[test]
fn the_script_of_a_version_manager_is_no_interpreter() {
    let dir = tempfile::tempdir().unwrap();
    let shim = dir.path().join("python3");
    fs::write(&shim, "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n").unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    // It would run as Python does, were it started bare.
    let refused = interpreter::find(Some(&shim)).unwrap_err();
    assert!(refused.contains("is a script"), "{refused}");
    assert!(interpreter::find(None).is_ok());
    assert!(interpreter::find(Some(std::path::Path::new("python3"))).unwrap_err().contains("absolute"));
}
