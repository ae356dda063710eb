//! Runs the Go tool, with its output in a log that an error names and quotes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{cache, progress};
use crate::error::{Error, Result};
use crate::process::tail;

/// Says whether there is a Go tool to build with.
pub(super) fn is_installed() -> bool {
    Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Gives the cache's directory with a Go program, `go install`ing it first when it is missing.
pub(super) fn install(name: &str, package: &str) -> Result<PathBuf> {
    let version = package
        .rsplit_once('@')
        .map_or("unknown", |(_, version)| version);
    cache::entry(&format!("{name}-{version}"), |directory| {
        if !is_installed() {
            return Err(Error::NoGo(name.to_owned()));
        }
        progress::line(&format!(
            "building {name} {version} once, {}",
            estimate(2, 3)
        ));
        let mut command = Command::new("go");
        command
            .args(["install", "-trimpath", "-ldflags=-s -w", package])
            .env("GOBIN", directory);
        run(&mut command, directory, name)
    })
}

/// Runs the Go tool to its end.
pub(super) fn run(command: &mut Command, directory: &Path, what: &str) -> Result<()> {
    let log = directory.join("build.log");
    let open = || File::options().create(true).append(true).open(&log);
    let output = open().map_err(Error::io(format!("create {}", log.display())))?;
    let errors = open().map_err(Error::io(format!("create {}", log.display())))?;
    let mut child = command
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(Error::io("run the Go tool"))?;
    let status = progress::wait(&mut child, what).map_err(Error::io("wait for the Go tool"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Build {
        what: what.to_owned(),
        status,
        tail: tail(&log),
        log,
    })
}

/// Says how long a build of so many minutes of processor time takes on this machine.
pub(super) fn estimate(least_minutes: usize, most_minutes: usize) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = |minutes: usize| minutes.div_ceil(cores).max(1);
    format!(
        "{} to {} minutes on {cores} cores, less when Go has built its parts before",
        share(least_minutes),
        share(most_minutes)
    )
}
