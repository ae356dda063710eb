//! The command under the name by which it was called: as `kubectl-sluice` it is `kubectl sluice` in usage, help and
//! examples. Tested below, and in `tests/it/cli`.

use std::ffi::OsStr;
use std::path::Path;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::Arguments;

/// What a kubectl plugin's binary is called.
const PLUGIN: &str = "kubectl-sluice";
/// What its users type.
const AS_PLUGIN: &str = "kubectl sluice";

/// The arguments of the process; ends it where they are help, the version, or wrong.
pub(super) fn arguments() -> Arguments {
    let called = std::env::args_os().next().unwrap_or_default();
    let command = command(&called);
    let matches = command.clone().get_matches();
    Arguments::from_arg_matches(&matches)
        .unwrap_or_else(|error| error.format(&mut command.clone()).exit())
}

/// The command as it is shown to whoever called it by this name.
fn command(called: &OsStr) -> Command {
    let name = Path::new(called).file_stem().unwrap_or_default();
    if name == PLUGIN {
        renamed(Arguments::command().bin_name(AS_PLUGIN))
    } else {
        Arguments::command()
    }
}

/// The same command with the plugin's name in its examples.
fn renamed(mut command: Command) -> Command {
    if let Some(text) = command.get_after_help() {
        let text = in_examples(&text.to_string());
        command = command.after_help(StyledStr::from(text));
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, renamed);
    }
    command
}

fn in_examples(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("  sluice ") {
        Some(rest) => format!("  {AS_PLUGIN} {rest}"),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(called: &str, words: &[&str]) -> String {
        let mut command = command(OsStr::new(called));
        command.build();
        let mut at = &mut command;
        for word in words {
            at = at.find_subcommand_mut(word).unwrap();
        }
        at.render_long_help().to_string()
    }

    #[test]
    fn a_plugin_is_called_as_its_users_call_it() {
        let text = help("/usr/local/bin/kubectl-sluice", &["set", "slots"]);
        assert!(text.contains("Usage: kubectl sluice set slots"), "{text}");
        assert!(
            text.contains("\n  kubectl sluice set slots gpu 8"),
            "{text}"
        );
        assert!(!text.contains("\n  sluice "), "{text}");
        let text = help("./sluice", &["set", "slots"]);
        assert!(text.contains("Usage: sluice set slots"), "{text}");
        assert!(text.contains("\n  sluice set slots gpu 8"), "{text}");
    }

    #[test]
    fn the_description_of_the_command_is_sound() {
        command(OsStr::new("sluice")).debug_assert();
        command(OsStr::new(PLUGIN)).debug_assert();
    }

    /// Of every command that people use: what it is for, and examples.
    #[test]
    fn every_command_has_examples() {
        fn look(command: &Command, path: &str) {
            for it in command.get_subcommands().filter(|it| !it.is_hide_set()) {
                let path = format!("{path} {}", it.get_name());
                assert!(
                    it.get_about().is_some(),
                    "{path} does not say what it is for"
                );
                if it.has_subcommands() {
                    look(it, &path);
                } else {
                    let help = it.get_after_help().map(ToString::to_string);
                    let given = help.is_some_and(|help| help.contains(&format!("  {path}")));
                    assert!(given, "{path} has no example");
                }
            }
        }
        look(&Arguments::command(), "sluice");
    }
}
