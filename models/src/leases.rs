//! Small sets that make a state cheap to copy, to compare and to hash: leases of one pool, and
//! numbered things. Data only; nothing is decided here.

use std::fmt;

/// Number of a pool in a model.
pub(crate) type Pool = usize;
/// Number of a request in a model.
pub(crate) type Request = usize;
/// An attempt, as in `sluice.dev/attempt`.
pub(crate) type Attempt = u8;

/// Attempts that a model can tell apart: 0 to 3.
pub(crate) const ATTEMPTS: usize = 4;

/// One entry of a status: whose it is, and for which attempt it was written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    /// The request, by uid as it were.
    pub(crate) request: Request,
    /// The attempt that it was decided for.
    pub(crate) attempt: Attempt,
}

impl Lease {
    fn bit(self) -> u16 {
        1 << (self.request * ATTEMPTS + usize::from(self.attempt))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}@{}", self.request, self.attempt)
    }
}

/// The leases of one pool's status, at most four requests with four attempts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Leases(u16);

impl Leases {
    /// All leases, by request and attempt.
    pub(crate) fn iter(self) -> impl Iterator<Item = Lease> {
        (0..4)
            .flat_map(|request| (0..ATTEMPTS as Attempt).map(move |attempt| (request, attempt)))
            .map(|(request, attempt)| Lease { request, attempt })
            .filter(move |lease| self.has(*lease))
    }

    /// This very entry is there.
    pub(crate) fn has(self, lease: Lease) -> bool {
        self.0 & lease.bit() != 0
    }

    /// The request has an entry, of whatever attempt.
    pub(crate) fn has_any_of(self, request: Request) -> bool {
        self.0 >> (request * ATTEMPTS) & 0b1111 != 0
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, lease: Lease) {
        self.0 |= lease.bit();
    }

    /// Removes this very entry.
    pub(crate) fn remove(&mut self, lease: Lease) {
        self.0 &= !lease.bit();
    }

    /// Removes whatever the request has.
    pub(crate) fn remove_all_of(&mut self, request: Request) {
        self.0 &= !(0b1111 << (request * ATTEMPTS));
    }

    /// How many slots are taken: one by each entry.
    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// No request has two entries.
    pub(crate) fn one_for_each(self) -> bool {
        (0..4).all(|request| (self.0 >> (request * ATTEMPTS) & 0b1111).count_ones() <= 1)
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A set of numbers below eight: the pools that a request names, the requests that wait for a bump.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Set(u8);

impl Set {
    /// The set of these.
    pub(crate) fn of(members: &[usize]) -> Set {
        members.iter().copied().collect()
    }

    /// It is in.
    pub(crate) fn has(self, member: usize) -> bool {
        self.0 >> member & 1 == 1
    }

    /// With one more.
    pub(crate) fn with(self, member: usize) -> Set {
        Set(self.0 | 1 << member)
    }

    /// In if it was out, out if it was in.
    pub(crate) fn toggled(self, member: usize) -> Set {
        Set(self.0 ^ 1 << member)
    }

    /// How many.
    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Nothing is in.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All members, lowest first.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |member| self.has(*member))
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(members: I) -> Set {
        members.into_iter().fold(Set::default(), Set::with)
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
