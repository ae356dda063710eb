//! A component's process: started, stopped, killed, paused and started again with the same flags.
//!
//! It ends with this process, even when that is killed: the multi-call binary watches the process named in
//! `SLUICE_TESTENV_PARENT`; for programs that do not, and for paused ones, which cannot, a [`Guard`] does.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::assets::Program;
use crate::component::Component;
use crate::error::{Error, Result};

/// Bytes of a log that an error quotes.
const TAIL_BYTES: usize = 4_096;
/// How long a component may take to obey SIGTERM, in milliseconds.
const TERMINATE_MILLIS: u64 = 5_000;

/// A component's process and how to start it.
pub(crate) struct Process {
    component: Component,
    program: Program,
    arguments: Vec<OsString>,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    /// Kills the process when this one is gone; present when it cannot see that by itself.
    guard: Option<Guard>,
}

impl Process {
    pub(crate) fn new(
        component: Component,
        program: Program,
        flags: Vec<String>,
        log: PathBuf,
    ) -> Self {
        let arguments = program
            .first_argument
            .map(OsString::from)
            .into_iter()
            .chain(flags.into_iter().map(OsString::from))
            .collect();
        Self {
            component,
            program,
            arguments,
            log,
            running: Mutex::new(None),
        }
    }

    /// Starts the process when it is not running.
    pub(crate) fn spawn(&self) -> Result<()> {
        let mut running = self.running();
        if running.is_some() {
            return Ok(());
        }
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&self.log)
                .map_err(Error::io(format!("open {}", self.log.display())))
        };
        let child = Command::new(&self.program.path)
            .args(&self.arguments)
            .env("SLUICE_TESTENV_PARENT", std::process::id().to_string())
            // Ctrl-C on a terminal is for us, who then stop the components in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .spawn()
            .map_err(Error::io(format!("run {}", self.program.path.display())))?;
        let guard = match self.program.watches_parent {
            true => None,
            false => Some(Guard::start(child.id())?),
        };
        *running = Some(Running { child, guard });
        Ok(())
    }

    /// Says why the process is not there any more, when it ended without being asked.
    pub(crate) fn died(&self) -> Option<Error> {
        let status = self.running().as_mut()?.child.try_wait().ok().flatten()?;
        Some(Error::Died {
            component: self.component,
            status,
            log: self.log.clone(),
            tail: tail(&self.log),
        })
    }

    /// Ends the process with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&self) -> Result<()> {
        match self.running().take() {
            Some(running) => running.kill().map(drop),
            None => Ok(()),
        }
        .map_err(Error::io(format!("kill {}", self.component)))
    }

    /// Ends the process with SIGTERM, with SIGKILL when it has not obeyed in time, and waits until it is gone.
    pub(crate) fn terminate(&self) -> Result<()> {
        let Some(mut running) = self.running().take() else {
            return Ok(());
        };
        let deadline = Instant::now() + Duration::from_millis(TERMINATE_MILLIS);
        let _ = running.signal(Signal::TERM);
        while Instant::now() < deadline {
            if matches!(running.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        running
            .kill()
            .map(drop)
            .map_err(Error::io(format!("stop {}", self.component)))
    }

    /// Stops the process in its tracks (SIGSTOP), and returns when none of its threads runs any more.
    pub(crate) fn pause(&self) -> Result<()> {
        self.with(|running, watches_parent| {
            if watches_parent && running.guard.is_none() {
                running.guard = Some(Guard::start(running.child.id())?);
            }
            running
                .signal(Signal::STOP)
                .and_then(|()| running.wait_until_stopped())
                .map_err(Error::io(format!("pause {}", self.component)))
        })
    }

    /// Lets a paused process go on (SIGCONT).
    pub(crate) fn resume(&self) -> Result<()> {
        self.with(|running, watches_parent| {
            running
                .signal(Signal::CONT)
                .map_err(Error::io(format!("resume {}", self.component)))?;
            if watches_parent {
                running.guard = None;
            }
            Ok(())
        })
    }

    /// Gives the process id while the process runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.running().as_ref().map(|running| running.child.id())
    }

    fn with(&self, act: impl FnOnce(&mut Running, bool) -> Result<()>) -> Result<()> {
        match self.running().as_mut() {
            Some(running) => act(running, self.program.watches_parent),
            None => Err(Error::NotStarted(self.component)),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

impl Running {
    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        Ok(kill_process(self.id()?, signal)?)
    }

    fn wait_until_stopped(&self) -> std::io::Result<()> {
        // The news is left for others: the standard library waits for the same child.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.id()?), options)?;
        Ok(())
    }

    fn id(&self) -> std::io::Result<Pid> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn kill(mut self) -> std::io::Result<ExitStatus> {
        // The guard first: once the process is reaped, its id may belong to another.
        drop(self.guard.take());
        self.child.kill()?;
        self.child.wait()
    }
}

/// A shell that waits for a word from us; when the pipe closes without one, we are gone, and it kills the process.
struct Guard {
    shell: Child,
}

impl Guard {
    fn start(process: u32) -> Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", "read -r word || kill -9 \"$1\"", "sh"])
            .arg(process.to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(|shell| Self { shell })
            .map_err(Error::io("run /bin/sh"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(pipe) = &mut self.shell.stdin {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}

/// Gives the end of a log.
pub(crate) fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(&bytes[start..])
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(directory: &Path, watches_parent: bool) -> Process {
        let program = Program {
            path: "/bin/sh".into(),
            first_argument: Some("-c"),
            watches_parent,
        };
        Process::new(
            Component::Etcd,
            program,
            vec!["echo started; exec sleep 600".into()],
            directory.join("log"),
        )
    }

    fn state(id: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "it did not happen in time");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_process_is_paused_resumed_and_killed() {
        let directory = tempfile::tempdir().unwrap();
        let process = sleeper(directory.path(), true);
        process.spawn().unwrap();
        let id = process.id().unwrap();
        process.pause().unwrap();
        assert_eq!(state(id), Some('T'));
        process.resume().unwrap();
        until(|| state(id) != Some('T'));
        process.pause().unwrap();
        process.kill().unwrap();
        assert_eq!(state(id), None);
        assert!(process.died().is_none());
        process.spawn().unwrap();
        assert_ne!(process.id(), Some(id));
        process.terminate().unwrap();
        assert_eq!(process.id(), None);
    }

    #[test]
    fn a_guard_kills_when_its_pipe_closes() {
        let directory = tempfile::tempdir().unwrap();
        let process = sleeper(directory.path(), false);
        process.spawn().unwrap();
        let mut guard = process.running().as_mut().unwrap().guard.take().unwrap();
        drop(guard.shell.stdin.take());
        guard.shell.wait().unwrap();
        until(|| process.died().is_some());
    }
}
