//! Limits, a family and a lock at work on a real control plane: `cargo run --example demo`.
//!
//! Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler (the first run builds them from source: five
//! to nine minutes), installs the chart, applies `examples/limits.yaml`, and lets the pods of `examples/job.yaml` and
//! `examples/demo/jobs.yaml` take turns while a picture moves; where the output is no terminal, a line is printed for each
//! change. At the end it reads back from etcd all that was ever written and says what it found. It exits with an error
//! when a limit was ever exceeded, or when not all pods succeeded in time.
//!
//! Only the nodes are not real: they start no processes, so how long a pod runs is said by an annotation.

mod picture;
mod snapshot;
mod stage;
mod verdict;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use sluice::controller::{self, KubeTransport};
use tokio::sync::watch;

use picture::Picture;
use snapshot::Snapshot;
use stage::Stage;

/// What may go wrong here only ends the demo, with a sentence.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// How long each pod runs.
const RUN_FOR: &str = "1800ms";
/// How long all pods together may take; they take about 20 seconds.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often the picture moves.
const FRAME: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> ExitCode {
    let demo = async {
        tokio::select! {
            result = run() => result,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    };
    match demo.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    println!(
        "Starting a control plane; the first time on a machine it is built, which takes minutes."
    );
    let stage = Stage::set().await?;
    println!("Installing charts/sluice, and running its controller in this process.");
    stage.install_chart().await?;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(controller(stage.controller_kubeconfig().await?, stopped));
    println!("Applying examples/limits.yaml.");
    stage.apply_limits().await?;
    println!("Applying examples/job.yaml and examples/demo/jobs.yaml.\n");
    let before = stage.plane.api_requests().await?;
    let pods = stage.apply_jobs(RUN_FOR).await?;

    watch_them_run(&stage, pods).await?;

    let verdict = verdict::reach(&stage, &before).await;
    stop.send_replace(true);
    running.await??;
    println!("\n{}", verdict?);
    Ok(())
}

/// Runs the controller as the chart would: with its ServiceAccount's rights and nothing more.
async fn controller(kubeconfig: std::path::PathBuf, stop: watch::Receiver<bool>) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let (client, clock) = sluice::client::connect_with(config)?;
    let transport = KubeTransport::new(client, clock, None);
    let settings = controller::Config {
        namespaces: Vec::new(),
        metrics_address: None,
        health_address: None,
        priority_max: None,
        events: true,
        claims: sluice::ledger::ClaimTimes::default(),
        guard_bindings: Vec::new(),
        process: None,
        election: None,
    };
    Ok(controller::run(settings, transport, stop).await?)
}

/// Shows the pods until all have succeeded.
async fn watch_them_run(stage: &Stage, pods: usize) -> Result<()> {
    let start = Instant::now();
    let mut picture = Picture::new();
    loop {
        let snapshot = Snapshot::take(stage).await?;
        picture.show(&snapshot, start.elapsed())?;
        if snapshot.succeeded() == pods {
            return Ok(());
        }
        if snapshot.failed() > 0 || start.elapsed() > PATIENCE {
            let done = snapshot.succeeded();
            let log = stage.log_path();
            return Err(format!(
                "{done} of {pods} pods succeeded within {:.0} s, {} failed; the controller's log is {}",
                start.elapsed().as_secs_f64(),
                snapshot.failed(),
                log.display()
            )
            .into());
        }
        tokio::time::sleep(FRAME).await;
    }
}
