//! The first wall in front of Python: each attack works on the bare interpreter, and the guard refuses it. No jail here: this is about
//! the guard alone, which is no boundary.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value as Json;

const PYTHON: &str = "/usr/bin/python3";
const GUARD: &str = include_str!("../../src/python/guard.py");
const MODULES: &str =
    "__future__,collections,csv,dataclasses,functools,json,math,operator,random,re,statistics,string,typing";

fn python(dir: &Path, args: &[&str]) -> Output {
    Command::new(PYTHON).args(["-I", "-B"]).args(args).current_dir(dir).output().unwrap()
}

/// The code as it is, without a guard.
fn bare(code: &str) -> Output {
    python(tempfile::tempdir().unwrap().path(), &["-c", code])
}

fn guarded(mode: &str, code: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".main.py"), code).unwrap();
    python(dir.path(), &["-c", GUARD, mode, ".main.py", MODULES, ""])
}

/// What the guard says of the code: the imports, or the rule.
fn judged(code: &str) -> Result<Vec<String>, String> {
    let output = guarded("check", code);
    assert!(output.status.success(), "{code}: {}", String::from_utf8_lossy(&output.stderr));
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    match answer.get("refused") {
        Some(refused) => Err(format!("line {} {}", refused["line"], refused["rule"].as_str().unwrap())),
        None => Ok(serde_json::from_value(answer["imports"].clone()).unwrap()),
    }
}

/// Attacks that the syntax tree shows.
const SEEN: &[&str] = &[
    "import os; print(os.getpid())",
    "import math, os; print(os.getpid())",
    "from os import getpid; print(getpid())",
    "from os import *; print(getpid())",
    "import os.path; print(os.path.abspath('.'))",
    "def f():\n    import socket\n    return socket.socket()\nprint(f())",
    "try:\n    import subprocess\nfinally:\n    print(subprocess.run(['true']))",
    "import asyncio; print(asyncio.run(asyncio.sleep(0)))",
    "import importlib; print(importlib.import_module('os').getpid())",
    "print(__import__('os').getpid())",
    "print(__builtins__.open('/etc/passwd').read())",
    "print(eval('1 + 1'))",
    "exec('print(1)')",
    "print(compile('1', 'x', 'eval'))",
    "print(open('/etc/passwd').read())",
    "print(globals())",
    "print(vars())",
    "f = open; print(f('/etc/passwd').read())",
    "print([open][0]('/etc/passwd').read())",
    "print((lambda opened=open: opened('/etc/passwd').read())())",
    "\u{1d41e}val('print(1)')",
    "print(().__class__.__base__.__subclasses__())",
    "print((lambda: 0).__globals__)",
    "print((lambda: 0).__code__)",
    "print([].append.__self__)",
    "def f():\n    yield\nprint(f().gi_frame.f_builtins['open']('/etc/passwd').read())",
    "try:\n    1 / 0\nexcept Exception as e:\n    print(e.__traceback__.tb_frame)",
    "print(getattr((), '__class__'))",
    "class C: pass\nsetattr(C, '__init_subclass__', 1); delattr(C, '__init_subclass__'); print(hasattr(C, '__dict__'))",
    "print('{0.__class__}'.format(()))",
    "print('{x[0].__class__}'.format(x=[1]))",
    "class N:\n    __match_args__ = ('__class__',)\nmatch N():\n    case N(c):\n        print(c)",
    "import re; print(re.enum.bltns.open('/etc/passwd').read())",
    "import typing; print(typing.ForwardRef('int'))",
    "match ():\n    case object(__class__=c):\n        print(c)",
    "import statistics; print(statistics.sys.modules)",
    "import random; print(random._os.getpid())",
    "from statistics import sys; print(sys.modules)",
    "import json; print(json.codecs.open('/etc/passwd').read())",
    "import operator; print(operator.attrgetter('__class__')(()))",
    "from operator import attrgetter as a; print(a('__class__')(()))",
    "import typing; print(typing.get_type_hints(type('T', (), {'__annotations__': {'x': '1 and int'}})))",
    "global __name__; __loader__.load_module('os')",
];

#[test]
fn what_the_tree_shows_is_refused() {
    for code in SEEN {
        let output = bare(code);
        assert!(
            output.status.success(),
            "works unguarded: {code}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(judged(code).is_err(), "refused by the guard: {code}");
        // Judged again where it would run: nothing of it runs.
        let output = guarded("run", code);
        assert!(!output.status.success(), "{code}");
        assert!(output.stdout.is_empty(), "{code}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Attacks that only show when the code runs. The last statement prints `reached`.
const HIDDEN: &[&str] = &[
    "name = '__cl' + 'ass__'\ngetattr((), name)\nprint('reached')",
    "name = ''.join(['__', 'dict', '__'])\nhasattr(str, name)\nprint('reached')",
    "class Name(str): pass\ngetattr((), Name('__' + 'class__'))\nprint('reached')",
    "import functools\nfunctools.reduce(getattr, ['__cl' + 'ass__'], ())\nprint('reached')",
    "import string\nstring.Formatter().get_field('0.__cl' + 'ass__', ((),), {})\nprint('reached')",
    "import string\nclass F(string.Formatter): pass\nF().vformat('{0.__cl' + 'ass__}', ((),), {})\nprint('reached')",
    "def open(): pass\ndel open\nopen('/etc/passwd')\nprint('reached')",
    "if False:\n    eval = 0\neval('1')\nprint('reached')",
];

#[test]
fn what_only_shows_at_run_time_is_stopped_there() {
    for code in HIDDEN {
        let output = bare(code);
        assert_eq!(output.stdout, b"reached\n", "works unguarded: {code}");
        assert!(judged(code).is_ok(), "the tree does not show it: {code}");
        let output = guarded("run", code);
        assert_eq!(output.status.code(), Some(1), "{code}");
        assert!(output.stdout.is_empty(), "stopped by the curated builtins: {code}");
    }
}

#[test]
fn imports_are_guarded_at_run_time_too() {
    // The guard's own import is all that stands behind a tree that was judged with another list.
    let code = "import math\nprint(math.floor(2.5))";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".main.py"), code).unwrap();
    let loosened = GUARD.replace("        if isinstance(node, ast.Import):", "        if False:");
    assert_ne!(loosened, GUARD);
    let output = python(dir.path(), &["-c", &loosened, "run", ".main.py", "json", ""]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("ImportError"), "{output:?}");
}

#[test]
fn ordinary_code_runs_as_it_is() {
    let runs = |code: &str| {
        let (plain, output) = (bare(code), guarded("run", code));
        let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            plain.status.success() && output.status.success(),
            "{code}: {} {}",
            text(&plain),
            text(&output)
        );
        assert_eq!(plain.stdout, output.stdout, "{code}");
        judged(code).unwrap()
    };
    assert_eq!(runs("import json, math\nprint(json.dumps({'pi': math.pi}))"), ["json", "math"]);
    runs(
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nprint(P(1), P(1) == P(1), repr(type(P(1)).__name__))",
    );
    runs(
        "class A:\n    def __init__(self):\n        super().__init__()\n        self.input = 1\nprint(A().input)",
    );
    runs("input = [3, 1]\nvars = sorted(input)\nprint(vars)");
    runs(
        "from collections import Counter, namedtuple\nN = namedtuple('N', 'a b')\nprint(N(1, 2), Counter('aab'))",
    );
    runs("if __name__ == '__main__':\n    print('{:>5.2f}|{a[b]}'.format(1.5, a={'b': 2}))");
    runs(
        "with_errors = []\ntry:\n    1 / 0\nexcept ZeroDivisionError as e:\n    with_errors.append(str(e))\nprint(with_errors)",
    );
    runs("import string\nprint(string.Formatter().format('{0.real} {a[b]}', 1, a={'b': 2}))");
    runs("def g():\n    yield from range(3)\nprint(list(g()))");
    runs(
        "from __future__ import annotations\nimport typing\nx: typing.List[int] = [1]\nprint(x, isinstance(1, int), getattr('a', 'upper')())",
    );
}

#[test]
fn errors_show_the_callers_line_and_nothing_of_the_guard() {
    let output = guarded("run", "def f(x):\n    return 1 / x\nprint('before')\nf(0)\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"before\n");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("File \"main.py\", line 4, in <module>"), "{text}");
    assert!(text.contains("return 1 / x"), "{text}");
    assert!(!text.contains("<string>"), "{text}");
    let output = guarded("run", "raise SystemExit(3)");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn refusals_name_line_and_rule() {
    insta::assert_snapshot!(judged("x = 1\nimport os").unwrap_err(), @"line 2 imports `os`, which is not on the list of allowed modules");
    insta::assert_snapshot!(judged("from . import x").unwrap_err(), @"line 1 imports relative to a package that does not exist");
    insta::assert_snapshot!(judged("\n\nopen('x')").unwrap_err(), @"line 3 uses `open`, which is not available");
    insta::assert_snapshot!(judged("x = ().__class__").unwrap_err(), @"line 1 reaches for `__class__`");
    insta::assert_snapshot!(judged("def f(:").unwrap_err(), @"line 1 is not valid Python: invalid syntax");
    assert!(judged(&"-".repeat(60_000)).is_err());
    assert!(judged(&format!("x = {}1", "-".repeat(60_000))).unwrap_err().contains("nested too deeply"));
    assert!(judged(&"(".repeat(60_000)).is_err());
}

#[test]
fn files_are_named_plainly() {
    let code = "write_text('out.txt', 'hi')\nprint(read_text('out.txt'), read_bytes('out.txt'))";
    let output = guarded("run", code);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hi b'hi'\n");
    for name in ["../out.txt", "/etc/passwd", ".main.py", "a/b", "a\\b", "", "x\0"] {
        let output = guarded("run", &format!("print(read_text({name:?}))").replace("\\0", "\\x00"));
        assert!(!output.status.success() && output.stdout.is_empty(), "{name:?}");
    }
}
