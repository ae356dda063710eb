//! A stretch of work that leaves nothing behind.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::handle::Client;
use super::hold::{Hold, Wish};
use super::keys::Keys;
use super::lease::Loss;
use super::rate::RateLimit;
use super::request::Request;

/// What acquires within [`Client::scope`]: whatever was acquired through it is released when the scope ends.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let limits = sluice::client::Limits::new().slots("gpu", 2).lock("deploy");
/// # let client = sluice::client::Client::embedded(limits)?;
/// client
///     .scope(async |scope| {
///         let first = scope.concurrency("gpu").acquire().await?;
///         let second = scope.request().lock("deploy").acquire().await?;
///         Ok::<(), sluice::client::AcquireError>(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    client: Client,
    tracker: Arc<Tracker>,
}

/// Acquisitions of a scope, those that have ended left out from time to time.
#[derive(Debug, Default)]
pub(super) struct Tracker(Mutex<Vec<Weak<Hold>>>);

impl Tracker {
    /// Adds an acquisition.
    pub(super) fn add(&self, hold: &Arc<Hold>) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.len() == holds.capacity() {
            holds.retain(|hold| hold.strong_count() > 0);
        }
        holds.push(Arc::downgrade(hold));
    }

    fn take(&self) -> Vec<Arc<Hold>> {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *holds);
        taken.iter().filter_map(Weak::upgrade).collect()
    }

    /// Gives back all that is left; guards that are still about are lost.
    fn give_up(&self) -> Vec<Arc<Hold>> {
        let left = self.take();
        for hold in &left {
            if hold.wished() == Wish::Keep {
                hold.lose_and_release(Loss::Closed);
            }
        }
        left
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // A scope that was dropped before its end.
        self.give_up();
    }
}

impl Scope {
    /// Like [`Client::request`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded(sluice::client::Limits::new().lock("deploy"))?;
    /// # client.scope(async |scope| {
    /// let slots = scope.request().lock("deploy").acquire().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self) -> Request {
        let mut request = self.client.request();
        request.tracker = Some(Arc::clone(&self.tracker));
        request
    }

    /// Like [`Client::concurrency`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// # client.scope(async |scope| {
    /// let slots = scope.concurrency("gpu").acquire().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        let mut request = self.client.concurrency(keys);
        request.tracker = Some(Arc::clone(&self.tracker));
        request
    }

    /// Like [`Client::rate_limit`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::client::Client::embedded(limits)?;
    /// # client.scope(async |scope| {
    /// scope.rate_limit("api").acquire().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        self.client
            .rate_limit(keys)
            .tracked(Arc::clone(&self.tracker))
    }

    /// The client it belongs to; what is acquired through it is not the scope's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// # client.scope(async |scope| {
    /// assert_eq!(scope.client().namespace(), "embedded");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Runs a body, and returns when all it has left was released.
pub(super) async fn scope<T>(client: &Client, body: impl AsyncFnOnce(Scope) -> T) -> T {
    let tracker = Arc::new(Tracker::default());
    let scope = Scope {
        client: client.clone(),
        tracker: Arc::clone(&tracker),
    };
    let guard = Leftovers(Arc::clone(&tracker));
    let result = body(scope).await;
    for hold in tracker.give_up() {
        if let Err(error) = hold.ended().await {
            tracing::warn!(target: "sluice::client", %error, "left behind by a scope");
        }
    }
    drop(guard);
    result
}

/// Gives back what is left when the scope's future is dropped, whoever still has a [`Scope`].
struct Leftovers(Arc<Tracker>);

impl Drop for Leftovers {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
