//! Until when a command may run, and what its guardian does about it: pure, over the times it is given. Tested below.
//!
//! A holder stops believing a guard before its lease ends, and a controller passes the slots on after the lease has
//! ended and more (docs/design.md 5.5). So a command is asked to end (TERM) when its holder stops believing, and is
//! killed when half of that guard has passed: a second at least before anybody else can hold.

use std::time::Duration;

use super::clock::Moment;

/// Least time before the end of a lease at which its holder stops believing, as the SDK has it.
const GUARD_MIN: Duration = Duration::from_secs(2);
/// Longest that a command is given between TERM and KILL where nothing hurries.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How much a guardian leaves to `sluice` itself, so that a command is asked once and not twice.
const YIELD: Duration = Duration::from_millis(300);
/// Longest between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Until when a command may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leash {
    /// It is asked to end.
    pub(super) term_at: Moment,
    /// It is killed.
    pub(super) kill_at: Moment,
}

impl Leash {
    /// Of a lease of this length that may be believed for so much longer.
    pub(super) fn of(lease: Duration, left: Duration, now: Moment) -> Self {
        let guard = (lease / 10).max(GUARD_MIN);
        let term_at = now.after(left);
        Self {
            term_at,
            kill_at: term_at.after(guard / 2),
        }
    }

    /// The lease is over: asked now, killed soon, and never later than before.
    pub(super) fn cut(self, now: Moment) -> Self {
        Self {
            term_at: now.min(self.term_at),
            kill_at: self.kill_at.min(now.after(GRACE)),
        }
    }
}

/// What a guardian is to do to the command's process group now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// Nothing.
    Wait,
    /// Ask it to end.
    Term,
    /// Kill it.
    Kill,
}

/// A guardian's mind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watch {
    leash: Leash,
    /// Somebody has asked it to end.
    asked: bool,
    /// Nobody else can ask.
    alone: bool,
}

impl Watch {
    pub(super) fn new(leash: Leash) -> Self {
        Self {
            leash,
            asked: false,
            alone: false,
        }
    }

    /// A renewal was acknowledged.
    pub(super) fn renewed(&mut self, leash: Leash) {
        if !self.asked {
            self.leash = leash;
        }
    }

    /// `sluice` itself has asked the command to end.
    pub(super) fn stopping(&mut self, now: Moment) {
        self.leash = self.leash.cut(now);
        self.asked = true;
    }

    /// `sluice` is gone, and its command is not known to have ended: nobody renews any more.
    pub(super) fn orphaned(&mut self, now: Moment) {
        self.leash = self.leash.cut(now);
        self.alone = true;
    }

    /// When it asks.
    fn ask_at(&self) -> Moment {
        match self.alone {
            true => self.leash.term_at,
            false => self.leash.term_at.after(YIELD),
        }
    }

    /// What is to be done now.
    pub(super) fn deed(&mut self, now: Moment) -> Deed {
        if now >= self.leash.kill_at {
            return Deed::Kill;
        }
        if now >= self.ask_at() && !self.asked {
            self.asked = true;
            return Deed::Term;
        }
        Deed::Wait
    }

    /// How long it may sleep.
    pub(super) fn rest(&self, now: Moment) -> Duration {
        let ask_at = if self.asked {
            self.leash.kill_at
        } else {
            self.ask_at()
        };
        ask_at.min(self.leash.kill_at).left(now).min(LOOK_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment(1_000_000);

    fn at(seconds: f64) -> Moment {
        START.after(Duration::from_secs_f64(seconds))
    }

    fn leash(lease: u64, left: u64) -> Leash {
        Leash::of(Duration::from_secs(lease), Duration::from_secs(left), START)
    }

    /// Whatever the lease, the command is dead a second or more before the lease is over.
    #[test]
    fn killed_before_the_lease_can_pass_on() {
        for lease in [15_u64, 20, 60, 3_600, 86_400] {
            let guard = (lease as f64 / 10.0).max(2.0);
            let left = Duration::from_secs_f64(lease as f64 - guard);
            let leash = Leash::of(Duration::from_secs(lease), left, START);
            assert!(leash.term_at < leash.kill_at, "{lease}");
            let spare = at(lease as f64).left(leash.kill_at);
            assert!(spare >= Duration::from_secs(1), "{lease}: {spare:?}");
        }
    }

    #[test]
    fn asked_once_and_then_killed() {
        let mut watch = Watch::new(leash(15, 13));
        assert_eq!(watch.deed(at(12.9)), Deed::Wait);
        // `sluice` itself comes first.
        assert_eq!(watch.deed(at(13.2)), Deed::Wait);
        assert_eq!(watch.deed(at(13.3)), Deed::Term);
        assert_eq!(watch.deed(at(13.5)), Deed::Wait);
        assert_eq!(watch.deed(at(14.0)), Deed::Kill);
        assert_eq!(watch.deed(at(99.0)), Deed::Kill);
        // Who slept over both kills at once.
        assert_eq!(Watch::new(leash(15, 13)).deed(at(50.0)), Deed::Kill);
    }

    #[test]
    fn a_renewal_lengthens_it_until_the_end_has_begun() {
        let mut watch = Watch::new(leash(15, 13));
        watch.renewed(leash(15, 20));
        assert_eq!(watch.deed(at(15.0)), Deed::Wait);
        assert_eq!(watch.deed(at(20.3)), Deed::Term);
        watch.renewed(leash(15, 60));
        assert_eq!(watch.deed(at(21.0)), Deed::Kill);
    }

    #[test]
    fn who_is_stopped_by_its_own_is_only_killed_here_and_no_later() {
        let mut watch = Watch::new(leash(60, 54));
        watch.stopping(at(10.0));
        assert_eq!(watch.deed(at(14.9)), Deed::Wait);
        assert_eq!(watch.deed(at(15.0)), Deed::Kill);
        let mut watch = Watch::new(leash(15, 13));
        watch.stopping(at(13.5));
        assert_eq!(watch.deed(at(14.0)), Deed::Kill);
    }

    #[test]
    fn an_orphan_is_asked_at_once() {
        let mut watch = Watch::new(leash(60, 54));
        watch.orphaned(at(10.0));
        assert_eq!(watch.deed(at(10.0)), Deed::Term);
        assert_eq!(watch.deed(at(14.0)), Deed::Wait);
        assert_eq!(watch.deed(at(15.0)), Deed::Kill);
        assert!(watch.rest(at(14.9)) <= Duration::from_millis(101));
    }
}
