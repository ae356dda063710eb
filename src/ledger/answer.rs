//! Answers about requests: how patches of pods and live reads of them ended.
//!
//! A patch that was refused or not answered is settled by reading the pod: if it had been applied, the
//! version read shows it. Live reads are bounded in number and spaced in time.

use super::backoff::back_off;
use super::book::Ledger;
use super::bounds::{READS_IN_FLIGHT, RECHECK_EVERY, REFUSALS_BEFORE_EVENT};
use super::command::{Found, PatchKind, PatchOutcome};
use super::effect::Effect;
use super::ids::{Name, Uid};
use super::mutant::{self, Mutant};
use super::request::{Phase, Sending, Sent};
use super::timers::Timer;
use super::view::RequestView;

impl Ledger {
    pub(super) fn request_patched(&mut self, uid: &Uid, patch: PatchKind, outcome: PatchOutcome) {
        match patch {
            PatchKind::Reveal | PatchKind::Bump => self.grant_patched(uid, outcome),
            PatchKind::StripFinalizer
            | PatchKind::Label
            | PatchKind::Fail
            | PatchKind::Revoke
            | PatchKind::Finish => {
                self.side_patched(uid, outcome);
            }
        }
        self.dirty_requests.insert(uid.clone());
    }

    fn grant_patched(&mut self, uid: &Uid, outcome: PatchOutcome) {
        let now = self.now.tick;
        let message = match outcome {
            PatchOutcome::Applied(view) => {
                if let Some(claim) = &view.claim {
                    self.note_reveal_answered(uid, claim);
                }
                self.request_answered(view);
                return;
            }
            PatchOutcome::Refused(message) => message,
            PatchOutcome::Gone => String::new(),
            PatchOutcome::Unknown => {
                self.stats.unknown = self.stats.unknown.saturating_add(1);
                String::new()
            }
        };
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        let sending = match &mut request.phase {
            Phase::Revealing(_, sending) => sending,
            Phase::Aborting(abort) => &mut abort.sending,
            Phase::Waiting | Phase::Taking(_) | Phase::Held => return,
        };
        if !message.is_empty() {
            self.stats.reveals_refused = self.stats.reveals_refused.saturating_add(1);
            sending.refused_since.get_or_insert(now);
            sending.message = Some(message.into());
        }
        sending.state = Sent::Doubtful;
        request.read_after = now;
    }

    /// The answer to a patch is a version like any other, but the watch's view of it stays.
    fn request_answered(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        if let Some(request) = self.requests.get_mut(&uid) {
            if view.version > request.view.version {
                request.view = view;
            }
            self.dirty_requests.insert(uid);
        }
    }

    fn side_patched(&mut self, uid: &Uid, outcome: PatchOutcome) {
        let now = self.now.tick;
        let applied = matches!(outcome, PatchOutcome::Applied(_));
        if let Some(request) = self.requests.get_mut(uid) {
            request.side_patch = false;
            let pause = if applied {
                super::time::Span(0)
            } else {
                RECHECK_EVERY
            };
            request.side_patch_after = now.after(pause);
        }
        match outcome {
            PatchOutcome::Applied(view) => self.request_answered(view),
            PatchOutcome::Gone => self.want_read(uid),
            PatchOutcome::Refused(_) | PatchOutcome::Unknown => {}
        }
    }

    /// Asks for a live read of a request or a stranger, not before its pause is over.
    pub(super) fn want_read(&mut self, uid: &Uid) {
        let (reading, after) = match (self.requests.get(uid), self.strangers.get(uid)) {
            (Some(request), _) => (request.reading, request.read_after),
            (None, Some(stranger)) => (stranger.reading, stranger.read_after),
            (None, None) => return,
        };
        if reading {
        } else if after > self.now.tick {
            self.timers.set(after, Timer::Request(uid.clone()));
        } else {
            self.reads_wanted.insert(uid.clone());
        }
    }

    /// Starts live reads, as many at once as the bound allows; whether any was started.
    pub(super) fn start_reads(&mut self) -> bool {
        let mut started = false;
        while self.reads_in_flight < READS_IN_FLIGHT {
            let Some(uid) = self.reads_wanted.pop_first() else {
                break;
            };
            let place = match (self.requests.get_mut(&uid), self.strangers.get_mut(&uid)) {
                (Some(request), _) if !request.reading => {
                    request.reading = true;
                    request.read_base = request.view.version;
                    let view = &request.view;
                    (view.kind(), view.namespace.clone(), view.name.clone())
                }
                (None, Some(stranger)) if !stranger.reading => {
                    stranger.reading = true;
                    (
                        stranger.kind,
                        stranger.namespace.clone(),
                        stranger.name.clone(),
                    )
                }
                _ => continue,
            };
            self.reads_in_flight = self.reads_in_flight.saturating_add(1);
            let (kind, namespace, name) = place;
            self.effects.push_back(Effect::ReadRequest {
                uid,
                kind,
                namespace,
                name,
            });
            started = true;
        }
        started
    }

    pub(super) fn request_read(&mut self, uid: &Uid, found: Found<Box<RequestView>>) {
        let now = self.now.tick;
        self.reads_in_flight = self.reads_in_flight.saturating_sub(1);
        let (reading, failures, after) =
            match (self.requests.get_mut(uid), self.strangers.get_mut(uid)) {
                (Some(it), _) => (&mut it.reading, &mut it.read_failures, &mut it.read_after),
                (None, Some(it)) => (&mut it.reading, &mut it.read_failures, &mut it.read_after),
                (None, None) => return,
            };
        *reading = false;
        match found {
            Found::Present(_) if mutant::is(Mutant::SameNameIsSame) => {
                *after = now.after(RECHECK_EVERY);
            }
            Found::Present(view) if view.uid == *uid => {
                *failures = 0;
                *after = now.after(RECHECK_EVERY);
                self.found_alive(view);
            }
            Found::Present(_) | Found::Absent => self.request_is_gone(uid),
            Found::Unknown => {
                *failures = failures.saturating_add(1);
                *after = now.after(back_off(*failures, uid.as_str()));
            }
        }
        self.dirty_requests.insert(uid.clone());
    }

    /// It is there. If the watch does not show it, that stays so until the watch does.
    fn found_alive(&mut self, view: Box<RequestView>) {
        let uid = view.uid.clone();
        let unwatched = self
            .requests
            .get(&uid)
            .is_none_or(|request| request.unwatched);
        let restored = self
            .requests
            .get(&uid)
            .is_some_and(|request| view.version < request.read_base);
        if restored && !mutant::is(Mutant::RestoredPodsDisbelieved) {
            self.request_restored(view);
            return;
        }
        self.request_seen(view.clone());
        self.tell_refused_abort(&uid);
        let now = self.now.tick;
        let Some(request) = self.requests.get_mut(&uid) else {
            return;
        };
        // What a watch shows of an object that left its selection is the state before, under the version
        // after: of the same version, the live read is the truth.
        if view.version == request.view.version {
            request.view = view;
        }
        request.unwatched = unwatched;
        request.final_state_seen = false;
        request.seen_alive = true;
        if let Phase::Aborting(abort) = &mut request.phase {
            abort.unread = false;
        }
        // A doubtful patch is settled: if it had been applied, the version read would show it.
        let sending = match &mut request.phase {
            Phase::Revealing(_, sending) => sending,
            Phase::Aborting(abort) => &mut abort.sending,
            Phase::Waiting | Phase::Taking(_) | Phase::Held => return,
        };
        if sending.state == Sent::Doubtful {
            let pause = sending.back_off(&uid);
            let tries = sending.tries.saturating_add(1);
            *sending = Sending {
                state: Sent::Due(now.after(pause)),
                tries,
                ..sending.clone()
            };
        }
    }

    /// The bump of an attempt has been refused several times, and the pod is as it was: say so, once.
    fn tell_refused_abort(&mut self, uid: &Uid) {
        let Some(Phase::Aborting(abort)) = self.requests.get(uid).map(|it| &it.phase) else {
            return;
        };
        if abort.sending.tries == REFUSALS_BEFORE_EVENT && abort.sending.refused_since.is_some() {
            let message = abort.sending.message.clone().unwrap_or_default();
            self.tell_abort_refused(uid, &message);
        }
    }

    pub(super) fn node_read(&mut self, node: &Name, out_of_service: Option<bool>) {
        if out_of_service != Some(true) {
            return;
        }
        for (uid, request) in &mut self.requests {
            if request.view.node.as_ref() == Some(node) {
                request.node_out = true;
                self.dirty_requests.insert(uid.clone());
            }
        }
    }
}
