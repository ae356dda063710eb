//! A request that was checked, as a claim's spec: what is sent, and what is compared where a claim of its id exists.
//!
//! Everything that the server would refuse is refused here first, with a sentence that names the call to change.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::AcquireError;
use super::pod::Pod;
use super::store::Wanted;
use crate::api::claim::{
    ClaimIfMissing, ClaimKind, ClaimLock, ClaimSlots, MAX_CLAIM_SECONDS, MAX_HOLDER_LENGTH,
    MIN_LEASE_DURATION_SECONDS, SlotClaimSpec,
};
use crate::api::key::{BadKey, MAX_NAME_LENGTH, QualifiedKey, quoted};
use crate::api::limit::ConcurrencyLimitSpec;
use crate::api::request::{MAX_ENTRIES, MAX_WEIGHT};
use crate::api::spec::MAX_SECONDS;
use crate::api::status::LockMode;

/// What a caller has said, unchecked.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) slots: Vec<(String, u32)>,
    pub(super) locks: Vec<(String, LockMode)>,
    pub(super) worker: Option<String>,
    pub(super) kind: ClaimKind,
    pub(super) timeout: Option<Duration>,
    pub(super) lease: Option<Duration>,
    pub(super) hold_max: Option<Duration>,
    pub(super) id: Option<String>,
    pub(super) holder: Option<String>,
    pub(super) priority: Option<i32>,
    pub(super) if_missing: ClaimIfMissing,
    pub(super) template: Option<Box<ConcurrencyLimitSpec>>,
    pub(super) pod: Option<Pod>,
}

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The caller's own name of the claim; without one, every claim gets a random one.
    pub(super) id: Option<String>,
    /// What claims of this container for this are called, where they live as long as its pod.
    pub(super) pod_name: Option<String>,
    /// The spec, without user, session and renewal.
    pub(super) spec: Box<SlotClaimSpec>,
    /// How long it may wait.
    pub(super) timeout: Option<Duration>,
    /// What was asked for, for people.
    pub(super) shown: String,
    /// Limits that are created first where they do not exist.
    pub(super) template: Option<(Vec<String>, Box<ConcurrencyLimitSpec>)>,
}

impl Draft {
    /// Checks it; `None` where nothing is asked for.
    pub(super) fn plan(mut self) -> Result<Option<Plan>, AcquireError> {
        if self.slots.is_empty() && self.locks.is_empty() {
            return Ok(None);
        }
        let entries = self.slots.len().max(self.locks.len());
        if entries > MAX_ENTRIES {
            return Err(invalid(format!(
                "it names {entries} limits or locks; at most {MAX_ENTRIES} are allowed"
            )));
        }
        let slots = self.claim_slots()?;
        let locks = self.claim_locks()?;
        if self.kind == ClaimKind::RateLimit && !locks.is_empty() {
            return Err(invalid("a rate limit takes no locks".to_owned()));
        }
        if let Some(id) = &self.id {
            check_id(id)?;
        }
        let holder = self.holder.unwrap_or_default();
        if holder.chars().count() > MAX_HOLDER_LENGTH {
            return Err(invalid(format!(
                "the holder has more than {MAX_HOLDER_LENGTH} characters"
            )));
        }
        let lease = self.lease.map(|lease| {
            let range = (MIN_LEASE_DURATION_SECONDS, MAX_SECONDS);
            whole_seconds("lease", lease, range)
        });
        let hold_max = self
            .hold_max
            .map(|most| whole_seconds("max_hold", most, (1, MAX_CLAIM_SECONDS)));
        let timeout = self
            .timeout
            .map(|timeout| whole_seconds("timeout", timeout, (0, MAX_CLAIM_SECONDS)));
        let shown = shown(&slots, &locks);
        let template = self.template.map(|template| {
            let keys = slots.iter().map(|entry| entry.limit.clone()).collect();
            (keys, template)
        });
        let pod = self.pod.as_ref();
        let pod = pod.filter(|_| self.kind == ClaimKind::Concurrency);
        let spec = SlotClaimSpec {
            holder,
            slots,
            locks,
            kind: self.kind,
            priority: self.priority,
            timeout_seconds: timeout.transpose()?,
            lease_duration_seconds: lease.transpose()?,
            max_hold_seconds: hold_max.transpose()?,
            if_missing: self.if_missing,
            // What is taken for a rate is not held.
            pod_ref: pod.map(Pod::reference),
            ..SlotClaimSpec::default()
        };
        Ok(Some(Plan {
            id: self.id,
            pod_name: pod.map(|pod| pod.claim_name(&spec)),
            spec: Box::new(spec),
            timeout: self.timeout,
            shown,
            template,
        }))
    }

    /// Several mentions of one limit add up, in the order of the keys: two requests that ask for the same are equal.
    fn claim_slots(&mut self) -> Result<Vec<ClaimSlots>, AcquireError> {
        for (limit, slots) in &self.slots {
            let read = match &self.worker {
                Some(worker) => QualifiedKey::parse(limit)
                    .and_then(|it| it.key.child(worker))
                    .map(drop),
                None => QualifiedKey::check(limit),
            };
            read.map_err(|why| bad_key("limit", limit, &why))?;
            if *slots == 0 {
                return Err(invalid(format!(
                    "0 slots of limit {limit}: ask for at least one"
                )));
            }
        }
        let mut merged = std::mem::take(&mut self.slots);
        merged.sort_by(|one, other| one.0.cmp(&other.0));
        merged.dedup_by(|again, first| {
            let same = again.0 == first.0;
            if same {
                first.1 = first.1.saturating_add(again.1);
            }
            same
        });
        if let Some((limit, sum)) = merged.iter().find(|entry| entry.1 > MAX_WEIGHT) {
            return Err(invalid(format!(
                "{sum} slots of limit {limit}: at most {MAX_WEIGHT} may be asked for"
            )));
        }
        let entry = |(limit, slots)| ClaimSlots {
            limit,
            slots: i32::try_from(slots).unwrap_or(i32::MAX),
            worker: self.worker.clone(),
        };
        Ok(merged.into_iter().map(entry).collect())
    }

    /// A lock that is named in both modes is taken exclusively.
    fn claim_locks(&self) -> Result<Vec<ClaimLock>, AcquireError> {
        let mut merged: BTreeMap<&str, LockMode> = BTreeMap::new();
        for (lock, mode) in &self.locks {
            let read = QualifiedKey::parse(lock).and_then(|it| it.key.check_lock());
            read.map_err(|why| bad_key("lock", lock, &why))?;
            let known = merged.entry(lock).or_insert(*mode);
            *known = (*known).max(*mode);
        }
        let entry = |(lock, mode): (&str, LockMode)| ClaimLock {
            lock: lock.to_owned(),
            mode,
        };
        Ok(merged.into_iter().map(entry).collect())
    }
}

impl Plan {
    /// What it names, for a look at what stands in the way.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let limit = |entry: &ClaimSlots| Wanted {
            lock: false,
            key: match &entry.worker {
                Some(worker) => format!("{}:{worker}", entry.limit),
                None => entry.limit.clone(),
            },
        };
        let lock = |entry: &ClaimLock| Wanted {
            lock: true,
            key: entry.lock.clone(),
        };
        let limits = self.spec.slots.iter().map(limit);
        limits.chain(self.spec.locks.iter().map(lock)).collect()
    }

    /// What is different in a claim that has its name; `None` if it is the same request. Its holder is for people,
    /// and is not compared: the same work may be taken up on another host.
    pub(super) fn difference(&self, other: &SlotClaimSpec, user: &str) -> Option<String> {
        let spec = &self.spec;
        if other.user != user {
            return Some(format!("it belongs to user {}", quoted(&other.user)));
        }
        let differs = [
            (
                "slots",
                sorted(&spec.slots, slots_text) != sorted(&other.slots, slots_text),
            ),
            (
                "locks",
                sorted(&spec.locks, lock_text) != sorted(&other.locks, lock_text),
            ),
            ("kind", spec.kind != other.kind),
            ("priority", spec.priority != other.priority),
            ("timeout", spec.timeout_seconds != other.timeout_seconds),
            (
                "lease",
                spec.lease_duration_seconds != other.lease_duration_seconds,
            ),
            (
                "longest hold",
                spec.max_hold_seconds != other.max_hold_seconds,
            ),
            ("if-missing", spec.if_missing != other.if_missing),
            ("pod", spec.pod_ref != other.pod_ref),
        ];
        let names: Vec<&str> = differs
            .iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| *name)
            .collect();
        (!names.is_empty()).then(|| format!("not the same: {}", names.join(", ")))
    }
}

fn sorted<T>(entries: &[T], text: fn(&T) -> String) -> Vec<String> {
    let mut texts: Vec<String> = entries.iter().map(text).collect();
    texts.sort_unstable();
    texts
}

fn slots_text(entry: &ClaimSlots) -> String {
    match &entry.worker {
        Some(worker) => format!("{}:{worker}={}", entry.limit, entry.slots),
        None => format!("{}={}", entry.limit, entry.slots),
    }
}

fn lock_text(entry: &ClaimLock) -> String {
    match entry.mode {
        LockMode::Exclusive => format!("lock {}", entry.lock),
        LockMode::Shared => format!("lock {}:shared", entry.lock),
    }
}

/// What is asked for, as in `gpu=2, lock deploy`.
fn shown(slots: &[ClaimSlots], locks: &[ClaimLock]) -> String {
    let slots = slots.iter().map(slots_text);
    let all = slots.chain(locks.iter().map(lock_text));
    all.reduce(|all, next| all + ", " + &next)
        .unwrap_or_default()
}

fn bad_key(what: &str, text: &str, why: &BadKey) -> AcquireError {
    invalid(format!("{what} {}: {why}", quoted(text)))
}

/// Rounds up to whole seconds.
fn whole_seconds(what: &str, time: Duration, range: (i32, i32)) -> Result<i32, AcquireError> {
    let partial = u64::from(time.subsec_nanos() > 0);
    let seconds = i32::try_from(time.as_secs().saturating_add(partial)).unwrap_or(i32::MAX);
    if (range.0..=range.1).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(invalid(format!(
            "{what} of {} s: it may be {} s to {} s",
            time.as_secs(),
            range.0,
            range.1
        )))
    }
}

/// An id is the name of an object.
fn check_id(id: &str) -> Result<(), AcquireError> {
    if id.len() <= MAX_NAME_LENGTH && dns_name(id) {
        Ok(())
    } else {
        Err(invalid(format!(
            "id {}: it names an object: a-z, 0-9, '-' and '.', a letter or digit at both ends, at most \
             {MAX_NAME_LENGTH} characters",
            quoted(id)
        )))
    }
}

/// An RFC 1123 subdomain.
fn dns_name(text: &str) -> bool {
    let label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().copied().is_some_and(legal)
            && bytes.last().copied().is_some_and(legal)
            && bytes.iter().all(|&byte| legal(byte) || byte == b'-')
    };
    text.split('.').all(label)
}

fn invalid(why: String) -> AcquireError {
    AcquireError::Invalid(why)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
