//! The store of an embedded client: what would be requests are calls, and a thread of its own sees to deadlines.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::limits::{EmbeddedError, Limits, object_name};
use super::row::{Row, grant};
use super::world::{Losses, World, pool_key};
use crate::api::claim::{ClaimKind, MAX_SEQ_STEP, MIN_LEASE_DURATION_SECONDS, SlotClaimSpec};
use crate::api::key::QualifiedKey;
use crate::api::limit::ConcurrencyLimitSpec;
use crate::api::lock::LockSpec;
use crate::client::direct::{AtOnce, Direct, DirectId, Holder};
use crate::client::store::{
    ClaimAt, ClaimVersion, Found, NewClaim, Sight, Store, StoreError, Swap, Wanted, Watched,
};
use crate::client::{Client, ClientBuilder, Token};
use crate::convert::{claim_wants, limit_spec, lock_spec};
use crate::ledger::{
    ClaimPhase, Micros, Name, Now, Part, PoolKind, PoolObject, PoolSpec, Tick, Uid,
};

/// Namespace of everything in here.
const NAMESPACE: &str = "embedded";
/// Name of the one user there is.
const USER: &str = "embedded";
/// Most holders that are named in a look.
const HOLDERS_MAX: usize = 100;
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
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    wake: Condvar,
    started: Instant,
    started_at: Duration,
}

struct Inner {
    world: World,
    /// When the thread wakes by itself.
    sleeps_until: Tick,
    closed: bool,
}

impl Embedded {
    /// Makes one with these limits and locks.
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
    pub fn set_slots(&self, key: &str, slots: u32) -> Result<(), EmbeddedError> {
        let slots = u64::from(slots);
        self.change(key, |spec| spec.capacity = slots)
    }

    /// Gives a limit another spec.
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
    pub fn embedded(limits: impl Into<Limits>) -> Result<Self, EmbeddedError> {
        Self::builder().embedded(limits)
    }
}

impl ClientBuilder {
    /// Makes a client whose limits, locks and claims are in this process alone.
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
    fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let settled = |world: &mut World| {
            if world.is_put_off() {
                world.settle();
            }
            work(world)
        };
        self.with_after(settled, |_, done| done)
    }

    /// The same, with a look at what the ledger has made of it.
    fn with_after<T, U>(
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
    fn enter(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        let now = self.now();
        inner.world.advance(now);
        inner
    }

    /// Wakes the thread if it would sleep too long, and unlocks.
    fn leave(&self, mut inner: MutexGuard<'_, Inner>) -> Losses {
        let losses = inner.world.take_losses();
        let deadline = inner.world.deadline();
        if deadline.is_some_and(|at| at < inner.sleeps_until) {
            inner.sleeps_until = Tick(0);
            self.wake.notify_one();
        }
        losses
    }
}

fn tell(losses: Losses) {
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

/// A claim's spec as a server would take it.
fn check(spec: &SlotClaimSpec) -> Result<(), StoreError> {
    let invalid = |why: &str| Err(StoreError::Invalid(why.to_owned()));
    if spec.slots.is_empty() && spec.locks.is_empty() {
        return invalid("it asks for nothing");
    }
    if spec.kind == ClaimKind::RateLimit && !spec.locks.is_empty() {
        return invalid("a rate limit takes no locks");
    }
    if spec.pod_ref.is_some() {
        return invalid("there are no pods in an embedded client");
    }
    let lease = spec.lease_duration_seconds;
    if lease.is_some_and(|lease| lease < MIN_LEASE_DURATION_SECONDS) {
        return invalid("its lease is too short");
    }
    Ok(())
}

/// A new claim, with its place in the queue.
fn row(world: &mut World, claim: NewClaim) -> Result<Row, StoreError> {
    check(&claim.spec)?;
    let namespace = Name::from(NAMESPACE);
    let wants = claim_wants(&claim.spec, &namespace).map_err(StoreError::Invalid)?;
    // Of two claims of one microsecond the first has the lower number.
    let uid = uid_of(world.next_uid());
    let arrival = world.now().server;
    let name = Name::from(claim.name);
    Ok(Row::new(uid, namespace, name, claim.spec, wants, arrival))
}

/// A number as sixteen digits, which are in order as numbers are.
fn uid_of(number: u64) -> Uid {
    let mut digits = [b'0'; 16];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    Uid::from(std::str::from_utf8(&digits).unwrap_or_default())
}

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound(format!("claim {name}"))
}

/// The claim that a write is for, if all that it tests holds.
fn tested(world: &World, at: &ClaimAt) -> Result<Uid, StoreError> {
    let row = world.named(&at.name).ok_or_else(|| not_found(&at.name))?;
    if row.view.uid.as_str() != at.uid || row.spec.session != at.session {
        return Err(StoreError::Refused(
            "its uid or session is another".to_owned(),
        ));
    }
    Ok(row.view.uid.clone())
}

/// A renewal goes forward, by steps, on a claim that may still be held.
fn check_renewal(row: &Row, seq: i64) -> Result<(), StoreError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()));
    let last = row.spec.renew.seq;
    if seq <= last || seq > last.saturating_add(MAX_SEQ_STEP) {
        return refused("renew.seq goes forward, by at most 1,000");
    }
    if row.spec.release {
        return refused("it was released");
    }
    if row.phase().is_final() {
        return refused("it has ended");
    }
    Ok(())
}

impl Embedded {
    /// Changes a claim, and reads it as the ledger has left it.
    fn update(
        &self,
        find: impl FnOnce(&World) -> Result<Uid, StoreError>,
        change: impl FnOnce(&mut Row),
    ) -> Result<ClaimVersion, StoreError> {
        self.shared.with(|world| {
            let uid = find(world)?;
            world.write(&uid, change);
            let row = world.row(&uid);
            row.map(Row::read).ok_or_else(|| not_found(uid.as_str()))
        })
    }
}

#[async_trait]
impl Store for Embedded {
    fn namespace(&self) -> &str {
        NAMESPACE
    }

    async fn user(&self) -> Result<String, StoreError> {
        Ok(USER.to_owned())
    }

    async fn create(&self, claim: &NewClaim) -> Result<ClaimVersion, StoreError> {
        self.shared.with_after(
            |world| {
                if world.named(&claim.name).is_some() {
                    return Err(StoreError::Exists(format!("claim {}", claim.name)));
                }
                let row = row(world, claim.clone())?;
                let (uid, created) = (row.view.uid.clone(), row.read());
                world.insert(row);
                Ok((uid, created))
            },
            |world, made| {
                let (uid, created) = made?;
                Ok(world.row(&uid).map_or(created, Row::read))
            },
        )
    }

    async fn get(&self, name: &str) -> Result<Option<ClaimVersion>, StoreError> {
        Ok(self.shared.with(|world| world.named(name).map(Row::read)))
    }

    async fn renew(&self, at: &ClaimAt, seq: i64) -> Result<ClaimVersion, StoreError> {
        let find = |world: &World| {
            let uid = tested(world, at)?;
            let row = world.row(&uid).ok_or_else(|| not_found(&at.name))?;
            check_renewal(row, seq)?;
            Ok(uid)
        };
        self.update(find, |row| row.spec.renew.seq = seq)
    }

    async fn adopt(&self, swap: &Swap) -> Result<ClaimVersion, StoreError> {
        let find = |world: &World| {
            let uid = tested(world, &swap.at)?;
            let row = world.row(&uid).ok_or_else(|| not_found(&swap.at.name))?;
            check_renewal(row, swap.new_seq)?;
            if row.read().version != swap.version {
                return Err(StoreError::Refused("it has changed".to_owned()));
            }
            Ok(uid)
        };
        self.update(find, |row| {
            row.spec.renew.seq = swap.new_seq;
            row.spec.session.clone_from(&swap.session);
        })
    }

    async fn release(&self, at: &ClaimAt) -> Result<ClaimVersion, StoreError> {
        self.update(|world| tested(world, at), |row| row.spec.release = true)
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<(), StoreError> {
        self.shared.with(|world| {
            let row = world.named(name).ok_or_else(|| not_found(name))?;
            if row.view.uid.as_str() != uid {
                return Err(StoreError::Refused("its uid is another".to_owned()));
            }
            let uid = row.view.uid.clone();
            world.delete(&uid);
            Ok(())
        })
    }

    fn watch(&self, session: &str) -> BoxStream<'static, Watched> {
        let wake = self.shared.with(|world| world.sessions.open(session));
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            session: session.to_owned(),
            ready: VecDeque::from([Watched::Caught]),
        };
        futures::stream::unfold((watch, wake), |(mut watch, wake)| async move {
            loop {
                if let Some(watched) = watch.ready.pop_front() {
                    return Some((watched, (watch, wake)));
                }
                let notified = wake.notified();
                watch.look();
                if watch.ready.is_empty() {
                    notified.await;
                }
            }
        })
        .boxed()
    }

    async fn create_limit(&self, key: &str, spec: &ConcurrencyLimitSpec) -> Result<(), StoreError> {
        let spec = limit_spec(spec.clone()).map_err(StoreError::Invalid)?;
        self.create_pool(PoolKind::Limit, key, spec)
    }

    async fn create_lock(&self, key: &str, spec: &LockSpec) -> Result<(), StoreError> {
        let spec = lock_spec(spec.clone()).map_err(StoreError::Invalid)?;
        self.create_pool(PoolKind::Lock, key, spec)
    }

    async fn look(&self, wanted: &[Wanted]) -> Vec<Sight> {
        self.shared
            .with(|world| wanted.iter().map(|wanted| sight(world, wanted)).collect())
    }

    fn look_pause(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn direct(&self) -> Option<&dyn Direct> {
        Some(self)
    }
}

impl Embedded {
    fn create_pool(&self, kind: PoolKind, key: &str, spec: PoolSpec) -> Result<(), StoreError> {
        let parsed =
            QualifiedKey::parse(key).map_err(|why| StoreError::Invalid(why.to_string()))?;
        let namespace = parsed.namespace.as_deref().unwrap_or(NAMESPACE);
        if namespace != NAMESPACE {
            return Err(StoreError::NotFound(format!("namespace {namespace}")));
        }
        let at = pool_key(kind, namespace, &parsed.key.object_name());
        if self.shared.with(|world| world.create_pool(at, spec, None)) {
            Ok(())
        } else {
            Err(StoreError::Exists(key.to_owned()))
        }
    }
}

impl Direct for Embedded {
    fn claim(&self, claim: NewClaim, holder: Arc<dyn Holder>) -> Result<AtOnce, StoreError> {
        self.shared.with_after(
            |world| {
                let mut row = row(world, claim)?;
                row.holder = Some(holder);
                let uid = row.view.uid.clone();
                world.insert(row);
                Ok(uid)
            },
            |world, uid| {
                let uid = uid?;
                let phase = world.row(&uid).map(Row::phase);
                Ok(if phase == Some(ClaimPhase::Granted) {
                    AtOnce::Granted(DirectId(uid))
                } else {
                    AtOnce::Waits(DirectId(uid))
                })
            },
        )
    }

    fn tokens(&self, id: &DirectId) -> Vec<Token> {
        self.shared.with(|world| {
            let row = world.row(&id.0);
            let leases = row.map_or(&[][..], Row::leases);
            leases
                .iter()
                .map(|lease| Token::from(&grant(lease)))
                .collect()
        })
    }

    fn give_back(&self, id: &DirectId) {
        let mut inner = self.shared.enter();
        inner.world.write(&id.0, |row| row.spec.release = true);
        inner.world.settle_soon();
        tell(self.shared.leave(inner));
    }

    fn let_go(&self, id: &DirectId) -> Option<ClaimVersion> {
        self.shared.with(|world| {
            world.let_go(&id.0);
            let row = world.row(&id.0)?;
            let (read, over) = (row.read(), refused(row));
            if over {
                // Nobody else will ever ask for it.
                world.discard(&id.0);
            }
            Some(read)
        })
    }
}

/// It came to nothing, and holds nothing.
fn refused(row: &Row) -> bool {
    matches!(row.phase(), ClaimPhase::Denied | ClaimPhase::TimedOut)
}

/// What a watch has still to show.
struct Watch {
    shared: Arc<Shared>,
    session: String,
    ready: VecDeque<Watched>,
}

impl Watch {
    fn look(&mut self) {
        let (session, ready) = (&self.session, &mut self.ready);
        self.shared.with(|world| {
            for (name, uid) in world.sessions.take(session) {
                let row = world.row(&Uid::from(uid.as_str()));
                let Some(row) = row.filter(|row| row.spec.session == *session) else {
                    ready.push_back(Watched::Gone { name, uid });
                    continue;
                };
                let over = refused(row).then(|| row.view.uid.clone());
                ready.push_back(Watched::Version(Box::new(row.read())));
                if let Some(uid) = over {
                    // It was read, and holds nothing. That it is gone is no news, and would hide how it ended.
                    world.discard(&uid);
                }
            }
        });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared
            .with(|world| world.sessions.close(&self.session));
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

fn sight(world: &World, wanted: &Wanted) -> Sight {
    let (kind, what) = match wanted.lock {
        true => (PoolKind::Lock, "lock"),
        false => (PoolKind::Limit, "limit"),
    };
    let mut sight = Sight {
        what: format!("{what} {}", wanted.key),
        ..Sight::default()
    };
    let Ok(key) = QualifiedKey::parse(&wanted.key) else {
        return sight;
    };
    let namespace = key.namespace.as_deref().unwrap_or(NAMESPACE);
    match world.pool(&pool_key(kind, namespace, &key.key.object_name())) {
        None => sight.missing = true,
        Some(pool) => sight.found = Some(found(world, kind, pool)),
    }
    sight
}

fn found(world: &World, kind: PoolKind, pool: &PoolObject) -> Found {
    let mut found = Found {
        slots: match (kind, &pool.spec) {
            (PoolKind::Limit, Part::Read(spec)) => i64::try_from(spec.capacity).ok(),
            _ => None,
        },
        ..Found::default()
    };
    if let Part::Read(status) = &pool.status {
        found.held = status.in_use;
        found.waiting = status.waiting;
        for lease in status.entries().take(HOLDERS_MAX) {
            let holder = world.row(&lease.uid).map(|row| row.spec.holder.as_str());
            found.holders.push(match holder {
                Some(holder) if !holder.is_empty() => format!("claim {} ({holder})", lease.name),
                _ => format!("claim {}", lease.name),
            });
            found
                .tokens
                .push(i64::try_from(lease.token.0).unwrap_or(i64::MAX));
        }
    }
    found
}
