//! Acquisitions of a store in the same process, which decides while the caller asks: no task begins unless it has to wait.
//! Tested by `tests/embedded.rs`.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::oneshot;

use super::{Begin, Begun, Counted, Engine, random_name};
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
    ) -> Result<Begun, AcquireError> {
        let cancelled = begin.cancel.as_mut().and_then(|it| it.now_or_never());
        if cancelled.is_some() {
            return Err(AcquireError::Cancelled {
                request: begin.plan.shown,
            });
        }
        let name: Arc<str> = random_name("claim-").into();
        let since = self.now();
        let hold = Arc::new(Hold::new(Arc::clone(&self.clock), Arc::clone(&name)));
        let task = self.count(&hold)?;
        let takes = begin.plan.spec.kind == ClaimKind::RateLimit;
        let mut spec = begin.plan.spec;
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
                let (uid, shown) = (Some(id.as_str()), begin.plan.shown);
                let event = self.events.emit(hold.name(), uid, &shown, || {
                    let waited = self.now().at_most_since(since);
                    EventKind::Acquired { waited }
                });
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
                Ok(Begun {
                    slots: Slots::of(hold, Arc::clone(self)),
                    answer: None,
                })
            }
            AtOnce::Waits(id, mut spec) => {
                spec.user.clear();
                spec.session.clear();
                begin.plan.spec = spec;
                self.listen_to_watch();
                let counted = Counted {
                    engine: Arc::clone(self),
                    task,
                };
                let (reply, answer) = oneshot::channel();
                let go_on = follow::go_on(counted, Arc::clone(&hold), begin, reply, id, since);
                self.handle.spawn(go_on);
                Ok(Begun {
                    slots: Slots::of(hold, Arc::clone(self)),
                    answer: Some(answer),
                })
            }
        }
    }

    /// What was held directly has ended; whether it had not before.
    pub(in crate::client) fn end_direct(&self, task: u64) -> bool {
        self.inner().tasks.remove(&task).is_some()
    }
}
