//! What the one watch of a client tells the tasks of its claims: the newest there is, and nothing else.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tracing::debug;

use super::engine::Engine;
use super::leftover;
use super::store::{ClaimVersion, Watched};

/// The newest word about a claim.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// This version.
    Version(Arc<ClaimVersion>),
    /// It may be gone, or the watch may have missed something: look.
    Look,
}

/// So many texts, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Few {
    most: usize,
    order: VecDeque<String>,
    all: HashSet<String>,
}

impl Few {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.all.contains(text)
    }

    pub(super) fn insert(&mut self, text: &str) {
        if text.is_empty() || !self.all.insert(text.to_owned()) {
            return;
        }
        self.order.push_back(text.to_owned());
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

/// Listens to the watch for as long as there is an engine.
pub(super) async fn listen(engine: Weak<Engine>, mut stream: BoxStream<'static, Watched>) {
    while let Some(watched) = stream.next().await {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        let works = !matches!(watched, Watched::Broken(_));
        engine.watch_works.store(works, Ordering::Relaxed);
        hear(&engine, watched);
    }
}

fn hear(engine: &Arc<Engine>, watched: Watched) {
    match watched {
        Watched::Version(version) => version_seen(engine, *version),
        Watched::Gone { name, .. } => {
            if let Some(news) = engine.follower(&name) {
                news.send_replace(Some(News::Look));
            }
        }
        Watched::Caught => {
            for news in engine.followers() {
                // What was shown just now is newer than the suspicion.
                news.send_if_modified(|news| {
                    let nothing = news.is_none();
                    if nothing {
                        *news = Some(News::Look);
                    }
                    nothing
                });
            }
        }
        Watched::Broken(why) => {
            debug!(target: "sluice::client", why, "the watch of claims is broken")
        }
    }
}

fn version_seen(engine: &Arc<Engine>, version: ClaimVersion) {
    if let Some(news) = engine.follower(&version.name) {
        news.send_if_modified(|news| {
            let newer = match news {
                Some(News::Version(known)) => {
                    known.uid != version.uid || known.version < version.version
                }
                Some(News::Look) | None => true,
            };
            if newer {
                *news = Some(News::Version(Arc::new(version)));
            }
            newer
        });
        return;
    }
    let ended = version.spec.release || version.deleting || version.status.phase.is_final();
    if version.spec.session == engine.session()
        && !ended
        && engine.is_stray(&version.name, &version.uid)
    {
        debug!(target: "sluice::client", claim = version.name, "a claim of ours that nobody wants");
        leftover::look_for(engine, &version.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut few = Few::new(2);
        for text in ["a", "b", "a", "c", ""] {
            few.insert(text);
        }
        assert!(!few.contains("a") && few.contains("b") && few.contains("c"));
        assert!(!few.contains(""));
    }
}
