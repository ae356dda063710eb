//! Shows snapshots: a picture that moves in a terminal, a line for each change elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::snapshot::{Row, Snapshot};

/// One character for each pod, in the order in which it lives; the colours are those of a terminal.
const DONE: (&str, char) = ("2", '·');
const RUNNING: (&str, char) = ("32", '█');
const WAITING: (&str, char) = ("33", '░');
const FAILED: (&str, char) = ("31", '×');
/// Columns of the pods: those of the largest Job.
const BAR_WIDTH: usize = 24;
const NAME_WIDTH: usize = 16;

/// What was shown last.
pub(super) struct Picture {
    is_terminal: bool,
    lines_on_screen: usize,
    last: BTreeMap<String, Row>,
}

impl Picture {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            lines_on_screen: 0,
            last: BTreeMap::new(),
        }
    }

    /// Shows a snapshot, taken so long after the start.
    pub(super) fn show(&mut self, snapshot: &Snapshot, elapsed: Duration) -> io::Result<()> {
        if self.is_terminal {
            self.draw(snapshot, elapsed)
        } else {
            self.tell(snapshot, elapsed)
        }
    }

    fn draw(&mut self, snapshot: &Snapshot, elapsed: Duration) -> io::Result<()> {
        let mut lines = vec![format!(
            "  {:NAME_WIDTH$}{}  {:.1} s",
            "",
            legend(),
            elapsed.as_secs_f64()
        )];
        for (key, row) in &snapshot.rows {
            lines.push(format!("  {key:NAME_WIDTH$}{}  {}", bar(row), figures(row)));
        }
        let mut out = io::stdout().lock();
        // Back to the first line of the last picture; every line is cleared before it is written.
        if self.lines_on_screen > 0 {
            write!(out, "\x1b[{}A", self.lines_on_screen)?;
        }
        for line in &lines {
            writeln!(out, "\x1b[2K{line}")?;
        }
        self.lines_on_screen = lines.len();
        out.flush()
    }

    fn tell(&mut self, snapshot: &Snapshot, elapsed: Duration) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for (key, row) in &snapshot.rows {
            if self.last.get(key) != Some(row) {
                let seconds = elapsed.as_secs_f64();
                writeln!(out, "{seconds:5.1} s  {key:NAME_WIDTH$}{}", figures(row))?;
            }
        }
        self.last.clone_from(&snapshot.rows);
        Ok(())
    }
}

fn bar(row: &Row) -> String {
    let pods = row.succeeded + row.failed + row.running + row.waiting;
    [
        (DONE, row.succeeded),
        (FAILED, row.failed),
        (RUNNING, row.running),
        (WAITING, row.waiting),
    ]
    .into_iter()
    .map(|(style, count)| painted(style, count))
    .chain([" ".repeat(BAR_WIDTH.saturating_sub(pods))])
    .collect()
}

fn painted((colour, character): (&str, char), count: usize) -> String {
    format!(
        "\x1b[{colour}m{}\x1b[0m",
        character.to_string().repeat(count)
    )
}

fn legend() -> String {
    [(DONE, "done"), (RUNNING, "running"), (WAITING, "waiting")]
        .map(|(style, word)| format!("{} {word}", painted(style, 1)))
        .join("  ")
}

/// Fits, with the bar, on a line of 80 columns.
fn figures(row: &Row) -> String {
    let Row {
        slots,
        held,
        waiting,
        succeeded,
        failed,
        ..
    } = row;
    let failed = match failed {
        0 => String::new(),
        some => format!(", {some} failed"),
    };
    format!("{held} of {slots} held, {waiting:2} waiting, {succeeded:2} done{failed}")
}
