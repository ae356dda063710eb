//! What a client is made of: defaults, and the way to a server.

use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
#[cfg(feature = "client")]
use super::cluster::Cluster;
use super::connect::ConnectError;
use super::engine::{Engine, Settings, Thread};
use super::events::{Event, Listener};
use super::handle::{Client, Defaults};
use super::pod::Pod;
use super::store::Store;

/// How long [`Client::close`] and scopes wait where nothing is said.
const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

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

impl ClientBuilder {
    /// As it begins: nothing is said.
    pub(super) fn new() -> Self {
        Self {
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
        let defaults = Defaults {
            timeout: self.timeout,
            lease: self.lease,
            holder: Some(self.holder.unwrap_or_else(default_holder)),
            pod: self.pod,
            drain: self.drain,
        };
        Ok(Client::new(engine, defaults))
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
