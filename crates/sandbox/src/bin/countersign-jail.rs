//! The supervisor of jails as a program of its own: what tests start, where the product starts itself again.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        use countersign_sandbox::danger::{Wall, supervisor_main_without};
        let missing = std::env::args().nth(1).and_then(|argument| match argument.as_str() {
            "without-namespaces" => Some(Wall::Namespaces),
            "without-landlock" => Some(Wall::Landlock),
            "without-filter" => Some(Wall::Filter),
            "without-memory" => Some(Wall::Memory),
            _ => None,
        });
        if let Some(wall) = missing {
            return supervisor_main_without(wall);
        }
    }
    countersign_sandbox::supervisor_main()
}
