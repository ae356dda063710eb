//! The cluster as it stood at one revision of a history, with what the checker has to remember of the past.
//!
//! Takes versions one by one and says what each changed; judges nothing. Tested through the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claim::Claim;
use super::evidence::End;
use super::pod::{Pod, is_out_of_service};
use super::pool::Pool;
use super::request::Entry;
use super::version::{Kind, ObjectRef, Version};
use super::who::{Claimant, Who};

/// Everything there is, and was.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) places: BTreeMap<ObjectRef, Place>,
    pub(super) pods: BTreeMap<String, Holder>,
    pub(super) claims: BTreeMap<String, Claimant>,
    /// When the youngest write so far was made, in whole seconds since 1970: what is written next is not earlier.
    /// 0: no write has said.
    pub(super) now: i64,
    /// Nodes that are there and not declared to be off.
    nodes: BTreeSet<String>,
}

/// One name of a limit or lock, with all objects that ever had it.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) current: Option<Arc<Pool>>,
    pub(super) incarnations: BTreeMap<String, Incarnation>,
    /// uid of the incarnation before the present one.
    pub(super) former: Option<String>,
    /// Every (holder, token) that a status here ever named.
    issued: BTreeSet<(String, i64)>,
    pub(super) highest_token: i64,
    /// Holders whose end was proven, or who were released by an operator: their leases are gone for good.
    pub(super) settled: BTreeSet<String>,
}

/// One object that has, or had, a name.
#[derive(Debug)]
pub(super) struct Incarnation {
    /// Its last version.
    pub(super) last: Arc<Pool>,
    pub(super) deleted: bool,
    /// What each holder last had here.
    pub(super) held: BTreeMap<String, Held>,
    /// Holders that an operator ever released here.
    pub(super) released: BTreeSet<String>,
}

/// What a holder has, or had.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) entry: Entry,
    /// Largest capacity while it had it.
    pub(super) capacity: i64,
}

/// One pod, from its creation on for ever.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) last: Arc<Pod>,
    pub(super) gone: bool,
    /// Strongest evidence of its end so far; evidence does not go away.
    pub(super) end: End,
    /// Its node was gone, or declared to be off, while it was bound to it.
    pub(super) node_out: bool,
}

/// What a version changed.
#[derive(Debug)]
pub(super) enum Change {
    Pool(PoolChange),
    Pod(PodChange),
    Claim(ClaimChange),
    Node,
}

/// A write of a limit or lock.
#[derive(Debug)]
pub(super) struct PoolChange {
    pub(super) place: ObjectRef,
    /// The version before; a name gets a new uid only after a deletion, so it is of the same incarnation.
    pub(super) old: Option<Arc<Pool>>,
    pub(super) new: Option<Arc<Pool>>,
    /// Entries whose tokens were never issued before.
    pub(super) fresh: Vec<Entry>,
    /// The highest token that was issued before.
    pub(super) highest_before: i64,
}

/// A write of a pod.
#[derive(Debug)]
pub(super) struct PodChange {
    pub(super) place: ObjectRef,
    pub(super) uid: String,
    pub(super) old: Option<Arc<Pod>>,
    pub(super) new: Option<Arc<Pod>>,
}

/// A write of a claim.
#[derive(Debug)]
pub(super) struct ClaimChange {
    pub(super) place: ObjectRef,
    pub(super) uid: String,
    pub(super) old: Option<Arc<Claim>>,
    pub(super) new: Option<Arc<Claim>>,
    /// When the one before had been granted or renewed last.
    pub(super) renewed_before: Option<i64>,
}

impl World {
    /// Takes the next version; says what it changed.
    pub(super) fn take(&mut self, version: &Version) -> Change {
        self.now = self.now.max(version.written_seconds.unwrap_or(0));
        match version.kind {
            Kind::Limit | Kind::Lock => Change::Pool(self.take_pool(version)),
            Kind::Pod => Change::Pod(self.take_pod(version)),
            Kind::Claim => Change::Claim(self.take_claim(version)),
            Kind::Node => {
                self.take_node(version);
                Change::Node
            }
        }
    }

    /// The pool that is at this place now.
    pub(super) fn pool(&self, place: &ObjectRef) -> Option<&Arc<Pool>> {
        self.places.get(place)?.current.as_ref()
    }

    /// The object with this uid at this place, be it deleted.
    pub(super) fn incarnation(&self, place: &ObjectRef, uid: &str) -> Option<&Incarnation> {
        self.places.get(place)?.incarnations.get(uid)
    }

    /// The pod or claim with this uid.
    pub(super) fn who(&self, uid: &str) -> Option<Who<'_>> {
        let pod = self.pods.get(uid).map(Who::Pod);
        pod.or_else(|| self.claims.get(uid).map(Who::Claim))
    }

    /// All pods and claims there ever were.
    pub(super) fn everybody(&self) -> impl Iterator<Item = (&String, Who<'_>)> {
        let pods = self.pods.iter().map(|(uid, pod)| (uid, Who::Pod(pod)));
        let claims = self.claims.iter();
        pods.chain(claims.map(|(uid, claim)| (uid, Who::Claim(claim))))
    }

    fn take_pool(&mut self, version: &Version) -> PoolChange {
        let place = version.object_ref();
        let new = version
            .object
            .as_ref()
            .map(|object| Arc::new(Pool::read(version.kind, object)));
        let fresh = new
            .as_ref()
            .map_or_else(Vec::new, |pool| self.fresh_entries(&place, pool));
        let old = self.places.get_mut(&place).and_then(|at| at.current.take());
        let gone_for_good = match (&old, &new) {
            (Some(old), Some(new)) => self.gone_for_good(&place, old, new),
            _ => Vec::new(),
        };
        let at = self.places.entry(place.clone()).or_default();
        let highest_before = at.highest_token;
        at.settled.extend(gone_for_good);
        if let (Some(old), None) = (&old, &new) {
            at.bury(old);
        }
        if let Some(pool) = &new {
            at.note(pool);
        }
        at.current.clone_from(&new);
        PoolChange {
            place,
            old,
            new,
            fresh,
            highest_before,
        }
    }

    /// The entries that carry a token for the first time. A holder that runs already and is found again keeps the
    /// token of its record, or has 0 when it was never told one.
    fn fresh_entries(&self, place: &ObjectRef, pool: &Pool) -> Vec<Entry> {
        let issued = self.places.get(place).map(|it| &it.issued);
        let is_fresh = |entry: &&Entry| {
            let seen = issued.is_some_and(|it| it.contains(&(entry.uid.clone(), entry.token)));
            let holder = self.who(&entry.uid);
            let runs = holder.is_none_or(Who::is_told);
            let untold = runs && entry.token == 0;
            let recorded = holder
                .and_then(|holder| holder.record()?.lease_on(place))
                .is_some_and(|lease| lease.token == entry.token);
            !(seen || recorded || untold)
        };
        pool.status.entries().filter(is_fresh).cloned().collect()
    }

    fn take_pod(&mut self, version: &Version) -> PodChange {
        let read = |object| Arc::new(Pod::read(&version.namespace, &version.name, object));
        let new = version.object.as_deref().map(read);
        let old = version
            .previous
            .as_deref()
            .map(read)
            .filter(|old| old.uid == version.uid);
        if let Some(pod) = new.as_ref().or(old.as_ref()) {
            let holder = self
                .pods
                .entry(version.uid.clone())
                .or_insert_with(|| Holder {
                    last: Arc::clone(pod),
                    gone: false,
                    end: End::Live,
                    node_out: false,
                });
            holder.last = Arc::clone(pod);
            holder.gone = new.is_none();
            holder.end = holder.end.max(End::judge(pod, holder.gone));
            holder.node_out |= pod
                .node
                .as_ref()
                .is_some_and(|node| !self.nodes.contains(node));
        }
        PodChange {
            place: version.object_ref(),
            uid: version.uid.clone(),
            old,
            new,
        }
    }

    fn take_claim(&mut self, version: &Version) -> ClaimChange {
        let read = |object| Arc::new(Claim::read(&version.namespace, &version.name, object));
        let new = version.object.as_deref().map(read);
        let old = version
            .previous
            .as_deref()
            .map(read)
            .filter(|old| old.uid == version.uid);
        let now = self.now;
        let renewed_before = self.claims.get(&version.uid).map(|it| it.renewed_at);
        if let Some(claim) = new.as_ref().or(old.as_ref()) {
            let fresh = || Claimant::new(claim, now);
            let claimant = self.claims.entry(version.uid.clone());
            claimant
                .or_insert_with(fresh)
                .take(claim, new.is_none(), now);
        }
        ClaimChange {
            place: version.object_ref(),
            uid: version.uid.clone(),
            old,
            new,
            renewed_before,
        }
    }

    /// Holders whose entries this write took out, and for good.
    fn gone_for_good(&self, place: &ObjectRef, old: &Pool, new: &Pool) -> Vec<String> {
        let released = self.incarnation(place, &new.uid).map(|it| &it.released);
        let is_over = |uid: &String| {
            let ended = self.who(uid).is_none_or(|it| it.is_over(new));
            let freed = new.released.contains(uid) || released.is_some_and(|it| it.contains(uid));
            ended || freed
        };
        let left = old.status.entries().map(|entry| &entry.uid);
        left.filter(|uid| new.status.entry(uid).is_none() && is_over(uid))
            .cloned()
            .collect()
    }

    fn take_node(&mut self, version: &Version) {
        let works = version
            .object
            .as_ref()
            .is_some_and(|node| !is_out_of_service(node));
        if works {
            self.nodes.insert(version.name.clone());
            return;
        }
        self.nodes.remove(&version.name);
        let bound =
            |holder: &&mut Holder| holder.last.node.as_deref() == Some(version.name.as_str());
        for holder in self.pods.values_mut().filter(bound) {
            holder.node_out = true;
        }
    }
}

impl Place {
    fn bury(&mut self, deleted: &Pool) {
        self.former = Some(deleted.uid.clone());
        if let Some(incarnation) = self.incarnations.get_mut(&deleted.uid) {
            incarnation.deleted = true;
        }
    }

    /// Remembers what a version says.
    fn note(&mut self, pool: &Arc<Pool>) {
        let incarnation = self
            .incarnations
            .entry(pool.uid.clone())
            .or_insert_with(|| Incarnation {
                last: Arc::clone(pool),
                deleted: false,
                held: BTreeMap::new(),
                released: BTreeSet::new(),
            });
        incarnation.last = Arc::clone(pool);
        incarnation.released.extend(pool.released.iter().cloned());
        for entry in pool.status.entries() {
            let held = incarnation
                .held
                .entry(entry.uid.clone())
                .or_insert_with(|| Held {
                    entry: entry.clone(),
                    capacity: pool.slots,
                });
            if held.entry.token != entry.token {
                held.capacity = pool.slots;
            }
            held.entry = entry.clone();
            held.capacity = held.capacity.max(pool.slots);
            self.issued.insert((entry.uid.clone(), entry.token));
            self.highest_token = self.highest_token.max(entry.token);
            self.settled.remove(&entry.uid);
        }
    }
}
