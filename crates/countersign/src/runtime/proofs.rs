//! Proofs of possession that instances of a fleet have taken: a proof is good once in all of them together.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_identity::oauth::SharedProofs;
use countersign_state::Store;

use super::unix_micros;

/// What the fleet's store remembers.
pub(crate) struct FleetProofs(pub(crate) Arc<dyn Store>);

#[async_trait]
impl SharedProofs for FleetProofs {
    async fn is_first(&self, proof: [u8; 32], until: u64) -> Result<bool, String> {
        let until = until.saturating_mul(1_000_000);
        self.0.seen_once(proof, unix_micros(), until).await.map_err(|e| e.to_string())
    }
}
