//! The words of the ledger as types: who, which, how much, in which order.
//!
//! Nothing here decides anything. Each newtype exists because mixing it up with its neighbour would
//! be a bug that compiles: a uid is not a name, a token is not an attempt, units are not slots.
//! Tested by the unit tests below and by everything that uses them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq)]
        pub struct $name(Arc<str>);

        // Most comparisons are of a text with itself: one place in memory is one text.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) {
                    return Ordering::Equal;
                }
                self.0.cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl $name {
            /// The text as it is on the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", &self.0)
            }
        }
    };
}

text! {
    /// Identity of an object for its whole life; names are used again, uids are not.
    Uid
}
text! {
    /// A name or a namespace of an object, a worker, a label's key or value: text that means
    /// nothing to the ledger beyond being equal or not.
    Name
}
text! {
    /// Id of one status write: the id of the controller process plus a counter.
    Batch
}

/// Version of an object as the API server counts it. Comparable within one kind (KEP-5504).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u128);

/// What a pool is: the rules are the same for both, but for how much a lease takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PoolKind {
    /// A `ConcurrencyLimit`: so many slots.
    Limit,
    /// A `Lock`: one exclusive holder or many shared ones.
    Lock,
}

/// Which pool, by place: the one object that serves a key. The object there may come and go.
///
/// Shared, for keys are copied and compared more often than anything else.
#[derive(Clone, Eq)]
pub struct PoolKey(Arc<PoolPlace>);

/// The place of a pool, as [`PoolKey`] shares it.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolPlace {
    /// Limit or lock.
    pub kind: PoolKind,
    /// Namespace of the object.
    pub namespace: Name,
    /// Name of the object (segments of the key joined by `--`).
    pub name: Name,
}

impl Deref for PoolKey {
    type Target = PoolPlace;

    fn deref(&self) -> &PoolPlace {
        &self.0
    }
}

impl PartialEq for PoolKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Ord for PoolKey {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for PoolKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for PoolKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// What separates the segments of a key in an object's name.
pub const SEGMENT_SEPARATOR: &str = "--";

impl PoolKey {
    /// The key of this place.
    pub fn new(kind: PoolKind, namespace: Name, name: Name) -> Self {
        Self(Arc::new(PoolPlace {
            kind,
            namespace,
            name,
        }))
    }

    /// The derived limit of this family for one worker.
    pub fn child(&self, worker: &Name) -> Self {
        let name = format!("{}{SEGMENT_SEPARATOR}{worker}", self.name);
        Self::new(self.kind, self.namespace.clone(), name.into())
    }

    /// The family this could be a derived limit of, with its worker.
    pub fn parent(&self) -> Option<(Self, Name)> {
        let name = self.name.as_str();
        // Most names have no separator, and a search for bytes says so sooner than one for a text.
        let separator = SEGMENT_SEPARATOR.as_bytes();
        let mut pairs = name.as_bytes().windows(separator.len());
        let at = pairs.rposition(|pair| pair == separator)?;
        let (parent, worker) = (
            name.get(..at)?,
            name.get(at.saturating_add(separator.len())..)?,
        );
        let key = Self::new(self.kind, self.namespace.clone(), parent.into());
        Some((key, worker.into()))
    }

    /// The key as people write it: segments joined by `:`.
    pub fn text(&self) -> String {
        self.name.as_str().replace(SEGMENT_SEPARATOR, ":")
    }
}

impl fmt::Display for PoolKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            PoolKind::Limit => "limit",
            PoolKind::Lock => "lock",
        };
        write!(formatter, "{kind} {}/{}", self.namespace, self.text())
    }
}

impl fmt::Debug for PoolKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// What a holder is: which kind of object carries the request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HolderKind {
    /// A pod, behind its scheduling gate.
    Pod,
    /// A `SlotClaim`, renewed by a process.
    Claim,
}

impl HolderKind {
    /// Its word in sentences.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Claim => "claim",
        }
    }
}

/// How much of a pool one request takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Amount {
    /// So many slots of a limit, 1..=1,000,000.
    Slots(u32),
    /// So many slots of a limit with decay, taken once and never held: they come back with time.
    Rate(u32),
    /// A lock, together with other shared holders.
    Shared,
    /// A lock, alone.
    Exclusive,
}

/// Room in a pool, in the pool's own units: slots for a limit; for a lock a shared holder takes one
/// unit and an exclusive one all of [`LOCK_UNITS`], so that one rule of room serves both.
pub type Units = u64;

/// Units of a lock. Larger than any number of shared holders that fit in a status.
pub const LOCK_UNITS: Units = 1_000_000;

impl Amount {
    /// The room this takes.
    pub const fn units(self) -> Units {
        match self {
            Self::Slots(slots) | Self::Rate(slots) => slots as Units,
            Self::Shared => 1,
            Self::Exclusive => LOCK_UNITS,
        }
    }

    /// Several mentions of one pool in a request: slots add up, of two lock modes the stronger
    /// holds. `None` when the sum cannot be represented.
    pub fn merge(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Slots(left), Self::Slots(right)) => left.checked_add(right).map(Self::Slots),
            (Self::Rate(left), Self::Rate(right)) => left.checked_add(right).map(Self::Rate),
            // What is held and what comes back with time cannot be one lease.
            (Self::Slots(_), Self::Rate(_)) | (Self::Rate(_), Self::Slots(_)) => None,
            (Self::Exclusive, _) | (_, Self::Exclusive) => Some(Self::Exclusive),
            (Self::Shared, _) | (_, Self::Shared) => Some(Self::Shared),
        }
    }
}

/// Fencing token of a lease: grows strictly for each pool, for ever. 0: the holder was never told one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Token(pub u64);

impl Token {
    /// Greatest token the API accepts: every JSON reader keeps integers up to here exactly.
    pub const MAX: Self = Self(1 << 52);
}

/// Number of a term of leadership; grows with every change of leader. 0: no leader has written yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Greatest epoch the API accepts.
    pub const MAX: Self = Self(1 << 52);
}

/// Number of tries of a request; raising it makes all older leases and reveals of it void.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Attempt {
    /// 0, 1, 2, …; an absent annotation is 0.
    Number(u32),
    /// Last of all: the request gave up waiting and is never granted.
    TimedOut,
}

impl Attempt {
    /// The next attempt; `None` after the last.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Number(number) => number.checked_add(1).map(Self::Number),
            Self::TimedOut => None,
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::TimedOut => formatter.write_str("timed-out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_knows_its_parent() {
        let family = PoolKey::new(PoolKind::Limit, "ns".into(), "gpu".into());
        let child = family.child(&"worker-1".into());
        assert_eq!(child.name.as_str(), "gpu--worker-1");
        assert_eq!(child.text(), "gpu:worker-1");
        assert_eq!(child.parent(), Some((family, "worker-1".into())));
    }

    #[test]
    fn amounts_merge_by_adding_or_by_the_stronger_mode() {
        assert_eq!(
            Amount::Slots(2).merge(Amount::Slots(3)),
            Some(Amount::Slots(5))
        );
        assert_eq!(Amount::Slots(u32::MAX).merge(Amount::Slots(1)), None);
        assert_eq!(
            Amount::Shared.merge(Amount::Exclusive),
            Some(Amount::Exclusive)
        );
    }

    #[test]
    fn timed_out_is_the_last_attempt() {
        assert!(Attempt::Number(u32::MAX) < Attempt::TimedOut);
        assert_eq!(Attempt::TimedOut.next(), None);
    }
}
