//! How a controller is started: every flag that the chaos gives it, in one place.

/// Whether the controllers elect a leader among them, or all believe that they lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Election {
    /// All of them write; only compare-and-swap and the attempt stand between them.
    #[default]
    Off,
    /// One of them leads, by short leases.
    On,
}

/// The first argument of a binary that is a `sluice` as well.
pub const CONTROLLER: &str = "controller";
/// The environment variable with the log's filter, and what it is set to.
pub(crate) const LOG: (&str, &str) = ("SLUICE_LOG", "info,sluice=debug");
/// How long a lease of the election is, in seconds.
pub(crate) const LEASE_SECONDS: u64 = 3;

/// How long claims are kept that were denied, timed out or revoked, in seconds: shorter than the peace at the end.
pub(crate) const ENDED_CLAIMS_SECONDS: i64 = 20;

/// Flags of an election with the shortest lease there may be.
const ELECTION_ON: [&str; 4] = [
    "--leader-elect=true",
    "--lease-duration-seconds=3",
    "--renew-deadline-seconds=2",
    "--retry-period-seconds=0.5",
];
/// Flags by which there is no election.
const ELECTION_OFF: [&str; 1] = ["--leader-elect=false"];

/// The arguments of a controller that serves one namespace.
pub(crate) fn arguments(namespace: &str, election: Election) -> Vec<String> {
    let mut arguments = vec![
        CONTROLLER.to_owned(),
        format!("--namespaces={namespace}"),
        "--log-format=text".to_owned(),
        format!("--ended-claims-seconds={ENDED_CLAIMS_SECONDS}"),
    ];
    match election {
        Election::Off => arguments.extend(ELECTION_OFF.map(ToOwned::to_owned)),
        Election::On => {
            arguments.extend(ELECTION_ON.map(ToOwned::to_owned));
            arguments.push(format!("--lease-namespace={namespace}"));
        }
    }
    arguments
}
