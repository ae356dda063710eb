//! The controller as a process of its own: the release binary, serving one namespace.

use std::fs::File;
use std::process::Stdio;

use sluice_testenv::Ports;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Result;
use super::stage::{Stage, cpu_seconds, eventually};

pub(super) struct Controller {
    process: Child,
    port: u16,
    _ports: Ports,
}

impl Controller {
    /// Starts one and waits until it decides.
    pub(super) async fn start(stage: &Stage, namespace: &str, events: bool) -> Result<Self> {
        let controller = Self::spawn(stage, namespace, events)?;
        controller.ready().await?;
        Ok(controller)
    }

    /// Starts one.
    pub(super) fn spawn(stage: &Stage, namespace: &str, events: bool) -> Result<Self> {
        Self::launch(
            stage,
            namespace,
            &[&format!("--events={events}"), "--leader-elect=false"],
        )
    }

    /// Starts one that takes turns with others of its namespace, with the default times.
    pub(super) fn stand(stage: &Stage, namespace: &str) -> Result<Self> {
        let lease = format!("--lease-namespace={namespace}");
        Self::launch(stage, namespace, &[&lease])
    }

    fn launch(stage: &Stage, namespace: &str, flags: &[&str]) -> Result<Self> {
        let log = stage.directory().join(format!("sluice-{namespace}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut ports = Ports::new()?;
        let port = ports.take()?;
        let process = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .arg("controller")
            .arg(format!("--namespaces={namespace}"))
            .arg(format!("--metrics-addr=127.0.0.1:{port}"))
            .args(flags)
            .env("KUBECONFIG", stage.plane.kubeconfig())
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            process,
            port,
            _ports: ports,
        })
    }

    /// Waits until it has listed everything.
    pub(super) async fn ready(&self) -> Result<()> {
        eventually("the controller to be ready", async || {
            let answer = self.get("/readyz").await;
            Ok(answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200")))
        })
        .await
    }

    /// Waits until it leads.
    pub(super) async fn leads(&self) -> Result<()> {
        eventually("the controller to lead", async || {
            let text = self.get("/metrics").await.unwrap_or_default();
            Ok(text.lines().any(|line| line == "sluice_leader 1"))
        })
        .await
    }

    /// Waits until it follows so many waiting pods.
    pub(super) async fn waits_for(&self, pods: usize) -> Result<()> {
        let wanted = format!("name=\"{}\"}} {pods}", super::stage::LIMIT);
        eventually(&format!("{pods} pods to be queued"), async || {
            let text = self.get("/metrics").await?;
            let mut waiting = text.lines().filter(|it| it.starts_with("sluice_waiting{"));
            Ok(waiting.any(|line| line.ends_with(&wanted)))
        })
        .await
    }

    /// Resident memory, in MiB: now, and the most there ever was.
    pub(super) fn memory(&self) -> Result<(f64, f64)> {
        let id = self.process.id().ok_or("the controller has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
        };
        let now = field("VmRSS:").ok_or("/proc does not say VmRSS")?;
        let most = field("VmHWM:").ok_or("/proc does not say VmHWM")?;
        Ok((now / 1024.0, most / 1024.0))
    }

    /// Processor time that it has taken so far.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.process.id().ok_or("the controller has ended")?)
    }

    /// Asks it to stop with SIGTERM, and waits until it has.
    pub(super) async fn stop(mut self) -> Result<()> {
        let id = self.process.id().ok_or("the controller has ended")?;
        let asked = Command::new("kill")
            .args(["-TERM", &id.to_string()])
            .status();
        if !asked.await?.success() {
            return Err(format!("kill -TERM {id} failed").into());
        }
        let ended = self.process.wait().await?;
        match ended.success() {
            true => Ok(()),
            false => Err(format!("told to stop, the controller ended {ended}").into()),
        }
    }

    /// Ends it with SIGKILL.
    pub(super) async fn kill(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }

    async fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
