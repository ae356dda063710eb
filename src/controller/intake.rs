//! From watches to commands: one task for each kind and namespace, plain watcher events, nothing
//! cached. A listing becomes one command that says it is complete; an object that cannot be understood
//! is logged and left out, and everything else goes on.

use std::collections::BTreeSet;

use futures::StreamExt;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::config::RELIST_EVERY;
use super::kube_transport::Shared;
use super::metrics::Metrics;
use super::transport::{Kind, Object, Watched};
use crate::ledger::{Command, HolderKind, Name, PoolKind, PoolObject, Uid};

/// What an intake sends: a command, or the word that its first list is complete.
#[derive(Debug)]
pub(super) enum News {
    /// Something happened.
    Happened(Command),
    /// The first list of one watch is complete.
    FirstList,
}

/// Watches one kind in one namespace, or in all, until nobody listens. Begins anew with a list from time to time: an event
/// that was lost on the way (watch caches have lost some) is found then.
pub(super) async fn watch(
    transport: Shared,
    kind: Kind,
    scope: Option<Name>,
    news: Sender<News>,
    metrics: Metrics,
) {
    let mut first = true;
    while !news.is_closed() {
        let relist_at = Instant::now() + RELIST_EVERY;
        let mut events = transport.watch(kind, scope.as_ref());
        let mut listing = Some(Listing::default());
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = sleep_until(relist_at), if listing.is_none() => break,
            };
            let Some(event) = event else { return };
            let complete = event == Watched::ListEnd;
            let commands = match event {
                Watched::Listing => {
                    listing = Some(Listing::default());
                    Vec::new()
                }
                Watched::Listed(object) => {
                    let list = listing.get_or_insert_default();
                    list.take(object).into_iter().collect()
                }
                Watched::ListEnd => listing
                    .take()
                    .unwrap_or_default()
                    .finish(kind, scope.clone()),
                Watched::Seen(object) => seen(object).into_iter().collect(),
                Watched::Gone(object) => gone(object).into_iter().collect(),
                Watched::Broken(why) => {
                    metrics.watch_failed(kind.word());
                    warn!(?kind, %why, "a watch met something it cannot use, and goes on");
                    continue;
                }
            };
            for command in commands {
                if news.send(News::Happened(command)).await.is_err() {
                    return;
                }
            }
            if complete && std::mem::take(&mut first) && news.send(News::FirstList).await.is_err() {
                return;
            }
        }
    }
}

/// What a list has brought so far.
#[derive(Default)]
struct Listing {
    pools: Vec<PoolObject>,
    requests: BTreeSet<Uid>,
}

impl Listing {
    fn take(&mut self, object: Object) -> Option<Command> {
        match object {
            Object::Pool(pool) => {
                self.pools.push(*pool);
                None
            }
            Object::Request(view) => {
                self.requests.insert(view.uid.clone());
                Some(Command::RequestRelisted(view))
            }
            other => seen(other),
        }
    }

    fn finish(self, kind: Kind, scope: Option<Name>) -> Vec<Command> {
        match kind {
            Kind::Limit => {
                vec![Command::PoolsListed {
                    kind: PoolKind::Limit,
                    scope,
                    objects: self.pools,
                }]
            }
            Kind::Lock => {
                vec![Command::PoolsListed {
                    kind: PoolKind::Lock,
                    scope,
                    objects: self.pools,
                }]
            }
            Kind::Pod | Kind::Claim => vec![Command::RequestsRelisted {
                kind: match kind {
                    Kind::Claim => HolderKind::Claim,
                    _ => HolderKind::Pod,
                },
                scope,
                present: self.requests,
            }],
            Kind::Namespace | Kind::Node | Kind::PolicyBinding | Kind::Lease => Vec::new(),
        }
    }
}

fn seen(object: Object) -> Option<Command> {
    match object {
        Object::Pool(pool) => Some(Command::PoolSeen(pool)),
        Object::Request(view) => Some(Command::RequestSeen(view)),
        Object::Namespace(name, labels) => Some(Command::NamespaceSeen {
            name,
            labels: Some(labels),
        }),
        Object::Node { .. } | Object::Other => None,
    }
}

fn gone(object: Object) -> Option<Command> {
    match object {
        Object::Pool(pool) => Some(Command::PoolDeleted(pool)),
        Object::Request(view) => Some(Command::RequestVanished(view)),
        Object::Namespace(name, _) => Some(Command::NamespaceSeen { name, labels: None }),
        Object::Node { .. } | Object::Other => None,
    }
}
