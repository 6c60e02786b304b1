//! The self-test notices every wall that is missing.

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
