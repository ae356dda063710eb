//! How a process comes to the SDK.

use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
#[cfg(feature = "client")]
use super::cluster::Cluster;
use super::connect::ConnectError;
use super::drain::{DrainGuard, DrainReport};
use super::engine::{Engine, Settings, Thread};
use super::error::AcquireError;
use super::events::{Event, Listener};
use super::keys::Keys;
use super::plan::Draft;
use super::pod::Pod;
use super::rate::RateLimit;
use super::request::Request;
use super::scope::{Scope, scope};
use super::slots::{ClaimRef, Slots};
use super::store::Store;
use super::worker::{Worker, WorkerUnknown};

/// How long [`Client::close`] and scopes wait where nothing is said.
const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

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

#[derive(Debug)]
struct Defaults {
    timeout: Option<Duration>,
    lease: Option<Duration>,
    holder: Option<String>,
    pod: Option<Pod>,
    drain: Duration,
}

/// What a client is made of.
///
/// ```
/// use sluice::client::Client;
/// use std::time::Duration;
///
/// let client = Client::builder()
///     .timeout(Duration::from_secs(600))
///     .holder("nightly report")
///     .embedded([("gpu", 2)])?;
/// # Ok::<(), sluice::client::EmbeddedError>(())
/// ```
#[must_use = "it becomes a client by connect()"]
pub struct ClientBuilder {
    timeout: Option<Duration>,
    lease: Option<Duration>,
    holder: Option<String>,
    pod: Option<Pod>,
    drain: Duration,
    namespace: Option<String>,
    #[cfg(feature = "client")]
    config: Option<kube::Config>,
    #[cfg(feature = "client")]
    client: Option<kube::Client>,
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    listener: Option<Listener>,
}

impl Client {
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
        ClientBuilder {
            timeout: None,
            lease: None,
            holder: None,
            pod: None,
            drain: DRAIN_DEFAULT,
            namespace: None,
            #[cfg(feature = "client")]
            config: None,
            #[cfg(feature = "client")]
            client: None,
            store: None,
            clock: Arc::new(SystemClock::default()),
            listener: None,
        }
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
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
    /// # async fn example(client: sluice::client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let _drain = client.drain_guard(std::time::Duration::from_secs(10));   // the first line of main, dropped last
    /// # Ok(())
    /// # }
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

impl ClientBuilder {
    /// How long requests wait that say nothing; for ever by default.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = sluice::client::Client::builder().timeout(Duration::from_secs(600));
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The lease of requests that say nothing; by default that of their limits, else 60 s.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = sluice::client::Client::builder().lease(Duration::from_secs(30));
    /// ```
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The holder of requests that say nothing; by default the host and the process.
    ///
    /// ```
    /// let builder = sluice::client::Client::builder().holder("nightly report on build-3");
    /// ```
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// Claims live as long as this pod, and are not renewed: the process has to run in it, and use its token. In place
    /// of renewals it looks at its claim, and slots are [`Loss::Expired`](super::Loss) when no look was answered for as
    /// long as the lease: [`ClientBuilder::lease`] says how long it may be out of touch with the API server.
    ///
    /// Claims without an id are named after the pod, its container and what they ask for, so that a container that
    /// starts again takes up at once what its former self held or waited for. Several at once for the same, in one
    /// process or in several of the container, are told apart by a number. An id of the caller's is as everywhere:
    /// whoever asks under it later waits until the former holder cannot believe.
    ///
    /// ```no_run
    /// use sluice::client::{Client, Pod};
    ///
    /// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder().pod(Pod::from_env()?).connect().await?;
    /// let slots = client.concurrency("gpu").acquire().await?;
    /// # drop(slots);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pod(mut self, pod: Pod) -> Self {
        self.pod = Some(pod);
        self
    }

    /// How long [`Client::drain_guard`] waits where it says nothing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = sluice::client::Client::builder().drain_within(Duration::from_secs(5));
    /// ```
    pub fn drain_within(mut self, within: Duration) -> Self {
        self.drain = within;
        self
    }

    /// The namespace of its claims, and of limits that are named without one.
    ///
    /// ```
    /// let builder = sluice::client::Client::builder().namespace("team");
    /// ```
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Connects with this configuration.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = kube::Config::infer().await?;
    /// let client = sluice::client::Client::builder().config(config).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub fn config(mut self, config: kube::Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Uses a client of kube's; see [`Client::from_kube`].
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let kube = kube::Client::try_default().await?;
    /// let client = sluice::client::Client::builder().kube(kube).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub fn kube(mut self, client: kube::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Uses another store than an API server.
    ///
    /// ```
    /// use sluice::client::{Client, Embedded};
    ///
    /// let embedded = std::sync::Arc::new(Embedded::new([("gpu", 2)])?);
    /// let (one, other) = (
    ///     Client::builder().store(embedded.clone()).build()?,
    ///     Client::builder().store(embedded).build()?,
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Uses another clock than the system's.
    ///
    /// ```
    /// use sluice::client::{Client, SystemClock};
    ///
    /// let builder = Client::builder().clock(std::sync::Arc::new(SystemClock::default()));
    /// ```
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Calls this for every event, on a thread of its own.
    ///
    /// ```
    /// let builder = sluice::client::Client::builder().on_event(|event| println!("{}: {:?}", event.request, event.kind));
    /// ```
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Makes the client. Nothing is sent before the first acquisition.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = sluice::client::Client::builder().namespace("team").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(not(feature = "client"), expect(unused_mut))]
    pub async fn connect(mut self) -> Result<Client, ConnectError> {
        #[cfg(feature = "client")]
        if self.config.is_none() && self.client.is_none() && self.store.is_none() {
            self.config = Some(kube::Config::infer().await?);
        }
        self.build()
    }

    /// The same, of what was given: nothing is looked for.
    ///
    /// ```
    /// use sluice::client::{Client, Embedded};
    ///
    /// let embedded = Embedded::new([("gpu", 2)])?;
    /// let client = Client::builder().store(std::sync::Arc::new(embedded)).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Client, ConnectError> {
        let thread = Thread::start().map_err(ConnectError::NoThread)?;
        #[cfg(not(feature = "client"))]
        let store = self.store.ok_or(ConnectError::NothingGiven)?;
        #[cfg(feature = "client")]
        let store = match (self.store, self.client, self.config) {
            (Some(store), _, _) => store,
            (None, Some(client), _) => Arc::new(Cluster::of(client, self.namespace)),
            (None, None, Some(config)) => {
                let _inside = thread.enter();
                Arc::new(Cluster::connect(config, self.namespace)?)
            }
            (None, None, None) => return Err(ConnectError::NothingGiven),
        };
        let settings = Settings {
            store,
            clock: self.clock,
            listener: self.listener,
        };
        let engine = Engine::start(thread, settings).map_err(ConnectError::NoThread)?;
        Ok(Client {
            engine,
            defaults: Arc::new(Defaults {
                timeout: self.timeout,
                lease: self.lease,
                holder: Some(self.holder.unwrap_or_else(default_holder)),
                pod: self.pod,
                drain: self.drain,
            }),
        })
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// The host and the process, for people.
fn default_holder() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|it| !it.is_empty());
    let host = host.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let host = host.as_deref().map_or("unknown host", str::trim);
    let short: String = host.chars().take(200).collect();
    format!("{short}, process {}", std::process::id())
}
