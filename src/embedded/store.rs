//! The store of an embedded client: what would be requests are calls, and a thread of its own sees to deadlines.
//!
//! What may be asked is in `requests` (as of a server), `at_once` (decided while the caller asks), `watch` and `look`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::limits::{EmbeddedError, Limits, object_name};
use super::world::{Losses, World, pool_key};
use crate::api::limit::ConcurrencyLimitSpec;
use crate::client::{Client, ClientBuilder};
use crate::convert::{limit_spec, lock_spec};
use crate::ledger::{Micros, Now, PoolKind, PoolSpec, Tick};

/// Namespace of everything in here.
pub(super) const NAMESPACE: &str = "embedded";
/// Longest that the thread sleeps without looking whether it is still needed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Limits, locks and claims of one process.
///
/// [`Client::embedded`] makes one and a client of it. To change limits later, or to share it among clients, make it
/// first and give it to [`ClientBuilder::store`]:
///
/// ```
/// use sluice::client::{Client, Embedded};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let embedded = Arc::new(Embedded::new([("gpu", 1)])?);
/// let client = Client::builder().store(embedded.clone()).connect().await?;
/// embedded.set_slots("gpu", 2)?;
/// let both = client.request().slots("gpu", 2).acquire().await?;
/// # drop(both);
/// # Ok(())
/// # }
/// ```
pub struct Embedded {
    pub(super) shared: Arc<Shared>,
}

/// What its callers, its thread and its watches share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    wake: Condvar,
    started: Instant,
    started_at: Duration,
}

/// The world, and when it is looked at next.
pub(super) struct Inner {
    pub(super) world: World,
    /// When the thread wakes by itself.
    sleeps_until: Tick,
    closed: bool,
}

impl Embedded {
    /// Makes one with these limits and locks.
    ///
    /// ```
    /// let embedded = sluice::client::Embedded::new([("gpu", 1)])?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn new(limits: impl Into<Limits>) -> Result<Self, EmbeddedError> {
        let limits = limits.into();
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut shared = Shared {
            inner: Mutex::new(Inner {
                world: World::new(Now::default()),
                sleeps_until: Tick(0),
                closed: false,
            }),
            wake: Condvar::new(),
            started: Instant::now(),
            started_at: started_at.unwrap_or_default(),
        };
        let now = shared.now();
        let inner = shared
            .inner
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        inner.world.advance(now);
        for (key, spec) in limits.limits {
            let name = object_name(false, &key)?;
            let spec = checked(false, &key, limit_spec(spec))?;
            let key = pool_key(PoolKind::Limit, NAMESPACE, &name);
            inner.world.create_pool(key, spec, None);
        }
        for (key, spec) in limits.locks {
            let name = object_name(true, &key)?;
            let spec = checked(true, &key, lock_spec(spec))?;
            let key = pool_key(PoolKind::Lock, NAMESPACE, &name);
            inner.world.create_pool(key, spec, None);
        }
        inner.world.settle();
        let shared = Arc::new(shared);
        let of_thread = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("sluice-embedded".to_owned())
            .spawn(move || keep_time(&of_thread))?;
        Ok(Self { shared })
    }

    /// Changes the number of slots of a limit. Lowering it below what is held takes nothing from anybody.
    ///
    /// ```
    /// let embedded = sluice::client::Embedded::new([("gpu", 1)])?;
    /// embedded.set_slots("gpu", 4)?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn set_slots(&self, key: &str, slots: u32) -> Result<(), EmbeddedError> {
        let slots = u64::from(slots);
        self.change(key, |spec| spec.capacity = slots)
    }

    /// Gives a limit another spec.
    ///
    /// ```
    /// use sluice::api::ConcurrencyLimitSpec;
    ///
    /// let embedded = sluice::client::Embedded::new([("gpu", 1)])?;
    /// embedded.set_limit("gpu", ConcurrencyLimitSpec::with_slots(4))?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn set_limit(&self, key: &str, spec: ConcurrencyLimitSpec) -> Result<(), EmbeddedError> {
        let spec = checked(false, key, limit_spec(spec))?;
        self.change(key, |now| *now = spec)
    }

    fn change(&self, key: &str, change: impl FnOnce(&mut PoolSpec)) -> Result<(), EmbeddedError> {
        let name = object_name(false, key)?;
        let at = pool_key(PoolKind::Limit, NAMESPACE, &name);
        self.shared.with(|world| {
            let spec = world.pool(&at).and_then(|pool| pool.spec.read()).cloned();
            let Some(mut spec) = spec else {
                return Err(EmbeddedError::Missing {
                    key: key.to_owned(),
                });
            };
            change(&mut spec);
            world.edit_pool(&at, spec);
            Ok(())
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client whose limits, locks and claims are in this process alone.
    ///
    /// ```
    /// let client = sluice::client::Client::embedded([("gpu", 2)])?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn embedded(limits: impl Into<Limits>) -> Result<Self, EmbeddedError> {
        Self::builder().embedded(limits)
    }
}

impl ClientBuilder {
    /// Makes a client whose limits, locks and claims are in this process alone.
    ///
    /// ```
    /// let client = sluice::client::Client::builder().holder("tests").embedded([("gpu", 2)])?;
    /// # Ok::<(), sluice::client::EmbeddedError>(())
    /// ```
    pub fn embedded(self, limits: impl Into<Limits>) -> Result<Client, EmbeddedError> {
        let store = Arc::new(Embedded::new(limits)?);
        Ok(self.store(store).build()?)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        let elapsed = self.started.elapsed();
        let server = self.started_at.saturating_add(elapsed);
        Now {
            tick: Tick(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
            server: Micros(u64::try_from(server.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    /// Does something to the world, lets the ledger decide, and tells whoever has lost something.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let settled = |world: &mut World| {
            if world.is_put_off() {
                world.settle();
            }
            work(world)
        };
        self.with_after(settled, |_, done| done)
    }

    /// The same, with a look at what the ledger has made of it.
    pub(super) fn with_after<T, U>(
        &self,
        work: impl FnOnce(&mut World) -> T,
        after: impl FnOnce(&mut World, T) -> U,
    ) -> U {
        let mut inner = self.enter();
        let done = work(&mut inner.world);
        inner.world.settle();
        let done = after(&mut inner.world, done);
        tell(self.leave(inner));
        done
    }

    /// Locks; it is now.
    pub(super) fn enter(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        let now = self.now();
        inner.world.advance(now);
        inner
    }

    /// Wakes the thread if it would sleep too long, and unlocks.
    pub(super) fn leave(&self, mut inner: MutexGuard<'_, Inner>) -> Losses {
        let losses = inner.world.take_losses();
        let deadline = inner.world.deadline();
        if deadline.is_some_and(|at| at < inner.sleeps_until) {
            inner.sleeps_until = Tick(0);
            self.wake.notify_one();
        }
        losses
    }
}

/// Tells whoever has lost something; after the world is unlocked.
pub(super) fn tell(losses: Losses) {
    for (holder, loss) in losses {
        holder.lost(loss);
    }
}

/// Does what only time brings about, for as long as there is somebody to do it for.
fn keep_time(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let mut inner = shared.lock();
        if inner.closed {
            return;
        }
        let now = shared.now();
        let due = inner.world.deadline();
        if due.is_some_and(|at| at <= now.tick) {
            inner.world.advance(now);
            inner.world.tick();
            let losses = inner.world.take_losses();
            drop(inner);
            tell(losses);
            continue;
        }
        let left = due.map(|at| Duration::from_millis(at.0.saturating_sub(now.tick.0)));
        inner.sleeps_until = due.unwrap_or(Tick(u64::MAX));
        let sleep = left.map_or(SLEEP_MAX, |left| left.min(SLEEP_MAX));
        let woken = shared.wake.wait_timeout(inner, sleep);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }
}

fn checked(
    lock: bool,
    key: &str,
    spec: Result<PoolSpec, String>,
) -> Result<PoolSpec, EmbeddedError> {
    spec.map_err(|why| EmbeddedError::Spec {
        what: if lock { "lock" } else { "limit" },
        key: key.to_owned(),
        why,
    })
}
