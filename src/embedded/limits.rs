//! What an embedded client is given: its limits and locks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::key::{BadKey, Key};
use crate::api::limit::{ConcurrencyLimitSpec, Decay, PerWorker};
use crate::api::lock::LockSpec;

/// Limits and locks of an embedded client.
///
/// ```
/// use sluice::client::{Client, Limits};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Pairs of a key and a number of slots are enough where nothing else is needed:
/// let client = Client::embedded([("gpu", 2), ("db", 10)])?;
/// # drop(client);
/// let client = Client::embedded(
///     Limits::new()
///         .slots("gpu", 2)
///         .rate("api", 5, Duration::from_secs(1))
///         .family("disk", 1)
///         .lock("deploy"),
/// )?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "they are given to a client"]
pub struct Limits {
    pub(super) limits: BTreeMap<String, ConcurrencyLimitSpec>,
    pub(super) locks: BTreeMap<String, LockSpec>,
}

impl Limits {
    /// None.
    ///
    /// ```
    /// use sluice::client::{Client, Limits};
    ///
    /// let client = Client::embedded(Limits::new().slots("gpu", 2))?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// A limit with so many slots and all defaults.
    ///
    /// ```
    /// use sluice::client::{Client, Limits};
    ///
    /// let client = Client::embedded(Limits::new().slots("gpu", 2).slots("db", 1))?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn slots(self, key: impl Into<String>, slots: u32) -> Self {
        self.limit(key, spec(slots))
    }

    /// A limit whose slots come back with time: so many in each period of whole seconds, and at most as many at once.
    ///
    /// ```
    /// use sluice::client::Limits;
    /// use std::time::Duration;
    ///
    /// let limits = Limits::new().rate("api", 5, Duration::from_secs(1));
    /// ```
    pub fn rate(self, key: impl Into<String>, slots: u32, period: Duration) -> Self {
        let seconds = period
            .as_secs()
            .saturating_add(u64::from(period.subsec_nanos() > 0));
        let decay = Decay {
            slots: whole(slots),
            per_seconds: i32::try_from(seconds).unwrap_or(i32::MAX),
        };
        let spec = ConcurrencyLimitSpec {
            decay: Some(decay),
            ..spec(slots)
        };
        self.limit(key, spec)
    }

    /// A family: each worker has so many slots of its own.
    ///
    /// ```
    /// let limits = sluice::client::Limits::new().family("disk", 1);     // disk:worker-1, disk:worker-2 and so on
    /// ```
    pub fn family(self, key: impl Into<String>, slots: u32) -> Self {
        let spec = ConcurrencyLimitSpec {
            per_worker: Some(PerWorker::default()),
            ..spec(slots)
        };
        self.limit(key, spec)
    }

    /// A limit, as it would be written for a cluster. The last word on a key counts.
    ///
    /// ```
    /// use sluice::api::ConcurrencyLimitSpec;
    ///
    /// let limits = sluice::client::Limits::new().limit("gpu", ConcurrencyLimitSpec::with_slots(2));
    /// ```
    pub fn limit(mut self, key: impl Into<String>, spec: ConcurrencyLimitSpec) -> Self {
        self.limits.insert(key.into(), spec);
        self
    }

    /// A lock with all defaults.
    ///
    /// ```
    /// let limits = sluice::client::Limits::new().lock("deploy");
    /// ```
    pub fn lock(self, key: impl Into<String>) -> Self {
        self.lock_with(key, LockSpec::default())
    }

    /// A lock, as it would be written for a cluster.
    ///
    /// ```
    /// let limits = sluice::client::Limits::new().lock_with("deploy", sluice::api::LockSpec::default());
    /// ```
    pub fn lock_with(mut self, key: impl Into<String>, spec: LockSpec) -> Self {
        self.locks.insert(key.into(), spec);
        self
    }
}

impl<K: Into<String>, const N: usize> From<[(K, u32); N]> for Limits {
    fn from(pairs: [(K, u32); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Into<String>> From<Vec<(K, u32)>> for Limits {
    fn from(pairs: Vec<(K, u32)>) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Into<String>> FromIterator<(K, u32)> for Limits {
    fn from_iter<I: IntoIterator<Item = (K, u32)>>(pairs: I) -> Self {
        let all = pairs.into_iter();
        all.fold(Self::new(), |limits, (key, slots)| limits.slots(key, slots))
    }
}

/// Why an embedded client cannot be made, or one of its limits not be changed.
///
/// ```
/// use sluice::client::{Embedded, EmbeddedError};
///
/// let refused = Embedded::new([("No key", 1)]);
/// assert!(matches!(refused, Err(EmbeddedError::Key { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// A key is none.
    #[error("{what} {key:?}: {why}")]
    Key {
        /// Limit or lock.
        what: &'static str,
        /// The key.
        key: String,
        /// What is wrong with it.
        why: BadKey,
    },
    /// A spec that a server would refuse.
    #[error("{what} {key}: {why}")]
    Spec {
        /// Limit or lock.
        what: &'static str,
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no limit of that key.
    #[error(
        "there is no limit {key}: name it when the client is made, or create it with create_if_missing"
    )]
    Missing {
        /// The key.
        key: String,
    },
    /// The operating system gives no thread.
    #[error("the thread of the embedded limits could not be started: {0}")]
    NoThread(#[from] std::io::Error),
    /// The client could not be made.
    #[error(transparent)]
    Client(#[from] crate::client::ConnectError),
}

/// The name of the object that serves a key.
pub(super) fn object_name(lock: bool, key: &str) -> Result<String, EmbeddedError> {
    let parsed = Key::parse(key).and_then(|parsed| {
        if lock {
            parsed.check_lock()?;
        }
        Ok(parsed.object_name())
    });
    parsed.map_err(|why| EmbeddedError::Key {
        what: if lock { "lock" } else { "limit" },
        key: key.to_owned(),
        why,
    })
}

fn spec(slots: u32) -> ConcurrencyLimitSpec {
    ConcurrencyLimitSpec::with_slots(whole(slots))
}

fn whole(slots: u32) -> i32 {
    i32::try_from(slots).unwrap_or(i32::MAX)
}
