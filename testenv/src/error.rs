//! What can go wrong when a test control plane is built, started or driven.

use std::path::PathBuf;
use std::process::ExitStatus;

use crate::component::Component;

/// A failure of the test environment, never of what is tested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither Go nor prebuilt binaries are there.
    #[error(
        "no control plane for the tests: install Go 1.26 or newer (it is then built once, five to nine minutes on two \
         cores), or point KUBEBUILDER_ASSETS at a directory with etcd and kube-apiserver (setup-envtest)"
    )]
    NoAssets,
    /// A tool is built with Go, which is absent.
    #[error("{0} is built with Go, which is not there: install Go 1.26 or newer")]
    NoGo(String),
    /// The prebuilt binaries lack one that was asked for.
    #[error(
        "{program} is not among the binaries of KUBEBUILDER_ASSETS ({}): install Go 1.26 or newer, so that the whole \
         control plane is built, or start without it", directory.display()
    )]
    NotInAssets {
        /// The program that is missing.
        program: String,
        /// The directory that was searched.
        directory: PathBuf,
    },
    /// `go build` or `go install` failed.
    #[error("building {what} failed ({status}), the last lines of {} are:\n{tail}", log.display())]
    Build {
        /// What was built.
        what: String,
        /// How the Go tool ended.
        status: ExitStatus,
        /// Its whole output.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// A file or process operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A certificate or key could not be made.
    #[error("cannot make a certificate or key for the test control plane: {0}")]
    Pki(#[from] rcgen::Error),
    /// A kubeconfig could not be written or used.
    #[error("cannot make a kubeconfig for {user}: {reason}")]
    Kubeconfig {
        /// The user it was for.
        user: String,
        /// What was wrong.
        reason: String,
    },
    /// No free port was found.
    #[error("no free port between {first} and {last} on 127.0.0.1")]
    NoPort {
        /// Start of the range that was searched.
        first: u16,
        /// End of the range that was searched.
        last: u16,
    },
    /// A component ended by itself.
    #[error("{component} ended by itself ({status}), the last lines of {} are:\n{tail}", log.display())]
    Died {
        /// The component.
        component: Component,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// Something did not happen in time.
    #[error("waited {seconds} s in vain for {what}; look at the logs in {}", directory.display())]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// Where the logs are.
        directory: PathBuf,
    },
    /// This control plane was started without the component.
    #[error("this control plane was started without {0}")]
    NotStarted(Component),
    /// A request to the API server failed.
    #[error("cannot {what}: {source}")]
    Request {
        /// What was asked for.
        what: String,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
    /// A task of the environment ended without a result.
    #[error("{0} ended without a result")]
    Task(&'static str),
}

/// What operations of the test environment give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Says which file or process operation failed.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Says which request failed.
    pub(crate) fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Request {
            what,
            source: Box::new(source),
        }
    }
}
