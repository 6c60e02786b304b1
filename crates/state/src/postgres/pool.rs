//! A few sessions that are used by turns. One that fails is not used again; a server that is gone is asked again and again, ever less often.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex as Turn, Semaphore},
    time::timeout,
};

use super::{Dial, PostgresSettings, session::Session};
use crate::error::StateError;

/// After a connection failed, none is tried for so long at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// A step on its way.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;

/// Sessions with one server.
pub(super) struct Pool {
    pub(super) dial: Arc<dyn Dial>,
    pub(super) settings: PostgresSettings,
    turns: Semaphore,
    idle: Mutex<Vec<Session>>,
    /// One session is opened at a time; whoever waits may find one idle instead.
    opening: Turn<Option<Trouble>>,
}

/// The last connection that failed.
struct Trouble {
    at: Instant,
    pause: Duration,
    said: String,
}

impl Pool {
    pub(super) fn new(dial: Arc<dyn Dial>, settings: PostgresSettings) -> Pool {
        let turns = Semaphore::new(settings.connections.max(1));
        Pool { dial, settings, turns, idle: Mutex::default(), opening: Turn::default() }
    }

    /// Does one step on a session. A session is used again only after a step that succeeded or was refused by the server itself.
    pub(super) async fn with<T>(
        &self,
        step: impl for<'a> FnOnce(&'a mut Session) -> Work<'a, T>,
    ) -> Result<T, StateError> {
        let mut used = None;
        let done = timeout(self.settings.patience, async {
            let _turn = self.turns.acquire().await.map_err(|_| StateError::Lost)?;
            let session = used.insert(self.session().await?);
            step(session).await
        });
        match (done.await, used) {
            (Ok(Err(StateError::Unreachable(said))), _) => {
                self.idle().clear();
                Err(StateError::Unreachable(said))
            }
            (Err(_), session) => {
                // Whoever does not answer on one connection does not on another.
                session.into_iter().chain(self.idle().drain(..)).for_each(Session::cut);
                Err(StateError::Late)
            }
            (Ok(done), session) => {
                self.idle().extend(session);
                done
            }
        }
    }

    async fn session(&self) -> Result<Session, StateError> {
        if let Some(session) = self.rested() {
            return Ok(session);
        }
        let mut trouble = self.opening.lock().await;
        if let Some(session) = self.rested() {
            return Ok(session);
        }
        if let Some(trouble) = &*trouble
            && trouble.at.elapsed() < trouble.pause
        {
            return Err(StateError::Unreachable(trouble.said.clone()));
        }
        let limit = self.settings.patience.mul_f32(0.7);
        let opened = timeout(limit, Session::open(&*self.dial, &self.settings)).await;
        let opened =
            opened.unwrap_or_else(|_| Err(StateError::Unreachable("connecting took too long".into())));
        *trouble = opened.as_ref().err().map(|error| {
            let [first, longest] = PAUSES;
            let pause = trouble.as_ref().map_or(first, |last| last.pause.saturating_mul(2).min(longest));
            let said = match error {
                StateError::Unreachable(said) => said.clone(),
                other => other.to_string(),
            };
            Trouble { at: Instant::now(), pause, said }
        });
        opened
    }

    /// A session that nobody uses and that has not ended meanwhile.
    fn rested(&self) -> Option<Session> {
        let mut idle = self.idle();
        idle.retain(|session| !session.is_gone());
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
