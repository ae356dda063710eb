//! Whether a holder may still believe that it holds: a pure machine over the times and answers it is given.
//!
//! It counts from the *sending* of the create, or of the last renewal that was acknowledged, and stops believing a
//! guard before the lease ends; a controller counts from its own sight of the same write, and adds to it. So whatever
//! the two clocks say, the holder is the first to give up (models/README.md, "What claims rely on").
//!
//! - A claim that waited for long, or was adopted while it waited, renews first and believes when that is acknowledged.
//! - Who adopts a granted claim believes when the former holder cannot any more: one whole lease after the swap was
//!   acknowledged, renewing meanwhile, unless the former holder is known to have stopped.
//! - Every try of a renewal has a number of its own. An answer that is lost and seen later still counts for its own
//!   try; a try that was refused says nothing about the lease.
//! - Lost is for good.
//!
//! Never reads a clock and never sends anything. Tested in `lease_tests.rs`, by hand and over random histories.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::clock::Stamp;
use super::store::ClaimVersion;
use crate::api::claim::ClaimPhase;

/// Least time before the end of a lease at which a holder stops believing.
const GUARD_MIN: Duration = Duration::from_secs(2);
/// After how many misses in a row a holder is suspect.
const SUSPECT_MISSES: u32 = 2;
/// Most renewals that are remembered because their answers may still come.
const TRIES_MAX: usize = 32;
/// Longest that one try of a renewal may take.
const TRY_MAX: Duration = Duration::from_secs(10);
/// Shortest pause after a miss.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause after a miss.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a holder may believe.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let slots = sluice::client::Client::embedded([("gpu", 2)])?.concurrency("gpu").acquire().await?;
/// if slots.state() == sluice::client::Belief::Suspect {
///     println!("starts nothing new");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It holds.
    Held,
    /// It holds, but renewals do not get through: start nothing new.
    Suspect,
    /// It holds no more, for good.
    Lost,
}

/// How something that was held was lost.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// # let slots = client.concurrency("gpu").acquire().await?;
/// client.close(std::time::Duration::ZERO).await;      // waits for no guard
/// assert_eq!(slots.lost().await, sluice::client::Loss::Closed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// No renewal was acknowledged for as long as the lease lasts; no look was answered, of what lives as long as a pod.
    Expired,
    /// The controller took it away; its reason and sentence.
    Revoked(String),
    /// Another process, or a later acquisition of this one, has taken the claim over by its id.
    Adopted,
    /// The claim is gone.
    Gone,
    /// Somebody else has released it.
    ReleasedByAnother,
    /// The client was closed, or the scope it belonged to has ended.
    Closed,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => {
                f.write_str("no renewal or look was answered in time, the lease has run out")
            }
            Self::Revoked(why) => write!(f, "the controller took it away: {why}"),
            Self::Adopted => {
                f.write_str("its claim was taken over by another acquisition of the same id")
            }
            Self::Gone => f.write_str("its claim was deleted"),
            Self::ReleasedByAnother => f.write_str("somebody else released its claim"),
            Self::Closed => f.write_str("its client was closed or its scope has ended"),
        }
    }
}

impl std::error::Error for Loss {}

/// How a holder came to its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It created it; the first create was sent then.
    Created {
        /// When the first create was sent.
        first_sent: Stamp,
    },
    /// It swapped the session of a claim that waited.
    AdoptedWaiting {
        /// When the swap was sent.
        sent: Stamp,
    },
    /// It swapped the session of a granted claim.
    AdoptedGranted {
        /// When the swap was sent.
        sent: Stamp,
        /// When the swap was acknowledged.
        acknowledged: Stamp,
        /// The former holder is known not to believe any more.
        former_ended: bool,
    },
}

impl Origin {
    /// Whether somebody else may believe in the claim as it is adopted.
    pub(super) fn former_may_believe(self) -> bool {
        matches!(
            self,
            Self::AdoptedGranted {
                former_ended: false,
                ..
            }
        )
    }
}

/// The lease of a granted claim, as its holder counts it.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    duration: Duration,
    /// When the last acknowledged write was sent.
    since: Stamp,
    /// Number of the last acknowledged renewal.
    acknowledged: i64,
    /// Number of the last try.
    last: i64,
    /// Tries whose answers may still come, and when they were sent.
    tries: BTreeMap<i64, Stamp>,
    misses: u32,
    /// A renewal has to be acknowledged before anything is believed.
    unconfirmed: bool,
    /// When it was seen Granted.
    seen: Stamp,
    /// A former holder may believe for one lease from then on.
    quiet_since: Option<Stamp>,
    /// The next renewal is due so long after then.
    next: (Stamp, Duration),
    /// Believed from then on.
    believed: Option<Stamp>,
    lost: Option<Loss>,
}

impl Lease {
    /// The claim was seen Granted, with this number of its last renewal. `roll` is a random number from 0 to 1.
    pub(super) fn granted(
        origin: Origin,
        duration: Duration,
        seq: i64,
        now: Stamp,
        roll: f64,
    ) -> Self {
        let (since, unconfirmed, quiet_since) = match origin {
            Origin::Created { first_sent } => {
                let long = now.at_most_since(first_sent) > duration.mul_f64(0.4);
                (first_sent, long, None)
            }
            Origin::AdoptedWaiting { sent } => (sent, true, None),
            Origin::AdoptedGranted {
                sent,
                acknowledged,
                former_ended,
            } => (sent, false, (!former_ended).then_some(acknowledged)),
        };
        let mut lease = Self {
            duration,
            since,
            acknowledged: seq,
            last: seq,
            tries: BTreeMap::new(),
            misses: 0,
            unconfirmed,
            seen: now,
            quiet_since,
            next: (since, Duration::ZERO),
            believed: None,
            lost: None,
        };
        if !unconfirmed {
            lease.next = (since, lease.interval(roll));
        }
        lease
    }

    /// What its holder may believe; `None` while it may not believe yet.
    pub(super) fn belief(&mut self, now: Stamp) -> Option<Belief> {
        let over = if self.unconfirmed {
            now.at_most_since(self.seen) >= self.duration
        } else {
            self.elapsed(now) >= self.patience()
        };
        if over {
            self.lose(Loss::Expired);
        }
        if self.lost.is_some() {
            return Some(Belief::Lost);
        }
        if self.unconfirmed || self.is_quiet(now) {
            return None;
        }
        self.believed.get_or_insert(now);
        // A thread that is starved misses nothing and is late all the same.
        let late = self.elapsed(now) >= self.duration.mul_f64(0.75);
        if self.misses >= SUSPECT_MISSES || late {
            Some(Belief::Suspect)
        } else {
            Some(Belief::Held)
        }
    }

    /// For how long it lasts without a renewal.
    pub(super) fn duration(&self) -> Duration {
        self.duration
    }

    /// How it was lost, if it was.
    pub(super) fn loss(&self) -> Option<&Loss> {
        self.lost.as_ref()
    }

    /// For how long it has been believed.
    pub(super) fn held_for(&self, now: Stamp) -> Duration {
        let since = self.believed.map(|since| now.at_most_since(since));
        since.unwrap_or_default()
    }

    /// A former holder may still believe: this one may neither believe nor release.
    pub(super) fn is_quiet(&self, now: Stamp) -> bool {
        // The smaller clock: late, never early.
        self.quiet_since
            .is_some_and(|since| now.at_least_since(since) < self.duration)
    }

    /// Loses it, unless it was lost before.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.lost.get_or_insert(loss);
    }

    /// How long until the next renewal is to be sent.
    pub(super) fn due_in(&self, now: Stamp) -> Duration {
        let (since, after) = self.next;
        after.saturating_sub(now.at_most_since(since))
    }

    /// How long until anything changes by time alone.
    pub(super) fn changes_in(&self, now: Stamp) -> Duration {
        let end = if self.unconfirmed {
            self.duration.saturating_sub(now.at_most_since(self.seen))
        } else {
            self.patience().saturating_sub(self.elapsed(now))
        };
        let quiet = self
            .quiet_since
            .map(|since| self.duration.saturating_sub(now.at_least_since(since)))
            .filter(|left| !left.is_zero());
        quiet.map_or(end, |quiet| quiet.min(end))
    }

    /// How long one try of a renewal may take.
    pub(super) fn try_timeout(&self) -> Duration {
        (self.duration / 6).min(TRY_MAX)
    }

    /// A renewal is sent now: its number.
    pub(super) fn send(&mut self, now: Stamp) -> i64 {
        self.last = self.last.saturating_add(1);
        self.tries.insert(self.last, now);
        while self.tries.len() > TRIES_MAX {
            self.tries.pop_first();
        }
        // Not again before it was answered, or given up.
        self.next = (now, self.try_timeout());
        self.last
    }

    /// A try was refused, or not answered in time.
    pub(super) fn missed(&mut self, now: Stamp, roll: f64) {
        self.misses = self.misses.saturating_add(1);
        let pause = (self.duration / 30).clamp(PAUSE_MIN, PAUSE_MAX);
        let pause = if self.unconfirmed {
            PAUSE_MIN.saturating_mul(2)
        } else {
            pause
        };
        self.next = (now, pause.mul_f64(0.8 + 0.4 * unit(roll)));
    }

    /// A look that was sent as this try has shown the claim as it is. Of one that lives as long as a pod that is as good as
    /// a renewal: it was Granted when the look was sent or later, and what takes it away while its holder may live frees
    /// the slots 1.05 of the lease after that at the earliest. (But for an operator's word, which promises nothing.)
    pub(super) fn looked(
        &mut self,
        number: i64,
        claim: &ClaimVersion,
        session: &str,
        now: Stamp,
        roll: f64,
    ) {
        self.seen(claim, session, now, roll);
        if claim.status.phase == ClaimPhase::Granted {
            self.acknowledge(number, now, roll);
        }
    }

    /// The claim is gone, or another one has its name.
    pub(super) fn vanished(&mut self) {
        self.lose(Loss::Gone);
    }

    /// A version of the claim was seen, in an answer or by the watch.
    pub(super) fn seen(&mut self, claim: &ClaimVersion, session: &str, now: Stamp, roll: f64) {
        if claim.spec.session != session {
            self.lose(Loss::Adopted);
        } else if claim.status.phase == ClaimPhase::Revoked {
            let status = &claim.status;
            self.lose(Loss::Revoked(format!(
                "{}: {}",
                status.reason, status.message
            )));
        } else if claim.spec.release {
            self.lose(Loss::ReleasedByAnother);
        } else if claim.status.phase == ClaimPhase::Granted {
            self.acknowledge(claim.spec.renew.seq, now, roll);
        } else if claim.status.phase.is_final() {
            self.lose(Loss::Revoked(format!("it is {:?}", claim.status.phase)));
        }
    }

    fn acknowledge(&mut self, seq: i64, now: Stamp, roll: f64) {
        // What came too late brings nothing back.
        self.belief(now);
        if self.lost.is_some() || seq <= self.acknowledged {
            return;
        }
        let Some(sent) = self.tries.get(&seq).copied() else {
            return;
        };
        self.tries = self.tries.split_off(&seq.saturating_add(1));
        self.acknowledged = seq;
        self.since = sent;
        self.misses = 0;
        self.unconfirmed = false;
        self.next = (sent, self.interval(roll));
    }

    fn elapsed(&self, now: Stamp) -> Duration {
        now.at_most_since(self.since)
    }

    /// For how long it is believed after the sending of an acknowledged write.
    fn patience(&self) -> Duration {
        let guard = (self.duration / 10).max(GUARD_MIN);
        self.duration.saturating_sub(guard)
    }

    /// A third of the lease, give or take a tenth of that.
    fn interval(&self, roll: f64) -> Duration {
        (self.duration / 3).mul_f64(0.9 + 0.2 * unit(roll))
    }
}

fn unit(roll: f64) -> f64 {
    if roll.is_finite() {
        roll.clamp(0.0, 1.0)
    } else {
        0.5
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
