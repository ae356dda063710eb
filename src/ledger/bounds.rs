//! Every bound of the ledger, by name. What is beyond one gets a cause or a condition, never silence.

use super::time::Span;

/// Leases in one status, and adopted holders in one status.
pub const LEASES_MAX: usize = 1_000;
/// Requests the ledger follows at once; further ones are counted and left waiting.
pub const REQUESTS_MAX: usize = 250_000;
/// Changes (grants plus releases) in one status write.
pub const BATCH_CHANGES_MAX: usize = 1_000;
/// Fence bumps under way at once.
pub const FENCE_BUMPS_IN_FLIGHT: usize = 16;
/// Requests that may be read at once to settle a doubt.
pub const READS_IN_FLIGHT: usize = 32;
/// Conflicts in a row, with nothing of ours changed, after which a write tests what matters instead
/// of the resource version.
pub const CONFLICTS_BEFORE_TESTED_WRITE: u32 = 3;
/// How often an unanswered write is sent again with the same bytes before the object is read.
pub const UNKNOWN_RESENDS_MAX: u32 = 1;
/// How long a reveal may be refused, nothing having changed, before the request is aborted.
pub const REVEAL_REFUSED_FOR: Span = Span::seconds(60);
/// Refusals of a bump after which an event says that slots cannot be given back.
pub const REFUSALS_BEFORE_EVENT: u32 = 3;
/// How long a request whose reveal was refused stands aside before it is tried again.
pub const REVEAL_REFUSED_PARK: Span = Span::seconds(120);
/// First back-off after a refusal; doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Span = Span(100);
/// Longest back-off.
pub const BACKOFF_MAX: Span = Span::seconds(30);
/// How long a pod waits before an event says so.
pub const NOTICE_AFTER: Span = Span::seconds(2);
/// Events a second; what is beyond is summarised on the pool.
pub const EVENTS_PER_SECOND: u64 = 20;
/// Events that may go at once after a quiet time.
pub const EVENTS_BURST: u64 = 40;
/// Waiting requests whose cause is looked at again, a second; the more wait, the more seldom each.
pub const NOTICES_PER_SECOND: u64 = 100;
/// Requests ahead that are counted for a sentence; further ones are "or more".
pub const AHEAD_COUNTED_MAX: usize = 1_000;
/// How often held-back events are summarised on their pool.
pub const EVENT_SUMMARY_EVERY: Span = Span::seconds(30);
/// Longest a changed number of waiters stays unwritten.
pub const WAITING_WRITE_AFTER: Span = Span::seconds(5);
/// Token evidence further ahead of the server's clock than this is ignored.
pub const TOKEN_EVIDENCE_AHEAD_MAX: Span = Span::seconds(3600);
/// An epoch this far above everything known was never reached: one term a second makes it in a hundred years.
pub const EPOCH_AHEAD_MAX: u64 = 1 << 32;
/// How often a holder that the watch no longer shows is read again.
pub const RECHECK_EVERY: Span = Span::seconds(10);
/// How often a node is asked about for a strict release.
pub const NODE_CHECK_EVERY: Span = Span::seconds(15);
/// Time after which a waiting exclusive lock or a blocked request on a lock with `Backfill` reserves.
pub const LOCK_RESERVE_AFTER: Span = Span::seconds(60);
/// How long a claim that was denied, timed out or revoked stays to be read, by default.
pub const CLAIM_ENDED_KEPT: Span = Span::seconds(300);
/// Lease of a claim where neither it nor any of its limits says how long.
pub const CLAIM_LEASE_DEFAULT: Span = Span::seconds(60);
/// How soon a grant lapses that was told to a claim which had waited for more than half its lease, if it is not renewed.
pub const CLAIM_LAPSE_AFTER: Span = Span::seconds(15);
/// How much longer than it is willing to a claim waits while something settles by itself, or its grant is under way.
pub const CLAIM_TIMEOUT_GRACE: Span = Span::seconds(5);
/// How often a claim is looked at within that time.
pub const CLAIM_TIMEOUT_LOOK_EVERY: Span = Span(200);
/// How often the pod is read that a claim lives as long as.
pub const CLAIM_POD_CHECK_EVERY: Span = Span::seconds(15);
/// Most parts of a level, over fifty times what the largest limit can have: a number that every JSON reader keeps exactly.
pub const LEVEL_PARTS_MAX: u64 = 1 << 52;
/// Schema of a status that this code understands; a higher one is left alone.
pub const STATUS_SCHEMA: i64 = 1;
