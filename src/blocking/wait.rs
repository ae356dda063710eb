//! How a thread waits for a future that makes progress without it.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::bridge::{Closed, refuse_io_thread};
use crate::client;

/// Wakes a blocked thread.
#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    condition: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_one();
    }
}

impl Signal {
    fn wait(&self) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.condition.wait_while(raised, |raised| !*raised);
        *woken.unwrap_or_else(PoisonError::into_inner) = false;
    }
}

/// Blocks this thread for a future. Calls may be nested, and no runtime is entered.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(Arc::clone(&signal));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => signal.wait(),
        }
    }
}

/// Fails where this thread is one that does the I/O, and so would wait for itself.
pub(super) fn may_wait(client: &client::Client) -> Result<(), Closed> {
    refuse_io_thread()?;
    client.refuse_own_thread()
}
