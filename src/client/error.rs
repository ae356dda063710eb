//! Why slots were not acquired, not released, or a body did not run to its end.
//!
//! A message says what was asked for, what stood in the way (how much of which limit is held, and by whom where that
//! may be read) and, where somebody can do something, what.

use std::io;
use std::time::Duration;

use super::lease::Loss;
use super::worker::WorkerUnknown;

/// Why slots were not acquired.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// use sluice::client::AcquireError;
///
/// match client.concurrency("gpu").acquire().await {
///     Ok(slots) => drop(slots),
///     Err(AcquireError::Timeout { detail, .. }) => println!("later: {detail}"),
///     Err(error) => return Err(std::io::Error::from(error).into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// They did not become free in time.
    #[error("{request} was not granted within {}: {detail}", seconds(*.waited))]
    Timeout {
        /// What was asked for.
        request: String,
        /// For how long it waited.
        waited: Duration,
        /// What stood in the way.
        detail: String,
    },
    /// A limit or lock does not exist.
    #[error("{request}: {detail}")]
    Missing {
        /// What was asked for.
        request: String,
        /// What does not exist.
        detail: String,
    },
    /// It can never be granted as it is.
    #[error("{request} was denied ({reason}): {detail}")]
    Denied {
        /// What was asked for.
        request: String,
        /// One word of the controller.
        reason: String,
        /// What stands in the way.
        detail: String,
    },
    /// It is no request.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// There is a claim of that id, and it is not the same request of the same user.
    #[error(
        "claim {id} exists and is another request: {detail}; use another id, or ask for the same"
    )]
    IdConflict {
        /// The id.
        id: String,
        /// What differs.
        detail: String,
    },
    /// The server does not let us.
    #[error("the API server does not allow it: {0}")]
    Forbidden(String),
    /// The server or the controller could not be reached, or did not answer in time.
    #[error("not acquired: {0}")]
    Unavailable(String),
    /// The caller's [`Cancel`](super::Cancel) was set.
    #[error("{request}: cancelled while it waited")]
    Cancelled {
        /// What was asked for.
        request: String,
    },
    /// The client was closed.
    #[error("the client is closed: it acquires nothing any more")]
    Closed,
}

impl AcquireError {
    /// Whether the same request may succeed later without anybody changing anything.
    ///
    /// ```
    /// use sluice::client::AcquireError;
    ///
    /// assert!(AcquireError::Unavailable("no server".to_owned()).is_retryable());
    /// assert!(!AcquireError::Closed.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unavailable(_))
    }
}

impl From<WorkerUnknown> for AcquireError {
    fn from(error: WorkerUnknown) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<AcquireError> for io::Error {
    fn from(error: AcquireError) -> Self {
        let kind = match &error {
            AcquireError::Timeout { .. } => io::ErrorKind::TimedOut,
            AcquireError::Missing { .. } => io::ErrorKind::NotFound,
            AcquireError::Denied { .. } | AcquireError::Invalid(_) => io::ErrorKind::InvalidInput,
            AcquireError::IdConflict { .. } => io::ErrorKind::AlreadyExists,
            AcquireError::Forbidden(_) => io::ErrorKind::PermissionDenied,
            AcquireError::Unavailable(_) => io::ErrorKind::NotConnected,
            AcquireError::Cancelled { .. } => io::ErrorKind::Interrupted,
            AcquireError::Closed => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

/// Why slots were not there at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// use sluice::client::TryAcquireError;
///
/// let all = client.concurrency("gpu").occupy(2).acquire().await?;
/// let full = client.concurrency("gpu").try_acquire().await;
/// assert!(matches!(full, Err(TryAcquireError::Full { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// They are taken.
    #[error("{request} is not free: {detail}")]
    Full {
        /// What was asked for.
        request: String,
        /// What stands in the way.
        detail: String,
    },
    /// Another reason.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
}

impl From<TryAcquireError> for io::Error {
    fn from(error: TryAcquireError) -> Self {
        match error {
            TryAcquireError::Acquire(error) => error.into(),
            full @ TryAcquireError::Full { .. } => Self::new(io::ErrorKind::WouldBlock, full),
        }
    }
}

/// Why a release is not known to have arrived.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
/// use sluice::client::ReleaseError;
///
/// if let Err(ReleaseError::Lost { loss, .. }) = slots.release().await {
///     eprintln!("whatever was done lately may have been done twice: {loss}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There was nothing to release any more.
    #[error("claim {claim} was lost before it was released: {loss}")]
    Lost {
        /// Name of the claim.
        claim: String,
        /// How.
        loss: Loss,
    },
    /// The server did not answer for a whole lease: the claim has run out, or is about to. One that lives as long as a
    /// pod ends with that pod, or is taken over by whoever asks for the same there.
    #[error(
        "the release of claim {claim} was not acknowledged: {detail}; it ends by itself, with its lease or its pod"
    )]
    Unavailable {
        /// Name of the claim.
        claim: String,
        /// The last answer.
        detail: String,
    },
}

impl From<ReleaseError> for io::Error {
    fn from(error: ReleaseError) -> Self {
        Self::other(error)
    }
}

/// Why a body did not run to its end, or how it ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// use sluice::client::RunError;
///
/// let failed = client.concurrency("gpu").run(async |_| Err::<(), _>("no data")).await;
/// assert!(matches!(failed, Err(RunError::Body("no data"))));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError<E> {
    /// It did not start.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// It was cancelled, because what it held was lost.
    #[error("cancelled: {0}")]
    Lost(Loss),
    /// It ended with an error of its own.
    #[error("{0}")]
    Body(E),
}

/// A duration as people write it.
pub(super) fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_and_become_io_errors() {
        let error = AcquireError::Timeout {
            request: "gpu=2".to_owned(),
            waited: Duration::from_millis(1500),
            detail: "limit gpu: 3 of 3 slots are held, by pod a".to_owned(),
        };
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            "gpu=2 was not granted within 1.5 s: limit gpu: 3 of 3 slots are held, by pod a"
        );
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(!AcquireError::Closed.is_retryable());
    }
}
