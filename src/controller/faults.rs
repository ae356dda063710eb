//! Faults on purpose, for tests: a transport around the real one that crashes, loses answers or
//! answers with conflicts, as the environment says.
//!
//! Only debug builds read the environment; a release build has no such switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::kube_transport::Shared;
use super::transport::{
    Address, Failure, Kind, NewEvent, Object, Part, PatchOperation, PodMetadata, Transport, Watched,
};
use crate::election::{LeaseNews, LeaseObject, Record};
use crate::ledger::{ChildWrite, Name, StatusWrite};

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
    Arc::new(Faulty {
        transport,
        crash_after,
        lose,
        conflicts,
        writes: AtomicU64::new(0),
        statuses: AtomicU64::new(0),
    })
}

struct Faulty {
    transport: Shared,
    crash_after: Option<u64>,
    lose: Option<u64>,
    conflicts: Option<u64>,
    writes: AtomicU64,
    statuses: AtomicU64,
}

impl Faulty {
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

#[async_trait]
impl Transport for Faulty {
    async fn get(&self, at: &Address) -> Result<Option<Object>, Failure> {
        self.transport.get(at).await
    }

    async fn list(&self, kind: Kind, namespace: Option<&Name>) -> Result<Vec<Object>, Failure> {
        self.transport.list(kind, namespace).await
    }

    fn watch(&self, kind: Kind, namespace: Option<&Name>) -> BoxStream<'static, Watched> {
        self.transport.watch(kind, namespace)
    }

    async fn write_child(&self, write: &ChildWrite) -> Result<Option<Object>, Failure> {
        self.applied(self.transport.write_child(write).await)
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        let count = self.statuses.fetch_add(1, Ordering::SeqCst) + 1;
        if self
            .conflicts
            .is_some_and(|every| every > 0 && count.is_multiple_of(every))
        {
            return Err(Failure::Conflict("a conflict on purpose".to_owned()));
        }
        self.applied(self.transport.replace_status(write).await)
    }

    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        self.applied(self.transport.patch(at, part, operations).await)
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure> {
        self.transport.create_event(event).await
    }

    async fn page_pods(
        &self,
        namespace: Option<&Name>,
        after: Option<String>,
    ) -> Result<(Vec<PodMetadata>, Option<String>), Failure> {
        self.transport.page_pods(namespace, after).await
    }

    async fn get_lease(&self, at: &Address) -> Result<Option<LeaseObject>, Failure> {
        self.transport.get_lease(at).await
    }

    async fn create_lease(&self, at: &Address, record: &Record) -> Result<LeaseObject, Failure> {
        self.transport.create_lease(at, record).await
    }

    async fn replace_lease(
        &self,
        at: &Address,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, Failure> {
        self.transport.replace_lease(at, base, record).await
    }

    fn watch_lease(&self, at: &Address) -> BoxStream<'static, LeaseNews> {
        self.transport.watch_lease(at)
    }

    fn server_micros(&self) -> u64 {
        self.transport.server_micros()
    }
}
