//! A connection to an API server under Sluice's rules.
//!
//! The client repeats nothing by itself: kube's default retry layer repeats every method on 429, 503
//! and 504, and a write that was applied and unanswered must not be sent again by somebody who does not
//! know what it was for. Never decides anything about slots. Tested against the real control plane.

use kube::{Client, Config};
use tower::util::MapResponseLayer;

use super::server_clock::ServerClock;

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor the environment of a pod was found.
    #[error("no API server is configured: set KUBECONFIG, or run inside a cluster ({0})")]
    NoConfiguration(#[from] kube::config::InferConfigError),
    /// The configuration is not usable.
    #[error("the configured API server cannot be used: {0}")]
    Unusable(#[from] kube::Error),
    /// The thread that does the I/O could not be started.
    #[error("the client's thread could not be started: {0}")]
    NoThread(std::io::Error),
    /// A builder was given nothing to connect to.
    #[error("nothing to connect to: give the builder a configuration, a client or a store")]
    NothingGiven,
}

/// Connects with the ambient kubeconfig, or as the pod this runs in.
///
/// The second value keeps the server's clock, read from its answers.
pub async fn connect() -> Result<(Client, ServerClock), ConnectError> {
    connect_with(Config::infer().await?)
}

/// Connects with a given configuration; its retry layer is switched off.
pub fn connect_with(mut config: Config) -> Result<(Client, ServerClock), ConnectError> {
    config.default_retry = false;
    let clock = ServerClock::default();
    let listener = clock.clone();
    let layer = MapResponseLayer::new(move |response: http::Response<_>| {
        listener.hear(response.headers());
        response
    });
    let client = kube::client::ClientBuilder::try_from(config)?
        .with_layer(&layer)
        .build();
    Ok((client, clock))
}
