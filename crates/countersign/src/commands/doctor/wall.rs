//! What `doctor` says of the server's own wall.

use countersign_sandbox::Confinement;

use super::Check;
use crate::config::Config;

/// Whether the server opens no files but those that it needs.
pub(super) fn check(config: &Config) -> Check {
    const ABOUT: &str = "wall";
    match (config.server.confine, Confinement::is_possible()) {
        (true, true) => Check::good(
            ABOUT,
            "the server opens only files of its configuration and of the system (Landlock)",
        ),
        (true, false) => Check::warning(
            ABOUT,
            "this kernel has no Landlock: only the rights of its user keep the server from other files",
            "Linux 5.13 or newer with `landlock` among its security modules has it",
        ),
        (false, _) => Check::warning(
            ABOUT,
            "`server.confine` is off: only the rights of its user keep the server from other files",
            "take the setting away, unless something that the server needs lies where no setting names it",
        ),
    }
}
