//! What processes that hold claims do, and what happens to their messages on the way.
//!
//! Each is looked at from time to time, whenever it sees a version of its claim, and whenever it is answered. What it knows
//! and believes is in [`super::processes`].

use std::sync::Arc;

use serde_json::{Value, json};
use sluice::controller::transport::{Address, Failure, Kind, Part, PatchOperation};

use super::network::Fate;
use super::processes::{Former, Holder, Stage};
use super::{SECOND, What, World};
use crate::server::{Call, Change, Reply, SeenClaim};
use crate::transport::Answer;

/// Milliseconds between two looks of a process at its own affairs, on average.
const LOOK_EVERY_MS: u64 = 400;
/// How long a process waits for an answer, in microseconds.
const PATIENCE_US: u64 = 5 * SECOND;
/// A process looks at its claim itself after so much time without news, now and then.
const LOOKS_ITSELF_ONE_IN: u64 = 20;
/// Most tries of a create, an adoption or a release.
const TRIES_MAX: u32 = 20;

/// What a process has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// To create its claim.
    Create,
    /// To adopt it.
    Swap,
    /// To look at it.
    Look,
    /// To renew it.
    Renew,
    /// To give it back.
    Release,
}

/// A message of a process on its way.
#[derive(Debug)]
pub(super) struct Letter {
    holder: usize,
    purpose: Purpose,
    call: Call,
    /// When it was sent, by the clock of the process, and in true time.
    sent: u64,
    sent_true: u64,
    fate: Fate,
    answer: Option<Answer>,
}

fn test(path: &str, value: Value) -> PatchOperation {
    let path = path.to_owned();
    PatchOperation::Test { path, value }
}

fn add(path: &str, value: Value) -> PatchOperation {
    let path = path.to_owned();
    PatchOperation::Add { path, value }
}

impl World {
    /// A process starts.
    pub(super) fn start_holder(&mut self, holder: Holder) {
        self.holders = self.holders.saturating_add(1);
        let number = self.holders;
        self.processes.all.insert(number, holder);
        self.schedule(0, What::Holder(number));
    }

    /// A process looks after its affairs, now and again.
    pub(super) fn tend_holder(&mut self, number: usize) {
        let now = self.now;
        let Some(holder) = self.processes.all.get(&number) else {
            return;
        };
        if holder.frozen_until > now {
            let until = holder.frozen_until;
            self.schedule_at(until, What::Holder(number));
            return;
        }
        self.drive_holder(number);
        let over = self.processes.get(number).map(|it| it.stage) == Some(Stage::Over);
        if over {
            if let Some(holder) = self.processes.all.remove(&number) {
                self.processes.dead.insert(holder.session);
            }
            return;
        }
        let pause = self.about_ms(LOOK_EVERY_MS);
        self.schedule(pause, What::Holder(number));
    }

    /// A process does what there is to do now.
    fn drive_holder(&mut self, number: usize) {
        let now = self.now;
        let calm = self.calm;
        let can = calm && self.can_wait_for_claim(number);
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let clock = holder.clock(now);
        if holder.has_taken() {
            // There is nothing to hold, to lose, or to give back.
            holder.stage = Stage::Over;
            self.reach("claim: a process took for a rate");
            return;
        }
        holder.notice_grant(now);
        if holder.begin(now) {
            self.processes.begun.push(number);
            self.reach("claim: a process began to work");
        }
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        match holder.stage {
            Stage::Asking => self.ask_for_claim(number),
            Stage::Waiting => {
                let gives_up = holder.gives_up_at.is_some_and(|at| clock >= at);
                if gives_up && !calm || calm && !can {
                    holder.stage = Stage::Leaving;
                    holder.tries = 0;
                    self.reach("claim: a process gave up waiting");
                } else if holder.is_granted() {
                    self.renew(number);
                }
            }
            Stage::Holding => {
                let lost = holder.deadline().is_none_or(|at| clock >= at);
                let done = clock >= holder.works_until || calm;
                if lost || done {
                    holder.stage = Stage::Leaving;
                    holder.tries = 0;
                    if lost {
                        self.reach("claim: a process lost its lease");
                        let forgets = self.dice.one_in(2);
                        if let Some(holder) = self.processes.all.get_mut(&number)
                            && forgets
                        {
                            holder.stage = Stage::Over;
                        }
                    }
                } else {
                    self.renew(number);
                }
            }
            Stage::Leaving => self.leave(number),
            Stage::Over => {}
        }
        if self.dice.one_in(LOOKS_ITSELF_ONE_IN) {
            self.look_at_claim(number);
        }
    }

    fn ask_for_claim(&mut self, number: usize) {
        let now = self.now;
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let clock = holder.clock(now);
        if holder.is_busy || clock < holder.retry_after {
            return;
        }
        holder.tries = holder.tries.saturating_add(1);
        if holder.tries > TRIES_MAX {
            holder.stage = Stage::Over;
            return;
        }
        let looks = holder.adopts.is_some() || holder.tries.is_multiple_of(2);
        if looks {
            self.look_at_claim(number);
            return;
        }
        holder.first_sent.get_or_insert(clock);
        let spec = Box::new(holder.spec.clone());
        let call = Call::CreateClaim(holder.namespace.clone(), holder.name.clone(), spec);
        self.post(number, Purpose::Create, call);
    }

    fn look_at_claim(&mut self, number: usize) {
        let Some(holder) = self.processes.all.get(&number) else {
            return;
        };
        if !holder.is_busy && holder.stage != Stage::Over {
            let call = Call::Get(Self::place_of(holder));
            self.post(number, Purpose::Look, call);
        }
    }

    fn place_of(holder: &Holder) -> Address {
        Address {
            kind: Kind::Claim,
            namespace: Some(holder.namespace.clone()),
            name: holder.name.clone(),
        }
    }

    /// Sends a renewal when one is due: every try with a new number.
    fn renew(&mut self, number: usize) {
        let now = self.now;
        let step = i64::try_from(self.dice.between(1, 3)).unwrap_or(1);
        let day = self.dice.between(1, 28);
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let (Some(lease), Some(seen)) = (holder.lease(), holder.seen.clone()) else {
            return;
        };
        let clock = holder.clock(now);
        let due = match holder.renewed_at.max(holder.proven) {
            _ if holder.is_renewing => false,
            // The first one confirms the grant; after a failure, soon again.
            None => true,
            Some(last) if holder.proven.is_none_or(|proven| proven < last) => {
                clock.saturating_sub(last) >= SECOND
            }
            Some(last) => clock.saturating_sub(last) >= lease / 3,
        };
        if !due {
            return;
        }
        holder.seq = holder
            .seq
            .max(seen.claim.spec.renew.seq)
            .saturating_add(step);
        holder.renewed_at = Some(clock);
        holder.is_renewing = true;
        // Its clock of day may be anywhere; nothing may be decided by it.
        let time = format!("2026-{:02}-{day:02}T00:00:00.000000Z", 1 + day % 12);
        let operations = vec![
            test("/metadata/uid", json!(seen.claim.uid.as_str())),
            test("/spec/session", json!(holder.session)),
            add("/spec/renew", json!({"seq": holder.seq, "time": time})),
        ];
        let call = Call::Patch(Self::place_of(holder), Part::Main, operations);
        self.post(number, Purpose::Renew, call);
    }

    /// Says that it has done; it believes nothing any more.
    fn leave(&mut self, number: usize) {
        let now = self.now;
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let clock = holder.clock(now);
        if holder.is_busy || clock < holder.retry_after {
            return;
        }
        let Some(uid) = holder.uid().cloned() else {
            holder.stage = Stage::Over;
            return;
        };
        // The guard whose claim it has adopted may still believe.
        if clock < holder.believes_from {
            return;
        }
        holder.tries = holder.tries.saturating_add(1);
        if holder.tries > TRIES_MAX {
            holder.stage = Stage::Over;
            return;
        }
        let operations = vec![
            test("/metadata/uid", json!(uid.as_str())),
            test("/spec/session", json!(holder.session)),
            add("/spec/release", json!(true)),
        ];
        let call = Call::Patch(Self::place_of(holder), Part::Main, operations);
        self.post(number, Purpose::Release, call);
    }

    /// Takes a claim over that another process has: tests what it has read, and brings a renewal of its own.
    fn swap(&mut self, number: usize, read: &Arc<SeenClaim>) {
        let is_dead = self.processes.are_all_dead(&read.claim.uid);
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let former = read.claim.spec.session.clone();
        holder.adopts = Some(Former {
            session: former.clone(),
            is_dead,
        });
        holder.seq = read.claim.spec.renew.seq.saturating_add(1);
        let operations = vec![
            test("/metadata/uid", json!(read.claim.uid.as_str())),
            test("/spec/session", json!(former)),
            test("/spec/renew/seq", json!(read.claim.spec.renew.seq)),
            test("/spec/release", json!(false)),
            add("/spec/session", json!(holder.session)),
            add("/spec/renew", json!({"seq": holder.seq})),
        ];
        let call = Call::Patch(Self::place_of(holder), Part::Main, operations);
        self.post(number, Purpose::Swap, call);
    }

    /// A message leaves its process.
    fn post(&mut self, number: usize, purpose: Purpose, call: Call) {
        let fate = self.fate(&call);
        let mut latency = self.latency();
        if self.is_faulty(4) {
            latency = self.dice.between(SECOND / 2, 60 * SECOND);
            self.fault("request: delayed", || {
                format!("{purpose:?} of process {number}")
            });
        }
        let (now, calls) = (self.now, self.calls.saturating_add(1));
        self.calls = calls;
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        holder.is_busy |= purpose != Purpose::Renew;
        let letter = Letter {
            holder: number,
            purpose,
            call,
            sent: holder.clock(now),
            sent_true: now,
            fate,
            answer: None,
        };
        self.letters.insert(calls, letter);
        self.schedule(latency, What::LetterArrives(calls));
    }

    /// A message of a process arrives.
    pub(super) fn letter_arrives(&mut self, id: u64) {
        let Some(letter) = self.letters.get(&id) else {
            return;
        };
        let (number, sent) = (letter.holder, letter.sent_true);
        let cut_until = self.processes.get(number).map_or(0, |it| it.cut_until);
        if cut_until > self.now {
            self.schedule_at(cut_until, What::LetterArrives(id));
            return;
        }
        let (call, fate) = (letter.call.clone(), letter.fate.clone());
        let unknown = || Err(Failure::Unknown("none in time".to_owned()));
        let answer = match fate {
            Fate::Plain => self.server.serve_holder(number, &call),
            Fate::LostBefore => unknown(),
            Fate::LostAfter | Fate::KillsAfter => {
                let _ = self.server.serve_holder(number, &call);
                unknown()
            }
            Fate::Late(late) => {
                self.schedule(late, What::LateLetter(number, Box::new(call)));
                unknown()
            }
            Fate::Twice(late) => {
                let answer = self.server.serve_holder(number, &call);
                self.schedule(late, What::LateLetter(number, Box::new(call)));
                answer
            }
            Fate::Answered(failure) => Err(failure),
        };
        self.note(9, id);
        let deadline = sent.saturating_add(PATIENCE_US);
        let back = self.latency().saturating_add(self.now);
        let (answer, at) = if back > deadline {
            (unknown(), deadline.max(self.now))
        } else {
            (answer, back)
        };
        if let Some(letter) = self.letters.get_mut(&id) {
            letter.answer = Some(answer);
        }
        self.schedule_at(at, What::LetterAnswered(id));
    }

    /// A message arrives of which its sender knows nothing any more.
    pub(super) fn late_letter(&mut self, number: usize, call: &Call) {
        self.note(10, number as u64);
        if self.server.serve_holder(number, call).is_ok() {
            self.reach("claim: a late message of a process was applied");
        }
    }

    /// A process is answered.
    pub(super) fn letter_answered(&mut self, id: u64) {
        let Some(letter) = self.letters.get(&id) else {
            return;
        };
        let number = letter.holder;
        if let Some(holder) = self.processes.get(number)
            && holder.frozen_until > self.now
        {
            let until = holder.frozen_until;
            self.schedule_at(until, What::LetterAnswered(id));
            return;
        }
        let Some(letter) = self.letters.remove(&id) else {
            return;
        };
        self.note(11, id);
        let answer = match letter.answer {
            Some(Ok(Reply::Claim(seen))) => Ok(seen),
            Some(Err(failure)) => Err(failure),
            other => crate::bug(&format!("a process was answered {other:?}")),
        };
        self.take_answer(number, letter.purpose, letter.sent, answer);
        if self.processes.get(number).is_some() {
            self.drive_holder(number);
        }
    }

    fn take_answer(
        &mut self,
        number: usize,
        purpose: Purpose,
        sent: u64,
        answer: Result<Arc<SeenClaim>, Failure>,
    ) {
        let now = self.now;
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let clock = holder.clock(now);
        match purpose {
            Purpose::Renew => holder.is_renewing = false,
            _ => holder.is_busy = false,
        }
        let mine = |seen: &Arc<SeenClaim>| seen.claim.spec.session == holder.session;
        match (purpose, answer) {
            (Purpose::Create | Purpose::Look, Ok(seen)) if holder.stage == Stage::Asking => {
                if mine(&seen) {
                    holder.stage = Stage::Waiting;
                    // Adopted, though the answer was lost: the former guard may believe for a lease from now on.
                    self.adopted(number, &seen, None);
                } else if holder.adopts.is_some() && is_to_be_had(&seen) {
                    self.swap(number, &seen);
                } else {
                    holder.stage = Stage::Over;
                }
            }
            (Purpose::Swap, Ok(seen)) => {
                holder.stage = Stage::Waiting;
                self.adopted(number, &seen, Some(sent));
                self.reach("claim: a process adopted one");
            }
            (Purpose::Renew, Ok(seen)) => {
                let stands = mine(&seen) && seen.claim.is_granted() && !seen.claim.spec.release;
                holder.look(&seen);
                if stands && matches!(holder.stage, Stage::Waiting | Stage::Holding) {
                    holder.prove(sent);
                    self.reach("claim: a renewal was acknowledged");
                    if holder_works(&self.processes.all, number, now) {
                        self.processes.begun.push(number);
                    }
                }
            }
            (Purpose::Release, Ok(_)) => {
                holder.stage = Stage::Over;
                self.reach("claim: a process released");
            }
            (_, Ok(seen)) => holder.look(&seen),
            (Purpose::Look, Err(Failure::NotFound(_))) if holder.stage == Stage::Asking => {
                if holder.adopts.is_some() {
                    holder.stage = Stage::Over;
                }
            }
            (_, Err(Failure::NotFound(_))) => holder.miss(),
            (Purpose::Release, Err(Failure::Invalid(said))) if said.contains("test /") => {
                holder.stage = Stage::Over;
            }
            (_, Err(_)) => holder.retry_after = clock.saturating_add(SECOND),
        }
    }

    /// A process has a claim now; `sent` is when it sent the swap that made it so, where it knows that.
    fn adopted(&mut self, number: usize, seen: &Arc<SeenClaim>, sent: Option<u64>) {
        let now = self.now;
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        holder.seen = Some(Arc::clone(seen));
        holder.tries = 0;
        let Some(former) = &holder.adopts else {
            return;
        };
        holder.first_sent = None;
        holder.renews_first = true;
        let is_dead = former.is_dead && former.session != holder.session;
        if seen.claim.is_granted() {
            let lease = holder.lease().unwrap_or(u64::MAX);
            if is_dead {
                if let Some(sent) = sent {
                    holder.prove(sent);
                }
            } else {
                holder.believes_from = holder.clock(now).saturating_add(lease);
                if let Some(sent) = sent {
                    holder.proven = Some(sent);
                }
            }
        }
    }

    /// Processes hear of what became of their claims, each after a while.
    pub(super) fn tell_holders(&mut self) {
        while let Some(entry) = self.server.log.get(self.told) {
            self.told = self.told.saturating_add(1);
            let (before, now) = match &entry.change {
                Change::Claim { before, now } => (before.clone(), now.clone()),
                _ => continue,
            };
            let Some(about) = now.clone().or(before) else {
                continue;
            };
            let claim = &about.claim;
            let guards = self.processes.guards.entry(claim.uid.clone()).or_default();
            guards.insert(claim.spec.session.clone());
            let concerned: Vec<usize> = self
                .processes
                .all
                .iter()
                .filter(|(_, it)| it.name == claim.name && it.namespace == claim.namespace)
                .filter(|(_, it)| it.stage != Stage::Asking)
                .map(|(number, _)| *number)
                .collect();
            for number in concerned {
                let most = if self.calm {
                    20_000
                } else {
                    self.plan.lag_max_us
                };
                let lag = self.dice.between(500, most);
                let is_gone = now.is_none();
                let news = Box::new((Arc::clone(&about), is_gone));
                self.schedule(lag, What::News(number, news));
            }
        }
    }

    /// A process sees a version of its claim.
    pub(super) fn holder_sees(&mut self, number: usize, news: Box<(Arc<SeenClaim>, bool)>) {
        let now = self.now;
        let Some(holder) = self.processes.all.get_mut(&number) else {
            return;
        };
        let hold = holder.frozen_until.max(holder.cut_until);
        if hold > now {
            self.schedule_at(hold, What::News(number, news));
            return;
        }
        let (shown, is_gone) = *news;
        if holder.uid() != Some(&shown.claim.uid) {
            return;
        }
        if is_gone {
            holder.miss();
        } else {
            holder.look(&shown);
        }
        self.drive_holder(number);
    }

    /// The process ends without a word.
    pub(super) fn kill_holder(&mut self, number: usize) {
        if let Some(holder) = self.processes.all.remove(&number) {
            self.processes.dead.insert(holder.session);
        }
    }
}

fn holder_works(all: &std::collections::BTreeMap<usize, Holder>, number: usize, now: u64) -> bool {
    all.get(&number).is_some_and(|holder| holder.believes(now))
}

/// It can be adopted: it waits or holds, and nobody has given it back.
fn is_to_be_had(seen: &Arc<SeenClaim>) -> bool {
    !seen.claim.spec.release && !seen.claim.status.phase.is_final()
}
