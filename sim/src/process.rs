//! One controller process: the real `controller::run` in a runtime of its own, whose clock the world moves.
//!
//! Nothing runs but in [`Process::run`], which returns when the process has nothing left to do at this moment of its
//! clock. Killing it drops the runtime with every task in it, wherever each of them stood.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::poll_fn;
use sluice::controller::{Config, Election, run};
use sluice::election::Timing;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::transport::{Post, Wire};

/// Notices when a runtime would wait for something to happen.
#[derive(Default)]
struct Idle(Mutex<(bool, Option<Waker>)>);

impl Idle {
    /// The runtime is about to park.
    fn parked(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = state.1.take() {
            state.0 = true;
            waker.wake();
        }
    }

    async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut state.0) {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A running controller.
pub struct Process {
    runtime: Runtime,
    idle: Arc<Idle>,
    stop: watch::Sender<bool>,
    ended: Arc<Mutex<bool>>,
    /// Its way to the server.
    pub post: Post,
    /// Its clock, in milliseconds since it started.
    clock_ms: u64,
}

impl Process {
    /// Starts a controller with this id, for these namespaces (none: all).
    pub fn start(id: &str, namespaces: &[String], elects: bool, server_micros: u64) -> Self {
        let idle = Arc::new(Idle::default());
        let hook = Arc::clone(&idle);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(move || hook.parked())
            .build()
            .unwrap_or_else(|error| crate::bug(&format!("no runtime: {error}")));
        let post = Post::default();
        post.mailbox().server_micros = server_micros;
        let (stop, told) = watch::channel(false);
        let config = Config {
            namespaces: namespaces.to_vec(),
            metrics_address: None,
            health_address: None,
            priority_max: None,
            events: true,
            claims: sluice::ledger::ClaimTimes::default(),
            guard_bindings: vec!["sluice-guard".to_owned()],
            process: Some(id.to_owned()),
            election: elects.then(|| Election {
                namespace: "sluice-system".to_owned(),
                name: "sluice".to_owned(),
                host: None,
                timing: Timing::default(),
            }),
        };
        let ended = Arc::new(Mutex::new(false));
        let (own, told_end) = (Wire(post.clone()), Arc::clone(&ended));
        runtime.spawn(async move {
            let _ = run(config, own, told).await;
            *told_end.lock().unwrap_or_else(PoisonError::into_inner) = true;
        });
        Self {
            runtime,
            idle,
            stop,
            ended,
            post,
            clock_ms: 0,
        }
    }

    /// Lets it do everything it can do until its clock stands at `clock_ms`.
    pub fn run(&mut self, clock_ms: u64) {
        let ahead = clock_ms.saturating_sub(self.clock_ms);
        self.clock_ms = self.clock_ms.max(clock_ms);
        let idle = Arc::clone(&self.idle);
        self.runtime.block_on(async {
            if ahead > 0 {
                tokio::time::advance(Duration::from_millis(ahead)).await;
            }
            idle.wait().await;
        });
    }

    /// Its clock.
    pub fn clock_ms(&self) -> u64 {
        self.clock_ms
    }

    /// Tells it to stop, as SIGTERM does.
    pub fn tell_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// It has ended by itself.
    pub fn has_ended(&self) -> bool {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
