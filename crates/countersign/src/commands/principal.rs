//! Who `--as` means. A principal is looked up among those that exist; it is never made up from text.

use std::sync::Arc;

use countersign_core::{AuthMethod, Principal};
use countersign_identity::{KEY_ISSUER, KeyRecord, KeyStore, Timestamp, danger};

use super::token::state;
use crate::{config::Config, print::Failure};

/// The principal of that name: `local`, `anonymous`, a key's id, or the subject of a key.
pub(crate) fn find(config: &Config, name: &str) -> Result<Arc<Principal>, Failure> {
    if let (true, Some(local)) = (name == "local", &config.identity.local) {
        let uid = (local.uid, local.uid);
        return local.authenticate(uid).map_err(Failure::unavailable);
    }
    if let (true, Some(anonymous)) = (name == "anonymous", &config.danger.anonymous) {
        return Ok(danger::anonymous(&anonymous.tenant, &anonymous.roles));
    }
    let now = Timestamp::now();
    let keys = KeyStore::at(&config.identity.keys).list().map_err(Failure::unavailable)?;
    let active: Vec<&KeyRecord> = keys.iter().filter(|key| state(key, now) == "active").collect();
    let found: Vec<&KeyRecord> =
        active.iter().copied().filter(|key| key.id == name || key.subject == name).collect();
    let rights =
        |key: &KeyRecord| (key.subject.clone(), key.tenant.clone(), key.roles.clone(), key.claims.clone());
    match found.as_slice() {
        [one, others @ ..] if others.iter().all(|other| rights(other) == rights(one)) => {
            let principal = one.claims.iter().fold(
                Principal::new(KEY_ISSUER, &one.subject, one.kind.into(), &one.tenant, AuthMethod::ApiKey),
                |principal, (name, value)| principal.with_claim(name, value),
            );
            Ok(Arc::new(principal.with_roles(one.roles.clone()).with_credential(&one.id)))
        }
        [] => {
            let mut known: Vec<String> =
                active.iter().map(|key| format!("{} ({}@{})", key.id, key.subject, key.tenant)).collect();
            known.extend(
                config
                    .identity
                    .local
                    .as_ref()
                    .map(|local| format!("local ({}@{})", local.user, local.tenant)),
            );
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            Err(Failure::usage("no principal has that name").help(format!("known: {known}")))
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|key| key.id.as_str()).collect();
            Err(Failure::usage("several keys with different rights have that subject")
                .help(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}
