//! The one thread of a client: all that is sent goes out there, and every claim has its task there.
//!
//! Callers reach it by spawning tasks and by flags, which never block and never fail. It lives as long as a client, a
//! guard or a task does. It runs no code of callers: events go to another thread.
//!
//! | file | what |
//! |---|---|
//! | `thread` | the thread and its runtime |
//! | `registry` | who is counted, and who has which name |
//! | `at_once` | acquisitions of a store in the same process |
//! | `closing` | the end of a client |
//! | `name` | names that nobody else has |

mod at_once;
mod closing;
mod name;
mod registry;
mod thread;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, oneshot, watch};

use super::clock::{Clock, Stamp};
use super::error::AcquireError;
use super::events::{Events, Listener};
use super::follow;
use super::hold::Hold;
use super::news::{Few, News, listen};
use super::own_name::{NUMBERS_MAX, OwnName};
use super::plan::Plan;
use super::slots::Slots;
use super::store::{Store, StoreError};

use name::random_name;
use registry::Named;
pub(super) use registry::{Counted, Registration};
pub(super) use thread::Thread;

/// Most acquisitions of one client at once.
const CLAIMS_MAX: usize = 10_000;
/// Most claims whose end is remembered, so that a late word of the watch starts nothing.
const REMEMBERED_MAX: usize = 16_384;
/// Most limits that are known to exist, for `create_if_missing`.
const KNOWN_LIMITS_MAX: usize = 4_096;

/// What an engine is made of.
pub(super) struct Settings {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) listener: Option<Listener>,
}

/// An acquisition that is to begin.
pub(super) struct Begin {
    pub(super) plan: Plan,
    /// How long the caller waits.
    pub(super) patience: Option<Duration>,
    /// It does not want to wait for anybody.
    pub(super) tried_once: bool,
    pub(super) cancel: Option<BoxFuture<'static, ()>>,
}

/// Where it is said that an acquisition holds, or why not.
pub(super) type Reply = oneshot::Sender<Result<(), AcquireError>>;

/// An acquisition that has begun.
pub(super) struct Begun {
    pub(super) slots: Slots,
    /// What it will come to; `None` where it holds already.
    pub(super) answer: Option<oneshot::Receiver<Result<(), AcquireError>>>,
}

impl Begun {
    /// Waits until it holds. Dropping this gives up, for the guard goes with it.
    pub(super) async fn held(self) -> Result<Slots, AcquireError> {
        let Some(answer) = self.answer else {
            return Ok(self.slots);
        };
        match answer.await {
            Ok(Ok(())) => Ok(self.slots),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(AcquireError::Closed),
        }
    }
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
    pub(super) fn begin(self: &Arc<Self>, begin: Begin) -> Result<Begun, AcquireError> {
        if begin.plan.id.is_none()
            && self.has_template_limits(&begin.plan)
            && let Some(direct) = self.store.direct()
        {
            return self.begin_at_once(direct, begin);
        }
        let (name, own_name) = match (&begin.plan.id, &begin.plan.pod_name) {
            (Some(id), _) => (id.clone(), None),
            (None, None) => (random_name("claim-"), None),
            (None, Some(name)) => {
                let own_name = OwnName::numbered(name).ok_or_else(|| {
                    AcquireError::Unavailable(format!(
                        "{}: this container has {NUMBERS_MAX} acquisitions for the same already",
                        begin.plan.shown
                    ))
                })?;
                (own_name.as_str().to_owned(), Some(own_name))
            }
        };
        self.launch(&name, |engine, hold, reply| {
            Box::pin(follow::acquire(engine, hold, begin, reply, own_name))
        })
    }

    /// Whether all limits that are to be created where they are missing are known to exist.
    fn has_template_limits(&self, plan: &Plan) -> bool {
        let template = plan.template.as_ref();
        template.is_none_or(|(keys, _)| keys.iter().all(|key| self.knows_limit(key)))
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
        work: impl FnOnce(Counted, Arc<Hold>, Reply) -> BoxFuture<'static, ()>,
    ) -> Result<Begun, AcquireError> {
        let hold = Arc::new(Hold::new(Arc::clone(&self.clock), name.into()));
        let task = self.count(&hold)?;
        self.listen_to_watch();
        let counted = Counted {
            engine: Arc::clone(self),
            task,
        };
        let (reply, answer) = oneshot::channel();
        self.handle.spawn(work(counted, Arc::clone(&hold), reply));
        Ok(Begun {
            slots: Slots::of(hold, Arc::clone(self)),
            answer: Some(answer),
        })
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
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("session", &self.session)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
