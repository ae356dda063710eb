//! What a test did by hand and the checker must not hold against the product.

use std::collections::BTreeSet;

use super::version::ObjectRef;
use super::violation::{Invariant, Violation};

/// Exceptions to the invariants. As narrow as the test can make them: every one is a place where nothing is proven.
#[derive(Clone, Debug, Default)]
pub struct Assumptions {
    by_hand: BTreeSet<i64>,
    excepted: BTreeSet<(Invariant, ObjectRef)>,
    gates_opened_from: Option<i64>,
    ended_claims_seconds: Option<i64>,
}

/// How long a controller keeps ended claims unless it is told otherwise, in seconds.
const ENDED_CLAIMS_SECONDS: i64 = 300;

impl Assumptions {
    /// Assumes nothing: every write was the product's, the API server's or a kubelet's.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The test itself made the write of this revision (the `resourceVersion` of the answer): a status edited by
    /// hand, a gate removed by hand, a forged annotation. What follows from it is still judged.
    #[must_use]
    pub fn written_by_hand(mut self, revision: i64) -> Self {
        self.by_hand.insert(revision);
        self
    }

    /// Writes of this object may break this invariant, as a consequence of what the test did by hand.
    #[must_use]
    pub fn except(mut self, invariant: Invariant, object: ObjectRef) -> Self {
        self.excepted.insert((invariant, object));
        self
    }

    /// From this revision on gates are removed without grants: `sluice ungate-all` runs.
    #[must_use]
    pub fn gates_opened_from(mut self, revision: i64) -> Self {
        self.gates_opened_from = Some(revision);
        self
    }

    /// The controllers were told to keep ended claims for this long.
    #[must_use]
    pub fn ended_claims_kept(mut self, seconds: i64) -> Self {
        self.ended_claims_seconds = Some(seconds);
        self
    }

    pub(super) fn ended_claims_seconds(&self) -> i64 {
        self.ended_claims_seconds.unwrap_or(ENDED_CLAIMS_SECONDS)
    }

    /// Whether a gate removed at this revision says nothing of a grant.
    pub(super) fn opens_gates(&self, revision: i64) -> bool {
        self.gates_opened_from.is_some_and(|from| revision >= from)
    }

    pub(super) fn excuse(&self, violation: &Violation) -> bool {
        self.by_hand.contains(&violation.revision)
            || self
                .excepted
                .contains(&(violation.invariant, violation.object.clone()))
    }
}
