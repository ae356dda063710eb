//! The controller as a process: the real binary, with its log in the directory of the control plane.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sluice_testenv::Ports;

use super::orphans::Registered;

/// How long the health endpoint may take to answer one request, in seconds.
const ANSWER_SECONDS: u64 = 5;

/// Counts controllers, for the names of their logs.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// What a controller of a debug build does wrong on purpose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It aborts as soon as this many of its writes have been applied.
    CrashAfterWrites(u32),
    /// The answers of every so many-th write are lost: it was applied, and the controller does not know.
    LoseAnswers(u32),
    /// Every so many-th status write is answered with a conflict, unsent.
    Conflicts(u32),
}

impl Fault {
    fn variable(self) -> (&'static str, u32) {
        match self {
            Self::CrashAfterWrites(count) => ("SLUICE_FAULT_CRASH_AFTER_WRITES", count),
            Self::LoseAnswers(count) => ("SLUICE_FAULT_LOSE_ANSWERS", count),
            Self::Conflicts(count) => ("SLUICE_FAULT_CONFLICTS", count),
        }
    }
}

/// How a controller is run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// Namespaces it serves; all if there are none.
    pub(crate) namespaces: Vec<String>,
    /// Further flags.
    pub(crate) flags: Vec<String>,
    /// What it does wrong.
    pub(crate) faults: Vec<Fault>,
    /// It stands for election, for a Lease in its first namespace; else it leads at once, whoever else does.
    pub(crate) elects: bool,
}

/// A controller. Dropping it kills it.
pub(crate) struct Controller {
    child: Child,
    log: PathBuf,
    health: SocketAddr,
    metrics: SocketAddr,
    _ports: Ports,
    _registered: Registered,
}

impl Controller {
    /// Starts one with this kubeconfig; it need not be ready when this returns.
    pub(crate) fn start(kubeconfig: &Path, directory: &Path, run: &Run) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let scope = run.namespaces.first().map_or("all", String::as_str);
        let log = directory.join(format!("controller-{number}-{scope}.log"));
        let mut ports = Ports::new().unwrap();
        let [health, metrics] = [(); 2].map(|()| ports.take_address().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .arg("controller")
            .args(["--health-addr", &health.to_string()])
            .args(["--metrics-addr", &metrics.to_string()])
            .args(["--log-format", "text"])
            .args(&run.flags)
            .env("KUBECONFIG", kubeconfig)
            .env("SLUICE_LOG", "info,sluice=debug")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        if !run.namespaces.is_empty() {
            command.args(["--namespaces", &run.namespaces.join(",")]);
        }
        if run.elects {
            command.args(["--lease-namespace", scope]);
        } else {
            command.arg("--leader-elect=false");
        }
        for (name, count) in run.faults.iter().map(|fault| fault.variable()) {
            command.env(name, count.to_string());
        }
        let child = command.spawn().unwrap();
        Self {
            _registered: Registered::new(child.id()),
            child,
            log,
            health,
            metrics,
            _ports: ports,
        }
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        get(self.health, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The text of its metrics.
    pub(crate) fn metrics(&self) -> String {
        get(self.metrics, "/metrics").unwrap()
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Makes it stand still (SIGSTOP).
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success(), "kill {signal} {id}: {status}");
    }

    /// Whether its metrics say that it leads.
    pub(crate) fn leads(&self) -> bool {
        let metrics = get(self.metrics, "/metrics").unwrap_or_default();
        metrics.lines().any(|line| line == "sluice_leader 1")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the controller: {}", self.log.display());
        }
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let patience = Duration::from_secs(ANSWER_SECONDS);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
