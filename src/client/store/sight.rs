//! What stands in a request's way, for the sentences that people read. Tested with the stores.

/// Something that a request names.
///
/// ```
/// let wanted = sluice::client::store::Wanted {
///     lock: false,
///     key: "licences/matlab".to_owned(),
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// A lock, or else a limit.
    pub lock: bool,
    /// Its key, possibly with a namespace before it.
    pub key: String,
}

/// What is there to be seen of a limit or lock, for messages.
///
/// ```
/// use sluice::client::store::{Store as _, Wanted};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let embedded = sluice::client::Embedded::new([("gpu", 2)])?;
/// let wanted = Wanted { lock: false, key: "gpu".to_owned() };
/// let sights = embedded.look(&[wanted]).await;
/// assert_eq!(sights[0].what, "limit gpu");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Its kind and key, as in `limit gpu`.
    pub what: String,
    /// It could be read.
    pub found: Option<Found>,
    /// It could not be read, because it does not exist.
    pub missing: bool,
}

/// What was read of a limit or lock.
///
/// ```
/// let free = sluice::client::store::Found::default();
/// assert_eq!((free.held, free.waiting), (0, 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many slots there are; `None` for a lock.
    pub slots: Option<i64>,
    /// How many are held.
    pub held: i64,
    /// How many requests wait.
    pub waiting: i64,
    /// How many were used and come back with time, as of the last write of its status; 0 without `decay`.
    pub coming_back: i64,
    /// Who holds.
    pub holders: Vec<HeldBy>,
    /// Tokens of who holds: a holder that is gone never comes back with the same.
    pub tokens: Vec<i64>,
}

/// Who holds something, for messages: `claim build-7 (nightly run on host-a)`.
///
/// ```
/// let held_by = sluice::client::store::HeldBy {
///     who: "claim build-7".to_owned(),
///     claim: Some("build-7".to_owned()),
///     holder: "nightly run on host-a".to_owned(),
/// };
/// assert_eq!(held_by.to_string(), "claim build-7 (nightly run on host-a)");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldBy {
    /// Its kind and name, as in `claim build-7` or `pod other/train-x2k`.
    pub who: String,
    /// Its name, where it is a claim of the namespace of this store.
    pub claim: Option<String>,
    /// What that claim says of its holder; empty where it says nothing, or was not asked.
    pub holder: String,
}

impl std::fmt::Display for HeldBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.who)?;
        if self.holder.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.holder)
    }
}
