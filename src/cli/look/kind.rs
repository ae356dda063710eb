//! What can be named on the command line: limits and locks.

use kube::api::ApiResource;

use crate::api::{ConcurrencyLimit, Lock};
use crate::ledger::PoolKind;

/// A kind of object of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::cli) enum Kind {
    Limit,
    Lock,
}

impl Kind {
    pub(in crate::cli) const ALL: [Self; 2] = [Self::Limit, Self::Lock];

    /// The short name by which people call it.
    pub(in crate::cli) fn short(self) -> &'static str {
        match self {
            Self::Limit => "climit",
            Self::Lock => "lock",
        }
    }

    /// The word for it in a sentence.
    pub(in crate::cli) fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Lock => "lock",
        }
    }

    pub(in crate::cli) fn resource(self) -> ApiResource {
        match self {
            Self::Limit => ApiResource::erase::<ConcurrencyLimit>(&()),
            Self::Lock => ApiResource::erase::<Lock>(&()),
        }
    }

    pub(in crate::cli) fn of_pool(self) -> PoolKind {
        match self {
            Self::Limit => PoolKind::Limit,
            Self::Lock => PoolKind::Lock,
        }
    }

    pub(in crate::cli) fn of(kind: PoolKind) -> Self {
        match kind {
            PoolKind::Limit => Self::Limit,
            PoolKind::Lock => Self::Lock,
        }
    }

    /// Its name as people spell it: the kind, its plural, or the short name, in upper or lower case.
    pub(in crate::cli) fn spelled(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        Self::ALL.into_iter().find(|kind| {
            let resource = kind.resource();
            [
                resource.kind.to_lowercase(),
                resource.plural,
                kind.short().to_owned(),
            ]
            .contains(&name)
        })
    }
}
