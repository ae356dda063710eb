//! `sluice completion`: what a shell needs to complete the command.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Arguments as Command, CliError, output};

/// Arguments of `sluice completion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice completion bash > ~/.local/share/bash-completion/completions/sluice
  sluice completion zsh > \"${fpath[1]}/_sluice\"
  sluice completion fish > ~/.config/fish/completions/sluice.fish")]
pub(super) struct Arguments {
    /// Which shell.
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Command::command(),
        "sluice",
        &mut script,
    );
    output::print(&String::from_utf8_lossy(&script))
}
