//! What a guard and the task on the I/O thread share: the lease, the guard's wish, and how it ended.
//!
//! The guard reads the lease by the clock at every check, so it stops believing in time even where the I/O thread
//! does not run; the task moves it. Neither waits for the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::{Clock, Stamp};
use super::direct::{DirectId, Holder};
use super::engine::Engine;
use super::error::ReleaseError;
use super::events::EventKind;
use super::lease::{Belief, Lease, Loss};
use super::slots::Token;

/// What is to become of an acquisition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wish {
    /// Get it, or keep it.
    #[default]
    Keep,
    /// Give it back, or give up.
    Release,
    /// Leave it as it is, without renewals.
    Detach,
    /// Leave it to whoever has taken it over.
    Yield,
}

/// A value, and whoever looks out for its changes: of most acquisitions nobody does, and then it is a field.
#[derive(Debug, Default)]
struct Shown<T> {
    value: T,
    watched: Option<watch::Sender<T>>,
}

impl<T: Clone> Shown<T> {
    fn set(&mut self, value: T) {
        if let Some(watched) = &self.watched {
            watched.send_replace(value.clone());
        }
        self.value = value;
    }

    fn watch(&mut self) -> watch::Receiver<T> {
        let value = &self.value;
        let watched = self
            .watched
            .get_or_insert_with(|| watch::Sender::new(value.clone()));
        watched.subscribe()
    }
}

/// What is known of an acquisition.
#[derive(Debug, Default)]
struct State {
    uid: String,
    lease: Option<Lease>,
    tokens: Vec<Token>,
    /// The guard has ended: nothing is believed from then on.
    stopped: bool,
    acquired_event: u64,
    /// Set where it is held directly.
    direct: Option<DirectHold>,
    wish: Shown<Wish>,
    lost: Shown<Option<Loss>>,
    ended: Shown<Option<Result<(), ReleaseError>>>,
}

/// What is held directly: no task follows it, and whoever ends it does what is to be done.
#[derive(Clone, Debug)]
pub(super) struct DirectHold {
    pub(super) engine: Weak<Engine>,
    /// Its number in the count of the engine.
    pub(super) task: u64,
    pub(super) id: DirectId,
    /// What was asked for, for people.
    pub(super) shown: String,
    pub(super) since: Stamp,
}

/// One acquisition, from its begin to its end.
#[derive(Debug)]
pub(super) struct Hold {
    clock: Arc<dyn Clock>,
    name: Arc<str>,
    state: Mutex<State>,
}

impl Hold {
    pub(super) fn new(clock: Arc<dyn Clock>, name: Arc<str>) -> Self {
        Self {
            clock,
            name,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time by the client's clock.
    pub(super) fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// What may be believed now; `None` before it may be believed at all, and once the guard has ended.
    pub(super) fn belief(&self) -> Option<Belief> {
        let now = self.now();
        let mut state = self.state();
        if state.stopped {
            return None;
        }
        if state.direct.is_some() {
            let lost = state.lost.value.is_some();
            return Some(if lost { Belief::Lost } else { Belief::Held });
        }
        let belief = state.lease.as_mut()?.belief(now);
        let loss = state.lease.as_ref().and_then(Lease::loss).cloned();
        drop(state);
        if let Some(loss) = loss {
            self.tell_lost(loss);
        }
        belief
    }

    /// How it was lost, if it was, by now.
    pub(super) fn loss(&self) -> Option<Loss> {
        self.belief();
        self.state().lost.value.clone()
    }

    /// Sees how it is lost.
    pub(super) fn losses(&self) -> watch::Receiver<Option<Loss>> {
        self.state().lost.watch()
    }

    /// Loses it.
    pub(super) fn lose(&self, loss: Loss) {
        if let Some(lease) = self.state().lease.as_mut() {
            lease.lose(loss.clone());
        }
        self.tell_lost(loss);
    }

    fn tell_lost(&self, loss: Loss) -> bool {
        let mut state = self.state();
        let first = state.lost.value.is_none();
        if first {
            state.lost.set(Some(loss));
        }
        first
    }

    /// The claim that it follows.
    pub(super) fn set_uid(&self, uid: &str) {
        uid.clone_into(&mut self.state().uid);
    }

    /// Name of its claim.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// UID of its claim; empty before it has one.
    pub(super) fn uid(&self) -> String {
        let state = self.state();
        match &state.direct {
            Some(direct) => direct.id.as_str().to_owned(),
            None => state.uid.clone(),
        }
    }

    /// It is held directly from now on.
    pub(super) fn begin_direct(&self, direct: DirectHold) {
        self.state().direct = Some(direct);
        let wished = self.wished();
        if wished != Wish::Keep {
            // The client was closed meanwhile.
            self.end_direct(wished);
        }
    }

    /// Does what is wished with what is held directly.
    fn end_direct(&self, wish: Wish) {
        let direct = self.state().direct.clone();
        let Some(direct) = direct else { return };
        let Some(engine) = direct.engine.upgrade() else {
            return;
        };
        if !engine.end_direct(direct.task) {
            return;
        }
        if let Some(store) = engine.store().direct() {
            match wish {
                Wish::Keep => {}
                Wish::Release => store.give_back(&direct.id),
                Wish::Detach | Wish::Yield => drop(store.let_go(&direct.id)),
            }
        }
        let follows = self.acquired_event();
        if wish == Wish::Release && follows != 0 && self.state().lost.value.is_none() {
            self.tell(&engine, &direct, |held| EventKind::Released {
                held,
                follows,
            });
        }
        self.end(Ok(()));
        engine.note_change();
    }

    /// Tells how it ended, after it was held for so long.
    fn tell(&self, engine: &Engine, direct: &DirectHold, kind: impl FnOnce(Duration) -> EventKind) {
        let (name, uid) = (self.name(), direct.id.as_str());
        engine.events().emit(name, Some(uid), &direct.shown, || {
            kind(self.now().at_most_since(direct.since))
        });
    }

    /// The claim was granted.
    pub(super) fn begin(&self, lease: Lease, tokens: Vec<Token>) {
        let mut state = self.state();
        state.lease = Some(lease);
        state.tokens = tokens;
    }

    /// Works on the lease, if there is one.
    pub(super) fn lease<T>(&self, work: impl FnOnce(&mut Lease, Stamp) -> T) -> Option<T> {
        let now = self.now();
        self.state().lease.as_mut().map(|lease| work(lease, now))
    }

    /// Tokens of what was granted.
    pub(super) fn tokens(&self) -> Vec<Token> {
        let state = self.state();
        let Some(direct) = state.direct.clone() else {
            return state.tokens.clone();
        };
        drop(state);
        let engine = direct.engine.upgrade();
        let store = engine.as_ref().and_then(|engine| engine.store().direct());
        store
            .map(|store| store.tokens(&direct.id))
            .unwrap_or_default()
    }

    /// Number of the event that told of the acquisition.
    pub(super) fn acquired_event(&self) -> u64 {
        self.state().acquired_event
    }

    /// Remembers the event that told of the acquisition.
    pub(super) fn set_acquired_event(&self, id: u64) {
        self.state().acquired_event = id;
    }

    /// For how long it was believed.
    pub(super) fn held_for(&self) -> Duration {
        self.lease(|lease, now| lease.held_for(now))
            .unwrap_or_default()
    }

    /// Ends the guard: from here on nothing is believed, and the task does as is wished. The first wish counts.
    pub(super) fn wish(&self, wish: Wish) {
        let (first, is_direct) = {
            let mut state = self.state();
            state.stopped = true;
            let first = state.wish.value == Wish::Keep;
            if first {
                state.wish.set(wish);
            }
            (first, state.direct.is_some())
        };
        if first && is_direct {
            self.end_direct(wish);
        }
    }

    /// Loses it and gives it back, whoever still has the guard.
    pub(super) fn lose_and_release(&self, loss: Loss) {
        self.tell_lost(loss);
        self.wish(Wish::Release);
    }

    /// What is wished.
    pub(super) fn wished(&self) -> Wish {
        self.state().wish.value
    }

    /// Sees what is wished.
    pub(super) fn wishes(&self) -> watch::Receiver<Wish> {
        self.state().wish.watch()
    }

    /// The task is done with it.
    pub(super) fn end(&self, result: Result<(), ReleaseError>) {
        let mut state = self.state();
        if state.ended.value.is_none() {
            state.ended.set(Some(result));
        }
    }

    /// Waits until the task is done with it.
    pub(super) async fn ended(&self) -> Result<(), ReleaseError> {
        let mut ended = self.state().ended.watch();
        let result = match ended.wait_for(Option::is_some).await {
            Ok(result) => result.clone(),
            Err(_) => None,
        };
        result.unwrap_or(Ok(()))
    }
}

impl Holder for Hold {
    fn lost(&self, loss: Loss) {
        let direct = self.state().direct.clone();
        if !self.tell_lost(loss.clone()) {
            return;
        }
        let claim = self.name().to_owned();
        let told = loss.clone();
        self.end(Err(ReleaseError::Lost { claim, loss: told }));
        let Some(direct) = direct else { return };
        if let Some(engine) = direct.engine.upgrade() {
            self.tell(&engine, &direct, |held| EventKind::Lost {
                loss,
                held,
                follows: self.acquired_event(),
            });
        }
    }
}
