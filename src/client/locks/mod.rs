//! Locks by key and holder, in the manner of Prefect's lock managers, without their faults.
//!
//! A holder is a text: whoever says the same text is the same holder, in this process or another. Each holder of a key
//! has one claim, whose name is derived from both and never shared with another pair (`pair`); who may take the lock is
//! decided where all claims are decided, so two holders at once is what cannot be. This module only keeps the guards of
//! what was acquired here (`acquire`, `release`). Tested in `tests/embedded.rs` and `tests/it/sdk`, with the same bodies.

mod acquire;
mod error;
mod pair;
mod release;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::handle::Client;
use super::slots::Slots;
use super::store::{ClaimVersion, Store, StoreError};
use crate::api::claim::ClaimPhase;
use crate::api::lock::LockSpec;

pub use error::LockError;
use pair::{Pair, lock_of};

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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Client, Limits, LockManager as _};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// use std::time::Duration;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// assert!(locks.acquire("report", "run-7", None, Some(hour)).await?);
    /// assert!(!locks.acquire("report", "run-8", Some(Duration::ZERO), None).await?);
    /// # Ok(())
    /// # }
    /// ```
    async fn acquire(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, LockError>;

    /// Releases a lock; when this returns, it is free for others. If that holder does not have it, also because its
    /// hold time was over, it is [`LockError::NotHolder`] and nothing is changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Client, Limits, LockManager as _};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// locks.acquire("report", "run-7", None, None).await?;
    /// assert!(locks.release("report", "run-8").await.is_err());
    /// locks.release("report", "run-7").await?;
    /// # Ok(())
    /// # }
    /// ```
    async fn release(&self, key: &str, holder: &str) -> Result<(), LockError>;

    /// Whether anybody holds it. One that does not exist is not held.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Client, Limits, LockManager as _};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// assert!(!locks.is_locked("report").await?);
    /// # Ok(())
    /// # }
    /// ```
    async fn is_locked(&self, key: &str) -> Result<bool, LockError>;

    /// Whether this holder holds it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Client, Limits, LockManager as _};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// locks.acquire("report", "run-7", None, None).await?;
    /// assert!(locks.is_lock_holder("report", "run-7").await?);
    /// assert!(!locks.is_lock_holder("report", "run-8").await?);
    /// # Ok(())
    /// # }
    /// ```
    async fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, LockError>;

    /// Waits until it is not held, or whoever held it at the call holds it no more, and takes nothing: true. False if
    /// that did not come within `timeout`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use sluice::client::{Client, Limits, LockManager as _};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// locks.acquire("report", "run-7", None, None).await?;
    /// let soon = std::time::Duration::from_millis(5);
    /// assert!(!locks.wait_for("report", Some(soon)).await?);
    /// locks.release("report", "run-7").await?;
    /// assert!(locks.wait_for("report", Some(soon)).await?);
    /// # Ok(())
    /// # }
    /// ```
    async fn wait_for(&self, key: &str, timeout: Option<Duration>) -> Result<bool, LockError>;
}

/// The [`LockManager`] of a client, whatever it is a client of. Clones share what they hold.
///
/// A key that is a key of a lock (`report`, `team/schema`, `tag:etl`) is that lock, and so excludes pods and
/// other requests that name it. Any other text stands for a lock of its own, whose key is derived from it; no two texts
/// share one. What does not exist is refused, unless [`Locks::create_missing`] says that it is to be created.
///
/// Dropping the last clone releases all that is held through it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded(sluice::client::Limits::new().lock("report"))?;
/// use sluice::client::LockManager as _;
///
/// let locks = client.lock_manager();
/// assert!(locks.acquire("report", "run-7", None, None).await?);
/// # Ok(())
/// # }
/// ```
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

impl Client {
    /// Locks by key and holder, for code that is written for Prefect's lock managers.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let locks = client.lock_manager();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let locks = client.lock_manager().create_missing(sluice::api::LockSpec::default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_missing(mut self, template: LockSpec) -> Self {
        self.template = Some(template);
        self
    }

    /// The client behind it.
    ///
    /// ```
    /// # let locks = sluice::client::Client::embedded([("gpu", 2)])?.lock_manager();
    /// assert_eq!(locks.client().namespace(), "embedded");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// The claim of this holder, where it holds.
    async fn granted(&self, pair: &Pair<'_>) -> Result<Option<ClaimVersion>, LockError> {
        let id = pair.id.clone();
        let found = self.sent(|store| async move { store.get(&id).await }).await;
        let found = found.map_err(|error| pair.unknown(&error.to_string()))?;
        Ok(found.filter(|claim| {
            claim.status.phase == ClaimPhase::Granted && !claim.spec.release && !claim.deleting
        }))
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
