//! The life of one claim, from the first request to its end: one task on the client's thread.
//!
//! It waits until the claim is granted, renews it, hands it to the caller when it may be believed, and releases it when
//! the guard has ended. The watch says what is new, and a look now and then makes up for what it misses. The guard
//! stops believing before its release is sent (`parting`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tracing::debug;

use super::caller::{Caller, Patience};
use super::clock::Stamp;
use super::direct::DirectId;
use super::engine::{Begin, Counted, Engine, Registration};
use super::error::AcquireError;
use super::establish::{Claimed, Establish, bounded};
use super::events::EventKind;
use super::hold::{Hold, Wish};
use super::lease::{Belief, Lease, Loss, Origin};
use super::leftover;
use super::news::News;
use super::plan::Plan;
use super::slots::Token;
use super::store::{ClaimAt, ClaimVersion, StoreError};
use crate::api::claim::{ClaimKind, ClaimPhase, DEFAULT_LEASE_DURATION_SECONDS};

/// How long between two looks at a claim that waits, while the watch works.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The same while the watch does not work.
const LOOK_BLIND_EVERY: Duration = Duration::from_secs(2);
/// How long between two looks at the clock: a suspend moves no timer.
const TICK: Duration = Duration::from_secs(1);

/// A task that follows one claim.
pub(super) struct Follow {
    pub(super) engine: Arc<Engine>,
    pub(super) hold: Arc<Hold>,
    pub(super) plan: Arc<Plan>,
    pub(super) caller: Caller,
    pub(super) at: ClaimAt,
    pub(super) origin: Origin,
    pub(super) news: watch::Receiver<Option<News>>,
}

/// How waiting for the grant ended.
enum Waited {
    Granted(Arc<ClaimVersion>),
    /// It came to nothing, and is over on the server as well.
    Over,
    /// Nobody waits any more.
    GaveUp,
}

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

/// What is asked for, and who waits for it.
fn who_waits(engine: &Arc<Engine>, hold: &Arc<Hold>, begin: Begin) -> (Arc<Plan>, Caller) {
    let plan = Arc::new(begin.plan);
    let patience = Patience {
        time: begin.patience,
        tried_once: begin.tried_once,
        cancel: begin.cancel,
        reply: begin.reply,
    };
    let caller = Caller::new(engine, hold, Arc::clone(&plan), patience);
    (plan, caller)
}

/// An acquisition from its begin to its end.
pub(super) async fn acquire(counted: Counted, hold: Arc<Hold>, begin: Begin) {
    let engine = Arc::clone(counted.engine());
    let (plan, mut caller) = who_waits(&engine, &hold, begin);
    let name = hold.name().to_owned();
    let registered = caller.attend(counted.register(&name, &hold, Some(&plan)));
    let (registration, former) = match registered.await {
        Ok(registered) => registered,
        Err(detail) => {
            caller.fail(AcquireError::IdConflict { id: name, detail });
            return hold.end(Ok(()));
        }
    };
    let establish = Establish::new(&engine, &plan, &name, former);
    match establish.run(&mut caller).await {
        Err(failed) => {
            drop(registration);
            if failed.leftover {
                leftover::look_for(&engine, &name);
            }
            if let Some(error) = failed.error {
                caller.fail(error);
            }
            hold.end(Ok(()));
        }
        Ok(claimed) => {
            let follow = Follow::new(
                engine,
                hold,
                plan,
                caller,
                claimed.origin,
                &claimed,
                &registration,
            );
            follow.run(claimed.claim).await;
        }
    }
}

/// The rest of an acquisition that was not granted at once.
pub(super) async fn go_on(
    counted: Counted,
    hold: Arc<Hold>,
    begin: Begin,
    id: DirectId,
    first_sent: Stamp,
) {
    let engine = Arc::clone(counted.engine());
    let (plan, mut caller) = who_waits(&engine, &hold, begin);
    // Nobody else has its name, and the watch does not show it before it was let go of.
    let name = hold.name().to_owned();
    let (registration, _) = match counted.register(&name, &hold, Some(&plan)).await {
        Ok(registered) => registered,
        Err(detail) => {
            caller.fail(AcquireError::IdConflict { id: name, detail });
            return hold.end(Ok(()));
        }
    };
    let store = engine.store().direct();
    let Some(claim) = store.and_then(|store| store.let_go(&id)) else {
        let gone = format!("{}: its claim was deleted while it waited", plan.shown);
        caller.fail(AcquireError::Unavailable(gone));
        return hold.end(Ok(()));
    };
    let origin = Origin::Created { first_sent };
    let claimed = Claimed { claim, origin };
    let follow = Follow::new(engine, hold, plan, caller, origin, &claimed, &registration);
    follow.run(claimed.claim).await;
}

impl Follow {
    pub(super) fn new(
        engine: Arc<Engine>,
        hold: Arc<Hold>,
        plan: Arc<Plan>,
        caller: Caller,
        origin: Origin,
        claimed: &Claimed,
        registration: &Registration,
    ) -> Self {
        hold.set_uid(&claimed.claim.uid);
        let at = ClaimAt {
            name: claimed.claim.name.clone(),
            uid: claimed.claim.uid.clone(),
            session: engine.session().to_owned(),
        };
        Self {
            engine,
            hold,
            plan,
            caller,
            at,
            origin,
            news: registration.news.clone(),
        }
    }

    /// Follows the claim to its end.
    pub(super) async fn run(mut self, claim: ClaimVersion) {
        match self.wait(Arc::new(claim)).await {
            Waited::Over => {
                self.engine.note_done(&self.at.uid);
                self.hold.end(Ok(()));
            }
            Waited::GaveUp if self.hold.wished() == Wish::Yield => self.yielded(),
            Waited::GaveUp if self.origin.former_may_believe() => self.leave(),
            Waited::GaveUp => self.release(Duration::ZERO).await,
            Waited::Granted(claim) if self.plan.spec.kind == ClaimKind::RateLimit => {
                // Nothing is held: the claim is finished, and what was taken stays taken.
                self.hand_over(&claim);
                // Nor is it told as released.
                self.hold.set_acquired_event(0);
                self.hold.wish(Wish::Release);
                self.release(Duration::ZERO).await;
            }
            Waited::Granted(claim) => self.hold_it(&claim).await,
        }
    }

    /// Waits until the claim is granted or over, or nobody waits for it.
    async fn wait(&mut self, mut claim: Arc<ClaimVersion>) -> Waited {
        let mut looked = Instant::now();
        loop {
            if let Some(over) = self.judge(&claim) {
                return over;
            }
            let every = if self.engine.watch_works.load(Ordering::Relaxed) {
                LOOK_EVERY
            } else {
                LOOK_BLIND_EVERY
            };
            let next_look = looked + every.mul_f64(0.8 + 0.4 * fastrand::f64());
            let mut look = false;
            tokio::select! {
                biased;
                why = self.caller.impatient() => {
                    self.caller.give_up(why);
                    return Waited::GaveUp;
                }
                news = next_news(&mut self.news) => match news {
                    News::Version(version) => {
                        if version.uid == self.at.uid && version.version >= claim.version {
                            claim = version;
                        }
                    }
                    News::Look => look = true,
                },
                () = tokio::time::sleep_until(next_look.into()) => look = true,
            }
            if look {
                looked = Instant::now();
                let answer = bounded(&self.engine, self.engine.store().get(&self.at.name));
                match self.caller.attend(answer).await {
                    Ok(Some(found)) if found.uid == self.at.uid => claim = Arc::new(found),
                    Ok(_) => {
                        let gone =
                            format!("{}: its claim was deleted while it waited", self.plan.shown);
                        self.caller.fail(AcquireError::Unavailable(gone));
                        return Waited::Over;
                    }
                    Err(error) => {
                        debug!(target: "sluice::client", %error, "no look at a claim that waits")
                    }
                }
                if self.caller.has_given_up() {
                    return Waited::GaveUp;
                }
            }
        }
    }

    /// What a version of a claim that waits has come to.
    fn judge(&mut self, claim: &Arc<ClaimVersion>) -> Option<Waited> {
        if claim.spec.session != self.at.session {
            self.caller.fail(AcquireError::IdConflict {
                id: self.at.name.clone(),
                detail: "another process has taken it over".to_owned(),
            });
            return Some(Waited::Over);
        }
        let status = &claim.status;
        match status.phase {
            ClaimPhase::Pending if claim.spec.release || claim.deleting => {
                let why = format!(
                    "{}: its claim was released by somebody else",
                    self.plan.shown
                );
                self.caller.fail(AcquireError::Unavailable(why));
            }
            ClaimPhase::Pending if self.caller.has_given_up() => return Some(Waited::GaveUp),
            ClaimPhase::Pending => return None,
            ClaimPhase::Granted if self.caller.has_given_up() => return Some(Waited::GaveUp),
            ClaimPhase::Granted => return Some(Waited::Granted(Arc::clone(claim))),
            ClaimPhase::TimedOut => self.caller.timed_out(""),
            ClaimPhase::Denied => self.caller.denied(&status.reason, &status.message),
            ClaimPhase::Revoked | ClaimPhase::Released => {
                let why = format!(
                    "{}: its claim is {:?} ({}) before it was held: {}",
                    self.plan.shown, status.phase, status.reason, status.message
                );
                self.caller.fail(AcquireError::Unavailable(why));
            }
        }
        if status.reason.ends_with("NotFound") {
            for wanted in self.plan.wanted().iter().filter(|wanted| !wanted.lock) {
                self.engine.note_limit(&wanted.key, false);
            }
        }
        Some(Waited::Over)
    }

    /// Holds a granted claim until it is lost, or its guard has ended.
    async fn hold_it(mut self, claim: &ClaimVersion) {
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

    /// The caller may believe from now on.
    fn hand_over(&mut self, claim: &ClaimVersion) {
        let tokens: Vec<Token> = claim.status.grants.iter().map(Token::from).collect();
        debug!(target: "sluice::client", claim = self.at.name, ?tokens, "granted");
        let waited = self.caller.waited();
        let event = self.engine.events().emit(
            &self.at.name,
            Some(&self.at.uid),
            &self.plan.shown,
            EventKind::Acquired { waited },
        );
        self.hold.set_acquired_event(event);
        if !self.caller.succeed() {
            // Whoever asked has gone: nobody has the guard.
            self.hold.wish(Wish::Release);
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

/// The next word of the watch.
async fn next_news(news: &mut watch::Receiver<Option<News>>) -> News {
    loop {
        if news.changed().await.is_err() {
            // The registration keeps the other end.
            std::future::pending::<()>().await;
        }
        if let Some(word) = news.borrow_and_update().clone() {
            return word;
        }
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
