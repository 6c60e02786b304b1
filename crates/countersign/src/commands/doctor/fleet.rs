//! What `doctor` says of the database in which a fleet keeps its state.

use std::sync::Arc;

use countersign_state::StateError;
use tokio::runtime::Runtime;

use super::Check;
use crate::{
    config::Config,
    state::{self, fleet},
};

const ABOUT: &str = "shared state";

/// The checks; none where the state is a file of this machine.
pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let Some(shared) = &config.state.shared else { return Vec::new() };
    let target = &shared.target;
    let place = format!("{} on {}:{}", target.database, target.host, target.port);
    let examine = async {
        let store = fleet::open(shared).await?;
        let mut found: Vec<String> = store.examine().await?.into_iter().map(str::to_owned).collect();
        // A check makes no seal.
        let sealed = config.state.dir.join("seal.key").exists();
        let desk = sealed.then(|| state::on(Arc::new(store), &config.state.dir)).transpose()?;
        let foreign = match desk {
            Some(desk) => desk.foreign_keys().await?,
            None => 0,
        };
        if foreign > 0 {
            found.push(format!(
                "{foreign} keys of approvers count for nothing here: they are sealed with another instance's `seal.key`; copy that file"
            ));
        }
        Ok::<_, StateError>(found)
    };
    match runtime.block_on(examine) {
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
