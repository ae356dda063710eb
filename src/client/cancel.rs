//! A word that ends an acquisition that waits.
//!
//! [`Cancel`] is a small token of ours; anything else that can be waited for becomes one by [`Cancellation`].

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// Something that may be cancelled, and can be waited for.
pub trait Cancellation {
    /// Is ready once it was cancelled; may be dropped before.
    fn cancelled(&self) -> BoxFuture<'static, ()>;
}

/// A token: all its clones are cancelled together, for good.
#[derive(Clone)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    /// One that is not cancelled.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Cancels.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

impl Cancellation for Cancel {
    fn cancelled(&self) -> BoxFuture<'static, ()> {
        let mut seen = self.0.subscribe();
        async move {
            if seen.wait_for(|cancelled| *cancelled).await.is_err() {
                // Every clone is gone: nobody can cancel any more.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_cancelled_together() {
        let cancel = Cancel::new();
        let mut waiting = cancel.clone().cancelled();
        assert!((&mut waiting).now_or_never().is_none());
        cancel.cancel();
        assert!(waiting.now_or_never().is_some());
        assert!(cancel.cancelled().now_or_never().is_some());
    }

    #[test]
    fn a_forgotten_token_cancels_nothing() {
        let waiting = Cancel::new().cancelled();
        assert!(waiting.now_or_never().is_none());
    }
}
