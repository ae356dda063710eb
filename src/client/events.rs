//! What happened to acquisitions, for whoever keeps count: by callback, and as `tracing` events of target
//! `sluice::client`.
//!
//! A callback runs on a thread of its own and never holds up a renewal; if it falls behind by more than
//! [`EVENTS_MAX`] events, further ones are counted as missed and said in the log.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use tracing::{Level, info, warn};

use super::lease::Loss;

/// Most events that wait for a callback.
const EVENTS_MAX: usize = 1024;

/// Something that happened to an acquisition.
///
/// ```
/// let builder = sluice::client::Client::builder().on_event(|event| println!("{event:?}"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Number of the event in this client, from 1.
    pub id: u64,
    /// When it happened.
    pub at: SystemTime,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim, once it has one.
    pub uid: Option<String>,
    /// What was asked for.
    pub request: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
///
/// ```
/// use sluice::client::{Client, EventKind};
///
/// let builder = Client::builder().on_event(|event| match &event.kind {
///     EventKind::Acquired { waited } => println!("{}: {} waited {waited:?}", event.id, event.request),
///     EventKind::Released { held, follows } => println!("held {held:?} since event {follows}"),
///     other => println!("{other:?}"),
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// It is held from now on.
    Acquired {
        /// How long it waited.
        waited: Duration,
    },
    /// It was given back.
    Released {
        /// How long it was held.
        held: Duration,
        /// Number of its `Acquired` event.
        follows: u64,
    },
    /// It waited as long as it was willing to.
    TimedOut {
        /// How long it waited.
        waited: Duration,
    },
    /// It is held no more, and was not given back.
    Lost {
        /// How.
        loss: Loss,
        /// How long it was held.
        held: Duration,
        /// Number of its `Acquired` event.
        follows: u64,
    },
}

/// A callback for events.
pub(super) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Where events go.
pub(super) struct Events {
    last: AtomicU64,
    missed: AtomicU64,
    lane: Option<SyncSender<Event>>,
}

impl Events {
    /// Starts the callback's thread, if there is one.
    pub(super) fn start(listener: Option<Listener>) -> std::io::Result<Self> {
        let lane = match listener {
            Some(listener) => {
                let (lane, events) = sync_channel(EVENTS_MAX);
                std::thread::Builder::new()
                    .name("sluice-events".to_owned())
                    .spawn(move || tell(&events, &listener))?;
                Some(lane)
            }
            None => None,
        };
        Ok(Self {
            last: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            lane,
        })
    }

    /// Whether anybody would be told of an event.
    fn is_heard(&self) -> bool {
        self.lane.is_some()
            || tracing::enabled!(target: "sluice::client", Level::WARN)
            || tracing::enabled!(target: "sluice::client", Level::INFO)
    }

    /// Tells of an event; gives its number. What happened, and for how long, is asked only where somebody hears of it.
    pub(super) fn emit(
        &self,
        claim: &str,
        uid: Option<&str>,
        request: &str,
        kind: impl FnOnce() -> EventKind,
    ) -> u64 {
        let id = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if !self.is_heard() {
            return id;
        }
        let kind = kind();
        trace(id, claim, request, &kind);
        if let Some(lane) = &self.lane {
            let event = Event {
                id,
                at: SystemTime::now(),
                claim: claim.to_owned(),
                uid: uid.map(str::to_owned),
                request: request.to_owned(),
                kind,
            };
            if let Err(TrySendError::Full(_)) = lane.try_send(event) {
                let missed = self.missed.fetch_add(1, Ordering::Relaxed);
                if missed.is_power_of_two() || missed == 0 {
                    warn!(target: "sluice::client", missed, "the event callback is too slow: events are missed");
                }
            }
        }
        id
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

fn tell(events: &Receiver<Event>, listener: &Listener) {
    for event in events {
        // A callback that panics is the caller's fault; the next event is told all the same.
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(&event)));
        if told.is_err() {
            warn!(target: "sluice::client", id = event.id, "the event callback panicked");
        }
    }
}

fn trace(id: u64, claim: &str, request: &str, kind: &EventKind) {
    match kind {
        EventKind::Acquired { waited } => {
            info!(target: "sluice::client", id, claim, request, waited_seconds = waited.as_secs_f64(), "acquired");
        }
        EventKind::Released { held, follows } => {
            info!(target: "sluice::client", id, claim, request, held_seconds = held.as_secs_f64(), follows, "released");
        }
        EventKind::TimedOut { waited } => {
            info!(target: "sluice::client", id, claim, request, waited_seconds = waited.as_secs_f64(), "timed out");
        }
        EventKind::Lost {
            loss,
            held,
            follows,
        } => {
            warn!(
                target: "sluice::client", id, claim, request, held_seconds = held.as_secs_f64(), follows, %loss, "lost"
            );
        }
    }
}
