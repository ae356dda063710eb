//! Watches: each shows the server's log from a place of its own, late, in pieces, and anew after a break.

use std::sync::Arc;

use sluice::controller::transport::{Kind, Object, Watched};
use sluice::election::LeaseNews;
use sluice::ledger::{Name, PoolKind};

use super::seat::Seat;
use super::{What, World};
use crate::server::{Change, Seen, SeenClaim, Server};
use crate::transport::{Feed, OpenedWatch};

/// Most entries of the log that one delivery passes.
const CHUNK_MAX: u64 = 6;

/// One watch of a process.
pub(super) struct Watching {
    kind: Kind,
    scope: Option<Name>,
    feed: Feed,
    /// How much of the log it has shown; `None`: it has to list first.
    shown: Option<usize>,
    /// A delivery is on its way.
    scheduled: bool,
    /// Nothing is shown until then.
    pub(super) silent_until: u64,
    /// The next entry that concerns it is never shown.
    pub(super) skips_next: bool,
}

impl Watching {
    /// Its place in the log is compacted away, or the connection is lost: it lists anew.
    pub(super) fn break_off(&mut self) {
        self.shown = None;
    }

    /// What it is, in a few words.
    pub(super) fn tell(&self) -> String {
        format!("{:?} at {:?}", self.kind, self.shown)
    }

    /// Its process has stopped listening.
    fn is_closed(&self) -> bool {
        match &self.feed {
            Feed::Objects(events) => events.is_closed(),
            Feed::Lease(events) => events.is_closed(),
        }
    }

    fn sees(&self, change: &Change) -> bool {
        concerns(self.kind, self.scope.as_ref(), change)
    }
    /// Sends what it shows of a change; how many events that is.
    fn tell_of(&self, server: &Server, change: &Change) -> usize {
        let closed = match (&self.feed, change) {
            (Feed::Lease(events), Change::Lease(lease)) => {
                let news = lease.clone().map_or(LeaseNews::Doubt, LeaseNews::Seen);
                events.send(news).is_err()
            }
            (Feed::Objects(events), change) => match watched(server, change) {
                Some(event) => events.send(event).is_err(),
                None => return 0,
            },
            (Feed::Lease(_), _) => return 0,
        };
        usize::from(!closed)
    }
}

/// A watch of this kind and scope is concerned by a change.
fn concerns(kind: Kind, scope: Option<&Name>, change: &Change) -> bool {
    let within = |namespace: &Name| scope.is_none_or(|scope| scope == namespace);
    match (kind, change) {
        (Kind::Limit, Change::Pool { key, .. }) => {
            key.kind == PoolKind::Limit && within(&key.namespace)
        }
        (Kind::Lock, Change::Pool { key, .. }) => {
            key.kind == PoolKind::Lock && within(&key.namespace)
        }
        (Kind::Pod, Change::Pod { before, now }) => {
            let pod = now.as_ref().or(before.as_ref());
            pod.is_some_and(|seen| within(&seen.pod.namespace))
        }
        (Kind::Claim, Change::Claim { before, now }) => {
            let claim = now.as_ref().or(before.as_ref());
            claim.is_some_and(|seen| within(&seen.claim.namespace))
        }
        (Kind::Namespace, Change::Namespace(_)) | (Kind::Lease, Change::Lease(_)) => true,
        _ => false,
    }
}

/// What a watch of this kind and scope shows of a change.
pub(crate) fn shown(
    server: &Server,
    kind: Kind,
    scope: Option<&Name>,
    change: &Change,
) -> Option<Watched> {
    concerns(kind, scope, change)
        .then(|| watched(server, change))
        .flatten()
}

fn watch_mut(seats: &mut [Seat], place: usize, index: usize) -> Option<&mut Watching> {
    seats.get_mut(place)?.watches.get_mut(index)
}

impl World {
    pub(super) fn open_watch(&mut self, place: usize, life: u64, opened: OpenedWatch) {
        let lag = self.dice.between(500, self.plan.latency_max_us);
        let Some(seat) = self.seats.get_mut(place) else {
            return;
        };
        seat.watches.push(Watching {
            kind: opened.kind,
            scope: opened.scope,
            feed: opened.feed,
            shown: None,
            scheduled: true,
            silent_until: 0,
            skips_next: false,
        });
        let index = seat.watches.len().saturating_sub(1);
        self.schedule(lag, What::Show(place, life, index));
    }

    /// The watches of a kind show nothing for a while.
    pub(crate) fn silence(&mut self, kind: Kind, lasts: u64) {
        let until = self.now.saturating_add(lasts);
        let watches = self.seats.iter_mut().flat_map(|seat| &mut seat.watches);
        for watch in watches.filter(|watch| watch.kind == kind) {
            watch.silent_until = until;
        }
    }

    /// Schedules deliveries for watches that have something to show.
    pub(super) fn wake_watches(&mut self) {
        let length = self.server.log.len();
        for place in 0..self.seats.len() {
            let (life, count) = self
                .seats
                .get(place)
                .map_or((0, 0), |seat| (seat.life, seat.watches.len()));
            for index in 0..count {
                let lag_max = if self.calm {
                    20_000
                } else {
                    self.plan.lag_max_us
                };
                let Some(watch) = watch_mut(&mut self.seats, place, index) else {
                    continue;
                };
                if !watch.scheduled
                    && !watch.is_closed()
                    && watch.shown.is_none_or(|shown| shown < length)
                {
                    watch.scheduled = true;
                    let lag = self.dice.between(500, lag_max);
                    self.schedule(lag, What::Show(place, life, index));
                }
            }
        }
    }

    /// A watch shows its next piece.
    pub(super) fn show(&mut self, place: usize, life: u64, index: usize) {
        if !self.is_alive(place, life) {
            return;
        }
        let now = self.now;
        let Some(seat) = self.seats.get_mut(place) else {
            return;
        };
        let hold = seat.frozen_until.max(seat.cut_until);
        let Some(watch) = seat.watches.get_mut(index) else {
            return;
        };
        let hold = hold.max(watch.silent_until);
        if hold > now {
            self.schedule_at(hold, What::Show(place, life, index));
            return;
        }
        watch.scheduled = false;
        let told = match watch.shown {
            None => self.show_list(place, index),
            Some(shown) => self.show_changes(place, index, shown),
        };
        if told > 0 {
            self.note(2, index as u64);
            self.run_process(place);
        }
    }

    /// Lists everything there is; how many events that were.
    fn show_list(&mut self, place: usize, index: usize) -> usize {
        let length = self.server.log.len();
        let Some(watch) = watch_mut(&mut self.seats, place, index) else {
            return 0;
        };
        watch.shown = Some(length);
        let events = match &watch.feed {
            Feed::Objects(events) => events,
            Feed::Lease(events) => {
                let news = self
                    .server
                    .lease()
                    .cloned()
                    .map_or(LeaseNews::Doubt, LeaseNews::Seen);
                let _ = events.send(news);
                return 1;
            }
        };
        let objects = self.server.list(watch.kind, watch.scope.as_ref());
        let count = objects.len();
        let list = [Watched::Listing]
            .into_iter()
            .chain(objects.into_iter().map(Watched::Listed))
            .chain([Watched::ListEnd]);
        for event in list {
            // The process may have closed it.
            let _ = events.send(event);
        }
        count.saturating_add(2)
    }

    fn show_changes(&mut self, place: usize, index: usize, shown: usize) -> usize {
        let most = usize::try_from(self.dice.between(1, CHUNK_MAX)).unwrap_or(1);
        let Some(watch) = watch_mut(&mut self.seats, place, index) else {
            return 0;
        };
        let mut told = 0;
        let mut at = shown;
        while let Some(entry) = self.server.log.get(at) {
            if told >= most {
                break;
            }
            at = at.saturating_add(1);
            if !watch.sees(&entry.change) {
                continue;
            }
            if std::mem::take(&mut watch.skips_next) {
                continue;
            }
            told = told.saturating_add(watch.tell_of(&self.server, &entry.change));
        }
        watch.shown = Some(at);
        told
    }
}

/// How a watch shows a change.
fn watched(server: &Server, change: &Change) -> Option<Watched> {
    let pod = |seen: &Arc<Seen>| Object::Request(Box::new(seen.view.clone()));
    match change {
        Change::Pool { now: Some(now), .. } => {
            Some(Watched::Seen(Object::Pool(Box::new((**now).clone()))))
        }
        Change::Pool {
            before: Some(last), ..
        } => Some(Watched::Gone(Object::Pool(Box::new((**last).clone())))),
        Change::Pod { before, now } => {
            let was = before
                .as_ref()
                .is_some_and(|before| before.pod.is_managed());
            match now {
                Some(now) if now.pod.is_managed() => Some(Watched::Seen(pod(now))),
                // The label went: the watch shows a deletion, with the object as it is now.
                Some(now) if was => Some(Watched::Gone(pod(now))),
                Some(_) => None,
                None => before
                    .as_ref()
                    .filter(|_| was)
                    .map(|last| Watched::Gone(pod(last))),
            }
        }
        Change::Claim { before, now } => {
            let object = |seen: &Arc<SeenClaim>| Object::Request(Box::new(seen.view.clone()));
            match (now, before) {
                (Some(now), _) => Some(Watched::Seen(object(now))),
                (None, last) => last.as_ref().map(|last| Watched::Gone(object(last))),
            }
        }
        Change::Namespace(name) => {
            let labels = server.namespaces().get(name)?;
            Some(Watched::Seen(Object::Namespace(
                name.clone(),
                labels.clone(),
            )))
        }
        Change::Pool { .. } | Change::Lease(_) | Change::Restored => None,
    }
}
