//! Keys of approvers that another instance's seal is on.

use super::Desk;
use crate::error::StateError;

impl Desk {
    /// How many keys are stored that count for nothing here, because another seal is on them.
    ///
    /// # Errors
    /// If the state cannot answer.
    pub async fn foreign_keys(&self) -> Result<usize, StateError> {
        let keys = self.store.keys().await?;
        Ok(keys.iter().filter(|row| !self.seal.holds(row)).count())
    }

    /// Whether keys are stored, and none of them counts here.
    ///
    /// # Errors
    /// If the state cannot answer.
    pub async fn is_of_another_seal(&self) -> Result<bool, StateError> {
        Ok(self.keys().await?.is_empty() && self.foreign_keys().await? > 0)
    }
}
