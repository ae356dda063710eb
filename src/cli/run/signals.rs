//! Signals that are passed on to the command, and that end a waiting.

use std::io;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::CliError;

/// Signals that may wait to be passed on.
const SIGNALS_MAX: usize = 16;
/// Those that are passed on. What the terminal's keys send reaches the command by itself.
const PASSED: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// Signals that have come.
#[derive(Debug)]
pub(in crate::cli) struct Signals(mpsc::Receiver<Signal>);

impl Signals {
    /// Listens from now on. What was ignored when this process began stays so (`nohup`).
    pub(in crate::cli) fn listen() -> Result<Self, CliError> {
        let (heard, signals) = mpsc::channel(SIGNALS_MAX);
        let ignored = ignored();
        let wanted = PASSED.into_iter().filter(|it| !is_in(ignored, *it));
        for it in wanted {
            let kind = SignalKind::from_raw(it as i32);
            let mut stream = signal(kind).map_err(CliError::Signal)?;
            let heard = heard.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if heard.send(it).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self(signals))
    }

    /// The next one.
    pub(in crate::cli) async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// The next one that ends whatever waits.
    pub(in crate::cli) async fn end(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2 | Signal::SIGALRM) {
                return signal;
            }
        }
    }
}

/// What this process ignores, as a mask; nothing where that cannot be told.
fn ignored() -> u64 {
    let read = || -> io::Result<Option<u64>> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
        Ok(line.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()))
    };
    read().ok().flatten().unwrap_or(0)
}

fn is_in(mask: u64, signal: Signal) -> bool {
    let bit = u32::try_from(signal as i32).unwrap_or(0).saturating_sub(1);
    mask.checked_shr(bit).is_some_and(|it| it & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_count_from_one() {
        assert!(is_in(0x1, Signal::SIGHUP));
        assert!(!is_in(0x1, Signal::SIGINT));
        assert!(is_in(0x4000, Signal::SIGTERM));
    }
}
