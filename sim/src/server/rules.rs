//! The CRDs' validation rules, written a second time: what the API server refuses on every write of a limit or lock.
//!
//! The text of the rules is `src/api/rules.rs`; that both say the same is what the contract tests are for.

use sluice::ledger::{Lease, PoolObject, PoolStatus, Token, Uid};

/// Which rules the modelled server enforces. Rules hide wrong writes from everything that looks at states only, so many
/// simulations run without them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rules {
    /// All of them.
    All,
    /// All but those about epochs.
    WithoutEpoch,
    /// None.
    None,
}

/// A rule of the CRDs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Leases and adopted above the slots.
    Sum,
    /// `lastToken` goes back, is above the greatest, or below a lease's token.
    Token,
    /// A uid twice.
    Distinct,
    /// A batch that does not follow the one before.
    BatchChain,
    /// The epoch goes back, or one epoch has two leaders.
    Epoch,
}

impl Rule {
    /// No correct controller ever writes what this rule refuses: to be refused by it is a violation in itself. The others
    /// are there to stop writes that were right when they were computed.
    pub fn is_about_bugs(self) -> bool {
        matches!(self, Self::Sum | Self::Token | Self::Distinct)
    }
}

/// The first rule that a status breaks.
pub fn broken(
    rules: Rules,
    object: &PoolObject,
    old: &PoolStatus,
    new: &PoolStatus,
) -> Option<Rule> {
    if rules == Rules::None {
        return None;
    }
    // Before the others: a write that was computed from another past may well break them too.
    if new.batch != old.batch && old.batch.is_some() && new.previous_batch != old.batch {
        return Some(Rule::BatchChain);
    }
    let capacity = object
        .spec
        .read()
        .map_or(0, |spec| u128::from(spec.capacity));
    let fits = sum(&new.leases).saturating_add(sum(&new.adopted)) <= capacity;
    let grants_nothing = new.last_token == old.last_token && sum(&new.leases) <= sum(&old.leases);
    if !fits && !new.leases.is_empty() && !grants_nothing {
        return Some(Rule::Sum);
    }
    let too_great = new.last_token > Token::MAX;
    let above = new.leases.iter().any(|lease| lease.token > new.last_token);
    if new.last_token < old.last_token || too_great || above {
        return Some(Rule::Token);
    }
    let mut uids: Vec<&Uid> = new.entries().map(|lease| &lease.uid).collect();
    uids.sort();
    if uids.windows(2).any(|pair| pair.first() == pair.last()) {
        return Some(Rule::Distinct);
    }
    let two_leaders = new.epoch == old.epoch && old.leader.is_some() && new.leader != old.leader;
    if rules == Rules::All && (new.epoch < old.epoch || two_leaders) {
        return Some(Rule::Epoch);
    }
    None
}

/// Units of these leases.
pub fn sum(leases: &[Lease]) -> u128 {
    leases.iter().fold(0, |sum: u128, lease| {
        sum.saturating_add(u128::from(lease.amount.units()))
    })
}
