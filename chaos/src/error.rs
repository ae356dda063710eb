//! What can go wrong with the chaos itself, never with what is tested: that is a finding.

/// A failure of the harness.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The control plane.
    #[error(transparent)]
    Environment(#[from] sluice_testenv::Error),
    /// The history could not be read.
    #[error(transparent)]
    History(#[from] sluice_testenv::history::Error),
    /// A file or process operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A proxy could not be set up.
    #[error("cannot set up the proxy's TLS: {0}")]
    Tls(String),
    /// A request of ours that must succeed did not.
    #[error("cannot {what}: {source}")]
    Request {
        /// What was asked for.
        what: String,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
    /// Something of ours did not happen in time.
    #[error("waited {seconds} s in vain for {what}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
    },
    /// A file of the tree could not be understood.
    #[error("cannot understand {0}")]
    Manifest(String),
    /// A task of ours ended without a result.
    #[error("{0} ended without a result")]
    Task(&'static str),
}

/// What operations of the harness give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Request {
            what,
            source: Box::new(source),
        }
    }
}
