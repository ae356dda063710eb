//! Finds or builds the programs the environment needs: the control plane, kubectl and Helm.
//!
//! The control plane is one multi-call binary from `testenv/controlplane`. It is built when it is missing, once for
//! each content of its sources, and kept outside `target/`, so that `cargo clean` does not cost ten minutes. Where Go
//! is absent the binaries of setup-envtest (`KUBEBUILDER_ASSETS`) serve as far as they go. Nothing is ever
//! downloaded but by the Go tool itself.
//!
//! Environment: `SLUICE_TESTENV_CACHE` is where built programs are kept (default `$XDG_CACHE_HOME/sluice-testenv`, else
//! `~/.cache/sluice-testenv`).
//!
//! Tested here and, with real programs, in `tests/it/up.rs`.

mod cache;
mod control_plane;
mod go;
mod progress;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::component::Component;
use crate::error::{Error, Result};

/// Where the control plane's programs are.
#[derive(Clone, Debug)]
pub(crate) enum Programs {
    /// Our own multi-call binary; the first argument picks the component.
    MultiCall(PathBuf),
    /// A directory with etcd and kube-apiserver, perhaps kubectl, from setup-envtest.
    Kubebuilder(PathBuf),
}

/// How a component's command line starts.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) first_argument: Option<&'static str>,
    /// Whether it ends by itself when the process named in `SLUICE_TESTENV_PARENT` is gone.
    pub(crate) watches_parent: bool,
}

impl Programs {
    /// Finds the programs, building them first when they are missing. This can take minutes.
    pub(crate) async fn find() -> Result<Self> {
        if go::is_installed() {
            return blocking(control_plane::build)
                .await
                .map(|directory| Self::MultiCall(directory.join(control_plane::BINARY)));
        }
        kubebuilder(std::env::var_os("KUBEBUILDER_ASSETS"))
    }

    /// Says whether a component can be started at all.
    pub(crate) fn has(&self, component: Component) -> bool {
        self.program(component).is_ok()
    }

    /// Gives the program of a component.
    pub(crate) fn program(&self, component: Component) -> Result<Program> {
        match self {
            Self::MultiCall(path) => Ok(Program {
                path: path.clone(),
                first_argument: Some(component.program()),
                watches_parent: true,
            }),
            Self::Kubebuilder(directory) => Ok(Program {
                path: in_kubebuilder(directory, component.program())?,
                first_argument: None,
                watches_parent: false,
            }),
        }
    }

    /// Gives a path that can be run as `kubectl`.
    pub(crate) fn kubectl(&self) -> Result<PathBuf> {
        match self {
            Self::MultiCall(path) => Ok(path.with_file_name("kubectl")),
            Self::Kubebuilder(directory) => in_kubebuilder(directory, "kubectl"),
        }
    }
}

fn in_kubebuilder(directory: &Path, program: &str) -> Result<PathBuf> {
    let path = directory.join(program);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::NotInAssets {
        program: program.to_owned(),
        directory: directory.to_owned(),
    })
}

fn kubebuilder(directory: Option<OsString>) -> Result<Programs> {
    let directory = directory.map(PathBuf::from).ok_or(Error::NoAssets)?;
    let programs = Programs::Kubebuilder(directory);
    for component in [Component::Etcd, Component::ApiServer] {
        programs.program(component)?;
    }
    Ok(programs)
}

/// Finds a program that can be run as `kubectl`, of the same version as the API server.
///
/// # Errors
/// When the control plane can be neither built nor found, or `KUBEBUILDER_ASSETS` has no kubectl.
pub async fn kubectl() -> Result<PathBuf> {
    Programs::find().await?.kubectl()
}

/// Finds Helm, building it from its Go module first when it is missing (a minute and a half).
///
/// # Errors
/// When Go is absent or the build fails.
pub async fn helm() -> Result<PathBuf> {
    go_tool("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0").await
}

/// Finds a Go program by its package and version, `go install`ing it into the cache when it is missing.
///
/// `name` is the file that `go install` writes, `package` is `module/path@version`.
///
/// # Errors
/// When Go is absent or the build fails.
pub async fn go_tool(name: &'static str, package: &'static str) -> Result<PathBuf> {
    blocking(move || go::install(name, package))
        .await
        .map(|directory| directory.join(name))
}

/// Runs a build away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Task("building a program"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_go_and_assets_one_sentence_names_both_ways() {
        let sentence = kubebuilder(None).unwrap_err().to_string();
        assert!(sentence.contains("Go 1.26") && sentence.contains("KUBEBUILDER_ASSETS"));
    }

    #[test]
    fn assets_serve_as_far_as_they_go() {
        let directory = tempfile::tempdir().unwrap();
        let find = || kubebuilder(Some(directory.path().into()));
        assert!(matches!(find(), Err(Error::NotInAssets { .. })));
        for program in ["etcd", "kube-apiserver"] {
            std::fs::write(directory.path().join(program), "").unwrap();
        }
        let programs = find().unwrap();
        assert!(programs.has(Component::ApiServer));
        assert!(!programs.has(Component::Scheduler));
        let sentence = programs.kubectl().unwrap_err().to_string();
        assert!(sentence.contains("kubectl is not among the binaries of KUBEBUILDER_ASSETS"));
    }
}
