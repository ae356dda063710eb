//! What the ledger is shown of a `SlotClaim` beside the request that it carries, as plain data.
//!
//! Parsed at the boundary by the shell. Only durations and numbers: the times that a claim carries are for
//! people, and nothing here could be compared with a clock. Decisions are in `claim`; tested through them.

use super::ids::{Name, Uid};
use super::time::Span;

/// Phase of a claim, as its status has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClaimPhase {
    /// It waits.
    Pending,
    /// Its holder has been told that it holds.
    Granted,
    /// It was refused as it arrived.
    Denied,
    /// It waited as long as it was willing to.
    TimedOut,
    /// It was taken away.
    Revoked,
    /// Its holder has given it back.
    Released,
}

impl ClaimPhase {
    /// One word, as in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Granted => "Granted",
            Self::Denied => "Denied",
            Self::TimedOut => "TimedOut",
            Self::Revoked => "Revoked",
            Self::Released => "Released",
        }
    }

    /// Nothing follows it.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Granted => false,
            Self::Denied | Self::TimedOut | Self::Revoked | Self::Released => true,
        }
    }
}

/// Why a claim was taken away from its holder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RevokeReason {
    /// Its lease ran out: its holder's own deadline has passed.
    Expired,
    /// The pod it lived as long as has provably ended, and its holder with it.
    PodEnded,
    /// That pod is gone, without proof that it has ended.
    PodGone,
    /// It was held for as long as it may be at most.
    MaxHold,
    /// An operator freed its slots.
    ReleasedByOperator,
}

impl RevokeReason {
    /// One word, as in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::PodEnded => "PodEnded",
            Self::PodGone => "PodGone",
            Self::MaxHold => "MaxHold",
            Self::ReleasedByOperator => "ReleasedByOperator",
        }
    }
}

/// What is particular to a claim.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ClaimView {
    /// Its phase.
    pub phase: ClaimPhase,
    /// Number of its last renewal.
    pub seq: u64,
    /// Its holder has done with it, for good.
    pub release: bool,
    /// It was revoked when its holder could not believe any more: its lease had run out, or its pod had ended.
    pub expired: bool,
    /// How long a grant lasts, where the claim says so.
    pub lease: Option<Span>,
    /// How long it may hold at most.
    pub hold_max: Option<Span>,
    /// The pod it lives as long as, with its name.
    pub pod: Option<(Uid, Name)>,
    /// What was fixed when it was granted.
    pub terms: Option<Terms>,
}

/// What a grant to a claim fixes: later edits of a limit change nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Terms {
    /// How long it lasts without a renewal.
    pub lease: Span,
    /// How long slots stay taken after the lease has run out.
    pub lock_delay: Span,
}

impl Terms {
    /// After which silence a controller takes the lease for run out: five per cent above what the holder counts
    /// by, which counts ten per cent less itself (docs/design.md 5.5).
    pub const fn expiry(self) -> Span {
        Span(self.lease.0.saturating_add(self.lease.0 / 20))
    }

    /// How long the slots stay when the claim is gone or was revoked, and its holder may not have heard: whole
    /// seconds, for a status has no smaller ones.
    pub const fn linger(self) -> Span {
        let whole = self.expiry().0.saturating_add(self.lock_delay.0);
        Span(whole.div_ceil(1000).saturating_mul(1000))
    }
}
