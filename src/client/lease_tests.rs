use super::*;
use crate::api::claim::{Renewal, SlotClaimSpec, SlotClaimStatus};

const LEASE: u64 = 20;
const SESSION: &str = "ours";

/// Both clocks at so many seconds.
fn at(seconds: u64) -> Stamp {
    clocks(seconds, 1_000_000 + seconds)
}

fn clocks(monotonic: u64, wall: u64) -> Stamp {
    Stamp {
        monotonic: Duration::from_secs(monotonic),
        wall: Duration::from_secs(wall),
    }
}

fn lease(origin: Origin, now: u64) -> Lease {
    Lease::granted(origin, Duration::from_secs(LEASE), 0, at(now), 0.5)
}

fn created(now: u64) -> Lease {
    lease(Origin::Created { first_sent: at(0) }, now)
}

fn version(seq: i64, phase: ClaimPhase) -> ClaimVersion {
    ClaimVersion {
        spec: SlotClaimSpec {
            session: SESSION.to_owned(),
            renew: Renewal { seq, time: None },
            ..SlotClaimSpec::default()
        },
        status: SlotClaimStatus {
            phase,
            ..SlotClaimStatus::default()
        },
        ..ClaimVersion::default()
    }
}

fn acknowledge(lease: &mut Lease, seq: i64, now: u64) {
    lease.seen(&version(seq, ClaimPhase::Granted), SESSION, at(now), 0.5);
}

#[test]
fn a_grant_that_came_soon_is_believed_at_once_and_from_the_create_on() {
    let mut lease = created(8);
    assert_eq!(lease.belief(at(8)), Some(Belief::Held));
    assert_eq!(lease.belief(at(14)), Some(Belief::Held));
    // Three quarters without an answer.
    assert_eq!(lease.belief(at(15)), Some(Belief::Suspect));
    assert_eq!(lease.belief(at(17)), Some(Belief::Suspect));
    // The guard is two seconds.
    assert_eq!(lease.belief(at(18)), Some(Belief::Lost));
    assert_eq!(lease.loss(), Some(&Loss::Expired));
    assert_eq!(lease.held_for(at(18)), Duration::from_secs(10));
}

#[test]
fn a_long_lease_has_a_longer_guard() {
    let origin = Origin::Created { first_sent: at(0) };
    let mut lease = Lease::granted(origin, Duration::from_secs(300), 0, at(1), 0.5);
    assert_eq!(lease.belief(at(269)), Some(Belief::Suspect));
    assert_eq!(lease.belief(at(270)), Some(Belief::Lost));
    assert_eq!(lease.try_timeout(), TRY_MAX);
}

#[test]
fn a_grant_that_took_long_is_renewed_first() {
    let mut lease = created(9);
    assert_eq!(lease.belief(at(9)), None);
    assert_eq!(lease.due_in(at(9)), Duration::ZERO);
    // Even when the deadline of the create has passed.
    assert_eq!(lease.belief(at(19)), None);
    let seq = lease.send(at(19));
    assert!(lease.due_in(at(19)) > Duration::ZERO);
    acknowledge(&mut lease, seq, 20);
    assert_eq!(lease.belief(at(20)), Some(Belief::Held));
    assert_eq!(lease.belief(at(36)), Some(Belief::Suspect));
    assert_eq!(lease.belief(at(37)), Some(Belief::Lost));
}

#[test]
fn a_first_renewal_that_never_gets_through_is_given_up() {
    let mut lease = created(9);
    for now in 9..29 {
        lease.send(at(now));
        lease.missed(at(now), 0.5);
        assert_eq!(lease.belief(at(now)), None, "{now}");
    }
    assert_eq!(lease.belief(at(29)), Some(Belief::Lost));
}

#[test]
fn renewals_come_at_a_third_and_count_from_their_sending() {
    let mut lease = created(1);
    let due = lease.due_in(at(1)).as_secs_f64();
    assert!((due - (20.0 / 3.0 - 1.0)).abs() < 1e-6, "{due}");
    let seq = lease.send(at(7));
    acknowledge(&mut lease, seq, 16);
    assert_eq!(lease.belief(at(16)), Some(Belief::Held));
    // 7 + 20 - 2
    assert_eq!(lease.belief(at(24)), Some(Belief::Suspect));
    assert_eq!(lease.belief(at(25)), Some(Belief::Lost));
}

#[test]
fn jitter_moves_it_by_a_tenth() {
    let origin = Origin::Created { first_sent: at(0) };
    let due = |roll| {
        Lease::granted(origin, Duration::from_secs(30), 0, at(0), roll)
            .due_in(at(0))
            .as_secs_f64()
    };
    assert!((due(0.0) - 9.0).abs() < 1e-6 && (due(1.0) - 11.0).abs() < 1e-6);
    assert!((due(f64::NAN) - 10.0).abs() < 1e-6);
}

#[test]
fn two_misses_make_it_suspect_and_an_answer_well() {
    let mut lease = created(1);
    lease.send(at(6));
    lease.missed(at(7), 0.5);
    assert_eq!(lease.belief(at(7)), Some(Belief::Held));
    let second = lease.send(at(8));
    lease.missed(at(9), 0.5);
    assert_eq!(lease.belief(at(9)), Some(Belief::Suspect));
    assert!(lease.due_in(at(9)) <= Duration::from_secs(1));
    let third = lease.send(at(10));
    assert_eq!((second, third), (2, 3));
    // The answer of the second try comes late, by the watch: it counts from when that one was sent.
    acknowledge(&mut lease, second, 11);
    assert_eq!(lease.belief(at(11)), Some(Belief::Held));
    assert_eq!(lease.belief(at(26)), Some(Belief::Lost));
}

#[test]
fn what_was_not_sent_by_us_renews_nothing() {
    let mut lease = created(1);
    acknowledge(&mut lease, 5, 17);
    assert_eq!(lease.belief(at(18)), Some(Belief::Lost));
}

#[test]
fn an_answer_after_the_deadline_brings_nothing_back() {
    let mut lease = created(1);
    let seq = lease.send(at(6));
    acknowledge(&mut lease, seq, 18);
    assert_eq!(lease.belief(at(18)), Some(Belief::Lost));
}

#[test]
fn who_adopts_a_waiting_claim_renews_first() {
    let mut lease = lease(Origin::AdoptedWaiting { sent: at(0) }, 1);
    assert_eq!(lease.belief(at(1)), None);
    let seq = lease.send(at(1));
    acknowledge(&mut lease, seq, 2);
    assert_eq!(lease.belief(at(2)), Some(Belief::Held));
}

#[test]
fn who_adopts_a_granted_claim_waits_for_one_lease() {
    let origin = Origin::AdoptedGranted {
        sent: at(0),
        acknowledged: at(3),
        former_ended: false,
    };
    let mut lease = lease(origin, 3);
    for now in [7, 14, 21] {
        assert_eq!(lease.belief(at(now)), None);
        assert!(lease.is_quiet(at(now)));
        let seq = lease.send(at(now));
        acknowledge(&mut lease, seq, now);
    }
    assert_eq!(lease.changes_in(at(21)), Duration::from_secs(2));
    assert_eq!(lease.belief(at(23)), Some(Belief::Held));
    assert!(!lease.is_quiet(at(23)));
}

#[test]
fn who_adopts_and_does_not_renew_loses_it() {
    let origin = Origin::AdoptedGranted {
        sent: at(0),
        acknowledged: at(3),
        former_ended: false,
    };
    let mut lease = lease(origin, 3);
    assert_eq!(lease.belief(at(18)), Some(Belief::Lost));
    assert_eq!(lease.belief(at(23)), Some(Belief::Lost));
}

#[test]
fn who_knows_that_the_former_has_ended_believes_at_once() {
    let origin = Origin::AdoptedGranted {
        sent: at(0),
        acknowledged: at(3),
        former_ended: true,
    };
    let mut lease = lease(origin, 3);
    assert_eq!(lease.belief(at(3)), Some(Belief::Held));
    assert_eq!(lease.belief(at(18)), Some(Belief::Lost));
}

#[test]
fn a_suspend_ends_it_and_a_clock_set_back_prolongs_nothing() {
    let mut slept = created(1);
    assert_eq!(slept.belief(clocks(2, 1_000_600)), Some(Belief::Lost));
    let mut back = created(1);
    assert_eq!(back.belief(clocks(17, 900_000)), Some(Belief::Suspect));
    assert_eq!(back.belief(clocks(18, 900_001)), Some(Belief::Lost));
}

#[test]
fn who_waits_for_a_former_holder_counts_the_slower_clock() {
    let origin = Origin::AdoptedGranted {
        sent: at(0),
        acknowledged: at(0),
        former_ended: false,
    };
    let mut lease = lease(origin, 0);
    for now in [6, 12, 18, 24] {
        let seq = lease.send(at(now));
        acknowledge(&mut lease, seq, now);
    }
    // The wall clock was set back by ten seconds.
    assert_eq!(lease.belief(clocks(25, 1_000_015)), None);
    assert_eq!(lease.belief(clocks(30, 1_000_020)), Some(Belief::Held));
}

#[test]
fn everything_that_ends_it() {
    let seen = |change: fn(&mut ClaimVersion)| {
        let mut lease = created(1);
        let mut version = version(0, ClaimPhase::Granted);
        change(&mut version);
        lease.seen(&version, SESSION, at(2), 0.5);
        assert_eq!(lease.belief(at(2)), Some(Belief::Lost));
        lease.loss().cloned().unwrap()
    };
    assert_eq!(seen(|it| it.spec.session = "other".into()), Loss::Adopted);
    assert_eq!(seen(|it| it.spec.release = true), Loss::ReleasedByAnother);
    let revoked = seen(|it| {
        it.status.phase = ClaimPhase::Revoked;
        it.status.reason = "MaxHold".into();
        it.status.message = "too long".into();
    });
    assert_eq!(revoked, Loss::Revoked("MaxHold: too long".into()));
    assert!(matches!(
        seen(|it| it.status.phase = ClaimPhase::Released),
        Loss::Revoked(_)
    ));
    let mut lease = created(1);
    lease.vanished();
    lease.lose(Loss::Closed);
    assert_eq!(lease.loss(), Some(&Loss::Gone));
}

/// What a history is made of.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Send,
    /// The newest try, and all before it, were refused or not answered.
    Miss,
    /// The newest try is acknowledged.
    Newest,
    /// The oldest try is acknowledged.
    Oldest,
    Revoke,
}

const STEPS: [Step; 7] = [
    Step::Pass(3),
    Step::Pass(7),
    Step::Send,
    Step::Miss,
    Step::Newest,
    Step::Oldest,
    Step::Revoke,
];

/// An account of its own, without the machine's shortcuts.
#[derive(Clone)]
struct Account {
    now: u64,
    /// When each write was sent; the create or swap is 0.
    sent: Vec<u64>,
    /// Highest number of a write that was acknowledged in time.
    acknowledged: usize,
    unconfirmed: bool,
    quiet_until: u64,
    lost: bool,
}

impl Account {
    /// Whether belief is allowed now, by the rules and nothing else.
    fn may_believe(&self) -> bool {
        let deadline = self.sent[self.acknowledged] + LEASE - 2;
        !self.lost && !self.unconfirmed && self.now >= self.quiet_until && self.now < deadline
    }

    fn acknowledge(&mut self, seq: usize) {
        let deadline = self.sent[self.acknowledged] + LEASE - 2;
        self.lost |= !self.unconfirmed && self.now >= deadline;
        if !self.lost && seq > self.acknowledged {
            self.acknowledged = seq;
            self.unconfirmed = false;
        }
    }
}

fn walk(lease: &Lease, account: &Account, depth: usize, count: &mut usize) {
    for step in STEPS {
        let (mut lease, mut account) = (lease.clone(), account.clone());
        let oldest = account.acknowledged + 1;
        let newest = account.sent.len() - 1;
        match step {
            Step::Pass(seconds) => account.now += seconds,
            Step::Send => {
                let seq = lease.send(at(account.now));
                account.sent.push(account.now);
                assert_eq!(usize::try_from(seq).unwrap(), account.sent.len() - 1);
            }
            Step::Miss => lease.missed(at(account.now), 0.0),
            Step::Newest | Step::Oldest if oldest > newest => continue,
            Step::Newest => {
                acknowledge(&mut lease, i64::try_from(newest).unwrap(), account.now);
                account.acknowledge(newest);
            }
            Step::Oldest => {
                acknowledge(&mut lease, i64::try_from(oldest).unwrap(), account.now);
                account.acknowledge(oldest);
            }
            Step::Revoke => {
                lease.seen(
                    &version(0, ClaimPhase::Revoked),
                    SESSION,
                    at(account.now),
                    0.0,
                );
                account.lost = true;
            }
        }
        *count += 1;
        let belief = lease.belief(at(account.now));
        let believes = matches!(belief, Some(Belief::Held | Belief::Suspect));
        assert!(
            !believes || account.may_believe(),
            "{step:?}: believes, and may not: {lease:?}"
        );
        if belief == Some(Belief::Lost) {
            account.lost = true;
            assert!(lease.loss().is_some());
        } else {
            assert!(
                lease.changes_in(at(account.now)) > Duration::ZERO,
                "{lease:?}"
            );
            assert!(
                believes || !account.may_believe(),
                "{step:?}: may believe, and does not: {lease:?}"
            );
        }
        if depth > 1 {
            walk(&lease, &account, depth - 1, count);
        }
    }
}

#[test]
fn every_short_history_is_believed_exactly_as_long_as_it_may_be() {
    let account = |unconfirmed, quiet_until| Account {
        now: 3,
        sent: vec![0],
        acknowledged: 0,
        unconfirmed,
        quiet_until,
        lost: false,
    };
    let adopted = |former_ended| Origin::AdoptedGranted {
        sent: at(0),
        acknowledged: at(3),
        former_ended,
    };
    let starts = [
        (created(3), account(false, 0)),
        (
            lease(Origin::AdoptedWaiting { sent: at(0) }, 3),
            account(true, 0),
        ),
        (lease(adopted(true), 3), account(false, 0)),
        (lease(adopted(false), 3), account(false, 23)),
    ];
    let mut count = 0;
    for (lease, account) in starts {
        walk(&lease, &account, 6, &mut count);
    }
    assert!(count > 150_000, "{count}");
}
