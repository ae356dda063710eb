//! Builders for the ledger's own tests.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

mod answers;
mod bounds;
mod check;
mod claims;
mod lead;
mod parity;
mod people;
mod random;
pub(crate) mod server;
mod story;
pub(crate) mod world;

/// A limit's spec with so many slots and the API's defaults.
pub(crate) fn limit_spec(slots: u64) -> PoolSpec {
    PoolSpec {
        capacity: slots,
        mode: Mode::Active,
        order: Order::Backfill {
            reserve_after: Span::seconds(60),
        },
        admits: Admits::Same,
        release: ReleasePolicy::Presumed {
            settle: Span::seconds(10),
        },
        family: None,
        decay: None,
        lease: None,
        lock_delay: Span(0),
    }
}

/// A gated pod in namespace `ns` that asks for `slots` (`"gpu=1, db=2"`).
pub(crate) fn pod(name: &str, slots: &str) -> RequestView {
    let mentions: Vec<Mention> = slots
        .split(',')
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| {
            let (key, amount) = entry.trim().split_once('=').unwrap_or((entry.trim(), "1"));
            let name = key.replace(':', "--");
            Mention {
                pool: PoolKey::new(PoolKind::Limit, "ns".into(), name.into()),
                amount: Amount::Slots(amount.parse().unwrap()),
            }
        })
        .collect();
    RequestView {
        uid: format!("uid-{name}").into(),
        namespace: "ns".into(),
        name: name.into(),
        version: Version(1),
        arrival: Micros(1),
        priority: 0,
        ask: Ask::Wants(Wants {
            mentions: mentions.into(),
            ignore_missing: false,
            timeout: None,
            fail_on_timeout: false,
            deny_missing: false,
        }),
        text: Arc::new(RequestText {
            slots: Some(slots.into()),
            ..Default::default()
        }),
        labels: Arc::new(BTreeMap::new()),
        managed: true,
        attempt: Some(Attempt::Number(0)),
        gates: Gates {
            ours: Some(0),
            others: false,
        },
        granted: None,
        deleting: false,
        finalizers: Arc::new([]),
        finalizer: false,
        node: None,
        progress: Progress::default(),
        claim: None,
    }
}

/// A claim of these slots that has just been created, with a lease of twenty seconds.
pub(crate) fn claim(name: &str, slots: &str) -> RequestView {
    RequestView {
        text: Arc::new(RequestText::default()),
        claim: Some(ClaimView {
            phase: ClaimPhase::Pending,
            seq: 0,
            release: false,
            expired: false,
            lease: Some(Span::seconds(20)),
            hold_max: None,
            pod: None,
            terms: None,
        }),
        ..pod(name, slots)
    }
}

/// A lock in namespace `ns`.
pub(crate) fn lock(name: &str) -> PoolKey {
    PoolKey::new(PoolKind::Lock, "ns".into(), name.into())
}
