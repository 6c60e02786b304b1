//! Without a sandbox there are no tools that run programs, and the operator is told why.

use countersign_sandbox::{Grade, Launcher};

use super::start_with;
use crate::config::load_with;

#[tokio::test]
async fn without_a_sandbox_the_tools_are_absent_and_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("countersign.toml");
    let text = "version = 1\n[python]\n[commands.list]\nprogram = \"/bin/sh\"\ndescription = \"d\"\n";
    std::fs::write(&file, text).unwrap();
    let config = load_with(&file, &|_| None).unwrap();
    // A helper that sets up no jail.
    let contained = start_with(&config, Launcher { program: "/bin/false".into(), args: Vec::new() }).await;
    assert_eq!(contained.grade, Some(Grade::Refused));
    assert!(contained.tools.is_empty());
    assert_eq!(contained.absent.len(), 2);
    assert!(contained.absent[0].starts_with("`run_python` is absent: the sandbox cannot be set up here: "));
    assert!(contained.absent[1].starts_with("the command `list` is absent: "));
}
