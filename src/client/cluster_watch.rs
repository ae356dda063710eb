//! The watch of a session's claims on an API server: list, then watch from there, for ever.
//!
//! It is begun anew where the server has forgotten the place, and continued where a connection ended. What it misses
//! meanwhile is made up for by `Caught` after the next list, and by the looks of `follow`. No watcher of
//! `kube-runtime`: the SDK compiles no controller's library.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use tokio::time::timeout;

use super::store::Watched;
use crate::api::SlotClaim;

/// How long the server keeps one watch, in seconds.
const WATCH_SECONDS: u32 = 240;
/// After how long without a word, bookmarks included, a connection counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(270);
/// Longest that a list, or the begin of a watch, may take.
const BEGIN_MAX: Duration = Duration::from_secs(15);
/// First pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What the server answers when it has forgotten a version.
const GONE: u16 = 410;

type Events = BoxStream<'static, kube::Result<WatchEvent<SlotClaim>>>;

struct Watch {
    claims: Api<SlotClaim>,
    labels: String,
    /// The version up to which all was shown; without one, all is listed.
    from: Option<String>,
    events: Option<Events>,
    ready: VecDeque<Watched>,
    pause: Duration,
}

/// Shows all claims with these labels, and what becomes of them.
pub(super) fn watch(claims: Api<SlotClaim>, labels: String) -> BoxStream<'static, Watched> {
    let watch = Watch {
        claims,
        labels,
        from: None,
        events: None,
        ready: VecDeque::new(),
        pause: PAUSE_MIN,
    };
    words(watch).boxed()
}

fn words(watch: Watch) -> impl Stream<Item = Watched> + Send {
    futures::stream::unfold(watch, async |mut watch| {
        let word = watch.next().await;
        Some((word, watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Watched {
        loop {
            if let Some(word) = self.ready.pop_front() {
                return word;
            }
            let went = match (&self.from, self.events.as_mut()) {
                (None, _) => self.list().await,
                (Some(from), None) => {
                    let from = from.clone();
                    self.begin(&from).await
                }
                (Some(_), Some(events)) => {
                    let event = timeout(SILENCE_MAX, events.next()).await;
                    self.take(event.unwrap_or(None))
                }
            };
            if let Err(why) = went {
                self.events = None;
                let pause = self.pause.mul_f64(0.5 + fastrand::f64());
                self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
                self.ready.push_back(Watched::Broken(why));
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn list(&mut self) -> Result<(), String> {
        let params = ListParams::default().labels(&self.labels);
        let listed = timeout(BEGIN_MAX, self.claims.list(&params)).await;
        let listed = listed.map_err(|_| "the list was not answered".to_owned())?;
        let listed = listed.map_err(|error| error.to_string())?;
        self.from = listed.metadata.resource_version;
        for claim in listed.items {
            self.ready
                .push_back(Watched::Version(Box::new(claim.into())));
        }
        self.ready.push_back(Watched::Caught);
        Ok(())
    }

    async fn begin(&mut self, from: &str) -> Result<(), String> {
        let params = WatchParams::default()
            .labels(&self.labels)
            .timeout(WATCH_SECONDS);
        let begun = timeout(BEGIN_MAX, self.claims.watch(&params, from)).await;
        match begun.map_err(|_| "the watch was not answered".to_owned())? {
            Ok(events) => {
                self.events = Some(events.boxed());
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn take(&mut self, event: Option<kube::Result<WatchEvent<SlotClaim>>>) -> Result<(), String> {
        let (claim, gone) = match event {
            // Its time is over, or nothing was heard: it goes on from where it was.
            None => {
                self.events = None;
                return Ok(());
            }
            Some(Err(error)) => return Err(self.failed(&error)),
            Some(Ok(WatchEvent::Error(status))) => {
                self.from = self.from.take().filter(|_| status.code != GONE);
                return Err(status.message.clone());
            }
            Some(Ok(WatchEvent::Bookmark(mark))) => {
                self.from = Some(mark.metadata.resource_version);
                return Ok(());
            }
            Some(Ok(WatchEvent::Added(claim) | WatchEvent::Modified(claim))) => (claim, false),
            Some(Ok(WatchEvent::Deleted(claim))) => (claim, true),
        };
        self.pause = PAUSE_MIN;
        if let Some(version) = &claim.metadata.resource_version {
            self.from = Some(version.clone());
        }
        self.ready.push_back(if gone {
            Watched::Gone {
                name: claim.metadata.name.unwrap_or_default(),
                uid: claim.metadata.uid.unwrap_or_default(),
            }
        } else {
            Watched::Version(Box::new(claim.into()))
        });
        Ok(())
    }

    fn failed(&mut self, error: &kube::Error) -> String {
        if matches!(error, kube::Error::Api(status) if status.code == GONE) {
            self.from = None;
        }
        error.to_string()
    }
}
