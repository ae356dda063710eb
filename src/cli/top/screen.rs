//! What `sluice top` draws, and what its keys do. Reads nothing; tested below on a screen in memory.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table};

use crate::cli::look::rows::PoolRow;
use crate::cli::table::Tone;

/// Columns of a bar.
const BAR_WIDTH: u16 = 20;

/// What is on the screen.
#[derive(Debug, Default)]
pub(super) struct View {
    namespace: Option<String>,
    rows: Vec<PoolRow>,
    at: String,
    complaint: Option<String>,
    first: usize,
}

impl View {
    pub(super) fn new(namespace: Option<String>) -> Self {
        Self {
            namespace,
            ..Self::default()
        }
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Takes in what was read at this time; the busiest come first.
    pub(super) fn show(&mut self, mut rows: Vec<PoolRow>, at: String) {
        rows.sort_by(|left, right| {
            let busy = |row: &PoolRow| (row.waiting, filled(row));
            let name = |row: &PoolRow| (row.namespace.clone(), row.short());
            busy(right)
                .cmp(&busy(left))
                .then_with(|| name(left).cmp(&name(right)))
        });
        self.rows = rows;
        self.at = at;
        self.complaint = None;
    }

    /// The server did not answer: what was read last stays, and says so.
    pub(super) fn complain(&mut self, why: String) {
        self.complaint = Some(why);
    }

    /// Acts on a key; whether it ends everything.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        let last = self.rows.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Down | KeyCode::Char('j') => self.first = self.first.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.saturating_sub(1),
            _ => {}
        }
        self.first = self.first.min(last);
        false
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let heights = [
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ];
        let [head, body, foot] = Layout::vertical(heights).areas(frame.area());
        let place = match &self.namespace {
            Some(namespace) => format!("namespace {namespace}"),
            None => "all namespaces".to_owned(),
        };
        let waiting = self.rows.iter().map(|it| it.waiting).sum::<i64>();
        let title = format!(
            "{place}: {} limits and locks, {waiting} waiting  {}",
            self.rows.len(),
            self.at
        );
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Line::styled(title, bold), head);
        frame.render_widget(self.table(), body);
        let (text, style) = match &self.complaint {
            Some(why) => (why.as_str(), Style::new().fg(Color::Red)),
            None => (
                "q ends, up and down scroll",
                Style::new().fg(Color::DarkGray),
            ),
        };
        frame.render_widget(Line::styled(text, style), foot);
    }

    fn table(&self) -> Table<'_> {
        let heading = [
            "NAMESPACE",
            "KEY",
            "",
            "IN-USE",
            "SLOTS",
            "WAITING",
            "STATE",
        ];
        let from = usize::from(self.namespace.is_some());
        let rows = self.rows.iter().skip(self.first).map(|row| {
            let cells = [
                Cell::from(row.namespace.as_str()),
                Cell::from(row.short()),
                Cell::from(bar(row)).style(color(row.load())),
                Cell::from(row.in_use.to_string()),
                Cell::from(row.slots_text()),
                Cell::from(row.waiting.to_string()),
                Cell::from(state(row)),
            ];
            Row::new(cells.into_iter().skip(from))
        });
        let widths = [
            Constraint::Fill(1),
            Constraint::Fill(2),
            Constraint::Length(BAR_WIDTH),
            Constraint::Length(7),
            Constraint::Length(9),
            Constraint::Length(7),
            Constraint::Length(14),
        ];
        Table::new(rows, widths.into_iter().skip(from))
            .header(Row::new(heading.into_iter().skip(from)))
    }
}

/// How full it is, in thousandths.
fn filled(row: &PoolRow) -> u64 {
    match row.slots {
        _ if row.per_worker => 0,
        Some(0) => u64::from(row.in_use > 0).saturating_mul(1_000),
        Some(slots) => row
            .in_use
            .saturating_mul(1_000)
            .checked_div(slots)
            .unwrap_or(0),
        None => u64::from(row.in_use > 0).saturating_mul(1_000),
    }
}

/// Full blocks for what is held; nothing for a family, whose workers have the slots.
fn bar(row: &PoolRow) -> String {
    if row.per_worker {
        return String::new();
    }
    let width = usize::from(BAR_WIDTH);
    let thousandths = usize::try_from(filled(row)).unwrap_or(usize::MAX);
    // Whoever holds anything is seen.
    let held = thousandths.saturating_mul(width).div_ceil(1_000).min(width);
    format!(
        "{}{}",
        "█".repeat(held),
        "░".repeat(width.saturating_sub(held))
    )
}

fn color(tone: Tone) -> Style {
    match tone {
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Notable => Style::new().fg(Color::Yellow),
        Tone::Good | Tone::Plain | Tone::Faint => Style::new().fg(Color::Green),
    }
}

fn state(row: &PoolRow) -> String {
    match (row.ready, row.mode) {
        (Some(true), Some(mode)) => mode.to_owned(),
        (Some(false), _) => row.reason.clone(),
        _ => "not seen yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;
    use crate::cli::look::{Kind, pools, rows, samples};

    fn view(namespace: Option<&str>) -> View {
        let busy = samples::limit("gpu", json!({"slots": 4}), &[("a", 2), ("b", 2)]);
        let mut idle = samples::limit("db", json!({"slots": 3, "mode": "Paused"}), &[("c", 1)]);
        idle.data["status"]["waiting"] = 7.into();
        let family = samples::limit("build", json!({"slots": 2, "perWorker": {}}), &[]);
        let mut read: Vec<PoolRow> = [busy, idle, family]
            .map(|it| rows::pool(&pools::read(Kind::Limit, it)))
            .into();
        let door = samples::lock("door", json!({}), &[("a", "Exclusive")]);
        read.push(rows::pool(&pools::read(Kind::Lock, door)));
        let mut view = View::new(namespace.map(str::to_owned));
        view.show(read, "2026-11-21T10:10:00Z".to_owned());
        view
    }

    fn drawn(view: &View, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(80, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let line = |cells: &[ratatui::buffer::Cell]| {
            let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.trim_end().to_owned()
        };
        buffer.content.chunks(width).map(line).collect()
    }

    #[test]
    fn the_busiest_come_first_with_their_bars() {
        let lines = drawn(&view(Some("team")), 7);
        assert_eq!(
            lines[0],
            "namespace team: 4 limits and locks, 7 waiting  2026-11-21T10:10:00Z"
        );
        assert!(lines[1].starts_with("KEY"), "{lines:#?}");
        let words = |at: usize| lines[at].split_whitespace().collect::<Vec<_>>();
        assert_eq!(
            words(2),
            ["db", "███████░░░░░░░░░░░░░", "1", "3", "7", "Paused"]
        );
        assert_eq!(
            words(3),
            ["gpu", "████████████████████", "4", "4", "0", "Active"]
        );
        assert_eq!(words(4)[..2], ["lock/door", "████████████████████"]);
        assert_eq!(words(5), ["build", "0", "2/worker", "0", "Active"]);
        assert_eq!(lines[6], "q ends, up and down scroll");
    }

    #[test]
    fn keys_scroll_and_end_and_a_complaint_leaves_the_rows() {
        let mut view = view(None);
        view.complain("the server is gone".to_owned());
        for _ in 0..9 {
            assert!(!view.press(KeyCode::Down.into()));
        }
        let lines = drawn(&view, 4);
        assert!(
            lines[2].starts_with("team") && lines[2].contains("build"),
            "{lines:#?}"
        );
        assert_eq!(lines[3], "the server is gone");
        assert!(!view.press(KeyCode::Up.into()));
        assert!(drawn(&view, 4)[2].contains("lock/door"));
        assert!(view.press(KeyCode::Char('q').into()));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(view.press(interrupt));
    }
}
