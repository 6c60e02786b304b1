//! Policies that loosen wait for the operator's word, at a reload and at a start alike. What was in force last, and what the operator
//! confirmed, are files in the state directory.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use countersign_core::decision::PolicySet as _;
use countersign_policy::{InForce, Policies, loosened};
use countersign_state::{Confirmed, Desk};
use serde::{Serialize, de::DeserializeOwned};

/// The policies that were in force last.
const IN_FORCE: &str = "policies.json";
/// The policies that the operator confirmed.
const CONFIRMED: &str = "policies-confirmed.json";

/// The two files, and who may sign.
pub(crate) struct Confirm {
    dir: PathBuf,
    desk: Arc<Desk>,
}

impl Confirm {
    pub(crate) fn new(dir: &Path, desk: Arc<Desk>) -> Confirm {
        Confirm { dir: dir.to_owned(), desk }
    }

    /// Lets a process begin with these policies: the first ones, those that were in force, tighter ones, or what the operator confirmed.
    ///
    /// # Errors
    /// In what they loosen, and how to confirm them.
    pub(crate) async fn start(&self, policies: &Policies) -> anyhow::Result<()> {
        let loosens = self.loosens(policies)?;
        // MUTATE(H2-start): a start with looser policies needs nobody's word
        if !loosens.is_empty() && self.confirmed().await?.as_deref() != Some(policies.digest()) {
            anyhow::bail!("{}", held(policies.digest(), &loosens));
        }
        self.in_force(policies)
    }

    /// In what policies loosen those that were in force last; nothing if none ever were.
    pub(crate) fn loosens(&self, policies: &Policies) -> anyhow::Result<Vec<String>> {
        let last: Option<InForce> = read(&self.dir.join(IN_FORCE))?;
        Ok(last.map_or_else(Vec::new, |last| loosened(&last, policies)))
    }

    /// Keeps what is in force now, for the next start. INVARIANT: a confirmation was given in view of what was in force then; it ends when
    /// another set takes that place, so that what was confirmed once does not come back unasked.
    pub(crate) fn in_force(&self, policies: &Policies) -> anyhow::Result<()> {
        let last: Option<InForce> = read(&self.dir.join(IN_FORCE))?;
        let confirmed: Option<Confirmed> = read(&self.dir.join(CONFIRMED))?;
        let replaced = last.is_some_and(|last| last.digest != policies.digest());
        // MUTATE(H2-withdrawn): what was confirmed once and then tightened comes back without a word
        if replaced && confirmed.is_some_and(|confirmed| confirmed.digest != policies.digest()) {
            remove(&self.dir.join(CONFIRMED))?;
        }
        write(&self.dir.join(IN_FORCE), &InForce::of(policies))
    }

    /// The digest that the operator confirmed, if the confirmation counts.
    pub(crate) async fn confirmed(&self) -> anyhow::Result<Option<String>> {
        let Some(confirmed) = read::<Confirmed>(&self.dir.join(CONFIRMED))? else { return Ok(None) };
        let counts = self.desk.counts(&confirmed).await?;
        Ok(counts.then_some(confirmed.digest))
    }

    /// Keeps the operator's word.
    pub(crate) fn keep(&self, confirmed: &Confirmed) -> anyhow::Result<()> {
        write(&self.dir.join(CONFIRMED), confirmed)
    }
}

/// What an operator is told about policies that wait.
pub(crate) fn held(digest: &str, loosens: &[String]) -> String {
    let list: Vec<String> = loosens.iter().map(|one| format!("\n  - {one}")).collect();
    format!(
        "these policies loosen what is in force, and nobody has confirmed them:{}\n\
         to let exactly these in, run `countersign policy accept {digest}`, then reload or start again",
        list.concat()
    )
}

/// A file of ours, if it is there.
fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => {
            let value = serde_json::from_slice(&bytes);
            value.map(Some).with_context(|| format!("`{}` is damaged", path.display()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Replaces a file as a whole: a reader sees the old one or the new one.
fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let replace = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    replace().with_context(|| format!("cannot write `{}`", path.display()))
}
