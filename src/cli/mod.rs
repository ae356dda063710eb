//! The `sluice` command. Each subcommand is a page that calls the library; nothing is decided here.
//! Tested as a user would drive it, in `tests/it`.

mod acquire;
mod completion;
mod controller;
mod create;
mod exit;
mod generate;
mod get;
mod holders;
mod limits;
mod look;
mod manual;
mod output;
mod pause;
mod plugin;
mod quarantine;
mod queue;
mod rate_limit;
mod refusal;
mod release;
mod run;
mod set;
mod table;
mod top;
mod ungate_all;
mod why;

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
    /// Runs a command while slots and locks are held.
    Run(run::Arguments),
    /// Runs a command while a lock is held.
    Lock(run::LockArguments),
    /// Acquires slots and locks for a script, and keeps them until they are released.
    Acquire(acquire::Arguments),
    /// Takes from a limit whose slots come back with time.
    RateLimit(rate_limit::Arguments),
    /// Lists limits and locks: how many slots, in use, waiting.
    Limits(limits::Arguments),
    /// Shows one limit or lock, with what it is set to and what is wrong with it.
    Get(get::Arguments),
    /// Lists who holds a limit or lock.
    Holders(holders::Arguments),
    /// Lists who waits for a limit or lock, in order, and what each waits for.
    Queue(queue::Arguments),
    /// Says why a pod or claim waits, or what it holds.
    Why(why::Arguments),
    /// Shows limits and locks live.
    Top(top::Arguments),
    /// Creates a limit or a lock.
    Create(create::Arguments),
    /// Changes a limit.
    Set(set::Arguments),
    /// Stops granting; whoever holds keeps.
    Pause(pause::Pause),
    /// Grants again.
    Resume(pause::Resume),
    /// Gives back a claim; or takes slots from a holder, on your word that it has ended.
    Release(release::Arguments),
    /// Sets limits and locks aside, so that they grant nothing, and ends that.
    Quarantine(quarantine::Arguments),
    /// Removes Sluice's gate and finalizer from every pod that has them: before an uninstall.
    UngateAll(ungate_all::Arguments),
    /// Runs the controller.
    Controller(controller::Arguments),
    /// Writes the CRDs to a folder.
    Crds(generate::Crds),
    /// Prints the completion for a shell.
    Completion(completion::Arguments),
    /// Ends the command of `sluice run` in time.
    #[command(hide = true, name = run::guardian::NAME)]
    Guardian,
    /// Becomes the command of `sluice run` when it may start.
    #[command(hide = true, name = run::child::NAME)]
    Gated(Gated),
    /// Holds what `sluice acquire` has acquired.
    #[command(hide = true, name = acquire::NAME)]
    Keeper(acquire::Arguments),
    /// Writes the reference of the API to a file.
    #[command(hide = true)]
    ApiReference(generate::Reference),
    /// Writes the reference of this command to a file.
    #[command(hide = true)]
    CliReference(generate::CliReference),
}

/// What waits to become a command.
#[derive(Debug, clap::Args)]
struct Gated {
    /// Its gate.
    gate: i32,
    /// The command, and its arguments.
    #[arg(last = true)]
    command: Vec<std::ffi::OsString>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] crate::client::ConnectError),
    /// The kubeconfig or the context that was asked for is not usable.
    #[error("{which} cannot be used: {source}; `kubectl config get-contexts` lists what there is")]
    Kubeconfig {
        /// Which.
        which: String,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// The controller could not run.
    #[error(transparent)]
    Run(#[from] crate::controller::RunError),
    /// The API server refused something.
    #[error("{what}: {}", refusal::said(source))]
    Server {
        /// What was being done.
        what: String,
        /// What the server said.
        source: kube::Error,
    },
    /// What was named is not there.
    #[error("{0}")]
    Missing(String),
    /// A file could not be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A manifest could not be rendered.
    #[error("it cannot be rendered: {0}")]
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
    /// Something with an exit code of its own.
    #[error("{message}")]
    Ended {
        /// The code.
        code: u8,
        /// Why.
        message: String,
    },
    /// The runtime of this process could not be started.
    #[error("this process cannot start its threads: {0}")]
    Runtime(std::io::Error),
    /// The terminal cannot be drawn on.
    #[error("no terminal to draw on: {0}; `sluice limits` prints the same once")]
    Terminal(std::io::Error),
}

impl CliError {
    /// With which code a command ends that holds something for others.
    fn code(&self) -> u8 {
        match self {
            Self::Ended { code, .. } => *code,
            Self::Usage(_) => exit::USAGE,
            _ => exit::FAILED,
        }
    }

    /// The server says that one may not.
    fn is_forbidden(&self) -> bool {
        matches!(self, Self::Server { source: kube::Error::Api(status), .. } if status.code == 403)
    }

    /// The server does not have it, or does not know its kind.
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Server { source: kube::Error::Api(status), .. } if status.code == 404)
    }
}

/// Parses the arguments of the process and does what they say. The exit code.
pub fn main() -> u8 {
    let command = plugin::arguments().command;
    // Their codes stand beside those of what they run.
    let holds = matches!(
        command,
        Subcommands::Run(_)
            | Subcommands::Lock(_)
            | Subcommands::Acquire(_)
            | Subcommands::RateLimit(_)
    );
    match dispatch(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluice: {error}");
            if holds { error.code() } else { 1 }
        }
    }
}

fn dispatch(command: Subcommands) -> Result<u8, CliError> {
    match command {
        // Neither needs a runtime, and both should be there at once.
        Subcommands::Guardian => Ok(run::guardian::run()),
        Subcommands::Gated(it) => Ok(run::child::gated(it.gate, &it.command)),
        command => {
            let runtime = tokio::runtime::Runtime::new().map_err(CliError::Runtime)?;
            let done = runtime.block_on(perform(command));
            // A thread that reads its standard input may never end by itself.
            runtime.shutdown_background();
            done
        }
    }
}

async fn perform(command: Subcommands) -> Result<u8, CliError> {
    let done = match command {
        Subcommands::Run(arguments) => return run::run(arguments).await,
        Subcommands::Lock(arguments) => return run::lock(arguments).await,
        Subcommands::Acquire(arguments) => return acquire::run(arguments).await,
        Subcommands::Keeper(arguments) => return acquire::keep(arguments).await,
        Subcommands::RateLimit(arguments) => return rate_limit::run(arguments).await,
        Subcommands::Limits(arguments) => limits::run(arguments).await,
        Subcommands::Get(arguments) => get::run(arguments).await,
        Subcommands::Holders(arguments) => holders::run(arguments).await,
        Subcommands::Queue(arguments) => queue::run(arguments).await,
        Subcommands::Why(arguments) => why::run(arguments).await,
        Subcommands::Top(arguments) => top::run(arguments).await,
        Subcommands::Create(arguments) => create::run(arguments).await,
        Subcommands::Set(arguments) => set::run(arguments).await,
        Subcommands::Pause(arguments) => pause::pause(arguments).await,
        Subcommands::Resume(arguments) => pause::resume(arguments).await,
        Subcommands::Release(arguments) => release::run(arguments).await,
        Subcommands::Controller(arguments) => controller::run(arguments).await,
        Subcommands::Quarantine(arguments) => quarantine::run(arguments).await,
        Subcommands::UngateAll(arguments) => ungate_all::run(arguments).await,
        Subcommands::Crds(arguments) => generate::crds(&arguments),
        Subcommands::Completion(arguments) => completion::run(&arguments),
        Subcommands::ApiReference(arguments) => generate::reference(&arguments),
        Subcommands::CliReference(arguments) => generate::cli_reference(&arguments),
        // Done before there is a runtime.
        Subcommands::Guardian | Subcommands::Gated(_) => Ok(()),
    };
    done.map(|()| 0)
}

fn failed(what: impl Into<String>, source: kube::Error) -> CliError {
    CliError::Server {
        what: what.into(),
        source,
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
    let mut found = Vec::new();
    list_pages(api, what, ListParams::default(), |object| {
        if wanted(&object) {
            found.push(object);
        }
    })
    .await?;
    Ok(found)
}

/// Shows every object that an API lists, page by page. `what` names them if that fails.
async fn list_pages<K>(
    api: &Api<K>,
    what: &str,
    params: ListParams,
    mut show: impl FnMut(K),
) -> Result<(), CliError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = params.limit(PAGE_SIZE);
    loop {
        let page = api
            .list(&params)
            .await
            .map_err(|source| failed(format!("{what} cannot be listed"), source))?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        page.items.into_iter().for_each(&mut show);
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}
