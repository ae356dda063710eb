//! The part of the contract that is about claims.

use serde_json::{Value, json};
use sluice::controller::translate::request_patch;
use sluice::controller::transport::{Address, Failure, Kind, Object, Part, PatchOperation};
use sluice::ledger::{
    Attempt, ClaimAction, ClaimDeletion, ClaimPhase, HolderKind, Micros, RequestAction,
    RequestPatch, RequestView, RevokeReason, Span, Terms, Version,
};

use crate::sites::Site;
use crate::sites::words::{is_conflict, is_invalid};

fn claim_at(site: &impl Site, name: &str) -> Address {
    Address {
        kind: Kind::Claim,
        namespace: Some(site.namespace()),
        name: name.into(),
    }
}

async fn claim(site: &impl Site, name: &str) -> Option<RequestView> {
    match site.transport().get(&claim_at(site, name)).await.unwrap() {
        Some(Object::Request(view)) => Some(*view),
        None => None,
        other => panic!("{name}: {other:?}"),
    }
}

/// What its holder writes.
async fn hold(site: &impl Site, name: &str, writes: &[(&str, Value)]) -> Result<Object, Failure> {
    let add = |(path, value): &(&str, Value)| PatchOperation::Add {
        path: (*path).to_owned(),
        value: value.clone(),
    };
    let operations: Vec<PatchOperation> = writes.iter().map(add).collect();
    let at = claim_at(site, name);
    site.transport().patch(&at, Part::Main, &operations).await
}

/// What a controller writes.
async fn control(
    site: &impl Site,
    seen: &RequestView,
    action: ClaimAction,
) -> Result<Object, Failure> {
    let (part, operations) = request_patch(&RequestPatch {
        uid: seen.uid.clone(),
        namespace: seen.namespace.clone(),
        name: seen.name.clone(),
        kind: HolderKind::Claim,
        action: RequestAction::Claim(action),
    });
    let at = claim_at(site, seen.name.as_str());
    site.transport().patch(&at, part, &operations).await
}

fn renewal(seq: i64) -> (&'static str, Value) {
    ("/spec/renew", json!({"seq": seq}))
}

pub(crate) async fn a_claim_is_renewed_forward_and_released_for_good(site: &impl Site) {
    site.create_claim("c", "gpu").await;
    let seen = claim(site, "c").await.unwrap();
    assert_eq!(seen.attempt, Some(Attempt::Number(0)));
    assert_eq!(seen.claim.unwrap().phase, ClaimPhase::Pending);
    hold(site, "c", &[renewal(1)]).await.unwrap();
    // The same again changes nothing; one that falls, one that leaps and one of the same number are refused.
    hold(site, "c", &[renewal(1)]).await.unwrap();
    is_invalid(hold(site, "c", &[renewal(0)]).await);
    is_invalid(hold(site, "c", &[renewal(1_002)]).await);
    let again = json!({"seq": 1, "time": "2026-01-01T00:00:00.000000Z"});
    is_invalid(hold(site, "c", &[("/spec/renew", again)]).await);
    hold(site, "c", &[renewal(1_001)]).await.unwrap();
    // Another session brings a renewal of its own.
    let swap = ("/spec/session", json!("other"));
    is_invalid(hold(site, "c", std::slice::from_ref(&swap)).await);
    hold(site, "c", &[swap.clone(), renewal(1_002)])
        .await
        .unwrap();
    is_invalid(hold(site, "c", &[("/spec/holder", json!("somebody else"))]).await);
    hold(site, "c", &[("/spec/release", json!(true))])
        .await
        .unwrap();
    is_invalid(hold(site, "c", &[("/spec/release", json!(false))]).await);
    is_invalid(hold(site, "c", &[renewal(1_003)]).await);
    assert!(claim(site, "c").await.unwrap().deleting);
}

pub(crate) async fn a_claim_is_granted_revoked_and_deleted_as_it_was_seen(site: &impl Site) {
    site.create_claim("c", "gpu").await;
    let seen = claim(site, "c").await.unwrap();
    let grant = |attempt: u32| ClaimAction::Grant {
        attempt: Attempt::Number(attempt),
        leases: Vec::new(),
        terms: Terms {
            lease: Span::seconds(20),
            lock_delay: Span::seconds(4),
        },
        at: Micros(1_767_225_600_000_000),
    };
    let bump = ClaimAction::Bump {
        from: Attempt::Number(0),
        to: Attempt::Number(1),
    };
    control(site, &seen, bump.clone()).await.unwrap();
    is_invalid(control(site, &seen, bump).await);
    is_invalid(control(site, &seen, grant(0)).await);
    control(site, &seen, grant(1)).await.unwrap();
    is_invalid(control(site, &seen, grant(1)).await);
    hold(site, "c", &[renewal(2)]).await.unwrap();
    let revoke = |seq: u64| ClaimAction::Revoke {
        seq,
        reason: RevokeReason::Expired,
        message: "its holder is silent".into(),
    };
    is_invalid(control(site, &seen, revoke(1)).await);
    let before = claim(site, "c").await.unwrap();
    control(site, &seen, revoke(2)).await.unwrap();
    is_invalid(control(site, &seen, revoke(2)).await);
    let after = claim(site, "c").await.unwrap();
    let ended = after.claim.unwrap();
    assert_eq!((ended.phase, ended.expired), (ClaimPhase::Revoked, true));
    assert_eq!(ended.terms.unwrap().lock_delay, Span::seconds(4));
    // What is final stays, whatever is tested.
    let back = [PatchOperation::Add {
        path: "/status/phase".to_owned(),
        value: json!("Granted"),
    }];
    let at = claim_at(site, "c");
    is_invalid(site.transport().patch(&at, Part::Status, &back).await);
    is_invalid(hold(site, "c", &[renewal(3)]).await);
    let deletion = |version: Version| ClaimDeletion {
        uid: seen.uid.clone(),
        namespace: seen.namespace.clone(),
        name: seen.name.clone(),
        version,
    };
    is_conflict(
        site.transport()
            .delete_claim(&deletion(before.version))
            .await,
    );
    let of_another = ClaimDeletion {
        uid: "somebody".into(),
        ..deletion(after.version)
    };
    is_conflict(site.transport().delete_claim(&of_another).await);
    site.transport()
        .delete_claim(&deletion(after.version))
        .await
        .unwrap();
    assert_eq!(claim(site, "c").await, None);
}
