//! What processes that hold claims do.
//!
//! Each is looked at from time to time, whenever it sees a version of its claim, and whenever it is answered. What it knows
//! and believes is in [`super::processes`]; what happens to its messages on the way is in [`letters`].

mod letters;

use std::sync::Arc;

use serde_json::{Value, json};
use sluice::controller::transport::{Address, Kind, Part, PatchOperation};

pub(super) use self::letters::Letter;
use self::letters::Purpose;
use super::processes::{Former, Holder, Stage};
use super::{SECOND, What, World};
use crate::server::{Call, Change, SeenClaim};

/// Milliseconds between two looks of a process at its own affairs, on average.
const LOOK_EVERY_MS: u64 = 400;
/// A process looks at its claim itself after so much time without news, now and then.
const LOOKS_ITSELF_ONE_IN: u64 = 20;

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
        if !holder.tries_again() {
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
        if !holder.tries_again() {
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
