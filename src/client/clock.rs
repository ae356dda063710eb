//! Time as a holder counts it: the larger of what two clocks say has passed.
//!
//! A monotonic clock may stand still while a machine sleeps (on Linux the one that is read goes on, `CLOCK_BOOTTIME`),
//! and a wall clock may be set back; a holder that believed the smaller of the two could believe for too long. Whoever waits for somebody else's belief to end counts the
//! smaller one, for the same reason. Tests put a clock of their own in place of the system's.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
///
/// ```
/// use sluice::client::{Clock as _, Stamp, SystemClock};
///
/// let now: Stamp = SystemClock::default().now();
/// assert!(now.wall.as_secs() > 1_700_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Since some moment before; does not go back. Where the system has no clock that goes on, it stands still during a
    /// suspend.
    pub monotonic: Duration,
    /// Since 1970; may be set.
    pub wall: Duration,
}

impl Stamp {
    /// The longest time that can have passed since an earlier reading.
    ///
    /// ```
    /// use sluice::client::Stamp;
    /// use std::time::Duration;
    ///
    /// let seconds = |monotonic, wall| Stamp {
    ///     monotonic: Duration::from_secs(monotonic),
    ///     wall: Duration::from_secs(wall),
    /// };
    /// // The machine slept for 55 of these 60 seconds.
    /// assert_eq!(seconds(15, 160).at_most_since(seconds(10, 100)).as_secs(), 60);
    /// ```
    pub fn at_most_since(self, earlier: Self) -> Duration {
        let (monotonic, wall) = self.both_since(earlier);
        monotonic.max(wall)
    }

    /// The shortest time that can have passed since an earlier reading.
    ///
    /// ```
    /// use sluice::client::Stamp;
    /// use std::time::Duration;
    ///
    /// let seconds = |monotonic, wall| Stamp {
    ///     monotonic: Duration::from_secs(monotonic),
    ///     wall: Duration::from_secs(wall),
    /// };
    /// // The machine slept for 55 of these 60 seconds.
    /// assert_eq!(seconds(15, 160).at_least_since(seconds(10, 100)).as_secs(), 5);
    /// ```
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
///
/// ```
/// use sluice::client::{Clock, Stamp};
///
/// /// Stands still, for a test.
/// #[derive(Debug)]
/// struct Still(Stamp);
///
/// impl Clock for Still {
///     fn now(&self) -> Stamp {
///         self.0
///     }
/// }
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Reads both clocks.
    ///
    /// ```
    /// use sluice::client::{Clock as _, SystemClock};
    ///
    /// let (first, second) = (SystemClock::default().now(), SystemClock::default().now());
    /// assert!(second.monotonic >= first.monotonic);
    /// ```
    fn now(&self) -> Stamp;
}

/// The clocks of this machine.
///
/// ```
/// use sluice::client::{Clock as _, SystemClock};
///
/// let clock = SystemClock::default();
/// let before = clock.now();
/// assert!(clock.now().at_most_since(before) >= clock.now().at_least_since(clock.now()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Started);

/// What the monotonic clock is read against: Linux counts from its own start.
#[cfg(target_os = "linux")]
type Started = ();
#[cfg(not(target_os = "linux"))]
type Started = std::time::Instant;

impl SystemClock {
    /// Since the machine was started, suspends included.
    #[cfg(target_os = "linux")]
    fn monotonic(self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(seconds, nanoseconds)
    }

    /// Since the clock was made.
    #[cfg(not(target_os = "linux"))]
    fn monotonic(self) -> Duration {
        self.0.elapsed()
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        #[cfg(target_os = "linux")]
        let started = ();
        #[cfg(not(target_os = "linux"))]
        let started = std::time::Instant::now();
        Self(started)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        Stamp {
            monotonic: self.monotonic(),
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

    /// By what Linux itself says since its start, which counts suspends.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_monotonic_clock_is_the_one_that_goes_on_in_a_suspend() {
        let up = std::fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = up.split(' ').next().unwrap().parse().unwrap();
        let shown = SystemClock::default().now().monotonic.as_secs_f64();
        assert!((shown - up).abs() < 5.0, "{shown} and {up}");
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
