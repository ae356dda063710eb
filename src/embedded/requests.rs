//! Requests of an embedded client: what a server would take is taken, and what it would refuse is refused.
//! Tested by `tests/embedded.rs` with the bodies that the cluster has too.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::look::sight;
use super::row::Row;
use super::store::{Embedded, NAMESPACE};
use super::watch;
use super::world::{World, pool_key};
use crate::api::claim::{
    ClaimKind, ClaimLock, ClaimSlots, MAX_SEQ_STEP, MIN_LEASE_DURATION_SECONDS, SlotClaimSpec,
};
use crate::api::key::QualifiedKey;
use crate::api::limit::ConcurrencyLimitSpec;
use crate::api::lock::LockSpec;
use crate::client::direct::Direct;
use crate::client::store::{
    ClaimAt, ClaimVersion, NewClaim, Sight, Store, StoreError, Swap, Wanted, Watched,
};
use crate::convert::{claim_mentions, limit_spec, lock_spec, wants_of};
use crate::ledger::{Mention, Name, PoolKind, PoolSpec, Uid};

/// Name of the one user there is.
const USER: &str = "embedded";

/// The same as text of the ledger.
static OWN_NAMESPACE: LazyLock<Name> = LazyLock::new(|| NAMESPACE.into());

/// What a claim asked for: most often the next one asks for the same, and need not be read anew.
#[derive(Debug)]
pub(super) struct Asked {
    slots: Vec<ClaimSlots>,
    locks: Vec<ClaimLock>,
    kind: ClaimKind,
    mentions: Arc<[Mention]>,
}

impl Asked {
    fn new(spec: &SlotClaimSpec, mentions: Arc<[Mention]>) -> Self {
        Self {
            slots: spec.slots.clone(),
            locks: spec.locks.clone(),
            kind: spec.kind,
            mentions,
        }
    }

    fn is_of(&self, spec: &SlotClaimSpec) -> bool {
        (&self.slots, &self.locks, self.kind) == (&spec.slots, &spec.locks, spec.kind)
    }
}

/// A claim's spec as a server would take it.
fn check(spec: &SlotClaimSpec) -> Result<(), StoreError> {
    let invalid = |why: &str| Err(StoreError::Invalid(why.to_owned()));
    if spec.slots.is_empty() && spec.locks.is_empty() {
        return invalid("it asks for nothing");
    }
    if spec.kind == ClaimKind::RateLimit && !spec.locks.is_empty() {
        return invalid("a rate limit takes no locks");
    }
    if spec.pod_ref.is_some() {
        return invalid("there are no pods in an embedded client");
    }
    let lease = spec.lease_duration_seconds;
    if lease.is_some_and(|lease| lease < MIN_LEASE_DURATION_SECONDS) {
        return invalid("its lease is too short");
    }
    Ok(())
}

/// A new claim, with its place in the queue.
pub(super) fn row(world: &mut World, claim: NewClaim) -> Result<Box<Row>, StoreError> {
    check(&claim.spec)?;
    let namespace = Name::clone(&OWN_NAMESPACE);
    let mentions = match &world.asked_last {
        Some(asked) if asked.is_of(&claim.spec) => Arc::clone(&asked.mentions),
        _ => {
            let mentions = claim_mentions(&claim.spec, &namespace).map_err(StoreError::Invalid)?;
            world.asked_last = Some(Asked::new(&claim.spec, Arc::clone(&mentions)));
            mentions
        }
    };
    let wants = wants_of(&claim.spec, mentions);
    // Of two claims of one microsecond the first has the lower number.
    let uid = uid_of(world.next_uid());
    let arrival = world.now().server;
    let name = Name::from(claim.name);
    let row = Row::new(uid, namespace, name, claim.spec, wants, arrival);
    Ok(Box::new(row))
}

/// A number as sixteen digits, which are in order as numbers are.
fn uid_of(number: u64) -> Uid {
    let mut digits = [b'0'; 16];
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    Uid::from(std::str::from_utf8(&digits).unwrap_or_default())
}

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound(format!("claim {name}"))
}

/// The claim that a write is for, if all that it tests holds.
fn tested(world: &World, at: &ClaimAt) -> Result<Uid, StoreError> {
    let row = world.named(&at.name).ok_or_else(|| not_found(&at.name))?;
    if row.view.uid.as_str() != at.uid || row.spec.session != at.session {
        return Err(StoreError::Refused(
            "its uid or session is another".to_owned(),
        ));
    }
    Ok(row.view.uid.clone())
}

/// A renewal goes forward, by steps, on a claim that may still be held.
fn check_renewal(row: &Row, seq: i64) -> Result<(), StoreError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()));
    let last = row.spec.renew.seq;
    if seq <= last || seq > last.saturating_add(MAX_SEQ_STEP) {
        return refused("renew.seq goes forward, by at most 1,000");
    }
    if row.spec.release {
        return refused("it was released");
    }
    if row.phase().is_final() {
        return refused("it has ended");
    }
    Ok(())
}

impl Embedded {
    /// Changes a claim, and reads it as the ledger has left it.
    fn update(
        &self,
        find: impl FnOnce(&World) -> Result<Uid, StoreError>,
        change: impl FnOnce(&mut Row),
    ) -> Result<ClaimVersion, StoreError> {
        self.shared.with(|world| {
            let uid = find(world)?;
            world.write(&uid, change);
            let row = world.row(&uid);
            row.map(Row::read).ok_or_else(|| not_found(uid.as_str()))
        })
    }

    fn create_pool(&self, kind: PoolKind, key: &str, spec: PoolSpec) -> Result<(), StoreError> {
        let parsed =
            QualifiedKey::parse(key).map_err(|why| StoreError::Invalid(why.to_string()))?;
        let namespace = parsed.namespace.as_deref().unwrap_or(NAMESPACE);
        if namespace != NAMESPACE {
            return Err(StoreError::NotFound(format!("namespace {namespace}")));
        }
        let at = pool_key(kind, namespace, &parsed.key.object_name());
        if self.shared.with(|world| world.create_pool(at, spec, None)) {
            Ok(())
        } else {
            Err(StoreError::Exists(key.to_owned()))
        }
    }
}

#[async_trait]
impl Store for Embedded {
    fn namespace(&self) -> &str {
        NAMESPACE
    }

    async fn user(&self) -> Result<String, StoreError> {
        Ok(USER.to_owned())
    }

    async fn create(&self, claim: &NewClaim) -> Result<ClaimVersion, StoreError> {
        self.shared.with_after(
            |world| {
                if world.named(&claim.name).is_some() {
                    return Err(StoreError::Exists(format!("claim {}", claim.name)));
                }
                let row = row(world, claim.clone())?;
                let (uid, created) = (row.view.uid.clone(), row.read());
                world.insert(row);
                Ok((uid, created))
            },
            |world, made| {
                let (uid, created) = made?;
                Ok(world.row(&uid).map_or(created, Row::read))
            },
        )
    }

    async fn get(&self, name: &str) -> Result<Option<ClaimVersion>, StoreError> {
        Ok(self.shared.with(|world| world.named(name).map(Row::read)))
    }

    async fn renew(&self, at: &ClaimAt, seq: i64) -> Result<ClaimVersion, StoreError> {
        let find = |world: &World| {
            let uid = tested(world, at)?;
            let row = world.row(&uid).ok_or_else(|| not_found(&at.name))?;
            check_renewal(row, seq)?;
            Ok(uid)
        };
        self.update(find, |row| row.spec.renew.seq = seq)
    }

    async fn adopt(&self, swap: &Swap) -> Result<ClaimVersion, StoreError> {
        let find = |world: &World| {
            let uid = tested(world, &swap.at)?;
            let row = world.row(&uid).ok_or_else(|| not_found(&swap.at.name))?;
            check_renewal(row, swap.new_seq)?;
            if row.read().version != swap.version {
                return Err(StoreError::Refused("it has changed".to_owned()));
            }
            Ok(uid)
        };
        self.update(find, |row| {
            row.spec.renew.seq = swap.new_seq;
            row.spec.session.clone_from(&swap.session);
        })
    }

    async fn release(&self, at: &ClaimAt) -> Result<ClaimVersion, StoreError> {
        self.update(|world| tested(world, at), |row| row.spec.release = true)
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<(), StoreError> {
        self.shared.with(|world| {
            let row = world.named(name).ok_or_else(|| not_found(name))?;
            if row.view.uid.as_str() != uid {
                return Err(StoreError::Refused("its uid is another".to_owned()));
            }
            let uid = row.view.uid.clone();
            world.delete(&uid);
            Ok(())
        })
    }

    fn watch(&self, session: &str) -> BoxStream<'static, Watched> {
        watch::of(&self.shared, session)
    }

    async fn create_limit(&self, key: &str, spec: &ConcurrencyLimitSpec) -> Result<(), StoreError> {
        let spec = limit_spec(spec.clone()).map_err(StoreError::Invalid)?;
        self.create_pool(PoolKind::Limit, key, spec)
    }

    async fn create_lock(&self, key: &str, spec: &LockSpec) -> Result<(), StoreError> {
        let spec = lock_spec(spec.clone()).map_err(StoreError::Invalid)?;
        self.create_pool(PoolKind::Lock, key, spec)
    }

    async fn look(&self, wanted: &[Wanted]) -> Vec<Sight> {
        self.shared
            .with(|world| wanted.iter().map(|wanted| sight(world, wanted)).collect())
    }

    fn look_pause(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn direct(&self) -> Option<&dyn Direct> {
        Some(self)
    }
}
