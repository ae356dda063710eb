//! The keeper: acquires, renews, and gives back when it is told, when its process has ended, or when whoever waited for
//! it has gone before it was granted. It never runs anything.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use nix::unistd::setsid;
use tokio::sync::oneshot;

use super::line::Line;
use super::parent::Parent;
use super::{Acquired, Arguments, OnLoss, purpose};
use crate::cli::run::backend::{Backend, Guard};
use crate::cli::run::hold::{Held as _, environment};
use crate::cli::run::wait;
use crate::cli::{CliError, exit};

/// Its hidden name.
pub(in crate::cli) const NAME: &str = "keeper";
/// How often it looks whether its process lives.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it says why it waits.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Its life. What it has to say goes to `sluice acquire`.
pub(in crate::cli) async fn run(arguments: Arguments) -> Result<u8, CliError> {
    // A leader of a process group cannot; then it was started by hand.
    let _ = setsid();
    let Some(parent) = Parent::of(arguments.parent) else {
        return Ok(exit::USAGE);
    };
    let dismissed = listen();
    let backend = match Backend::open(&arguments.how.scope, None).await {
        Ok(backend) => backend,
        Err(error) => {
            return told(&Line::Failed {
                code: error.code(),
                message: error.to_string(),
            });
        }
    };
    let code = keep(arguments, &parent, &backend, dismissed).await;
    backend.close().await;
    code
}

async fn keep(
    arguments: Arguments,
    parent: &Parent,
    backend: &Backend,
    mut dismissed: oneshot::Receiver<bool>,
) -> Result<u8, CliError> {
    let on_loss = arguments.on_loss;
    let held = tokio::select! {
        held = acquire(arguments, backend) => held,
        _ = &mut dismissed => return Ok(exit::FAILED),
        () = end(parent) => return Ok(exit::FAILED),
    };
    let held = match held {
        Ok(held) => held,
        Err(error) => {
            return told(&Line::Failed {
                code: error.code(),
                message: error.to_string(),
            });
        }
    };
    let mut lost = held.lost();
    let granted = Line::Granted(acquired(&held, backend));
    if told(&granted).is_err() {
        return give_back(held).await;
    }
    tokio::select! {
        kept = dismissed => if kept != Ok(true) {
            return give_back(held).await;
        },
        () = end(parent) => return give_back(held).await,
    }
    tokio::select! {
        lost = &mut lost => {
            if !lost.given_back && on_loss == OnLoss::Term {
                parent.ask();
            }
            Ok(exit::LOST)
        }
        () = end(parent) => give_back(held).await,
    }
}

/// Waits for it, and says why it is not there yet.
async fn acquire(arguments: Arguments, backend: &Backend) -> Result<Guard, CliError> {
    let ask = arguments.asked.ask(&purpose(arguments.parent));
    let ask = ask.map_err(crate::cli::run::bad)?;
    let server = arguments.how.scope.open().await?;
    let mut said = String::new();
    let mut acquired = std::pin::pin!(backend.acquire(&ask));
    let mut pause = Duration::from_secs(1);
    loop {
        tokio::select! {
            biased;
            held = &mut acquired => return held,
            () = tokio::time::sleep(pause) => {}
        }
        pause = SAY_EVERY;
        let reason = wait::reason(&server, &ask).await;
        if reason != said {
            let _ = told(&Line::Waiting(reason.clone()));
            said = reason;
        }
    }
}

fn acquired(held: &Guard, backend: &Backend) -> Acquired {
    let claim = held.claim().unwrap_or_default();
    let fences = held.fences();
    let of = |name: &str| {
        let environment = environment(&fences, Some(&claim));
        let found = environment.into_iter().find(|it| it.0 == name);
        found.map(|it| it.1).unwrap_or_default()
    };
    Acquired {
        tokens: of("SLUICE_TOKENS"),
        lock_tokens: of("SLUICE_LOCK_TOKENS"),
        namespace: backend.namespace().to_owned(),
        keeper: std::process::id(),
        claim,
    }
}

async fn give_back(held: Guard) -> Result<u8, CliError> {
    // What does not come through is freed by expiry.
    let _ = held.release().await;
    Ok(0)
}

/// Is ready when a process has ended.
async fn end(parent: &Parent) {
    while parent.lives() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn told(line: &Line) -> Result<u8, CliError> {
    let mut out = io::stdout().lock();
    let told = out
        .write_all(line.text().as_bytes())
        .and_then(|()| out.flush());
    told.map(|()| 0).map_err(|source| CliError::Write {
        path: "standard output".to_owned(),
        source,
    })
}

/// Hears whether to keep what is held: `keep`, or the end of the input.
fn listen() -> oneshot::Receiver<bool> {
    let (heard, hear) = oneshot::channel();
    std::thread::spawn(move || {
        let mut word = [0_u8; 4];
        let keep = io::stdin().read_exact(&mut word).is_ok() && word == *b"keep";
        // Nobody hears it where it has ended.
        let _ = heard.send(keep);
    });
    hear
}
