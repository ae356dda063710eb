//! A transport around another one, for whoever has a say in each write: reads, watches and what concerns the Lease pass as
//! they are. Decides nothing; who has a say is in `mandated` and `faults`, and is tested there.

use std::future::Future;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::kube_transport::Shared;
use super::transport::{
    Address, Failure, Kind, NewEvent, Object, Part, PatchOperation, PodMetadata, Transport, Watched,
};
use crate::election::{LeaseNews, LeaseObject, Record};
use crate::ledger::{ChildWrite, ClaimDeletion, Name, StatusWrite};

/// What a write is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Write {
    /// Of a derived limit.
    Child,
    /// Of a status.
    Status,
    /// A patch.
    Patch,
    /// An event.
    Event,
}

/// Has a say in each write.
pub(super) trait Say: Send + Sync + 'static {
    /// Sends the request, or does not; gives its answer, or says something else.
    fn pass<T: Send>(
        &self,
        what: Write,
        request: impl Future<Output = Result<T, Failure>> + Send,
    ) -> impl Future<Output = Result<T, Failure>> + Send;
}

/// A transport with somebody around it.
pub(super) struct Around<S> {
    pub(super) transport: Shared,
    pub(super) say: S,
}

#[async_trait]
impl<S: Say> Transport for Around<S> {
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
        let request = self.transport.write_child(write);
        self.say.pass(Write::Child, request).await
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        let request = self.transport.replace_status(write);
        self.say.pass(Write::Status, request).await
    }

    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        let request = self.transport.patch(at, part, operations);
        self.say.pass(Write::Patch, request).await
    }

    async fn delete_claim(&self, deletion: &ClaimDeletion) -> Result<(), Failure> {
        let request = self.transport.delete_claim(deletion);
        self.say.pass(Write::Patch, request).await
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure> {
        let request = self.transport.create_event(event);
        self.say.pass(Write::Event, request).await
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
