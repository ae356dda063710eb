//! A world of one modelled server and several ledgers that all believe they lead, driven by one seed.
//!
//! Every message is a step of its own: a watch event, a request reaching the server, its answer
//! coming back. Faults are what may happen to a message: applied but unanswered, answered with
//! nothing though it arrives later, dropped. Controllers crash and start anew from lists.

use std::collections::{BTreeSet, VecDeque};

use super::super::*;
use super::answers::{is_write, refused, unanswered};
use super::server::{Change, Server};

/// A deterministic generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// Messages that one moment may cost.
const STEPS_AT_ONCE_MAX: u64 = 20_000;

/// A controller: a ledger and what is under way between it and the server.
pub(crate) struct Controller {
    pub(crate) ledger: Ledger,
    /// How much of the server's log its watches have shown.
    shown: usize,
    /// Effects that have not reached the server.
    outbox: VecDeque<Effect>,
    /// Answers that have not come back.
    inbox: VecDeque<Command>,
    /// Writes that will reach the server although their sender was told nothing.
    late: Vec<Effect>,
}

/// The world.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) tick: u64,
    pub(crate) dice: Dice,
    seed: u64,
    /// One in so many messages meets a fault; 0: none.
    pub(crate) faults: u64,
    pub(crate) told: Vec<String>,
    /// The next write is applied, and its answer lost.
    pub(crate) lose_next: bool,
    /// The next patch of a pod is denied by somebody's policy.
    pub(crate) deny_next: bool,
    /// Patches that somebody's policy denies.
    pub(crate) denied: Vec<PatchKind>,
    /// A rule of the server that nobody knows refuses statuses with a lease of these.
    pub(crate) unwelcome: Vec<Uid>,
    starts: u64,
}

impl World {
    pub(crate) fn new(seed: u64, faults: u64, controllers: usize) -> Self {
        let mut world = Self {
            server: Server {
                clock: Micros(1_000_000_000_000),
                rules: true,
                ..Server::default()
            },
            controllers: Vec::new(),
            tick: 1,
            dice: Dice(seed),
            seed,
            faults,
            told: Vec::new(),
            lose_next: false,
            deny_next: false,
            denied: Vec::new(),
            unwelcome: Vec::new(),
            starts: 0,
        };
        for _ in 0..controllers {
            let controller = world.start();
            world.controllers.push(controller);
        }
        world
    }

    fn now(&self) -> Now {
        Now {
            tick: Tick(self.tick),
            server: self.server.clock,
        }
    }

    /// A controller starts: it lists, and begins.
    pub(crate) fn start(&mut self) -> Controller {
        self.starts += 1;
        let process = format!("p{}", self.starts).as_str().into();
        let mut ledger = Ledger::new(Options {
            process,
            events: true,
            claims: ClaimTimes::default(),
        });
        let now = self.now();
        let objects: Vec<PoolObject> = self.server.pools.values().cloned().collect();
        let (limits, locks) = objects
            .into_iter()
            .partition(|it| it.key.kind == PoolKind::Limit);
        ledger.handle(
            now,
            Command::PoolsListed {
                kind: PoolKind::Limit,
                scope: None,
                objects: limits,
            },
        );
        ledger.handle(
            now,
            Command::PoolsListed {
                kind: PoolKind::Lock,
                scope: None,
                objects: locks,
            },
        );
        for pod in self.server.pods.values().filter(|pod| pod.managed) {
            ledger.handle(now, Command::RequestRelisted(Box::new(pod.clone())));
        }
        let present: BTreeSet<Uid> = self.server.pods.keys().cloned().collect();
        for kind in [HolderKind::Pod, HolderKind::Claim] {
            ledger.handle(
                now,
                Command::RequestsRelisted {
                    kind,
                    scope: None,
                    present: present.clone(),
                },
            );
        }
        // Every controller of this world believes that it leads: rivals on purpose.
        let epoch = ledger.epoch_needed();
        ledger.handle(now, Command::Lead { epoch });
        let shown = self.server.log.len();
        let mut controller = Controller {
            ledger,
            shown,
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
            late: Vec::new(),
        };
        collect(&mut controller, self.seed, &self.server);
        controller
    }

    /// A controller dies; what it had sent may still arrive. Another takes its place.
    pub(crate) fn crash(&mut self, index: usize) {
        let fresh = self.start();
        let old = std::mem::replace(&mut self.controllers[index], fresh);
        let writes = old.outbox.into_iter().filter(is_write).chain(old.late);
        self.controllers[index].late.extend(writes);
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, milliseconds: u64) {
        self.tick += milliseconds;
        self.server.clock = Micros(self.server.clock.0 + milliseconds * 1000);
        let now = self.now();
        for controller in &mut self.controllers {
            controller.ledger.handle(now, Command::Tick);
            collect(controller, self.seed, &self.server);
        }
    }

    /// One message moves, chosen by the dice; whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let index = self.dice.roll(self.controllers.len() as u64) as usize;
        for offset in 0..self.controllers.len() {
            let index = (index + offset) % self.controllers.len();
            let first = self.dice.roll(3);
            for kind in 0..3 {
                let moved = match (first + kind) % 3 {
                    0 => self.show(index),
                    1 => self.deliver(index),
                    _ => self.answer(index),
                };
                if moved {
                    return true;
                }
            }
        }
        false
    }

    /// The watch of a controller shows the next change.
    fn show(&mut self, index: usize) -> bool {
        let now = self.now();
        let controller = &mut self.controllers[index];
        let Some(change) = self.server.log.get(controller.shown) else {
            return false;
        };
        controller.shown += 1;
        let command = match change.clone() {
            Change::Pool {
                now: Some(object), ..
            } => Some(Command::PoolSeen(Box::new(object))),
            Change::Pool {
                before: Some(last), ..
            } => Some(Command::PoolDeleted(Box::new(last))),
            Change::Pool { .. } => None,
            Change::Pod {
                now: Some(pod),
                before,
            } => {
                let was = before.is_some_and(|before| before.managed);
                match (was, pod.managed) {
                    (_, true) => Some(Command::RequestSeen(Box::new(pod))),
                    (true, false) => Some(Command::RequestVanished(Box::new(pod))),
                    (false, false) => None,
                }
            }
            Change::Pod { now: None, before } => before
                .filter(|it| it.managed)
                .map(|last| Command::RequestVanished(Box::new(last))),
        };
        if let Some(command) = command {
            controller.ledger.handle(now, command);
            collect(controller, self.seed, &self.server);
        }
        true
    }

    /// The next request of a controller reaches the server, or meets a fault on the way.
    fn deliver(&mut self, index: usize) -> bool {
        let late = self.controllers[index].late.len() as u64;
        if late > 0 && (self.controllers[index].outbox.is_empty() || self.dice.one_in(4)) {
            let at = self.dice.roll(late) as usize;
            let effect = self.controllers[index].late.swap_remove(at);
            self.apply(&effect);
            return true;
        }
        let waiting = self.controllers[index].outbox.len() as u64;
        if waiting == 0 {
            return false;
        }
        let at = if self.faults == 0 {
            0
        } else {
            self.dice.roll(waiting.min(4)) as usize
        };
        let Some(effect) = self.controllers[index].outbox.remove(at) else {
            return false;
        };
        let fault = if self.faults > 0 && self.dice.one_in(self.faults) {
            self.dice.roll(4)
        } else {
            9
        };
        let answer = match fault {
            _ if self.lose_next && is_write(&effect) => {
                self.lose_next = false;
                self.apply(&effect);
                unanswered(&effect)
            }
            _ if self.deny_next && matches!(effect, Effect::Patch(_)) => {
                self.deny_next = false;
                refused(&effect)
            }
            0 => unanswered(&effect),
            1 => {
                self.apply(&effect);
                unanswered(&effect)
            }
            2 if is_write(&effect) => {
                let answer = unanswered(&effect);
                self.controllers[index].late.push(effect);
                answer
            }
            3 if is_write(&effect) => refused(&effect),
            _ => self.apply(&effect),
        };
        self.controllers[index].inbox.extend(answer);
        true
    }

    /// The next answer reaches its controller.
    fn answer(&mut self, index: usize) -> bool {
        let now = self.now();
        let controller = &mut self.controllers[index];
        let Some(command) = controller.inbox.pop_front() else {
            return false;
        };
        controller.ledger.handle(now, command);
        collect(controller, self.seed, &self.server);
        true
    }

    /// The server does what is asked, and answers.
    fn apply(&mut self, effect: &Effect) -> Vec<Command> {
        match effect {
            Effect::WriteStatus(write) => {
                let refused = |lease: &Lease| self.unwelcome.contains(&lease.uid);
                let outcome = if write.status.entries().any(refused) {
                    WriteOutcome::Invalid("a rule of this cluster".to_owned())
                } else {
                    self.server.write_status(write)
                };
                let (pool, batch) = (write.pool.clone(), write.batch.clone());
                vec![Command::StatusWritten {
                    pool,
                    batch,
                    outcome,
                }]
            }
            Effect::ReadPool(key) => {
                let found = match self.server.pools.get(key) {
                    Some(object) => Found::Present(Box::new(object.clone())),
                    None => Found::Absent,
                };
                vec![Command::PoolRead {
                    pool: key.clone(),
                    found,
                }]
            }
            Effect::Patch(patch) => {
                let outcome = if self.denied.contains(&patch.kind()) {
                    PatchOutcome::Refused("denied by a policy".to_owned())
                } else {
                    self.server.patch(patch)
                };
                vec![Command::RequestPatched {
                    uid: patch.uid.clone(),
                    patch: patch.kind(),
                    outcome,
                }]
            }
            Effect::ReadRequest { uid, .. } => {
                let found = match self.server.pods.get(uid) {
                    Some(pod) => Found::Present(Box::new(pod.clone())),
                    None => Found::Absent,
                };
                vec![Command::RequestRead {
                    uid: uid.clone(),
                    found,
                }]
            }
            Effect::ListRequests { ticket } => {
                let listed = self
                    .server
                    .pods
                    .values()
                    .filter(|pod| pod.managed)
                    .cloned()
                    .collect();
                vec![Command::RequestsListed {
                    ticket: *ticket,
                    listed: Some(listed),
                }]
            }
            Effect::DeleteClaim(deletion) => {
                let outcome = self.server.delete_claim(deletion);
                vec![Command::ClaimDeleted {
                    uid: deletion.uid.clone(),
                    outcome,
                }]
            }
            Effect::ReadHolderPod { uid, pod, .. } => {
                let found = match self.server.pods.get(pod) {
                    Some(pod) => Found::Present(pod.end()),
                    None => Found::Absent,
                };
                vec![Command::HolderPodRead {
                    uid: uid.clone(),
                    found,
                }]
            }
            Effect::ReadNode(node) => {
                vec![Command::NodeRead {
                    node: node.clone(),
                    out_of_service: Some(false),
                }]
            }
            Effect::WriteChild(write) => {
                let outcome = self.server.write_child(write);
                vec![Command::ChildWritten {
                    pool: write.pool().clone(),
                    outcome,
                }]
            }
            Effect::Event(event) => {
                self.told.push(format!("{} {}", event.reason, event.note));
                Vec::new()
            }
        }
    }

    /// Everything that is under way arrives; time passes until nothing more happens by itself.
    pub(crate) fn settle(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.drain();
            self.advance(100);
        }
        self.drain();
    }

    /// Moves messages until none is left; a conversation that does not end is a fault of ours.
    pub(crate) fn drain(&mut self) {
        for _ in 0..STEPS_AT_ONCE_MAX {
            if !self.step() {
                return;
            }
        }
        panic!("messages do not come to an end:\n{}", self.server.story(12));
    }
}

fn collect(controller: &mut Controller, seed: u64, server: &Server) {
    loop {
        while let Some(effect) = controller.ledger.poll_effect() {
            controller.outbox.push_back(effect);
        }
        if controller.ledger.leads() {
            break;
        }
        // A rival has written with a higher epoch; nobody here ever believes that it was deposed.
        let now = controller.ledger.now;
        let epoch = controller.ledger.epoch_needed();
        controller.ledger.handle(now, Command::Lead { epoch });
    }
    let findings = audit::audit(&controller.ledger);
    assert!(
        findings.is_empty(),
        "seed {seed}: {findings:?}\n{}",
        server.story(40)
    );
}
