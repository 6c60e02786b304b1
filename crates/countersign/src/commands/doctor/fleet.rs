//! What `doctor` says of the database in which a fleet keeps its state.

use tokio::runtime::Runtime;

use super::Check;
use crate::{config::Config, state::fleet};

const ABOUT: &str = "shared state";

/// The checks; none where the state is a file of this machine.
pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let Some(shared) = &config.state.shared else { return Vec::new() };
    let target = &shared.target;
    let place = format!("{} on {}:{}", target.database, target.host, target.port);
    let examined = runtime.block_on(async { fleet::open(shared).await?.examine().await });
    match examined {
        Err(error) => vec![Check::bad(
            ABOUT,
            format!("{place}: {error}"),
            "every call is refused until it can be used; docs/fleet.md says what it needs",
        )],
        Ok(found) if found.is_empty() => {
            vec![Check::good(ABOUT, format!("{place}: reached as {}, its tables are in place", shared.user))]
        }
        Ok(found) => found
            .into_iter()
            .map(|text| Check::warning(ABOUT, format!("{place}: {text}"), "docs/fleet.md"))
            .collect(),
    }
}
