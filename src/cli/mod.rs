//! The `sluice` command. Each subcommand is a page that calls the library; nothing is decided here.
//! Tested as a user would drive it, in `tests/it`.

mod controller;
mod generate;
mod quarantine;
mod ungate_all;

use std::fmt::Debug;

use clap::{Parser, Subcommand};
use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;

/// Objects on one page of a list.
const PAGE_SIZE: u32 = 500;

/// Concurrency limits and locks for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Runs the controller.
    Controller(controller::Arguments),
    /// Sets limits and locks aside, so that they grant nothing, and ends that.
    Quarantine(quarantine::Arguments),
    /// Removes Sluice's gate and finalizer from every pod that has them: before an uninstall.
    UngateAll(ungate_all::Arguments),
    /// Writes the CRDs to a folder.
    Crds(generate::Crds),
    /// Writes the reference of the API to a file.
    ApiReference(generate::Reference),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] crate::client::ConnectError),
    /// The controller could not run.
    #[error(transparent)]
    Run(#[from] crate::controller::RunError),
    /// The API server refused something.
    #[error("{what}: {source}")]
    Server {
        /// What was being done.
        what: String,
        /// What the server said.
        source: kube::Error,
    },
    /// A file could not be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A manifest could not be rendered.
    #[error("a manifest cannot be rendered: {0}")]
    Render(String),
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(String),
    /// Something is left to do.
    #[error("{0}")]
    Unfinished(String),
    /// The controller ended by a bug.
    #[error("the controller broke off: {0}; this is a bug, the log before this line says more")]
    Broken(tokio::task::JoinError),
    /// Signals cannot be listened to.
    #[error("signals cannot be listened to: {0}")]
    Signal(std::io::Error),
}

/// Parses the arguments of the process and does what they say.
pub async fn main() -> Result<(), CliError> {
    match Arguments::parse().command {
        Subcommands::Controller(arguments) => controller::run(arguments).await,
        Subcommands::Quarantine(arguments) => quarantine::run(arguments).await,
        Subcommands::UngateAll(arguments) => ungate_all::run(arguments).await,
        Subcommands::Crds(arguments) => generate::crds(&arguments),
        Subcommands::ApiReference(arguments) => generate::reference(&arguments),
    }
}

/// All objects that an API lists and that are wanted, page by page; nothing else is kept. `what` names them if that fails.
async fn list_all<K>(
    api: &Api<K>,
    what: &str,
    wanted: impl Fn(&K) -> bool,
) -> Result<Vec<K>, CliError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().limit(PAGE_SIZE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|source| CliError::Server {
            what: format!("{what} cannot be listed"),
            source,
        })?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        found.extend(page.items.into_iter().filter(&wanted));
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}
