//! A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as
//! processes of the test, and fake nodes on which the pods they schedule run.
//!
//! Nothing is simulated but the kubelets. The crate never skips a test: where there is no control plane to be had, the
//! test fails with one sentence that says how to get one. It is tested against itself, in `tests/`.
//!
//! # The API in a page
//!
//! ```no_run
//! use sluice_testenv::{Component, ControlPlane, FakeNodes, NodeOptions, Options, RUN_FOR};
//!
//! # async fn page() -> sluice_testenv::Result<()> {
//! // One control plane serves all tests of a process; each test has its own namespace.
//! let plane = ControlPlane::shared().await;
//! let (plane, nodes) = ControlPlane::shared_with_nodes().await; // node-1, node-2, node-3
//! let namespace = plane.namespace("queue").await?;
//!
//! // Clients belong to the runtime that asks for them, and never repeat a request by themselves.
//! let admin: kube::Client = plane.client();
//! let alice = plane.client_as("alice", &["developers"])?;
//! let robot = plane.client_for_service_account(&namespace, "default").await?;
//!
//! // Kubeconfigs for processes; a kubectl of the server's version with the admin's.
//! let path = plane.kubeconfig();
//! let path = plane.kubeconfig_as("alice", &["developers"])?;
//! let path = plane.kubeconfig_for_service_account(&namespace, "default").await?;
//! let output = plane.kubectl(&["get", "pods", "-n", &namespace])?.output();
//! let helm = sluice_testenv::assets::helm().await?;
//!
//! // What the server counted, and what etcd holds: JSON under /registry, every revision since the first.
//! let requests = plane.api_requests().await?; // (verb, resource, subresource) -> number
//! let text = plane.metrics(Component::Scheduler).await?;
//! let etcd = plane.etcd_url();
//!
//! // A pod with annotation RUN_FOR ("500ms") ends by itself, others run until they are deleted: see `kubelet`.
//! nodes.fail_like_pod_gc(&namespace, "pod").await?; // Failed, its containers still said to run
//! nodes.force_delete(&namespace, "pod").await?; // gone at once, its process would live on
//!
//! // A test that hurts components or nodes, or wants another version, has a control plane of its own. Dropping it ends
//! // everything; so does the end of the test process, SIGKILL included.
//! let own = ControlPlane::start(Options::default().emulated_version("1.35")).await?;
//! let nodes = FakeNodes::start(&own, &["node-1"], NodeOptions::default()).await?;
//! own.kill(Component::ApiServer)?; // SIGKILL
//! own.start_component(Component::ApiServer).await?; // the same port, data and certificates
//! own.restart(Component::ControllerManager).await?;
//! own.pause(Component::Etcd)?; // SIGSTOP
//! own.resume(Component::Etcd)?;
//! own.compact(own.revision().await?).await?; // etcd forgets; a `history::Recording` read it before
//! let backup = own.snapshot()?;
//! own.restore(&backup).await?; // everything is killed, and comes back with the store as it was
//! nodes.stop_answering("node-1").await?; // and resume, delete, add, mark_out_of_service
//! # Ok(())
//! # }
//! ```
//!
//! Logs lie in [`ControlPlane::directory`]; a test that panics prints it, and it is then kept.

pub mod assets;
pub mod history;
pub mod kubelet;

mod component;
mod control_plane;
mod error;
mod kubeconfig;
mod metrics;
mod pki;
mod ports;
mod process;
mod run_dir;
mod wait;

pub use crate::component::Component;
pub use crate::control_plane::{ControlPlane, Options, Snapshot};
pub use crate::error::{Error, Result};
pub use crate::kubelet::{DEDICATED, EXIT_CODE, FakeNodes, NodeOptions, RUN_FOR, STOP_AFTER};
pub use crate::metrics::RequestKind;
pub use crate::ports::Ports;
