//! Random histories of two candidates on one Lease: requests that take their time or are lost, clocks of
//! different rates, candidates that stand still or begin anew. Judged at every step: never two mandates at
//! once, and epochs that only grow.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn mono(milliseconds: u64) -> Mono {
    Mono(Duration::from_millis(milliseconds))
}

/// A request on its way, or its answer on its way back.
#[derive(Clone, Debug)]
struct Message {
    due: u64,
    started: Mono,
    step: Step,
}

/// A candidate with a clock of its own rate.
struct Player {
    state: State,
    /// Its clock runs at so many percent.
    rate: u64,
    flying: Option<Message>,
    /// The answer on its way back.
    answer: Option<(u64, Mono, Answer)>,
    /// It stands still until then.
    asleep_until: u64,
    /// How much of the server's history its watch has shown.
    shown: usize,
    stood_down: bool,
}

impl Player {
    fn new(identity: &str, rate: u64) -> Self {
        let mut state = State::new(identity.to_owned(), TIMING);
        state.warmed();
        Self {
            state,
            rate,
            flying: None,
            answer: None,
            asleep_until: 0,
            shown: 0,
            stood_down: false,
        }
    }

    fn clock(&self, now: u64) -> Mono {
        mono(now * self.rate / 100)
    }

    fn may_write(&self, now: u64) -> bool {
        let until = self.state.mandate().map(|(_, until)| until);
        !self.stood_down && until.is_some_and(|until| self.clock(now) < until)
    }
}

/// What may happen in a millisecond step of the world.
#[derive(Clone, Debug)]
enum Act {
    Pass(u64),
    Send(usize, u64, u64),
    Lose(usize),
    Sleep(usize, u64),
    Show(usize),
    Restart(usize),
    Delete,
    Empty,
}

/// With deletions nobody begins anew: whoever does right after one cannot know of it.
fn act(deletions: bool) -> impl Strategy<Value = Act> {
    let who = 0..2_usize;
    let rare = match deletions {
        true => (1, Just(Act::Delete).boxed()),
        false => (3, who.clone().prop_map(Act::Restart).boxed()),
    };
    let send = (who.clone(), 0..9_000_u64, 0..3_000_u64);
    let sleep = (who.clone(), 0..40_000_u64);
    prop::strategy::Union::new_weighted(vec![
        (30, (1..4_000_u64).prop_map(Act::Pass).boxed()),
        (
            30,
            send.prop_map(|(who, there, back)| Act::Send(who, there, back))
                .boxed(),
        ),
        (5, who.clone().prop_map(Act::Lose).boxed()),
        (
            4,
            sleep.prop_map(|(who, long)| Act::Sleep(who, long)).boxed(),
        ),
        (20, who.prop_map(Act::Show).boxed()),
        rare,
        (1, Just(Act::Empty).boxed()),
    ])
}

/// One Lease, two candidates, requests that take their time.
struct Play {
    now: u64,
    version: u128,
    lease: Option<LeaseObject>,
    history: Vec<LeaseObject>,
    players: [Player; 2],
    births: u32,
    terms: Vec<u64>,
    deleted: bool,
}

impl Play {
    fn new(rates: [u64; 2]) -> Self {
        Self {
            now: 0,
            version: 0,
            lease: None,
            history: Vec::new(),
            players: [Player::new("p0", rates[0]), Player::new("p1", rates[1])],
            births: 2,
            terms: Vec::new(),
            deleted: false,
        }
    }

    fn put(&mut self, record: Record) -> LeaseObject {
        self.version += 1;
        let lease = LeaseObject {
            version: self.version,
            record,
            rest: serde_json::Value::Null,
        };
        self.lease = Some(lease.clone());
        self.history.push(lease.clone());
        lease
    }

    fn serve(&mut self, step: Step) -> Answer {
        let current = self.lease.as_ref().map(|it| it.version);
        match step {
            Step::Read => Answer::Found(self.lease.clone()),
            Step::Create(record) if current.is_none() => Answer::Written(self.put(record)),
            Step::Write(base, record) if current == Some(base.version) => {
                Answer::Written(self.put(record))
            }
            _ => Answer::Conflict,
        }
    }

    /// Requests arrive and answers come back in their time, in order.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while self.now < end {
            self.now += 100;
            for index in 0..2 {
                let due = self.players[index]
                    .flying
                    .as_ref()
                    .is_some_and(|it| it.due <= self.now);
                if due && let Some(message) = self.players[index].flying.take() {
                    let answer = self.serve(message.step);
                    if let Some((_, _, slot)) = &mut self.players[index].answer {
                        *slot = answer;
                    }
                }
                let player = &mut self.players[index];
                let arrived = player.flying.is_none()
                    && player.asleep_until <= self.now
                    && player.answer.as_ref().is_some_and(|it| it.0 <= self.now);
                if arrived && let Some((_, started, answer)) = player.answer.take() {
                    let clock = player.clock(self.now);
                    player.state.answered(started, clock, answer);
                }
                if player.asleep_until <= self.now
                    && matches!(
                        decide(self.instants(index), &self.players[index].state),
                        Step::StandDown(_)
                    )
                {
                    self.players[index].stood_down = true;
                }
            }
            self.judge();
        }
    }

    fn instants(&self, index: usize) -> Instants {
        Instants {
            mono: self.players[index].clock(self.now),
            wall_micros: 0,
        }
    }

    fn judge(&mut self) {
        let leading: Vec<u64> = self
            .players
            .iter()
            .filter(|it| it.may_write(self.now))
            .filter_map(|it| it.state.mandate().map(|it| it.0))
            .collect();
        assert!(
            leading.len() < 2,
            "two mandates at {}: {leading:?}",
            self.now
        );
        for epoch in leading {
            if self.terms.last() != Some(&epoch) {
                assert!(
                    self.terms.iter().all(|it| *it < epoch),
                    "{epoch} after {:?}",
                    self.terms
                );
                self.terms.push(epoch);
            }
        }
    }

    fn play(&mut self, act: &Act) {
        match *act {
            Act::Pass(milliseconds) => self.pass(milliseconds),
            Act::Send(who, there, back) => self.send(who, there, back),
            Act::Lose(who) => {
                // The answer never comes; the request may still arrive.
                if let Some((due, _, answer)) = &mut self.players[who].answer {
                    *due = self.now;
                    *answer = Answer::Failed;
                    let late = self.players[who].flying.take();
                    if let Some(message) = late {
                        let clock = self.players[who].clock(self.now);
                        self.players[who].answer = None;
                        self.players[who]
                            .state
                            .answered(message.started, clock, Answer::Failed);
                        self.serve(message.step);
                    }
                }
            }
            Act::Sleep(who, long) => self.players[who].asleep_until = self.now + long,
            Act::Show(who) => self.show(who),
            Act::Restart(who) => self.restart(who),
            // Twice in a row, before anybody saw the Lease between, is beyond what anybody can know.
            Act::Delete if self.deleted => {}
            Act::Delete => {
                self.deleted = true;
                self.lease = None;
            }
            // By hand, once nobody leads any more. A candidate whose word is on its way may be about to.
            Act::Empty => {
                let quiet = |it: &Player| !it.may_write(self.now) && it.answer.is_none();
                let crashed = self.players.iter().all(quiet);
                if let Some(lease) = self.lease.clone()
                    && crashed
                {
                    self.put(Record {
                        holder: String::new(),
                        ..lease.record
                    });
                }
            }
        }
        self.judge();
    }

    fn send(&mut self, who: usize, there: u64, back: u64) {
        let now = self.instants(who);
        let player = &mut self.players[who];
        if player.stood_down || player.answer.is_some() || player.asleep_until > self.now {
            return;
        }
        match decide(now, &player.state) {
            Step::Wait(_) => {}
            Step::StandDown(_) => player.stood_down = true,
            step => {
                player.flying = Some(Message {
                    due: self.now + there,
                    started: now.mono,
                    step,
                });
                player.answer = Some((self.now + there + back, now.mono, Answer::Failed));
            }
        }
    }

    fn show(&mut self, who: usize) {
        let player = &mut self.players[who];
        let clock = player.clock(self.now);
        if player.asleep_until > self.now {
            return;
        }
        if let Some(lease) = self.history.get(player.shown) {
            player.shown += 1;
            player.state.seen(clock, lease.clone());
        } else if self.deleted && self.lease.is_none() {
            player.state.lost_sight();
        }
    }

    /// A candidate that crashed, or stood down, begins a new life; what it had sent may still arrive.
    fn restart(&mut self, who: usize) {
        if let Some(message) = self.players[who].flying.take() {
            self.serve(message.step);
        }
        let rate = self.players[who].rate;
        self.players[who] = Player::new(&format!("p{}", self.births), rate);
        self.births += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Clocks of 80 and 120 per cent: the deadline leaves room for a half.
    #[test]
    fn no_two_mandates_are_valid_at_once(
        rates in (80..=120_u64, 80..=120_u64),
        acts in prop::collection::vec(act(false), 1..120),
    ) {
        let mut play = Play::new([rates.0, rates.1]);
        for act in &acts {
            play.play(act);
        }
    }

    /// Whoever has seen the Lease leaves it alone for a whole duration after it vanished.
    #[test]
    fn nor_when_the_lease_is_deleted(
        rates in (80..=120_u64, 80..=120_u64),
        acts in prop::collection::vec(act(true), 1..120),
    ) {
        let mut play = Play::new([rates.0, rates.1]);
        play.put(Record { holder: "before".to_owned(), duration_seconds: 15, ..Record::default() });
        for who in 0..2 {
            let found = play.lease.clone();
            play.players[who].state.answered(mono(0), mono(0), Answer::Found(found));
        }
        for act in &acts {
            play.play(act);
        }
    }
}

/// The random histories reach what they are about.
#[test]
fn a_history_has_leaders_that_follow_each_other() {
    let mut play = Play::new([100, 100]);
    for round in 0..400 {
        // Each has its turn, while the other stands still and is followed.
        let who = (round / 100) % 2;
        for act in [
            Act::Send(who, 10, 10),
            Act::Pass(500),
            Act::Show(0),
            Act::Show(1),
        ] {
            play.play(&act);
        }
        if play.players[who].stood_down {
            play.restart(who);
        }
    }
    assert!(play.terms.len() >= 3, "{:?}", play.terms);
}
