//! Rules about limits with decay: nobody takes more in a time than may, and what was used comes back once.
//!
//! Each such limit has a bucket here, by true time: what was used falls into it when its entry leaves the status, and it
//! drains as fast as the fastest clock of a controller can make it (docs/design.md 5.6). The bucket never holds more than
//! a correct controller counts, so a grant for which it has no room is one too many. The level of a status, for its part,
//! rises by what leaves the entries of that very write, and by nothing else.

use sluice::ledger::{
    Amount, Decay, GrantedLease, Lease, Level, PoolKey, PoolObject, PoolStatus, Uid,
};

use super::{Checker, Violation, record_of};
use crate::world::Counts;

/// A slot in the smallest parts that are counted here.
const SLOT: u128 = 1_000_000;
/// Of a duration by true time a controller's clock shows at most so much, with room for whole milliseconds.
const CLOCK_PERCENT: u128 = 106;

/// What was used of one incarnation of a limit and has not come back, at least.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    of: Uid,
    parts: u128,
    at: u64,
    /// The fastest decay since a controller wrote last: until then it may count by an older one.
    fastest: Option<Decay>,
    /// When a controller wrote last.
    written: u64,
}

/// What comes back in a time of microseconds, at most.
fn back(decay: Option<Decay>, micros: u64) -> u128 {
    let Some(decay) = decay else { return 0 };
    let shown = u128::from(micros).saturating_mul(CLOCK_PERCENT) / 100;
    let slots = u128::from(decay.slots).saturating_mul(SLOT);
    let period = u128::from(decay.period.0.max(1)).saturating_mul(1_000);
    // A clock shows whole milliseconds, the next one perhaps a moment early.
    slots
        .saturating_mul(shown.saturating_add(2_000))
        .div_ceil(period)
}

/// The one that gives back more in the same time.
fn faster(one: Option<Decay>, other: Option<Decay>) -> Option<Decay> {
    let (Some(first), Some(second)) = (one, other) else {
        return one.or(other);
    };
    let left = u64::from(first.slots).saturating_mul(second.period.0);
    let right = u64::from(second.slots).saturating_mul(first.period.0);
    Some(if left >= right { first } else { second })
}

/// It is taken for a rate, and never held.
pub(super) fn is_take(amount: Amount) -> bool {
    matches!(amount, Amount::Rate(_))
}

impl Bucket {
    fn drain(&mut self, at: u64) {
        let gone = back(self.fastest, at.saturating_sub(self.at));
        self.parts = self.parts.saturating_sub(gone);
        self.at = at;
    }

    /// What was computed at the earliest at this moment says that so much more was used.
    fn pour(&mut self, units: u64, since: u64) {
        let more = u128::from(units).saturating_mul(SLOT);
        let gone = match self.parts {
            0 => back(self.fastest, self.at.saturating_sub(since)),
            _ => 0,
        };
        self.parts = self.parts.saturating_add(more.saturating_sub(gone));
    }

    fn slots(&self) -> u128 {
        self.parts.div_ceil(SLOT)
    }
}

impl Checker {
    /// A limit comes, changes, or goes: its bucket is one of this incarnation, and drains as its spec says.
    pub(super) fn note_decay(&mut self, key: &PoolKey, pool: Option<&PoolObject>, at: u64) {
        let Some(pool) = pool else {
            self.buckets.remove(key);
            return;
        };
        let decay = pool.spec.read().and_then(|spec| spec.decay);
        let fresh = || Bucket {
            of: pool.uid.clone(),
            parts: 0,
            at,
            fastest: decay,
            written: at,
        };
        let bucket = self.buckets.entry(key.clone()).or_insert_with(fresh);
        if bucket.of != pool.uid {
            *bucket = fresh();
        }
        bucket.drain(at);
        bucket.fastest = faster(bucket.fastest, decay);
    }

    /// Judges what a controller wrote into the status of a limit.
    pub(super) fn rates(
        &mut self,
        now: &PoolObject,
        (old, new): (&PoolStatus, &PoolStatus),
        at: u64,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let key = &now.key;
        let decay = now.spec.read().and_then(|spec| spec.decay);
        let comes_back = |lease: &&Lease| decay.is_some() || is_take(lease.amount);
        let went = old
            .entries()
            .filter(|it| !new.entries().any(|other| other.uid == it.uid))
            .filter(comes_back);
        let went: Vec<&Lease> = went.collect();
        self.level_rises_by_what_went(now, (old, new), &went)?;
        let told: Vec<(&Lease, u64)> = went
            .iter()
            .filter_map(|lease| Some((*lease, self.told_at(lease)?)))
            .collect();
        let units = told
            .iter()
            .fold(0_u64, |sum, (it, _)| sum.saturating_add(it.amount.units()));
        let told_last = told.iter().map(|(_, at)| *at).max();
        let come = |lease: &&Lease| !old.entries().any(|it| it.uid == lease.uid);
        for lease in new.entries().filter(come) {
            self.take_is_in_order(key, lease, decay, counts)?;
        }
        let grants = new
            .entries()
            .filter(come)
            .any(|lease| !self.revealed.contains(&lease.uid));
        let Some(bucket) = self.buckets.get_mut(key) else {
            return Ok(());
        };
        bucket.drain(at);
        if let Some(told_last) = told_last {
            *counts
                .entry("rate: what was used has to come back")
                .or_default() += 1;
            bucket.pour(units, told_last.max(bucket.written));
        }
        bucket.written = at;
        bucket.fastest = decay;
        let capacity = now.spec.read().map_or(0, |spec| u128::from(spec.capacity));
        let used = bucket.slots();
        let held = u128::from(PoolStatus::units(new));
        if decay.is_some() && grants && used.saturating_add(held) > capacity {
            return wrong(
                "rate: more in a time than may",
                key,
                None,
                &format!("{held} of {capacity} are held or taken, and {used} have not come back"),
            );
        }
        Ok(())
    }

    /// When the holder of this entry was told of it, if it surely was: it has been used.
    fn told_at(&self, lease: &Lease) -> Option<u64> {
        if self.excused.contains(&lease.uid) {
            return None;
        }
        let pod = self.pods.get(&lease.uid).or(self.gone.get(&lease.uid));
        let claims = &self.claims;
        let claim = claims
            .get(&lease.uid)
            .or(self.gone_claims.get(&lease.uid))
            .and_then(|seen| seen.view.granted.as_ref());
        let record = pod.and_then(|seen| record_of(seen)).or(claim)?;
        let same = record.attempt == lease.attempt;
        same.then(|| self.revealed_at.get(&lease.uid).copied())?
    }

    /// Whether nobody can ever have been told of this entry.
    fn was_never_told(&self, lease: &Lease) -> bool {
        let view = self
            .pods
            .get(&lease.uid)
            .map(|seen| &seen.view)
            .or_else(|| Some(&self.claims.get(&lease.uid)?.view));
        let Some(view) = view.filter(|_| !self.excused.contains(&lease.uid)) else {
            return false;
        };
        let attempt = match &view.granted {
            Some(record) => Some(record.attempt),
            None if self.revealed.contains(&lease.uid) => None,
            None => view.attempt,
        };
        attempt.is_some_and(|attempt| attempt > lease.attempt)
    }

    fn level_rises_by_what_went(
        &self,
        now: &PoolObject,
        (old, new): (&PoolStatus, &PoolStatus),
        went: &[&Lease],
    ) -> Result<(), Violation> {
        let used = went.iter().filter(|lease| !self.was_never_told(lease));
        let used = used.fold(0_u128, |sum, it| {
            sum.saturating_add(u128::from(it.amount.units()))
        });
        let of = |status: &PoolStatus| status.level.unwrap_or(Level::EMPTY);
        let (was, is) = (of(old), of(new));
        let (was_slot, is_slot) = (
            u128::from(was.parts_per_slot.max(1)),
            u128::from(is.parts_per_slot.max(1)),
        );
        let most = u128::from(was.parts)
            .saturating_mul(is_slot)
            .saturating_add(used.saturating_mul(was_slot).saturating_mul(is_slot))
            // What does not divide when a slot gets another number of parts is rounded up: also by who still knows an
            // older spec. The coarsest slot here has a thousand parts.
            .saturating_add(was_slot.saturating_mul(is_slot) / 100);
        if u128::from(is.parts).saturating_mul(was_slot) <= most {
            return Ok(());
        }
        let what = format!("its level rises from {was:?} to {is:?}, and {used} slots were used");
        wrong(
            "rate: a level that nobody has used",
            &now.key,
            went.first().copied().or(old.entries().next()),
            &what,
        )
    }

    /// What is taken for a rate is taken where it comes back, before its request is told, and once.
    fn take_is_in_order(
        &self,
        key: &PoolKey,
        lease: &Lease,
        decay: Option<Decay>,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        if !is_take(lease.amount) {
            return Ok(());
        }
        *counts.entry("rate: taken").or_default() += 1;
        if decay.is_none() {
            let what = "is taken for a rate, and nothing comes back";
            return wrong("rate: taken without decay", key, Some(lease), what);
        }
        if !self.revealed.contains(&lease.uid) {
            return Ok(());
        }
        // A controller whose cache lags takes for a request that another one has revealed: its own reveal is refused, and
        // it counts twice. Nobody writes the very entry again that its holder was told of.
        *counts.entry("rate: taken again by who lagged").or_default() += 1;
        let record = self.claims.get(&lease.uid);
        let record = record.and_then(|seen| seen.view.granted.as_ref());
        let told = record.iter().flat_map(|it| it.leases.iter());
        let same = |it: &GrantedLease| it.pool == *key && it.token == lease.token;
        if told.into_iter().any(same) && !self.excused.contains(&lease.uid) {
            let what = "is taken for a rate, and written down again as if it were held";
            return wrong("rate: a take is adopted", key, Some(lease), what);
        }
        Ok(())
    }
}

fn wrong(
    rule: &'static str,
    key: &PoolKey,
    lease: Option<&Lease>,
    what: &str,
) -> Result<(), Violation> {
    let who = lease.map(|lease| lease.name.to_string());
    let about = [Some(key.to_string()), who.clone()];
    Err(Violation {
        rule,
        what: format!("{key}: {} {what}", who.unwrap_or_default()),
        about: about.into_iter().flatten().collect(),
    })
}
