//! A line on stderr while something long happens, straight to the stream, because a test harness would swallow the macros.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(100);
/// How often a log without a terminal gets another line.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Writes one line.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "sluice-testenv: {text}");
}

/// Waits for a child, telling how long it has been at it: a ticking line on a terminal, a line a minute elsewhere.
pub(super) fn wait(child: &mut Child, what: &str) -> std::io::Result<ExitStatus> {
    let started = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let mut told = started;
    loop {
        if let Some(status) = child.try_wait()? {
            if terminal {
                let _ = writeln!(std::io::stderr());
            }
            return Ok(status);
        }
        std::thread::sleep(POLL);
        let interval = if terminal {
            Duration::from_secs(1)
        } else {
            LINE_EVERY
        };
        if told.elapsed() >= interval {
            told = Instant::now();
            let elapsed = started.elapsed().as_secs();
            let text = format!(
                "still building {what}, {}:{:02} so far",
                elapsed / 60,
                elapsed % 60
            );
            if terminal {
                let _ = write!(std::io::stderr(), "\rsluice-testenv: {text}");
            } else {
                line(&text);
            }
        }
    }
}
