//! Tests of [`super::decide`]: cases one by one, and random histories of two candidates on one Lease.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn at(milliseconds: u64) -> Instants {
    Instants {
        mono: Mono(Duration::from_millis(milliseconds)),
        wall_micros: 7,
    }
}

fn mono(milliseconds: u64) -> Mono {
    at(milliseconds).mono
}

fn lease(version: u128, holder: &str, epoch: u64) -> LeaseObject {
    LeaseObject {
        version,
        record: Record {
            holder: holder.to_owned(),
            duration_seconds: 15,
            acquired_micros: 7,
            renewed_micros: 7,
            transitions: 0,
            epoch,
        },
        rest: serde_json::Value::Null,
    }
}

/// A warm candidate `a` that read this at the beginning.
fn candidate(found: Option<LeaseObject>) -> State {
    let mut state = State::new("a".to_owned(), TIMING);
    state.warmed();
    state.answered(mono(0), mono(0), Answer::Found(found));
    state
}

/// `a` leads since an attempt that began at 0, by version 5.
fn leader() -> State {
    let mut state = candidate(None);
    state.answered(mono(0), mono(100), Answer::Written(lease(5, "a", 1)));
    state
}

fn summary(step: &Step) -> String {
    match step {
        Step::Wait(None) => "wait".to_owned(),
        Step::Wait(Some(Mono(until))) => format!("wait until {}", until.as_millis()),
        Step::Read => "read".to_owned(),
        Step::Create(record) => format!("create {} epoch {}", record.holder, record.epoch),
        Step::Write(base, record) => format!(
            "write {} on {}: epoch {} transitions {}",
            if record.holder.is_empty() {
                "nobody"
            } else {
                &record.holder
            },
            base.version,
            record.epoch,
            record.transitions
        ),
        Step::StandDown(loss) => format!("stand down: {loss:?}"),
    }
}

/// Changes a state before it decides.
type Change = fn(&mut State);

#[test]
fn the_table() {
    let unread = || {
        let mut state = State::new("a".to_owned(), TIMING);
        state.warmed();
        state
    };
    let free = |version| candidate(Some(lease(version, "", 4)));
    let held = || candidate(Some(lease(3, "b", 4)));
    let nothing: Change = |_| {};
    let cases: Vec<(&str, State, Change, u64, &str)> = vec![
        ("nothing is known", unread(), nothing, 0, "read"),
        (
            "a read failed",
            unread(),
            |it| it.answered(mono(0), mono(50), Answer::Failed),
            50,
            "wait until 2000",
        ),
        ("no Lease", candidate(None), nothing, 0, "create a epoch 1"),
        (
            "no Lease, statuses show epochs",
            candidate(None),
            |it| it.need_epoch(6),
            0,
            "create a epoch 6",
        ),
        (
            "released",
            free(3),
            nothing,
            0,
            "write a on 3: epoch 5 transitions 1",
        ),
        (
            "statuses are beyond the Lease",
            free(3),
            |it| it.need_epoch(9),
            0,
            "write a on 3: epoch 9 transitions 1",
        ),
        ("held", held(), nothing, 0, "wait until 15000"),
        (
            "held until it is over",
            held(),
            nothing,
            15_000,
            "write a on 3: epoch 5 transitions 1",
        ),
        (
            "renewed meanwhile",
            held(),
            |it| it.seen(mono(9_000), lease(4, "b", 4)),
            15_000,
            "wait until 24000",
        ),
        (
            "an echo is no renewal",
            held(),
            |it| it.seen(mono(9_000), lease(3, "b", 4)),
            15_000,
            "write a on 3: epoch 5 transitions 1",
        ),
        (
            "released meanwhile",
            held(),
            |it| it.seen(mono(9_000), lease(4, "", 4)),
            9_000,
            "write a on 4: epoch 5 transitions 1",
        ),
        (
            "deleted meanwhile: left alone for a whole duration",
            held(),
            |it| {
                it.answered(mono(9_000), mono(9_000), Answer::Found(None));
            },
            9_000,
            "wait until 24000",
        ),
        (
            "lost the race",
            free(3),
            |it| it.answered(mono(0), mono(5), Answer::Conflict),
            5,
            "wait until 105",
        ),
        (
            "lost the race, and reads",
            free(3),
            |it| it.answered(mono(0), mono(5), Answer::Conflict),
            105,
            "read",
        ),
        (
            "an accession that was applied and not answered",
            free(3),
            |it| {
                it.answered(mono(0), mono(5_000), Answer::Failed);
                it.answered(
                    mono(5_000),
                    mono(5_001),
                    Answer::Found(Some(lease(4, "a", 5))),
                );
            },
            5_001,
            "write a on 4: epoch 6 transitions 0",
        ),
        (
            "an absurd epoch in the Lease",
            candidate(Some(lease(3, "", u64::MAX))),
            nothing,
            0,
            "write a on 3: epoch 1 transitions 1",
        ),
        ("leads", leader(), nothing, 100, "wait until 2000"),
        (
            "renews",
            leader(),
            nothing,
            2_000,
            "write a on 5: epoch 1 transitions 0",
        ),
        (
            "cannot renew",
            leader(),
            |it| it.answered(mono(2_000), mono(7_000), Answer::Failed),
            7_000,
            "read",
        ),
        (
            "cannot renew in time",
            leader(),
            |it| it.answered(mono(2_000), mono(7_000), Answer::Failed),
            10_000,
            "stand down: Deadline",
        ),
        (
            "its deadline counts from the beginning of the attempt",
            leader(),
            |it| {
                it.answered(mono(2_000), mono(6_900), Answer::Written(lease(6, "a", 1)));
            },
            12_000,
            "stand down: Deadline",
        ),
        (
            "somebody touched the Lease",
            leader(),
            |it| it.answered(mono(2_000), mono(2_005), Answer::Conflict),
            2_105,
            "read",
        ),
        (
            "sees another holder",
            leader(),
            |it| it.seen(mono(500), lease(6, "b", 2)),
            500,
            "stand down: Taken(\"b\")",
        ),
        (
            "an older version says nothing",
            leader(),
            |it| it.seen(mono(500), lease(4, "b", 0)),
            500,
            "wait until 2000",
        ),
        (
            "its Lease was deleted",
            leader(),
            |it| it.answered(mono(500), mono(500), Answer::Found(None)),
            500,
            "create a epoch 2",
        ),
        (
            "somebody emptied its Lease",
            leader(),
            |it| it.seen(mono(500), lease(6, "", 1)),
            500,
            "write a on 6: epoch 2 transitions 1",
        ),
        (
            "a restored Lease says less",
            leader(),
            |it| {
                it.answered(mono(500), mono(500), Answer::Found(Some(lease(2, "a", 0))));
            },
            500,
            "write a on 2: epoch 1 transitions 0",
        ),
        (
            "a status shows more: it reads first",
            leader(),
            |it| it.need_epoch(4),
            500,
            "read",
        ),
        (
            "a status shows more, and it still leads",
            leader(),
            |it| {
                it.need_epoch(4);
                it.answered(mono(500), mono(500), Answer::Found(Some(lease(5, "a", 1))));
            },
            500,
            "write a on 5: epoch 4 transitions 0",
        ),
        (
            "leaves",
            leader(),
            State::leave,
            500,
            "write nobody on 5: epoch 1 transitions 0",
        ),
        (
            "has left",
            leader(),
            |it| {
                it.leave();
                it.answered(mono(500), mono(505), Answer::Written(lease(6, "", 1)));
            },
            505,
            "stand down: Left",
        ),
        (
            "leaves without having led",
            held(),
            State::leave,
            500,
            "stand down: Left",
        ),
    ];
    for (story, mut state, change, now, expected) in cases {
        change(&mut state);
        assert_eq!(summary(&decide(at(now), &state)), expected, "{story}");
    }
}

#[test]
fn whoever_is_not_warm_waits() {
    let mut state = State::new("a".to_owned(), TIMING);
    state.answered(mono(0), mono(0), Answer::Found(None));
    assert_eq!(decide(at(0), &state), Step::Wait(None));
}

#[test]
fn settings_that_let_two_lead_are_refused() {
    let seconds = Duration::from_secs;
    let timing = |lease, deadline, period| Timing {
        lease_duration: lease,
        renew_deadline: deadline,
        retry_period: period,
    };
    assert!(
        timing(seconds(3), seconds(2), Duration::from_millis(500))
            .checked()
            .is_ok()
    );
    for wrong in [
        timing(seconds(10), seconds(10), seconds(2)),
        timing(seconds(15), seconds(10), seconds(9)),
        timing(seconds(15), seconds(10), seconds(0)),
        timing(
            Duration::from_millis(1500),
            seconds(1),
            Duration::from_millis(100),
        ),
    ] {
        assert!(wrong.checked().is_err(), "{wrong:?}");
    }
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

fn act(deletions: bool) -> impl Strategy<Value = Act> {
    let who = 0..2_usize;
    let last = if deletions { 1 } else { 0 };
    prop_oneof![
        30 => (1..4_000_u64).prop_map(Act::Pass),
        30 => (who.clone(), 0..9_000_u64, 0..3_000_u64).prop_map(|(who, there, back)| Act::Send(who, there, back)),
        5 => who.clone().prop_map(Act::Lose),
        4 => (who.clone(), 0..40_000_u64).prop_map(|(who, long)| Act::Sleep(who, long)),
        20 => who.clone().prop_map(Act::Show),
        3 * (1 - last) => who.prop_map(Act::Restart),
        last => Just(Act::Delete),
        1 => Just(Act::Empty),
    ]
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
            Act::Empty => {
                let crashed = self.players.iter().all(|it| !it.may_write(self.now));
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
