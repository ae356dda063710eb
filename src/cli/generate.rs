//! `sluice crds`, `sluice api-reference` and `sluice cli-reference`: what is generated from the types and checked in.

use std::path::{Path, PathBuf};

use super::{CliError, manual};
use crate::api::{crds, reference};

/// Arguments of `sluice crds`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice crds --output crds && kubectl apply --server-side -f crds")]
pub(super) struct Crds {
    /// Folder to write to.
    #[arg(long, default_value = "crds")]
    output: PathBuf,
}

/// Arguments of `sluice api-reference`.
#[derive(Debug, clap::Args)]
pub(super) struct Reference {
    /// File to write.
    #[arg(long, default_value = "docs/api.md")]
    output: PathBuf,
}

/// Arguments of `sluice cli-reference`.
#[derive(Debug, clap::Args)]
pub(super) struct CliReference {
    /// File to write.
    #[arg(long, default_value = "docs/cli.md")]
    output: PathBuf,
}

pub(super) fn cli_reference(arguments: &CliReference) -> Result<(), CliError> {
    let text = manual::render().map_err(|error| CliError::Render(error.to_string()))?;
    write(&arguments.output, &text)
}

pub(super) fn crds(arguments: &Crds) -> Result<(), CliError> {
    let rendered = crds::render_crds().map_err(|error| CliError::Render(error.to_string()))?;
    for (name, yaml) in rendered {
        write(&arguments.output.join(name), &yaml)?;
    }
    Ok(())
}

pub(super) fn reference(arguments: &Reference) -> Result<(), CliError> {
    let text =
        reference::render_reference().map_err(|error| CliError::Render(error.to_string()))?;
    write(&arguments.output, &text)
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |source| CliError::Write {
        path: path.display().to_string(),
        source,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
