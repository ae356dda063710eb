//! Locks by key and holder, for code that blocks.

use std::fmt::Debug;
use std::time::Duration;

use super::wait::{may_wait, wait};
use crate::client::{self, AcquireError, LockError, LockManager as _};

/// Locks by key and holder; the blocking twin of [`client::LockManager`], whose words it has.
///
/// ```
/// use sluice::blocking::{Client, LockManager};
/// use sluice::client::Limits;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::embedded(Limits::new().lock("report"))?;
/// let locks: Box<dyn LockManager> = Box::new(client.lock_manager());
/// assert!(locks.acquire("report", "run-7", None, None)?);
/// assert!(locks.is_lock_holder("report", "run-7")?);
/// locks.release("report", "run-7")?;
/// # Ok(())
/// # }
/// ```
pub trait LockManager: Debug + Send + Sync {
    /// Acquires a lock: false if that was not possible within `acquire_timeout`.
    ///
    /// ```
    /// # use sluice::{blocking::{Client, LockManager as _}, client::Limits};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// let no_wait = Some(std::time::Duration::ZERO);
    /// assert!(locks.acquire("report", "run-7", None, None)?);
    /// assert!(!locks.acquire("report", "run-8", no_wait, None)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn acquire(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, LockError>;

    /// Releases a lock; one that this holder does not have is an error, and nothing is changed.
    ///
    /// ```
    /// # use sluice::{blocking::{Client, LockManager as _}, client::Limits};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// locks.acquire("report", "run-7", None, None)?;
    /// assert!(locks.release("report", "run-8").is_err());
    /// locks.release("report", "run-7")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn release(&self, key: &str, holder: &str) -> Result<(), LockError>;

    /// Whether anybody holds it.
    ///
    /// ```
    /// # use sluice::{blocking::{Client, LockManager as _}, client::Limits};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// assert!(!locks.is_locked("report")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn is_locked(&self, key: &str) -> Result<bool, LockError>;

    /// Whether this holder holds it.
    ///
    /// ```
    /// # use sluice::{blocking::{Client, LockManager as _}, client::Limits};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// locks.acquire("report", "run-7", None, None)?;
    /// assert!(!locks.is_lock_holder("report", "run-8")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, LockError>;

    /// Waits until it is not held, or whoever held it at the call holds it no more; takes nothing.
    ///
    /// ```
    /// # use sluice::{blocking::{Client, LockManager as _}, client::Limits};
    /// # let locks = Client::embedded(Limits::new().lock("report"))?.lock_manager();
    /// assert!(locks.wait_for("report", None)?);     // nobody has it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn wait_for(&self, key: &str, timeout: Option<Duration>) -> Result<bool, LockError>;
}

/// The [`LockManager`] of a client. It shares what it holds with the async one that it was made of: what was acquired
/// there can be released here.
///
/// ```
/// # let client = sluice::blocking::Client::embedded(sluice::client::Limits::new().lock("report"))?;
/// use sluice::blocking::LockManager as _;
///
/// let locks = client.lock_manager();
/// if locks.acquire("report", "run-7", None, None)? {
///     locks.release("report", "run-7")?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Locks {
    inner: client::Locks,
}

impl From<client::Locks> for Locks {
    fn from(inner: client::Locks) -> Self {
        Self { inner }
    }
}

impl client::Locks {
    /// The same for code that blocks.
    ///
    /// ```
    /// # let locks = sluice::client::Client::embedded([("gpu", 2)])?.lock_manager();
    /// let for_threads = locks.blocking();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking(&self) -> Locks {
        self.clone().into()
    }
}

impl Locks {
    /// The same for async code.
    ///
    /// ```
    /// # let locks = sluice::blocking::Client::embedded([("gpu", 2)])?.lock_manager();
    /// let for_tasks = locks.as_async().clone();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn as_async(&self) -> &client::Locks {
        &self.inner
    }

    fn may_wait(&self, key: &str) -> Result<(), LockError> {
        may_wait(self.inner.client()).map_err(|error| LockError::Acquire {
            key: key.to_owned(),
            error: AcquireError::Invalid(error.to_string()),
        })
    }
}

impl LockManager for Locks {
    fn acquire(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, LockError> {
        self.may_wait(key)?;
        wait(
            self.inner
                .acquire(key, holder, acquire_timeout, hold_timeout),
        )
    }

    fn release(&self, key: &str, holder: &str) -> Result<(), LockError> {
        self.may_wait(key)?;
        wait(self.inner.release(key, holder))
    }

    fn is_locked(&self, key: &str) -> Result<bool, LockError> {
        self.may_wait(key)?;
        wait(self.inner.is_locked(key))
    }

    fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, LockError> {
        self.may_wait(key)?;
        wait(self.inner.is_lock_holder(key, holder))
    }

    fn wait_for(&self, key: &str, timeout: Option<Duration>) -> Result<bool, LockError> {
        self.may_wait(key)?;
        wait(self.inner.wait_for(key, timeout))
    }
}
