//! What a store keeps, and the atomic steps it offers. Stores judge nothing: rows come and go as they are.

use async_trait::async_trait;
use countersign_core::{
    Label,
    limits::{Lease, Rate},
};

use crate::{
    error::StateError,
    stops::{StopKind, StopRow},
};

/// A request to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRequest {
    /// Its id, if it is the first.
    pub id: String,
    /// The digest by which the repeated call finds it.
    pub bound: [u8; 32],
    /// The tenant.
    pub tenant: String,
    /// Who asks: a digest of tenant, issuer and subject.
    pub principal: String,
    /// The request, JSON.
    pub request: String,
    /// When, microseconds since 1970 UTC.
    pub created: u64,
    /// Until when.
    pub expires: u64,
}

/// A use of an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UseRow {
    /// The call.
    pub call: String,
    /// The process.
    pub instance: String,
    /// When it is over at the latest, microseconds since 1970 UTC.
    pub until: u64,
    /// How it ended, once it has.
    pub end: Option<String>,
}

/// A vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoteRow {
    /// The id of the key.
    pub key: String,
    /// The name it was enrolled under.
    pub operator: String,
    /// `approve` or `deny`.
    pub vote: String,
    /// Why.
    pub reason: String,
    /// Ed25519 over the statement.
    pub signature: Vec<u8>,
    /// When, microseconds since 1970 UTC.
    pub at: u64,
}

/// A request as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestRow {
    /// Its id.
    pub id: String,
    /// The request, JSON.
    pub request: String,
    /// When it was made, microseconds since 1970 UTC.
    pub created: u64,
    /// Who used it, if somebody did.
    pub used: Option<UseRow>,
    /// All votes.
    pub votes: Vec<VoteRow>,
}

/// What the use of a request rests on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Judged {
    /// Every vote that was read when it was judged, those that count for nothing too.
    pub votes: Vec<VoteRow>,
    /// Keys whose approval counted: they must not be revoked meanwhile.
    pub keys: Vec<String>,
}

impl Judged {
    /// Whether these votes of the store are the judged ones. INVARIANT: a vote that nobody has judged, a denial above all, keeps a request
    /// from being used.
    pub(crate) fn is_of(&self, mut stored: Vec<VoteRow>) -> bool {
        let mut judged = self.votes.clone();
        judged.sort_by(|a, b| a.key.cmp(&b.key));
        stored.sort_by(|a, b| a.key.cmp(&b.key));
        // MUTATE(J2-judged): a denial that arrives while a request is judged is overruled
        judged == stored
    }
}

/// An operator's key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRow {
    /// Its id: the beginning of the public key's SHA-256.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// Other subjects of the same person.
    pub subjects: Vec<String>,
    /// The only tenant it is good for.
    pub tenant: Option<String>,
    /// The Ed25519 public key.
    pub public: [u8; 32],
    /// When it was enrolled, microseconds since 1970 UTC.
    pub enrolled: u64,
    /// When it was revoked.
    pub revoked: Option<u64>,
    /// The seal over all of the above.
    pub seal: Vec<u8>,
}

/// An idempotency key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnceRow {
    /// The digest of whose it is and what it is.
    pub key: [u8; 32],
    /// The digest of the arguments.
    pub arguments: [u8; 32],
    /// The call that has it.
    pub call: String,
    /// Its process.
    pub instance: String,
    /// When that call is over at the latest, microseconds since 1970 UTC.
    pub until: u64,
    /// `claimed`, `executing`, `done` or `in doubt`.
    pub phase: String,
    /// The answer, once there is one.
    pub answer: String,
    /// When it was taken, microseconds since 1970 UTC.
    pub at: u64,
}

/// A durable store that several processes may share. A step that returned is durable; of concurrent attempts at a step one succeeds.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a request unless one with the same `bound` is pending, and returns the id of the pending one. `None`: its principal has
    /// `limit` requests pending.
    async fn ask(&self, new: NewRequest, limit: u32) -> Result<Option<String>, StateError>;

    /// How many requests of a principal are pending and not expired.
    async fn open_requests(&self, principal: &str, now: u64) -> Result<u32, StateError>;

    /// The request with this `bound` that is neither used nor expired.
    async fn pending(&self, bound: [u8; 32], now: u64) -> Result<Option<RequestRow>, StateError>;

    /// A request by its id.
    async fn request(&self, id: &str) -> Result<Option<RequestRow>, StateError>;

    /// The latest requests, newest first.
    async fn requests(&self, limit: u32) -> Result<Vec<RequestRow>, StateError>;

    /// Adds a vote to a request that is not used; a second vote of one key replaces the first. Whether there was such a request.
    async fn vote(&self, id: &str, vote: VoteRow) -> Result<bool, StateError>;

    /// Marks a request as used, if it is not, if its votes are the judged ones and no other, and if all the keys that counted are enrolled and
    /// not revoked. Whether it was.
    async fn consume(&self, id: &str, by: UseRow, judged: Judged) -> Result<bool, StateError>;

    /// Notes how the use of a request by this call ended.
    async fn close(&self, id: &str, call: &str, end: &str) -> Result<(), StateError>;

    /// Notes what was found out about the use by this call, if it did not end or ended in doubt. Its idempotency key is done if it `ran`, and
    /// free if not. Whether there was such a use.
    async fn resolve(&self, call: &str, end: &str, ran: bool) -> Result<bool, StateError>;

    /// Requests whose use did not end, or ended in doubt.
    async fn open_uses(&self) -> Result<Vec<RequestRow>, StateError>;

    /// Adds a key unless it is there, or its name has a key that is not revoked. Whether it was added.
    async fn enroll(&self, key: KeyRow) -> Result<bool, StateError>;

    /// All keys, revoked ones too.
    async fn keys(&self) -> Result<Vec<KeyRow>, StateError>;

    /// Puts a revoked key in the place of the one of its id.
    async fn revoke(&self, key: KeyRow) -> Result<(), StateError>;

    /// Takes an idempotency key. `None`: it is taken now; otherwise who has it.
    async fn once_begin(&self, row: OnceRow) -> Result<Option<OnceRow>, StateError>;

    /// Takes a key over from a call that claimed it and is gone. Whether it still was that call's and only claimed.
    async fn once_take_over(&self, from: &str, row: OnceRow) -> Result<bool, StateError>;

    /// Notes phase and answer of the key of this call.
    async fn once_phase(
        &self,
        key: [u8; 32],
        call: &str,
        phase: &str,
        answer: &str,
    ) -> Result<(), StateError>;

    /// Gives the key of this call free.
    async fn once_free(&self, key: [u8; 32], call: &str) -> Result<(), StateError>;

    /// Freezes or revokes something; what was stopped before is stopped as this row says.
    async fn stop(&self, row: StopRow) -> Result<(), StateError>;

    /// Ends a freeze. Whether there was one; what is revoked stays so.
    async fn thaw(&self, kind: StopKind, what: &str) -> Result<bool, StateError>;

    /// Everything that is frozen or revoked.
    async fn stops(&self) -> Result<Vec<StopRow>, StateError>;

    /// Waits until another process may have stopped or thawed something. A store that is not told waits for ever: then only reading again
    /// helps, and somebody does that anyway.
    async fn stops_changed(&self) {
        std::future::pending().await
    }

    /// Notes that something was seen, to be remembered until that time. Whether this was the first time: of any number of attempts, in any
    /// number of processes, one is. What is remembered no longer may be seen again.
    async fn seen_once(&self, key: [u8; 32], now: u64, until: u64) -> Result<bool, StateError>;

    /// Takes up to `want` calls of the rate under this key, by the clock of the store.
    async fn lease(&self, key: [u8; 32], rate: Rate, want: u32) -> Result<Lease, StateError>;

    /// Moves two times on by `by` microseconds each, from now on if they are past, by the clock of the store. How far they are ahead of it then.
    async fn charge(&self, key: [u8; 32], by: [u64; 2]) -> Result<[u64; 2], StateError>;

    /// Adds calls to those of a run, which begin anew if none was added since `since`. How many there are then.
    async fn count(&self, run: [u8; 32], calls: u64, now: u64, since: u64) -> Result<u64, StateError>;

    /// The run that this holder is in, if that was used since `since`, or else `fresh`, in which it is from now on. Notes that it is used.
    async fn run_of(&self, holder: [u8; 32], fresh: &str, now: u64, since: u64)
    -> Result<String, StateError>;

    /// The label of a run. Notes that it is used, now and then.
    async fn run_label(&self, run: [u8; 32], now: u64) -> Result<Label, StateError>;

    /// Joins a label into that of a run; what it is then.
    async fn run_join(&self, run: [u8; 32], label: Label, now: u64) -> Result<Label, StateError>;

    /// Forgets keys that are done and were taken before this time, requests long over, stops of what expired before it, and rates, runs
    /// and their labels that nobody used since.
    async fn forget(&self, before: u64) -> Result<(), StateError>;
}
