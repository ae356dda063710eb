//! Tables as kubectl prints them: columns three spaces apart, no lines. Pure; tested below.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// Spaces between two columns.
const GAP: usize = 3;

/// What a cell means, told by colour where there is any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Notable,
    Bad,
    Faint,
}

/// A piece of text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
        }
    }
}

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

/// Text with escapes for its tone; whoever prints it strips them where there is no terminal.
pub(super) fn painted(text: &str, tone: Tone) -> String {
    let style = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Tone::Notable => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Tone::Bad => Style::new().fg_color(Some(AnsiColor::Red.into())),
        Tone::Faint => Style::new().dimmed(),
    };
    format!("{style}{text}{style:#}")
}

/// Rows under a heading.
pub(super) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The whole of it, a line for each row. Nothing stands behind the last cell of a line.
    pub(super) fn render(&self) -> String {
        let heading: Vec<Cell> = self.heading.iter().map(|it| Cell::from(*it)).collect();
        let lines: Vec<&Vec<Cell>> = std::iter::once(&heading).chain(&self.rows).collect();
        let mut widths = vec![0_usize; self.heading.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line.iter()) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let mut out = String::new();
        for line in lines {
            let last = line.iter().rposition(|cell| !cell.text.is_empty());
            let shown = line.iter().take(last.map_or(0, |at| at.saturating_add(1)));
            for (at, (cell, width)) in shown.zip(&widths).enumerate() {
                let text = painted(&cell.text, cell.tone);
                // Writing to a String cannot fail.
                let _ = write!(out, "{text}");
                if Some(at) != last {
                    let short = width.saturating_sub(cell.text.chars().count());
                    let _ = write!(out, "{:1$}", "", short.saturating_add(GAP));
                }
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_their_colour() {
        let mut table = Table::new(&["KEY", "MODE", "WHY"]);
        table.row([
            "gpu".into(),
            Cell::toned("Paused", Tone::Notable),
            "é".into(),
        ]);
        table.row(["lock/deploy".into(), "Active".into(), "".into()]);
        let plain = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(
            plain,
            "KEY           MODE     WHY\ngpu           Paused   é\nlock/deploy   Active\n"
        );
        assert!(table.render().contains('\u{1b}'));
    }

    #[test]
    fn an_empty_table_is_its_heading() {
        assert_eq!(Table::new(&["A", "B"]).render(), "A   B\n");
    }
}
