//! `cargo run -p sluice-testenv -- up`: a control plane with three fake nodes for a person to try things on.
//! `-- build` only builds what is missing.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sluice_testenv::{ControlPlane, Error, FakeNodes, NodeOptions, Options, assets};
use tokio::signal::unix::{SignalKind, signal};

/// A real Kubernetes control plane for Sluice's tests, demo and benchmarks.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a control plane with three nodes and ends it on ctrl-C.
    Up {
        /// The older minor version to behave like, such as 1.35.
        #[arg(long, value_name = "VERSION")]
        emulate: Option<String>,
    },
    /// Builds what is missing (the control plane and Helm), so that no test has to, and prints where it is.
    Build,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Up { emulate } => up(emulate).await,
        Command::Build => build().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-testenv: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn build() -> Result<(), Error> {
    println!("{}", assets::kubectl().await?.display());
    println!("{}", assets::helm().await?.display());
    Ok(())
}

async fn up(emulate: Option<String>) -> Result<(), Error> {
    let signals = |kind| {
        signal(kind).map_err(|source| Error::Io {
            what: "listen for signals".into(),
            source,
        })
    };
    let (mut interrupt, mut terminate) = (
        signals(SignalKind::interrupt())?,
        signals(SignalKind::terminate())?,
    );
    let options = match emulate {
        Some(version) => Options::default().emulated_version(version),
        None => Options::default(),
    };
    let running = async {
        let plane = ControlPlane::start(options).await?;
        let names = ["node-1", "node-2", "node-3"];
        let _nodes = FakeNodes::start(&plane, &names, NodeOptions::default()).await?;
        println!("export KUBECONFIG={}", plane.kubeconfig().display());
        eprintln!(
            "logs are in {}; ctrl-C ends it",
            plane.directory().display()
        );
        std::future::pending::<Result<(), Error>>().await
    };
    tokio::select! {
        result = running => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}
