//! Requests and answers on their way, and everything that may happen to them there.
//!
//! A request that is not answered in time is unknown to its sender, whatever became of it: it may have been applied, it may
//! be applied later, even after its sender has died.

use sluice::controller::transport::{Failure, Kind};
use sluice::ledger::PoolKey;
use tokio::sync::oneshot;

use super::{Point, SECOND, What, World};
use crate::server::Call;
use crate::transport::{Answer, Outgoing};

/// Longest a sender waits for an answer, in microseconds: `REQUEST_TIMEOUT` of the real transport.
const TIMEOUT_US: u64 = 15 * SECOND;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It arrives, is carried out and answered.
    Plain,
    /// It never arrives, and nobody says so.
    LostBefore,
    /// It is carried out; its answer is lost.
    LostAfter,
    /// Its sender is told nothing, and it arrives so much later.
    Late(u64),
    /// Somebody on the way answers this.
    Answered(Failure),
    /// It arrives a second time, so much later.
    Twice(u64),
    /// The sender dies when it arrives.
    KillsAfter,
}

/// A request on its way.
pub(super) struct Travelling {
    place: usize,
    life: u64,
    call: Call,
    back: Option<oneshot::Sender<Answer>>,
    sent: u64,
    fate: Fate,
    answer: Option<Answer>,
}

impl Travelling {
    /// It belongs to this process.
    pub(super) fn is_of(&self, place: usize, life: u64) -> bool {
        self.place == place && self.life == life
    }
}

/// A request whose sender waits no more.
#[derive(Debug)]
pub(super) struct Visitor {
    place: usize,
    call: Call,
}

/// What a sender makes of silence.
pub(super) fn unanswered() -> Answer {
    Err(Failure::Unknown("none in time".to_owned()))
}

impl World {
    /// How long one way takes.
    pub(super) fn latency(&mut self) -> u64 {
        let most = if self.calm {
            10_000
        } else {
            self.plan.latency_max_us
        };
        self.dice.between(300, most)
    }

    /// A request leaves its process.
    pub(super) fn send(&mut self, place: usize, life: u64, outgoing: Outgoing) {
        let Outgoing { call, back } = outgoing;
        let fate = match self.scripted(&call) {
            Some(Point::Before) => {
                self.fault("crash: before a write", || format!("controller {place}"));
                self.crash(place, SECOND);
                return;
            }
            Some(Point::After) => Fate::KillsAfter,
            Some(Point::AppliedButError) => Fate::LostAfter,
            Some(Point::ErrorAppliedLate) => Fate::Late(60 * SECOND),
            None => self.fate(&call),
        };
        if !self.is_alive(place, life) {
            return;
        }
        let mut latency = self.latency();
        if self.is_faulty(4) {
            latency = self.dice.between(SECOND / 2, 60 * SECOND);
            self.fault("request: delayed", || {
                format!("{latency} us: {}", tell(&call))
            });
        }
        self.calls = self.calls.saturating_add(1);
        let id = self.calls;
        let travelling = Travelling {
            place,
            life,
            call,
            back: Some(back),
            sent: self.now,
            fate,
            answer: None,
        };
        self.travelling.insert(id, travelling);
        self.schedule(latency, What::Arrive(id));
    }

    pub(super) fn is_faulty(&mut self, rarer: u64) -> bool {
        !self.calm && self.dice.per_mille(self.plan.faulty_per_mille) && self.dice.one_in(rarer)
    }

    /// What the script has for this write.
    fn scripted(&mut self, call: &Call) -> Option<Point> {
        if !call.is_write() || self.calm {
            return None;
        }
        let script = self.script.as_mut()?;
        let point = script.points.get(&script.writes).copied();
        script.writes = script.writes.saturating_add(1);
        point
    }

    pub(super) fn fate(&mut self, call: &Call) -> Fate {
        if !self.is_faulty(1) {
            return Fate::Plain;
        }
        let (fate, what) = match (self.dice.roll(6), call.is_write()) {
            (0, _) => (Fate::LostBefore, "request: lost before the server"),
            (1, true) => (Fate::LostAfter, "request: applied, answer lost"),
            (2, true) => {
                let late = self.dice.between(SECOND, 300 * SECOND);
                (Fate::Late(late), "request: unanswered, applied later")
            }
            (3, true) => {
                let late = self.dice.between(1_000, 30 * SECOND);
                (Fate::Twice(late), "request: delivered twice")
            }
            (4, true) => {
                let said = "somebody on the way says so".to_owned();
                let (failure, what) = match self.dice.roll(4) {
                    0 => (Failure::Conflict(said), "answer: 409"),
                    1 => (Failure::Invalid(said), "answer: 422"),
                    2 => (Failure::Refused(said), "answer: 429"),
                    _ => (Failure::Unknown(said), "answer: 500"),
                };
                (Fate::Answered(failure), what)
            }
            _ => {
                let unknown = Failure::Unknown("503 from somebody on the way".to_owned());
                (Fate::Answered(unknown), "answer: 503")
            }
        };
        self.fault(what, || tell(call));
        fate
    }

    /// What a sender hears, and when: the answer, or at its deadline that there was none.
    pub(super) fn way_back(&mut self, answer: Answer, deadline: u64) -> (Answer, u64) {
        let back = self.latency().saturating_add(self.now);
        if back > deadline {
            (unanswered(), deadline.max(self.now))
        } else {
            (answer, back)
        }
    }

    /// A request arrives.
    pub(super) fn arrive(&mut self, id: u64) {
        let Some(travelling) = self.travelling.get(&id) else {
            return;
        };
        let (place, life, sent) = (travelling.place, travelling.life, travelling.sent);
        let cut_until = self.seats.get(place).map_or(0, |seat| seat.cut_until);
        if cut_until > self.now && self.is_alive(place, life) {
            self.schedule_at(cut_until, What::Arrive(id));
            return;
        }
        let (call, fate) = (travelling.call.clone(), travelling.fate.clone());
        let answer = match fate {
            Fate::Plain => self.serve(place, &call),
            Fate::LostBefore => unanswered(),
            Fate::LostAfter => {
                let _ = self.serve(place, &call);
                unanswered()
            }
            Fate::Late(late) => {
                self.schedule(late, What::Late(Visitor { place, call }));
                unanswered()
            }
            Fate::Twice(late) => {
                let answer = self.serve(place, &call);
                self.schedule(late, What::Late(Visitor { place, call }));
                answer
            }
            Fate::Answered(failure) => Err(failure),
            Fate::KillsAfter => {
                let _ = self.serve(place, &call);
                self.fault("crash: after a write, before its answer", || {
                    format!("controller {place}")
                });
                self.crash(place, SECOND);
                unanswered()
            }
        };
        self.note(3, id);
        let (answer, at) = self.way_back(answer, sent.saturating_add(TIMEOUT_US));
        if let Some(travelling) = self.travelling.get_mut(&id) {
            travelling.answer = Some(answer);
        }
        self.schedule_at(at, What::Answer(id));
    }

    /// A request arrives of which its sender knows nothing any more.
    pub(super) fn arrive_late(&mut self, visitor: &Visitor) {
        self.note(4, visitor.place as u64);
        if self.serve(visitor.place, &visitor.call).is_ok() {
            self.reach("request: a late one was applied");
        }
    }

    fn serve(&mut self, place: usize, call: &Call) -> Answer {
        if let (Call::Event(event), Some(tale)) = (call, &mut self.tale) {
            let at = self.now as f64 / 1e6;
            let about = &event.regarding;
            tale.push(format!(
                "{at:>9.3} s TOLD by {place}: {about:?} {} {}",
                event.reason, event.note
            ));
        }
        if let Some(by) = self.denied(call) {
            return Err(Failure::Refused(format!("denied by {by}")));
        }
        self.server.serve(place, call)
    }

    /// Somebody's policy refuses this write.
    fn denied(&self, call: &Call) -> Option<&'static str> {
        let denies = |until: Option<&u64>| until.is_some_and(|until| *until > self.now);
        match call {
            Call::Status(write) => {
                let key: &PoolKey = &write.pool;
                denies(self.denied_pools.get(key)).then_some("a policy about limits")
            }
            Call::Patch(at, ..) if at.kind == Kind::Claim => {
                let claim = self.server.claim_at(at.namespace.as_ref()?, &at.name)?;
                let until = self.denied_pods.get(&claim.claim.uid);
                denies(until).then_some("a policy about claims")
            }
            Call::Patch(at, ..) => {
                let pod = self.server.pods().find(|seen| seen.pod.name == at.name)?;
                denies(self.denied_pods.get(&pod.pod.uid)).then_some("a policy about pods")
            }
            _ => None,
        }
    }

    /// An answer arrives.
    pub(super) fn answer(&mut self, id: u64) {
        let Some(travelling) = self.travelling.get(&id) else {
            return;
        };
        let (place, life) = (travelling.place, travelling.life);
        if self.is_alive(place, life)
            && let Some(until) = self.frozen_until(place)
        {
            self.schedule_at(until, What::Answer(id));
            return;
        }
        let Some(travelling) = self.travelling.remove(&id) else {
            return;
        };
        if !self.is_alive(place, life) {
            return;
        }
        if let (Some(back), Some(answer)) = (travelling.back, travelling.answer) {
            // The process may have stopped waiting.
            let _ = back.send(answer);
        }
        self.note(5, id);
        self.run_process(place);
    }
}

/// A request in a line.
fn tell(call: &Call) -> String {
    match call {
        Call::Get(at) => format!("get {:?} {}", at.kind, at.name),
        Call::List(kind, _) => format!("list {kind:?}"),
        Call::Child(write) => format!("write derived {}", write.pool()),
        Call::Status(write) => format!("write status of {} batch {}", write.pool, write.batch),
        Call::Patch(at, _, operations) => {
            let reveals = operations.len() > 6;
            let what = match (at.kind, reveals) {
                (Kind::Claim, _) => "patch claim",
                (_, true) => "reveal pod",
                (_, false) => "patch pod",
            };
            format!("{what} {}", at.name)
        }
        Call::CreateClaim(_, name, _) => format!("create claim {name}"),
        Call::DeleteClaim(deletion) => format!("delete claim {}", deletion.name),
        Call::Event(event) => format!("event {}", event.reason),
        Call::Page(_) => "page of pods".to_owned(),
        Call::GetLease => "get Lease".to_owned(),
        Call::PutLease(_, record) => {
            format!("write Lease: {} epoch {}", record.holder, record.epoch)
        }
    }
}
