//! The self-test notices every wall that is missing.

use std::process::Command;

use countersign_sandbox::{Grade, self_test};

use super::{block_on, launcher};

#[test]
fn this_machine_is_graded_full() {
    let report = block_on(self_test(launcher(&[])));
    assert_eq!(report.grade, Grade::Full, "{:#?}", report.findings);
    assert_eq!(report.sandbox().unwrap().grade(), Grade::Full);
}

#[test]
fn without_namespaces_the_grade_falls_to_reduced() {
    let report = block_on(self_test(launcher(&["without-namespaces"])));
    assert_eq!(report.grade, Grade::Reduced, "{:#?}", report.findings);
    assert!(
        report.findings.iter().any(|finding| finding.contains("a process of the host")),
        "{:#?}",
        report.findings
    );
}

#[test]
fn without_landlock_the_grade_falls_to_reduced() {
    let report = block_on(self_test(launcher(&["without-landlock"])));
    assert_eq!(report.grade, Grade::Reduced, "{:#?}", report.findings);
    let through = "a jailed program got through to a program that may not be executed";
    assert!(report.findings.iter().any(|finding| finding.ends_with(through)), "{:#?}", report.findings);
}

#[test]
fn without_the_filter_nothing_is_run() {
    let report = block_on(self_test(launcher(&["without-filter"])));
    assert_eq!(report.grade, Grade::Refused, "{:#?}", report.findings);
    assert!(report.sandbox().is_none());
    for call in ["keyctl", "ptrace", "unshare", "io_uring", "internet socket", "fork"] {
        assert!(
            report.findings.iter().any(|finding| finding.contains(call)),
            "{call}: {:#?}",
            report.findings
        );
    }
}

/// The role of a server with a small number.
pub(crate) fn role() -> String {
    let report = block_on(self_test(launcher(&[])));
    format!("process {}: {} {:?}", std::process::id(), report.grade, report.findings)
}

/// The first process of a container has a number that a jail has as well: that is no process of the host.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test binary in a process namespace of its own")]
fn a_server_that_is_the_first_process_is_graded_alike() {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-current-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc"]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", "entry", "--nocapture", "role:grade"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("process 1: full []"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
