//! The rules, one file for each invariant (two where they read the same lists). A rule sees the cluster as it stands
//! after a write and what the write changed, and reports; it changes nothing.

mod batch;
mod capacity;
mod claim_end;
mod claim_life;
mod epoch;
mod fence;
mod once;
mod physical;
mod rate;
mod release;
mod reveal;
mod token;

use super::assumptions::Assumptions;
use super::checker::Report;
use super::recorder::Scope;
use super::world::{Change, World};

pub(super) use physical::running;

/// One rule, with what it remembers.
pub(super) trait Rule {
    /// Judges a write; `world` is the cluster after it.
    fn judge(&mut self, world: &World, change: &Change, report: &mut Report<'_>);
}

/// All rules that hold at every revision.
pub(super) fn all(scope: &Scope, assumptions: &Assumptions) -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(capacity::Capacity),
        Box::new(reveal::Reveal::new(scope, assumptions)),
        Box::new(release::Release::new(scope)),
        Box::new(token::Token),
        Box::new(once::Once::default()),
        Box::new(physical::Physical),
        Box::new(fence::Fence),
        Box::new(batch::BatchChain),
        Box::new(epoch::Epoch),
        Box::new(claim_life::ClaimLife),
        Box::new(rate::Rate::default()),
    ]
}
