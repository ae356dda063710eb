//! Pauses between tries: exponential, bounded, spread by who is trying.
//!
//! The spread is a hash of the name, not a random number: the ledger is deterministic, and different
//! objects still do not retry in step.

use super::bounds::{BACKOFF_MAX, BACKOFF_MIN};
use super::time::Span;

/// The pause before try number `tries + 1`: doubling from [`BACKOFF_MIN`] to [`BACKOFF_MAX`], plus up
/// to a quarter by the hash (FNV-1a) of the name.
pub(super) fn back_off(tries: u32, name: &str) -> Span {
    let doubled = BACKOFF_MIN
        .0
        .saturating_mul(1_u64.checked_shl(tries.min(20)).unwrap_or(u64::MAX));
    let base = doubled.min(BACKOFF_MAX.0);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let spread = hash.checked_rem(base / 4).unwrap_or(0);
    Span(base.saturating_add(spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound() {
        assert!(back_off(0, "a") < Span(BACKOFF_MIN.0 * 2));
        assert!(back_off(3, "a") >= Span(BACKOFF_MIN.0 * 8));
        assert!(back_off(u32::MAX, "a").0 <= BACKOFF_MAX.0 / 4 * 5);
        assert_ne!(back_off(9, "a"), back_off(9, "b"));
    }
}
