//! The durable log as the core's port.

use crate::error::AppendError;
use crate::log::Log;
use async_trait::async_trait;
use countersign_core::ports::{AuditError, AuditLog, EntryClass, Ticket};

#[async_trait]
impl AuditLog for Log {
    fn append(&self, entry: Vec<u8>, class: EntryClass) -> Result<Ticket, AuditError> {
        Ok(Log::append(self, &entry, class)?)
    }

    async fn durable(&self, ticket: Ticket) -> Result<(), AuditError> {
        Ok(Log::durable(self, ticket).await?)
    }

    fn fingerprint(&self, canonical: &[u8]) -> [u8; 32] {
        Log::fingerprint(self, canonical)
    }
}

impl From<AppendError> for AuditError {
    fn from(error: AppendError) -> AuditError {
        AuditError { cause: error.to_string() }
    }
}
