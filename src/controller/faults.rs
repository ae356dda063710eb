//! Faults on purpose, for tests: a transport around the real one that crashes, loses answers or
//! answers with conflicts, as the environment says.
//!
//! Only debug builds read the environment; a release build has no such switch.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::around::{Around, Say, Write};
use super::kube_transport::Shared;
use super::transport::Failure;

/// Abort the process right after this many writes have been applied.
const CRASH_AFTER_WRITES: &str = "SLUICE_FAULT_CRASH_AFTER_WRITES";
/// Lose the answer of every so-manieth write that was applied.
const LOSE_ANSWERS: &str = "SLUICE_FAULT_LOSE_ANSWERS";
/// Answer every so-manieth status write with a conflict, without sending it.
const CONFLICTS: &str = "SLUICE_FAULT_CONFLICTS";

/// Puts the faults that the environment asks for around a transport.
pub(super) fn around(transport: Shared) -> Shared {
    if !cfg!(debug_assertions) {
        return transport;
    }
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let faults = (
        number(CRASH_AFTER_WRITES),
        number(LOSE_ANSWERS),
        number(CONFLICTS),
    );
    if faults == (None, None, None) {
        return transport;
    }
    let (crash_after, lose, conflicts) = faults;
    let say = Faulty {
        crash_after,
        lose,
        conflicts,
        writes: AtomicU64::new(0),
        statuses: AtomicU64::new(0),
    };
    Arc::new(Around { transport, say })
}

struct Faulty {
    crash_after: Option<u64>,
    lose: Option<u64>,
    conflicts: Option<u64>,
    writes: AtomicU64,
    statuses: AtomicU64,
}

impl Faulty {
    /// This status write is one of those that are not sent.
    fn conflicts_now(&self) -> bool {
        let count = self.statuses.fetch_add(1, Ordering::SeqCst) + 1;
        self.conflicts
            .is_some_and(|every| every > 0 && count.is_multiple_of(every))
    }

    /// A write was answered: the process may end here, or the answer may be lost.
    fn applied<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        let answer = answer?;
        let count = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if self.crash_after == Some(count) {
            std::process::abort();
        }
        if self
            .lose
            .is_some_and(|every| every > 0 && count.is_multiple_of(every))
        {
            return Err(Failure::Unknown(
                "the answer was lost on purpose".to_owned(),
            ));
        }
        Ok(answer)
    }
}

impl Say for Faulty {
    async fn pass<T: Send>(
        &self,
        what: Write,
        request: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        match what {
            // Nothing depends on events.
            Write::Event => request.await,
            Write::Status if self.conflicts_now() => {
                Err(Failure::Conflict("a conflict on purpose".to_owned()))
            }
            Write::Child | Write::Status | Write::Patch => self.applied(request.await),
        }
    }
}
