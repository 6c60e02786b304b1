//! News for open streams: a list has changed, or a resource has.

use std::sync::Arc;

use tokio::sync::broadcast;

/// What has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The tools that somebody may see.
    Tools,
    /// The prompts.
    Prompts,
    /// The resources that somebody may see.
    Resources,
    /// One resource, by its URI.
    Resource(Arc<str>),
}

/// The sending end; cheap to clone. The binary announces a reload of policy here.
#[derive(Clone)]
pub struct Changes {
    sender: broadcast::Sender<Change>,
}

/// News that a slow stream may lag behind; lists are re-read anyway, so losing some is harmless.
const BACKLOG: usize = 16;

impl Default for Changes {
    fn default() -> Changes {
        Changes { sender: broadcast::channel(BACKLOG).0 }
    }
}

impl Changes {
    /// Tells every open stream; without any it is lost.
    pub fn announce(&self, change: Change) {
        let _ = self.sender.send(change);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }
}
