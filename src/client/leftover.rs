//! Claims that nobody wants any more: a create whose answer was lost, a word of the watch about a claim of ours that
//! no task follows. They are looked for and released; nothing of them outlives one lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::engine::Engine;
use super::store::{ClaimAt, ClaimVersion, StoreError};

/// For how long a claim is looked for whose create was not answered.
pub(super) const LOOK_FOR: Duration = Duration::from_secs(60);
/// First pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What one look has come to.
enum Look {
    Settled,
    Absent,
    Again(String),
}

/// Looks for a claim of this name that is ours, and releases it.
pub(super) fn look_for(engine: &Arc<Engine>, name: &str) {
    if !engine.add_leftover(name) {
        return;
    }
    let (task, name) = (Arc::clone(engine), name.to_owned());
    engine.spawn(async move {
        // Also when this task is cancelled with its runtime, or panics.
        let listed = Listed { engine: task, name };
        search(&listed.engine, &listed.name).await;
    });
}

struct Listed {
    engine: Arc<Engine>,
    name: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.engine.remove_leftover(&self.name);
    }
}

async fn search(engine: &Arc<Engine>, name: &str) {
    let end = Instant::now() + LOOK_FOR;
    let mut pause = PAUSE_MIN;
    loop {
        let over = Instant::now() >= end;
        match look(engine, name).await {
            Look::Settled => return,
            Look::Absent if over => return,
            Look::Again(why) if over => {
                warn!(target: "sluice::client", claim = name, why, "not released: its lease will run out");
                return;
            }
            Look::Absent | Look::Again(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

async fn look(engine: &Arc<Engine>, name: &str) -> Look {
    if engine.follower(name).is_some() {
        // A later acquisition of the same id has it.
        return Look::Settled;
    }
    let found = match engine.store().get(name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Look::Absent,
        Err(error) => return Look::Again(error.to_string()),
    };
    if is_over(&found, engine.session()) || engine.is_settled(&found.uid) {
        return Look::Settled;
    }
    let at = ClaimAt {
        name: name.to_owned(),
        uid: found.uid.clone(),
        session: engine.session().to_owned(),
    };
    match engine.store().release(&at).await {
        Ok(_) | Err(StoreError::NotFound(_)) => {
            debug!(target: "sluice::client", claim = name, "released a claim that nobody wants");
            engine.note_done(&found.uid);
            Look::Settled
        }
        Err(error) => Look::Again(error.to_string()),
    }
}

/// Whether there is nothing for us to release: it is somebody else's, or on its way out.
pub(super) fn is_over(claim: &ClaimVersion, session: &str) -> bool {
    claim.spec.session != session
        || claim.spec.release
        || claim.deleting
        || claim.status.phase.is_final()
}
