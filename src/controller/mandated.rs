//! The transport of a controller that stands for election: no write leaves it without a mandate, and none
//! may take longer than the mandate lasts.
//!
//! Reads pass, and so do requests about the Lease itself, which is what mandates are made of. A write that
//! was cut off has an unknown outcome, as any other without an answer. Decides nothing about slots.

use std::future::Future;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::kube_transport::Shared;
use super::transport::{
    Address, Failure, Kind, NewEvent, Object, Part, PatchOperation, PodMetadata, Transport, Watched,
};
use crate::election::{LeaseNews, LeaseObject, MandateSeen, Record};
use crate::ledger::{ChildWrite, Name, StatusWrite};

pub(super) struct Mandated {
    transport: Shared,
    mandate: MandateSeen,
}

impl Mandated {
    pub(super) fn new(transport: Shared, mandate: MandateSeen) -> Self {
        Self { transport, mandate }
    }

    async fn write<T>(
        &self,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(left) = self.mandate.left() else {
            return Err(Failure::Refused(
                "not sent: this process does not lead".to_owned(),
            ));
        };
        match tokio::time::timeout(left, request).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Unknown(
                "none before this process's mandate ended".to_owned(),
            )),
        }
    }
}

#[async_trait]
impl Transport for Mandated {
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
        self.write(self.transport.write_child(write)).await
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        self.write(self.transport.replace_status(write)).await
    }

    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        self.write(self.transport.patch(at, part, operations)).await
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure> {
        self.write(self.transport.create_event(event)).await
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
