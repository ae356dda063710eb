//! The one loop that owns the ledger: takes in news, asks for effects, sleeps until the next deadline.
//!
//! It takes in everything that has come before it asks what is to be done, so that a burst costs one
//! pass and one status write. It decides nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, trace};

use super::config::BATCH_MAX;
use super::execute::Executor;
use super::intake::News;
use super::kube_transport::Shared;
use super::metrics::Metrics;
use crate::election::MandateSeen;
use crate::ledger::{Command, Epoch, Ledger, Micros, Now, Tick};

/// Longest the driver sleeps: metrics are brought up to date at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How often the gauges of pools are brought up to date: their cost grows with the number of limits.
const MEASURE_EVERY: Duration = Duration::from_millis(500);

/// What the driver works with.
pub(super) struct Driver {
    pub(super) ledger: Ledger,
    pub(super) transport: Shared,
    pub(super) executor: Executor,
    pub(super) metrics: Metrics,
    pub(super) news: Receiver<News>,
    /// First lists that are still to come; decisions begin after the last.
    pub(super) lists_missing: usize,
    /// Set once decisions have begun.
    pub(super) ready: Arc<watch::Sender<bool>>,
    pub(super) stop: watch::Receiver<bool>,
    /// Its mandate, where it stands for election.
    pub(super) mandate: Option<MandateSeen>,
    /// The least epoch in which it can write every status, for the election.
    pub(super) needed: watch::Sender<u64>,
    /// Terms that begin, for people; nobody listens where there is no election.
    pub(super) terms: Sender<Epoch>,
}

impl Driver {
    /// Runs until told to stop, then waits for the answers to what was sent.
    pub(super) async fn run(mut self) {
        let start = Instant::now();
        let mut measured = start;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let wake = start + self.next_wake(start);
            batch.clear();
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => break,
                received = self.news.recv_many(&mut batch, BATCH_MAX) => {
                    if received == 0 {
                        break;
                    }
                }
                () = mandate_changed(&mut self.mandate) => {}
                () = sleep_until(wake) => {}
            }
            let now = self.now(start);
            if batch.is_empty() {
                self.ledger.handle(now, Command::Tick);
            }
            for news in batch.drain(..) {
                self.take(now, news);
            }
            self.lead(now);
            while let Some(effect) = self.ledger.poll_effect() {
                self.executor.start(effect);
            }
            self.check();
            self.metrics.count(&mut self.ledger);
            if measured.elapsed() >= MEASURE_EVERY {
                measured = Instant::now();
                self.metrics.measure(&self.ledger);
            }
        }
        info!("stopping: nothing more is decided, what was sent is waited for");
        // The answers have to find a listener, or whoever brings them would wait for ever.
        let drain = self.executor.drain();
        tokio::pin!(drain);
        loop {
            tokio::select! {
                biased;
                () = &mut drain => break,
                received = self.news.recv() => if received.is_none() { break },
            }
        }
    }

    fn take(&mut self, now: Now, news: News) {
        match news {
            News::Happened(command) => {
                trace!(tick = now.tick.0, ?command, "heard");
                self.ledger.handle(now, command);
            }
            News::FirstList => {
                self.lists_missing = self.lists_missing.saturating_sub(1);
                if self.lists_missing == 0 && !*self.ready.borrow() {
                    info!(
                        requests = self.ledger.requests_len(),
                        "all watches have listed"
                    );
                    self.ready.send_replace(true);
                }
            }
        }
    }

    /// Tells the ledger that it leads, and the election which epoch that takes.
    fn lead(&mut self, now: Now) {
        let needed = self.ledger.epoch_needed();
        self.needed.send_if_modified(|known| {
            let changed = *known != needed.0;
            *known = needed.0;
            changed
        });
        if !*self.ready.borrow() {
            return;
        }
        let epoch = match &self.mandate {
            Some(mandate) => mandate.epoch().map(Epoch),
            None => Some(needed),
        };
        if let Some(epoch) = epoch
            && self.ledger.epoch() < Some(epoch)
        {
            info!(epoch = epoch.0, "decisions begin in this epoch");
            self.ledger.handle(now, Command::Lead { epoch });
            self.metrics.lead(&self.ledger);
            // One that finds the lane full, or nobody to listen, is not worth waiting for.
            let _ = self.terms.try_send(epoch);
        }
    }

    fn next_wake(&self, start: Instant) -> Duration {
        let idle = start.elapsed() + SLEEP_MAX;
        match self.ledger.poll_deadline() {
            Some(Tick(milliseconds)) => idle.min(Duration::from_millis(milliseconds)),
            None => idle,
        }
    }

    fn now(&self, start: Instant) -> Now {
        let tick = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Tick 0 means "never" in places; a millisecond does no harm.
        Now {
            tick: Tick(tick.max(1)),
            server: Micros(self.transport.server_micros()),
        }
    }

    /// In debug builds the independent auditor looks at every state.
    fn check(&self) {
        if cfg!(debug_assertions) && self.ledger.requests_len() < 500 {
            for finding in crate::ledger::audit::audit(&self.ledger) {
                error!(invariant = finding.invariant, "audit: {}", finding.what);
            }
        }
    }
}

async fn mandate_changed(mandate: &mut Option<MandateSeen>) {
    match mandate {
        Some(mandate) => mandate.changed().await,
        None => std::future::pending().await,
    }
}
