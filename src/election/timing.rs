//! How patient candidates are: client-go's three times, with the one rule that they obey. Never decides; tested in
//! `decide_tests`.

use std::time::Duration;

/// The part of a retry period to pause after a conflict before the Lease is read and tried again.
const CONFLICT_PAUSE_DIVISOR: u32 = 20;

/// How patient candidates are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// How long others leave a record alone after they saw it change.
    pub lease_duration: Duration,
    /// How long a leader acts after the beginning of its last successful attempt.
    pub renew_deadline: Duration,
    /// Pause between attempts.
    pub retry_period: Duration,
}

/// Why settings make no election.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimingError {
    /// The deadline is not below the duration.
    #[error(
        "the renew deadline ({0:?}) must be shorter than the lease duration ({1:?}): a leader must stop before another begins; lower --renew-deadline-seconds or raise --lease-duration-seconds"
    )]
    Deadline(Duration, Duration),
    /// The period leaves no second attempt.
    #[error(
        "the retry period ({0:?}) times 1.2 must be shorter than the renew deadline ({1:?}), and not zero; set --retry-period-seconds accordingly"
    )]
    Period(Duration, Duration),
    /// The Lease keeps whole seconds.
    #[error(
        "the lease duration ({0:?}) must be whole seconds, at least one: the Lease keeps no others"
    )]
    Whole(Duration),
}

impl Timing {
    /// Checks that a leader stops before another begins.
    pub fn checked(self) -> Result<Self, TimingError> {
        let Self {
            lease_duration,
            renew_deadline,
            retry_period,
        } = self;
        if lease_duration.subsec_nanos() != 0 || lease_duration.is_zero() {
            return Err(TimingError::Whole(lease_duration));
        }
        if renew_deadline >= lease_duration {
            return Err(TimingError::Deadline(renew_deadline, lease_duration));
        }
        if retry_period.is_zero()
            || retry_period.saturating_mul(6) >= renew_deadline.saturating_mul(5)
        {
            return Err(TimingError::Period(retry_period, renew_deadline));
        }
        Ok(self)
    }

    pub(super) fn duration_seconds(self) -> u32 {
        u32::try_from(self.lease_duration.as_secs()).unwrap_or(u32::MAX)
    }

    pub(super) fn conflict_pause(self) -> Duration {
        self.retry_period / CONFLICT_PAUSE_DIVISOR
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}
