//! Time as a holder counts it: the larger of what two clocks say has passed.
//!
//! A monotonic clock stands still while a machine sleeps, and a wall clock may be set back; a holder that believed
//! the smaller of the two could believe for too long. Whoever waits for somebody else's belief to end counts the
//! smaller one, for the same reason. Tests put a clock of their own in place of the system's.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Since some moment of this process; does not go back, may stand still during a suspend.
    pub monotonic: Duration,
    /// Since 1970; may be set.
    pub wall: Duration,
}

impl Stamp {
    /// The longest time that can have passed since an earlier reading.
    pub fn at_most_since(self, earlier: Self) -> Duration {
        let (monotonic, wall) = self.both_since(earlier);
        monotonic.max(wall)
    }

    /// The shortest time that can have passed since an earlier reading.
    pub fn at_least_since(self, earlier: Self) -> Duration {
        let (monotonic, wall) = self.both_since(earlier);
        monotonic.min(wall)
    }

    fn both_since(self, earlier: Self) -> (Duration, Duration) {
        (
            self.monotonic.saturating_sub(earlier.monotonic),
            self.wall.saturating_sub(earlier.wall),
        )
    }
}

/// A source of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Stamp;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        Stamp {
            monotonic: self.0.elapsed(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(monotonic: u64, wall: u64) -> Stamp {
        Stamp {
            monotonic: Duration::from_secs(monotonic),
            wall: Duration::from_secs(wall),
        }
    }

    #[test]
    fn a_suspend_counts_for_the_holder_and_not_for_who_waits() {
        let (before, after) = (stamp(10, 1_000), stamp(11, 4_600));
        assert_eq!(after.at_most_since(before), Duration::from_secs(3_600));
        assert_eq!(after.at_least_since(before), Duration::from_secs(1));
    }

    #[test]
    fn a_clock_that_is_set_back_hides_nothing() {
        let (before, after) = (stamp(10, 5_000), stamp(70, 1_000));
        assert_eq!(after.at_most_since(before), Duration::from_secs(60));
        assert_eq!(after.at_least_since(before), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_moves() {
        let clock = SystemClock::default();
        let first = clock.now();
        while clock.now().at_most_since(first) == Duration::ZERO {
            std::hint::spin_loop();
        }
    }
}
