//! Events for people: a lane of their own, bounded and best effort. An event that finds the lane full
//! is dropped and counted; none ever stands in front of a grant.

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::debug;

use super::config::EVENTS_MAX;
use super::kube_transport::Shared;
use super::metrics::Metrics;
use super::transport::{NewEvent, Regarding};
use crate::ledger::{About, Event};

/// The way in.
#[derive(Clone)]
pub(super) struct EventLane {
    waiting: Sender<NewEvent>,
    metrics: Metrics,
}

/// Opens a lane; the second value is what [`send`] takes.
pub(super) fn lane(metrics: Metrics) -> (EventLane, Receiver<NewEvent>) {
    let (waiting, receiver) = channel(EVENTS_MAX);
    (EventLane { waiting, metrics }, receiver)
}

impl EventLane {
    /// Puts an event into the lane if there is room.
    pub(super) fn offer(&self, event: &Event) {
        let (namespace, regarding) = match &event.about {
            About::Request {
                kind,
                uid,
                namespace,
                name,
            } => (
                namespace.clone(),
                Regarding::Request(*kind, name.clone(), uid.clone()),
            ),
            About::Pool { key, uid } => (
                key.namespace.clone(),
                Regarding::Pool(key.clone(), uid.clone()),
            ),
        };
        let event = NewEvent {
            namespace,
            regarding,
            warning: event.warning,
            reason: event.reason,
            note: event.note.clone(),
        };
        self.offer_new(event);
    }

    /// Puts an event of the shell's own into the lane if there is room.
    pub(super) fn offer_new(&self, event: NewEvent) {
        if self.waiting.try_send(event).is_err() {
            self.metrics.dropped_event();
        }
    }
}

/// Sends what is in the lane, one at a time, until it is closed.
pub(super) async fn send(transport: Shared, mut waiting: Receiver<NewEvent>, metrics: Metrics) {
    while let Some(event) = waiting.recv().await {
        let answer = transport.create_event(&event).await;
        metrics.wrote("event", &answer);
        if let Err(failure) = answer {
            debug!(reason = event.reason, %failure, "an event was not taken");
        }
    }
}
