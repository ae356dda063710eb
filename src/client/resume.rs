//! Takes up what was detached.

use std::sync::Arc;
use std::time::Duration;

use super::caller::{Caller, Patience};
use super::engine::{Counted, Engine, Reply};
use super::error::AcquireError;
use super::establish::{Claimed, adopt, bounded};
use super::follow::Follow;
use super::hold::Hold;
use super::own_name::OwnName;
use super::plan::Plan;
use super::pod::Pod;
use super::slots::ClaimRef;
use super::store::StoreError;
use crate::api::claim::{ClaimPhase, PodReference};

/// How long a resumption is tried.
const RESUME_PATIENCE: Duration = Duration::from_secs(30);
/// Pause before another try.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes up what was detached: its former holder is known not to believe. `pod` is the one this process runs in.
pub(super) async fn resume(
    counted: Counted,
    hold: Arc<Hold>,
    claim: ClaimRef,
    pod: Option<Pod>,
    reply: Reply,
) {
    let engine = Arc::clone(counted.engine());
    let mut plan = Plan {
        pod_name: None,
        id: Some(claim.name.clone()),
        spec: Box::default(),
        timeout: None,
        shown: format!("claim {}", claim.name),
        template: None,
    };
    let patience = Patience {
        time: Some(RESUME_PATIENCE),
        tried_once: false,
        cancel: None,
        reply,
    };
    let mut caller = Caller::new(&engine, &hold, Arc::new(plan.clone()), patience);
    let registered = caller.attend(counted.register(&claim.name, &hold, None));
    let Ok((registration, _)) = registered.await else {
        // Nothing is compared where nothing was asked for.
        return hold.end(Ok(()));
    };
    let pod = pod.as_ref().map(Pod::reference);
    let mut own_name = None;
    let claimed = loop {
        if caller.has_given_up() {
            // What was swapped lately, and not seen, runs out by itself.
            return hold.end(Ok(()));
        }
        let taken = take_up(&engine, &claim, pod.as_ref(), &mut own_name);
        let taken = caller.attend(taken).await;
        match taken {
            Ok(Some(claimed)) => break claimed,
            Ok(None) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                caller.fail(error);
                return hold.end(Ok(()));
            }
        }
    };
    plan.spec = Box::new(claimed.claim.spec.clone());
    let plan = Arc::new(plan);
    let origin = claimed.origin;
    let mut follow = Follow::new(engine, hold, plan, caller, origin, &claimed, &registration);
    follow.own_name = own_name;
    follow.run(claimed.claim).await;
}

/// One try; `None` if it has changed meanwhile, or nobody answers.
async fn take_up(
    engine: &Arc<Engine>,
    claim: &ClaimRef,
    pod: Option<&PodReference>,
    own_name: &mut Option<OwnName>,
) -> Result<Option<Claimed>, AcquireError> {
    let missing = |detail: &str| AcquireError::Missing {
        request: format!("claim {}", claim.name),
        detail: detail.to_owned(),
    };
    let found = match bounded(engine, engine.store().get(&claim.name)).await {
        Ok(Some(found)) if found.uid == claim.uid => found,
        Ok(_) => return Err(missing("it is gone: its lease has run out")),
        Err(StoreError::Forbidden(why)) => return Err(AcquireError::Forbidden(why)),
        Err(_) => return Ok(None),
    };
    if found.spec.session != claim.session {
        return Err(AcquireError::IdConflict {
            id: claim.name.clone(),
            detail: "it was resumed already".to_owned(),
        });
    }
    if found.deleting || found.spec.release || found.status.phase != ClaimPhase::Granted {
        return Err(missing("it is not granted any more"));
    }
    if let Some(lives_as) = &found.spec.pod_ref {
        if pod != Some(lives_as) {
            return Err(AcquireError::Invalid(format!(
                "claim {} lives as long as pod {}: only a client of that pod (ClientBuilder::pod) can resume it",
                claim.name, lives_as.name
            )));
        }
        // Whoever has let it go gives its name back a moment later; whoever has it by now holds it.
        if own_name.is_none() {
            *own_name = OwnName::take(&claim.name);
        }
        if own_name.is_none() {
            return Ok(None);
        }
    }
    match adopt(engine, &found, true).await {
        Ok(claimed) => Ok(claimed),
        Err(StoreError::Forbidden(why)) => Err(AcquireError::Forbidden(why)),
        Err(_) => Ok(None),
    }
}
