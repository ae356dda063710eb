//! The life of one claim, from the first request to its end: one task on the client's thread.
//!
//! It waits until the claim is granted (`wait`), renews it and hands it to the caller when it may be believed (`keep`), and
//! releases it when the guard has ended. The guard stops believing before its release is sent (`super::parting`).

mod keep;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::debug;

use super::caller::{Caller, Patience};
use super::clock::Stamp;
use super::direct::DirectId;
use super::engine::{Begin, Counted, Engine, Registration, Reply};
use super::error::AcquireError;
use super::establish::{Claimed, Establish};
use super::events::EventKind;
use super::hold::{Hold, Wish};
use super::lease::Origin;
use super::leftover;
use super::news::News;
use super::own_name::OwnName;
use super::plan::Plan;
use super::slots::Token;
use super::store::{ClaimAt, ClaimVersion};
use crate::api::claim::ClaimKind;

use wait::Waited;

/// How long between two looks at whether a former command is gone.
const GUARDED_PAUSE: Duration = Duration::from_millis(100);

/// A task that follows one claim.
pub(super) struct Follow {
    pub(super) engine: Arc<Engine>,
    pub(super) hold: Arc<Hold>,
    pub(super) plan: Arc<Plan>,
    pub(super) caller: Caller,
    pub(super) at: ClaimAt,
    pub(super) origin: Origin,
    pub(super) news: watch::Receiver<Option<News>>,
    /// The name of the claim, until it is given back or its guard is gone.
    pub(super) own_name: Option<OwnName>,
}

/// What is asked for, and who waits for it.
fn who_waits(
    engine: &Arc<Engine>,
    hold: &Arc<Hold>,
    begin: Begin,
    reply: Reply,
) -> (Arc<Plan>, Caller) {
    let plan = Arc::new(begin.plan);
    let patience = Patience {
        time: begin.patience,
        tried_once: begin.tried_once,
        cancel: begin.cancel,
        reply,
    };
    let caller = Caller::new(engine, hold, Arc::clone(&plan), patience);
    (plan, caller)
}

/// An acquisition from its begin to its end. With the name of its claim, where one process of a pod has it at a time.
pub(super) async fn acquire(
    counted: Counted,
    hold: Arc<Hold>,
    begin: Begin,
    reply: Reply,
    own_name: Option<OwnName>,
) {
    let engine = Arc::clone(counted.engine());
    let (plan, mut caller) = who_waits(&engine, &hold, begin, reply);
    let name = hold.name().to_owned();
    let registered = caller.attend(counted.register(&name, &hold, Some(&plan)));
    let (registration, former) = match registered.await {
        Ok(registered) => registered,
        Err(detail) => {
            caller.fail(AcquireError::IdConflict { id: name, detail });
            return hold.end(Ok(()));
        }
    };
    if let Some(own_name) = &own_name {
        while own_name.is_guarded() && !caller.has_given_up() {
            tokio::select! {
                () = tokio::time::sleep(GUARDED_PAUSE) => {}
                why = caller.impatient() => caller.give_up(why),
            }
        }
    }
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
            let mut follow = Follow::new(
                engine,
                hold,
                plan,
                caller,
                claimed.origin,
                &claimed,
                &registration,
            );
            follow.own_name = own_name;
            follow.run(claimed.claim).await;
        }
    }
}

/// The rest of an acquisition that was not granted at once.
pub(super) async fn go_on(
    counted: Counted,
    hold: Arc<Hold>,
    begin: Begin,
    reply: Reply,
    id: DirectId,
    first_sent: Stamp,
) {
    let engine = Arc::clone(counted.engine());
    let (plan, mut caller) = who_waits(&engine, &hold, begin, reply);
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
            own_name: None,
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

    /// The caller may believe from now on.
    fn hand_over(&mut self, claim: &ClaimVersion) {
        let tokens: Vec<Token> = claim.status.grants.iter().map(Token::from).collect();
        debug!(target: "sluice::client", claim = self.at.name, ?tokens, "granted");
        let waited = self.caller.waited();
        let event =
            self.engine
                .events()
                .emit(&self.at.name, Some(&self.at.uid), &self.plan.shown, || {
                    EventKind::Acquired { waited }
                });
        self.hold.set_acquired_event(event);
        if !self.caller.succeed() {
            // Whoever asked has gone: nobody has the guard.
            self.hold.wish(Wish::Release);
        }
    }
}
