//! What somebody who waits is shown: a line that changes in place on a terminal, plain lines elsewhere, and only when
//! there is something new to say. Reads the limits and locks that are asked for, as far as one may, and not often.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ask::{self, Ask};
use super::signals::Signals;
use crate::api::request::MentionKind;
use crate::cli::look::{Kind, Server, Target, pools, rows, words};
use crate::ledger::{HolderKind, Lease, PoolObject};

/// Before that, nothing is said: most are granted at once.
const SILENT: Duration = Duration::from_secs(1);
/// How often the line on a terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);
/// How often limits and locks are read.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Holders that are named.
const HOLDERS_MAX: usize = 3;
/// Characters of one line.
const LINE_CHARS_MAX: usize = 160;
/// The spinner.
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];

/// Waits for something, and shows why it is not there yet. A signal that ends it is the error.
pub(in crate::cli) async fn shown<T>(
    what: impl Future<Output = T>,
    signals: &mut Signals,
    look: impl AsyncFn() -> String,
    quiet: bool,
) -> Result<T, Signal> {
    let mut what = std::pin::pin!(what);
    let mut line = Line::new(quiet);
    let mut reading = std::pin::pin!(look_again(&look, SILENT));
    let mut draws = tokio::time::interval(DRAW_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut what => return Ok(done),
            signal = signals.end() => return Err(signal),
            reason = &mut reading, if !quiet => {
                line.say(&reason);
                reading.set(look_again(&look, LOOK_EVERY));
            }
            _ = draws.tick(), if line.is_live() => line.draw(),
        }
    }
}

async fn look_again(look: &impl AsyncFn() -> String, after: Duration) -> String {
    tokio::time::sleep(after).await;
    look().await
}

/// The line that is shown.
struct Line {
    since: Instant,
    terminal: bool,
    reason: String,
    frame: usize,
    drawn: bool,
}

impl Line {
    fn new(quiet: bool) -> Self {
        Self {
            since: Instant::now(),
            terminal: !quiet && std::io::stderr().is_terminal(),
            reason: String::new(),
            frame: 0,
            drawn: false,
        }
    }

    fn is_live(&self) -> bool {
        self.terminal && !self.reason.is_empty()
    }

    fn say(&mut self, reason: &str) {
        if !self.terminal && reason != self.reason {
            eprintln!("sluice: {reason}");
        }
        reason.clone_into(&mut self.reason);
    }

    fn draw(&mut self) {
        self.frame = self.frame.wrapping_add(1);
        let frame = FRAMES.get(self.frame % FRAMES.len()).unwrap_or(&' ');
        let seconds = self.since.elapsed().as_secs();
        let text: String = format!("{frame} {seconds}s {}", self.reason)
            .chars()
            .take(LINE_CHARS_MAX)
            .collect();
        let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
        self.drawn = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

/// What stands in the way of a request, in one line.
pub(in crate::cli) async fn reason(server: &Server, ask: &Ask) -> String {
    let mut said = Vec::new();
    for mention in &ask.mentions {
        let kind = match mention.kind() {
            MentionKind::Limit => Kind::Limit,
            MentionKind::Lock => Kind::Lock,
        };
        let key = match (&ask.worker, kind) {
            (Some(worker), Kind::Limit) => mention.key.child(worker).ok(),
            _ => None,
        };
        let namespace = mention.namespace.as_ref().unwrap_or(&server.namespace);
        let target = Target {
            kind,
            namespace: namespace.clone(),
            key: key.unwrap_or_else(|| mention.key.clone()),
        };
        said.push(match pools::find(server, &target).await {
            Ok(Some(object)) => state(&target, &pools::read(kind, object)),
            Ok(None) => format!("{target} does not exist"),
            Err(error) if error.is_forbidden() => format!("{target} may not be read"),
            Err(_) => format!("{target} cannot be read at the moment"),
        });
    }
    format!("waiting for {ask}: {}", said.join("; "))
}

/// `limit team/gpu: 3 of 3 slots are held by a (2), claim/b; 4 wait`.
fn state(target: &Target, pool: &PoolObject) -> String {
    let row = rows::pool(pool);
    let held = match row.slots {
        Some(slots) if row.per_worker => format!("{slots} slots for each worker"),
        Some(slots) => format!("{} of {slots} slots are held", row.in_use),
        None if row.in_use == 0 => "free".to_owned(),
        None => "held".to_owned(),
    };
    let mut text = format!("{target}: {held}");
    let status = pool.status.read();
    let leases: Vec<&Lease> = status.into_iter().flat_map(|it| it.entries()).collect();
    if !leases.is_empty() {
        let names = leases.iter().take(HOLDERS_MAX);
        let mut names: Vec<String> = names.map(|it| name(it)).collect();
        let more = leases.len().saturating_sub(HOLDERS_MAX);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        text.push_str(&format!(" by {}", names.join(", ")));
    }
    if row.waiting > 0 {
        let waiting = u64::try_from(row.waiting).unwrap_or(0);
        let verb = if waiting == 1 { "waits" } else { "wait" };
        text.push_str(&format!("; {waiting} {verb}"));
    }
    if let Some(how) = rows::stands_still(pool) {
        text.push_str(&format!("; {how}"));
    }
    text
}

fn name(lease: &Lease) -> String {
    let name = crate::cli::look::request::short(lease.kind, lease.name.as_str());
    match (lease.kind, words::amount(lease.amount).as_str()) {
        (HolderKind::Pod | HolderKind::Claim, "1" | "exclusive") => name,
        (_, amount) => format!("{name} ({amount})"),
    }
}

/// What a command is called where people read it.
pub(in crate::cli) fn purpose(words: &[std::ffi::OsString]) -> String {
    let words: Vec<_> = words.iter().map(|it| it.to_string_lossy()).collect();
    ask::purpose(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::look::samples;

    #[test]
    fn what_stands_in_the_way() {
        let shown = |key: &str, kind, object| {
            let target = Target::parse(key, false, "team").unwrap();
            state(&target, &pools::read(kind, object))
        };
        let holders = [("a", 1), ("b", 2), ("c", 1), ("d", 1)];
        let mut gpu = samples::limit("gpu", json!({"slots": 5, "mode": "Paused"}), &holders);
        gpu.data["status"]["leases"][1]["kind"] = "Claim".into();
        gpu.data["status"]["waiting"] = 2.into();
        assert_eq!(
            shown("gpu", Kind::Limit, gpu),
            "limit team/gpu: 5 of 5 slots are held by a, claim/b (2), c, 1 more; 2 wait; paused"
        );
        let door = samples::lock("door", json!({}), &[("a", "Shared")]);
        assert_eq!(
            shown("lock/door", Kind::Lock, door),
            "lock team/door: held by a (shared)"
        );
        let free = samples::lock("door", json!({}), &[]);
        assert_eq!(shown("lock/door", Kind::Lock, free), "lock team/door: free");
    }
}
