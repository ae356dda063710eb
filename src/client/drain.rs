//! The end of a client: what is still held, and what is still on its way.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;

/// How a client ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// let report = client.close(std::time::Duration::from_secs(10)).await;
/// println!("{} ended, {:?} still held", report.ended, report.held);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// How many acquisitions ended meanwhile: released, or given up while they waited.
    pub ended: usize,
    /// Claims whose guards were still there at the end. They are lost now; their leases run out by themselves.
    pub held: Vec<String>,
    /// Claims whose release was not acknowledged by then.
    pub unreleased: Vec<String>,
}

impl DrainReport {
    /// Nothing is left for expiry.
    ///
    /// ```
    /// assert!(sluice::client::DrainReport::default().is_clean());
    /// ```
    pub fn is_clean(&self) -> bool {
        self.held.is_empty() && self.unreleased.is_empty()
    }
}

/// Blocks the thread that drops it until the client has drained, at most for its bound. For `main`: declared first,
/// it is dropped last.
///
/// ```
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// let _drain = client.drain_guard(std::time::Duration::from_secs(10));
/// // ... whatever main does, also by `?` ...
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "it drains when it is dropped"]
pub struct DrainGuard {
    engine: Arc<Engine>,
    within: Duration,
}

impl DrainGuard {
    pub(super) fn new(engine: Arc<Engine>, within: Duration) -> Self {
        Self { engine, within }
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        let report = self.engine.drain_blocking(self.within);
        if !report.is_clean() {
            tracing::warn!(
                target: "sluice::client", held = ?report.held, unreleased = ?report.unreleased,
                "left to expiry"
            );
        }
    }
}
