//! Every name that Sluice reads or writes on somebody else's object: annotations, labels, the gate, the finalizer.
//!
//! One place, so that a search for a string in a manifest ends here. This file never parses values
//! ([`super::request`] does) and holds no behaviour; the tests check that each name is a legal one.

/// API group of all kinds of Sluice.
pub const GROUP: &str = "sluice.dev";
/// Version of the API that this program speaks.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of all kinds of Sluice.
pub const API_VERSION: &str = "sluice.dev/v1alpha1";
/// Prefix of every annotation, label, gate and finalizer of Sluice.
pub const PREFIX: &str = "sluice.dev/";

// === written by users, on pods ===

/// Annotation: the limits a pod needs and how many slots of each, as in `gpu=1, licences/matlab=2`.
pub const SLOTS: &str = "sluice.dev/slots";
/// Annotation: the locks a pod needs, as in `deploy-db, schema:shared`.
pub const LOCKS: &str = "sluice.dev/locks";
/// Annotation: how long a pod may wait, as in `10m`.
pub const TIMEOUT: &str = "sluice.dev/timeout";
/// Annotation: what happens when the time is over, `Wait` (default) or `Fail`.
pub const ON_TIMEOUT: &str = "sluice.dev/on-timeout";
/// Annotation: place in the queue, in place of the value of the pod's PriorityClass.
pub const PRIORITY: &str = "sluice.dev/priority";
/// Annotation: what a limit or lock that does not exist means, `Wait` (default) or `Ignore`.
pub const IF_MISSING: &str = "sluice.dev/if-missing";
/// Label: worker of a family; the default of `spec.perWorker.podLabel`.
pub const WORKER: &str = "sluice.dev/worker";
/// Annotation: limits with `decay` that a pod takes from once, as in `api=3`.
pub const RATE_LIMITS: &str = "sluice.dev/rate-limits";
/// Annotation: reserved for requests of several pods; nothing reads it yet.
pub const REQUEST_GROUP: &str = "sluice.dev/group";

// === written at admission, on pods ===

/// Scheduling gate that holds a pod until its leases are durable.
pub const GATE: &str = "sluice.dev/slots";
/// Label by which the controller watches pods; its value is [`MANAGED_VALUE`].
pub const MANAGED: &str = "sluice.dev/managed";
/// The one value of the label [`MANAGED`].
pub const MANAGED_VALUE: &str = "true";

// === written by the controller, on pods ===

/// Annotation: number of the attempt (absent is 0) or [`TIMED_OUT`].
pub const ATTEMPT: &str = "sluice.dev/attempt";
/// Value of [`ATTEMPT`] of a request that was given up for good.
pub const TIMED_OUT: &str = "timed-out";
/// Annotation: what was granted, as JSON; after the reveal this is the request.
pub const GRANTED: &str = "sluice.dev/granted";
/// Annotation: fencing tokens of limits for the downward API, as in `gpu=42`.
pub const TOKENS: &str = "sluice.dev/tokens";
/// Annotation: fencing tokens of locks for the downward API, as in `deploy-db=7`.
pub const LOCK_TOKENS: &str = "sluice.dev/lock-tokens";
/// Finalizer of pods that hold slots of a limit with `releasePolicy: Confirmed`.
pub const FINALIZER: &str = "sluice.dev/confirm-end";

// === on limits and locks ===

/// Annotation, written by operators: UIDs of holders, separated by commas, whose leases are to be freed without proof.
pub const RELEASE: &str = "sluice.dev/release";
/// Annotation, written by operators: nothing is granted while it is there, and whoever runs is counted anew after; its
/// value says why, for people.
pub const QUARANTINE: &str = "sluice.dev/quarantine";
/// Annotation, written by the controller on a worker's limit: generation of the family it was made from.
pub const PARENT_GENERATION: &str = "sluice.dev/parent-generation";

// === on claims ===

/// Label: id of the session that created or adopted a claim; a process watches its own claims by it.
pub const SESSION: &str = "sluice.dev/session";

// === who we are ===

/// Field manager of every write.
pub const FIELD_MANAGER: &str = "sluice";
/// Reporting controller of every event.
pub const REPORTER: &str = "sluice.dev/controller";
/// Verb on `concurrencylimits` that lets a person remove the gate by hand.
pub const BYPASS_VERB: &str = "bypass";

/// Annotations of a pod that make up its request: what its user may write, and may edit while gated.
pub const REQUEST_ANNOTATIONS: [&str; 7] = [
    SLOTS,
    LOCKS,
    RATE_LIMITS,
    TIMEOUT,
    ON_TIMEOUT,
    PRIORITY,
    IF_MISSING,
];

/// Annotations that ask for something; a pod with any of them waits behind our gate.
pub const ASKING_ANNOTATIONS: [&str; 3] = [SLOTS, LOCKS, RATE_LIMITS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_qualified_name_of_ours() {
        let names = [
            WORKER,
            REQUEST_GROUP,
            GATE,
            MANAGED,
            ATTEMPT,
            GRANTED,
            TOKENS,
            LOCK_TOKENS,
            FINALIZER,
            RELEASE,
            QUARANTINE,
            SESSION,
            PARENT_GENERATION,
            REPORTER,
        ];
        for name in names.into_iter().chain(REQUEST_ANNOTATIONS) {
            let rest = name.strip_prefix(PREFIX).unwrap();
            assert!((1..=63).contains(&rest.len()), "{name}");
            assert!(
                rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
        assert_eq!(API_VERSION, format!("{GROUP}/{VERSION}"));
    }
}
