//! What the checker reads of one version of a limit or lock.

use std::collections::BTreeSet;

use serde_json::Value;

use super::request::{Amount, Entry};
use super::version::Kind;

const RELEASE: &str = "sluice.dev/release";
const WORKER_LABEL: &str = "sluice.dev/worker";
/// `maxWorkers` where it is not given.
const WORKERS_MAX: usize = 100;

/// One version of a limit or lock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool {
    pub(super) kind: Kind,
    pub(super) uid: String,
    /// Capacity; what a lock has is decided by modes alone.
    pub(super) slots: i64,
    pub(super) mode: Mode,
    /// Set for a family: the pod label that names the worker.
    pub(super) family_label: Option<String>,
    /// Most workers of a family.
    pub(super) workers_max: usize,
    /// uids of its owners.
    pub(super) owners: BTreeSet<String>,
    pub(super) allows: Allows,
    /// Slots are freed with proof only.
    pub(super) confirmed: bool,
    /// Holders that an operator released by annotation.
    pub(super) released: BTreeSet<String>,
    /// Slots come back with time.
    pub(super) decay: Option<Decay>,
    pub(super) status: Status,
}

/// So many slots come back in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decay {
    pub(super) slots: i64,
    pub(super) seconds: i64,
}

/// What was used and has not come back, in parts of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) units: i64,
    pub(super) units_per_slot: i64,
}

impl Level {
    /// Nothing.
    pub(super) const EMPTY: Self = Self {
        units: 0,
        units_per_slot: 1,
    };
}

/// Whether it grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Active,
    Paused,
    Disabled,
}

/// Which namespaces it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allows {
    Same,
    All,
    /// By labels of namespaces, which a history does not hold.
    Selected,
}

/// What controllers wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Status {
    pub(super) last_token: i64,
    /// Number of the leader's term.
    pub(super) epoch: i64,
    /// Who led in it.
    pub(super) leader: Option<String>,
    pub(super) batch: Option<String>,
    pub(super) previous_batch: Option<String>,
    pub(super) fenced: bool,
    pub(super) open: bool,
    pub(super) leases: Vec<Entry>,
    pub(super) adopted: Vec<Entry>,
    pub(super) level: Option<Level>,
    /// Entries that could not be read.
    pub(super) unreadable: usize,
}

impl Pool {
    pub(super) fn read(kind: Kind, object: &Value) -> Self {
        let at = |pointer: &str| object.pointer(pointer);
        let text = |pointer: &str| at(pointer).and_then(Value::as_str);
        let family = at("/spec/perWorker").filter(|family| family.is_object());
        let released = at("/metadata/annotations")
            .and_then(|annotations| annotations.get(RELEASE))
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self {
            kind,
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            slots: at("/spec/slots").and_then(Value::as_i64).unwrap_or(0),
            mode: match text("/spec/mode") {
                Some("Paused") => Mode::Paused,
                Some("Disabled") => Mode::Disabled,
                _ => Mode::Active,
            },
            family_label: family.map(|family| {
                let label = family.get("podLabel").and_then(Value::as_str);
                label.unwrap_or(WORKER_LABEL).to_owned()
            }),
            workers_max: family
                .and_then(|family| family.get("maxWorkers")?.as_u64())
                .map_or(WORKERS_MAX, |most| {
                    usize::try_from(most).unwrap_or(usize::MAX)
                }),
            owners: at("/metadata/ownerReferences")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|owner| Some(owner.get("uid")?.as_str()?.to_owned()))
                .collect(),
            allows: match text("/spec/allowedNamespaces/from") {
                Some("All") => Allows::All,
                Some("Selector") => Allows::Selected,
                _ => Allows::Same,
            },
            confirmed: text("/spec/releasePolicy") == Some("Confirmed"),
            released: released
                .split(',')
                .map(|uid| uid.trim().to_owned())
                .filter(|uid| !uid.is_empty())
                .collect(),
            decay: at("/spec/decay").filter(|it| it.is_object()).map(|decay| {
                let number = |field: &str| decay.get(field).and_then(Value::as_i64);
                Decay {
                    slots: number("slots").unwrap_or(1),
                    seconds: number("perSeconds").unwrap_or(1),
                }
            }),
            status: Status::read(at("/status")),
        }
    }

    /// Never blocks, and its status says that reveals without a lease are about.
    pub(super) fn is_open(&self) -> bool {
        self.mode == Mode::Disabled && self.status.open
    }
}

impl Status {
    fn read(status: Option<&Value>) -> Self {
        let Some(status) = status else {
            return Self::default();
        };
        let text = |field: &str| {
            let text = status.get(field).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(ToOwned::to_owned)
        };
        let flag = |field: &str| status.get(field).and_then(Value::as_bool).unwrap_or(false);
        let list = |field: &str| {
            status
                .get(field)
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice)
        };
        let read = |field: &str| {
            list(field)
                .iter()
                .filter_map(Entry::read)
                .collect::<Vec<_>>()
        };
        let (leases, adopted) = (read("leases"), read("adopted"));
        Self {
            last_token: status.get("lastToken").and_then(Value::as_i64).unwrap_or(0),
            epoch: status.get("epoch").and_then(Value::as_i64).unwrap_or(0),
            leader: text("leader"),
            batch: text("batch"),
            previous_batch: text("previousBatch"),
            fenced: flag("fenced"),
            open: flag("open"),
            unreadable: (list("leases").len() + list("adopted").len())
                .saturating_sub(leases.len() + adopted.len()),
            leases,
            adopted,
            level: status
                .get("level")
                .filter(|it| it.is_object())
                .map(|level| {
                    let number = |field: &str| level.get(field).and_then(Value::as_i64);
                    Level {
                        units: number("units").unwrap_or(0),
                        units_per_slot: number("unitsPerSlot").unwrap_or(1),
                    }
                }),
        }
    }

    /// Leases and adopted holders.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.leases.iter().chain(&self.adopted)
    }

    pub(super) fn entry(&self, uid: &str) -> Option<&Entry> {
        self.entries().find(|entry| entry.uid == uid)
    }

    /// Slots of leases and adopted holders together (of a lock: how many there are).
    pub(super) fn held(&self) -> i64 {
        slots(self.entries())
    }

    /// Slots of leases alone.
    pub(super) fn leased(&self) -> i64 {
        slots(self.leases.iter())
    }

    /// Whether two holders of a lock exclude each other.
    pub(super) fn excludes_itself(&self) -> bool {
        self.entries().count() > 1
            && self
                .entries()
                .any(|entry| entry.amount == Amount::Exclusive)
    }
}

fn slots<'a>(entries: impl Iterator<Item = &'a Entry>) -> i64 {
    entries.fold(0_i64, |sum, entry| sum.saturating_add(entry.amount.slots()))
}
