//! Pools that grant nothing for a while: those that cannot be understood, and those that an operator set aside.
//!
//! What cannot be understood leaves quarantine when it is put right. What an operator set aside (annotation
//! `sluice.dev/quarantine`, after a restore that nobody can detect) leaves it when the annotation goes: its status said
//! `fenced: false` meanwhile, so whoever leads then fences it like a new incarnation and counts everybody who runs
//! before it grants. Never decides who holds. Tested by the stories, the histories, and `tests/it/recovery`.

use std::sync::Arc;

use super::book::Ledger;
use super::bounds::STATUS_SCHEMA;
use super::ids::{PoolKey, Token};
use super::object::{Part, PoolObject, PoolStatus};
use super::pool::Pool;

/// Why a pool grants nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Quarantine {
    /// An operator wants it so; with what the operator wrote.
    SetAside(Arc<str>),
    /// It cannot be used as it stands; the sentence says why.
    NotUnderstood(Arc<str>),
}

impl Quarantine {
    /// One sentence for people: why, and how to leave it.
    pub(super) fn message(&self) -> Arc<str> {
        match self {
            Self::SetAside(said) => format!(
                "an operator set it aside ({said}) until `sluice quarantine --end`, or until its annotation sluice.dev/quarantine is removed; whoever runs is counted then, before anything is granted"
            )
            .into(),
            Self::NotUnderstood(why) => Arc::clone(why),
        }
    }
}

impl Pool {
    /// Why it grants nothing, whatever room there is.
    pub(super) fn quarantine(&self) -> Option<Quarantine> {
        let seen = self.seen.as_ref()?;
        if let Some(said) = self.set_aside() {
            return Some(Quarantine::SetAside(said));
        }
        if let Part::Broken(why) = &seen.spec {
            let why = format!("its spec cannot be used: {why}");
            return Some(Quarantine::NotUnderstood(why.into()));
        }
        let why = match &seen.status {
            Part::Broken(why) => format!("its status cannot be read: {why}"),
            Part::Read(status) => self.distrust(status)?,
        };
        Some(Quarantine::NotUnderstood(why.into()))
    }

    /// What an operator wrote who set it, or its family, aside.
    pub(super) fn set_aside(&self) -> Option<Arc<str>> {
        let own = self.seen.as_ref().and_then(|seen| seen.set_aside.clone());
        own.or_else(|| self.family_set_aside.clone())
    }

    /// Why a status that can be read is not to be built upon.
    fn distrust(&self, status: &PoolStatus) -> Option<String> {
        if status.schema > STATUS_SCHEMA {
            let schema = status.schema;
            return Some(format!(
                "its status has schema {schema}, newer than {STATUS_SCHEMA}"
            ));
        }
        if self.epoch_absurd {
            return Some(format!(
                "status.epoch is {}, which no leader ever reached; delete it and create it anew, whoever runs is then counted again",
                status.epoch.0
            ));
        }
        (status.last_token >= Token::MAX)
            .then(|| "its tokens are used up: status.lastToken has reached 2^52".to_owned())
    }
}

impl Ledger {
    /// What the family of a derived limit is set aside with.
    pub(super) fn family_set_aside(&self, child: &PoolObject) -> Option<Arc<str>> {
        let (family, _) = child.key.parent()?;
        let seen = self.pools.get(&family)?.seen.as_ref()?;
        let owned = child.owner.as_ref().map(|owner| &owner.uid) == Some(&seen.uid);
        seen.set_aside.clone().filter(|_| owned)
    }

    /// A family was set aside, or is so no more: all its derived limits are looked at again.
    pub(super) fn pass_on_quarantine(&mut self, family: &PoolKey) {
        let of_family = |key: &PoolKey| key.parent().is_some_and(|(parent, _)| parent == *family);
        let children: Vec<PoolKey> = self
            .pools
            .keys()
            .filter(|key| of_family(key))
            .cloned()
            .collect();
        for key in children {
            let seen = self.pools.get(&key).and_then(|pool| pool.seen.as_ref());
            let said = seen.and_then(|seen| self.family_set_aside(seen));
            if let Some(pool) = self.pools.get_mut(&key)
                && pool.family_set_aside != said
            {
                pool.family_set_aside = said;
                self.touch(&key);
                self.touch_namers(&key);
            }
        }
    }

    /// A term begins: what is in quarantine already is told by whoever leads now.
    pub(super) fn tell_quarantines(&mut self) {
        let aside = self
            .pools
            .iter()
            .filter(|(_, pool)| pool.quarantine().is_some());
        let aside: Vec<PoolKey> = aside.map(|(key, _)| key.clone()).collect();
        for key in aside {
            self.tell_quarantine(&key);
        }
    }

    /// Quarantine begins or ends: the status may not be writable, so an event says it.
    pub(super) fn tell_quarantine(&mut self, key: &PoolKey) {
        let Some(about) = self.pool_about(key) else {
            return;
        };
        match self.pools.get(key).and_then(Pool::quarantine) {
            Some(why) => self.tell(about, true, "Quarantined", || {
                let why = why.message();
                format!("{why}. Nothing is granted here meanwhile; all other limits go on")
            }),
            None => self.tell(about, false, "QuarantineEnded", || {
                "nothing keeps it from granting any more, once whoever runs is counted".to_owned()
            }),
        };
    }
}
