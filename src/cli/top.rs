//! `sluice top`: limits and locks live, the busiest first. It reads what `sluice limits` reads, again and again, and
//! draws it in place; keys are heard while the server is slow.

mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;

use super::CliError;
use super::look::rows::{self, PoolRow};
use super::look::{Scope, Server, pools, words};
use crate::ledger::Micros;
use screen::View;

/// Keys that may wait to be acted on.
const KEYS_MAX: usize = 16;
/// How often the thread that listens for keys looks whether it is still wanted.
const LISTEN: Duration = Duration::from_millis(100);

/// Arguments of `sluice top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice top
  sluice top -A --interval 5

Keys: q ends it, up and down scroll.")]
pub(super) struct Arguments {
    /// Those of every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    interval: u16,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    if !io::stdout().is_terminal() {
        let error = io::Error::other("standard output is none");
        return Err(CliError::Terminal(error));
    }
    let server = arguments.scope.open().await?;
    let namespace = (!arguments.all_namespaces).then(|| server.namespace.clone());
    let mut view = View::new(namespace.clone());
    // Before the screen is taken: a refusal is printed like any other.
    let (rows, at) = read(&server, namespace.as_deref()).await?;
    view.show(rows, at);
    let mut terminal = ratatui::try_init().map_err(CliError::Terminal)?;
    let every = Duration::from_secs(u64::from(arguments.interval));
    let done = show(&mut terminal, &mut view, &server, every).await;
    ratatui::restore();
    done
}

async fn show(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    server: &Server,
    every: Duration,
) -> Result<(), CliError> {
    let (heard, mut keys) = mpsc::channel(KEYS_MAX);
    // Not a task: reading keys blocks. It ends when nobody wants them any more.
    std::thread::spawn(move || listen(&heard));
    let namespace = view.namespace().map(str::to_owned);
    let next = || async {
        tokio::time::sleep(every).await;
        read(server, namespace.as_deref()).await
    };
    let mut reading = Box::pin(next());
    loop {
        terminal
            .draw(|frame| view.draw(frame))
            .map_err(CliError::Terminal)?;
        tokio::select! {
            biased;
            key = keys.recv() => match key {
                Some(key) if !view.press(key) => {}
                _ => return Ok(()),
            },
            read = &mut reading => {
                match read {
                    Ok((rows, at)) => view.show(rows, at),
                    Err(error) => view.complain(error.to_string()),
                }
                reading = Box::pin(next());
            }
        }
    }
}

async fn read(
    server: &Server,
    namespace: Option<&str>,
) -> Result<(Vec<PoolRow>, String), CliError> {
    let found = pools::list_both(&server.client, namespace).await?;
    let at = words::time(Micros(server.clock.micros()));
    Ok((found.iter().map(rows::pool).collect(), at))
}

/// Passes keys on; also tells when the size has changed, by a key that does nothing.
fn listen(heard: &mpsc::Sender<KeyEvent>) {
    while !heard.is_closed() {
        let event = match event::poll(LISTEN) {
            Ok(true) => event::read(),
            Ok(false) => continue,
            Err(error) => Err(error),
        };
        let key = match event {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => key,
            Ok(Event::Resize(..)) => event::KeyCode::Null.into(),
            Ok(_) => continue,
            Err(_) => return,
        };
        if heard.blocking_send(key).is_err() {
            return;
        }
    }
}
