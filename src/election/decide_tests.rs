//! Tests of [`super::decide`]: cases one by one. Random histories are in `histories`.

use std::time::Duration;

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
