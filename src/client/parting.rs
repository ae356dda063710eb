//! How a claim ends, for whoever followed it: given back, lost, left to its lease, or taken over.
//!
//! Nothing is released that somebody else may still believe in, and nothing before its own guard has stopped.

use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::error::AcquireError;
use super::error::ReleaseError;
use super::establish::bounded;
use super::events::EventKind;
use super::follow::Follow;
use super::hold::Wish;
use super::lease::Loss;
use super::leftover;
use super::store::StoreError;

/// Shortest time for which a release is sent again.
const RELEASE_MIN: Duration = Duration::from_secs(60);
/// The same of a claim that lives as long as its pod.
const RELEASE_POD_MIN: Duration = Duration::from_secs(3_600);
/// First pause before a release is sent again.
const RELEASE_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest such pause.
const RELEASE_PAUSE_MAX: Duration = Duration::from_secs(5);

impl Follow {
    /// Its former holder may believe in it, and would go on using what we let go: it is left to its lease.
    pub(super) fn leave(&self) {
        debug!(target: "sluice::client", claim = self.at.name, "left to its lease");
        self.engine.leave_alone(&self.at.uid);
        self.hold.end(Ok(()));
    }

    pub(super) async fn lost(&mut self, loss: Loss) {
        let event = self.hold.acquired_event();
        if event == 0 {
            let why = format!("{}: lost before it was held: {loss}", self.plan.shown);
            self.caller.fail(AcquireError::Unavailable(why));
        } else {
            let kind = || EventKind::Lost {
                loss: loss.clone(),
                held: self.hold.held_for(),
                follows: event,
            };
            let name = &self.at.name;
            self.engine
                .events()
                .emit(name, Some(&self.at.uid), &self.plan.shown, kind);
        }
        let claim = self.at.name.clone();
        self.hold.end(Err(ReleaseError::Lost {
            claim,
            loss: loss.clone(),
        }));
        // Whoever works under it may take a moment to stop: that it has is said when its guard is gone.
        let mut wishes = self.hold.wishes();
        let wished = wishes.wait_for(|wish| *wish != Wish::Keep).await;
        let wished = wished.map_or(Wish::Detach, |wish| *wish);
        let quiet = self.hold.lease(|lease, now| lease.is_quiet(now)) == Some(true);
        let ours = matches!(loss, Loss::Expired | Loss::Revoked(_)) && !quiet;
        let gives_back = ours && wished == Wish::Release;
        if gives_back && loss == Loss::Expired && self.stays_for_its_pod() {
            // It does not lapse.
            let _ = self.send_release(Duration::ZERO).await;
        } else if gives_back {
            // One try, for it lapses anyway.
            let told = bounded(&self.engine, self.engine.store().release(&self.at)).await;
            debug!(target: "sluice::client", claim = self.at.name, told = told.is_ok(), "gave back what was lost");
        }
        self.engine.note_done(&self.at.uid);
    }

    /// A later acquisition of this client has taken the name.
    pub(super) fn yielded(&mut self) {
        let claim = self.at.name.clone();
        self.caller.fail(AcquireError::IdConflict {
            id: claim.clone(),
            detail: "a later acquisition of this client has taken it over".to_owned(),
        });
        let event = self.hold.acquired_event();
        if event != 0 {
            let kind = || EventKind::Lost {
                loss: Loss::Adopted,
                held: self.hold.held_for(),
                follows: event,
            };
            self.engine
                .events()
                .emit(&claim, Some(&self.at.uid), &self.plan.shown, kind);
        }
        let loss = Loss::Adopted;
        self.hold.end(Err(ReleaseError::Lost { claim, loss }));
    }

    /// Gives the claim back, until that is known to have arrived or its lease has run out.
    pub(super) async fn release(&mut self, lease: Duration) {
        let released = self.send_release(lease).await;
        let event = self.hold.acquired_event();
        if event != 0 {
            let kind = || EventKind::Released {
                held: self.hold.held_for(),
                follows: event,
            };
            let name = &self.at.name;
            self.engine
                .events()
                .emit(name, Some(&self.at.uid), &self.plan.shown, kind);
        }
        self.engine.note_done(&self.at.uid);
        // The next acquisition for the same may have the same name.
        self.own_name = None;
        self.hold.end(released);
    }

    /// It does not run out: whoever gives it back has to say so.
    fn stays_for_its_pod(&self) -> bool {
        self.plan.spec.pod_ref.is_some()
    }

    async fn send_release(&mut self, lease: Duration) -> Result<(), ReleaseError> {
        let least = match self.stays_for_its_pod() {
            true => RELEASE_POD_MIN,
            false => RELEASE_MIN,
        };
        let end = Instant::now() + least.max(lease.mul_f64(1.05));
        let mut pause = RELEASE_PAUSE_MIN;
        loop {
            let answer = bounded(&self.engine, self.engine.store().release(&self.at)).await;
            let why = match answer {
                Ok(_) | Err(StoreError::NotFound(_)) => return Ok(()),
                Err(StoreError::Unknown(why)) => why,
                Err(error) => {
                    match bounded(&self.engine, self.engine.store().get(&self.at.name)).await {
                        Ok(None) => return Ok(()),
                        Ok(Some(found))
                            if found.uid != self.at.uid
                                || leftover::is_over(&found, &self.at.session) =>
                        {
                            return Ok(());
                        }
                        _ => error.to_string(),
                    }
                }
            };
            if Instant::now() >= end {
                let claim = self.at.name.clone();
                warn!(target: "sluice::client", claim, why, "a release was not acknowledged");
                return Err(ReleaseError::Unavailable { claim, detail: why });
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = pause.saturating_mul(2).min(RELEASE_PAUSE_MAX);
        }
    }
}
