//! The start of a control plane, up to the moment when a test can create its first pod.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use crate::assets::Programs;
use crate::component::{Component, Layout, log_path};
use crate::control_plane::{ControlPlane, Options};
use crate::error::{Error, Result};
use crate::kubeconfig;
use crate::pki::Pki;
use crate::ports::Ports;
use crate::process::Process;
use crate::run_dir::RunDir;

impl ControlPlane {
    /// Starts a control plane and waits until it serves; with a controller manager, until it makes service accounts.
    ///
    /// The first start on a machine builds the programs, which takes minutes and says so on stderr.
    ///
    /// # Errors
    /// When there is nothing to start ([`Error::NoAssets`]), or a component does not come up; the error names its log.
    pub async fn start(options: Options) -> Result<Self> {
        let programs = Programs::find().await?;
        let directory = RunDir::create()?;
        let mut ports = Ports::new()?;
        let layout = Layout {
            directory: directory.path().to_owned(),
            etcd_port: ports.take()?,
            etcd_peer_port: ports.take()?,
            apiserver_port: ports.take()?,
            controller_manager_port: ports.take()?,
            scheduler_port: ports.take()?,
            emulated_version: options.emulated_version.clone(),
        };
        let pki = Pki::create(directory.path())?;
        write_kubeconfigs(&layout, &pki)?;
        let admin = admin_config(&layout, &pki).await?;
        let plane = Self {
            processes: processes(&programs, &layout, &options)?,
            programs,
            layout,
            pki,
            admin,
            files: AtomicU64::new(0),
            directory,
            _ports: ports,
        };
        plane.start_all().await.inspect_err(|_| {
            plane.directory.keep("the control plane did not start");
        })?;
        Ok(plane)
    }

    async fn start_all(&self) -> Result<()> {
        // etcd and the API server find each other; the others give up when there is no API server yet.
        self.process(Component::Etcd)?.spawn()?;
        self.process(Component::ApiServer)?.spawn()?;
        self.ready(Component::ApiServer).await?;
        for component in [Component::ControllerManager, Component::Scheduler] {
            if let Some(process) = self.processes.get(&component) {
                process.spawn()?;
            }
        }
        for component in [Component::ControllerManager, Component::Scheduler] {
            if self.processes.contains_key(&component) {
                self.ready(component).await?;
            }
        }
        self.default_service_account("default").await
    }
}

/// Chooses what to start. A control plane from `KUBEBUILDER_ASSETS` has no controllers and no scheduler.
fn processes(
    programs: &Programs,
    layout: &Layout,
    options: &Options,
) -> Result<BTreeMap<Component, Process>> {
    let essential = [Component::Etcd, Component::ApiServer];
    Component::ALL
        .into_iter()
        .filter(|component| !options.without.contains(component))
        .filter(|component| essential.contains(component) || programs.has(*component))
        .map(|component| {
            let flags = match (component, programs) {
                (Component::Etcd, Programs::MultiCall(_)) => layout.embedded_etcd(),
                (Component::Etcd, Programs::Kubebuilder(_)) => layout.stock_etcd(),
                (Component::ApiServer, _) => layout.apiserver(&options.apiserver_arguments),
                (Component::ControllerManager, _) => layout.controller_manager(),
                (Component::Scheduler, _) => layout.scheduler(),
            };
            let log = log_path(&layout.directory, component);
            let process = Process::new(component, programs.program(component)?, flags, log);
            Ok((component, process))
        })
        .collect()
}

fn write_kubeconfigs(layout: &Layout, pki: &Pki) -> Result<()> {
    for (file, user, group) in [
        ("admin", "admin", Some("system:masters")),
        ("controller-manager", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
    ] {
        let identity = pki.client(user, group)?;
        kubeconfig::write(
            &layout.directory.join(format!("{file}.kubeconfig")),
            &kubeconfig::kubeconfig(
                &layout.apiserver_url(),
                &pki.ca_certificate,
                kubeconfig::by_certificate(&identity),
            ),
        )?;
    }
    let scheduler = Path::new(&layout.directory).join("scheduler.yaml");
    std::fs::write(&scheduler, layout.scheduler_configuration())
        .map_err(Error::io(format!("write {}", scheduler.display())))
}

async fn admin_config(layout: &Layout, pki: &Pki) -> Result<kube::Config> {
    let identity = pki.client("admin", Some("system:masters"))?;
    let kubeconfig = kubeconfig::kubeconfig(
        &layout.apiserver_url(),
        &pki.ca_certificate,
        kubeconfig::by_certificate(&identity),
    );
    kubeconfig::config("admin", kubeconfig).await
}
