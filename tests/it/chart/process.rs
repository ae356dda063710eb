//! Programs of the release as processes: this build's binary, run as a kubelet would run it for a pod of the release,
//! with the pod's own arguments, environment and ServiceAccount, and nothing else.
//!
//! Fake nodes run no containers. Only two things are not as in a cluster: a kubeconfig with the account's token takes
//! the place of the mounted one, and ports are free ones of the loopback interface.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use sluice_testenv::{ControlPlane, Ports};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::helm::{NAMESPACE, eventually};

/// How long a program that was asked to stop may take, in seconds: less than its pod's grace period.
const STOP_SECONDS: u64 = 20;

/// How long a program may take until it complains, in seconds.
const COMPLAINT_SECONDS: u64 = 30;

/// Counts programs, for the names of their logs.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// What a container runs, and as whom.
pub(super) struct Program {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    kubeconfig: PathBuf,
}

/// A program that runs until it is stopped. Dropping it kills it; so does the end of this process, however it comes.
pub(super) struct Process {
    child: Child,
    health: SocketAddr,
    log: PathBuf,
    _ports: Ports,
    _heir: Heir,
}

impl Program {
    /// What the container of this pod runs.
    pub(super) async fn of(plane: &ControlPlane, pod: &Pod) -> Self {
        let spec = pod.spec.as_ref().unwrap();
        let container = &spec.containers[0];
        let variables = container.env.iter().flatten();
        Self {
            arguments: container.args.clone().unwrap(),
            environment: variables
                .map(|it| (it.name.clone(), it.value.clone().unwrap()))
                .collect(),
            kubeconfig: plane
                .kubeconfig_for_service_account(
                    NAMESPACE,
                    spec.service_account_name.as_ref().unwrap(),
                )
                .await
                .unwrap(),
        }
    }

    /// What a person runs.
    pub(super) fn by_hand(kubeconfig: PathBuf, arguments: &[&str]) -> Self {
        Self {
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            environment: Vec::new(),
            kubeconfig,
        }
    }

    /// Runs it to its end.
    pub(super) async fn run(&self) -> Output {
        self.command().output().await.unwrap()
    }

    /// Runs it until it complains of this, and ends it there; gives the line.
    pub(super) async fn complains(&self, of: &str) -> String {
        let mut child = self.command().spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let patience = Duration::from_secs(COMPLAINT_SECONDS);
        let told = tokio::time::timeout(patience, async {
            loop {
                match lines.next_line().await.unwrap() {
                    Some(line) if line.contains(of) => return line,
                    Some(_) => {}
                    None => panic!("{:?} ended and never said {of:?}", self.arguments),
                }
            }
        });
        let line = told.await.unwrap();
        child.kill().await.unwrap();
        line
    }

    /// Starts it for as long as it is wanted. Its log goes to this directory.
    pub(super) fn start(mut self, directory: &Path) -> Process {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = directory.join(format!("release-{number}.log"));
        let mut ports = Ports::new().unwrap();
        let [health, metrics] = [(); 2].map(|()| ports.take_address().unwrap());
        self.listens_at("--health-addr", health);
        self.listens_at("--metrics-addr", metrics);
        let mut command = self.command();
        command.stderr(File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        Process {
            _heir: Heir::of(child.id().unwrap()),
            child,
            health,
            log,
            _ports: ports,
        }
    }

    fn listens_at(&mut self, flag: &str, address: SocketAddr) {
        let at = self.arguments.iter().position(|it| it == flag).unwrap() + 1;
        self.arguments[at] = address.to_string();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("SLUICE_LOG", "info,sluice=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

impl Process {
    /// Waits until its readiness probe passes.
    pub(super) async fn ready(&mut self) {
        let log = self.log.clone();
        eventually(&format!("{} to be ready", log.display()), async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("it ended: {status}"));
            }
            let answer = get(self.health, "/readyz").await;
            match answer.map_err(|error| error.to_string())? {
                answer if answer.starts_with("HTTP/1.1 200") => Ok(()),
                answer => Err(answer),
            }
        })
        .await;
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(super) async fn stop(mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(asked.unwrap().success(), "kill -TERM {id}");
        match tokio::time::timeout(Duration::from_secs(STOP_SECONDS), self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!(
                "not stopped within {STOP_SECONDS} s; log: {}",
                self.log.display()
            ),
        }
    }
}

async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Kills a process when this one is gone, SIGKILL included: a shell that reads from a pipe of ours until it closes.
struct Heir(std::process::Child);

impl Heir {
    fn of(id: u32) -> Self {
        let script = format!("read -r word; [ \"$word\" = over ] || kill -9 {id}");
        let shell = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            // Ctrl-C on a terminal must not end it before us.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(shell.unwrap())
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        let mut pipe = self.0.stdin.take().unwrap();
        // It has no other reader, and nothing to say if it is gone.
        let _ = writeln!(pipe, "over");
        let _ = self.0.wait();
    }
}
