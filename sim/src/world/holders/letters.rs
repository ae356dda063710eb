//! What happens to the messages of processes on the way, and what a process makes of an answer.

use std::sync::Arc;

use sluice::controller::transport::Failure;

use super::{holder_works, is_to_be_had};
use crate::server::{Call, Reply, SeenClaim};
use crate::transport::Answer;
use crate::world::network::{Fate, unanswered};
use crate::world::processes::Stage;
use crate::world::{SECOND, What, World};

/// How long a process waits for an answer, in microseconds.
const PATIENCE_US: u64 = 5 * SECOND;

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
pub(in crate::world) struct Letter {
    holder: usize,
    purpose: Purpose,
    call: Call,
    /// When it was sent, by the clock of the process, and in true time.
    sent: u64,
    sent_true: u64,
    fate: Fate,
    answer: Option<Answer>,
}

impl World {
    /// A message leaves its process.
    pub(super) fn post(&mut self, number: usize, purpose: Purpose, call: Call) {
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
    pub(in crate::world) fn letter_arrives(&mut self, id: u64) {
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
        let answer = match fate {
            Fate::Plain => self.server.serve_holder(number, &call),
            Fate::LostBefore => unanswered(),
            Fate::LostAfter | Fate::KillsAfter => {
                let _ = self.server.serve_holder(number, &call);
                unanswered()
            }
            Fate::Late(late) => {
                self.schedule(late, What::LateLetter(number, Box::new(call)));
                unanswered()
            }
            Fate::Twice(late) => {
                let answer = self.server.serve_holder(number, &call);
                self.schedule(late, What::LateLetter(number, Box::new(call)));
                answer
            }
            Fate::Answered(failure) => Err(failure),
        };
        self.note(9, id);
        let (answer, at) = self.way_back(answer, sent.saturating_add(PATIENCE_US));
        if let Some(letter) = self.letters.get_mut(&id) {
            letter.answer = Some(answer);
        }
        self.schedule_at(at, What::LetterAnswered(id));
    }

    /// A message arrives of which its sender knows nothing any more.
    pub(in crate::world) fn late_letter(&mut self, number: usize, call: &Call) {
        self.note(10, number as u64);
        if self.server.serve_holder(number, call).is_ok() {
            self.reach("claim: a late message of a process was applied");
        }
    }

    /// A process is answered.
    pub(in crate::world) fn letter_answered(&mut self, id: u64) {
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
    pub(super) fn adopted(&mut self, number: usize, seen: &Arc<SeenClaim>, sent: Option<u64>) {
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
}
