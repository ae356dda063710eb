//! A modelled API server for the ledger's tests: versions, conditional writes, JSON patch tests, the
//! CRD's rules written a second time, and a log of every state there ever was.
//!
//! It knows nothing of the ledger's insides. What it keeps is what the real server would keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::*;

/// One change, as the server made it.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum Change {
    Pool {
        key: PoolKey,
        now: Option<PoolObject>,
        before: Option<PoolObject>,
    },
    Pod {
        now: Option<RequestView>,
        before: Option<RequestView>,
    },
}

/// The server's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(crate) version: u128,
    pub(crate) clock: Micros,
    pub(crate) pools: BTreeMap<PoolKey, PoolObject>,
    pub(crate) pods: BTreeMap<Uid, RequestView>,
    pub(crate) log: Vec<Change>,
    /// Whether the CRD's rules are enforced; off, so that they cannot hide a wrong write.
    pub(crate) rules: bool,
    pub(crate) uids: u64,
}

pub(crate) fn limit(name: &str) -> PoolKey {
    PoolKey::new(PoolKind::Limit, "ns".into(), name.into())
}

impl Server {
    pub(crate) fn next_version(&mut self) -> Version {
        self.version += 1;
        Version(self.version)
    }

    pub(crate) fn fresh_uid(&mut self, prefix: &str) -> Uid {
        self.uids += 1;
        format!("{prefix}-{}", self.uids).into()
    }

    pub(crate) fn put_pool(&mut self, mut object: PoolObject) -> PoolObject {
        object.version = self.next_version();
        let before = self.pools.insert(object.key.clone(), object.clone());
        let key = object.key.clone();
        self.log.push(Change::Pool {
            key,
            now: Some(object.clone()),
            before,
        });
        object
    }

    pub(crate) fn put_pod(&mut self, mut view: RequestView) -> RequestView {
        view.version = self.next_version();
        let before = self.pods.insert(view.uid.clone(), view.clone());
        self.log.push(Change::Pod {
            now: Some(view.clone()),
            before,
        });
        view
    }

    pub(crate) fn create_pool(&mut self, key: PoolKey, spec: PoolSpec) -> PoolObject {
        let uid = self.fresh_uid("pool");
        let version = self.next_version();
        self.put_pool(PoolObject {
            key,
            uid,
            version,
            generation: 1,
            deleting: false,
            spec: Part::Read(spec),
            status: Part::Read(Arc::default()),
            owner: None,
            released: Default::default(),
            set_aside: None,
        })
    }

    pub(crate) fn delete_pool(&mut self, key: &PoolKey) -> Option<PoolObject> {
        let mut last = self.pools.remove(key)?;
        last.version = self.next_version();
        self.log.push(Change::Pool {
            key: key.clone(),
            now: None,
            before: Some(last.clone()),
        });
        Some(last)
    }

    pub(crate) fn set_aside(&mut self, key: &PoolKey, aside: bool) {
        if let Some(mut object) = self.pools.get(key).cloned() {
            object.set_aside = aside.then(|| "drill".into());
            self.put_pool(object);
        }
    }

    pub(crate) fn edit_spec(&mut self, key: &PoolKey, edit: impl FnOnce(&mut PoolSpec)) {
        let Some(mut object) = self.pools.get(key).cloned() else {
            return;
        };
        if let Part::Read(spec) = &mut object.spec {
            edit(spec);
        }
        object.generation += 1;
        self.put_pool(object);
    }

    pub(crate) fn delete_pod(&mut self, uid: &Uid) -> Option<RequestView> {
        let mut last = self.pods.remove(uid)?;
        last.version = self.next_version();
        self.log.push(Change::Pod {
            now: None,
            before: Some(last.clone()),
        });
        Some(last)
    }

    /// The last changes, a line each.
    pub(crate) fn story(&self, most: usize) -> String {
        let line = |change: &Change| match change {
            Change::Pool {
                key,
                now: Some(now),
                ..
            } => {
                let status = now.status.read().cloned().unwrap_or_default();
                let names = |leases: &[Lease]| {
                    let names: Vec<String> = leases
                        .iter()
                        .map(|it| format!("{}@{}", it.name, it.attempt))
                        .collect();
                    names.join(" ")
                };
                format!(
                    "{:?} {key} {:?}: leases [{}] adopted [{}] waiting {} fenced {} open {} batch {:?} {:?}",
                    now.version,
                    now.uid,
                    names(&status.leases),
                    names(&status.adopted),
                    status.waiting,
                    status.fenced,
                    status.open,
                    status.batch,
                    status
                        .conditions
                        .values()
                        .map(|it| (&it.reason, it.since.0, it.generation))
                        .collect::<Vec<_>>()
                )
            }
            Change::Pool { key, now: None, .. } => format!("{key} deleted"),
            Change::Pod { now: Some(pod), .. } => format!(
                "{:?} pod {} attempt {:?} gates {:?} {:?} granted {}",
                pod.version,
                pod.name,
                pod.text.attempt,
                pod.gates.ours,
                pod.progress.phase,
                pod.granted.is_some()
            ),
            Change::Pod { before, .. } => {
                format!("pod {:?} deleted", before.as_ref().map(|it| &it.name))
            }
        };
        let skip = self.log.len().saturating_sub(most);
        self.log
            .iter()
            .skip(skip)
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// PUT of a status.
    pub(crate) fn write_status(&mut self, write: &StatusWrite) -> WriteOutcome {
        let Some(object) = self.pools.get(&write.pool).cloned() else {
            return WriteOutcome::NotFound;
        };
        let status = object.status.read().cloned().unwrap_or_default();
        let current = match &write.guard {
            Guard::Version(version) => object.version == *version,
            Guard::Tested { generation, batch } => {
                object.generation == *generation && status.batch == *batch
            }
        };
        if object.uid != write.uid || !current {
            return WriteOutcome::Conflict;
        }
        if self.rules
            && let Err(rule) = rules(&object, &status, &write.status)
        {
            return WriteOutcome::Invalid(rule.to_owned());
        }
        let next = PoolObject {
            status: Part::Read(Arc::clone(&write.status)),
            ..object
        };
        WriteOutcome::Applied(Box::new(self.put_pool(next)))
    }

    /// JSON patch of a pod.
    pub(crate) fn patch(&mut self, patch: &RequestPatch) -> PatchOutcome {
        let Some(pod) = self.pods.get(&patch.uid).cloned() else {
            return PatchOutcome::Gone;
        };
        let mut next = pod.clone();
        let refused = || PatchOutcome::Refused("a test of the patch failed".to_owned());
        match &patch.action {
            RequestAction::Reveal(reveal) => {
                let labels = reveal
                    .labels
                    .iter()
                    .all(|(label, value)| pod.labels.get(label) == value.as_ref());
                let alone = pod.gates
                    == Gates {
                        ours: Some(0),
                        others: false,
                    };
                if pod.text != reveal.text || !labels || !alone {
                    return refused();
                }
                next.gates.ours = None;
                next.granted = Some(Granted {
                    attempt: reveal.attempt,
                    leases: reveal.leases.clone().into(),
                });
                next.finalizer |= reveal.finalizers.is_some();
            }
            RequestAction::Bump { from, gate, to } => {
                if pod.text.attempt != *from || pod.gates.ours != Some(*gate) {
                    return refused();
                }
                set_attempt(&mut next, *to);
            }
            RequestAction::StripFinalizer { .. } => next.finalizer = false,
            RequestAction::Label { .. } => next.managed = true,
            RequestAction::Fail { .. } => next.progress.phase = PodPhase::Terminal,
            RequestAction::Claim(action) => match patched_claim(pod, action) {
                Some(patched) => next = patched,
                None => return refused(),
            },
        }
        let next = self.put_pod(next);
        if !next.finalizer && next.deleting && next.progress.phase == PodPhase::Terminal {
            self.delete_pod(&next.uid);
        }
        PatchOutcome::Applied(Box::new(next))
    }

    /// Deletion of a claim, on its preconditions.
    pub(crate) fn delete_claim(&mut self, deletion: &ClaimDeletion) -> PatchOutcome {
        let Some(claim) = self.pods.get(&deletion.uid) else {
            return PatchOutcome::Gone;
        };
        if claim.version != deletion.version {
            return PatchOutcome::Refused("conflict".to_owned());
        }
        self.delete_pod(&deletion.uid);
        PatchOutcome::Gone
    }

    /// A holder writes on its claim; nothing comes of it where the CRD's rules refuse.
    pub(crate) fn renew_claim(&mut self, uid: &Uid) {
        self.write_claim(uid, |claim| {
            let renews = !claim.release && !claim.phase.is_final();
            claim.seq += u64::from(renews);
        });
    }

    /// A holder gives its claim back; while it waits, that is a way out like a deletion.
    pub(crate) fn release_claim(&mut self, uid: &Uid) {
        self.write_claim(uid, |claim| claim.release = true);
    }

    fn write_claim(&mut self, uid: &Uid, write: impl FnOnce(&mut ClaimView)) {
        let Some(mut view) = self.pods.get(uid).cloned() else {
            return;
        };
        if let Some(claim) = &mut view.claim {
            write(claim);
            view.deleting = claim.phase == ClaimPhase::Pending && claim.release;
            self.put_pod(view);
        }
    }

    /// Creation, update and deletion of derived limits.
    pub(crate) fn write_child(&mut self, write: &ChildWrite) -> ChildOutcome {
        match write {
            ChildWrite::Create { pool, family, spec } => {
                if self.pools.contains_key(pool) {
                    return ChildOutcome::Doubtful("already exists".to_owned());
                }
                let mut object = self.create_pool(pool.clone(), spec.clone());
                object.owner = Some(Owner {
                    uid: family.uid.clone(),
                    generation: family.generation,
                });
                ChildOutcome::Written(Box::new(self.put_pool(object)))
            }
            ChildWrite::Update {
                pool,
                uid,
                version,
                family,
                spec,
            } => {
                let Some(object) = self.pools.get(pool).cloned() else {
                    return ChildOutcome::Doubtful("not found".to_owned());
                };
                if object.uid != *uid || object.version != *version {
                    return ChildOutcome::Doubtful("conflict".to_owned());
                }
                let owner = Some(Owner {
                    uid: family.uid.clone(),
                    generation: family.generation,
                });
                let generation = object.generation + 1;
                let spec = Part::Read(spec.clone());
                ChildOutcome::Written(Box::new(self.put_pool(PoolObject {
                    owner,
                    generation,
                    spec,
                    ..object
                })))
            }
            ChildWrite::Delete { pool, uid, version } => {
                let same = self
                    .pools
                    .get(pool)
                    .is_some_and(|it| it.uid == *uid && it.version == *version);
                if !same {
                    return ChildOutcome::Doubtful("conflict".to_owned());
                }
                self.delete_pool(pool);
                ChildOutcome::Deleted
            }
        }
    }
}

/// What becomes of a claim, if the tests of the patch hold.
fn patched_claim(mut claim: RequestView, action: &ClaimAction) -> Option<RequestView> {
    let view = claim.claim.as_mut()?;
    let waits =
        |attempt: &Attempt| view.phase == ClaimPhase::Pending && claim.attempt == Some(*attempt);
    match action {
        ClaimAction::Grant {
            attempt,
            leases,
            terms,
            ..
        } => {
            if !waits(attempt) {
                return None;
            }
            view.phase = ClaimPhase::Granted;
            view.terms = Some(*terms);
            claim.granted = Some(Granted {
                attempt: *attempt,
                leases: leases.clone().into(),
            });
            claim.gates.ours = None;
            claim.deleting = false;
        }
        ClaimAction::Bump { from, to } => {
            if !waits(from) {
                return None;
            }
            claim.attempt = Some(*to);
        }
        ClaimAction::Refuse { from, phase, .. } => {
            if !waits(from) {
                return None;
            }
            view.phase = *phase;
            claim.attempt = Some(Attempt::TimedOut);
            claim.gates.ours = None;
            claim.deleting = false;
        }
        ClaimAction::Revoke { seq, reason, .. } => {
            if view.phase != ClaimPhase::Granted || view.seq != *seq {
                return None;
            }
            view.phase = ClaimPhase::Revoked;
            view.expired = matches!(reason, RevokeReason::Expired | RevokeReason::PodEnded);
        }
        ClaimAction::Finish { from, attempt } => {
            if view.phase != *from || claim.attempt != Some(*attempt) || !view.release {
                return None;
            }
            view.phase = ClaimPhase::Released;
            claim.gates.ours = None;
            claim.deleting = false;
        }
    }
    Some(claim)
}

pub(crate) fn set_attempt(view: &mut RequestView, to: Attempt) {
    let text = RequestText {
        attempt: Some(to.to_string().into()),
        ..(*view.text).clone()
    };
    view.text = Arc::new(text);
    view.attempt = Some(to);
}

/// The CRD's rules, a second time.
fn rules(object: &PoolObject, old: &PoolStatus, new: &PoolStatus) -> Result<(), &'static str> {
    let sum = |leases: &[Lease]| {
        leases
            .iter()
            .map(|lease| u128::from(lease.amount.units()))
            .sum::<u128>()
    };
    let capacity = object
        .spec
        .read()
        .map_or(0, |spec| u128::from(spec.capacity));
    let fits = sum(&new.leases) + sum(&new.adopted) <= capacity;
    let grants_nothing = new.last_token == old.last_token && sum(&new.leases) <= sum(&old.leases);
    if !fits && !new.leases.is_empty() && !grants_nothing {
        return Err("over-commit");
    }
    if new.last_token < old.last_token {
        return Err("token back");
    }
    if new.leases.iter().any(|lease| lease.token > new.last_token) {
        return Err("lease token above lastToken");
    }
    let mut uids: Vec<&Uid> = new.entries().map(|lease| &lease.uid).collect();
    uids.sort();
    if uids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("uid twice");
    }
    if new.epoch < old.epoch {
        return Err("epoch back");
    }
    if new.epoch == old.epoch && new.leader != old.leader {
        return Err("two leaders in one epoch");
    }
    if new.batch != old.batch && old.batch.is_some() && new.previous_batch != old.batch {
        return Err("batch chain");
    }
    Ok(())
}
