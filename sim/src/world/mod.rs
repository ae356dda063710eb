//! A world in one thread: one modelled server, some controllers, people, nodes, and a nemesis, in virtual time, all of it
//! following from one seed.
//!
//! | module | what moves there |
//! |---|---|
//! | [`network`] | requests and answers, and what happens to them on their way |
//! | [`watches`] | events of watches, with their lag and their breaks |
//! | [`people`], [`nodes`] | whoever else changes the cluster |
//! | [`claimants`], [`holders`], [`processes`] | processes that hold claims: who starts them, what they send, what they believe |
//! | [`nemesis`] | what goes wrong with machines, clocks and the server's disk |
//! | [`heal`] | the end: faults stop, and everything that can be granted must be |
//!
//! One event at a time: what it makes durable is judged before the next. The order of events depends on nothing but the
//! seed; [`World::trace`] is the hash of all of them, and two runs of a seed must agree on it.

mod claimants;
mod heal;
mod holders;
mod nemesis;
mod network;
pub mod nodes;
mod owners;
mod people;
pub mod plan;
pub mod processes;
mod seat;
mod watches;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use sluice::ledger::{Name, PoolKey, Uid};

use self::holders::Letter;
use self::network::{Travelling, Visitor};
use self::nodes::Nodes;
use self::plan::Plan;
use self::processes::Processes;
use self::seat::Seat;
pub(crate) use self::watches::shown;
use crate::check::{Checker, Violation};
use crate::dice::Dice;
use crate::server::{Call, SeenClaim, Server, Snapshot};

/// A second in microseconds.
pub const SECOND: u64 = 1_000_000;

/// Something that will happen.
#[derive(Debug)]
enum What {
    /// A request reaches the server.
    Arrive(u64),
    /// An answer reaches its process.
    Answer(u64),
    /// A request reaches the server although its sender was told otherwise.
    Late(Visitor),
    /// A watch shows what is new.
    Show(usize, u64, usize),
    /// The clock of a process moves.
    Clock(usize, u64),
    /// A process starts.
    Start(usize),
    /// A process that holds claims looks after its affairs.
    Holder(usize),
    /// Such a process sees a version of its claim, or that it is gone.
    News(usize, Box<(Arc<SeenClaim>, bool)>),
    /// A message of such a process reaches the server.
    LetterArrives(u64),
    /// It is answered.
    LetterAnswered(u64),
    /// It arrives although its sender was told otherwise.
    LateLetter(usize, Box<Call>),
    /// People act.
    People,
    /// Kubelets and the scheduler act.
    Nodes,
    /// Something goes wrong.
    Nemesis,
    /// The server collects what has no owner.
    Collect,
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    order: u64,
    what: What,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// How often each thing was reached, by its name.
pub type Counts = BTreeMap<&'static str, u64>;

/// The world.
pub struct World {
    /// Its parameters.
    pub plan: Plan,
    /// The server.
    pub server: Server,
    /// What really runs.
    pub nodes: Nodes,
    /// Who holds claims, and believes to.
    pub processes: Processes,
    /// Judges every change.
    pub checker: Checker,
    /// What was reached.
    pub counts: Counts,
    /// Events so far.
    pub events: u64,
    /// Faults so far.
    pub faults: u64,
    /// Hash of all events so far.
    pub trace: u64,
    /// What went wrong with machines and messages, a line each; kept only when asked for.
    pub tale: Option<Vec<String>>,
    dice: Dice,
    now: u64,
    queue: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    seats: Vec<Seat>,
    travelling: BTreeMap<u64, Travelling>,
    letters: BTreeMap<u64, Letter>,
    calls: u64,
    /// Processes that ever held claims.
    holders: usize,
    /// How much of the log they were told of.
    told: usize,
    starts: u64,
    pods: u64,
    snapshots: Vec<Snapshot>,
    /// Pods and pools of which somebody's policy refuses every write of a controller, and until when.
    denied_pods: BTreeMap<Uid, u64>,
    denied_pools: BTreeMap<PoolKey, u64>,
    /// No more faults.
    calm: bool,
    /// One fault at one place, for the exhaustive crash points.
    script: Option<Script>,
}

/// What is to happen to one write of a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Point {
    /// Its sender dies before it is sent.
    Before,
    /// Its sender dies after it was applied, before it is answered.
    After,
    /// It is applied, and answered with an error.
    AppliedButError,
    /// It is answered with an error, and applied a minute later.
    ErrorAppliedLate,
}

/// Places where something is to happen, by number of the write.
#[derive(Clone, Debug, Default)]
pub struct Script {
    points: BTreeMap<u64, Point>,
    writes: u64,
}

impl World {
    /// A world at its beginning: limits and nodes are there, the controllers start.
    pub fn new(plan: Plan) -> Self {
        let mut world = Self {
            server: Server::new(plan.setup),
            nodes: Nodes::default(),
            processes: Processes::default(),
            checker: Checker::new(plan.setup),
            counts: Counts::new(),
            events: 0,
            faults: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            tale: None,
            dice: Dice::new(plan.seed),
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            seats: Vec::new(),
            travelling: BTreeMap::new(),
            letters: BTreeMap::new(),
            calls: 0,
            holders: 0,
            told: 0,
            starts: 0,
            pods: 0,
            snapshots: Vec::new(),
            denied_pods: BTreeMap::new(),
            denied_pools: BTreeMap::new(),
            calm: false,
            script: None,
            plan,
        };
        fastrand::seed(world.plan.seed);
        world.furnish();
        for place in 0..world.plan.controllers {
            world.seats.push(Seat::default());
            let at = world.dice.roll(SECOND);
            world.schedule(at, What::Start(place));
        }
        for what in [What::People, What::Nodes, What::Collect] {
            world.schedule(0, what);
        }
        if world.plan.nemesis_every_ms > 0 {
            world.schedule(2 * SECOND, What::Nemesis);
        }
        world
    }

    /// Runs until the faults stop, then heals; the first thing that is wrong.
    pub fn run(&mut self) -> Result<(), Violation> {
        while self.events < self.plan.events {
            self.step()?;
        }
        self.heal()
    }

    /// One event.
    pub(crate) fn step(&mut self) -> Result<(), Violation> {
        let Some(Reverse(next)) = self.queue.pop() else {
            crate::bug("nothing will ever happen again");
        };
        self.now = self.now.max(next.at);
        self.server.now = self.now;
        self.happen(next.what);
        self.wake_watches();
        self.tell_holders();
        self.checker
            .judge(&self.server, &self.nodes, &self.processes, &mut self.counts)?;
        for number in self.processes.take_begun() {
            self.checker.works(&self.server, &self.processes, number)?;
        }
        Ok(())
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrive(id) => self.arrive(id),
            What::Answer(id) => self.answer(id),
            What::Late(visitor) => self.arrive_late(&visitor),
            What::Show(seat, life, watch) => self.show(seat, life, watch),
            What::Clock(seat, life) => self.move_clock(seat, life),
            What::Start(seat) => self.start(seat),
            What::Holder(number) => self.tend_holder(number),
            What::News(number, news) => self.holder_sees(number, news),
            What::LetterArrives(id) => self.letter_arrives(id),
            What::LetterAnswered(id) => self.letter_answered(id),
            What::LateLetter(number, call) => self.late_letter(number, &call),
            What::People => self.people_act(),
            What::Nodes => self.nodes_act(),
            What::Nemesis => self.nemesis_acts(),
            What::Collect => self.collect_orphans(),
        }
    }

    /// Something that counts as an event happened.
    fn note(&mut self, kind: u64, detail: u64) {
        self.events = self.events.saturating_add(1);
        for word in [self.now, kind, detail, self.server.log.len() as u64] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn reach(&mut self, what: &'static str) {
        let count = self.counts.entry(what).or_default();
        *count = count.saturating_add(1);
    }

    /// A fault was injected.
    fn fault(&mut self, what: &'static str, story: impl FnOnce() -> String) {
        self.faults = self.faults.saturating_add(1);
        self.reach(what);
        let at = self.now as f64 / 1e6;
        if let Some(tale) = &mut self.tale {
            tale.push(format!("{at:>9.3} s FAULT {what}: {}", story()));
        }
    }

    fn schedule(&mut self, in_us: u64, what: What) {
        let at = self.now.saturating_add(in_us);
        self.schedule_at(at, what);
    }

    fn schedule_at(&mut self, at: u64, what: What) {
        self.order = self.order.saturating_add(1);
        let order = self.order;
        self.queue.push(Reverse(Scheduled { at, order, what }));
    }

    /// Around this, exponential enough: between a tenth and twice.
    fn about_ms(&mut self, milliseconds: u64) -> u64 {
        let us = milliseconds.saturating_mul(1_000);
        self.dice.between(us / 10, us.saturating_mul(2))
    }

    fn collect_orphans(&mut self) {
        for key in self.server.orphans() {
            self.server.delete_pool(crate::server::Writer::Server, &key);
            self.reach("server: a derived limit went with its family");
        }
        let pause = self.about_ms(3_000);
        self.schedule(pause, What::Collect);
    }

    /// True time in microseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Writes that controllers have sent so far in a scripted run.
    pub fn scripted_writes(&self) -> u64 {
        self.script.as_ref().map_or(0, |script| script.writes)
    }

    /// Sets what is to happen to single writes.
    pub fn set_script(&mut self, points: BTreeMap<u64, Point>) {
        self.script = Some(Script { points, writes: 0 });
    }
}

/// The namespace where most things are.
pub(crate) fn home() -> Name {
    "ns".into()
}

/// Another one.
pub(crate) fn abroad() -> Name {
    "other".into()
}
