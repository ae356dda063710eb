//! From the API's specs to the ledger's plain data, for everybody who drives a ledger.
//!
//! Pure and total: what cannot be understood becomes a sentence. Decides nothing. Tested by the round trips of
//! `controller/translate`, which reads whole objects, and by what embedded clients do.

mod claim;
mod pool;

pub(crate) use claim::{claim_mentions, seconds, wants_of};
#[cfg(feature = "controller")]
pub(crate) use claim::{claim_view, claim_wants};
pub(crate) use pool::{limit_spec, lock_spec};
