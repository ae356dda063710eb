//! What commands print: tables for people, JSON and YAML with field names that stay.
//!
//! Standard output carries the answer alone; what could not be read goes to standard error for people, and into
//! `notes` for programs. A reader that has seen enough (`| head`) is no error. Colour is a terminal's alone, and
//! `NO_COLOR` turns it off.

use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use super::CliError;

/// How to print an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs, to be read by people.
    Yaml,
}

/// How to print, as the arguments of a command.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// How to print it.
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub(super) format: Format,
}

/// A list as programs read it.
#[derive(Serialize)]
struct List<'a, T> {
    items: &'a [T],
    notes: &'a [String],
}

impl Output {
    /// Prints a list, with what could not be read.
    pub(super) fn list<T: Serialize>(
        &self,
        items: &[T],
        notes: &[String],
        table: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        self.one(&List { items, notes }, || {
            warn(notes);
            table()
        })
    }

    /// Prints one thing.
    pub(super) fn one<T: Serialize>(
        &self,
        item: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let unprintable = |error: &dyn std::fmt::Display| CliError::Render(error.to_string());
        let shown = match self.format {
            Format::Table => text(),
            Format::Json => {
                let mut json = serde_json::to_string_pretty(item).map_err(|it| unprintable(&it))?;
                json.push('\n');
                json
            }
            Format::Yaml => serde_yaml::to_string(item).map_err(|it| unprintable(&it))?,
        };
        print(&shown)
    }
}

/// What people should know beside the answer.
pub(super) fn warn(notes: &[String]) {
    for note in notes {
        // Nobody listens: nothing is lost that was asked for.
        let _ = writeln!(anstream::stderr(), "note: {note}");
    }
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(source) => Err(CliError::Write {
            path: "standard output".to_owned(),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

/// Prints one line.
pub(super) fn say(line: &str) -> Result<(), CliError> {
    print(&format!("{line}\n"))
}
