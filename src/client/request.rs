//! What a caller asks for, word by word.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::acquire::{Acquisition, acquire, try_acquire};
use super::cancel::Cancellation;
use super::error::{RunError, TryAcquireError};
use super::handle::Client;
use super::keys::Keys;
use super::plan::Draft;
use super::pod::Pod;
use super::scope::Tracker;
use super::slots::Slots;
use crate::api::claim::ClaimIfMissing;
use crate::api::limit::ConcurrencyLimitSpec;
use crate::api::status::LockMode;

/// The spec of limits that are created where they do not exist.
///
/// ```
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// use sluice::client::LimitTemplate;
///
/// let request = client.concurrency("gpu").create_if_missing(LimitTemplate::with_slots(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type LimitTemplate = ConcurrencyLimitSpec;

/// Something that says when to stop waiting.
pub(super) type Stop = Arc<dyn Cancellation + Send + Sync>;

/// A request for slots and locks: all of it, or nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// let slots = client.request().slots("gpu", 2).holder("run 7").acquire().await?;
/// assert_eq!(slots.tokens()[0].slots, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is asked for before acquire()"]
pub struct Request {
    pub(super) client: Client,
    pub(super) draft: Draft,
    pub(super) cancel: Option<Stop>,
    pub(super) max_retries: Option<u32>,
    pub(super) tracker: Option<Arc<Tracker>>,
}

impl Request {
    pub(super) fn new(client: Client, draft: Draft) -> Self {
        Self {
            client,
            draft,
            cancel: None,
            max_retries: None,
            tracker: None,
        }
    }

    /// A request for one slot of each of these limits; duplicates are one.
    pub(super) fn for_keys(client: Client, keys: impl Keys, mut draft: Draft) -> Self {
        for key in keys.keys() {
            if !draft.slots.iter().any(|(known, _)| *known == key) {
                draft.slots.push((key, 1));
            }
        }
        Self::new(client, draft)
    }

    /// Asks for so many slots of a limit. Several calls for one limit add up; 0 is `Invalid`.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 2).slots("licences/matlab", 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn slots(mut self, limit: impl Into<String>, slots: u32) -> Self {
        self.draft.slots.push((limit.into(), slots));
        self
    }

    /// Asks for so many slots of each limit that was named before this call, in place of one.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.concurrency(["gpu", "db"]).occupy(2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn occupy(mut self, slots: u32) -> Self {
        for entry in &mut self.draft.slots {
            entry.1 = slots;
        }
        self
    }

    /// Asks for a lock, alone.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().lock("deploy");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(mut self, lock: impl Into<String>) -> Self {
        self.draft.locks.push((lock.into(), LockMode::Exclusive));
        self
    }

    /// Asks for a lock, beside other shared holders.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().lock_shared("schema");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_shared(mut self, lock: impl Into<String>) -> Self {
        self.draft.locks.push((lock.into(), LockMode::Shared));
        self
    }

    /// Takes the slots of this worker: the limits are families.
    pub(super) fn worker(mut self, worker: &str) -> Self {
        self.draft.worker = Some(worker.to_owned());
        self
    }

    /// Waits for at most so long, from the call of [`Request::acquire`] on; queueing, requests and pauses count.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).timeout(std::time::Duration::from_secs(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.draft.timeout = Some(timeout);
        self
    }

    /// Waits for ever, whatever the client's default is.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).no_timeout();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn no_timeout(mut self) -> Self {
        self.draft.timeout = None;
        self
    }

    /// How long a grant lasts without a renewal: how soon the slots of a process that was killed come back.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).lease(std::time::Duration::from_secs(60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lease(mut self, lease: Duration) -> Self {
        self.draft.lease = Some(lease);
        self
    }

    /// The slots are lost after so long, renewed or not.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).max_hold(std::time::Duration::from_secs(3_600));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_hold(mut self, most: Duration) -> Self {
        self.draft.hold_max = Some(most);
        self
    }

    /// Names the claim. The same id acquires once: a later acquisition of the same request takes the claim over, and
    /// the earlier guard is lost; another request of the same id is an `IdConflict`.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).id("task-17");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.draft.id = Some(id.into());
        self
    }

    /// The claim lives as long as this pod, and is not renewed; see [`super::ClientBuilder::pod`].
    ///
    /// ```
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = client.concurrency("gpu").pod(sluice::client::Pod::from_env()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pod(mut self, pod: Pod) -> Self {
        self.draft.pod = Some(pod);
        self
    }

    /// Renews, whatever pod the client runs in.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).no_pod();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn no_pod(mut self) -> Self {
        self.draft.pod = None;
        self
    }

    /// Says who asks, for people.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).holder("nightly report");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.draft.holder = Some(holder.into());
        self
    }

    /// Place in the queue; higher is earlier, as far as the operator allows.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).priority(-10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(mut self, priority: i32) -> Self {
        self.draft.priority = Some(priority);
        self
    }

    /// What a limit or lock that does not exist means; `Deny` by default.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// use sluice::api::claim::ClaimIfMissing;
    ///
    /// let request = client.request().slots("gpu", 1).if_missing(ClaimIfMissing::Wait);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn if_missing(mut self, if_missing: ClaimIfMissing) -> Self {
        self.draft.if_missing = if_missing;
        self
    }

    /// Creates the limits that do not exist, under the caller's own rights; one that exists is left as it is.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// use sluice::client::LimitTemplate;
    ///
    /// let request = client.request().slots("gpu", 1).create_if_missing(LimitTemplate::with_slots(4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_if_missing(mut self, template: LimitTemplate) -> Self {
        self.draft.template = Some(Box::new(template));
        self
    }

    /// Stops waiting when this is cancelled; what is held already is not touched.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let cancel = sluice::client::Cancel::new();
    /// let request = client.request().slots("gpu", 1).cancel(&cancel);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(mut self, cancel: &(impl Cancellation + Clone + Send + Sync + 'static)) -> Self {
        self.cancel = Some(Arc::new(cancel.clone()));
        self
    }

    /// Does not queue: tries once, and so many times more, with pauses, before it is a `Timeout`.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let request = client.request().slots("gpu", 1).max_retries(3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Waits in the queue until all of it is granted.
    ///
    /// Dropping the future at any point gives up, and leaves nothing behind: what was sent is found and released on
    /// the SDK's own thread.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let slots = client.request().slots("gpu", 1).acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(self) -> Acquisition {
        acquire(self)
    }

    /// Tries once, and does not wait for anybody.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// match client.concurrency("gpu").try_acquire().await {
    ///     Ok(slots) => drop(slots),
    ///     Err(full) => println!("{full}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn try_acquire(self) -> Result<Slots, TryAcquireError> {
        try_acquire(self).await
    }

    /// Acquires, runs the body, releases. The body is cancelled (dropped at its next await) when what it holds is
    /// lost; an error of it, a panic, or dropping this future releases as well.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let answer = client.concurrency("gpu").run(async |slots| slots.check().map(|()| 42)).await?;
    /// assert_eq!(answer, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<T, E, F>(self, body: F) -> Result<T, RunError<E>>
    where
        F: AsyncFnOnce(&Slots) -> Result<T, E>,
    {
        super::acquire::run(self, body).await
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("draft", &self.draft)
            .field("max_retries", &self.max_retries)
            .finish_non_exhaustive()
    }
}
