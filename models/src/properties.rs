//! Names of what the models check, with the numbers of the invariants in docs/design.md 5.2.

/// Nothing is granted beyond the slots.
pub(crate) const FITS: &str = "invariant 1: leases fit the slots";
/// One lease for each pool and holder.
pub(crate) const ONE_EACH: &str = "invariant 2: one lease for each limit and holder";
/// Revealed only with all leases durable (3), and they stay until the end (4).
pub(crate) const STAYS: &str = "invariants 3 and 4: a running holder has its leases";
/// What 1 to 4 are for; across deletion, re-creation and mode changes it is invariant 9.
pub(crate) const RUN: &str = "invariants 1, 3 and 9: no more run than there are slots";
/// Every request is revealed and ends.
pub(crate) const ALL_END: &str = "all have run and ended";
/// An abort is no end.
pub(crate) const RUNS_AFTER_ABORT: &str = "somebody runs after an abort";
/// Of claims: who believes to hold has a lease that nobody else was given.
pub(crate) const BELIEVES: &str = "invariants 7 and 8: nobody believes to hold what was passed on";
