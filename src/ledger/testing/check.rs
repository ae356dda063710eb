//! The checker of the ledger's tests: judges every change by the server's log alone.
//!
//! Written against docs/design.md 5.2, not against the ledger. The physical oracle is its heart: what
//! runs without its gate, summed for each key, never exceeds what the limit allowed when the last of
//! it was let through.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::server::{Change, Server};

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Checker {
    read: usize,
    last_tokens: BTreeMap<PoolKey, Token>,
    pools: BTreeMap<PoolKey, PoolObject>,
    pods: BTreeMap<Uid, RequestView>,
    /// Whoever was ever revealed, gone or not.
    revealed: BTreeSet<Uid>,
    pub(crate) reveals: u64,
    pub(crate) aborts: u64,
    pub(crate) adoptions: u64,
    pub(crate) claims_granted: u64,
    pub(crate) revokes: u64,
}

/// A pod that may run; a claim that was granted and neither given back nor taken away.
fn holds(view: &RequestView) -> bool {
    match &view.claim {
        Some(claim) => claim.phase == ClaimPhase::Granted && !claim.release,
        None => view.is_revealed() && view.progress.phase == PodPhase::Live,
    }
}

impl Checker {
    /// Judges what is new in the log; the first thing that is wrong.
    pub(crate) fn check(&mut self, server: &Server) -> Result<(), String> {
        while let Some(change) = server.log.get(self.read) {
            self.read += 1;
            match change {
                Change::Pool { key, now, before } => {
                    self.pool(key, now.as_ref(), before.as_ref())?
                }
                Change::Pod { now, before } => self.pod(now.as_ref(), before.as_ref())?,
            }
        }
        Ok(())
    }

    fn pool(
        &mut self,
        key: &PoolKey,
        now: Option<&PoolObject>,
        before: Option<&PoolObject>,
    ) -> Result<(), String> {
        let Some(now) = now else {
            self.pools.remove(key);
            return Ok(());
        };
        let new = now.status.read().cloned().unwrap_or_default();
        let old = before
            .filter(|it| it.uid == now.uid)
            .and_then(|it| it.status.read().cloned())
            .unwrap_or_default();
        let sum = |leases: &[Lease]| {
            leases
                .iter()
                .map(|it| u128::from(it.amount.units()))
                .sum::<u128>()
        };
        let capacity = now.spec.read().map_or(0, |spec| u128::from(spec.capacity));
        let mut uids: Vec<&Uid> = new.entries().map(|lease| &lease.uid).collect();
        uids.sort();
        if let Some(twice) = uids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("2: {key} names {:?} twice", twice[0]));
        }
        if new.epoch < old.epoch || (new.epoch == old.epoch && new.leader != old.leader) {
            let term = |it: &PoolStatus| (it.epoch, it.leader.clone());
            return Err(format!(
                "epoch: {key} is written in {:?} after {:?}",
                term(&new),
                term(&old)
            ));
        }
        if new != old {
            let grew = sum(&new.leases) > sum(&old.leases);
            if grew && sum(&new.leases) + sum(&new.adopted) > capacity {
                return Err(format!("1: {key} grants {new:?} beyond {capacity}"));
            }
        }
        let last = self.last_tokens.entry(key.clone()).or_default();
        for lease in &new.leases {
            let known = old
                .entries()
                .any(|it| it.uid == lease.uid && it.token == lease.token);
            let revealed = self.revealed.contains(&lease.uid);
            if known {
            } else if revealed {
                self.adoptions += 1;
            } else if lease.token <= *last {
                return Err(format!("5: {key} gives {lease:?} after {last:?}"));
            }
            if !known && !revealed && !old.fenced {
                return Err(format!("fence: {key} grants {lease:?} before it is fenced"));
            }
        }
        *last = (*last).max(new.last_token);
        for lease in old.entries() {
            let kept = new.entries().any(|it| it.uid == lease.uid);
            let pod = self.pods.get(&lease.uid);
            let runs = pod.is_some_and(|pod| holds(pod) && !now.released.contains(&pod.uid));
            let named = pod
                .and_then(|pod| pod.granted.as_ref())
                .is_some_and(|granted| granted.leases.iter().any(|it| it.pool == *key));
            if !kept && runs && named {
                return Err(format!("4: {key} drops {lease:?} of a running pod"));
            }
        }
        self.pools.insert(key.clone(), now.clone());
        Ok(())
    }

    fn pod(
        &mut self,
        now: Option<&RequestView>,
        before: Option<&RequestView>,
    ) -> Result<(), String> {
        let Some(now) = now else {
            if let Some(before) = before {
                self.pods.remove(&before.uid);
            }
            return Ok(());
        };
        if let (Some(was), Some(is)) = (
            before.and_then(|before| before.claim.as_ref()),
            now.claim.as_ref(),
        ) {
            self.claim_steps(now, was, is)?;
        }
        let was_gated = before.is_some_and(|before| !before.is_revealed());
        self.pods.insert(now.uid.clone(), now.clone());
        if now.is_revealed() {
            self.revealed.insert(now.uid.clone());
        }
        if before.is_some_and(|before| before.attempt < now.attempt) {
            self.aborts += 1;
        }
        if !was_gated || !now.is_revealed() {
            return Ok(());
        }
        let Some(granted) = &now.granted else {
            return Ok(());
        };
        self.reveals += 1;
        self.all_or_nothing(now, granted)?;
        for lease in granted.leases.iter() {
            self.physical(&lease.pool, now)?;
        }
        Ok(())
    }

    /// A final phase is never left, what was granted is not taken back silently, and terms stay.
    fn claim_steps(
        &mut self,
        now: &RequestView,
        was: &ClaimView,
        is: &ClaimView,
    ) -> Result<(), String> {
        let ends = matches!(is.phase, ClaimPhase::Revoked | ClaimPhase::Released);
        let steps = match was.phase {
            ClaimPhase::Pending => true,
            ClaimPhase::Granted => is.phase == was.phase || ends,
            _ => is.phase == was.phase,
        };
        if !steps || (was.terms.is_some() && was.terms != is.terms) || is.seq < was.seq {
            return Err(format!("claim: {} goes from {was:?} to {is:?}", now.name));
        }
        if was.phase != is.phase {
            self.revokes += u64::from(is.phase == ClaimPhase::Revoked);
            self.claims_granted += u64::from(is.phase == ClaimPhase::Granted);
        }
        Ok(())
    }

    fn all_or_nothing(&self, pod: &RequestView, granted: &Granted) -> Result<(), String> {
        let Ask::Wants(wants) = &pod.ask else {
            return Err(format!("3: {pod:?} was revealed"));
        };
        for mention in wants.mentions.iter() {
            let family = self
                .pools
                .get(&mention.pool)
                .and_then(|pool| pool.spec.read());
            let worker = pod
                .labels
                .get("worker")
                .filter(|_| family.is_some_and(|it| it.family.is_some()));
            let place =
                worker.map_or_else(|| mention.pool.clone(), |worker| mention.pool.child(worker));
            let pool = self.pools.get(&place);
            let status = pool.and_then(|pool| pool.status.read());
            let spec = pool.and_then(|pool| pool.spec.read());
            let counted = status.is_some_and(|status| {
                status
                    .entries()
                    .any(|it| it.uid == pod.uid && it.attempt == granted.attempt)
            });
            let open = spec.is_some_and(|spec| spec.mode == Mode::Disabled)
                && status.is_some_and(|status| status.open);
            let absent = pool.is_none() && wants.ignore_missing;
            // A pool that came or was opened after the decision fences before it grants.
            let unfenced = status.is_some_and(|status| !status.fenced);
            let gone = pool.is_none();
            if !(counted || open || absent || unfenced || gone) {
                return Err(format!("3: {} was revealed without {place}", pod.name));
            }
        }
        Ok(())
    }

    /// What runs under a key, if all of it is governed by the present incarnation, fits.
    fn physical(&self, key: &PoolKey, newcomer: &RequestView) -> Result<(), String> {
        let Some(pool) = self.pools.get(key) else {
            return Ok(());
        };
        let Some(spec) = pool.spec.read() else {
            return Ok(());
        };
        let newest = newcomer.granted.as_ref().and_then(|granted| {
            granted
                .leases
                .iter()
                .find(|it| it.pool == *key)
                .map(|it| it.pool_uid.clone())
        });
        let governed = newest.as_ref() == Some(&pool.uid)
            && pool.status.read().is_some_and(|status| status.fenced)
            && spec.mode != Mode::Disabled;
        if !governed {
            return Ok(());
        }
        let lease_of = |pod: &RequestView| {
            let granted = pod.granted.as_ref()?;
            granted
                .leases
                .iter()
                .find(|it| it.pool == *key)
                .map(|it| it.amount.units())
        };
        let running: u64 = self
            .pods
            .values()
            .filter(|pod| holds(pod))
            .filter_map(lease_of)
            .sum();
        let entries = pool.status.read().map_or(0, |status| status.units());
        if running > spec.capacity && running > entries {
            let name = &newcomer.name;
            return Err(format!(
                "physical: {key} runs {running} of {} with {name}",
                spec.capacity
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! The checker can fail: one wrong history for each thing it looks for.
    use super::super::server::{Server, limit};
    use super::super::{limit_spec, pod};
    use std::sync::Arc;

    use super::*;

    fn lease(name: &str, token: u64) -> Lease {
        Lease {
            uid: format!("uid-{name}").into(),
            kind: HolderKind::Pod,
            namespace: "ns".into(),
            name: name.into(),
            amount: Amount::Slots(1),
            token: Token(token),
            attempt: Attempt::Number(0),
            granted_at: Micros(0),
            linger: None,
            extra: None,
        }
    }

    /// A fenced limit of one slot with these leases, and a pod `a`.
    fn world(leases: &[Lease]) -> Server {
        let mut server = Server::default();
        server.create_pool(limit("gpu"), limit_spec(1));
        write(&mut server, &[]);
        server.put_pod(pod("a", "gpu=1"));
        write(&mut server, leases);
        server
    }

    fn write(server: &mut Server, leases: &[Lease]) {
        let mut object = server.pools[&limit("gpu")].clone();
        let last_token = leases.iter().map(|it| it.token).max().unwrap_or_default();
        let status = PoolStatus {
            fenced: true,
            leases: leases.to_vec(),
            last_token,
            ..Default::default()
        };
        object.status = Part::Read(status.into());
        server.put_pool(object);
    }

    fn reveal(server: &mut Server, name: &str, token: u64) {
        let mut view = server.pods[&Uid::from(format!("uid-{name}"))].clone();
        view.gates.ours = None;
        let pool_uid = server.pools[&limit("gpu")].uid.clone();
        let lease = GrantedLease {
            pool: limit("gpu"),
            pool_uid,
            amount: Amount::Slots(1),
            token: Token(token),
        };
        view.granted = Some(Granted {
            attempt: Attempt::Number(0),
            leases: [lease].into(),
        });
        server.put_pod(view);
    }

    fn verdict(server: &Server) -> String {
        Checker::default().check(server).err().unwrap_or_default()
    }

    #[test]
    fn a_right_history_passes() {
        let mut server = world(&[lease("a", 1)]);
        reveal(&mut server, "a", 1);
        assert_eq!(verdict(&server), "");
    }

    #[test]
    fn a_deposed_leader_that_writes_is_found() {
        let mut server = world(&[]);
        for (epoch, leader) in [(2, "q"), (2, "p")] {
            let mut object = server.pools[&limit("gpu")].clone();
            let Part::Read(status) = &mut object.status else {
                panic!()
            };
            let status = Arc::make_mut(status);
            status.epoch = Epoch(epoch);
            status.leader = Some(leader.into());
            server.put_pool(object);
        }
        assert!(verdict(&server).starts_with("epoch:"));
    }

    #[test]
    fn too_many_leases_are_found() {
        assert!(verdict(&world(&[lease("a", 1), lease("b", 2)])).starts_with("1:"));
    }

    #[test]
    fn a_reveal_without_a_lease_is_found() {
        let mut server = world(&[]);
        reveal(&mut server, "a", 1);
        assert!(verdict(&server).starts_with("3:"));
    }

    #[test]
    fn a_lease_taken_from_a_running_pod_is_found() {
        let mut server = world(&[lease("a", 1)]);
        reveal(&mut server, "a", 1);
        write(&mut server, &[]);
        assert!(verdict(&server).starts_with("4:"));
    }

    fn claimed(phase: ClaimPhase) -> RequestView {
        let mut view = super::super::claim("a", "gpu=1");
        if let Some(claim) = &mut view.claim {
            claim.phase = phase;
        }
        view
    }

    #[test]
    fn a_lease_taken_from_a_granted_claim_is_found() {
        let mut server = world(&[]);
        server.put_pod(claimed(ClaimPhase::Pending));
        write(&mut server, &[lease("a", 1)]);
        reveal(&mut server, "a", 1);
        let mut view = server.pods[&Uid::from("uid-a")].clone();
        view.claim = claimed(ClaimPhase::Granted).claim;
        server.put_pod(view);
        assert_eq!(verdict(&server), "");
        write(&mut server, &[]);
        assert!(verdict(&server).starts_with("4:"));
    }

    #[test]
    fn a_final_phase_that_is_left_is_found() {
        let mut server = world(&[]);
        server.put_pod(claimed(ClaimPhase::Denied));
        server.put_pod(claimed(ClaimPhase::Pending));
        assert!(verdict(&server).starts_with("claim:"));
    }

    #[test]
    fn a_token_that_does_not_grow_is_found() {
        let mut server = world(&[lease("a", 5)]);
        write(&mut server, &[]);
        write(&mut server, &[lease("b", 5)]);
        assert!(verdict(&server).starts_with("5:"));
    }

    #[test]
    fn a_grant_before_the_fence_is_found() {
        let mut server = Server::default();
        server.create_pool(limit("gpu"), limit_spec(1));
        write(&mut server, &[lease("a", 1)]);
        assert!(verdict(&server).starts_with("fence:"));
    }

    #[test]
    fn a_uid_twice_is_found() {
        assert!(verdict(&world(&[lease("a", 1), lease("a", 2)])).starts_with("2:"));
    }
}
