//! `sluice run` and `sluice lock`: a command that runs while slots and locks are held, and not a moment longer.
//!
//! - [`ask`], [`wait`]: what is asked for, and what is shown while it is waited for;
//! - [`hold`], [`backend`]: what holds it, and the SDK behind it;
//! - [`supervise`]: the command while it runs;
//! - [`child`], [`terminal`], [`signals`]: its process, its terminal, its signals;
//! - [`guardian`], [`leash`], [`clock`]: who ends it in time when this process cannot.
//!
//! Decides nothing about slots: that is the controller's. Tested on the real control plane (`tests/it/cli/run.rs`).

pub(super) mod ask;
pub(super) mod backend;
pub(super) mod child;
mod clock;
pub(super) mod guardian;
pub(super) mod hold;
mod leash;
pub(super) mod signals;
mod supervise;
mod terminal;
pub(super) mod wait;

use std::ffi::OsString;

use super::look::Scope;
use super::{CliError, exit};
use crate::client::Pod;
use ask::{Ask, Asked, Terms};
use backend::Backend;
use signals::Signals;

/// What ends the help of both.
const ENVIRONMENT: &str = "\
CMD finds in its environment: SLUICE_TOKENS (as in gpu=42,db=7), SLUICE_LOCK_TOKENS (deploy-db=9), SLUICE_CLAIM.
It is a process group of its own, in the foreground where `sluice` is. When it ends, what it has left running in that
group is ended too, and the slots are given back. When the slots are lost it is sent TERM, and KILL before
anybody else can hold them; a guardian process sees to that even when `sluice` itself is stopped or killed. What moves
into a process group or session of its own is out of reach. Stopped (Ctrl-Z), nobody renews: continue it
within the lease, or it is ended.";

/// Arguments of `sluice run`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  sluice run --slots gpu=2,db --lock deploy-db --timeout 10m --lease 60s -- make deploy
  sluice run --slots licences/matlab --holder 'nightly report' -- ./report.sh
  sluice run --slots gpu --worker worker-1 --timeout 0 -- python train.py
  sluice run --slots gpu --pod -- ./serve        # in a pod, for as long as it lives

{ENVIRONMENT}

{}", exit::HELP))]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    ran: Ran,
}

/// Arguments of `sluice lock`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  sluice lock deploy-db -- ./migrate.sh
  sluice lock schema:shared --timeout 5m -- psql -f report.sql

It is `sluice run --lock NAME`.

{ENVIRONMENT}

{}", exit::HELP))]
pub(super) struct LockArguments {
    /// The lock, as in deploy-db, or schema:shared beside other shared holders.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    ran: Ran,
}

/// What is run, and how.
#[derive(Debug, clap::Args)]
struct Ran {
    /// The slots are this container's for as long as its pod lives: nothing is renewed, and a container that starts
    /// again takes up what it had. SLUICE_POD_NAME, SLUICE_POD_UID and SLUICE_CONTAINER say which pod and container.
    #[arg(long, help_heading = "Request")]
    pod: bool,
    #[command(flatten)]
    how: How,
    /// The command, and its arguments.
    #[arg(
        value_name = "CMD",
        required = true,
        last = true,
        help_heading = "Arguments"
    )]
    command: Vec<OsString>,
}

/// How it goes about it.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Says nothing while it waits.
    #[arg(short, long, help_heading = "Options")]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<u8, CliError> {
    let ran = &arguments.ran;
    let ask = arguments.asked.ask(&wait::purpose(&ran.command));
    run_while(ask.map_err(bad)?, ran).await
}

pub(super) async fn lock(arguments: LockArguments) -> Result<u8, CliError> {
    let asked = Asked::locks(arguments.name, arguments.terms);
    let ran = &arguments.ran;
    let ask = asked.ask(&wait::purpose(&ran.command));
    run_while(ask.map_err(bad)?, ran).await
}

/// Arguments that say nothing sensible, as clap would refuse them.
pub(super) fn bad(message: String) -> CliError {
    let code = exit::USAGE;
    CliError::Ended { code, message }
}

/// Acquires, runs, gives back.
async fn run_while(ask: Ask, ran: &Ran) -> Result<u8, CliError> {
    let pod = match ran.pod {
        true => Some(Pod::from_env().map_err(|why| bad(format!("--pod: {why}")))?),
        false => None,
    };
    let mut signals = Signals::listen()?;
    let backend = Backend::open(&ran.how.scope, pod).await?;
    let done = match acquire(&backend, &ask, &ran.how, &mut signals).await {
        Ok(held) => supervise::supervise(held, &ran.command, &mut signals).await,
        Err(error) => Err(error),
    };
    backend.close().await;
    done
}

/// Waits, and shows why. A signal that comes meanwhile gives up.
pub(super) async fn acquire(
    backend: &Backend,
    ask: &Ask,
    how: &How,
    signals: &mut Signals,
) -> Result<backend::Guard, CliError> {
    let server = how.scope.open().await?;
    let look = async || wait::reason(&server, ask).await;
    match wait::shown(backend.acquire(ask), signals, look, how.quiet).await {
        Ok(acquired) => acquired,
        Err(signal) => Err(interrupted(signal, ask)),
    }
}

/// A signal has ended the waiting.
pub(super) fn interrupted(signal: nix::sys::signal::Signal, ask: &Ask) -> CliError {
    CliError::Ended {
        code: exit::by_signal(signal as i32),
        message: format!("{signal} came while it waited for {ask}; nothing is held"),
    }
}
