//! Clients of a world, and what users see of claims.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Api;
use kube::api::ListParams;
use sluice::api::SlotClaim;
use sluice::client::{Client, ClientBuilder, Event};

use crate::support::World;

/// The shortest lease, so that what waits for its end does not wait for long.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// A builder with this world's configuration and namespace.
pub(super) fn builder(world: &World) -> ClientBuilder {
    Client::builder()
        .config(world.plane().config())
        .namespace(world.namespace())
        .lease(LEASE)
}

/// A client, as another process would have one.
pub(super) async fn client(world: &World) -> Client {
    builder(world).connect().await.unwrap()
}

/// Events that were told.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    /// A listener that keeps them.
    pub(super) fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let all = Arc::clone(&self.0);
        move |event| all.lock().unwrap().push(event.clone())
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

/// All claims of the namespace.
pub(super) async fn claims(world: &World) -> Vec<SlotClaim> {
    let claims: Api<SlotClaim> = Api::namespaced(world.client(), world.namespace());
    claims.list(&ListParams::default()).await.unwrap().items
}

/// Waits until nothing is held of a limit, nobody waits, and no claim is there that has not ended.
pub(super) async fn empty(world: &World, limit: &str) {
    world
        .eventually(&format!("limit {limit} empty, no claim left"), async || {
            let pool = world.limit_now(limit).await;
            let live = claims(world).await.into_iter().filter(|claim| {
                !claim
                    .status
                    .as_ref()
                    .is_some_and(|status| status.phase.is_final())
            });
            pool.holders().is_empty() && live.count() == 0
        })
        .await;
    assert!(!world.crashed(), "the controller has ended");
}
