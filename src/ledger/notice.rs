//! What people are told by events: sparingly, and never in the way of a grant.
//!
//! A pod hears of its wait after two seconds and again only when the cause changes. A token bucket
//! bounds all events together; what is held back is summarised on the pool. Texts are made only for
//! events that go out.

use std::sync::Arc;

use super::book::Ledger;
use super::bounds::{
    EVENT_SUMMARY_EVERY, EVENTS_BURST, EVENTS_PER_SECOND, NOTICE_AFTER, NOTICES_PER_SECOND,
    RECHECK_EVERY,
};
use super::cause::Cause;
use super::effect::{About, Effect, Event};
use super::ids::{HolderKind, PoolKey, Uid};
use super::request::{Phase, Place, Request};
use super::time::{Span, Tick};
use super::timers::Timer;
use super::view::RequestText;

/// Longest note of an event, in bytes (the API refuses notes over 1 kB).
const NOTE_BYTES_MAX: usize = 1_000;

/// A token bucket over the ledger's own ticks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Bucket {
    /// Thousandths of an event that may still go.
    level: Option<u64>,
    at: Tick,
}

impl Bucket {
    /// Takes one token if there is one.
    fn take(&mut self, now: Tick) -> bool {
        let gained = now.since(self.at).0.saturating_mul(EVENTS_PER_SECOND);
        let most = EVENTS_BURST.saturating_mul(1000);
        let level = self
            .level
            .map_or(most, |level| level.saturating_add(gained).min(most));
        self.at = now;
        self.level = Some(level.saturating_sub(if level >= 1000 { 1000 } else { 0 }));
        level >= 1000
    }
}

impl Ledger {
    /// Tells people something, if the bucket allows; whether it went out.
    pub(super) fn tell(
        &mut self,
        about: About,
        warning: bool,
        reason: &'static str,
        note: impl FnOnce() -> String,
    ) -> bool {
        if !self.options.events || !self.bucket.take(self.now.tick) {
            self.stats.events_held_back = self.stats.events_held_back.saturating_add(1);
            return false;
        }
        let mut note = note();
        if note.len() > NOTE_BYTES_MAX {
            let cut = (0..=NOTE_BYTES_MAX)
                .rev()
                .find(|at| note.is_char_boundary(*at))
                .unwrap_or(0);
            note.truncate(cut);
        }
        self.effects.push_back(Effect::Event(Box::new(Event {
            about,
            warning,
            reason,
            note,
        })));
        true
    }

    /// A request waits: if it still does in a moment, people are to hear why.
    pub(super) fn notice_soon(&mut self, uid: &Uid) {
        if self.options.events {
            let at = self.now.tick.after(NOTICE_AFTER);
            self.timers.set(at, Timer::Notice(uid.clone()));
        }
    }

    /// A request has waited: say why, if that was not said yet.
    pub(super) fn notice(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        if request.view.is_revealed() || request.gone.is_some() || !self.options.events {
            return;
        }
        // Causes change without anybody touching the request: look again from time to time, the more
        // wait the more seldom.
        let waiting = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        let pause = Span::seconds(waiting / NOTICES_PER_SECOND).max(RECHECK_EVERY);
        self.timers
            .set(self.now.tick.after(pause), Timer::Notice(uid.clone()));
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        // One that is just being granted, or given up, may wait again.
        if !matches!(request.phase, Phase::Waiting) {
            return;
        }
        let Some(cause) = self.cause_of(uid) else {
            return;
        };
        if cause == Cause::RequestDeleting {
            return;
        }
        if request
            .told
            .as_ref()
            .is_some_and(|told| same_for_people(told, &cause))
        {
            return;
        }
        let about = request_about(request);
        let warning = cause.needs_attention();
        let note_cause = cause.clone();
        let mut note = None;
        if self.bucket_has_room() {
            note = Some(self.explain(uid, &note_cause));
        }
        let told = match note {
            Some(note) => self.tell(about, warning, cause.reason(), || note),
            None => false,
        };
        if told {
            if let Some(request) = self.requests.get_mut(uid) {
                request.told = Some(cause);
            }
        } else {
            self.hold_back(uid);
        }
    }

    /// Room for one more notice. The last place is kept for what is about more than one pod.
    fn bucket_has_room(&self) -> bool {
        let mut copy = self.bucket.clone();
        copy.take(self.now.tick) && copy.take(self.now.tick)
    }

    /// Counts an event that could not go out with the pools it was about.
    fn hold_back(&mut self, uid: &Uid) {
        let Some(id) = self
            .requests
            .get(uid)
            .and_then(|request| request.place.shape())
        else {
            return;
        };
        let Some(line) = self.queues.line(id) else {
            return;
        };
        let keys: Vec<PoolKey> = line.shape.demand.keys().cloned().collect();
        for key in keys {
            if let Some(pool) = self.pools.get_mut(&key) {
                if pool.events_held_back == 0 {
                    self.timers
                        .set(self.now.tick.after(EVENT_SUMMARY_EVERY), Timer::Summary);
                }
                pool.events_held_back = pool.events_held_back.saturating_add(1);
            }
        }
    }

    /// One event on each pool whose waiters were not told singly.
    pub(super) fn summarise(&mut self) {
        let keys: Vec<PoolKey> = self
            .pools
            .iter()
            .filter(|(_, pool)| pool.events_held_back > 0)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let Some(about) = self.pool_about(&key) else {
                continue;
            };
            let waiting = self.queues.waiting(&key);
            let told = self.tell(about, false, "ManyWaiting", || {
                format!("{waiting} requests wait for {key}; not every pod was told by an event of its own")
            });
            if told && let Some(pool) = self.pools.get_mut(&key) {
                pool.events_held_back = 0;
            } else {
                self.timers
                    .set(self.now.tick.after(EVENT_SUMMARY_EVERY), Timer::Summary);
            }
        }
    }

    /// Why a request waits now.
    pub(super) fn cause_of(&self, uid: &Uid) -> Option<Cause> {
        let request = self.requests.get(uid)?;
        match &request.place {
            Place::Stuck(cause) | Place::Aside(_, cause) => Some(cause.clone()),
            Place::Granting(_) | Place::Nowhere => None,
            Place::Queued(id, rank) => {
                let shape = &self.queues.line(*id)?.shape;
                if let Some(cause) = self.obstacle(shape, None) {
                    return Some(cause);
                }
                let lacking = shape.demand.iter().find(|(key, amount)| {
                    self.pools
                        .get(key)
                        .is_some_and(|pool| pool.free(self.now.tick) < amount.units())
                });
                match lacking {
                    Some((key, _)) => Some(Cause::NoRoom(key.clone())),
                    None => {
                        let ahead = shape
                            .demand
                            .keys()
                            .find(|key| self.queues.has_ahead(key, rank));
                        ahead.map(|key| Cause::Reserved(key.clone()))
                    }
                }
            }
        }
    }

    /// The gate was removed: counts it, and tells a pod that was told it waits.
    pub(super) fn note_grant(&mut self, uid: &Uid) {
        let waited = match self.requests.get(uid) {
            Some(request) => self.now.server.since(request.view.arrival),
            None => return,
        };
        self.stats.grants = self.stats.grants.saturating_add(1);
        if self.stats.waits.len() < super::bounds::BATCH_CHANGES_MAX {
            self.stats.waits.push(waited);
        }
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        if self.now.tick.since(request.first_seen) >= NOTICE_AFTER && request.told.is_some() {
            let about = request_about(request);
            let seconds = waited.0 / 1000;
            let told = match request.view.kind() {
                HolderKind::Pod => "the gate is removed",
                HolderKind::Claim => "it is Granted",
            };
            self.tell(about, false, "SlotsGranted", || {
                format!("all its slots and locks are leased after {seconds} s; {told}")
            });
        }
    }

    /// An edit after the reveal changes nothing; the one who edits is told.
    pub(super) fn note_late_edit(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let text = match request.view.text.attempt {
            None => Arc::clone(&request.view.text),
            Some(_) => Arc::new(RequestText {
                attempt: None,
                ..(*request.view.text).clone()
            }),
        };
        match &request.settled_text {
            None => request.settled_text = Some(text),
            Some(settled) if *settled == text => {}
            Some(_) => {
                request.settled_text = Some(text);
                let about = request_about(request);
                self.tell(about, true, "RequestSettled", || {
                    "its slots and locks were edited after they were granted; what was granted holds, the edit changes nothing".to_owned()
                });
            }
        }
    }

    /// A pool went under those who hold it.
    pub(super) fn tell_gone_while_held(&mut self, key: &PoolKey) {
        let Some(about) = self.pool_about(key) else {
            return;
        };
        let held = self.pools.get(key).map_or(0, |pool| pool.entries.len());
        if held == 0 || !self.leads() {
            return;
        }
        self.stats.gone_while_held = self.stats.gone_while_held.saturating_add(1);
        self.tell(about, true, "GoneWhileHeld", || {
            format!("it was deleted while {held} held it; they run on, and whoever waits goes on waiting. Created again under its name it counts them before it grants anything")
        });
    }

    /// The server shows an older past of a pool.
    pub(super) fn tell_restored(&mut self, key: &PoolKey) {
        let Some(about) = self.pool_about(key) else {
            return;
        };
        self.tell(about, true, "PastRestored", || {
            "the server shows an older version of it than it had acknowledged: a backup was restored. Whoever runs is counted anew before anything is granted".to_owned()
        });
    }

    /// Not even the attempt can be raised: somebody's policy stands in the way of both.
    pub(super) fn tell_abort_refused(&mut self, uid: &Uid, message: &str) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let about = request_about(request);
        self.tell(about, true, "AbortRefused", || {
            format!("its slots are to be given back and its attempt cannot be raised: {message}; they stay taken until it can")
        });
    }

    pub(super) fn tell_timeout(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        request.timeout_told = true;
        let about = request_about(request);
        let note = self.explain_timeout(uid);
        self.tell(about, true, "SlotTimeout", || note);
    }
}

pub(super) fn request_about(request: &Request) -> About {
    About::Request {
        kind: request.view.kind(),
        uid: request.view.uid.clone(),
        namespace: request.view.namespace.clone(),
        name: request.view.name.clone(),
    }
}

/// Passing troubles, and room against reservation, are no news to somebody who waits anyway.
fn same_for_people(told: &Cause, now: &Cause) -> bool {
    let room = |cause: &Cause| matches!(cause, Cause::NoRoom(_) | Cause::Reserved(_));
    told == now
        || matches!(now, Cause::Unsettled | Cause::NotFenced(_))
        || (room(told) && room(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_a_burst_through_and_then_so_many_a_second() {
        let mut bucket = Bucket::default();
        let burst = (0..1000).filter(|_| bucket.take(Tick(0))).count();
        assert_eq!(u64::try_from(burst), Ok(EVENTS_BURST));
        let second = (1..=1000).filter(|ms| bucket.take(Tick(*ms))).count();
        assert_eq!(u64::try_from(second), Ok(EVENTS_PER_SECOND));
    }
}
