//! The SDK behind `sluice run` and its kin: a request on the command line becomes one of the SDK's, its guard a
//! [`Held`], its errors exit codes.

use std::pin::Pin;
use std::time::Duration;

use super::ask::{Ask, key};
use super::hold::{Fence, Held, Lost};
use crate::api::request::Amount;
use crate::cli::look::Scope;
use crate::cli::{CliError, exit};
use crate::client::{AcquireError, Client, Loss, Pod, Request, Slots, TryAcquireError};

/// Longest that is waited for what is on its way at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// A connection for a command that holds something.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Backend(Client);

/// Slots that the SDK holds.
#[derive(Debug)]
pub(in crate::cli) struct Guard {
    slots: Slots,
    namespace: String,
}

impl Backend {
    /// With a pod: what it holds lives as long as that.
    pub(in crate::cli) async fn open(scope: &Scope, pod: Option<Pod>) -> Result<Self, CliError> {
        let (config, namespace) = scope.config().await?;
        let mut builder = Client::builder().config(config).namespace(namespace);
        if let Some(pod) = pod {
            builder = builder.pod(pod);
        }
        Ok(Self(builder.connect().await?))
    }

    /// Where its claims are.
    pub(in crate::cli) fn namespace(&self) -> &str {
        self.0.namespace()
    }

    /// Waits until it is granted.
    pub(in crate::cli) async fn acquire(&self, ask: &Ask) -> Result<Guard, CliError> {
        let request = self.request(ask)?;
        let slots = if ask.timeout == Some(Duration::ZERO) {
            request.try_acquire().await.map_err(not_at_once)?
        } else {
            request.acquire().await.map_err(refused)?
        };
        Ok(Guard {
            slots,
            namespace: self.0.namespace().to_owned(),
        })
    }

    /// Takes so many slots of a limit that gives them back with time.
    pub(in crate::cli) async fn take(&self, ask: &Ask) -> Result<(), CliError> {
        let keys: Vec<String> = ask.mentions.iter().map(key).collect();
        let slots = ask.mentions.iter().find_map(|it| match it.amount {
            Amount::Slots(slots) | Amount::Rate(slots) => Some(slots),
            Amount::Shared | Amount::Exclusive => None,
        });
        let mut rate = match &ask.worker {
            Some(worker) => self.worker(worker)?.rate_limit(keys),
            None => self.0.rate_limit(keys),
        };
        rate = rate
            .occupy(slots.unwrap_or(1))
            .holder(ask.holder.clone())
            .if_missing(ask.if_missing);
        if let Some(priority) = ask.priority {
            rate = rate.priority(priority);
        }
        match ask.timeout {
            Some(Duration::ZERO) => rate.try_acquire().await.map_err(not_at_once),
            Some(timeout) => rate.timeout(timeout).acquire().await.map_err(refused),
            None => rate.acquire().await.map_err(refused),
        }
    }

    /// Ends it: what is on its way is waited for.
    pub(in crate::cli) async fn close(self) {
        let report = self.0.close(DRAIN).await;
        if !report.is_clean() {
            eprintln!(
                "sluice: not given back in time, freed when its lease runs out: {}",
                [report.held, report.unreleased].concat().join(", ")
            );
        }
    }

    fn worker(&self, name: &str) -> Result<crate::client::Worker, CliError> {
        self.0
            .worker(name)
            .map_err(|error| CliError::Usage(error.to_string()))
    }

    fn request(&self, ask: &Ask) -> Result<Request, CliError> {
        let mut request = match &ask.worker {
            Some(worker) => self.worker(worker)?.request(),
            None => self.0.request(),
        };
        for mention in &ask.mentions {
            let key = key(mention);
            request = match mention.amount {
                // A command line has no word for a rate beside slots: `sluice rate-limit` takes by `take`.
                Amount::Slots(slots) | Amount::Rate(slots) => request.slots(key, slots),
                Amount::Exclusive => request.lock(key),
                Amount::Shared => request.lock_shared(key),
            };
        }
        request = request
            .holder(ask.holder.clone())
            .if_missing(ask.if_missing);
        if let Some(timeout) = ask.timeout.filter(|it| !it.is_zero()) {
            request = request.timeout(timeout);
        }
        if let Some(lease) = ask.lease {
            request = request.lease(lease);
        }
        if let Some(priority) = ask.priority {
            request = request.priority(priority);
        }
        Ok(request)
    }
}

impl Held for Guard {
    fn fences(&self) -> Vec<Fence> {
        let tokens = self.slots.tokens().into_iter();
        tokens
            .map(|it| Fence {
                lock: it.lock,
                key: if it.namespace == self.namespace {
                    it.key
                } else {
                    format!("{}/{}", it.namespace, it.key)
                },
                token: it.token,
            })
            .collect()
    }

    fn claim(&self) -> Option<String> {
        self.slots.claim()
    }

    fn lease(&self) -> Option<(Duration, Duration)> {
        self.slots.lease()
    }

    fn loss(&self) -> Option<Lost> {
        self.slots.check().err().map(lost)
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = Lost> + Send>> {
        let losing = self.slots.lost();
        Box::pin(async move { lost(losing.await) })
    }

    async fn release(self) -> Result<(), String> {
        let released = self.slots.release().await;
        released.map_err(|error| error.to_string())
    }
}

fn lost(loss: Loss) -> Lost {
    Lost {
        why: loss.to_string(),
        given_back: loss == Loss::ReleasedByAnother,
    }
}

/// Why it was not granted, with the exit code that says so.
fn refused(error: AcquireError) -> CliError {
    let code = match &error {
        AcquireError::Timeout { .. } => exit::TIMEOUT,
        AcquireError::Missing { .. }
        | AcquireError::Denied { .. }
        | AcquireError::IdConflict { .. }
        | AcquireError::Forbidden(_) => exit::REFUSED,
        AcquireError::Invalid(_) => exit::USAGE,
        AcquireError::Unavailable(_) | AcquireError::Cancelled { .. } | AcquireError::Closed => {
            exit::FAILED
        }
    };
    let message = error.to_string();
    CliError::Ended { code, message }
}

fn not_at_once(error: TryAcquireError) -> CliError {
    match error {
        TryAcquireError::Acquire(error) => refused(error),
        full => CliError::Ended {
            code: exit::TIMEOUT,
            message: full.to_string(),
        },
    }
}
