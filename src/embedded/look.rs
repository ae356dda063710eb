//! What can be read of limits and locks, for messages that say who holds.

use super::store::NAMESPACE;
use super::world::{World, pool_key};
use crate::api::key::QualifiedKey;
use crate::client::store::{Found, HeldBy, Sight, Wanted};
use crate::ledger::{Part, PoolKind, PoolObject};

/// Most holders that are named in a look.
const HOLDERS_MAX: usize = 100;

/// What is known of one of them.
pub(super) fn sight(world: &World, wanted: &Wanted) -> Sight {
    let (kind, what) = match wanted.lock {
        true => (PoolKind::Lock, "lock"),
        false => (PoolKind::Limit, "limit"),
    };
    let mut sight = Sight {
        what: format!("{what} {}", wanted.key),
        ..Sight::default()
    };
    let Ok(key) = QualifiedKey::parse(&wanted.key) else {
        return sight;
    };
    let namespace = key.namespace.as_deref().unwrap_or(NAMESPACE);
    match world.pool(&pool_key(kind, namespace, &key.key.object_name())) {
        None => sight.missing = true,
        Some(pool) => sight.found = Some(found(world, kind, pool)),
    }
    sight
}

fn found(world: &World, kind: PoolKind, pool: &PoolObject) -> Found {
    let mut found = Found {
        slots: match (kind, &pool.spec) {
            (PoolKind::Limit, Part::Read(spec)) => i64::try_from(spec.capacity).ok(),
            _ => None,
        },
        ..Found::default()
    };
    if let Part::Read(status) = &pool.status {
        found.held = status.in_use;
        found.waiting = status.waiting;
        let decays = pool.spec.read().is_some_and(|spec| spec.decay.is_some());
        if let Some(level) = status.level.filter(|_| decays) {
            found.coming_back = i64::try_from(level.slots()).unwrap_or(i64::MAX);
        }
        for lease in status.entries().take(HOLDERS_MAX) {
            let holder = world.row(&lease.uid).map(|row| row.spec.holder.as_str());
            found.holders.push(HeldBy {
                who: format!("claim {}", lease.name),
                claim: Some(lease.name.to_string()),
                holder: holder.unwrap_or_default().to_owned(),
            });
            found
                .tokens
                .push(i64::try_from(lease.token.0).unwrap_or(i64::MAX));
        }
    }
    found
}
