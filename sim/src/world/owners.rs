//! Those who own limits and locks, and operators: they resize, flip, delete, re-create and replace them, take names, vouch
//! for ends and set limits aside.

use std::collections::BTreeMap;

use sluice::api::names;
use sluice::ledger::{
    Admits, Decay, FamilySpec, LOCK_UNITS, Mode, Name, Operator, Order, PoolKey, PoolKind,
    PoolSpec, ReleasePolicy, Requirement, Span, Uid,
};

use super::{World, abroad, home};
use crate::server::Writer;

/// A limit or lock of this world.
pub(super) fn key(kind: PoolKind, namespace: Name, name: &str) -> PoolKey {
    PoolKey::new(kind, namespace, name.into())
}

fn limit(name: &str) -> PoolKey {
    key(PoolKind::Limit, home(), name)
}

fn lock(name: &str) -> PoolKey {
    key(PoolKind::Lock, home(), name)
}

fn plain(slots: u64) -> PoolSpec {
    PoolSpec {
        capacity: slots,
        mode: Mode::Active,
        order: Order::Backfill {
            reserve_after: Span::seconds(20),
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

/// So many slots come back in so many seconds.
fn decay(slots: u32, seconds: u64) -> Option<Decay> {
    let period = Span::seconds(seconds);
    Some(Decay { slots, period })
}

/// Every limit and lock of the world, as it is at the beginning and in the end.
pub(super) fn furniture() -> Vec<(PoolKey, PoolSpec)> {
    let family = FamilySpec {
        label: names::WORKER.into(),
        overrides: [("w2".into(), 2)].into(),
        workers_max: 2,
        idle: Span::seconds(15),
    };
    let selector = Requirement {
        label: "team".into(),
        operator: Operator::Exists,
    };
    vec![
        (limit("gpu"), plain(2)),
        (
            limit("db"),
            PoolSpec {
                lease: Some(Span::seconds(20)),
                lock_delay: Span::seconds(4),
                ..plain(1)
            },
        ),
        (limit("net"), plain(3)),
        (
            limit("api"),
            PoolSpec {
                decay: decay(1, 2),
                ..plain(4)
            },
        ),
        (
            limit("trickle"),
            PoolSpec {
                decay: decay(3, 10),
                ..plain(2)
            },
        ),
        (
            limit("strict"),
            PoolSpec {
                order: Order::Strict,
                ..plain(2)
            },
        ),
        (
            limit("fam"),
            PoolSpec {
                family: Some(family),
                ..plain(1)
            },
        ),
        (
            limit("proof"),
            PoolSpec {
                release: ReleasePolicy::Confirmed,
                ..plain(2)
            },
        ),
        (
            key(PoolKind::Limit, abroad(), "wide"),
            PoolSpec {
                admits: Admits::All,
                ..plain(2)
            },
        ),
        (
            key(PoolKind::Limit, abroad(), "teams"),
            PoolSpec {
                admits: Admits::Selector(vec![selector]),
                ..plain(2)
            },
        ),
        (lock("deploy"), plain(LOCK_UNITS)),
        (lock("schema"), plain(LOCK_UNITS)),
    ]
}

impl World {
    fn some_pool(&mut self) -> Option<PoolKey> {
        let keys: Vec<PoolKey> = furniture().into_iter().map(|it| it.0).collect();
        self.dice.pick(&keys).cloned()
    }

    pub(super) fn resize(&mut self) {
        let slots = self.dice.roll(5);
        if let Some(key) = self.some_pool().filter(|key| key.kind == PoolKind::Limit) {
            self.server
                .edit_spec(Writer::Person, &key, |spec| spec.capacity = slots);
            self.reach("people: resized a limit");
        }
    }

    /// Slots of a limit come back faster, slower, or not at all.
    pub(super) fn change_decay(&mut self) {
        let key = limit(if self.dice.one_in(2) {
            "api"
        } else {
            "trickle"
        });
        let slots = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
        let seconds = self.dice.between(1, 12);
        let none = self.dice.one_in(4);
        self.server.edit_spec(Writer::Person, &key, |spec| {
            spec.decay = decay(slots, seconds).filter(|_| !none);
        });
        self.reach("people: changed a decay");
    }

    pub(super) fn flip_mode(&mut self) {
        let modes = [Mode::Active, Mode::Active, Mode::Paused, Mode::Disabled];
        let mode = modes
            .get(self.dice.index(modes.len()))
            .copied()
            .unwrap_or(Mode::Active);
        if let Some(key) = self.some_pool() {
            self.server
                .edit_spec(Writer::Person, &key, |spec| spec.mode = mode);
            self.reach("people: changed a mode");
        }
    }

    pub(super) fn delete_pool(&mut self) {
        if let Some(key) = self.some_pool()
            && self.server.delete_pool(Writer::Person, &key)
        {
            self.reach("people: deleted a limit or lock");
            if self.dice.one_in(2) {
                self.create_pools();
            }
        }
    }

    pub(super) fn create_pools(&mut self) {
        for (key, spec) in furniture() {
            if self
                .server
                .create_pool(Writer::Person, &key, spec, None)
                .is_some()
            {
                self.reach("people: re-created a limit or lock");
            }
        }
    }

    /// `kubectl replace`: the whole object, the status stays the server's.
    pub(super) fn replace_pool(&mut self) {
        let all = furniture();
        if let Some((key, fresh)) = self.dice.pick(&all).cloned() {
            self.server
                .edit_spec(Writer::Person, &key, |spec| *spec = fresh);
            self.reach("people: replaced a limit or lock");
        }
    }

    pub(super) fn touch(&mut self) {
        if let Some(key) = self.some_pool() {
            for _ in 0..self.dice.between(1, 4) {
                self.server.touch_pool(&key, []);
            }
            self.reach("people: touched a limit or lock");
        }
    }

    /// An operator vouches for the end of a holder: of one that is gone, or of one that may well run.
    pub(super) fn release_by_word(&mut self) {
        let Some(key) = self.some_pool() else { return };
        let Some(pool) = self.server.pool(&key).cloned() else {
            return;
        };
        let holders: Vec<Uid> = pool
            .status
            .read()
            .into_iter()
            .flat_map(|status| status.entries().map(|lease| lease.uid.clone()))
            .collect();
        if let Some(uid) = self.dice.pick(&holders).cloned() {
            self.server.touch_pool(&key, [uid]);
            self.reach("people: an operator released a holder");
        }
    }

    pub(super) fn change_namespace(&mut self) {
        let labels = if self.dice.one_in(2) {
            BTreeMap::new()
        } else {
            BTreeMap::from([("team".into(), "a".into())])
        };
        self.server.set_namespace(&home(), labels);
        self.reach("people: changed labels of a namespace");
    }

    pub(super) fn meddle_with_family(&mut self) {
        let child = limit("fam").child(&format!("w{}", 1 + self.dice.roll(3)).as_str().into());
        if self.server.pool(&child).is_none() {
            if self.dice.one_in(4) {
                self.server
                    .create_pool(Writer::Person, &child, plain(1), None);
                self.reach("people: took the name of a derived limit");
            }
        } else if self.dice.one_in(2) {
            self.server
                .edit_spec(Writer::Person, &child, |spec| spec.capacity = 3);
            self.reach("people: edited a derived limit");
        } else {
            self.server.delete_pool(Writer::Person, &child);
            self.reach("people: deleted a derived limit");
        }
    }

    /// An operator sets something aside, or ends what was set aside.
    pub(super) fn quarantine(&mut self) {
        let Some(key) = self.some_pool() else { return };
        let aside = self.server.pool(&key).map(|pool| pool.set_aside.is_some());
        match aside {
            Some(false) => {
                self.server.set_aside(&key, Some("drill"));
                self.reach("people: set a limit or lock aside");
            }
            Some(true) => {
                self.server.set_aside(&key, None);
                self.reach("people: ended a quarantine");
            }
            None => {}
        }
    }
}
