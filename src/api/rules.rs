//! The rules that the API server itself enforces, in CEL, each with the sentence it stands for.
//!
//! They sit at the root of the CRDs, so that they see name, spec and status together, and run on every write
//! of the object and of its status. With them no bug of ours, no second controller and no hand can make an
//! over-commit durable: the write is refused with the rule's message. Every field of the status that they
//! read has a default in the schema, so it is there whenever the status is; `oldSelf` makes a rule skip
//! creation, where the server drops the status anyway.
//!
//! They must stay within the server's cost budget, which counts with the bounds of the schema
//! (`maxItems`, `maxLength`), not with real sizes: `tests/it/crds.rs` installs them on the newest and the
//! oldest supported version and has an accept and a refuse case for each.

use kube::core::Rule;

/// A rule of a CRD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaRule {
    /// Short name, for tests and the reference.
    pub name: &'static str,
    /// What it demands, as the server says it to whoever breaks it.
    pub message: &'static str,
    /// The rule itself.
    pub cel: &'static str,
}

/// Every rule; which kind has which is said where the kind is defined.
pub const ALL: [&SchemaRule; 18] = [
    &NAME_IS_KEY,
    &NAME_IS_LOCK_KEY,
    &SELECTOR_GIVEN,
    &NO_OVERCOMMIT,
    &NO_TWO_EXCLUSIVE,
    &TOKEN_NEVER_BACK,
    &TOKENS_WITHIN_LAST,
    &ONE_LEASE_EACH,
    &BATCH_CHAIN,
    &EPOCH_NEVER_BACK,
    &ONE_LEADER,
    &CLAIM_STAYS,
    &CLAIM_ASKS,
    &CLAIM_RATE_HAS_NO_LOCKS,
    &CLAIM_RENEWS_FORWARD,
    &CLAIM_RELEASED_FOR_GOOD,
    &CLAIM_FINAL,
    &CLAIM_ATTEMPT_NEVER_BACK,
];

impl From<&SchemaRule> for Rule {
    fn from(rule: &SchemaRule) -> Self {
        Self::new(rule.cel).message(rule.message)
    }
}

/// Limits: the name of a limit is a key, or no pod could ever name it.
pub const NAME_IS_KEY: SchemaRule = SchemaRule {
    name: "name-is-key",
    message: "the name must be a key: segments of a-z and 0-9 with single '-' or '.' between them, joined by '--'",
    cel: "self.metadata.name.matches('^[a-z0-9]+([-.][a-z0-9]+)*(--[a-z0-9]+([-.][a-z0-9]+)*)*$')",
};

/// Locks: the same, and the last segment is not one of the modes.
pub const NAME_IS_LOCK_KEY: SchemaRule = SchemaRule {
    name: "name-is-lock-key",
    message: "the name must be a key: segments of a-z and 0-9 with single '-' or '.' between them, joined by '--'; \
              the last one may not be shared or exclusive",
    cel: "self.metadata.name.matches('^[a-z0-9]+([-.][a-z0-9]+)*(--[a-z0-9]+([-.][a-z0-9]+)*)*$') \
          && !self.metadata.name.matches('(^|--)(shared|exclusive)$')",
};

/// Limits: what is held fits, or nothing was granted: no lease is left, or no token was given out and the
/// leases did not grow. So adopting holders that do not fit is always possible, and so is shrinking.
pub const NO_OVERCOMMIT: SchemaRule = SchemaRule {
    name: "no-overcommit",
    message: "leases and adopted holders may not exceed spec.slots; while they do, nothing can be granted",
    cel: "!has(self.status) || self.status.leases.size() == 0 \
          || self.status.leases.map(l, l.slots).sum() + self.status.adopted.map(l, l.slots).sum() <= self.spec.slots \
          || (has(oldSelf.status) && self.status.lastToken == oldSelf.status.lastToken \
          && self.status.leases.map(l, l.slots).sum() <= oldSelf.status.leases.map(l, l.slots).sum())",
};

/// Locks: an exclusive holder is alone, or nothing was granted, as with limits.
pub const NO_TWO_EXCLUSIVE: SchemaRule = SchemaRule {
    name: "no-two-exclusive",
    message: "an exclusive holder must be the only one, adopted ones counted; while it is not, nothing can be granted",
    cel: "!has(self.status) || self.status.leases.size() == 0 \
          || self.status.leases.size() + self.status.adopted.size() == 1 \
          || (self.status.leases.all(l, l.mode == 'Shared') && self.status.adopted.all(l, l.mode == 'Shared')) \
          || (has(oldSelf.status) && self.status.lastToken == oldSelf.status.lastToken \
          && self.status.leases.size() <= oldSelf.status.leases.size() \
          && self.status.leases.filter(l, l.mode == 'Exclusive').size() \
          <= oldSelf.status.leases.filter(l, l.mode == 'Exclusive').size())",
};

/// Both: tokens grow for ever, and nobody wipes a status.
pub const TOKEN_NEVER_BACK: SchemaRule = SchemaRule {
    name: "token-never-back",
    message: "status.lastToken may not go back, nor the status be removed",
    cel: "!has(oldSelf.status) || (has(self.status) && self.status.lastToken >= oldSelf.status.lastToken)",
};

/// Both: no lease has a token that was never given out.
pub const TOKENS_WITHIN_LAST: SchemaRule = SchemaRule {
    name: "tokens-within-last",
    message: "a lease's token may not be above status.lastToken",
    cel: "!has(self.status) || self.status.leases.all(l, l.token <= self.status.lastToken)",
};

/// Both: a holder is there once, be it as lease or as adopted. Written with a map, which cannot hold a key twice,
/// because its cost is linear: `distinct()` passes the estimate at installation, and is then cancelled at run time
/// from some 700 holders on.
pub const ONE_LEASE_EACH: SchemaRule = SchemaRule {
    name: "one-lease-each",
    message: "a holder's uid may stand only once in leases and adopted",
    cel: "!has(self.status) \
          || (self.status.leases.map(l, l.uid) + self.status.adopted.map(l, l.uid)) \
          .transformMapEntry(i, uid, {uid: i}).size() \
          == self.status.leases.size() + self.status.adopted.size()",
};

/// Both: a write follows the one it was computed from, also where a restored store counts its versions anew.
pub const BATCH_CHAIN: SchemaRule = SchemaRule {
    name: "batch-chain",
    message: "a new status.batch must name the one before it in status.previousBatch",
    cel: "!has(oldSelf.status) || oldSelf.status.batch == '' \
          || (has(self.status) && (self.status.batch == oldSelf.status.batch \
          || self.status.previousBatch == oldSelf.status.batch))",
};

/// Both: whoever was deposed cannot write over its successor.
pub const EPOCH_NEVER_BACK: SchemaRule = SchemaRule {
    name: "epoch-never-back",
    message: "status.epoch may not go back",
    cel: "!has(oldSelf.status) || !has(self.status) || self.status.epoch >= oldSelf.status.epoch",
};

/// Both: two processes that took the same epoch (a Lease that was deleted, or restored) do not both write.
pub const ONE_LEADER: SchemaRule = SchemaRule {
    name: "one-leader",
    message: "status.leader may change only with a higher status.epoch",
    cel: "!has(oldSelf.status) || !has(self.status) || self.status.epoch != oldSelf.status.epoch \
          || self.status.leader == oldSelf.status.leader",
};

/// Both: a selector that is chosen is given.
pub const SELECTOR_GIVEN: SchemaRule = SchemaRule {
    name: "selector-given",
    message: "spec.allowedNamespaces.from: Selector needs a selector",
    cel: "self.spec.allowedNamespaces.from != 'Selector' || has(self.spec.allowedNamespaces.selector)",
};

/// Claims (an optional of a list or an object has no bound that the server's estimate knows: these are compared plainly):
/// what was asked for stays as it was, so that no grant is decided from what has changed meanwhile.
pub const CLAIM_STAYS: SchemaRule = SchemaRule {
    name: "claim-stays",
    message: "only spec.session, spec.renew and spec.release of a claim may change; create another claim instead",
    cel: "self.spec.slots == oldSelf.spec.slots && self.spec.locks == oldSelf.spec.locks \
          && self.spec.kind == oldSelf.spec.kind && self.spec.ifMissing == oldSelf.spec.ifMissing \
          && self.spec.holder == oldSelf.spec.holder && self.spec.user == oldSelf.spec.user \
          && self.spec.?priority == oldSelf.spec.?priority \
          && has(self.spec.podRef) == has(oldSelf.spec.podRef) \
          && (!has(self.spec.podRef) || self.spec.podRef == oldSelf.spec.podRef) \
          && self.spec.?timeoutSeconds == oldSelf.spec.?timeoutSeconds \
          && self.spec.?leaseDurationSeconds == oldSelf.spec.?leaseDurationSeconds \
          && self.spec.?maxHoldSeconds == oldSelf.spec.?maxHoldSeconds",
};

/// Claims: one that asks for nothing is a mistake.
pub const CLAIM_ASKS: SchemaRule = SchemaRule {
    name: "claim-asks",
    message: "a claim names at least one limit in spec.slots or one lock in spec.locks",
    cel: "self.spec.slots.size() + self.spec.locks.size() > 0",
};

/// Claims: a lock does not come back with time.
pub const CLAIM_RATE_HAS_NO_LOCKS: SchemaRule = SchemaRule {
    name: "claim-rate-has-no-locks",
    message: "a claim of kind RateLimit names limits only",
    cel: "self.spec.kind != 'RateLimit' || self.spec.locks.size() == 0",
};

/// Claims: renewals go forward, in steps that no forged one can use up, and not after the end. Another session is
/// another holder: it brings a renewal of its own, and comes only where nobody has released.
pub const CLAIM_RENEWS_FORWARD: SchemaRule = SchemaRule {
    name: "claim-renews-forward",
    message: "spec.renew.seq may rise by 1 to 1000, or stay with all of spec.renew; spec.session changes only together \
              with it and not with a release; neither changes once the claim is released or in a final phase",
    cel: "(self.spec.renew == oldSelf.spec.renew && self.spec.session == oldSelf.spec.session) \
          || (self.spec.renew.seq > oldSelf.spec.renew.seq && self.spec.renew.seq <= oldSelf.spec.renew.seq + 1000 \
          && !oldSelf.spec.release && (!self.spec.release || self.spec.session == oldSelf.spec.session) \
          && (!has(oldSelf.status) || oldSelf.status.phase in ['Pending', 'Granted']))",
};

/// Claims: a release is never taken back.
pub const CLAIM_RELEASED_FOR_GOOD: SchemaRule = SchemaRule {
    name: "claim-released-for-good",
    message: "spec.release may not be taken back",
    cel: "!oldSelf.spec.release || self.spec.release",
};

/// Claims: what is final stays so, and a grant stays what it was.
pub const CLAIM_FINAL: SchemaRule = SchemaRule {
    name: "claim-final",
    message: "a claim in phase Denied, TimedOut, Revoked or Released does not change any more; a \
              Granted one ends only as Revoked or Released and keeps its grants",
    cel: "!has(oldSelf.status) || (has(self.status) && (self.status == oldSelf.status \
          || oldSelf.status.phase == 'Pending' \
          || (oldSelf.status.phase == 'Granted' && self.status.phase in ['Revoked', 'Released'] \
          && self.status.grants == oldSelf.status.grants \
          && self.status.?leaseDurationSeconds == oldSelf.status.?leaseDurationSeconds \
          && self.status.?lockDelaySeconds == oldSelf.status.?lockDelaySeconds)))",
};

/// Claims: an aborted attempt stays so.
pub const CLAIM_ATTEMPT_NEVER_BACK: SchemaRule = SchemaRule {
    name: "claim-attempt-never-back",
    message: "status.attempt may not go back, nor the status be removed",
    cel: "!has(oldSelf.status) || (has(self.status) && self.status.attempt >= oldSelf.status.attempt)",
};
