//! A word that ends an acquisition that waits.
//!
//! [`Cancel`](crate::client::Cancel) is the one of `sluice::bridge`; anything else that can be waited for becomes one by
//! [`Cancellation`].

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::bridge::Cancel;

/// Something that may be cancelled, and can be waited for.
///
/// ```
/// use futures::future::{BoxFuture, FutureExt as _};
/// use sluice::client::Cancellation;
///
/// /// Gives up when a channel is closed.
/// #[derive(Clone)]
/// struct Hangup(std::sync::Arc<tokio::sync::Notify>);
///
/// impl Cancellation for Hangup {
///     fn cancelled(&self) -> BoxFuture<'static, ()> {
///         let notify = self.0.clone();
///         async move { notify.notified().await }.boxed()
///     }
/// }
/// ```
pub trait Cancellation {
    /// Is ready once it was cancelled; may be dropped before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sluice::client::{Cancel, Cancellation};
    ///
    /// let cancel = Cancel::new();
    /// let cancelled = Cancellation::cancelled(&cancel);
    /// cancel.cancel();
    /// cancelled.await;
    /// # Ok(())
    /// # }
    /// ```
    fn cancelled(&self) -> BoxFuture<'static, ()>;
}

impl Cancellation for Cancel {
    fn cancelled(&self) -> BoxFuture<'static, ()> {
        self.cancelled().map(drop).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(cancel: &Cancel) -> BoxFuture<'static, ()> {
        Cancellation::cancelled(cancel)
    }

    #[test]
    fn clones_and_children_are_cancelled_together() {
        let cancel = Cancel::new();
        let mut of_clone = waiting(&cancel.clone());
        let of_child = waiting(&cancel.child());
        assert!((&mut of_clone).now_or_never().is_none());
        cancel.cancel();
        assert!(of_clone.now_or_never().is_some());
        assert!(of_child.now_or_never().is_some());
    }

    #[test]
    fn a_forgotten_token_cancels_nothing() {
        assert!(waiting(&Cancel::new()).now_or_never().is_none());
    }
}
