//! Taking in what is shown of requests: their versions, their leaving a watch, their absence by a live read.
//!
//! Decides nothing; as for pools, only a live read takes a request back to an older version.

use std::collections::BTreeSet;

use super::book::Ledger;
use super::bounds::{RECHECK_EVERY, REQUESTS_MAX};
use super::end::{End, Gone, judge};
use super::ids::{HolderKind, Name, Uid};
use super::mutant::{self, Mutant};
use super::request::Request;
use super::view::RequestView;

impl Ledger {
    pub(super) fn note_restore(&mut self) {
        self.stats.pasts_restored = self.stats.pasts_restored.saturating_add(1);
    }

    pub(super) fn request_seen(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        if let Some(request) = self.requests.get_mut(&uid) {
            if view.version > request.lost_at {
                request.unwatched = false;
                request.final_state_seen = false;
            }
            if view.version > request.view.version {
                request.view = view;
                self.dirty_requests.insert(uid);
            }
            return;
        }
        if self.requests.len() >= REQUESTS_MAX {
            self.stats.requests_beyond_bound = self.stats.requests_beyond_bound.saturating_add(1);
            return;
        }
        let mut request = Box::new(Request::new(view, self.now.tick));
        if let Some(stranger) = self.strangers.remove(&uid) {
            request.held = stranger.pools;
            self.reads_wanted.remove(&uid);
        }
        if !request.view.is_revealed() {
            self.notice_soon(&uid);
        }
        self.requests.insert(uid.clone(), request);
        self.dirty_requests.insert(uid);
    }

    /// The list of a watch shows a request. An older version than the one known: the server's past was restored, or an
    /// answer to a patch has overtaken the list. A live read tells.
    pub(super) fn request_relisted(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        let known = self.requests.get_mut(&uid);
        if let Some(request) = known
            && (view.version < request.view.version
                || view.version == request.view.version && view != request.view)
        {
            request.read_after = self.now.tick;
            self.want_read(&uid);
        }
        self.request_seen(view);
    }

    /// A live read shows an older version than the one known when it began: the server's past was restored, and what it
    /// says now is all there is.
    pub(super) fn request_restored(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        self.note_restore();
        self.withdraw(&uid);
        self.unplace(&uid);
        self.fence_bumps.remove(&uid);
        if let Some(request) = self.requests.get_mut(&uid) {
            request.restore(view, self.now.tick);
        }
        self.dirty_requests.insert(uid.clone());
        self.touch_fences();
        self.notice_soon(&uid);
    }

    /// A list may be older than what the watch has shown since: one it brings that is not known may be
    /// gone already, so it counts as unwatched until the watch shows it or a live read finds it.
    pub(super) fn request_listed(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        let known = self.requests.contains_key(&uid);
        self.request_seen(view);
        if let Some(request) = self.requests.get_mut(&uid)
            && !known
        {
            request.unwatched = true;
            request.read_after = self.now.tick.after(RECHECK_EVERY);
        }
    }

    pub(super) fn request_vanished(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        let known = self.requests.contains_key(&uid) || self.strangers.contains_key(&uid);
        if !known && judge(&view, Some(Gone::Watched)) == End::Confirmed {
            return;
        }
        let version = view.version;
        self.request_seen(view);
        if let Some(request) = self.requests.get_mut(&uid) {
            if mutant::is(Mutant::ReleaseOnWatchDeleted) {
                request.gone = Some(Gone::Watched);
            }
            request.unwatched = true;
            request.lost_at = request.view.version;
            // Something later is known of it (the answer to a patch): it had only left the selection, and may have gone on.
            request.final_state_seen = version >= request.view.version;
            request.read_after = self.now.tick;
            self.dirty_requests.insert(uid);
        }
    }

    pub(super) fn requests_relisted(
        &mut self,
        kind: HolderKind,
        scope: Option<&Name>,
        present: &BTreeSet<Uid>,
    ) {
        for (uid, request) in &mut self.requests {
            let listed = request.view.kind() == kind
                && scope.is_none_or(|scope| request.view.namespace == *scope);
            if listed && !present.contains(uid) && request.gone.is_none() {
                if mutant::is(Mutant::ReleaseOnRelist) {
                    request.gone = Some(Gone::Missed);
                }
                request.unwatched = true;
                request.lost_at = request.view.version;
                request.read_after = self.now.tick;
                self.dirty_requests.insert(uid.clone());
            }
        }
    }

    /// A live read proved that the request is gone.
    pub(super) fn request_is_gone(&mut self, uid: &Uid) {
        if let Some(request) = self.requests.get_mut(uid) {
            let how = if request.final_state_seen {
                Gone::Watched
            } else {
                Gone::Missed
            };
            request.gone.get_or_insert(how);
            self.dirty_requests.insert(uid.clone());
        }
        if let Some(stranger) = self.strangers.get_mut(uid) {
            stranger.gone_since.get_or_insert(self.now.tick);
            self.dirty_requests.insert(uid.clone());
        }
    }
}
