//! The catalog of a running server: read at the start, and put in place anew by a reload. What does not validate changes nothing.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use countersign_policy::Reload;
use countersign_tools::{
    Database,
    catalog::{Catalog, CatalogErrors, Prepared},
};

use crate::{compose::Composed, confirm};

/// The catalog of a directory, judged by its databases; none if there is no directory for it. Entries whose database does not answer wait.
///
/// # Errors
/// Every problem of every entry.
pub(crate) async fn load(dir: &Path, databases: &[Arc<Database>]) -> Result<Option<Prepared>, CatalogErrors> {
    if !dir.exists() {
        return Ok(None);
    }
    // MUTATE(I4-catalog-start): a database that is down keeps the whole server from starting
    Catalog::read(dir)?.prepare_or_wait(databases).await.map(Some)
}

/// The same, where a database that does not answer is a problem of its entries: for checks.
///
/// # Errors
/// Every problem of every entry.
pub(crate) async fn load_whole(
    dir: &Path,
    databases: &[Arc<Database>],
) -> Result<Option<Prepared>, CatalogErrors> {
    if !dir.exists() {
        return Ok(None);
    }
    Catalog::read(dir)?.prepare(databases).await.map(Some)
}

/// What operators are told about entries that wait for their databases; none if none does.
pub(crate) fn waiting(catalog: &Prepared) -> Option<String> {
    let waiting: Vec<String> =
        catalog.waiting().map(|(name, database)| format!("{name} (database {database})")).collect();
    (!waiting.is_empty())
        .then(|| format!("catalog: refused until their database answers: {}", waiting.join(", ")))
}

/// Reads the catalog again and puts its tools in force, together with policies that were validated for exactly these tools. What it did is
/// for the record; none if the catalog is as it was, so that nothing is touched.
///
/// # Errors
/// Why the tools in force stay: the catalog, a name that is taken, or a policy that does not fit it.
pub(crate) async fn reload(composed: &Composed, confirmed: Option<&str>) -> anyhow::Result<Option<String>> {
    // MUTATE(A11-last-good): a catalog that does not validate takes the place of one that does
    let catalog = load(&composed.base.catalog, &composed.base.databases).await?;
    let toolset = composed.base.toolset(catalog.as_ref());
    let digest = catalog.as_ref().map(Prepared::digest);
    if composed.is_in_force(digest, &toolset.tools) {
        return Ok(None);
    }
    let registry = composed.base.registry(toolset.tools, catalog.as_ref())?;
    // INVARIANT: nothing is put in force before everything is valid. Between the two steps policy refuses tools that it does not know.
    match composed.policy.reload_for(toolset.facts, confirmed) {
        Reload::Rejected { errors, .. } => Err(errors).context("the policies do not fit the catalog"),
        Reload::Held { digest, loosens, .. } => Err(anyhow::anyhow!(confirm::held(&digest, &loosens))),
        Reload::Accepted { old, new, .. } => {
            composed.pipeline.replace_registry(registry);
            composed.catalog_in_force(digest);
            let digest = digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
            Ok(Some(format!("{digest} policy {old} -> {new}")))
        }
        // Policies for other tools are always a new set; this is for completeness.
        Reload::Unchanged { .. } => Ok(None),
    }
}
