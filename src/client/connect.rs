//! A connection to an API server under Sluice's rules.
//!
//! The client repeats nothing by itself: kube's default retry layer repeats every method on 429, 503
//! and 504, and a write that was applied and unanswered must not be sent again by somebody who does not
//! know what it was for. Never decides anything about slots. Tested against the real control plane.

#[cfg(feature = "client")]
use kube::{Client, Config};
#[cfg(feature = "client")]
use tower::util::MapResponseLayer;

#[cfg(feature = "client")]
use super::server_clock::ServerClock;

/// Why no connection could be made.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sluice::client::Client;
///
/// match Client::try_default().await {
///     Ok(client) => println!("claims in {}", client.namespace()),
///     Err(why) => eprintln!("{why}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[cfg(feature = "client")]
    /// Neither a kubeconfig nor the environment of a pod was found.
    #[error("no API server is configured: set KUBECONFIG, or run inside a cluster ({0})")]
    NoConfiguration(#[from] kube::config::InferConfigError),
    #[cfg(feature = "client")]
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

#[cfg(feature = "client")]
/// Connects with the ambient kubeconfig, or as the pod this runs in.
///
/// The second value keeps the server's clock, read from its answers.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, clock) = sluice::client::connect().await?;
/// # Ok(())
/// # }
/// ```
pub async fn connect() -> Result<(Client, ServerClock), ConnectError> {
    connect_with(Config::infer().await?)
}

#[cfg(feature = "client")]
/// Connects with a given configuration; its retry layer is switched off.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = kube::Config::infer().await?;
/// let (client, clock) = sluice::client::connect_with(config)?;
/// # Ok(())
/// # }
/// ```
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
