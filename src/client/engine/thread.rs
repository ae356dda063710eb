//! The thread of a client, with a runtime of its own: connections that are made inside belong to it.

use std::io;
use std::thread::ThreadId;

#[cfg(feature = "client")]
use tokio::runtime::EnterGuard;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A thread with a runtime.
pub(in crate::client) struct Thread {
    pub(super) id: ThreadId,
    pub(super) handle: Handle,
    pub(super) stop: oneshot::Sender<()>,
}

impl Thread {
    /// Starts it; it ends when the value is dropped.
    pub(in crate::client) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("sluice-client".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // A resolver that hangs does not keep the process.
                runtime.shutdown_background();
            })?;
        let id = thread.thread().id();
        Ok(Self { id, handle, stop })
    }

    /// What is made inside belongs to this thread.
    #[cfg(feature = "client")]
    pub(in crate::client) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}
