//! How a process comes to the SDK: the handle from which everything is asked for.

use std::sync::Arc;
use std::time::Duration;

use super::builder::ClientBuilder;
#[cfg(feature = "client")]
use super::connect::ConnectError;
use super::drain::{DrainGuard, DrainReport};
use super::engine::Engine;
use super::error::AcquireError;
use super::keys::Keys;
use super::plan::Draft;
use super::pod::Pod;
use super::rate::RateLimit;
use super::request::Request;
use super::scope::{Scope, scope};
use super::slots::{ClaimRef, Slots};
use super::worker::{Worker, WorkerUnknown};

/// A process's way to slots and locks. Clones share one thread, one watch and one session; it is cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// let everywhere = client.clone();    // one thread, one watch, one session
/// let slots = everywhere.concurrency("gpu").acquire().await?;
/// assert_eq!(slots.check(), Ok(()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    engine: Arc<Engine>,
    defaults: Arc<Defaults>,
}

/// What requests take over that say nothing.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) timeout: Option<Duration>,
    pub(super) lease: Option<Duration>,
    pub(super) holder: Option<String>,
    pub(super) pod: Option<Pod>,
    pub(super) drain: Duration,
}

impl Client {
    /// Makes one of a thread that runs.
    pub(super) fn new(engine: Arc<Engine>, defaults: Defaults) -> Self {
        Self {
            engine,
            defaults: Arc::new(defaults),
        }
    }

    /// Connects with the ambient kubeconfig, or as the pod this runs in.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sluice::client::Client;
    ///
    /// let client = Client::try_default().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub async fn try_default() -> Result<Self, ConnectError> {
        Self::builder().connect().await
    }

    /// Says more than [`Client::try_default`] does.
    ///
    /// ```
    /// use sluice::client::Client;
    ///
    /// let client = Client::builder().namespace("team").embedded([("gpu", 2)])?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Uses a client of kube's, with its default namespace.
    ///
    /// Its connections belong to the runtime that made it: while that runtime is blocked, renewals are held up, and
    /// slots may be lost (never held unknowingly). [`ClientBuilder::config`] has connections of its own. If it repeats
    /// requests by itself (`Config::default_retry`), nothing breaks, but answers come later.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sluice::client::Client;
    ///
    /// let client = Client::from_kube(kube::Client::try_default().await?)?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub fn from_kube(client: kube::Client) -> Result<Self, ConnectError> {
        Self::builder().kube(client).build()
    }

    /// Asks for slots and locks.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().slots("gpu", 2).lock("deploy");
    /// # let client = sluice::client::Client::embedded(limits)?;
    /// let slots = client.request().slots("gpu", 2).lock("deploy").acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self) -> Request {
        Request::new(self.clone(), self.draft())
    }

    /// Asks for one slot of each of these limits (see [`Request::occupy`]). Without any key nothing is sent, and
    /// what is acquired holds nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2), ("db", 2)])?;
    /// let slots = client.concurrency(["gpu", "db"]).occupy(2).acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        Request::for_keys(self.clone(), keys, self.draft())
    }

    /// Asks to take once from each of these limits, which have `decay`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().rate("api", 5, std::time::Duration::from_secs(1));
    /// # let client = sluice::client::Client::embedded(limits)?;
    /// client.rate_limit("api").occupy(3).acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        RateLimit::new(self.clone(), keys, self.draft())
    }

    /// Acquires as one worker of a family: the argument names it, else `SLUICE_WORKER`, else `WORKER_ID`, else the
    /// pod's label `sluice.dev/worker` through the downward API (`/etc/podinfo/labels`).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded(sluice::client::Limits::new().family("gpu", 1))?;
    /// let slots = client.worker("worker-1")?.concurrency("gpu").acquire().await?;     // of gpu:worker-1
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker<'a>(&self, name: impl Into<Option<&'a str>>) -> Result<Worker, WorkerUnknown> {
        Worker::find(self.clone(), name.into())
    }

    /// Runs a body, and returns when everything that it acquired through the scope was released.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let done = client
    ///     .scope(async |scope| {
    ///         std::mem::forget(scope.concurrency("gpu").acquire().await?);
    ///         Ok::<_, sluice::client::AcquireError>("done")
    ///     })
    ///     .await?;
    /// // Nothing is held any more.
    /// client.concurrency("gpu").occupy(2).try_acquire().await?;
    /// # assert_eq!(done, "done");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scope<T>(&self, body: impl AsyncFnOnce(Scope) -> T) -> T {
        scope(self, body).await
    }

    /// Takes up what was detached, in this process or another: it is held from here on. Fails if its lease has run
    /// out, or somebody has resumed it already.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let claim = client.concurrency("gpu").acquire().await?.detach();
    /// if let Some(claim) = claim {
    ///     let slots = client.resume(claim).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn resume(&self, claim: ClaimRef) -> Result<Slots, AcquireError> {
        super::acquire::resume(self, claim).await
    }

    /// Acquires nothing any more, ends what waits, and waits until all guards are gone and their releases
    /// acknowledged, at most for so long. All clones are closed with it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let report = client.close(std::time::Duration::from_secs(10)).await;
    /// assert!(report.is_clean());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(self, within: Duration) -> DrainReport {
        self.engine.drain(within).await
    }

    /// Closes the client when it is dropped, and blocks that thread until it has drained.
    ///
    /// ```
    /// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// let _drain = client.drain_guard(std::time::Duration::from_secs(10));   // the first line of main, dropped last
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain_guard(&self, within: impl Into<Option<Duration>>) -> DrainGuard {
        let within = within.into().unwrap_or(self.defaults.drain);
        DrainGuard::new(Arc::clone(&self.engine), within)
    }

    /// The namespace its claims are in.
    ///
    /// ```
    /// let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// assert_eq!(client.namespace(), "embedded");
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn namespace(&self) -> &str {
        self.engine.store().namespace()
    }

    /// Like [`Client::close`], for a thread that may block.
    #[cfg(feature = "blocking")]
    pub(crate) fn close_blocking(self, within: Duration) -> DrainReport {
        self.engine.drain_blocking(within)
    }

    /// Fails on the thread behind it, which must not wait.
    #[cfg(feature = "blocking")]
    pub(crate) fn refuse_own_thread(&self) -> Result<(), crate::bridge::Closed> {
        if self.engine.is_here() {
            return Err(crate::bridge::Closed::own_thread());
        }
        Ok(())
    }

    /// Waits by the timer of the thread behind it.
    #[cfg(feature = "blocking")]
    pub(crate) async fn pause(&self, time: Duration) {
        self.engine.pause(time).await;
    }

    /// The pod it runs in, where that was said.
    pub(super) fn pod(&self) -> Option<&Pod> {
        self.defaults.pod.as_ref()
    }

    /// The thread behind it.
    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn draft(&self) -> Draft {
        Draft {
            timeout: self.defaults.timeout,
            lease: self.defaults.lease,
            holder: self.defaults.holder.clone(),
            pod: self.defaults.pod.clone(),
            ..Draft::default()
        }
    }
}
