//! What people, kubelets and the server itself do to the modelled server, admission included.

use std::sync::Arc;

use sluice::api::names;
use sluice::ledger::{Owner, Part, PoolKey, PoolObject, PoolSpec, PoolStatus, Uid, Version};

use super::{Change, Pod, Seen, Server, Writer};

impl Server {
    /// Stores a new version of a limit or lock.
    pub(super) fn put_pool(&mut self, by: Writer, mut object: PoolObject) -> Arc<PoolObject> {
        object.version = Version(self.next_version());
        let object = Arc::new(object);
        let before = self
            .state
            .pools
            .insert(object.key.clone(), Arc::clone(&object));
        let key = object.key.clone();
        let now = Some(Arc::clone(&object));
        self.record(by, Change::Pool { key, before, now });
        object
    }

    /// Creates a limit or lock, unless there is one.
    pub fn create_pool(
        &mut self,
        by: Writer,
        key: &PoolKey,
        spec: PoolSpec,
        owner: Option<Owner>,
    ) -> Option<Arc<PoolObject>> {
        if self.state.pools.contains_key(key) {
            return None;
        }
        let uid = self.fresh_uid("pool");
        let object = PoolObject {
            key: key.clone(),
            uid,
            version: Version(0),
            generation: 1,
            deleting: false,
            spec: Part::Read(spec),
            status: Part::Read(Arc::default()),
            owner,
            released: Default::default(),
            set_aside: None,
        };
        Some(self.put_pool(by, object))
    }

    /// Deletes a limit or lock.
    pub fn delete_pool(&mut self, by: Writer, key: &PoolKey) -> bool {
        let Some(last) = self.state.pools.remove(key) else {
            return false;
        };
        let mut last = (*last).clone();
        last.version = Version(self.next_version());
        let before = Some(Arc::new(last));
        let key = key.clone();
        self.record(
            by,
            Change::Pool {
                key,
                before,
                now: None,
            },
        );
        true
    }

    /// Changes a spec.
    pub fn edit_spec(&mut self, by: Writer, key: &PoolKey, edit: impl FnOnce(&mut PoolSpec)) {
        let Some(object) = self.state.pools.get(key) else {
            return;
        };
        let mut object = (**object).clone();
        if let Part::Read(spec) = &mut object.spec {
            let old = spec.clone();
            edit(spec);
            if *spec == old {
                return;
            }
        }
        object.generation = object.generation.saturating_add(1);
        self.put_pool(by, object);
    }

    /// Changes what is neither spec nor status: labels, or the annotation `sluice.dev/release`.
    pub fn touch_pool(&mut self, key: &PoolKey, released: impl IntoIterator<Item = Uid>) {
        if let Some(object) = self.state.pools.get(key) {
            let mut object = (**object).clone();
            object.released.extend(released);
            self.put_pool(Writer::Person, object);
        }
    }

    /// An operator sets a limit or lock aside, or ends that: the annotation `sluice.dev/quarantine`.
    pub fn set_aside(&mut self, key: &PoolKey, said: Option<&str>) {
        if let Some(object) = self.state.pools.get(key) {
            let mut object = (**object).clone();
            object.set_aside = said.map(Arc::from);
            self.put_pool(Writer::Person, object);
        }
    }

    /// Somebody with the rights of an administrator changes a status by hand: no guard, no rule about batches stops it.
    pub fn forge_status(&mut self, key: &PoolKey, forge: impl FnOnce(&mut PoolStatus)) {
        if let Some(object) = self.state.pools.get(key) {
            let mut object = (**object).clone();
            if let Part::Read(status) = &mut object.status {
                forge(Arc::make_mut(status));
            }
            self.put_pool(Writer::Person, object);
        }
    }

    /// Stores a new version of a pod; one that was being deleted goes with its last finalizer once it has ended.
    pub(super) fn put_pod(&mut self, by: Writer, mut pod: Pod) -> Arc<Seen> {
        if let Some(seen) = self.state.pods.get(&pod.uid)
            && seen.pod == pod
        {
            // A write that changes nothing makes no version.
            return Arc::clone(seen);
        }
        pod.version = self.next_version();
        let ended = pod.node.is_none() || pod.phase.is_terminal();
        let goes = pod.deleting && pod.finalizers.is_empty() && ended;
        let uid = pod.uid.clone();
        self.state
            .by_name
            .insert((pod.namespace.clone(), pod.name.clone()), uid.clone());
        let now = Arc::new(pod.seen());
        let before = self.state.pods.insert(uid.clone(), Arc::clone(&now));
        self.record(
            by,
            Change::Pod {
                before,
                now: Some(Arc::clone(&now)),
            },
        );
        if goes {
            self.remove_pod(by, &uid);
        }
        now
    }

    /// Creates a pod. Admission gates and labels it when it asks for something, unless it came past admission.
    pub fn create_pod(&mut self, mut pod: Pod, past_admission: bool) -> Option<Uid> {
        let place = (pod.namespace.clone(), pod.name.clone());
        if self.state.by_name.contains_key(&place) {
            return None;
        }
        if pod.asks() && !past_admission {
            if !pod.is_gated() {
                pod.gates.push(names::GATE.to_owned());
            }
            pod.labels
                .insert(names::MANAGED.to_owned(), names::MANAGED_VALUE.to_owned());
        }
        pod.uid = self.fresh_uid("pod");
        pod.created = self.clock();
        Some(self.put_pod(Writer::Person, pod).pod.uid.clone())
    }

    /// Changes a pod as a node or the scheduler does.
    pub fn node_writes(&mut self, uid: &Uid, change: impl FnOnce(&mut Pod)) {
        if let Some(seen) = self.state.pods.get(uid) {
            let mut pod = seen.pod.clone();
            change(&mut pod);
            self.put_pod(Writer::Node, pod);
        }
    }

    /// Changes a pod as its user does. An edit of the request raises the attempt in the same write where a mutating policy
    /// does that; where the guards are, everything else of ours is refused. Says whether it was let through.
    pub fn person_writes(&mut self, uid: &Uid, change: impl FnOnce(&mut Pod)) -> bool {
        let Some(seen) = self.state.pods.get(uid) else {
            return false;
        };
        let old = &seen.pod;
        let mut pod = old.clone();
        change(&mut pod);
        let edits = |old: &Pod, new: &Pod| {
            let texts = names::REQUEST_ANNOTATIONS
                .iter()
                .any(|key| old.annotations.get(*key) != new.annotations.get(*key));
            texts || old.labels.get(names::WORKER) != new.labels.get(names::WORKER)
        };
        let edited = edits(old, &pod);
        let theirs = [
            names::ATTEMPT,
            names::GRANTED,
            names::TOKENS,
            names::LOCK_TOKENS,
        ]
        .iter()
        .any(|key| old.annotations.get(*key) != pod.annotations.get(*key))
            || old.is_managed() != pod.is_managed();
        let after = edited && !old.is_gated();
        if self.setup.guards && (theirs || after) {
            return false;
        }
        if edited && old.is_gated() && self.setup.raises {
            raise_attempt(&mut pod);
        }
        self.put_pod(Writer::Person, pod);
        true
    }

    /// Asks for a pod's deletion; one that never ran goes at once.
    pub fn delete_pod(&mut self, uid: &Uid) {
        let Some(seen) = self.state.pods.get(uid) else {
            return;
        };
        if seen.pod.node.is_none() && seen.pod.finalizers.is_empty() {
            self.remove_pod(Writer::Person, uid);
        } else {
            let mut pod = seen.pod.clone();
            pod.deleting = true;
            self.put_pod(Writer::Person, pod);
        }
    }

    /// Removes a pod whatever runs, as a forced deletion does; finalizers still hold the object.
    pub fn force_delete_pod(&mut self, uid: &Uid) {
        let Some(seen) = self.state.pods.get(uid) else {
            return;
        };
        if seen.pod.finalizers.is_empty() {
            self.remove_pod(Writer::Person, uid);
        } else {
            let mut pod = seen.pod.clone();
            pod.deleting = true;
            self.put_pod(Writer::Person, pod);
        }
    }

    /// Removes a pod's object, as its kubelet does in the end.
    pub fn remove_pod(&mut self, by: Writer, uid: &Uid) {
        let Some(last) = self.state.pods.remove(uid) else {
            return;
        };
        let mut pod = last.pod.clone();
        self.state
            .by_name
            .remove(&(pod.namespace.clone(), pod.name.clone()));
        pod.version = self.next_version();
        let before = Some(Arc::new(pod.seen()));
        self.record(by, Change::Pod { before, now: None });
    }
}

/// As the mutating policy does: the next number, `1` where there is none; `timed-out` stays.
fn raise_attempt(pod: &mut Pod) {
    let text = pod.annotations.get(names::ATTEMPT).map(String::as_str);
    let next = match text {
        Some(names::TIMED_OUT) => return,
        Some(text) => text
            .parse::<u32>()
            .map_or(1, |number| number.saturating_add(1)),
        None => 1,
    };
    pod.annotations
        .insert(names::ATTEMPT.to_owned(), next.to_string());
}
