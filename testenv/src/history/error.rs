//! Why a history could not be recorded.

/// A failure to read etcd, never a violation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection to etcd could not be made or broke.
    #[error("cannot read the history from etcd at {url}: {reason}")]
    Connection {
        /// etcd's client URL.
        url: String,
        /// What failed.
        reason: String,
    },
    /// etcd refused or ended the watch.
    #[error("etcd ended the watch from revision 1: {0}")]
    Refused(String),
    /// Old revisions are gone.
    #[error(
        "etcd has forgotten the revisions before {compacted}: start the API server with --etcd-compaction-interval=0"
    )]
    Compacted {
        /// First revision that is left.
        compacted: i64,
    },
    /// etcd answered what its API does not say.
    #[error("cannot understand etcd's answer: {0}")]
    Answer(String),
    /// An object is not stored as JSON.
    #[error(
        "the value of {key} at revision {revision} is no JSON: start the API server with \
         --storage-media-type=application/json"
    )]
    NotJson {
        /// Its key in etcd.
        key: String,
        /// The revision that wrote it.
        revision: i64,
    },
    /// The whole took too long.
    #[error("etcd did not deliver its history within {seconds} s")]
    Deadline {
        /// How long was waited, in seconds.
        seconds: u64,
    },
}
