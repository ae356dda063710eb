//! Invariant 5: tokens grow for ever, over every re-creation of the object.

use std::collections::BTreeSet;

use super::Rule;
use crate::history::checker::Report;
use crate::history::violation::Invariant;
use crate::history::world::{Change, PoolChange, World};

/// Judges the tokens that a write issues. Several of one write may stand in any order, but each is new.
pub(super) struct Token;

impl Rule for Token {
    fn judge(&mut self, _: &World, change: &Change, report: &mut Report<'_>) {
        let Change::Pool(change) = change else { return };
        let Some(new) = &change.new else { return };
        let mut add = |message: String| report.add(Invariant::Token, &change.place, message);
        if let Some(old) = &change.old
            && new.status.last_token < old.status.last_token
        {
            add(format!(
                "lastToken went back from {} to {}",
                old.status.last_token, new.status.last_token
            ));
        }
        for lease in &new.status.leases {
            if lease.token > new.status.last_token {
                let (token, last) = (lease.token, new.status.last_token);
                add(format!(
                    "token {token} of {} is above lastToken {last}",
                    lease.holder()
                ));
            }
        }
        new_tokens_are_greater(change, add);
    }
}

fn new_tokens_are_greater(change: &PoolChange, mut add: impl FnMut(String)) {
    let mut issued = BTreeSet::new();
    for entry in &change.fresh {
        let (token, highest) = (entry.token, change.highest_before);
        if token <= highest {
            add(format!(
                "{} was given token {token}, but {highest} was issued before",
                entry.holder()
            ));
        } else if !issued.insert(token) {
            add(format!(
                "{} was given token {token} together with another holder",
                entry.holder()
            ));
        }
    }
}
