//! Acquisitions of a store in the same process, which decides while the caller asks: no task begins unless it has to wait.
//! Tested by `tests/embedded.rs`.

use std::sync::Arc;

use futures::FutureExt as _;

use super::{Begin, Counted, Engine, random_name};
use crate::api::claim::ClaimKind;
use crate::client::direct::{AtOnce, Direct, Holder};
use crate::client::error::AcquireError;
use crate::client::events::EventKind;
use crate::client::follow;
use crate::client::hold::{DirectHold, Hold, Wish};
use crate::client::slots::Slots;
use crate::client::store::NewClaim;

/// The one user of a store in the same process.
const DIRECT_USER: &str = "embedded";

impl Engine {
    /// Begins an acquisition with a store that decides at once; one that has to wait goes on like any other.
    pub(super) fn begin_at_once(
        self: &Arc<Self>,
        direct: &dyn Direct,
        mut begin: Begin,
    ) -> Result<Slots, AcquireError> {
        let cancelled = begin.cancel.as_mut().and_then(|it| it.now_or_never());
        if cancelled.is_some() {
            return Err(AcquireError::Cancelled {
                request: begin.plan.shown,
            });
        }
        let name = random_name("claim-");
        let since = self.now();
        let hold = Arc::new(Hold::new(Arc::clone(&self.clock), &name));
        let task = self.count(&hold)?;
        let mut spec = begin.plan.spec.clone();
        spec.session.clone_from(&self.session);
        spec.user = DIRECT_USER.to_owned();
        let holder: Arc<dyn Holder> = Arc::clone(&hold) as _;
        let claimed = match direct.claim(NewClaim { name, spec }, holder) {
            Ok(claimed) => claimed,
            Err(error) => {
                self.end_direct(task);
                let shown = &begin.plan.shown;
                return Err(AcquireError::Invalid(format!("{shown}: {error}")));
            }
        };
        match claimed {
            AtOnce::Granted(id) => {
                let takes = begin.plan.spec.kind == ClaimKind::RateLimit;
                let waited = self.now().at_most_since(since);
                let (uid, kind) = (Some(id.as_str()), EventKind::Acquired { waited });
                let shown = begin.plan.shown;
                let event = self.events.emit(hold.name(), uid, &shown, kind);
                // What is taken for a rate is never told as released.
                hold.set_acquired_event(if takes { 0 } else { event });
                hold.begin_direct(DirectHold {
                    engine: Arc::downgrade(self),
                    task,
                    id,
                    shown,
                    since,
                });
                if takes {
                    // Nothing is held: what was taken stays taken.
                    hold.wish(Wish::Release);
                }
                // Whoever asked is on this thread, and listens.
                let _ = begin.reply.send(Ok(()));
            }
            AtOnce::Waits(id) => {
                self.listen_to_watch();
                let counted = Counted {
                    engine: Arc::clone(self),
                    task,
                };
                let hold = Arc::clone(&hold);
                self.handle
                    .spawn(follow::go_on(counted, hold, begin, id, since));
            }
        }
        Ok(Slots::of(hold, Arc::clone(self)))
    }

    /// What was held directly has ended; whether it had not before.
    pub(in crate::client) fn end_direct(&self, task: u64) -> bool {
        self.inner().tasks.remove(&task).is_some()
    }
}
