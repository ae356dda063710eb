//! From what a request names to what it takes: families to derived limits, several mentions of one
//! pool to one amount.
//!
//! Reads pools, changes nothing but the request's place in the queues and the wish for derived
//! limits. A request is resolved again whenever its text, its labels or the objects it names change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::book::Ledger;
use super::cause::Cause;
use super::ids::{Amount, Name, PoolKey, PoolKind, Uid};
use super::mutant::{self, Mutant};
use super::queue::Shape;
use super::request::Place;
use super::view::{Ask, RequestView, Wants};

/// What resolving a request found.
pub(super) struct Resolved {
    /// What it takes, or why that cannot be said.
    pub(super) shape: Result<Shape, Cause>,
    /// Worker labels it was resolved from, with their values.
    pub(super) labels: Vec<(Name, Option<Name>)>,
    /// Pools whose coming, going or becoming a family changes the answer.
    pub(super) named: BTreeSet<PoolKey>,
    /// Derived limits that have to exist for it: family and worker.
    pub(super) children: Vec<(PoolKey, Name)>,
}

impl Ledger {
    pub(super) fn resolve(&self, view: &RequestView) -> Resolved {
        let mut resolved = Resolved {
            shape: Err(Cause::RequestDeleting),
            labels: Vec::new(),
            named: BTreeSet::new(),
            children: Vec::new(),
        };
        resolved.shape = match &view.ask {
            Ask::Bad(why) => Err(Cause::BadAnnotation(Arc::clone(why))),
            Ask::Wants(_) if view.attempt.is_none() => Err(Cause::BadAnnotation(
                "sluice.dev/attempt is neither a number nor timed-out".into(),
            )),
            Ask::Wants(wants) => self.resolve_wants(view, wants, &mut resolved),
        };
        resolved
    }

    fn resolve_wants(
        &self,
        view: &RequestView,
        wants: &Wants,
        resolved: &mut Resolved,
    ) -> Result<Shape, Cause> {
        let mut demand: BTreeMap<PoolKey, Amount> = BTreeMap::new();
        let mut trouble = None;
        for mention in wants.mentions.iter() {
            let named = self.own_key(&mention.pool);
            resolved.named.insert(named.clone());
            let pool = match self.resolve_pool(view, &named, resolved) {
                Ok(pool) => pool,
                Err(Cause::WorkerUnknown(..)) if mutant::is(Mutant::FamilyIsUnlimited) => continue,
                Err(cause) => {
                    trouble.get_or_insert(cause);
                    continue;
                }
            };
            if pool != named {
                resolved.named.insert(pool.clone());
            }
            let merged = match demand.get(&pool) {
                Some(amount) => amount.merge(mention.amount),
                None => Some(mention.amount),
            };
            match merged {
                Some(amount) => {
                    demand.insert(pool, amount);
                }
                None if is_rate(demand.get(&pool).copied()) != is_rate(Some(mention.amount)) => {
                    trouble.get_or_insert(Cause::BadAnnotation(
                        format!("{pool} is named both for slots and for a rate").into(),
                    ));
                }
                None => {
                    trouble.get_or_insert(Cause::ExceedsLimit(pool));
                }
            }
        }
        match trouble {
            Some(cause) => Err(cause),
            None => Ok(Shape {
                namespace: view.namespace.clone(),
                ignore_missing: wants.ignore_missing,
                demand,
            }),
        }
    }

    /// The very key that is in memory already, which is compared at a glance.
    fn own_key(&self, key: &PoolKey) -> PoolKey {
        let known = self.pools.get_key_value(key);
        known.map_or(key, |(known, _)| known).clone()
    }

    fn resolve_pool(
        &self,
        view: &RequestView,
        named: &PoolKey,
        resolved: &mut Resolved,
    ) -> Result<PoolKey, Cause> {
        if named.kind == PoolKind::Lock {
            return Ok(named.clone());
        }
        let spec = self.pools.get(named).and_then(|pool| pool.spec());
        if let Some(family) = spec.and_then(|spec| spec.family.as_ref()) {
            let value = view.labels.get(&family.label).cloned();
            let worker = worker_of(named, &family.label, value.as_ref());
            resolved.labels.push((family.label.clone(), value));
            let worker = worker?;
            resolved.children.push((named.clone(), worker.clone()));
            resolved.named.insert(named.child(&worker));
            return self.resolve_child(named, &worker);
        }
        if spec.is_none()
            && let Some((parent, worker)) = named.parent()
        {
            resolved.named.insert(parent.clone());
            if self.family_of(&parent).is_some() {
                resolved.children.push((parent.clone(), worker.clone()));
                resolved.named.insert(parent.child(&worker));
                return self.resolve_child(&parent, &worker);
            }
        }
        Ok(named.clone())
    }

    fn resolve_child(&self, family: &PoolKey, worker: &Name) -> Result<PoolKey, Cause> {
        let child = family.child(worker);
        let family_uid = self
            .pools
            .get(family)
            .and_then(|pool| Some(&pool.seen.as_ref()?.uid));
        match self.pools.get(&child).and_then(|pool| pool.seen.as_ref()) {
            Some(seen) if seen.owner.as_ref().map(|owner| &owner.uid) != family_uid => {
                Err(Cause::NameTaken(child))
            }
            _ => Ok(child),
        }
    }

    /// Puts a request where it belongs: in the queue of its shape, aside, or nowhere with a cause.
    pub(super) fn place(&mut self, uid: &Uid) {
        let Some(request) = self.requests.get(uid) else {
            return;
        };
        let text = (
            Arc::clone(&request.view.text),
            Arc::clone(&request.view.labels),
        );
        if request.resolved_from.as_ref() == Some(&text) {
            return;
        }
        let resolved = self.resolve(&request.view);
        self.rename(uid, resolved.named);
        for (family, worker) in resolved.children {
            self.want_worker(&family, &worker);
        }
        let place = match resolved.shape {
            Ok(shape) => {
                let id = self.queues.open(shape);
                match self.requests.get(uid).and_then(|request| request.plan()) {
                    Some(_) => Place::Granting(id),
                    None => Place::Aside(id, Cause::Unsettled),
                }
            }
            Err(cause) => Place::Stuck(cause),
        };
        self.move_to(uid, place);
        if let Some(request) = self.requests.get_mut(uid) {
            request.resolved_from = Some(text);
            request.worker_labels = resolved.labels;
        }
    }

    /// Moves a request to another place; looks at the pools it leaves and joins.
    pub(super) fn move_to(&mut self, uid: &Uid, place: Place) {
        let (joined, goes) = (place.shape(), place == Place::Nowhere);
        let Some(old) = self.relocate(uid, place) else {
            return;
        };
        let ends = goes && matches!(old, Place::Granting(_));
        // Whoever leaves may have reserved what others wait for; whoever joins may be able to go.
        let joined = joined.filter(|id| Some(*id) != old.shape());
        for id in [old.shape(), joined].into_iter().flatten() {
            let Some(shape) = self.queues.line(id).map(|line| Arc::clone(&line.shape)) else {
                continue;
            };
            for pool in shape.demand.keys() {
                if ends && self.is_unmoved_by(pool, uid) {
                    continue;
                }
                self.touch(pool);
                // A derived limit that went while nobody waited for it is wanted again.
                self.touch_family(pool);
            }
        }
    }

    /// Moves a request to another place, and looks at nothing. Returns the place it has left, whose line is still there;
    /// `None` if it was there already.
    pub(super) fn relocate(&mut self, uid: &Uid, place: Place) -> Option<Place> {
        let request = self.requests.get_mut(uid)?;
        if request.place == place {
            return None;
        }
        self.queues.enter(&place);
        let old = std::mem::replace(&mut request.place, place);
        self.queues.leave(&old);
        Some(old)
    }

    /// Nothing of a pool changes when the grant of this request has come to its end: it stood in nobody's way, its lease
    /// is written, and the pool is none that is deleted when nobody wants it.
    fn is_unmoved_by(&self, key: &PoolKey, uid: &Uid) -> bool {
        let pool = self.pools.get(key);
        pool.is_some_and(|pool| {
            let seen = pool.seen.as_ref();
            seen.is_some_and(|seen| seen.owner.is_none()) && !pool.adds.contains_key(uid)
        })
    }

    /// Takes a request out of every queue.
    pub(super) fn unplace(&mut self, uid: &Uid) {
        self.move_to(uid, Place::Nowhere);
        if let Some(request) = self.requests.get_mut(uid) {
            request.resolved_from = None;
        }
    }

    /// Everybody who names a pool is to be resolved anew.
    pub(super) fn unresolve_namers(&mut self, key: &PoolKey) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        for uid in &pool.named_by {
            if let Some(request) = self.requests.get_mut(uid) {
                request.resolved_from = None;
            }
            self.dirty_requests.insert(uid.clone());
        }
    }

    /// Brings the index of who names which pool in step.
    pub(super) fn rename(&mut self, uid: &Uid, named: BTreeSet<PoolKey>) {
        let Some(request) = self.requests.get_mut(uid) else {
            return;
        };
        if request.named == named {
            return;
        }
        let old = std::mem::take(&mut request.named);
        for key in old.iter().filter(|key| !named.contains(*key)) {
            if let Some(pool) = self.pools.get_mut(key) {
                pool.named_by.remove(uid);
            }
            self.forget_pool_if_idle(key);
        }
        for key in named.iter().filter(|key| !old.contains(*key)) {
            self.pools
                .entry(key.clone())
                .or_default()
                .named_by
                .insert(uid.clone());
        }
        if let Some(request) = self.requests.get_mut(uid) {
            request.named = named;
        }
    }

    /// A key that nothing serves and nobody names needs no memory, unless its last state still matters.
    pub(super) fn forget_pool_if_idle(&mut self, key: &PoolKey) {
        let idle = self.pools.get(key).is_some_and(|pool| {
            pool.seen.is_none()
                && pool.named_by.is_empty()
                && pool.former.is_none()
                && !pool.reading
                && !pool.child_write
        });
        if idle {
            self.pools.remove(key);
        }
    }
}

fn is_rate(amount: Option<Amount>) -> bool {
    matches!(amount, Some(Amount::Rate(_)))
}

fn worker_of(family: &PoolKey, label: &Name, value: Option<&Name>) -> Result<Name, Cause> {
    let unknown = |why: &str| Cause::WorkerUnknown(family.clone(), label.clone(), why.into());
    let Some(value) = value else {
        return Err(unknown("is missing"));
    };
    if is_segment(value.as_str()) {
        Ok(value.clone())
    } else {
        Err(unknown(&format!(
            "has the value {value:?}, which no key can contain: lower case letters and digits, single '-' and '.' between them"
        )))
    }
}

/// One segment of a key: what may stand in an object's name, `[a-z0-9]+([-.][a-z0-9]+)*`.
fn is_segment(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split(['-', '.']).all(word)
}

#[cfg(test)]
mod tests {
    use super::is_segment;

    #[test]
    fn segments() {
        for good in ["a", "worker-1", "10.0.0.1", "x.y-z"] {
            assert!(is_segment(good), "{good}");
        }
        for bad in [
            "", "A", "a_b", "-a", "a-", "a--b", "a..b", "a.-b", "a/b", "é",
        ] {
            assert!(!is_segment(bad), "{bad}");
        }
    }
}
