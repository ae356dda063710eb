//! What the ledger counts about itself, for metrics and tests. Counts, never decides.

use super::time::Span;

/// Counters since the start. Plain numbers; the shell turns them into metrics.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stats {
    /// Requests revealed.
    pub grants: u64,
    /// Leases released with proof of the end.
    pub releases_confirmed: u64,
    /// Leases released without proof, after settling.
    pub releases_presumed: u64,
    /// Leases released by an operator's annotation.
    pub releases_forced: u64,
    /// Leases removed because their attempt is void.
    pub releases_void: u64,
    /// Holders adopted.
    pub adoptions: u64,
    /// Attempts raised.
    pub aborts: u64,
    /// Status writes refused by a conflict.
    pub conflicts: u64,
    /// Status writes refused by a rule of the server.
    pub invalid: u64,
    /// Writes whose outcome was unknown.
    pub unknown: u64,
    /// Reveals refused.
    pub reveals_refused: u64,
    /// Events held back by the token bucket.
    pub events_held_back: u64,
    /// Requests beyond the bound, left waiting.
    pub requests_beyond_bound: u64,
    /// Fences that ended: incarnations, and those that were set aside.
    pub fences: u64,
    /// Limits, locks and requests whose past was restored.
    pub pasts_restored: u64,
    /// Limits and locks that went while somebody held them.
    pub gone_while_held: u64,
    /// Token evidence that was too far ahead to be believed.
    pub tokens_disbelieved: u64,
    /// Claims taken away from their holders: tries.
    pub claims_revoked: u64,
    /// How long each holder held, by our own sight of it, that was released since the last look.
    pub holds: Vec<Span>,
    /// How long each request waited that was revealed since the last look.
    pub waits: Vec<Span>,
}
