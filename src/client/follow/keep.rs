//! Holding: renewals, or looks where a claim lives as long as a pod, until it is lost or its guard has ended.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::debug;

use super::Follow;
use super::wait::next_news;
use crate::api::claim::DEFAULT_LEASE_DURATION_SECONDS;
use crate::client::clock::Stamp;
use crate::client::establish::bounded;
use crate::client::hold::Wish;
use crate::client::lease::{Belief, Lease, Loss};
use crate::client::news::News;
use crate::client::slots::Token;
use crate::client::store::{ClaimVersion, StoreError};

/// How long between two looks at the clock: a suspend moves no timer.
const TICK: Duration = Duration::from_secs(1);

/// How holding ended.
enum Kept {
    Lost(Loss),
    Wished(Wish),
    GaveUp,
}

/// A request that is under way while it is held.
enum Sent {
    Renewal(Result<ClaimVersion, StoreError>),
    /// A look that stands for the renewal of this number.
    Confirmation(i64, Result<Option<ClaimVersion>, StoreError>),
    Look(Result<Option<ClaimVersion>, StoreError>),
}

impl Follow {
    /// Holds a granted claim until it is lost, or its guard has ended.
    pub(super) async fn hold_it(mut self, claim: &ClaimVersion) {
        let duration = claim.status.lease_duration_seconds;
        let duration = duration.unwrap_or(DEFAULT_LEASE_DURATION_SECONDS);
        let duration = Duration::from_secs(u64::try_from(duration).unwrap_or(0));
        let seq = claim.spec.renew.seq;
        let lease = Lease::granted(
            self.origin,
            duration,
            seq,
            self.engine.now(),
            fastrand::f64(),
        );
        let tokens = claim.status.grants.iter().map(Token::from).collect();
        self.hold.begin(lease, tokens);
        match self.keep(claim).await {
            Kept::Lost(loss) => self.lost(loss).await,
            Kept::Wished(Wish::Yield) => self.yielded(),
            Kept::Wished(Wish::Detach) => self.leave(),
            Kept::Wished(_) | Kept::GaveUp => {
                let quiet = self.hold.lease(|lease, now| lease.is_quiet(now));
                if quiet == Some(true) {
                    self.leave();
                } else {
                    self.release(duration).await;
                }
            }
        }
    }

    async fn keep(&mut self, claim: &ClaimVersion) -> Kept {
        let mut wishes = self.hold.wishes();
        let mut sent: Option<BoxFuture<'static, Sent>> = None;
        let mut look = false;
        let mut handed = false;
        loop {
            match self.hold.belief() {
                Some(Belief::Lost) => {
                    return Kept::Lost(self.hold.loss().unwrap_or(Loss::Expired));
                }
                Some(Belief::Held | Belief::Suspect) if !handed => {
                    handed = true;
                    self.hand_over(claim);
                }
                _ => {}
            }
            let wish = *wishes.borrow_and_update();
            if wish != Wish::Keep {
                return Kept::Wished(wish);
            }
            if !handed && self.caller.has_given_up() {
                return Kept::GaveUp;
            }
            let times = self
                .hold
                .lease(|lease, now| (lease.due_in(now), lease.changes_in(now)));
            let (due, change) = times.unwrap_or_default();
            if sent.is_none() && (look || due.is_zero()) {
                sent = Some(if look { self.look() } else { self.renewal() });
                look = false;
            }
            // A moment later than it changes, for a timer may be a moment early.
            let mut sleep = TICK.min(change + Duration::from_millis(1));
            if sent.is_none() {
                sleep = sleep.min(due + Duration::from_millis(1));
            }
            tokio::select! {
                biased;
                _ = wishes.changed() => {}
                why = self.caller.impatient(), if !handed => self.caller.give_up(why),
                answer = answered(&mut sent) => look |= self.take(answer),
                news = next_news(&mut self.news) => match news {
                    News::Version(version) if version.uid == self.at.uid => self.see(&version),
                    News::Version(_) | News::Look => look = true,
                },
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    fn renewal(&self) -> BoxFuture<'static, Sent> {
        let (store, at) = (Arc::clone(self.engine.store()), self.at.clone());
        let lease = self
            .hold
            .lease(|lease, now| (lease.send(now), lease.try_timeout()));
        let (seq, most) = lease.unwrap_or_default();
        if self.plan.spec.pod_ref.is_some() {
            // It lives as long as its pod: what there is to know is whether it was taken away.
            return async move {
                let answer = tokio::time::timeout(most, store.get(&at.name)).await;
                let late = || Err(StoreError::Unknown(format!("none within {most:?}")));
                Sent::Confirmation(seq, answer.unwrap_or_else(|_| late()))
            }
            .boxed();
        }
        async move {
            let answer = tokio::time::timeout(most, store.renew(&at, seq)).await;
            let late = || Err(StoreError::Unknown(format!("none within {most:?}")));
            Sent::Renewal(answer.unwrap_or_else(|_| late()))
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'static, Sent> {
        let (engine, name) = (Arc::clone(&self.engine), self.at.name.clone());
        async move { Sent::Look(bounded(&engine, engine.store().get(&name)).await) }.boxed()
    }

    /// Takes in an answer; whether the claim is to be looked at.
    fn take(&self, answer: Sent) -> bool {
        match answer {
            Sent::Renewal(Ok(claim)) | Sent::Look(Ok(Some(claim))) => {
                if claim.uid == self.at.uid {
                    self.see(&claim);
                } else {
                    self.vanished();
                }
                false
            }
            Sent::Confirmation(number, Ok(Some(claim))) if claim.uid == self.at.uid => {
                let session = self.engine.session();
                self.hold.lease(|lease, now: Stamp| {
                    lease.looked(number, &claim, session, now, fastrand::f64());
                });
                false
            }
            Sent::Confirmation(_, Err(error)) => {
                debug!(target: "sluice::client", claim = self.at.name, %error, "a look did not get through");
                self.hold
                    .lease(|lease, now| lease.missed(now, fastrand::f64()));
                false
            }
            Sent::Confirmation(..)
            | Sent::Look(Ok(None))
            | Sent::Renewal(Err(StoreError::NotFound(_))) => {
                self.vanished();
                false
            }
            // A look that fails is made up for by the next renewal.
            Sent::Look(Err(_)) => false,
            Sent::Renewal(Err(error)) => {
                debug!(target: "sluice::client", claim = self.at.name, %error, "a renewal did not get through");
                self.hold
                    .lease(|lease, now| lease.missed(now, fastrand::f64()));
                !matches!(error, StoreError::Unknown(_))
            }
        }
    }

    fn see(&self, claim: &ClaimVersion) {
        let session = self.engine.session();
        self.hold
            .lease(|lease, now: Stamp| lease.seen(claim, session, now, fastrand::f64()));
    }

    fn vanished(&self) {
        self.hold.lease(|lease, _| lease.vanished());
    }
}

/// The answer of what is under way, if anything is.
async fn answered(sent: &mut Option<BoxFuture<'static, Sent>>) -> Sent {
    let answer = match sent {
        Some(under_way) => under_way.await,
        None => std::future::pending().await,
    };
    *sent = None;
    answer
}
