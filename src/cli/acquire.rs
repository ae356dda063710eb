//! `sluice acquire`: slots and locks for a script that goes on. A keeper process, in a session of its own, acquires
//! and renews them until `sluice release --claim`, or until the process that it is tied to has ended.

mod keeper;
mod line;
mod parent;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::output::{self, Format, Output};
use super::run::ask::{self, Asked};
use super::run::guardian::itself;
use super::run::signals::Signals;
use super::run::{How, bad};
use super::{CliError, exit};
pub(super) use keeper::{NAME, run as keep};
use line::Line;
use parent::Parent;

/// Arguments of `sluice acquire`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  sluice acquire --parent $$ --slots gpu -o json

  claim=$(sluice acquire --parent $$ --slots gpu=2 --timeout 10m) || exit
  ./work.sh
  sluice release --claim \"$claim\"

  eval \"$(sluice acquire --parent $$ --lock deploy-db --export)\"
  ./deploy.sh --fence \"$SLUICE_LOCK_TOKENS\"
  sluice release --claim \"$SLUICE_CLAIM\"

A keeper process renews until the claim is released or PID has ended. When the slots are lost it sends PID a TERM, and
can do no more: nothing keeps a script from going on that ignores it, or whose keeper was killed. Where that matters,
`sluice run` is what has a guardian.

Exit code: 0 when it is held. {}", exit::HELP))]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// The process that holds: what is acquired is given back when it has ended. In a shell, $$.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(2..))]
    parent: i32,
    /// What to do to that process when the slots are lost.
    #[arg(long, value_enum, default_value_t)]
    on_loss: OnLoss,
    /// Prints lines for a shell to evaluate: SLUICE_CLAIM, SLUICE_TOKENS, SLUICE_LOCK_TOKENS.
    #[arg(long, conflicts_with = "format")]
    export: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    how: How,
}

/// What to do to a process that has lost its slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum OnLoss {
    /// It is sent TERM.
    #[default]
    Term,
    /// Nothing: it looks itself, by `sluice why claim/NAME`.
    Nothing,
}

/// What is held.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Acquired {
    /// Name of the claim.
    claim: String,
    /// Its namespace.
    namespace: String,
    /// Fencing tokens of limits, as in `gpu=42,db=7`.
    tokens: String,
    /// Fencing tokens of locks.
    lock_tokens: String,
    /// Process that renews.
    keeper: u32,
}

pub(super) async fn run(arguments: Arguments) -> Result<u8, CliError> {
    let checked = arguments.asked.ask("");
    let mentions = checked.map_err(bad)?.mentions;
    if mentions.is_empty() {
        return Err(bad(
            "nothing is asked for: name limits with --slots, or locks with --lock".to_owned(),
        ));
    }
    if Parent::of(arguments.parent).is_none() {
        return Err(bad(format!(
            "--parent {}: there is no such process; in a shell write --parent $$",
            arguments.parent
        )));
    }
    let mut signals = Signals::listen()?;
    let mut keeper = Keeper::start()?;
    let quiet = arguments.how.quiet;
    let acquired = match keeper.granted(&mut signals, quiet).await {
        Ok(acquired) => acquired,
        Err(error) => {
            keeper.dismiss().await;
            return Err(error);
        }
    };
    show(&acquired, &arguments.output, arguments.export)?;
    keeper.go_on()?;
    Ok(0)
}

fn show(acquired: &Acquired, output: &Output, export: bool) -> Result<(), CliError> {
    if export {
        let line = |name: &str, value: &str| format!("export {name}='{value}'\n");
        let text = [
            line("SLUICE_CLAIM", &acquired.claim),
            line("SLUICE_TOKENS", &acquired.tokens),
            line("SLUICE_LOCK_TOKENS", &acquired.lock_tokens),
        ];
        return output::print(&text.concat());
    }
    if output.format == Format::Table {
        return output::say(&acquired.claim);
    }
    output.one(acquired, String::new)
}

/// A keeper, as `sluice acquire` has it.
struct Keeper {
    child: Child,
    lines: tokio::sync::mpsc::Receiver<Line>,
}

/// Lines that may wait.
const LINES_MAX: usize = 16;

impl Keeper {
    /// Starts one, with the arguments of this process.
    fn start() -> Result<Self, CliError> {
        let failed = |source: std::io::Error| CliError::Ended {
            code: exit::FAILED,
            message: format!("the keeper cannot be started: {source}"),
        };
        let mut command: Command = itself();
        // The first two are the binary and `acquire`.
        let arguments = std::env::args_os().skip(2);
        let mut child = command
            .arg(NAME)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It lives on: whoever reads our standard error to its end would wait for it.
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        let output = output.ok_or_else(|| failed(std::io::Error::other("it has no output")))?;
        let (tell, lines) = tokio::sync::mpsc::channel(LINES_MAX);
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(|line| line.ok());
            for line in lines.filter_map(|text| Line::parse(&text)) {
                if tell.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits until it holds, and shows why it does not yet.
    async fn granted(&mut self, signals: &mut Signals, quiet: bool) -> Result<Acquired, CliError> {
        loop {
            let line = tokio::select! {
                line = self.lines.recv() => line,
                signal = signals.end() => {
                    let code = exit::by_signal(signal as i32);
                    let message = format!("{signal} came while it waited; nothing is held");
                    return Err(CliError::Ended { code, message });
                }
            };
            match line {
                Some(Line::Waiting(_)) if quiet => {}
                Some(Line::Waiting(reason)) => eprintln!("sluice: {reason}"),
                Some(Line::Granted(acquired)) => return Ok(acquired),
                Some(Line::Failed { code, message }) => {
                    return Err(CliError::Ended { code, message });
                }
                None => {
                    return Err(CliError::Ended {
                        code: exit::FAILED,
                        message: "the keeper has ended without a word; nothing is held".to_owned(),
                    });
                }
            }
        }
    }

    /// It is to keep what it holds when this process has ended.
    fn go_on(mut self) -> Result<(), CliError> {
        let input = self.child.stdin.as_mut();
        let told = input.map(|it| it.write_all(b"keep\n").and_then(|()| it.flush()));
        match told {
            Some(Ok(())) => Ok(()),
            _ => Err(CliError::Ended {
                code: exit::FAILED,
                message: "the keeper has ended; what it held is given back".to_owned(),
            }),
        }
    }

    /// It is to give back, and is waited for.
    async fn dismiss(mut self) {
        drop(self.child.stdin.take());
        let ended = tokio::task::spawn_blocking(move || self.child.wait());
        // Nothing depends on how.
        let _ = ended.await;
    }
}

/// What a script is called where people read it.
fn purpose(parent: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{parent}/comm"));
    let name = name.map_or_else(|_| String::new(), |it| format!(" ({})", it.trim()));
    ask::purpose(&format!("process {parent}{name}"))
}
