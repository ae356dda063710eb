//! The modelled server without a world around it: every call is served at once. For the contract tests, which run the same
//! bodies against it and against a real control plane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use sluice::controller::transport::{Kind, Watched};
use sluice::election::LeaseNews;
use sluice::ledger::Name;

use crate::server::{Call, Server};
use crate::transport::{Answer, Way};

/// The way that ends in the modelled server itself.
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
}

impl Way for Direct {
    async fn ask(&self, call: Call) -> Answer {
        self.server().serve(0, &call)
    }

    fn watch(&self, kind: Kind, scope: Option<Name>) -> BoxStream<'static, Watched> {
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

    fn watch_lease(&self) -> BoxStream<'static, LeaseNews> {
        futures::stream::pending().boxed()
    }

    fn server_micros(&self) -> u64 {
        self.server().clock().0
    }
}
