//! The command as a process: started behind a gate, followed without losing a stop, signalled as a group.
//!
//! What is started first is this binary again, which waits for one byte and then becomes the command. Between the two
//! its guardian learns of the group and the terminal is handed over, so there is no moment in which the command runs
//! unwatched: if `sluice` dies before, the gate never opens and nothing is run.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeWriter, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, close};
use tokio::sync::mpsc;

use super::guardian::{self, itself};
use crate::cli::exit;

/// The hidden name of what waits at the gate.
pub(in crate::cli) const NAME: &str = "gated";
/// Steps of the command that may wait to be looked at.
const STEPS_MAX: usize = 16;

/// What became of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It was stopped and can be continued.
    Stopped(Signal),
    /// It has ended by itself, with this code.
    Exited(i32),
    /// A signal has ended it.
    Killed(Signal),
    /// It has ended, and how is not known.
    Gone,
}

impl Step {
    /// The exit code that says so.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(code).unwrap_or(exit::FAILED),
            Self::Killed(signal) => exit::by_signal(signal as i32),
            Self::Stopped(_) | Self::Gone => exit::FAILED,
        }
    }
}

/// A command that was started.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) group: Pid,
    pub(super) steps: mpsc::Receiver<Step>,
    gate: PipeWriter,
}

impl Ward {
    /// Starts it, and leaves it waiting at the gate.
    pub(super) fn start(
        command: &[OsString],
        environment: &[(String, String)],
    ) -> io::Result<Self> {
        let (inside, gate) = io::pipe()?;
        fcntl(&inside, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let mut started = itself();
        started
            .arg(NAME)
            .arg(inside.as_raw_fd().to_string())
            .arg("--")
            .args(command)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .process_group(0);
        let child = started.spawn()?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let (step, steps) = mpsc::channel(STEPS_MAX);
        // Followed below; std would reap it without having seen it stop.
        std::thread::spawn(move || follow(group, &step));
        Ok(Self { group, steps, gate })
    }

    /// Lets it become the command.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.gate.write_all(b"!")
    }

    /// Passes a signal on.
    pub(super) fn signal(&self, signal: Signal) {
        // Whoever has ended needs no signal.
        let _ = killpg(self.group, signal);
    }

    /// Asks it to end.
    pub(super) fn ask(&self) {
        guardian::ask(self.group);
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Whether anybody of its group is left.
    pub(super) fn is_left(&self) -> bool {
        guardian::exists(self.group)
    }
}

/// Tells every step of a child, and its end.
fn follow(child: Pid, tell: &mpsc::Sender<Step>) {
    loop {
        let step = match waitpid(child, Some(WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(_, code)) => Step::Exited(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => Step::Killed(signal),
            Ok(WaitStatus::Stopped(_, signal)) => Step::Stopped(signal),
            Err(Errno::EINTR) | Ok(_) => continue,
            Err(_) => Step::Gone,
        };
        if tell.blocking_send(step).is_err() || !matches!(step, Step::Stopped(_)) {
            return;
        }
    }
}

/// What waits at the gate: becomes the command when it opens, and nothing when whoever keeps it has gone.
pub(in crate::cli) fn gated(gate: i32, command: &[OsString]) -> u8 {
    let Some((program, arguments)) = command.split_first() else {
        return exit::USAGE;
    };
    match is_open(gate) {
        Ok(true) => {}
        Ok(false) => return exit::FAILED,
        Err(error) => {
            eprintln!("sluice: the command cannot be started: {error}");
            return exit::FAILED;
        }
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("sluice: {}: {error}", program.display());
    match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    }
}

/// Waits until the gate opens, or can never open.
fn is_open(gate: i32) -> io::Result<bool> {
    // Not blocking: an end without anybody at the other would be waited for.
    let mut pipe = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(format!("/dev/fd/{gate}"))?;
    // The command is not to inherit it.
    close(gate)?;
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::empty()))?;
    let mut byte = [0_u8; 1];
    Ok(pipe.read(&mut byte)? == 1)
}
