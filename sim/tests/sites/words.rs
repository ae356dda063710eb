//! What the bodies of the contract are said with: reads, statuses, writes and patches, as a controller would make them.

use sluice::controller::translate::request_patch;
use sluice::controller::transport::{Address, Failure, Kind, Object};
use sluice::ledger::{
    Amount, Attempt, GrantedLease, Guard, HolderKind, Lease, Micros, PoolKey, PoolKind, PoolObject,
    PoolStatus, RequestAction, RequestPatch, RequestView, Reveal, StatusWrite, Token,
};

use super::Site;

pub(crate) async fn pool(site: &impl Site, name: &str) -> PoolObject {
    let at = Address {
        kind: Kind::Limit,
        namespace: Some(site.namespace()),
        name: name.into(),
    };
    match site.transport().get(&at).await.unwrap() {
        Some(Object::Pool(object)) => *object,
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) async fn pod(site: &impl Site, name: &str) -> Option<RequestView> {
    match site.transport().get(&pod_at(site, name)).await.unwrap() {
        Some(Object::Request(view)) => Some(*view),
        None => None,
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) fn pod_at(site: &impl Site, name: &str) -> Address {
    Address {
        kind: Kind::Pod,
        namespace: Some(site.namespace()),
        name: name.into(),
    }
}

pub(crate) fn lease(name: &str, slots: u32, token: u64) -> Lease {
    Lease {
        uid: format!("uid-{name}").into(),
        kind: HolderKind::Pod,
        namespace: "ns".into(),
        name: name.into(),
        amount: Amount::Slots(slots),
        token: Token(token),
        attempt: Attempt::Number(0),
        granted_at: Micros(1_767_225_600_000_000),
        linger: None,
        extra: None,
    }
}

/// A status with these leases after the one that is there.
pub(crate) fn next(object: &PoolObject, batch: &str, leases: Vec<Lease>) -> PoolStatus {
    let old = object.status.read().cloned().unwrap_or_default();
    let last = leases.iter().map(|it| it.token).max().unwrap_or_default();
    PoolStatus {
        schema: 1,
        last_token: last.max(old.last_token),
        previous_batch: old.batch.clone(),
        batch: Some(batch.into()),
        leases,
        fenced: true,
        ..(*old).clone()
    }
}

pub(crate) fn write(object: &PoolObject, status: PoolStatus) -> StatusWrite {
    StatusWrite {
        pool: object.key.clone(),
        uid: object.uid.clone(),
        guard: Guard::Version(object.version),
        batch: status.batch.clone().unwrap(),
        status: status.into(),
    }
}

pub(crate) async fn put(site: &impl Site, write: &StatusWrite) -> Result<PoolObject, Failure> {
    match site.transport().replace_status(write).await? {
        Object::Pool(object) => Ok(*object),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_conflict<T: std::fmt::Debug>(answer: Result<T, Failure>) {
    assert!(matches!(answer, Err(Failure::Conflict(_))), "{answer:?}");
}

pub(crate) fn is_invalid<T: std::fmt::Debug>(answer: Result<T, Failure>) {
    assert!(matches!(answer, Err(Failure::Invalid(_))), "{answer:?}");
}

pub(crate) fn reveal_of(view: &RequestView) -> RequestPatch {
    let lease = GrantedLease {
        pool: PoolKey::new(PoolKind::Limit, view.namespace.clone(), "gpu".into()),
        pool_uid: "pool-uid".into(),
        amount: Amount::Slots(1),
        token: Token(7),
    };
    let reveal = Reveal {
        text: view.text.clone(),
        labels: vec![],
        attempt: view.attempt.unwrap(),
        leases: vec![lease],
        finalizers: None,
    };
    RequestPatch {
        uid: view.uid.clone(),
        namespace: view.namespace.clone(),
        name: view.name.clone(),
        kind: view.kind(),
        action: RequestAction::Reveal(Box::new(reveal)),
    }
}

pub(crate) fn bump_of(view: &RequestView) -> RequestPatch {
    RequestPatch {
        action: RequestAction::Bump {
            from: view.text.attempt.clone(),
            gate: 0,
            to: view.attempt.unwrap().next().unwrap(),
        },
        ..reveal_of(view)
    }
}

pub(crate) async fn patch(site: &impl Site, patch: &RequestPatch) -> Result<RequestView, Failure> {
    let (part, operations) = request_patch(patch);
    let at = pod_at(site, patch.name.as_str());
    match site.transport().patch(&at, part, &operations).await? {
        Object::Request(view) => Ok(*view),
        other => panic!("{other:?}"),
    }
}
