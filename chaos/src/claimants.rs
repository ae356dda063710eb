//! What programs do all the while that hold slots themselves: they create claims, renew and release them by plain
//! requests, and write down when they believed that they held.
//!
//! Each keeps the rules of a holder (docs/design.md 5.5): its deadline counts from the sending of the create or of the
//! last renewal that was answered, less a guard; a claim that waited for long is renewed before anything is believed;
//! nothing is believed any more when the release is sent. Some die, some hang for longer than their lease, and some
//! find their claim deleted. What they believed is judged with the history of the store.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use futures::future::join_all;
use kube::ResourceExt as _;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sluice::api::SlotClaim;
use sluice_testenv::history::Belief;
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep, timeout};

use crate::store::Era;
use crate::town::Town;
use crate::wish::Wish;

/// How many programs there are.
const PROGRAMS: usize = 30;
/// Lease of every claim: the shortest there may be.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// What a holder takes off its lease: the larger of 2 s and a tenth.
const GUARD: Duration = Duration::from_secs(2);
/// A claim that waited for longer than this is renewed before it is believed.
const LONG_WAIT: Duration = Duration::from_secs(6);
/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// Between two looks at a claim that waits, and before something is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Longest that a program waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest that a program waits for its slots before it gives up.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// Longest that a release is tried.
const RELEASE_FOR: Duration = Duration::from_secs(20);

/// Everything that was believed, each with the era in which it was.
pub(crate) type Beliefs = Arc<Mutex<Vec<(usize, Belief)>>>;

/// All programs go on until dropped; each keeps still while `world` is locked.
pub(crate) async fn live(town: &Town, dice: &mut Rng, world: &RwLock<Era>, beliefs: &Beliefs) {
    let programs = (0..PROGRAMS).map(|number| {
        let mut program = Program {
            town: town.clone(),
            dice: dice.fork(),
            number,
            claims: 0,
            world,
            beliefs: Arc::clone(beliefs),
        };
        async move {
            loop {
                program.once().await;
            }
        }
    });
    let _: Vec<()> = join_all(programs).await;
}

/// One program.
struct Program<'a> {
    town: Town,
    dice: Rng,
    number: usize,
    claims: usize,
    world: &'a RwLock<Era>,
    beliefs: Beliefs,
}

/// A claim that a program has.
struct Held {
    name: String,
    /// It takes for a rate: nothing is held, and nothing to be believed.
    rate: bool,
    uid: String,
    session: String,
    seq: i64,
    /// The era in which it was created.
    era: usize,
    /// When its create was sent.
    created: Instant,
    /// Until when it may be believed.
    deadline: Instant,
}

/// What becomes of a holder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    Dies,
    Hangs,
    IsDeleted,
}

/// How waiting ended.
enum Waited {
    /// It holds.
    Holds,
    /// It is given up.
    TooLong,
    /// Nothing comes of the claim any more.
    InVain,
}

/// What an answer to a request on a claim said.
enum Answer {
    Is(Box<DynamicObject>),
    Gone,
    /// Refused, or none: whether it was done is not known.
    Nothing,
}

impl Program<'_> {
    /// One claim from beginning to end.
    async fn once(&mut self) {
        sleep(Duration::from_millis(self.dice.u64(50..1_500))).await;
        let Some(mut held) = self.create().await else {
            return;
        };
        match self.wait(&mut held).await {
            Waited::Holds => {}
            Waited::TooLong => {
                self.release(&held).await;
                return;
            }
            Waited::InVain => return,
        }
        if held.rate {
            // Some let it be, and it goes by itself.
            if self.dice.bool() {
                self.release(&held).await;
            }
            return;
        }
        let fate = match self.dice.u8(..12) {
            0 => Fate::Dies,
            1 => Fate::Hangs,
            2 => Fate::IsDeleted,
            _ => Fate::Works,
        };
        let from = Instant::now();
        let until = self.hold(&mut held, fate).await;
        self.note(&held, from, until).await;
        if matches!(fate, Fate::Works | Fate::IsDeleted) {
            self.release(&held).await;
        }
    }

    async fn create(&mut self) -> Option<Held> {
        self.claims = self.claims.saturating_add(1);
        let name = format!("c{}-{}", self.number, self.claims);
        let session = format!("s{:016x}", self.dice.u64(..));
        let resource = ApiResource::erase::<SlotClaim>(&());
        let wish = Wish::draw(&mut self.dice, self.number, &session);
        let claim = DynamicObject::new(&name, &resource).data(json!({"spec": wish.spec}));
        let still = self.world.read().await;
        let created = Instant::now();
        let claims = self.town.claims();
        let made = timeout(PATIENCE, claims.create(&PostParams::default(), &claim)).await;
        let made = match made {
            Ok(Ok(made)) => Some(made),
            // It may be there all the same, and is looked for.
            _ => timeout(PATIENCE, claims.get(&name)).await.ok()?.ok(),
        };
        Some(Held {
            uid: made?.uid()?,
            name,
            rate: wish.rate,
            session,
            seq: 0,
            era: still.number,
            created,
            deadline: created + LEASE - GUARD,
        })
    }

    /// Waits until it may be believed that the claim holds.
    async fn wait(&mut self, held: &mut Held) -> Waited {
        while held.created.elapsed() < WAIT_MAX {
            sleep(LOOK_EVERY).await;
            let claim = match self.look(held).await {
                Some(Answer::Is(claim)) => claim,
                Some(Answer::Nothing) => continue,
                Some(Answer::Gone) | None => return Waited::InVain,
            };
            match phase(&claim) {
                "Pending" => continue,
                "Granted" => {}
                _ => return Waited::InVain,
            }
            if held.rate || held.created.elapsed() < LONG_WAIT && Instant::now() < held.deadline {
                return Waited::Holds;
            }
            // Its lease may be over for the controllers already: a renewal tells.
            return match self.renew(held).await {
                Some(Answer::Is(claim))
                    if phase(&claim) == "Granted" && Instant::now() < held.deadline =>
                {
                    Waited::Holds
                }
                None | Some(Answer::Gone) => Waited::InVain,
                Some(_) => Waited::TooLong,
            };
        }
        Waited::TooLong
    }

    /// Holds for a while; until when it believed.
    async fn hold(&mut self, held: &mut Held, fate: Fate) -> Instant {
        let work = Duration::from_millis(self.dice.u64(200..12_000));
        let done = Instant::now() + work;
        let mut renew_at = Instant::now() + RENEW_EVERY;
        loop {
            let next = done.min(renew_at).min(held.deadline);
            tokio::time::sleep_until(next).await;
            if Instant::now() >= held.deadline {
                return held.deadline;
            }
            if next == done {
                return self.end(held, fate).await;
            }
            renew_at = Instant::now() + RENEW_EVERY;
            match self.renew(held).await {
                None | Some(Answer::Gone) => return Instant::now().min(held.deadline),
                Some(Answer::Is(claim)) if phase(&claim) != "Granted" => {
                    return Instant::now().min(held.deadline);
                }
                Some(Answer::Is(_)) => {}
                Some(Answer::Nothing) => renew_at = Instant::now() + LOOK_EVERY,
            }
        }
    }

    /// The work is done, or something else comes to pass; until when it was believed.
    async fn end(&mut self, held: &Held, fate: Fate) -> Instant {
        match fate {
            Fate::Works | Fate::Dies => Instant::now(),
            Fate::Hangs => {
                // It wakes up after its lease is over, and looks at the clock first.
                sleep(LEASE + GUARD).await;
                held.deadline
            }
            Fate::IsDeleted => {
                let still = self.world.read().await;
                if still.number == held.era {
                    let claims = self.town.claims();
                    let how = DeleteParams::default();
                    let _ = timeout(PATIENCE, claims.delete(&held.name, &how)).await;
                }
                drop(still);
                // Nobody tells it.
                tokio::time::sleep_until(held.deadline).await;
                held.deadline
            }
        }
    }

    async fn look(&self, held: &Held) -> Option<Answer> {
        let still = self.world.read().await;
        if still.number != held.era {
            return None;
        }
        let claims = self.town.claims();
        Some(answer(
            held,
            timeout(PATIENCE, claims.get(&held.name)).await.ok(),
        ))
    }

    /// Renews with a number of its own; an answer that says Granted moves the deadline. `None` after a restore.
    async fn renew(&self, held: &mut Held) -> Option<Answer> {
        let still = self.world.read().await;
        if still.number != held.era {
            return None;
        }
        held.seq = held.seq.saturating_add(1);
        let renewal = json!({"op": "add", "path": "/spec/renew", "value": {"seq": held.seq}});
        let sent = Instant::now();
        let answer = self.patch(held, renewal).await;
        if let Answer::Is(claim) = &answer
            && phase(claim) == "Granted"
        {
            held.deadline = sent + LEASE - GUARD;
        }
        Some(answer)
    }

    /// Gives the claim back, or gives up waiting; what is not answered in time is left to expire.
    async fn release(&self, held: &Held) {
        let begun = Instant::now();
        while begun.elapsed() < RELEASE_FOR {
            let still = self.world.read().await;
            if still.number != held.era {
                return;
            }
            let release = json!({"op": "add", "path": "/spec/release", "value": true});
            match self.patch(held, release).await {
                Answer::Is(_) | Answer::Gone => return,
                Answer::Nothing => drop(still),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn patch(&self, held: &Held, operation: Value) -> Answer {
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": held.uid},
            {"op": "test", "path": "/spec/session", "value": held.session},
            operation,
        ]);
        let Ok(patch) = serde_json::from_value(operations) else {
            return Answer::Nothing;
        };
        let claims = self.town.claims();
        let patch: Patch<()> = Patch::Json(patch);
        let parameters = PatchParams::default();
        let patching = claims.patch(&held.name, &parameters, &patch);
        answer(held, timeout(PATIENCE, patching).await.ok())
    }

    /// Writes down what was believed; of what was restored away, only until then.
    async fn note(&self, held: &Held, from: Instant, until: Instant) {
        let still = self.world.read().await;
        let until = micros(until);
        let until = match still.ends.get(held.era) {
            Some(end) => until.min(*end),
            None => until,
        };
        let belief = Belief {
            claim: held.uid.clone(),
            from_micros: micros(from),
            until_micros: until,
        };
        if let Ok(mut beliefs) = self.beliefs.lock() {
            beliefs.push((held.era, belief));
        }
    }
}

fn answer(held: &Held, answer: Option<kube::Result<DynamicObject>>) -> Answer {
    match answer {
        Some(Ok(claim)) if claim.uid().as_deref() == Some(&held.uid) => Answer::Is(Box::new(claim)),
        Some(Ok(_)) => Answer::Gone,
        Some(Err(kube::Error::Api(status))) if status.code == 404 => Answer::Gone,
        _ => Answer::Nothing,
    }
}

fn phase(claim: &DynamicObject) -> &str {
    claim.data["status"]["phase"].as_str().unwrap_or("Pending")
}

/// A moment by the wall clock, in microseconds since 1970.
fn micros(at: Instant) -> i64 {
    let now = i128::from(wall_micros());
    let ago = i128::try_from(at.elapsed().as_micros()).unwrap_or_default();
    let ahead = at.saturating_duration_since(Instant::now()).as_micros();
    let ahead = i128::try_from(ahead).unwrap_or_default();
    i64::try_from(now - ago + ahead).unwrap_or(i64::MAX)
}

/// The wall clock, in microseconds since 1970.
pub(crate) fn wall_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX))
}
