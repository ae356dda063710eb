//! What the checker found wrong.

use std::fmt;

use super::version::ObjectRef;

/// A statement that every revision of a history must keep; its number is what tests and messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// 1: what is held fits, or nothing was granted.
    Capacity,
    /// 2: a holder has at most one lease of a limit or lock.
    OneLease,
    /// 3: a holder is revealed only when every lease of its request is durable.
    Reveal,
    /// 4: leases of a live holder stay, and no new incarnation forgets it.
    Release,
    /// 5: tokens grow for ever.
    Token,
    /// 6: a holder is told once, and never told otherwise.
    RevealOnce,
    /// 7: the pods that may run at once fit, by their own records.
    Physical,
    /// 8: attempts never go back, and nothing is granted before the fence.
    Fence,
    /// 9: each write follows the one it was computed from.
    BatchChain,
    /// 10: when all is quiet, nobody holds what has ended, and nobody waits for what is free.
    Quiescence,
    /// 11: epochs never go back, and each has one leader.
    Epoch,
    /// 12: the phases of a claim go forwards, and none is taken away from a holder that still may renew it.
    ClaimLife,
    /// 13: at no instant do more believe to hold than there are slots.
    Belief,
    /// 14: of a limit with decay nobody takes more in a time than may, and what was used comes back once.
    Rate,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Capacity,
        Self::OneLease,
        Self::Reveal,
        Self::Release,
        Self::Token,
        Self::RevealOnce,
        Self::Physical,
        Self::Fence,
        Self::BatchChain,
        Self::Quiescence,
        Self::Epoch,
        Self::ClaimLife,
        Self::Belief,
        Self::Rate,
    ];

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Capacity => 1,
            Self::OneLease => 2,
            Self::Reveal => 3,
            Self::Release => 4,
            Self::Token => 5,
            Self::RevealOnce => 6,
            Self::Physical => 7,
            Self::Fence => 8,
            Self::BatchChain => 9,
            Self::Quiescence => 10,
            Self::Epoch => 11,
            Self::ClaimLife => 12,
            Self::Belief => 13,
            Self::Rate => 14,
        }
    }
}

/// An invariant that a history breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// Whose write broke it.
    pub object: ObjectRef,
    /// The revision of that write.
    pub revision: i64,
    /// What was wrong, in a sentence.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.invariant.number();
        write!(
            formatter,
            "invariant {number} ({:?}) at revision {}, {}: {}",
            self.invariant, self.revision, self.object, self.message
        )
    }
}
