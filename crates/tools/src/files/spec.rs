//! What is the same for all tools that read files, and for all that change them.

use std::time::Duration;

use countersign_core::{Digest, Permission, PowerClass, Sensitivity, ToolSpec};
use serde_json::Value;

/// A tool that reads, still without a name, texts and schemas.
pub(super) fn reading() -> ToolSpec {
    ToolSpec {
        name: "".into(),
        server: "countersign".into(),
        title: String::new(),
        description: String::new(),
        purpose: "",
        input_schema: Value::Null,
        output_schema: None,
        power: PowerClass::ReadLow,
        permissions: vec![Permission::ReadFiles],
        sensitivity: Sensitivity::Private,
        deadline: Duration::from_secs(10),
        digest: Digest([0; 32]),
    }
}

/// A tool that changes files and does not read them to its caller.
pub(super) fn changing(power: PowerClass) -> ToolSpec {
    ToolSpec { power, permissions: vec![Permission::WriteFiles], ..reading() }
}
