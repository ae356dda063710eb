//! The modelled server's contract: the same bodies run against it and against a real control plane, so that what the
//! simulation proves is about the server there is.
//!
//! A body speaks to a [`Site`]: the transport of a controller, and what people do around it.
#![cfg(test)]

use futures::StreamExt as _;
use sluice::controller::transport::{Address, Failure, Kind, Object, Watched};
use sluice::ledger::{
    Attempt, ChildWrite, Epoch, FamilyRef, Guard, Name, PoolKey, PoolObject, RequestAction,
    RequestPatch, StatusWrite, Token,
};

mod claims;
mod sites;
use claims::{
    a_claim_is_granted_revoked_and_deleted_as_it_was_seen,
    a_claim_is_renewed_forward_and_released_for_good,
};
use sites::words::{
    bump_of, is_conflict, is_invalid, lease, next, patch, pod, pool, put, reveal_of, write,
};
use sites::{Modelled, Real, Site};

macro_rules! contract {
    ($($name:ident;)*) => {
        mod modelled {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&super::Modelled::new()).await;
                }
            )*
        }

        mod real {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&super::Real::new(stringify!($name)).await).await;
                }
            )*
        }
    };
}

contract! {
    a_status_is_written_on_the_version_it_was_computed_from;
    a_tested_status_write_asks_for_generation_and_batch;
    rules_refuse_what_no_controller_may_write;
    rules_about_epochs_refuse_a_deposed_leader;
    what_touches_an_object_moves_its_version_and_a_spec_its_generation;
    a_reveal_tests_everything_it_was_decided_from;
    an_abort_tests_attempt_and_gate;
    nobody_answers_for_a_pod_that_is_gone;
    a_watch_shows_versions_in_order_and_a_lost_label_as_a_deletion;
    a_derived_limit_is_made_once_and_deleted_as_it_was_seen;
    a_finalizer_keeps_the_object_and_its_end_lets_it_go;
    the_lease_is_replaced_by_compare_and_swap;
    a_claim_is_renewed_forward_and_released_for_good;
    a_claim_is_granted_revoked_and_deleted_as_it_was_seen;
}

async fn a_status_is_written_on_the_version_it_was_computed_from(site: &impl Site) {
    site.create_limit("gpu", 2).await;
    let seen = pool(site, "gpu").await;
    let first = write(&seen, next(&seen, "a-1", vec![lease("x", 1, 5)]));
    let written = put(site, &first).await.unwrap();
    assert!(written.version > seen.version);
    assert_eq!(written.generation, seen.generation, "a status is no spec");
    assert_eq!(written.status.read().unwrap().leases, [lease("x", 1, 5)]);
    // The very same bytes again: the version has moved.
    is_conflict(put(site, &first).await);
    let absent = StatusWrite {
        pool: PoolKey::new(seen.key.kind, seen.key.namespace.clone(), "nobody".into()),
        ..first
    };
    assert!(matches!(
        put(site, &absent).await,
        Err(Failure::NotFound(_))
    ));
}

async fn a_tested_status_write_asks_for_generation_and_batch(site: &impl Site) {
    site.create_limit("gpu", 2).await;
    let seen = pool(site, "gpu").await;
    let first = put(site, &write(&seen, next(&seen, "a-1", vec![])))
        .await
        .unwrap();
    // Somebody touches its labels: the version moves, nothing that matters does.
    site.touch_limit("gpu").await;
    let guard = Guard::Tested {
        generation: first.generation,
        batch: Some("a-1".into()),
    };
    let status = next(&first, "a-2", vec![lease("x", 1, 5)]);
    let tested = StatusWrite {
        guard,
        ..write(&first, status)
    };
    is_conflict(put(site, &write(&first, (*tested.status).clone())).await);
    let second = put(site, &tested).await.unwrap();
    assert_eq!(second.status.read().unwrap().batch, Some("a-2".into()));
    // Now the batch is another one.
    is_invalid(put(site, &tested).await);
    // And now the generation is.
    site.resize_limit("gpu", 3).await;
    let guard = Guard::Tested {
        generation: first.generation,
        batch: Some("a-2".into()),
    };
    let late = StatusWrite {
        guard,
        ..write(&second, next(&second, "a-3", vec![]))
    };
    is_invalid(put(site, &late).await);
}

async fn rules_refuse_what_no_controller_may_write(site: &impl Site) {
    site.create_limit("gpu", 2).await;
    let fresh = pool(site, "gpu").await;
    is_invalid(
        put(
            site,
            &write(&fresh, next(&fresh, "a-1", vec![lease("x", 3, 5)])),
        )
        .await,
    );
    let held = next(&fresh, "a-1", vec![lease("x", 1, 5), lease("y", 1, 6)]);
    let held = put(site, &write(&fresh, held)).await.unwrap();
    // Above what is held, with what was adopted.
    let mut more = next(&held, "a-2", vec![lease("x", 1, 5), lease("z", 1, 7)]);
    more.adopted = vec![lease("w", 1, 0)];
    is_invalid(put(site, &write(&held, more)).await);
    // Adopting while over is no grant.
    let mut adopts = next(&held, "a-2", vec![lease("x", 1, 5), lease("y", 1, 6)]);
    adopts.adopted = vec![lease("w", 1, 0)];
    let over = put(site, &write(&held, adopts)).await.unwrap();
    let mut back = next(&over, "a-3", vec![lease("x", 1, 5)]);
    back.last_token = Token(5);
    is_invalid(put(site, &write(&over, back)).await);
    let mut above = next(&over, "a-3", vec![lease("x", 1, 9)]);
    above.last_token = Token(6);
    is_invalid(put(site, &write(&over, above)).await);
    let twice = next(&over, "a-3", vec![lease("x", 1, 5), lease("x", 1, 6)]);
    is_invalid(put(site, &write(&over, twice)).await);
    let mut unchained = next(&over, "a-3", vec![lease("x", 1, 5)]);
    unchained.previous_batch = Some("b-7".into());
    is_invalid(put(site, &write(&over, unchained)).await);
    // Shrinking below what is held evicts nobody, and lets somebody go.
    site.resize_limit("gpu", 0).await;
    let shrunk = pool(site, "gpu").await;
    put(
        site,
        &write(&shrunk, next(&shrunk, "a-3", vec![lease("x", 1, 5)])),
    )
    .await
    .unwrap();
}

async fn rules_about_epochs_refuse_a_deposed_leader(site: &impl Site) {
    site.create_limit("gpu", 2).await;
    let fresh = pool(site, "gpu").await;
    let by = |object: &PoolObject, batch: &str, epoch: u64, leader: &str| {
        let mut status = next(object, batch, vec![]);
        status.epoch = Epoch(epoch);
        status.leader = Some(leader.into());
        write(object, status)
    };
    let third = put(site, &by(&fresh, "a-1", 3, "a")).await.unwrap();
    is_invalid(put(site, &by(&third, "b-1", 2, "b")).await);
    is_invalid(put(site, &by(&third, "b-1", 3, "b")).await);
    let same = put(site, &by(&third, "a-2", 3, "a")).await.unwrap();
    put(site, &by(&same, "b-1", 4, "b")).await.unwrap();
}

async fn what_touches_an_object_moves_its_version_and_a_spec_its_generation(site: &impl Site) {
    site.create_limit("gpu", 2).await;
    let first = pool(site, "gpu").await;
    let held = put(
        site,
        &write(&first, next(&first, "a-1", vec![lease("x", 1, 5)])),
    )
    .await
    .unwrap();
    site.touch_limit("gpu").await;
    let touched = pool(site, "gpu").await;
    assert!(touched.version > held.version && touched.generation == held.generation);
    site.resize_limit("gpu", 5).await;
    let resized = pool(site, "gpu").await;
    assert!(resized.version > touched.version && resized.generation > touched.generation);
    assert_eq!(resized.status, held.status, "a spec is no status");
    assert_eq!(resized.uid, first.uid);
    site.delete_limit("gpu").await;
    site.create_limit("gpu", 2).await;
    let anew = pool(site, "gpu").await;
    assert!(anew.uid != first.uid && anew.version > resized.version);
    assert_eq!(
        anew.status.read().unwrap().batch,
        None,
        "a status is not inherited"
    );
}

async fn a_reveal_tests_everything_it_was_decided_from(site: &impl Site) {
    site.create_pod("a", "gpu", &[]).await;
    let seen = pod(site, "a").await.unwrap();
    assert_eq!(seen.gates.ours, Some(0));
    let decided = reveal_of(&seen);
    site.annotate_pod("a", "sluice.dev/slots", "gpu=2").await;
    is_invalid(patch(site, &decided).await);
    let edited = pod(site, "a").await.unwrap();
    let decided = reveal_of(&edited);
    site.annotate_pod("a", "sluice.dev/attempt", "4").await;
    is_invalid(patch(site, &decided).await);
    let raised = pod(site, "a").await.unwrap();
    let revealed = patch(site, &reveal_of(&raised)).await.unwrap();
    assert!(revealed.gates.ours.is_none());
    assert_eq!(revealed.granted.unwrap().attempt, Attempt::Number(4));
    // A second time there is no gate to remove.
    is_invalid(patch(site, &reveal_of(&raised)).await);
    // Another gate is not ours to remove.
    site.create_pod("b", "gpu", &["example.com/other"]).await;
    let held_back = pod(site, "b").await.unwrap();
    is_invalid(patch(site, &reveal_of(&held_back)).await);
    // Another pod of that name is another pod.
    let mut other = reveal_of(&raised);
    other.uid = "another".into();
    is_invalid(patch(site, &other).await);
}

async fn an_abort_tests_attempt_and_gate(site: &impl Site) {
    site.create_pod("a", "gpu", &[]).await;
    let seen = pod(site, "a").await.unwrap();
    let abort = bump_of(&seen);
    let raised = patch(site, &abort).await.unwrap();
    assert_eq!(raised.attempt, Some(Attempt::Number(1)));
    is_invalid(patch(site, &abort).await);
    let late = bump_of(&raised);
    patch(site, &reveal_of(&raised)).await.unwrap();
    is_invalid(patch(site, &late).await);
}

async fn nobody_answers_for_a_pod_that_is_gone(site: &impl Site) {
    site.create_pod("a", "gpu", &[]).await;
    let seen = pod(site, "a").await.unwrap();
    site.delete_pod("a").await;
    assert_eq!(pod(site, "a").await, None);
    let answer = patch(site, &bump_of(&seen)).await;
    assert!(matches!(answer, Err(Failure::NotFound(_))), "{answer:?}");
    // The name is free, the uid is new.
    site.create_pod("a", "gpu", &[]).await;
    assert_ne!(pod(site, "a").await.unwrap().uid, seen.uid);
}

async fn a_watch_shows_versions_in_order_and_a_lost_label_as_a_deletion(site: &impl Site) {
    site.create_pod("before", "gpu", &[]).await;
    let namespace = site.namespace();
    let mut events = site.transport().watch(Kind::Pod, Some(&namespace));
    let mut listed = Vec::new();
    loop {
        match events.next().await.unwrap() {
            Watched::Listing => {}
            Watched::Listed(Object::Request(view)) => listed.push(view.name.to_string()),
            Watched::ListEnd => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(listed, ["before"]);
    site.create_pod("a", "gpu", &[]).await;
    site.annotate_pod("a", "example.com/note", "x").await;
    site.unlabel_pod("a").await;
    site.annotate_pod("a", "example.com/note", "nobody sees this")
        .await;
    site.create_pod("z", "gpu", &[]).await;
    site.delete_pod("z").await;
    let mut told = Vec::new();
    let mut last = 0;
    while told.last().is_none_or(|last| last != "z gone") {
        let (what, view) = match events.next().await.unwrap() {
            Watched::Seen(Object::Request(view)) => ("seen", view),
            Watched::Gone(Object::Request(view)) => ("gone", view),
            other => panic!("{other:?}"),
        };
        assert!(view.version.0 > last, "{told:?}");
        last = view.version.0;
        told.push(format!("{} {what}", view.name));
    }
    // The real server shows a deletion that was asked for before it shows the deletion.
    told.dedup();
    assert_eq!(told, ["a seen", "a gone", "z seen", "z gone"]);
}

async fn a_derived_limit_is_made_once_and_deleted_as_it_was_seen(site: &impl Site) {
    site.create_limit("fam", 2).await;
    let parent = pool(site, "fam").await;
    let family = FamilyRef {
        name: "fam".into(),
        uid: parent.uid.clone(),
        generation: parent.generation,
    };
    let spec = parent.spec.read().unwrap().clone();
    let key = parent.key.child(&Name::from("w1"));
    let create = ChildWrite::Create {
        pool: key.clone(),
        family,
        spec,
    };
    let Some(Object::Pool(made)) = site.transport().write_child(&create).await.unwrap() else {
        panic!("no limit")
    };
    assert_eq!(made.owner.as_ref().unwrap().uid, parent.uid);
    is_conflict(site.transport().write_child(&create).await);
    site.touch_limit("fam--w1").await;
    let delete = |version| ChildWrite::Delete {
        pool: key.clone(),
        uid: made.uid.clone(),
        version,
    };
    is_conflict(site.transport().write_child(&delete(made.version)).await);
    let now = pool(site, "fam--w1").await;
    assert!(
        site.transport()
            .write_child(&delete(now.version))
            .await
            .unwrap()
            .is_none()
    );
    let again = site.transport().write_child(&delete(now.version)).await;
    assert!(matches!(again, Err(Failure::NotFound(_))), "{again:?}");
}

async fn a_finalizer_keeps_the_object_and_its_end_lets_it_go(site: &impl Site) {
    site.create_pod("a", "gpu", &[]).await;
    let seen = pod(site, "a").await.unwrap();
    let mut reveal = reveal_of(&seen);
    if let RequestAction::Reveal(reveal) = &mut reveal.action {
        reveal.finalizers = Some(seen.finalizers.clone());
    }
    let revealed = patch(site, &reveal).await.unwrap();
    assert!(revealed.finalizer);
    site.delete_pod("a").await;
    let deleting = pod(site, "a").await.unwrap();
    assert!(deleting.deleting);
    let strip = RequestPatch {
        action: RequestAction::StripFinalizer {
            finalizers: deleting.finalizers.clone(),
        },
        ..reveal
    };
    patch(site, &strip).await.unwrap();
    assert_eq!(pod(site, "a").await, None);
}

async fn the_lease_is_replaced_by_compare_and_swap(site: &impl Site) {
    let at = Address {
        kind: Kind::Lease,
        namespace: Some(site.namespace()),
        name: "sluice".into(),
    };
    let record = |holder: &str, epoch| sluice::election::Record {
        holder: holder.to_owned(),
        duration_seconds: 15,
        acquired_micros: 1_767_225_600_000_000,
        renewed_micros: 1_767_225_600_000_000,
        transitions: 0,
        epoch,
    };
    let transport = site.transport();
    assert!(transport.get_lease(&at).await.unwrap().is_none());
    let first = transport.create_lease(&at, &record("a", 1)).await.unwrap();
    is_conflict(transport.create_lease(&at, &record("b", 1)).await);
    let second = transport
        .replace_lease(&at, &first, &record("b", 2))
        .await
        .unwrap();
    is_conflict(transport.replace_lease(&at, &first, &record("a", 3)).await);
    let read = transport.get_lease(&at).await.unwrap().unwrap();
    assert_eq!(
        (read.version, read.record),
        (second.version, record("b", 2))
    );
}
