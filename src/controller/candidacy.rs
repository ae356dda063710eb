//! The controller's side of the election: the Lease as a store over the transport, and what a controller
//! holds while it stands: its mandate, and the strings by which it says that it is warm, or leaves.
//!
//! Whether and when to lead is decided in `election`. A controller without election leads at once, in the
//! first epoch that every status lets it write.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::config::Election;
use super::events::EventLane;
use super::kube_transport::Shared;
use super::transport::{Address, Failure, Kind, NewEvent, Regarding};
use crate::election::{
    Ballot, LeaseFailure, LeaseNews, LeaseObject, LeaseStore, Loss, MandateSeen, Record, stand,
};
use crate::ledger::{Epoch, Name};

/// One Lease, through the transport.
struct Store {
    transport: Shared,
    at: Address,
}

fn lease_failure(failure: Failure) -> LeaseFailure {
    match failure {
        // A Lease that is gone has changed as well.
        Failure::Conflict(message) | Failure::NotFound(message) => LeaseFailure::Conflict(message),
        other => LeaseFailure::Failed(other.to_string()),
    }
}

#[async_trait]
impl LeaseStore for Store {
    async fn get(&self) -> Result<Option<LeaseObject>, LeaseFailure> {
        let answer = self.transport.get_lease(&self.at).await;
        answer.map_err(lease_failure)
    }

    async fn create(&self, record: &Record) -> Result<LeaseObject, LeaseFailure> {
        let answer = self.transport.create_lease(&self.at, record).await;
        answer.map_err(lease_failure)
    }

    async fn replace(
        &self,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, LeaseFailure> {
        let answer = self.transport.replace_lease(&self.at, base, record).await;
        answer.map_err(lease_failure)
    }

    fn watch(&self) -> BoxStream<'static, LeaseNews> {
        self.transport.watch_lease(&self.at)
    }

    fn wall_micros(&self) -> i64 {
        i64::try_from(self.transport.server_micros()).unwrap_or(i64::MAX)
    }
}

/// A controller that stands for election.
pub(super) struct Candidacy {
    /// Its mandate.
    pub(super) mandate: MandateSeen,
    /// How it ends; the task runs on its own, so that a long pass of the ledger costs no renewal.
    standing: JoinSet<Loss>,
    leave: watch::Sender<bool>,
}

impl Candidacy {
    /// Stands from now on; leads no sooner than `warm` is true.
    pub(super) fn begin(
        election: &Election,
        process: &str,
        transport: &Shared,
        warm: watch::Receiver<bool>,
        needed: watch::Receiver<u64>,
    ) -> Self {
        let store = Store {
            transport: Arc::clone(transport),
            at: address(election),
        };
        let (mandate, seen) = watch::channel(None);
        let (leave, leaving) = watch::channel(false);
        let identity = match &election.host {
            Some(host) => format!("{host}_{process}"),
            None => process.to_owned(),
        };
        let ballot = Ballot {
            identity,
            timing: election.timing,
            warm,
            needed,
            leave: leaving,
            mandate,
        };
        let mut standing = JoinSet::new();
        standing.spawn(stand(store, ballot));
        Self {
            mandate: MandateSeen::new(seen),
            standing,
            leave,
        }
    }

    /// Waits until it is over; `None` when the task itself broke.
    pub(super) async fn ended(&mut self) -> Option<Loss> {
        self.standing.join_next().await?.ok()
    }

    /// Leaves in good order, so that somebody else need not wait.
    pub(super) async fn leave(&mut self) {
        self.leave.send_replace(true);
        self.ended().await;
    }
}

/// Says by an event on the Lease who leads from now on, and in which term: at each beginning, and when a term was
/// raised because the Lease was deleted or a status showed a later one.
pub(super) async fn announce(
    transport: Shared,
    at: Address,
    process: Name,
    mut terms: Receiver<Epoch>,
    lane: EventLane,
) {
    let mut told = ("LeaderElected", "leads");
    while let Some(Epoch(epoch)) = terms.recv().await {
        let (reason, how) = std::mem::replace(&mut told, ("TermRaised", "goes on leading"));
        // Without its uid, `kubectl describe` would not find the event.
        let Ok(Some(lease)) = transport.get_lease(&at).await else {
            continue;
        };
        let uid = lease.rest.pointer("/metadata/uid").and_then(Value::as_str);
        lane.offer_new(NewEvent {
            namespace: at.namespace.clone().unwrap_or_else(|| "".into()),
            regarding: Regarding::Lease(at.name.clone(), uid.unwrap_or_default().into()),
            warning: false,
            reason,
            note: format!("controller {process} {how} in term {epoch}"),
        });
    }
}

/// The Lease of an election.
pub(super) fn address(election: &Election) -> Address {
    Address {
        kind: Kind::Lease,
        namespace: Some(election.namespace.as_str().into()),
        name: election.name.as_str().into(),
    }
}

/// Waits for the end of a candidacy; for ever where there is none.
pub(super) async fn ended(candidacy: &mut Option<Candidacy>) -> Option<Loss> {
    match candidacy {
        Some(candidacy) => candidacy.ended().await,
        None => std::future::pending().await,
    }
}
