//! Group commit: at most one status write is under way for a pool; everything that has come up
//! meanwhile goes into the next one.
//!
//! A write is computed from the last acknowledged status and is conditional on its version, so what
//! it says is true of that version or it is refused. Grants are checked again here, against the very
//! status they are added to: whatever was planned from older news falls out and is planned anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::book::Ledger;
use super::bounds::{
    CONFLICTS_BEFORE_TESTED_WRITE, LEASES_MAX, STATUS_SCHEMA, TOKEN_EVIDENCE_AHEAD_MAX,
};
use super::effect::{Effect, Guard, StatusWrite};
use super::ids::{Amount, Batch, PoolKey, Token, Uid, Units};
use super::mutant::{self, Mutant};
use super::object::{Lease, Mode, PoolStatus};
use super::pool::{Add, Fence, Flight, Leaving, Pool, Purpose};
use super::request::{Phase, Place};
use super::time::Tick;
use super::timers::Timer;

/// The longest number of a batch, and what stands before it.
const BATCH_DIGITS: usize = 21;

impl Ledger {
    /// Looks at a pool and asks for what it needs: a read, a step of its fence, a write.
    pub(super) fn tend(&mut self, key: &PoolKey) {
        let now = self.now.tick;
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        if pool.hold_until > now {
            self.timers.set(pool.hold_until, Timer::Pool(key.clone()));
            return;
        }
        if (pool.must_read || !pool.witness_wanted.is_empty()) && !pool.reading {
            pool.must_read = false;
            pool.witness_asked = std::mem::take(&mut pool.witness_wanted);
            pool.reading = true;
            pool.read_base = pool
                .seen
                .as_ref()
                .map(|seen| (seen.uid.clone(), seen.version));
            self.effects.push_back(Effect::ReadPool(key.clone()));
        }
        pool.look_again = pool.flight.is_some();
        if pool.reading || pool.flight.is_some() || pool.seen.is_none() {
            return;
        }
        self.tend_as_child(key);
        if self.pools.get(key).is_some_and(Pool::is_writable) {
            let purpose = self.step_fence(key);
            self.compose(key, purpose);
        }
        self.tend_children(key);
    }

    /// Computes the next status and writes it if anything in it is new.
    fn compose(&mut self, key: &PoolKey, purpose: Purpose) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let (Some(seen), Some(base)) = (&pool.seen, pool.status()) else {
            return;
        };
        let (uid, version, generation) = (seen.uid.clone(), seen.version, seen.generation);
        let base_batch = base.batch.clone();
        let mut next = base.clone();
        let mut draft = Draft::default();
        if mutant::is(Mutant::FirstLeaseLostAtStart) && pool.written_at == Tick(0) {
            next.leases.drain(..next.leases.len().min(1));
        }
        let capacity = pool.spec().map_or(0, |spec| spec.capacity);
        while mutant::is(Mutant::ShrinkEvicts) && next.units() > capacity {
            if next.leases.pop().is_none() {
                break;
            }
        }
        self.apply_removes(key, &mut next, &mut draft);
        self.apply_adoptions(key, purpose, &mut next, &mut draft);
        self.apply_grants(key, &mut next, &mut draft);
        self.apply_purpose(key, purpose, &mut next);
        self.apply_workers(key, &mut next);
        self.describe(key, &mut next);
        if let Some(pool) = self.pools.get_mut(key) {
            for uid in &draft.dropped {
                pool.withdraw(uid);
            }
        }
        self.dirty_requests.extend(draft.dropped);
        if purpose == Purpose::Plain && !self.is_worth_writing(key, &next) {
            if let Some(pool) = self.pools.get_mut(key) {
                pool.recount();
            }
            return;
        }
        let now = self.now.tick;
        self.batches = self.batches.saturating_add(1);
        let batch = self.name_batch();
        next.schema = STATUS_SCHEMA;
        next.epoch = self.epoch.unwrap_or_default();
        next.leader = Some(self.options.process.clone());
        next.previous_batch = base_batch.clone();
        next.batch = Some(batch.clone());
        let next = Arc::new(next);
        let Some(pool) = self.pools.get_mut(key) else {
            return;
        };
        if pool.conflict_base.take() == Some((generation, base_batch.clone())) {
            pool.idle_conflicts = pool.idle_conflicts.saturating_add(1);
        } else {
            pool.idle_conflicts = 0;
        }
        let tested = pool.idle_conflicts >= CONFLICTS_BEFORE_TESTED_WRITE;
        for added in draft.adds.keys() {
            pool.adds.remove(added);
        }
        for removed in draft.removes.keys() {
            pool.removes.remove(removed);
        }
        pool.composed = Some((batch.clone(), now));
        pool.flight = Some(Flight {
            batch: batch.clone(),
            base: version,
            status: Arc::clone(&next),
            adds: draft.adds,
            removes: draft.removes,
            purpose,
            tested,
            resends: 0,
            doubtful: false,
        });
        pool.recount();
        let guard = if tested {
            Guard::Tested {
                generation,
                batch: base_batch,
            }
        } else {
            Guard::Version(version)
        };
        self.effects
            .push_back(Effect::WriteStatus(Box::new(StatusWrite {
                pool: key.clone(),
                uid,
                guard,
                batch,
                status: next,
            })));
    }

    /// Process and number.
    fn name_batch(&self) -> Batch {
        let process = self.options.process.as_str();
        let mut name = String::with_capacity(process.len().saturating_add(BATCH_DIGITS));
        let _ = write!(name, "{process}-{}", self.batches);
        Batch::from(name)
    }

    fn apply_removes(&self, key: &PoolKey, next: &mut PoolStatus, draft: &mut Draft) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let mut drained: Units = 0;
        for (uid, leaving) in pool.removes.iter().take(pool.batch_max) {
            draft.removes.insert(uid.clone(), *leaving);
            let amount = leaving.entry.amount;
            let comes_back = pool.decay().is_some() || matches!(amount, Amount::Rate(_));
            if leaving.drains && comes_back {
                drained = drained.saturating_add(amount.units());
            }
        }
        next.level = pool.next_level(drained, self.now.tick);
        next.leases
            .retain(|lease| !draft.removes.contains_key(&lease.uid));
        next.adopted
            .retain(|lease| !draft.removes.contains_key(&lease.uid));
    }

    /// Holders that run already are written down whether they fit or not: as leases if they do.
    fn apply_adoptions(
        &self,
        key: &PoolKey,
        purpose: Purpose,
        next: &mut PoolStatus,
        draft: &mut Draft,
    ) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let capacity = pool.spec().map_or(0, |spec| spec.capacity);
        let mut floor = next.last_token;
        let mut adopted = Vec::new();
        for (uid, add) in &pool.adds {
            let Some(token) = add.adopt else { continue };
            // It was found running while a write was under way that failed, and has ended since.
            let leaving = pool.removes.get(uid);
            if leaving.is_some_and(|leaving| leaving.entry.attempt == add.attempt) {
                draft.dropped.push(uid.clone());
                continue;
            }
            let Some(mut lease) = self.lease(uid, add, token) else {
                draft.dropped.push(uid.clone());
                continue;
            };
            lease.token = self.believed(token);
            floor = floor.max(lease.token);
            if !mutant::is(Mutant::AdoptTwice) {
                next.leases.retain(|other| other.uid != *uid);
                next.adopted.retain(|other| other.uid != *uid);
            }
            adopted.push(lease);
            draft.adds.insert(uid.clone(), *add);
        }
        // All of them as leases if all fit, else all as adopted: over the capacity, leases must not grow.
        let more = adopted.iter().fold(0, |sum: Units, lease| {
            sum.saturating_add(lease.amount.units())
        });
        let fits = next.units().saturating_add(more) <= capacity;
        let list = if fits {
            &mut next.leases
        } else {
            &mut next.adopted
        };
        for lease in adopted {
            if list.len() < LEASES_MAX {
                list.push(lease);
            } else {
                draft.adds.remove(&lease.uid);
            }
        }
        if purpose == Purpose::Adopt {
            // All as leases if all fit, else all as adopted: then the rule that forbids growing
            // leases over the capacity has nothing to compare.
            // Some were adopted by an earlier write that could not raise it, being over the capacity.
            let held = next.entries().map(|lease| lease.token);
            next.last_token = held.fold(floor, Token::max);
            if next.units() > capacity {
                next.adopted.append(&mut next.leases);
            } else {
                next.leases.append(&mut next.adopted);
            }
        } else if floor > next.last_token && next.units() <= capacity {
            next.last_token = floor;
        }
    }

    fn apply_grants(&self, key: &PoolKey, next: &mut PoolStatus, draft: &mut Draft) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let deleting = pool.seen.as_ref().is_none_or(|seen| seen.deleting);
        let capacity = pool.spec().map_or(0, |spec| spec.capacity);
        let active = pool
            .spec()
            .is_some_and(|spec| spec.mode == Mode::Active && spec.family.is_none());
        let grants =
            active && pool.fence == Fence::Done && !deleting && pool.quarantine().is_none();
        let used_up = pool.units_of(next.level);
        let mut used: Units = next.units().saturating_add(used_up);
        if mutant::is(Mutant::AdoptedTakeNoRoom) {
            used = next.leases.iter().map(|lease| lease.amount.units()).sum();
        }
        let mut count = next.leases.len();
        let floor = self.token_floor(pool, next.last_token);
        let mut token = floor;
        let stays = |uid: &Uid| pool.entries.contains_key(uid) && !draft.removes.contains_key(uid);
        for (uid, add) in &pool.adds {
            if add.adopt.is_some() {
                continue;
            }
            if draft.adds.len() >= pool.batch_max {
                break;
            }
            let after = used.saturating_add(add.amount.units());
            // Planned before the spec lost its decay.
            let never_back = matches!(add.amount, Amount::Rate(_)) && pool.decay().is_none();
            let never_back = never_back && !mutant::is(Mutant::TakenWithoutDecay);
            let wanted = grants && self.still_wants(uid, add) && !stays(uid) && !never_back;
            let next_token = Token(token.0.saturating_add(1));
            let room = after <= capacity || mutant::is(Mutant::GrantBeyondCapacity);
            let fits = room && count < LEASES_MAX && next_token <= Token::MAX;
            let lease = (wanted && fits).then(|| self.lease(uid, add, next_token));
            match lease.flatten() {
                Some(lease) => {
                    used = after;
                    count = count.saturating_add(1);
                    token = next_token;
                    next.leases.push(lease);
                    draft.adds.insert(uid.clone(), *add);
                }
                None => draft.dropped.push(uid.clone()),
            }
        }
        if token > floor {
            next.last_token = token;
        }
    }

    /// The grant a lease was queued for is still under way.
    fn still_wants(&self, uid: &Uid, add: &Add) -> bool {
        self.requests.get(uid).is_some_and(|request| {
            matches!(request.place, Place::Granting(_))
                && matches!(&request.phase, Phase::Taking(plan) if plan.attempt == add.attempt)
        })
    }

    fn lease(&self, uid: &Uid, add: &Add, token: Token) -> Option<Lease> {
        let request = self.requests.get(uid)?;
        Some(Lease {
            uid: uid.clone(),
            kind: request.view.kind(),
            namespace: request.view.namespace.clone(),
            name: request.view.name.clone(),
            amount: add.amount,
            token,
            attempt: add.attempt,
            granted_at: self.now.server,
            linger: add.linger,
            extra: None,
        })
    }

    /// Tokens start above everything ever given: above the last one, above what running holders
    /// show, above the server's clock in microseconds (which makes them grow over a re-creation).
    pub(super) fn token_floor(&self, pool: &Pool, last: Token) -> Token {
        let evidence = pool
            .adds
            .values()
            .filter_map(|add| add.adopt)
            .map(|token| self.believed(token));
        if mutant::is(Mutant::TokenIgnoresClock) {
            return evidence.fold(last, Token::max);
        }
        evidence
            .fold(last.max(Token(self.now.server.0)), Token::max)
            .min(Token::MAX)
    }

    /// A token somebody shows us, unless it is too far ahead of the server's clock to be ours.
    pub(super) fn believed(&self, token: Token) -> Token {
        let horizon = self.now.server.after(TOKEN_EVIDENCE_AHEAD_MAX);
        if token.0 <= horizon.0 {
            token
        } else {
            Token(0)
        }
    }

    fn apply_purpose(&self, key: &PoolKey, purpose: Purpose, next: &mut PoolStatus) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        match purpose {
            Purpose::Plain if pool.open_wanted && pool.mode() == Some(Mode::Disabled) => {
                next.open = true;
                next.fenced = false;
            }
            // Whoever leads when it is no longer set aside finds that it has to be fenced.
            Purpose::Plain if pool.set_aside().is_some() => next.fenced = false,
            Purpose::Plain => {}
            Purpose::Floor => {
                next.fenced = false;
                // Leases are there when it was Disabled for a while: their tokens are below the last one, and who
                // holds more than the slots may not raise it.
                if next.leases.is_empty() || mutant::is(Mutant::FloorOverCapacity) {
                    let floor = self.token_floor(pool, next.last_token);
                    next.last_token = floor.max(next.last_token);
                }
            }
            Purpose::Adopt => {
                next.fenced = true;
                next.open = false;
            }
        }
    }
}

/// What goes into a write, and what falls out of it.
#[derive(Default)]
struct Draft {
    adds: BTreeMap<Uid, Add>,
    removes: BTreeMap<Uid, Leaving>,
    /// To be looked at again: they were queued and cannot be written.
    dropped: Vec<Uid>,
}
