//! How a controller is run: every setting and every bound of the shell, by name.

use std::net::SocketAddr;
use std::time::Duration;

use crate::election::Timing;
use crate::ledger::ClaimTimes;

/// Settings of one controller.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespaces it serves; empty: all.
    pub namespaces: Vec<String>,
    /// Where metrics are served; port 0 takes a free one.
    pub metrics_address: Option<SocketAddr>,
    /// Where health is served; port 0 takes a free one.
    pub health_address: Option<SocketAddr>,
    /// Highest priority an annotation may ask for beyond the pod's own.
    pub priority_max: Option<i32>,
    /// Whether to create events.
    pub events: bool,
    /// How long claims that have ended stay to be read.
    pub claims: ClaimTimes,
    /// Policy bindings whose absence is reported as condition `Unguarded`.
    pub guard_bindings: Vec<String>,
    /// Id of this process, in every batch it writes; random without one. No two lives may share it.
    pub process: Option<String>,
    /// How it stands for election; `None`: it leads at once, whoever else does.
    pub election: Option<Election>,
}

/// How a controller stands for election.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease: controllers with the same one take turns.
    pub name: String,
    /// Where this process runs, for people who read the Lease.
    pub host: Option<String>,
    /// How patient it is; [`Timing::checked`] says whether it may be used.
    pub timing: Timing,
}

/// News that may wait for the driver; whoever brings more waits.
pub(super) const INBOX_MAX: usize = 8_192;
/// News taken in before effects are asked for.
pub(super) const BATCH_MAX: usize = 512;
/// Patches of pods under way at once: reveals, bumps, and the like.
pub(super) const PATCHES_IN_FLIGHT: usize = 64;
/// Status writes and derived limits under way at once.
pub(super) const STATUS_WRITES_IN_FLIGHT: usize = 32;
/// Live reads under way at once.
pub(super) const READS_IN_FLIGHT: usize = 32;
/// Events that may wait to be sent; further ones are dropped and counted.
pub(super) const EVENTS_MAX: usize = 256;
/// Terms that may wait to be told of.
pub(super) const TERMS_MAX: usize = 8;
/// How long a controller that is told to stop waits for what it has sent.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a controller that is told to stop waits for the release of its Lease.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often pods without our label are looked for.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// How often a watch begins anew with a list, so that an event that was lost on the way is found.
pub(super) const RELIST_EVERY: Duration = Duration::from_secs(600);
/// How often the guard policies are looked for.
pub(super) const GUARD_CHECK_EVERY: Duration = Duration::from_secs(60);
