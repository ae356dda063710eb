//! The four processes of a control plane and the flags each is started with.
//!
//! The flags are the smallest set that runs real Jobs and Deployments on fake nodes; they never turn on
//! APIs or feature gates that a cluster does not have by default, so what passes here passes there.

use std::fmt;
use std::path::{Path, PathBuf};

/// A process of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers of Jobs, Deployments, namespaces, garbage and so on.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

impl Component {
    /// All components, in the order in which they start.
    pub const ALL: [Self; 4] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
    ];

    /// Gives the program's name, which is also the first argument of the multi-call binary.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.program())
    }
}

/// What flags are made from: where the files of this run are and which ports it has.
pub(crate) struct Layout {
    pub(crate) directory: PathBuf,
    pub(crate) etcd_port: u16,
    pub(crate) etcd_peer_port: u16,
    pub(crate) apiserver_port: u16,
    pub(crate) controller_manager_port: u16,
    pub(crate) scheduler_port: u16,
    pub(crate) emulated_version: Option<String>,
}

impl Layout {
    pub(crate) fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    pub(crate) fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_port)
    }

    pub(crate) fn apiserver_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.apiserver_port)
    }

    /// Gives the port on which a component answers.
    pub(crate) fn port(&self, component: Component) -> u16 {
        match component {
            Component::Etcd => self.etcd_port,
            Component::ApiServer => self.apiserver_port,
            Component::ControllerManager => self.controller_manager_port,
            Component::Scheduler => self.scheduler_port,
        }
    }

    fn emulation(&self) -> Option<String> {
        self.emulated_version
            .as_ref()
            .map(|version| format!("--emulated-version={version}"))
    }

    /// Flags of the multi-call binary's own `etcd` command.
    pub(crate) fn embedded_etcd(&self) -> Vec<String> {
        vec![
            format!("--data-dir={}", self.file("etcd")),
            format!("--listen-client-url={}", self.etcd_url()),
            format!("--listen-peer-url=http://127.0.0.1:{}", self.etcd_peer_port),
        ]
    }

    /// Flags of an etcd binary from setup-envtest.
    pub(crate) fn stock_etcd(&self) -> Vec<String> {
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        vec![
            format!("--data-dir={}", self.file("etcd")),
            format!("--listen-client-urls={}", self.etcd_url()),
            format!("--advertise-client-urls={}", self.etcd_url()),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".into(),
            "--quota-backend-bytes=8589934592".into(),
        ]
    }

    /// Flags of the API server. History stays readable in etcd: JSON, and no compaction.
    pub(crate) fn apiserver(&self, extra: &[String]) -> Vec<String> {
        let mut flags = vec![
            format!("--etcd-servers={}", self.etcd_url()),
            "--etcd-compaction-interval=0".into(),
            "--storage-media-type=application/json".into(),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={}", self.apiserver_port),
            format!("--tls-cert-file={}", self.file("serving.crt")),
            format!("--tls-private-key-file={}", self.file("serving.key")),
            format!("--client-ca-file={}", self.file("ca.crt")),
            "--service-account-issuer=https://sluice-testenv.invalid".into(),
            format!(
                "--service-account-key-file={}",
                self.file("service-account.pub")
            ),
            format!(
                "--service-account-signing-key-file={}",
                self.file("service-account.key")
            ),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--authorization-mode=Node,RBAC".into(),
            "--allow-privileged=true".into(),
            "--endpoint-reconciler-type=none".into(),
            "--profiling=false".into(),
        ];
        flags.extend(self.emulation());
        flags.extend(extra.iter().cloned());
        flags
    }

    /// Flags of the controller manager. Without the node lifecycle controller fake nodes need no heartbeat.
    pub(crate) fn controller_manager(&self) -> Vec<String> {
        let kubeconfig = self.file("controller-manager.kubeconfig");
        let mut flags = vec![
            "--controllers=*,-node-ipam-controller,-node-lifecycle-controller".into(),
            "--leader-elect=false".into(),
            "--use-service-account-credentials=true".into(),
            format!(
                "--service-account-private-key-file={}",
                self.file("service-account.key")
            ),
            format!("--root-ca-file={}", self.file("ca.crt")),
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
            "--profiling=false".into(),
            format!("--kubeconfig={kubeconfig}"),
        ];
        flags.extend(self.serving(self.controller_manager_port, &kubeconfig));
        flags.extend(self.emulation());
        flags
    }

    /// Flags of the scheduler; the rest is in its configuration file.
    pub(crate) fn scheduler(&self) -> Vec<String> {
        let kubeconfig = self.file("scheduler.kubeconfig");
        let mut flags = vec![format!("--config={}", self.file("scheduler.yaml"))];
        flags.extend(self.serving(self.scheduler_port, &kubeconfig));
        flags.extend(self.emulation());
        flags
    }

    /// The scheduler's configuration: its client is not throttled, and a pod that did not fit is tried again soon.
    pub(crate) fn scheduler_configuration(&self) -> String {
        format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\n\
             kind: KubeSchedulerConfiguration\n\
             clientConnection:\n  kubeconfig: {}\n  qps: 500\n  burst: 1000\n\
             leaderElection:\n  leaderElect: false\n\
             podInitialBackoffSeconds: 1\npodMaxBackoffSeconds: 2\n",
            self.file("scheduler.kubeconfig")
        )
    }

    fn serving(&self, port: u16, kubeconfig: &str) -> Vec<String> {
        vec![
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", self.file("serving.crt")),
            format!("--tls-private-key-file={}", self.file("serving.key")),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
        ]
    }
}

/// Gives the log file of a component in a run's directory.
pub(crate) fn log_path(directory: &Path, component: Component) -> PathBuf {
    directory.join(format!("{component}.log"))
}
