//! The modelled server without a world around it: every call is served at once. For the contract tests, which run the same
//! bodies against it and against a real control plane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sluice::controller::transport::{
    Address, Failure, Kind, NewEvent, Object, Part, PatchOperation, PodMetadata, Transport, Watched,
};
use sluice::election::{LeaseNews, LeaseObject, Record};
use sluice::ledger::{ChildWrite, Name, StatusWrite};

use crate::server::{Call, Reply, Server};

/// A transport that ends in the modelled server itself.
#[derive(Clone)]
pub struct Direct {
    server: Arc<Mutex<Server>>,
}

impl Direct {
    /// To this server.
    pub fn new(server: Server) -> Self {
        let server = Arc::new(Mutex::new(server));
        Self { server }
    }

    /// The server.
    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, call: &Call) -> Result<Reply, Failure> {
        self.server().serve(0, call)
    }
}

fn astray<T>(reply: Reply) -> T {
    crate::bug(&format!("an answer went astray: {reply:?}"))
}

#[async_trait]
impl Transport for Direct {
    async fn get(&self, at: &Address) -> Result<Option<Object>, Failure> {
        match self.ask(&Call::Get(at.clone()))? {
            Reply::Found(found) => Ok(found),
            other => astray(other),
        }
    }

    async fn list(&self, kind: Kind, namespace: Option<&Name>) -> Result<Vec<Object>, Failure> {
        match self.ask(&Call::List(kind, namespace.cloned()))? {
            Reply::Listed(objects) => Ok(objects),
            other => astray(other),
        }
    }

    fn watch(&self, kind: Kind, namespace: Option<&Name>) -> BoxStream<'static, Watched> {
        let scope = namespace.cloned();
        let own = self.clone();
        let (length, listed) = {
            let server = self.server();
            (server.log.len(), server.list(kind, scope.as_ref()))
        };
        let list = [Watched::Listing]
            .into_iter()
            .chain(listed.into_iter().map(Watched::Listed))
            .chain([Watched::ListEnd]);
        let changes = futures::stream::unfold(length, move |mut at| {
            let (own, scope) = (own.clone(), scope.clone());
            async move {
                loop {
                    let event = {
                        let server = own.server();
                        let entry = server.log.get(at)?;
                        crate::world::shown(&server, kind, scope.as_ref(), &entry.change)
                    };
                    at += 1;
                    if let Some(event) = event {
                        return Some((event, at));
                    }
                }
            }
        });
        futures::stream::iter(list).chain(changes).boxed()
    }

    async fn write_child(&self, write: &ChildWrite) -> Result<Option<Object>, Failure> {
        match self.ask(&Call::Child(Box::new(write.clone())))? {
            Reply::Child(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        match self.ask(&Call::Status(Box::new(write.clone())))? {
            Reply::Written(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        match self.ask(&Call::Patch(at.clone(), part, operations.to_vec()))? {
            Reply::Written(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn create_event(&self, _event: &NewEvent) -> Result<(), Failure> {
        Ok(())
    }

    async fn page_pods(
        &self,
        namespace: Option<&Name>,
        _after: Option<String>,
    ) -> Result<(Vec<PodMetadata>, Option<String>), Failure> {
        match self.ask(&Call::Page(namespace.cloned()))? {
            Reply::Page(pods) => Ok((pods, None)),
            other => astray(other),
        }
    }

    async fn get_lease(&self, _at: &Address) -> Result<Option<LeaseObject>, Failure> {
        match self.ask(&Call::GetLease)? {
            Reply::Lease(lease) => Ok(lease),
            other => astray(other),
        }
    }

    async fn create_lease(&self, _at: &Address, record: &Record) -> Result<LeaseObject, Failure> {
        match self.ask(&Call::PutLease(None, record.clone()))? {
            Reply::Lease(Some(lease)) => Ok(lease),
            other => astray(other),
        }
    }

    async fn replace_lease(
        &self,
        _at: &Address,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, Failure> {
        match self.ask(&Call::PutLease(Some(base.version), record.clone()))? {
            Reply::Lease(Some(lease)) => Ok(lease),
            other => astray(other),
        }
    }

    fn watch_lease(&self, _at: &Address) -> BoxStream<'static, LeaseNews> {
        futures::stream::pending().boxed()
    }

    fn server_micros(&self) -> u64 {
        self.server().clock().0
    }
}
