//! A control plane: started, asked for clients, hurt and ended.
//!
//! Nothing in it belongs to the async runtime that started it, so one control plane can serve tests that each have a
//! runtime of their own; a client belongs to the runtime that asked for it. Tested in
//! `tests/it/serves.rs` and `tests/it/faults.rs`.

mod access;
mod faults;
mod options;
mod shared;
mod start;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kube::Config;

pub use self::options::Options;
pub use self::store::Snapshot;
use crate::assets::Programs;
use crate::component::{Component, Layout};
use crate::error::{Error, Result};
use crate::pki::Pki;
use crate::ports::Ports;
use crate::process::Process;
use crate::run_dir::RunDir;

/// A running control plane. Dropping it ends its processes; so does the end of this process, however it comes.
pub struct ControlPlane {
    // Fields are dropped in this order: the processes end before their files and ports go.
    processes: BTreeMap<Component, Process>,
    programs: Programs,
    layout: Layout,
    pki: Pki,
    admin: Config,
    files: AtomicU64,
    directory: RunDir,
    _ports: Ports,
}

impl ControlPlane {
    /// Gives the directory with logs, kubeconfigs and certificates of this run.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Gives the admin's kubeconfig (group `system:masters`).
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory().join("admin.kubeconfig")
    }

    /// Gives the URL of etcd, plain HTTP without credentials.
    #[must_use]
    pub fn etcd_url(&self) -> String {
        self.layout.etcd_url()
    }

    /// Gives the URL of the API server.
    #[must_use]
    pub fn url(&self) -> String {
        self.layout.apiserver_url()
    }

    /// Keeps the directory when the run ends, and says why and where it is.
    pub fn keep_directory(&self, reason: &str) {
        self.directory.keep(reason);
    }

    fn process(&self, component: Component) -> Result<&Process> {
        self.processes.get(&component).ok_or_else(|| {
            // It was left out by the caller, or was not to be had.
            match self.programs.program(component) {
                Ok(_) => Error::NotStarted(component),
                Err(error) => error,
            }
        })
    }

    /// Fails when a component has ended without being asked.
    fn all_alive(&self) -> Result<()> {
        match self.processes.values().find_map(Process::died) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Gives the path of a new file in the run's directory.
    fn new_file(&self, extension: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.directory().join(format!("{number}.{extension}"))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Err(error) = self.all_alive() {
            self.directory.keep(&error.to_string());
        } else if std::thread::panicking() {
            self.directory.keep("a test failed");
        }
        // The last one started ends first, so that none sees another one missing.
        for component in Component::ALL.iter().rev() {
            self.processes.remove(component);
        }
    }
}
