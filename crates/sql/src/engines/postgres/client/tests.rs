//! The wire against a peer that means harm.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::connection::Wire;

/// The header says a gigabyte: nobody waits for it.
#[tokio::test]
async fn a_message_beyond_the_limit_is_not_awaited() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let mut wire = Wire::new(Box::new(ours));
    theirs.write_all(&[b'D', 0x40, 0, 0, 0, 0, 1]).await.unwrap();
    let message = timeout(Duration::from_secs(1), wire.next_within(1 << 20)).await;
    assert!(matches!(message, Ok(Ok(None))));
}
