//! How an acquisition comes to a claim: it creates one, or takes over the one of its name.
//!
//! A name is an idempotency key. A create whose answer was lost is sent again under the same name, and finds what the
//! first one made; when nobody wants it any more, the caller of this module has it looked for. A claim of a caller's
//! own id is taken over where it is the same request of the same user, by a swap of its session that tests all that
//! was read; one that has ended, or is ending, makes room first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::caller::Caller;
use super::clock::Stamp;
use super::engine::Engine;
use super::error::AcquireError;
use super::lease::Origin;
use super::plan::Plan;
use super::store::{ClaimVersion, NewClaim, StoreError, Swap};
use crate::api::claim::{ClaimPhase, SlotClaimSpec};

/// For how long a server may not answer before an acquisition fails that has no time of its own.
const UNANSWERED_MAX: Duration = Duration::from_secs(30);
/// For how long a claim that has ended may keep its name.
const ROOM_MAX: Duration = Duration::from_secs(120);
/// First pause before another try.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause before another try.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A claim that is ours.
pub(super) struct Claimed {
    pub(super) claim: ClaimVersion,
    pub(super) origin: Origin,
}

/// It came to no claim.
pub(super) struct Failed {
    /// Why; nobody waits any more without it.
    pub(super) error: Option<AcquireError>,
    /// A claim of this name may come into being all the same.
    pub(super) leftover: bool,
}

/// Comes to a claim. `former` is one that this client has held under the same name, and does not believe in any more.
pub(super) struct Establish<'a> {
    engine: &'a Arc<Engine>,
    plan: &'a Plan,
    name: &'a str,
    former: Option<String>,
    unanswered_since: Option<Instant>,
    /// Since when a claim that has ended keeps the name.
    taken_since: Option<Instant>,
    /// A create was sent whose answer is not known.
    open: bool,
    first_sent: Option<Stamp>,
    pause: Duration,
}

/// What a step has come to.
enum Step {
    Claimed(Box<Claimed>),
    Again,
}

impl<'a> Establish<'a> {
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        plan: &'a Plan,
        name: &'a str,
        former: Option<String>,
    ) -> Self {
        Self {
            engine,
            plan,
            name,
            former,
            unanswered_since: None,
            taken_since: None,
            open: false,
            first_sent: None,
            pause: PAUSE_MIN,
        }
    }

    /// Goes on until there is a claim, an error, or nobody who waits.
    pub(super) async fn run(mut self, caller: &mut Caller) -> Result<Claimed, Failed> {
        let ended = self.go(caller).await;
        ended.map_err(|error| Failed {
            error,
            leftover: self.open,
        })
    }

    async fn go(&mut self, caller: &mut Caller) -> Result<Claimed, Option<AcquireError>> {
        let user = loop {
            if caller.has_given_up() {
                return Err(None);
            }
            let engine = self.engine;
            let user = bounded(engine, async { engine.user().await.map(str::to_owned) });
            match caller.attend(user).await {
                Ok(user) => break user,
                Err(error) => self.after(caller, error).await?,
            }
        };
        self.make_limits(caller).await?;
        loop {
            if caller.has_given_up() {
                return Err(None);
            }
            match self.create(caller, &user).await? {
                Step::Claimed(claimed) => return Ok(*claimed),
                Step::Again => self.breathe(caller).await,
            }
        }
    }

    async fn create(
        &mut self,
        caller: &mut Caller,
        user: &str,
    ) -> Result<Step, Option<AcquireError>> {
        let new = NewClaim {
            name: self.name.into(),
            spec: Box::new(SlotClaimSpec {
                user: user.to_owned(),
                session: self.engine.session().to_owned(),
                ..(*self.plan.spec).clone()
            }),
        };
        let sent = self.engine.now();
        let first_sent = *self.first_sent.get_or_insert(sent);
        let answer = bounded(self.engine, self.engine.store().create(&new));
        match caller.attend(answer).await {
            Ok(claim) => {
                self.open = false;
                let origin = Origin::Created { first_sent };
                Ok(Step::Claimed(Box::new(Claimed { claim, origin })))
            }
            Err(StoreError::Exists(_)) => self.existing(caller, user).await,
            Err(StoreError::Unknown(why)) => {
                self.open = true;
                self.after(caller, StoreError::Unknown(why)).await?;
                Ok(Step::Again)
            }
            Err(error) => Err(Some(self.refusal(error))),
        }
    }

    /// There is a claim of this name.
    async fn existing(
        &mut self,
        caller: &mut Caller,
        user: &str,
    ) -> Result<Step, Option<AcquireError>> {
        let found = bounded(self.engine, self.engine.store().get(self.name));
        let found = match caller.attend(found).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Step::Again),
            Err(error) => {
                self.after(caller, error).await?;
                return Ok(Step::Again);
            }
        };
        self.unanswered_since = None;
        let own = found.spec.session == self.engine.session();
        let former = self.former.as_deref() == Some(found.uid.as_str());
        let settled = self.engine.is_settled(&found.uid);
        if found.deleting || found.spec.release || found.status.phase.is_final() {
            return self.make_room(caller, &found).await;
        }
        if own && !former && !settled {
            // What our own create has made, whose answer was lost.
            self.open = false;
            let sent = self.first_sent.unwrap_or_else(|| self.engine.now());
            let origin = Origin::Created { first_sent: sent };
            return Ok(Step::Claimed(Box::new(Claimed {
                claim: found,
                origin,
            })));
        }
        if self.plan.id.is_none() && self.plan.pod_name.is_some() {
            return self.former_self(caller, &found, user).await;
        }
        if self.plan.id.is_none() {
            // A random name that is taken: nobody has such luck, and it is not ours.
            return Err(Some(self.conflict("its name is taken")));
        }
        if let Some(difference) = self.plan.difference(&found.spec, user) {
            return Err(Some(self.conflict(&difference)));
        }
        // Another process may have taken it over from our former holder since, and believe.
        self.adopt(caller, &found, former && own).await
    }

    /// What a container that has started again has left: its name is ours, so nobody believes in it. It is taken over;
    /// where something else was asked for, it is given back to make room.
    async fn former_self(
        &mut self,
        caller: &mut Caller,
        found: &ClaimVersion,
        user: &str,
    ) -> Result<Step, Option<AcquireError>> {
        if found.spec.user != user || found.spec.pod_ref != self.plan.spec.pod_ref {
            let why = "its name is that of a claim of another user, or of another pod";
            return Err(Some(self.conflict(why)));
        }
        if self.plan.difference(&found.spec, user).is_none() {
            return self.adopt(caller, found, true).await;
        }
        let at = found.at();
        let released = bounded(self.engine, self.engine.store().release(&at));
        match caller.attend(released).await {
            Ok(_) | Err(StoreError::NotFound(_) | StoreError::Refused(_)) => {}
            Err(error) => self.after(caller, error).await?,
        }
        Ok(Step::Again)
    }

    /// A claim that has ended, or is ending, keeps the name for a moment.
    async fn make_room(
        &mut self,
        caller: &mut Caller,
        found: &ClaimVersion,
    ) -> Result<Step, Option<AcquireError>> {
        let since = *self.taken_since.get_or_insert_with(Instant::now);
        if since.elapsed() > ROOM_MAX {
            let why = format!("claim {}, which has ended, does not go away", self.name);
            return Err(Some(self.unavailable(&why)));
        }
        if found.status.phase.is_final() && !found.deleting {
            let deleted = bounded(
                self.engine,
                self.engine.store().delete(&found.name, &found.uid),
            );
            match caller.attend(deleted).await {
                // Gone, or another one by now: the next create tells.
                Ok(()) | Err(StoreError::NotFound(_) | StoreError::Refused(_)) => {}
                Err(error @ StoreError::Unknown(_)) => self.after(caller, error).await?,
                Err(error) => return Err(Some(self.refusal(error))),
            }
        }
        Ok(Step::Again)
    }

    async fn adopt(
        &mut self,
        caller: &mut Caller,
        found: &ClaimVersion,
        former_ended: bool,
    ) -> Result<Step, Option<AcquireError>> {
        let outcome = adopt(self.engine, found, former_ended);
        match caller.attend(outcome).await {
            Ok(Some(claimed)) => Ok(Step::Claimed(Box::new(claimed))),
            Ok(None) => Ok(Step::Again),
            Err(StoreError::Forbidden(why)) => Err(Some(AcquireError::Forbidden(why))),
            Err(error) => {
                self.after(caller, error).await?;
                Ok(Step::Again)
            }
        }
    }

    /// Limits of a template, where they do not exist.
    async fn make_limits(&mut self, caller: &mut Caller) -> Result<(), Option<AcquireError>> {
        let Some((keys, template)) = &self.plan.template else {
            return Ok(());
        };
        for key in keys {
            while !self.engine.knows_limit(key) {
                if caller.has_given_up() {
                    return Err(None);
                }
                let created = bounded(self.engine, self.engine.store().create_limit(key, template));
                match caller.attend(created).await {
                    Ok(()) | Err(StoreError::Exists(_)) => self.engine.note_limit(key, true),
                    Err(StoreError::Forbidden(why)) => {
                        return Err(Some(AcquireError::Forbidden(format!(
                            "limit {key} cannot be created where it is missing: {why}"
                        ))));
                    }
                    Err(error) => self.after(caller, error).await?,
                }
            }
        }
        Ok(())
    }

    /// After an answer that was none: another try, or the end.
    async fn after(
        &mut self,
        caller: &mut Caller,
        error: StoreError,
    ) -> Result<(), Option<AcquireError>> {
        if !matches!(error, StoreError::Unknown(_)) {
            return Err(Some(self.refusal(error)));
        }
        let since = *self.unanswered_since.get_or_insert_with(Instant::now);
        if since.elapsed() > UNANSWERED_MAX {
            return Err(Some(self.unavailable(&error.to_string())));
        }
        self.breathe(caller).await;
        Ok(())
    }

    async fn breathe(&mut self, caller: &mut Caller) {
        let pause = self.pause.mul_f64(0.5 + fastrand::f64());
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            why = caller.impatient() => caller.give_up(why),
        }
    }

    fn refusal(&self, error: StoreError) -> AcquireError {
        let shown = &self.plan.shown;
        match error {
            StoreError::Forbidden(why) if self.plan.spec.pod_ref.is_some() => {
                AcquireError::Forbidden(format!(
                    "{why} (for the SDK: ask with no pod, and for `sluice run`: without --pod; or run in that pod, \
                     with the token that is mounted there)"
                ))
            }
            StoreError::Forbidden(why) => AcquireError::Forbidden(why),
            StoreError::Invalid(why) | StoreError::Refused(why) => {
                AcquireError::Invalid(format!("{shown}: {why}"))
            }
            StoreError::NotFound(why) => AcquireError::Missing {
                request: shown.clone(),
                detail: format!(
                    "{why}; is Sluice installed, and does namespace {} exist?",
                    self.engine.store().namespace()
                ),
            },
            StoreError::Exists(why) | StoreError::Unknown(why) => self.unavailable(&why),
        }
    }

    fn unavailable(&self, why: &str) -> AcquireError {
        AcquireError::Unavailable(format!("{}: {why}", self.plan.shown))
    }

    fn conflict(&self, detail: &str) -> AcquireError {
        AcquireError::IdConflict {
            id: self.name.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

/// Swaps the session of a claim that was read; `None` if it has changed since.
pub(super) async fn adopt(
    engine: &Arc<Engine>,
    found: &ClaimVersion,
    former_ended: bool,
) -> Result<Option<Claimed>, StoreError> {
    let swap = Swap {
        at: found.at(),
        seq: found.spec.renew.seq,
        version: found.version,
        session: engine.session().to_owned(),
        new_seq: found.spec.renew.seq.saturating_add(1),
    };
    let sent = engine.now();
    let claim = match bounded(engine, engine.store().adopt(&swap)).await {
        Ok(claim) => claim,
        Err(StoreError::Refused(_) | StoreError::NotFound(_)) => return Ok(None),
        Err(StoreError::Unknown(why)) => {
            match bounded(engine, engine.store().get(&found.name)).await {
                // It was applied: nobody else writes our session with this number.
                Ok(Some(claim)) if applied(&claim, &swap) => claim,
                Ok(_) => return Ok(None),
                Err(_) => return Err(StoreError::Unknown(why)),
            }
        }
        Err(error) => return Err(error),
    };
    let acknowledged = engine.now();
    let origin = if claim.status.phase == ClaimPhase::Pending {
        Origin::AdoptedWaiting { sent }
    } else {
        Origin::AdoptedGranted {
            sent,
            acknowledged,
            former_ended,
        }
    };
    Ok(Some(Claimed { claim, origin }))
}

fn applied(claim: &ClaimVersion, swap: &Swap) -> bool {
    claim.uid == swap.at.uid
        && claim.spec.session == swap.session
        && claim.spec.renew.seq == swap.new_seq
}

/// A request of the store, with its bound.
pub(super) async fn bounded<T>(
    engine: &Engine,
    request: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let most = engine.store().request_timeout();
    match tokio::time::timeout(most, request).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unknown(format!("none within {most:?}"))),
    }
}
