//! Wiring, in start order. Returns when told to stop, or when anything essential ends.
//!
//! Every task belongs to the future that [`run`] returns: who drops it has killed the whole controller,
//! and nothing of it sends another request. The driver runs in that future itself.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::candidacy::{self, Candidacy};
use super::config::{
    Config, DRAIN_TIMEOUT, Election, GUARD_CHECK_EVERY, INBOX_MAX, RELEASE_TIMEOUT, TERMS_MAX,
};
use super::driver::Driver;
use super::execute::Executor;
use super::http_server::{self, Answers};
use super::intake::{self, News};
use super::kube_transport::Shared;
use super::metrics::Metrics;
use super::transport::{Address, Kind, Transport};
use super::{events, faults, mandated, sweep};
use crate::election::Loss;
use crate::ledger::{Command, Ledger, Name, Options};

/// Why a controller could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be served.
    #[error("{what} cannot be served at {address}: {source}; choose another address")]
    Address {
        /// Metrics or health.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// It no longer leads: whoever runs it starts it anew, as a follower.
    #[error("this controller no longer leads: {0}; it ends here, without another write")]
    Deposed(Loss),
    /// The election's task broke.
    #[error("the election ended by itself; this is a bug, the log before this line says more")]
    Election,
    /// The driver ended although nobody asked it to.
    #[error("the driver ended by itself; this is a bug, the log before this line says more")]
    Ended,
}

/// Runs a controller until `stop` becomes true.
pub async fn run(
    config: Config,
    transport: impl Transport,
    stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let transport: Shared = faults::around(Arc::new(transport));
    let scopes = scopes(&config.namespaces);
    let process = config.process.unwrap_or_else(random_id);
    info!(%process, namespaces = ?config.namespaces, "starting");
    let metrics = Metrics::new();
    let (ready, ready_seen) = watch::channel(false);
    let (needed, needed_seen) = watch::channel(0);
    let begin = |election: &Election| {
        let warm = ready_seen.clone();
        Candidacy::begin(election, &process, &transport, warm, needed_seen)
    };
    let candidacy = config.election.as_ref().map(begin);
    let transport = with_mandate(transport, candidacy.as_ref());
    let mut tasks = JoinSet::new();
    let answers = Answers {
        metrics: metrics.clone(),
        ready: ready_seen,
    };
    for (what, address) in [
        ("metrics", config.metrics_address),
        ("health", config.health_address),
    ] {
        serve(&mut tasks, what, address, &answers).await?;
    }
    let (sender, news) = mpsc::channel(INBOX_MAX);
    let lists_missing = start_intake(&mut tasks, &transport, &scopes, &sender, &metrics);
    let (lane, waiting_events) = events::lane(metrics.clone());
    tasks.spawn(events::send(
        Arc::clone(&transport),
        waiting_events,
        metrics.clone(),
    ));
    let mandate = candidacy.as_ref().map(|it| it.mandate.clone());
    let (terms, terms_begun) = mpsc::channel(TERMS_MAX);
    if let Some(election) = &config.election {
        tasks.spawn(candidacy::announce(
            Arc::clone(&transport),
            candidacy::address(election),
            process.as_str().into(),
            terms_begun,
            lane.clone(),
        ));
    }
    tasks.spawn(sweep::sweep(
        Arc::clone(&transport),
        scopes.clone(),
        mandate.clone(),
    ));
    if !config.guard_bindings.is_empty() {
        tasks.spawn(look_for_guards(
            Arc::clone(&transport),
            config.guard_bindings,
            sender.clone(),
        ));
    }
    let scopes: Arc<[Name]> = scopes.into_iter().flatten().collect();
    let driver = Driver {
        ledger: Ledger::new(Options {
            process: process.into(),
            events: config.events,
            claims: config.claims,
        }),
        transport: Arc::clone(&transport),
        executor: Executor::new(transport, sender, lane, metrics.clone(), scopes),
        metrics,
        news,
        lists_missing,
        ready: Arc::new(ready),
        stop: stop.clone(),
        mandate,
        needed,
        terms,
    };
    drive(driver, candidacy, stop).await
}

fn random_id() -> String {
    format!("{:012x}", fastrand::u64(..) >> 16)
}

/// Whoever stands for election writes nothing without a mandate.
fn with_mandate(transport: Shared, candidacy: Option<&Candidacy>) -> Shared {
    match candidacy {
        Some(candidacy) => Arc::new(mandated::around(transport, candidacy.mandate.clone())),
        None => transport,
    }
}

/// What is watched: each of the namespaces, or everything.
fn scopes(namespaces: &[String]) -> Vec<Option<Name>> {
    match namespaces {
        [] => vec![None],
        namespaces => namespaces
            .iter()
            .map(|it| Some(Name::from(it.as_str())))
            .collect(),
    }
}

/// Binds an address, if there is one, and serves it.
async fn serve(
    tasks: &mut JoinSet<()>,
    what: &'static str,
    address: Option<SocketAddr>,
    answers: &Answers,
) -> Result<(), RunError> {
    let Some(address) = address else {
        return Ok(());
    };
    let listener = http_server::bind(what, address)
        .await
        .map_err(|source| RunError::Address {
            what,
            address,
            source,
        })?;
    tasks.spawn(http_server::serve(listener, answers.clone()));
    Ok(())
}

/// Runs the driver until `stop` is true, waits for its answers, and leaves the election last of all.
async fn drive(
    driver: Driver,
    mut candidacy: Option<Candidacy>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let mut driving = Box::pin(driver.run());
    let told = stop.clone();
    // The driver hears of the stop as well, and may be done before this task is woken.
    let done = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => false,
        loss = candidacy::ended(&mut candidacy) => return Err(deposed(loss)),
        () = &mut driving => true,
    };
    if done && !*told.borrow() {
        return Err(RunError::Ended);
    }
    if !done {
        tokio::select! {
            biased;
            loss = candidacy::ended(&mut candidacy) => return Err(deposed(loss)),
            drained = tokio::time::timeout(DRAIN_TIMEOUT, &mut driving) => if drained.is_err() {
                warn!("some answers did not come in time; whoever starts next will find out what was applied");
            }
        }
    }
    // Whatever is still under way ends before anybody else may lead.
    drop(driving);
    leave(candidacy).await
}

/// Releases the Lease, so that the next leader need not wait for its end.
async fn leave(candidacy: Option<Candidacy>) -> Result<(), RunError> {
    let Some(mut candidacy) = candidacy else {
        return Ok(());
    };
    if tokio::time::timeout(RELEASE_TIMEOUT, candidacy.leave())
        .await
        .is_err()
    {
        warn!("the Lease was not released in time; its next holder has to wait until it expires");
    }
    Ok(())
}

fn deposed(loss: Option<Loss>) -> RunError {
    loss.map_or(RunError::Election, RunError::Deposed)
}

/// Starts the watches; how many first lists are to come.
fn start_intake(
    tasks: &mut JoinSet<()>,
    transport: &Shared,
    scopes: &[Option<Name>],
    news: &mpsc::Sender<News>,
    metrics: &Metrics,
) -> usize {
    let mut watches: Vec<(Kind, Option<Name>)> = Vec::new();
    for scope in scopes {
        for kind in [Kind::Limit, Kind::Lock, Kind::Pod, Kind::Claim] {
            watches.push((kind, scope.clone()));
        }
        if scope.is_none() {
            // Labels of namespaces matter to selectors; with listed namespaces there is no right to watch them.
            watches.push((Kind::Namespace, None));
        }
    }
    let count = watches.len();
    for (kind, scope) in watches {
        tasks.spawn(intake::watch(
            Arc::clone(transport),
            kind,
            scope,
            news.clone(),
            metrics.clone(),
        ));
    }
    count
}

/// Says from time to time whether the guard policies are bound.
async fn look_for_guards(transport: Shared, bindings: Vec<String>, news: mpsc::Sender<News>) {
    loop {
        let mut installed = true;
        let mut known = true;
        for binding in &bindings {
            let at = Address {
                kind: Kind::PolicyBinding,
                namespace: None,
                name: binding.as_str().into(),
            };
            match transport.get(&at).await {
                Ok(found) => installed &= found.is_some(),
                Err(_) => known = false,
            }
        }
        let command = Command::GuardsSeen { installed };
        if known && news.send(News::Happened(command)).await.is_err() {
            return;
        }
        tokio::time::sleep(GUARD_CHECK_EVERY).await;
    }
}
