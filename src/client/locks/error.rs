//! What a lock manager says when it could not.

use crate::client::error::AcquireError;

/// Why a lock manager could not do what it was asked.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// use sluice::client::{LockError, LockManager as _};
///
/// match client.lock_manager().release("report", "run-7").await {
///     Err(LockError::NotHolder { detail, .. }) => println!("it has not: {detail}"),
///     other => other?,
/// }
/// # Ok(())
/// # }
/// ```
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
