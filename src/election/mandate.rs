//! Leadership as a value with an end.
//!
//! Whoever is about to write asks how long the mandate still lasts, and gives the request no more time
//! than that. Decides nothing; tested below and in `task_tests`.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The right to write, for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mandate {
    /// Number of the term.
    pub epoch: u64,
    /// When it ends unless it is renewed before.
    pub until: Instant,
}

/// The mandate of this process, as everybody in it sees it; `None` while it does not lead.
#[derive(Clone, Debug)]
pub struct MandateSeen(watch::Receiver<Option<Mandate>>);

impl MandateSeen {
    /// Sees what this channel carries.
    pub fn new(mandate: watch::Receiver<Option<Mandate>>) -> Self {
        Self(mandate)
    }

    /// How much longer this process may write; `None` when it may not.
    pub fn left(&self) -> Option<Duration> {
        let until = self.0.borrow().as_ref()?.until;
        until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }

    /// The epoch of the term, while there is one.
    pub fn epoch(&self) -> Option<u64> {
        self.0.borrow().as_ref().map(|mandate| mandate.epoch)
    }

    /// Waits until another mandate (or its renewal, or its end) is there; for ever when nobody gives any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_by_itself() {
        let (sender, receiver) = watch::channel(None);
        let seen = MandateSeen::new(receiver);
        assert_eq!(seen.left(), None);
        let until = Instant::now() + Duration::from_secs(10);
        sender.send_replace(Some(Mandate { epoch: 3, until }));
        assert_eq!(
            (seen.left(), seen.epoch()),
            (Some(Duration::from_secs(10)), Some(3))
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(seen.left(), None, "nobody had to take it away");
    }
}
