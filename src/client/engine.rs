//! The one thread of a client: all that is sent goes out there, and every claim has its task there.
//!
//! Callers reach it by spawning tasks and by flags, which never block and never fail. It lives as long as a client, a
//! guard or a task does. It runs no code of callers: events go to another thread.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
#[cfg(feature = "client")]
use tokio::runtime::EnterGuard;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, oneshot, watch};

use super::clock::{Clock, Stamp};
use super::direct::{AtOnce, Direct, Holder};
use super::error::{AcquireError, ReleaseError};
use super::events::{EventKind, Events, Listener};
use super::follow;
use super::hold::{DirectHold, Hold, Wish};
use super::lease::{Belief, Loss};
use super::news::{Few, News, listen};
use super::plan::Plan;
use super::slots::Slots;
use super::store::{NewClaim, Store, StoreError};
use crate::api::claim::ClaimKind;

/// Most acquisitions of one client at once.
const CLAIMS_MAX: usize = 10_000;
/// Most claims whose end is remembered, so that a late word of the watch starts nothing.
const REMEMBERED_MAX: usize = 16_384;
/// Most limits that are known to exist, for `create_if_missing`.
const KNOWN_LIMITS_MAX: usize = 4_096;
/// The one user of a store in the same process.
const DIRECT_USER: &str = "embedded";
/// Letters of a random name.
const NAME_LETTERS: usize = 20;
/// What they are taken from, as in base32.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What an engine is made of.
pub(super) struct Settings {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) listener: Option<Listener>,
}

/// A thread with a runtime.
pub(super) struct Thread {
    id: ThreadId,
    handle: Handle,
    stop: oneshot::Sender<()>,
}

impl Thread {
    /// Starts it; it ends when the value is dropped.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("sluice-client".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // A resolver that hangs does not keep the process.
                runtime.shutdown_background();
            })?;
        let id = thread.thread().id();
        Ok(Self { id, handle, stop })
    }

    /// What is made inside belongs to this thread.
    #[cfg(feature = "client")]
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

/// An acquisition that is to begin.
pub(super) struct Begin {
    pub(super) plan: Plan,
    /// How long the caller waits.
    pub(super) patience: Option<Duration>,
    /// It does not want to wait for anybody.
    pub(super) tried_once: bool,
    pub(super) cancel: Option<BoxFuture<'static, ()>>,
    pub(super) reply: oneshot::Sender<Result<(), AcquireError>>,
}

/// What is shared by all tasks and guards of a client.
pub(super) struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    events: Events,
    session: String,
    user: OnceCell<String>,
    thread: ThreadId,
    handle: Handle,
    watching: AtomicBool,
    pub(super) watch_works: AtomicBool,
    last_task: AtomicU64,
    inner: Mutex<Inner>,
    /// Grows whenever a task, a name or a leftover ends.
    changed: watch::Sender<u64>,
    closed: watch::Sender<bool>,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Inner {
    tasks: HashMap<u64, Arc<Hold>>,
    names: HashMap<String, Named>,
    leftovers: HashSet<String>,
    /// Claims that have ended, by UID.
    done: Few,
    /// Claims that are to be left as they are, by UID.
    left_alone: Few,
    known_limits: HashSet<String>,
    /// Names with a number that acquisitions have.
    numbered: HashSet<String>,
}

struct Named {
    task: u64,
    hold: Arc<Hold>,
    /// What was asked for, where this client has asked.
    plan: Option<Arc<Plan>>,
    news: Arc<watch::Sender<Option<News>>>,
}

/// A task's right to a name; it ends with this.
pub(super) struct Registration {
    engine: Arc<Engine>,
    task: u64,
    name: String,
    pub(super) news: watch::Receiver<Option<News>>,
}

/// A task in the count.
pub(super) struct Counted {
    engine: Arc<Engine>,
    task: u64,
}

impl Engine {
    pub(super) fn start(thread: Thread, settings: Settings) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            store: settings.store,
            clock: settings.clock,
            events: Events::start(settings.listener)?,
            session: random_name(""),
            user: OnceCell::new(),
            thread: thread.id,
            handle: thread.handle,
            watching: AtomicBool::new(false),
            watch_works: AtomicBool::new(false),
            last_task: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                done: Few::new(REMEMBERED_MAX),
                left_alone: Few::new(REMEMBERED_MAX),
                ..Inner::default()
            }),
            changed: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            _stop: thread.stop,
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_change(&self) {
        // Who begins to listen after this looks at what has changed before.
        if self.changed.receiver_count() == 0 {
            return;
        }
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Whether this is the thread that does the I/O.
    #[cfg_attr(not(feature = "blocking"), expect(dead_code))]
    pub(super) fn is_here(&self) -> bool {
        std::thread::current().id() == self.thread
    }

    /// Id of this process's way to its claims.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    pub(super) fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// Sees whether it is closed.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Runs something on the thread.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }

    /// Asks the store something on the thread, whose runtime its connections need: the caller needs none. `None` where
    /// the thread has ended, or what was asked broke.
    pub(super) async fn ask<T, F>(&self, request: impl FnOnce(Arc<dyn Store>) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.handle
            .spawn(request(Arc::clone(&self.store)))
            .await
            .ok()
    }

    /// Waits by the thread's timer: the caller needs no runtime.
    pub(super) async fn pause(&self, time: Duration) {
        // A panic or the end of the thread ends the pause.
        let timer = self
            .handle
            .spawn(async move { tokio::time::sleep(time).await });
        let _ = timer.await;
    }

    /// The name under which the server knows us; asked once.
    pub(super) async fn user(&self) -> Result<&str, StoreError> {
        let asked = self.user.get_or_try_init(|| self.store.user());
        asked.await.map(String::as_str)
    }

    /// Begins an acquisition: its guard, before it has come to anything.
    pub(super) fn begin(self: &Arc<Self>, begin: Begin) -> Result<Slots, AcquireError> {
        if begin.plan.id.is_none()
            && self.has_template_limits(&begin.plan)
            && let Some(direct) = self.store.direct()
        {
            return self.begin_at_once(direct, begin);
        }
        let name = begin.plan.id.clone();
        let name = name.or_else(|| Some(self.numbered(begin.plan.pod_name.as_deref()?)));
        let name = name.unwrap_or_else(|| random_name("claim-"));
        self.launch(&name, |engine, hold| {
            Box::pin(follow::acquire(engine, hold, begin))
        })
    }

    /// The first of these names that no acquisition of this client has: it has it from now on.
    fn numbered(&self, name: &str) -> String {
        let taken = &mut self.inner().numbered;
        let free = (0_u32..)
            .map(|number| format!("{name}-{number}"))
            .find(|name| !taken.contains(name));
        let free = free.unwrap_or_else(|| random_name("claim-"));
        taken.insert(free.clone());
        free
    }

    /// Whether all limits that are to be created where they are missing are known to exist.
    fn has_template_limits(&self, plan: &Plan) -> bool {
        let template = plan.template.as_ref();
        template.is_none_or(|(keys, _)| keys.iter().all(|key| self.knows_limit(key)))
    }

    /// Begins an acquisition with a store that decides at once; one that has to wait goes on like any other.
    fn begin_at_once(
        self: &Arc<Self>,
        direct: &dyn Direct,
        mut begin: Begin,
    ) -> Result<Slots, AcquireError> {
        let cancelled = begin.cancel.as_mut().and_then(|it| it.now_or_never());
        if cancelled.is_some() {
            return Err(AcquireError::Cancelled {
                request: begin.plan.shown,
            });
        }
        let name = random_name("claim-");
        let since = self.now();
        let hold = Arc::new(Hold::new(Arc::clone(&self.clock), &name));
        let task = self.count(&hold)?;
        let mut spec = begin.plan.spec.clone();
        spec.session.clone_from(&self.session);
        spec.user = DIRECT_USER.to_owned();
        let holder: Arc<dyn Holder> = Arc::clone(&hold) as _;
        let claimed = match direct.claim(NewClaim { name, spec }, holder) {
            Ok(claimed) => claimed,
            Err(error) => {
                self.end_direct(task);
                let shown = &begin.plan.shown;
                return Err(AcquireError::Invalid(format!("{shown}: {error}")));
            }
        };
        match claimed {
            AtOnce::Granted(id) => {
                let takes = begin.plan.spec.kind == ClaimKind::RateLimit;
                let waited = self.now().at_most_since(since);
                let (uid, kind) = (Some(id.as_str()), EventKind::Acquired { waited });
                let shown = begin.plan.shown;
                let event = self.events.emit(hold.name(), uid, &shown, kind);
                // What is taken for a rate is never told as released.
                hold.set_acquired_event(if takes { 0 } else { event });
                hold.begin_direct(DirectHold {
                    engine: Arc::downgrade(self),
                    task,
                    id,
                    shown,
                    since,
                });
                if takes {
                    // Nothing is held: what was taken stays taken.
                    hold.wish(Wish::Release);
                }
                // Whoever asked is on this thread, and listens.
                let _ = begin.reply.send(Ok(()));
            }
            AtOnce::Waits(id) => {
                self.listen_to_watch();
                let counted = Counted {
                    engine: Arc::clone(self),
                    task,
                };
                let hold = Arc::clone(&hold);
                self.handle
                    .spawn(follow::go_on(counted, hold, begin, id, since));
            }
        }
        Ok(Slots::of(hold, Arc::clone(self)))
    }

    /// What was held directly has ended; whether it had not before.
    pub(super) fn end_direct(&self, task: u64) -> bool {
        self.inner().tasks.remove(&task).is_some()
    }

    /// Counts an acquisition: its number.
    fn count(&self, hold: &Arc<Hold>) -> Result<u64, AcquireError> {
        let task = self.last_task.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.inner();
        // Looked at under the lock, so that nothing begins behind the back of a drain.
        if *self.closed.borrow() {
            return Err(AcquireError::Closed);
        }
        if inner.tasks.len() >= CLAIMS_MAX {
            return Err(AcquireError::Unavailable(format!(
                "this client has {CLAIMS_MAX} acquisitions already"
            )));
        }
        inner.tasks.insert(task, Arc::clone(hold));
        Ok(task)
    }

    fn listen_to_watch(self: &Arc<Self>) {
        if !self.watching.swap(true, Ordering::Relaxed) {
            let (engine, store) = (Arc::downgrade(self), Arc::clone(&self.store));
            let session = self.session.clone();
            self.handle
                .spawn(async move { listen(engine, store.watch(&session)).await });
        }
    }

    /// Begins a task for a claim of this name.
    pub(super) fn launch(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(Counted, Arc<Hold>) -> BoxFuture<'static, ()>,
    ) -> Result<Slots, AcquireError> {
        let hold = Arc::new(Hold::new(Arc::clone(&self.clock), name));
        let task = self.count(&hold).inspect_err(|_| {
            self.inner().numbered.remove(name);
        })?;
        self.listen_to_watch();
        let counted = Counted {
            engine: Arc::clone(self),
            task,
        };
        self.handle.spawn(work(counted, Arc::clone(&hold)));
        Ok(Slots::of(hold, Arc::clone(self)))
    }

    /// Whose claim of this name it is, if a task follows one.
    pub(super) fn follower(&self, name: &str) -> Option<Arc<watch::Sender<Option<News>>>> {
        let inner = self.inner();
        inner.names.get(name).map(|named| Arc::clone(&named.news))
    }

    /// All names that are followed.
    pub(super) fn followers(&self) -> Vec<Arc<watch::Sender<Option<News>>>> {
        let inner = self.inner();
        inner
            .names
            .values()
            .map(|named| Arc::clone(&named.news))
            .collect()
    }

    /// Whether nobody wants this claim of ours, and it is not on its way out either.
    pub(super) fn is_stray(&self, name: &str, uid: &str) -> bool {
        let inner = self.inner();
        !inner.names.contains_key(name)
            && !inner.leftovers.contains(name)
            && !inner.done.contains(uid)
            && !inner.left_alone.contains(uid)
    }

    /// Whether this claim has ended, or is not to be touched.
    pub(super) fn is_settled(&self, uid: &str) -> bool {
        let inner = self.inner();
        inner.done.contains(uid) || inner.left_alone.contains(uid)
    }

    /// A claim has been released, or is gone.
    pub(super) fn note_done(&self, uid: &str) {
        self.inner().done.insert(uid);
    }

    /// A claim is not to be released by us.
    pub(super) fn leave_alone(&self, uid: &str) {
        self.inner().left_alone.insert(uid);
    }

    /// A leftover of this name is looked after from now on; false if it is already.
    pub(super) fn add_leftover(&self, name: &str) -> bool {
        self.inner().leftovers.insert(name.to_owned())
    }

    /// A leftover is settled.
    pub(super) fn remove_leftover(&self, name: &str) {
        self.inner().leftovers.remove(name);
        self.note_change();
    }

    /// Whether a limit is known to exist.
    pub(super) fn knows_limit(&self, key: &str) -> bool {
        self.inner().known_limits.contains(key)
    }

    /// A limit is known to exist, or not to.
    pub(super) fn note_limit(&self, key: &str, exists: bool) {
        let known = &mut self.inner().known_limits;
        if !exists {
            known.remove(key);
        } else if known.len() < KNOWN_LIMITS_MAX {
            known.insert(key.to_owned());
        }
    }

    /// Closes, and waits for the end of everything, at most for so long.
    pub(super) async fn drain(self: &Arc<Self>, within: Duration) -> super::DrainReport {
        let engine = Arc::clone(self);
        let drained = self.handle.spawn(drained(engine, within)).await;
        drained.unwrap_or_default()
    }

    /// The same, for a thread that may block.
    pub(super) fn drain_blocking(self: &Arc<Self>, within: Duration) -> super::DrainReport {
        let (report, reported) = std::sync::mpsc::sync_channel(1);
        let engine = Arc::clone(self);
        self.handle.spawn(async move {
            let _ = report.send(drained(engine, within).await);
        });
        let patience = within.saturating_add(Duration::from_secs(1));
        reported.recv_timeout(patience).unwrap_or_default()
    }
}

async fn drained(engine: Arc<Engine>, within: Duration) -> super::DrainReport {
    let deadline = Instant::now() + within;
    let mut changed = engine.changed.subscribe();
    let before = {
        let inner = engine.inner();
        engine.closed.send_replace(true);
        inner.tasks.len()
    };
    loop {
        {
            let inner = engine.inner();
            if inner.tasks.is_empty() && inner.leftovers.is_empty() {
                break;
            }
        }
        let ended = tokio::time::timeout_at(deadline.into(), changed.changed());
        if ended.await.is_err() {
            break;
        }
    }
    let (tasks, leftovers): (Vec<Arc<Hold>>, Vec<String>) = {
        let inner = engine.inner();
        let tasks = inner.tasks.values().cloned().collect();
        (tasks, inner.leftovers.iter().cloned().collect())
    };
    let mut report = super::DrainReport {
        ended: before.saturating_sub(tasks.len()),
        unreleased: leftovers,
        ..super::DrainReport::default()
    };
    for hold in tasks {
        let belief = hold.belief();
        if belief == Some(Belief::Lost) {
            hold.wish(Wish::Detach);
        } else if hold.wished() == Wish::Keep && belief.is_some() {
            report.held.push(hold.name().to_owned());
            engine.leave_alone(&hold.uid());
            hold.lose(Loss::Closed);
            hold.wish(Wish::Detach);
        } else {
            report.unreleased.push(hold.name().to_owned());
        }
    }
    report.held.sort_unstable();
    report.unreleased.sort_unstable();
    report
}

impl Counted {
    /// The engine it is counted by.
    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Takes a name. An acquisition of this client that has it is told to leave it, and is waited for; the claim that
    /// it held then comes with the name: its former holder is known not to believe. Fails with what differs if that
    /// one was of another request, and does nothing to it.
    pub(super) async fn register(
        &self,
        name: &str,
        hold: &Arc<Hold>,
        plan: Option<&Arc<Plan>>,
    ) -> Result<(Registration, Option<String>), String> {
        let mut former = None;
        let mut changed = self.engine.changed.subscribe();
        loop {
            {
                let mut inner = self.engine.inner();
                match inner.names.get(name) {
                    None => {
                        let (news, seen) = watch::channel(None);
                        let named = Named {
                            task: self.task,
                            hold: Arc::clone(hold),
                            plan: plan.cloned(),
                            news: Arc::new(news),
                        };
                        inner.names.insert(name.to_owned(), named);
                        let registration = Registration {
                            engine: Arc::clone(&self.engine),
                            task: self.task,
                            name: name.to_owned(),
                            news: seen,
                        };
                        return Ok((registration, former));
                    }
                    Some(named) => {
                        if let (Some(plan), Some(other)) = (plan, &named.plan)
                            && let Some(difference) = plan.difference(&other.spec, "")
                        {
                            return Err(difference);
                        }
                        let uid = named.hold.uid();
                        let other = Arc::clone(&named.hold);
                        // It took the claim over itself: whoever had it before may believe still.
                        let quiet = other.lease(|lease, now| lease.is_quiet(now));
                        drop(inner);
                        other.lose(Loss::Adopted);
                        other.wish(Wish::Yield);
                        if !uid.is_empty() && quiet != Some(true) {
                            former = Some(uid);
                        }
                    }
                }
            }
            if changed.changed().await.is_err() {
                // The engine holds the other end, and we hold the engine.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut inner = self.engine.inner();
        let own = inner.names.get(&self.name).map(|named| named.task);
        if own == Some(self.task) {
            inner.names.remove(&self.name);
        }
        drop(inner);
        self.engine.note_change();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let hold = {
            let mut inner = self.engine.inner();
            let hold = inner.tasks.remove(&self.task);
            if let Some(hold) = &hold {
                inner.numbered.remove(hold.name());
            }
            hold
        };
        // A task that panicked leaves nobody waiting.
        if let Some(hold) = hold {
            hold.end(Err(ReleaseError::Unavailable {
                claim: hold.name().to_owned(),
                detail: "its task has ended".to_owned(),
            }));
        }
        self.engine.note_change();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("session", &self.session)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// A name that nobody else has: a hundred bits of it are random.
pub(super) fn random_name(prefix: &str) -> String {
    let mut bits = fastrand::u128(..);
    let mut name = String::with_capacity(prefix.len().saturating_add(NAME_LETTERS));
    name.push_str(prefix);
    for _ in 0..NAME_LETTERS {
        // Five bits a letter.
        let letter = LETTERS.get((bits & 31) as usize).copied();
        name.push(char::from(letter.unwrap_or(b'a')));
        bits >>= 5;
    }
    name
}
