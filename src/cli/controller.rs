//! `sluice controller`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::CliError;
use crate::client;
use crate::controller::{self, Config, Election, KubeTransport};
use crate::election::Timing;
use crate::ledger::{ClaimTimes, Span};

/// Arguments of `sluice controller`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice controller --metrics-addr 0.0.0.0:9090 --health-addr 0.0.0.0:8080     as the chart runs it
  sluice controller --namespaces team --leader-elect=false                     on a laptop, for one namespace")]
pub(super) struct Arguments {
    /// Namespaces to serve, separated by commas; all without it.
    #[arg(long, value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Where to serve metrics, e.g. 0.0.0.0:9090; nowhere without it.
    #[arg(long)]
    metrics_addr: Option<SocketAddr>,
    /// Where to serve /healthz and /readyz, e.g. 0.0.0.0:8080; nowhere without it.
    #[arg(long)]
    health_addr: Option<SocketAddr>,
    /// How to write logs.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Highest priority that sluice.dev/priority may ask for beyond the pod's own; none without it.
    #[arg(long, allow_negative_numbers = true)]
    max_priority: Option<i32>,
    /// Whether to create events on pods and limits.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    events: bool,
    /// How long claims that were denied, timed out or revoked stay to be read.
    #[arg(long, default_value_t = 300)]
    ended_claims_seconds: u32,
    /// How long claims that their holders gave back stay to be read, as phase Released; 0: deleted at once.
    #[arg(long, default_value_t = 0)]
    released_claims_seconds: u32,
    /// Policy bindings whose absence is reported as condition Unguarded, separated by commas.
    #[arg(long, env = "SLUICE_GUARD_BINDINGS", value_delimiter = ',')]
    guard_bindings: Vec<String>,
    /// Whether to take turns with other controllers by a Lease; without, it leads at once, whoever else does.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Namespace of the Lease; by default that of the pod, or of the kubeconfig's context.
    #[arg(long)]
    lease_namespace: Option<String>,
    /// Name of the Lease: controllers with the same one take turns.
    #[arg(long, default_value = "sluice-controller")]
    lease_name: String,
    /// How long others leave the Lease alone after it was renewed.
    #[arg(long, default_value_t = 15)]
    lease_duration_seconds: u16,
    /// How long a leader acts without a renewal; shorter than the lease.
    #[arg(long, default_value_t = 10.0)]
    renew_deadline_seconds: f32,
    /// Pause between renewals, and between attempts.
    #[arg(long, default_value_t = 2.0)]
    retry_period_seconds: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Arguments {
    fn timing(&self) -> Result<Timing, CliError> {
        let seconds = |flag: &str, seconds: f32| {
            Duration::try_from_secs_f32(seconds)
                .map_err(|error| CliError::Usage(format!("--{flag} {seconds}: {error}")))
        };
        let timing = Timing {
            lease_duration: Duration::from_secs(u64::from(self.lease_duration_seconds)),
            renew_deadline: seconds("renew-deadline-seconds", self.renew_deadline_seconds)?,
            retry_period: seconds("retry-period-seconds", self.retry_period_seconds)?,
        };
        timing
            .checked()
            .map_err(|error| CliError::Usage(error.to_string()))
    }
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    start_logs(arguments.log_format);
    let timing = arguments.timing()?;
    let (client, clock) = client::connect().await?;
    let election = arguments.leader_elect.then(|| Election {
        namespace: arguments
            .lease_namespace
            .unwrap_or_else(|| client.default_namespace().to_owned()),
        name: arguments.lease_name,
        host: std::env::var("HOSTNAME").ok(),
        timing,
    });
    let transport = KubeTransport::new(client, clock, arguments.max_priority);
    let config = Config {
        namespaces: arguments.namespaces,
        metrics_address: arguments.metrics_addr,
        health_address: arguments.health_addr,
        priority_max: arguments.max_priority,
        events: arguments.events,
        claims: ClaimTimes {
            ended: Span::seconds(arguments.ended_claims_seconds.into()),
            released: Span::seconds(arguments.released_claims_seconds.into()),
        },
        guard_bindings: arguments.guard_bindings,
        process: None,
        election,
    };
    let running = controller::run(config, transport, stop_on_signal()?);
    // In a task of its own: the runtime's workers wake each other faster than the main thread.
    Ok(tokio::spawn(running).await.map_err(CliError::Broken)??)
}

fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SLUICE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let coloured = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
}

/// Becomes true at the first SIGTERM or SIGINT.
fn stop_on_signal() -> Result<watch::Receiver<bool>, CliError> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signal)?;
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => info!("told to stop by SIGTERM"),
            _ = interrupt.recv() => info!("told to stop by SIGINT"),
        }
        sender.send_replace(true);
        // A second receiver keeps the channel open until the process ends.
        sender.closed().await;
    });
    Ok(receiver)
}
