//! A clock that all processes of a machine read alike, for deadlines that one process tells another. It goes on while
//! the machine sleeps where there is such a clock (Linux). Never the wall clock: that is set.

use nix::time::{ClockId, clock_gettime};

/// A moment, in milliseconds of this machine's clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Moment(pub(super) u64);

/// Now. A clock that cannot be read is at the end of time: whatever was to be stopped by then is stopped.
pub(super) fn now() -> Moment {
    #[cfg(target_os = "linux")]
    let clock = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::CLOCK_MONOTONIC;
    let millis = clock_gettime(clock).ok().and_then(|time| {
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        let nanos = u64::try_from(time.tv_nsec()).ok()?;
        seconds.checked_mul(1_000)?.checked_add(nanos / 1_000_000)
    });
    Moment(millis.unwrap_or(u64::MAX))
}

impl Moment {
    /// So much later.
    pub(super) fn after(self, time: std::time::Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long until then.
    pub(super) fn left(self, now: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(now.0))
    }
}
