//! `sluice rate-limit`: takes from a limit whose slots come back with time, and holds nothing.

use std::time::Duration;

use super::look::{Named, Scope};
use super::run::ask::Ask;
use super::run::backend::Backend;
use super::run::signals::Signals;
use super::run::{ask, bad, interrupted, wait};
use super::{CliError, exit};
use crate::api::request::{Amount, MAX_WEIGHT, Mention};
use crate::cli::look::Kind;

/// Arguments of `sluice rate-limit`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  sluice rate-limit api && curl https://api.example.com/
  sluice rate-limit api --slots 5 --timeout 30s
  while sluice rate-limit mails --timeout 0; do ./send-one.sh; done

The limit needs spec.decay (`sluice create api --slots 10 --decay 2/1s`); without it the request is refused.

{}", exit::HELP))]
pub(super) struct Arguments {
    #[command(flatten)]
    named: Named,
    /// How many slots to take.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_WEIGHT)))]
    slots: u32,
    /// How long to wait, as in 90s; 0: only if it is free now. For ever without it.
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Worker: a limit of a family is then that worker's own.
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Place in the queue; higher is earlier. Above 0 only as far as the operator allows.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// What a limit that does not exist means.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    if_missing: ask::IfMissing,
    /// Says nothing while it waits.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<u8, CliError> {
    let mut signals = Signals::listen()?;
    let server = arguments.scope.open().await?;
    let target = arguments.named.target(&server.namespace)?;
    if target.kind == Kind::Lock {
        return Err(bad(format!("{target} is a lock: only limits have rates")));
    }
    let timeout = match arguments.timeout.as_deref() {
        Some("0" | "0s") => Some(Duration::ZERO),
        said => said
            .map(|text| ask::time("--timeout", text))
            .transpose()
            .map_err(bad)?,
    };
    let ask = Ask {
        mentions: vec![Mention {
            namespace: (target.namespace != server.namespace).then(|| target.namespace.clone()),
            key: target.key.clone(),
            amount: Amount::Slots(arguments.slots),
        }],
        timeout,
        lease: None,
        worker: arguments.worker,
        priority: arguments.priority,
        holder: ask::purpose("sluice rate-limit"),
        if_missing: arguments.if_missing.into(),
    };
    let backend = Backend::open(&arguments.scope, None).await?;
    let look = async || wait::reason(&server, &ask).await;
    let taken = wait::shown(backend.take(&ask), &mut signals, look, arguments.quiet).await;
    let taken = taken.unwrap_or_else(|signal| Err(interrupted(signal, &ask)));
    backend.close().await;
    taken.map(|()| 0)
}
