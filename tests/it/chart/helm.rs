//! Helm for tests: the real program, on this repository's chart, with nothing of the user's own configuration.
//!
//! ```ignore
//! let helm = Helm::on(&plane).await;
//! helm.run(&["install", RELEASE, &chart(), "-n", NAMESPACE, "--create-namespace"]).await?;
//! ```

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sluice_testenv::{ControlPlane, assets};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Name of the release in tests; the names of its objects begin with it.
pub(crate) const RELEASE: &str = "sluice";
/// Namespace of the release in tests.
pub(crate) const NAMESPACE: &str = "sluice-system";
/// User name of the controller of that release.
pub(crate) const CONTROLLER: &str = "system:serviceaccount:sluice-system:sluice";
/// How long anything that is waited for may take, in seconds.
const PATIENCE_SECONDS: u64 = 60;

/// Helm, with a home of its own.
pub(crate) struct Helm {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
    home: TempDir,
}

impl Helm {
    /// Helm without a cluster, for `lint` and `template`.
    pub(crate) async fn offline() -> Self {
        let program = assets::helm().await.unwrap();
        Self {
            program,
            kubeconfig: None,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Helm with all rights on a control plane.
    pub(crate) async fn on(plane: &ControlPlane) -> Self {
        Self {
            kubeconfig: Some(plane.kubeconfig()),
            ..Self::offline().await
        }
    }

    /// Runs a command to its end: what it printed, or, if it failed, what it complained of.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().await.unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Starts a command that a test works beside.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Installs the chart as [`RELEASE`] into [`NAMESPACE`], with these values (`key=value`).
    pub(crate) async fn install(&self, values: &[&str]) -> Result<String, String> {
        self.release("install", &["--create-namespace"], values)
            .await
    }

    /// Upgrades [`RELEASE`] to the chart with these values.
    pub(crate) async fn upgrade(&self, values: &[&str]) -> Result<String, String> {
        self.release("upgrade", &[], values).await
    }

    /// Renders the chart as [`RELEASE`], as for a server of this version, and gives the objects.
    pub(crate) async fn template(
        &self,
        version: &str,
        values: &[&str],
    ) -> Result<Vec<Value>, String> {
        let text = self
            .release("template", &["--kube-version", version], values)
            .await?;
        let objects = serde_yaml::Deserializer::from_str(&text)
            .map(|document| serde::Deserialize::deserialize(document).unwrap())
            .filter(|object: &Value| !object.is_null());
        Ok(objects.collect())
    }

    async fn release(&self, verb: &str, flags: &[&str], values: &[&str]) -> Result<String, String> {
        let chart = chart();
        let mut arguments = vec![verb, RELEASE, &chart, "--namespace", NAMESPACE];
        arguments.extend(flags);
        for value in values {
            arguments.extend(["--set-json", value]);
        }
        self.run(&arguments).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        for (variable, directory) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.home.path().join(directory));
        }
        match &self.kubeconfig {
            Some(path) => command.env("KUBECONFIG", path),
            None => command.env("KUBECONFIG", self.home.path().join("none")),
        };
        command
    }
}

/// Path of the chart.
pub(crate) fn chart() -> String {
    repository().join("charts/sluice").display().to_string()
}

/// Path of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Waits until a condition holds; fails with the last thing it said when it does not in time.
pub(crate) async fn eventually<T>(
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(last) if tokio::time::Instant::now() > deadline => {
                panic!("{what}: not within {PATIENCE_SECONDS} s; last: {last}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
