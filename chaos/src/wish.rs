//! What a program asks for in its claim: slots of one or two limits and now and then a lock, or something for a rate.
//! Drawn from dice; knows no server.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::claimants::LEASE;
use crate::town::{COMES_AND_GOES, FAMILY, LOCKS, PROOF, RATED, TOOL};

/// The spec of a claim.
pub(crate) struct Wish {
    pub(crate) spec: Value,
    /// It takes for a rate, and holds nothing.
    pub(crate) rate: bool,
}

impl Wish {
    pub(crate) fn draw(dice: &mut Rng, program: usize, session: &str) -> Self {
        let missing = ["Wait", "Deny", "Ignore"].get(dice.usize(..3)).copied();
        let mut spec = json!({
            "holder": format!("program {program}"), "user": "chaos", "session": session, "ifMissing": missing,
        });
        let rate = dice.u32(..6) == 0;
        if rate {
            spec["kind"] = "RateLimit".into();
            spec["slots"] = json!([{"limit": RATED, "slots": dice.u32(1..4)}]);
        } else {
            spec["slots"] = slots(dice);
            spec["locks"] = locks(dice);
            spec["leaseDurationSeconds"] = LEASE.as_secs().into();
            if dice.u32(..12) == 0 {
                spec["maxHoldSeconds"] = dice.u32(2..6).into();
            }
        }
        if dice.u32(..6) == 0 {
            spec["timeoutSeconds"] = dice.u32(..10).into();
        }
        Self { spec, rate }
    }
}

fn slots(dice: &mut Rng) -> Value {
    let mut slots = Vec::new();
    if dice.u32(..5) < 3 {
        slots.push(json!({"limit": TOOL, "slots": dice.u32(1..3)}));
    }
    while slots.is_empty() || slots.len() < 2 && dice.u32(..4) == 0 {
        slots.push(match dice.u32(..13) {
            0..3 => json!({"limit": "gpu", "slots": dice.u32(1..3)}),
            3..6 => json!({"limit": "db", "slots": dice.u32(1..3)}),
            6..8 => json!({"limit": "net"}),
            8 | 9 => json!({"limit": COMES_AND_GOES}),
            10 => json!({"limit": FAMILY, "worker": format!("w{}", dice.u32(..3))}),
            11 => json!({"limit": RATED, "slots": dice.u32(1..3)}),
            _ => json!({"limit": PROOF}),
        });
    }
    slots.into()
}

fn locks(dice: &mut Rng) -> Value {
    if dice.u32(..6) > 0 {
        return json!([]);
    }
    let (lock, is_exclusive) = lock(dice);
    let mode = if is_exclusive { "Exclusive" } else { "Shared" };
    json!([{"lock": lock, "mode": mode}])
}

/// A lock, and whether it is wanted alone, of whoever asks.
pub(crate) fn lock(dice: &mut Rng) -> (&'static str, bool) {
    let name = LOCKS.get(dice.usize(..LOCKS.len())).copied();
    (name.unwrap_or("door"), dice.u32(..3) == 0)
}
