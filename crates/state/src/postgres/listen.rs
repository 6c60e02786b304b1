//! Hears at once of what another process stops or thaws. What is missed costs nothing but time: the stops are read again anyway.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_postgres::AsyncMessage;

use super::{pool::Pool, session};
use crate::error::StateError;

/// What is called out when a stop was added or removed.
pub(super) const CHANNEL: &str = "countersign_stops";
/// After the session was lost.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a silent connection is tried.
const CHECK: Duration = Duration::from_secs(10);

/// A session of its own that listens for as long as this lives.
pub(super) struct Listener {
    heard: Arc<Notify>,
    task: AbortHandle,
}

impl Listener {
    pub(super) fn start(pool: &Arc<Pool>) -> Listener {
        let heard = Arc::new(Notify::new());
        let task = tokio::spawn(keep(Arc::downgrade(pool), Arc::clone(&heard))).abort_handle();
        Listener { heard, task }
    }

    /// Waits for the next call, one that came before included.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(pool: Weak<Pool>, heard: Arc<Notify>) {
    while let Some(pool) = pool.upgrade() {
        // An engine without channels, or an outage: others read the stops again and report what is wrong.
        let _ = listen(&pool, &heard).await;
        drop(pool);
        sleep(PAUSE).await;
    }
}

async fn listen(pool: &Pool, heard: &Notify) -> Result<(), StateError> {
    let (client, mut wire) = session::connect(&*pool.dial, &pool.settings).await?;
    let subscribe = async {
        let listening = client.batch_execute(&format!("LISTEN {CHANNEL}")).await;
        listening.map_err(session::failed)?;
        // Something may have changed while nobody listened.
        heard.notify_one();
        // A connection that died without a word is noticed here; the client that asks also keeps the connection open.
        loop {
            sleep(CHECK).await;
            let alive = timeout(pool.settings.patience, client.batch_execute("")).await;
            alive.map_err(|_| StateError::Late)?.map_err(session::failed)?;
        }
    };
    let hear = async {
        while let Some(Ok(message)) = session::next(&mut wire).await {
            if let AsyncMessage::Notification(_) = message {
                heard.notify_one();
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = subscribe => ended,
        ended = hear => ended,
    }
}
