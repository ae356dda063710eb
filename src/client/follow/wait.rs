//! Waiting for the grant: by the watch, and by a look now and then for what it misses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::debug;

use super::Follow;
use crate::api::claim::ClaimPhase;
use crate::client::error::AcquireError;
use crate::client::establish::bounded;
use crate::client::news::News;
use crate::client::store::ClaimVersion;

/// How long between two looks at a claim that waits, while the watch works.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The same while the watch does not work.
const LOOK_BLIND_EVERY: Duration = Duration::from_secs(2);

/// How waiting for the grant ended.
pub(super) enum Waited {
    Granted(Arc<ClaimVersion>),
    /// It came to nothing, and is over on the server as well.
    Over,
    /// Nobody waits any more.
    GaveUp,
}

impl Follow {
    /// Waits until the claim is granted or over, or nobody waits for it.
    pub(super) async fn wait(&mut self, mut claim: Arc<ClaimVersion>) -> Waited {
        let mut looked = Instant::now();
        loop {
            if let Some(over) = self.judge(&claim) {
                return over;
            }
            let every = if self.engine.watch_works.load(Ordering::Relaxed) {
                LOOK_EVERY
            } else {
                LOOK_BLIND_EVERY
            };
            let next_look = looked + every.mul_f64(0.8 + 0.4 * fastrand::f64());
            let mut look = false;
            tokio::select! {
                biased;
                why = self.caller.impatient() => {
                    self.caller.give_up(why);
                    return Waited::GaveUp;
                }
                news = next_news(&mut self.news) => match news {
                    News::Version(version) => {
                        if version.uid == self.at.uid && version.version >= claim.version {
                            claim = version;
                        }
                    }
                    News::Look => look = true,
                },
                () = tokio::time::sleep_until(next_look.into()) => look = true,
            }
            if look {
                looked = Instant::now();
                let answer = bounded(&self.engine, self.engine.store().get(&self.at.name));
                match self.caller.attend(answer).await {
                    Ok(Some(found)) if found.uid == self.at.uid => claim = Arc::new(found),
                    Ok(_) => {
                        let gone =
                            format!("{}: its claim was deleted while it waited", self.plan.shown);
                        self.caller.fail(AcquireError::Unavailable(gone));
                        return Waited::Over;
                    }
                    Err(error) => {
                        debug!(target: "sluice::client", %error, "no look at a claim that waits")
                    }
                }
                if self.caller.has_given_up() {
                    return Waited::GaveUp;
                }
            }
        }
    }

    /// What a version of a claim that waits has come to.
    fn judge(&mut self, claim: &Arc<ClaimVersion>) -> Option<Waited> {
        if claim.spec.session != self.at.session {
            self.caller.fail(AcquireError::IdConflict {
                id: self.at.name.clone(),
                detail: "another process has taken it over".to_owned(),
            });
            return Some(Waited::Over);
        }
        let status = &claim.status;
        match status.phase {
            ClaimPhase::Pending if claim.spec.release || claim.deleting => {
                let why = format!(
                    "{}: its claim was released by somebody else",
                    self.plan.shown
                );
                self.caller.fail(AcquireError::Unavailable(why));
            }
            ClaimPhase::Pending if self.caller.has_given_up() => return Some(Waited::GaveUp),
            ClaimPhase::Pending => return None,
            ClaimPhase::Granted if self.caller.has_given_up() => return Some(Waited::GaveUp),
            ClaimPhase::Granted => return Some(Waited::Granted(Arc::clone(claim))),
            ClaimPhase::TimedOut => self.caller.timed_out(""),
            ClaimPhase::Denied => self.caller.denied(&status.reason, &status.message),
            ClaimPhase::Revoked | ClaimPhase::Released => {
                let why = format!(
                    "{}: its claim is {:?} ({}) before it was held: {}",
                    self.plan.shown, status.phase, status.reason, status.message
                );
                self.caller.fail(AcquireError::Unavailable(why));
            }
        }
        if status.reason.ends_with("NotFound") {
            for wanted in self.plan.wanted().iter().filter(|wanted| !wanted.lock) {
                self.engine.note_limit(&wanted.key, false);
            }
        }
        Some(Waited::Over)
    }
}

/// The next word of the watch.
pub(super) async fn next_news(news: &mut watch::Receiver<Option<News>>) -> News {
    loop {
        if news.changed().await.is_err() {
            // The registration keeps the other end.
            std::future::pending::<()>().await;
        }
        if let Some(word) = news.borrow_and_update().clone() {
            return word;
        }
    }
}
