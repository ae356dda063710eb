//! Locks by key and holder, in the manner of Prefect's lock managers, without their faults.
//!
//! A holder is a text: whoever says the same text is the same holder, in this process or another. Each holder of a key
//! has one claim, whose name is derived from both and never shared with another pair; who may take the lock is decided
//! where all claims are decided, so two holders at once is what cannot be. This module only keeps the guards of what was
//! acquired here. Tested in `tests/embedded.rs` and `tests/it/sdk`, with the same bodies.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::{Either, select};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::builder::Client;
use super::error::{AcquireError, TryAcquireError};
use super::lease::Loss;
use super::slots::Slots;
use super::store::{ClaimAt, ClaimVersion, Found, Store, StoreError, Wanted};
use crate::api::claim::{ClaimPhase, MAX_HOLDER_LENGTH};
use crate::api::key::QualifiedKey;
use crate::api::lock::LockSpec;

/// First segment of the locks that stand for keys which are no keys of locks.
const HASHED: &str = "sha256:";
/// How long a release waits until the lock is seen to be free.
const FREED_WITHIN: Duration = Duration::from_secs(10);
/// How often a claim of the same holder elsewhere is looked at while it waits.
const ELSEWHERE_EVERY: Duration = Duration::from_millis(250);

/// Why a lock manager could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The lock is not held by that holder: nothing was changed.
    #[error("lock {key} is not held by {holder}: {detail}")]
    NotHolder {
        /// Key of the lock.
        key: String,
        /// Who is not its holder.
        holder: String,
        /// What is known.
        detail: String,
    },
    /// A request was refused, or the server not reached.
    #[error("lock {key}: {error}")]
    Acquire {
        /// Key of the lock.
        key: String,
        /// Why.
        error: AcquireError,
    },
    /// Nothing is known of the lock: the server did not say.
    #[error("lock {key} could not be looked at: {detail}")]
    Unknown {
        /// Key of the lock.
        key: String,
        /// What the server said instead.
        detail: String,
    },
}

/// Locks by key and holder.
///
/// The blocking twin is `sluice::blocking::LockManager`.
///
/// ```
/// use sluice::client::{Client, Limits, LockManager};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::embedded(Limits::new().lock("report"))?;
/// let locks: Box<dyn LockManager> = Box::new(client.lock_manager());
/// assert!(locks.acquire("report", "run-7", None, None).await?);
/// // 0: tries once.
/// assert!(!locks.acquire("report", "run-8", Some(Duration::ZERO), None).await?);
/// locks.release("report", "run-7").await?;
/// assert!(!locks.is_locked("report").await?);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait LockManager: fmt::Debug + Send + Sync {
    /// Acquires a lock: false if that was not possible within `acquire_timeout` (`None`: waits for ever; zero: tries
    /// once). It is released by itself after `hold_timeout`, in whole seconds, rounded up (`None`: never, as long as
    /// this process lives).
    ///
    /// A holder that has the lock already is told so, by true: it is held once and released once, and its hold time is
    /// neither extended nor changed.
    async fn acquire(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, LockError>;

    /// Releases a lock; when this returns, it is free for others. If that holder does not have it, also because its
    /// hold time was over, it is [`LockError::NotHolder`] and nothing is changed.
    async fn release(&self, key: &str, holder: &str) -> Result<(), LockError>;

    /// Whether anybody holds it. One that does not exist is not held.
    async fn is_locked(&self, key: &str) -> Result<bool, LockError>;

    /// Whether this holder holds it.
    async fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, LockError>;

    /// Waits until it is not held, or whoever held it at the call holds it no more, and takes nothing: true. False if
    /// that did not come within `timeout`.
    async fn wait_for(&self, key: &str, timeout: Option<Duration>) -> Result<bool, LockError>;
}

/// The [`LockManager`] of a client, whatever it is a client of. Clones share what they hold.
///
/// A key that is a key of a lock (`report`, `team/schema`, `tag:etl`) is that lock, and so excludes pods and
/// other requests that name it. Any other text stands for a lock of its own, whose key is derived from it; no two texts
/// share one. What does not exist is refused, unless [`Locks::create_missing`] says that it is to be created.
///
/// Dropping the last clone releases all that is held through it.
#[derive(Clone)]
pub struct Locks {
    client: Client,
    held: Arc<Mutex<HashMap<String, Arc<Entry>>>>,
    template: Option<LockSpec>,
}

/// What one holder has of one key. The lock is held while an acquisition is under way.
type Entry = AsyncMutex<Option<Guard>>;

struct Guard {
    slots: Slots,
    /// Ends the task that waits for its loss.
    _watched: oneshot::Sender<()>,
}

/// A key and a holder, as they are asked about.
struct Pair<'a> {
    key: &'a str,
    holder: &'a str,
    /// Key of the lock.
    lock: String,
    /// Name of the claim.
    id: String,
}

impl Client {
    /// Locks by key and holder, for code that is written for Prefect's lock managers.
    pub fn lock_manager(&self) -> Locks {
        Locks {
            client: self.clone(),
            held: Arc::default(),
            template: None,
        }
    }
}

impl Locks {
    /// Creates locks that do not exist, as they are acquired, under the caller's own rights.
    pub fn create_missing(mut self, template: LockSpec) -> Self {
        self.template = Some(template);
        self
    }

    /// The client behind it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, id: &str) -> Arc<Entry> {
        let mut held = self.held();
        let entry = held.entry(id.to_owned()).or_default();
        Arc::clone(entry)
    }

    /// Forgets an entry that nobody uses any more.
    fn tidy(&self, id: &str, entry: Arc<Entry>) {
        let mut held = self.held();
        // The table's and this one.
        let unused = Arc::strong_count(&entry) <= 2;
        if unused && entry.try_lock().is_ok_and(|guard| guard.is_none()) {
            held.remove(id);
        }
    }

    async fn acquire_pair(
        &self,
        pair: &Pair<'_>,
        timeout: Option<Duration>,
        hold: Option<Duration>,
    ) -> Result<bool, LockError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let left = || deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let entry = self.entry(&pair.id);
        // Another thread of this holder may be acquiring it.
        let guard = match left() {
            None => Some(entry.lock().await),
            Some(left) if left.is_zero() => entry.try_lock().ok(),
            Some(left) => {
                let pause = Box::pin(self.client.engine().pause(left));
                match select(Box::pin(entry.lock()), pause).await {
                    Either::Left((guard, _)) => Some(guard),
                    Either::Right(_) => None,
                }
            }
        };
        let Some(mut guard) = guard else {
            return Ok(false);
        };
        if guard.as_ref().is_some_and(|it| it.slots.check().is_ok()) {
            // Another process of this holder may have released it a moment ago; where nobody says so, the lease counts.
            let known = self.granted(pair).await;
            if !matches!(known, Ok(None)) {
                return Ok(true);
            }
        }
        // What was lost is given back before it is asked for again.
        *guard = None;
        loop {
            if self.is_held_elsewhere(pair).await? {
                return Ok(true);
            }
            match self
                .ask(pair, timeout.map(|_| left().unwrap_or_default()), hold)
                .await
            {
                Ok(slots) => {
                    *guard = Some(self.watched(&pair.id, slots));
                    return Ok(true);
                }
                Err(AcquireError::Timeout { .. }) => return Ok(false),
                Err(AcquireError::Missing { .. }) if self.create(pair).await? => {}
                // The same holder waits for it elsewhere, with other times.
                Err(AcquireError::IdConflict { .. }) => {
                    if left().is_some_and(|left| left.is_zero()) {
                        return Ok(false);
                    }
                    self.client.engine().pause(ELSEWHERE_EVERY).await;
                }
                Err(error) => return Err(pair.failed(error)),
            }
        }
    }

    /// Asks for the lock.
    async fn ask(
        &self,
        pair: &Pair<'_>,
        timeout: Option<Duration>,
        hold: Option<Duration>,
    ) -> Result<Slots, AcquireError> {
        let mut request = self.client.request().lock(&pair.lock).id(&pair.id);
        request = request.holder(
            pair.holder
                .chars()
                .take(MAX_HOLDER_LENGTH)
                .collect::<String>(),
        );
        if let Some(hold) = hold {
            request = request.max_hold(hold);
        }
        match timeout {
            None => request.no_timeout().acquire().await,
            Some(Duration::ZERO) => match request.try_acquire().await {
                Ok(slots) => Ok(slots),
                Err(TryAcquireError::Full { request, detail }) => Err(AcquireError::Timeout {
                    request,
                    waited: Duration::ZERO,
                    detail,
                }),
                Err(TryAcquireError::Acquire(error)) => Err(error),
            },
            Some(timeout) => request.timeout(timeout).acquire().await,
        }
    }

    /// Creates the lock, if it is to be created; whether to ask again.
    async fn create(&self, pair: &Pair<'_>) -> Result<bool, LockError> {
        let Some(template) = &self.template else {
            return Ok(false);
        };
        let (lock, template) = (pair.lock.clone(), template.clone());
        let created = self
            .sent(|store| async move { store.create_lock(&lock, &template).await })
            .await;
        match created {
            Ok(()) | Err(StoreError::Exists(_)) => Ok(true),
            Err(StoreError::Forbidden(why)) => Err(pair.failed(AcquireError::Forbidden(why))),
            Err(error) => Err(pair.failed(AcquireError::Unavailable(error.to_string()))),
        }
    }

    /// Keeps a guard until it is released, or lost.
    fn watched(&self, id: &str, slots: Slots) -> Guard {
        let (watched, unwatched) = oneshot::channel();
        let (lost, uid) = (slots.lost(), slots.uid());
        let (held, id) = (Arc::downgrade(&self.held), id.to_owned());
        self.client.engine().spawn(async move {
            if let Either::Right(_) = select(Box::pin(lost), unwatched).await {
                return;
            }
            let Some(held) = held.upgrade() else { return };
            let entry = held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&id)
                .cloned();
            let Some(entry) = entry else { return };
            let mut guard = entry.lock().await;
            if guard.as_ref().is_some_and(|it| it.slots.uid() == uid) {
                // Nobody works under it but who was told its hold time.
                *guard = None;
            }
        });
        Guard {
            slots,
            _watched: watched,
        }
    }

    /// The claim of this holder, where it holds.
    async fn granted(&self, pair: &Pair<'_>) -> Result<Option<ClaimVersion>, LockError> {
        let id = pair.id.clone();
        let found = self.sent(|store| async move { store.get(&id).await }).await;
        let found = found.map_err(|error| pair.unknown(&error.to_string()))?;
        Ok(found.filter(|claim| {
            claim.status.phase == ClaimPhase::Granted && !claim.spec.release && !claim.deleting
        }))
    }

    /// Whether the same holder has it through somebody else.
    async fn is_held_elsewhere(&self, pair: &Pair<'_>) -> Result<bool, LockError> {
        Ok(self.granted(pair).await?.is_some())
    }

    async fn release_pair(&self, pair: &Pair<'_>) -> Result<(), LockError> {
        let entry = self.held().get(&pair.id).cloned();
        let guard = match &entry {
            Some(entry) => entry.try_lock().ok().and_then(|mut guard| guard.take()),
            None => None,
        };
        let tokens = match guard {
            Some(guard) => {
                if let Err(loss) = guard.slots.check() {
                    return Err(pair.not_holder(&lost_words(&loss)));
                }
                let tokens = guard.slots.tokens();
                let tokens = tokens.iter().map(|token| token.token).collect();
                let released = guard.slots.release().await;
                released.map_err(|error| pair.unknown(&error.to_string()))?;
                tokens
            }
            None => self.release_elsewhere(pair).await?,
        };
        self.see_freed(pair, tokens).await
    }

    /// Releases what the same holder has through somebody else; its tokens.
    async fn release_elsewhere(&self, pair: &Pair<'_>) -> Result<Vec<i64>, LockError> {
        let Some(claim) = self.granted(pair).await? else {
            return Err(pair.not_holder("it holds nothing"));
        };
        let at = ClaimAt {
            name: claim.name,
            uid: claim.uid,
            session: claim.spec.session,
        };
        let released = self
            .sent(|store| async move { store.release(&at).await })
            .await;
        match released {
            Ok(_) => Ok(claim.status.grants.iter().map(|it| it.token).collect()),
            Err(StoreError::NotFound(_)) => Err(pair.not_holder("it holds nothing any more")),
            Err(error) => Err(pair.unknown(&error.to_string())),
        }
    }

    /// Waits until none of these tokens is held.
    async fn see_freed(&self, pair: &Pair<'_>, tokens: Vec<i64>) -> Result<(), LockError> {
        let end = Instant::now() + FREED_WITHIN;
        while Instant::now() < end {
            match self.look(pair.key, &pair.lock).await {
                Ok(found) if found.tokens.iter().any(|token| tokens.contains(token)) => {}
                // Who may not look has been told that it is released, which is all there is to know.
                Ok(_) | Err(_) => return Ok(()),
            }
            self.breathe().await;
        }
        Ok(())
    }

    async fn look(&self, key: &str, lock: &str) -> Result<Found, LockError> {
        let wanted = [Wanted {
            lock: true,
            key: lock.to_owned(),
        }];
        let sights = self
            .sent(|store| async move { Ok(store.look(&wanted).await) })
            .await
            .unwrap_or_default();
        let unknown = |detail: &str| LockError::Unknown {
            key: key.to_owned(),
            detail: detail.to_owned(),
        };
        match sights.into_iter().next() {
            Some(sight) if sight.missing => Ok(Found::default()),
            Some(sight) => sight
                .found
                .ok_or_else(|| unknown("it may not be read, or the server does not answer")),
            None => Err(unknown("the server says nothing")),
        }
    }

    /// A request of the store, which runs where its connections do: whoever blocks here has no runtime.
    async fn sent<T, F>(&self, request: impl FnOnce(Arc<dyn Store>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let ended = || StoreError::Unknown("the client's thread has ended".to_owned());
        let answer = self.client.engine().ask(request).await;
        answer.unwrap_or_else(|| Err(ended()))
    }

    async fn breathe(&self) {
        let pause = self.client.engine().store().look_pause();
        self.client.engine().pause(pause).await;
    }
}

#[async_trait]
impl LockManager for Locks {
    async fn acquire(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, LockError> {
        let pair = Pair::new(key, holder);
        let acquired = self
            .acquire_pair(&pair, acquire_timeout, hold_timeout)
            .await;
        if !matches!(acquired, Ok(true)) {
            let entry = self.entry(&pair.id);
            self.tidy(&pair.id, entry);
        }
        acquired
    }

    async fn release(&self, key: &str, holder: &str) -> Result<(), LockError> {
        let pair = Pair::new(key, holder);
        let released = self.release_pair(&pair).await;
        let entry = self.entry(&pair.id);
        self.tidy(&pair.id, entry);
        released
    }

    async fn is_locked(&self, key: &str) -> Result<bool, LockError> {
        Ok(self.look(key, &lock_of(key)).await?.held > 0)
    }

    async fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, LockError> {
        let pair = Pair::new(key, holder);
        let own = self.held().get(&pair.id).cloned().and_then(|entry| {
            let guard = entry.try_lock().ok()?;
            guard.as_ref().map(|guard| guard.slots.check().is_ok())
        });
        match (own, self.granted(&pair).await) {
            (Some(false), _) => Ok(false),
            (_, Ok(claim)) => Ok(claim.is_some()),
            // Nobody says otherwise, and its lease has not run out.
            (Some(true), Err(_)) => Ok(true),
            (None, Err(error)) => Err(error),
        }
    }

    async fn wait_for(&self, key: &str, timeout: Option<Duration>) -> Result<bool, LockError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let lock = lock_of(key);
        let first = self.look(key, &lock).await?;
        let mut now = first.clone();
        loop {
            let same = now.tokens.iter().any(|token| first.tokens.contains(token));
            if now.held == 0 || !same {
                return Ok(true);
            }
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Ok(false);
            }
            self.breathe().await;
            now = self.look(key, &lock).await?;
        }
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").finish_non_exhaustive()
    }
}

impl<'a> Pair<'a> {
    fn new(key: &'a str, holder: &'a str) -> Self {
        let lock = lock_of(key);
        // The length of the first part keeps `a` and `bc` apart from `ab` and `c`.
        let text = format!("{}:{lock}{holder}", lock.len());
        let id = format!("lock-{}", hash(&text));
        Self {
            key,
            holder,
            lock,
            id,
        }
    }

    fn failed(&self, error: AcquireError) -> LockError {
        LockError::Acquire {
            key: self.key.to_owned(),
            error,
        }
    }

    fn unknown(&self, detail: &str) -> LockError {
        LockError::Unknown {
            key: self.key.to_owned(),
            detail: detail.to_owned(),
        }
    }

    fn not_holder(&self, detail: &str) -> LockError {
        LockError::NotHolder {
            key: self.key.to_owned(),
            holder: self.holder.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

fn lost_words(loss: &Loss) -> String {
    format!("it held it, and has lost it: {loss}")
}

/// The lock that a text stands for.
fn lock_of(key: &str) -> String {
    let is_lock = QualifiedKey::parse(key).is_ok_and(|parsed| {
        parsed.key.check_lock().is_ok() && !parsed.key.as_str().starts_with(HASHED)
    });
    if is_lock {
        key.to_owned()
    } else {
        format!("{HASHED}{}", hash(key))
    }
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_locks_are_those_locks_and_all_others_have_one_each() {
        for key in ["a.b", "a.c", "tag:etl", "team/schema"] {
            assert_eq!(lock_of(key), key);
        }
        let odd = [
            "A",
            "",
            "a/b/c",
            "a:shared",
            "/tmp/x.lock",
            "sha256:00",
            "é",
        ];
        let mut locks: Vec<String> = odd.map(lock_of).to_vec();
        for lock in &locks {
            let key = QualifiedKey::parse(lock).unwrap();
            key.key.check_lock().unwrap();
            assert!(lock.starts_with(HASHED) && lock != "sha256:00");
        }
        locks.sort();
        locks.dedup();
        assert_eq!(locks.len(), odd.len());
    }

    #[test]
    fn pairs_share_no_claim() {
        let ids = [
            ("a", "bc"),
            ("ab", "c"),
            ("a", "b"),
            ("1:a", "b"),
            ("a", ""),
        ]
        .map(|(key, holder)| Pair::new(key, holder).id);
        let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
        assert!(ids.iter().all(|id| id.len() <= 253));
        assert_eq!(Pair::new("a", "b").id, Pair::new("a", "b").id);
    }
}
