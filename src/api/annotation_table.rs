//! What each name on a pod, limit or lock means, for `docs/api.md`.
//!
//! Only words: the grammar is in [`super::request`]. A test checks that every name of the request is here.

use super::names;

/// A row of the table.
pub(super) struct AnnotationDoc {
    /// The name.
    pub(super) name: &'static str,
    /// Annotation, label, gate or finalizer.
    pub(super) kind: &'static str,
    /// Who writes it.
    pub(super) writer: &'static str,
    /// What it may be.
    pub(super) value: &'static str,
    /// What it does.
    pub(super) meaning: &'static str,
}

const fn row(
    name: &'static str,
    kind: &'static str,
    writer: &'static str,
    value: &'static str,
    meaning: &'static str,
) -> AnnotationDoc {
    AnnotationDoc {
        name,
        kind,
        writer,
        value,
        meaning,
    }
}

/// All rows.
pub(super) const ANNOTATIONS: [AnnotationDoc; 20] = [
    row(
        names::SLOTS,
        "annotation",
        "user",
        "`[namespace/]key[=slots]`, …; slots 1 to 1000000, default 1",
        "limits whose slots the pod needs; entries for one limit add up",
    ),
    row(
        names::LOCKS,
        "annotation",
        "user",
        "`[namespace/]key[:shared|:exclusive]`, …; default exclusive",
        "locks the pod needs; of two modes for one lock the stronger counts",
    ),
    row(
        names::RATE_LIMITS,
        "annotation",
        "user",
        "as `sluice.dev/slots`; of limits with `spec.decay` that are not named there",
        "slots that the pod takes once, when it is let go, and never holds; they come back with time",
    ),
    row(
        names::TIMEOUT,
        "annotation",
        "user",
        "up to four numbers with units `h`, `m`, `s`, `ms`, as in `1h30m`; at most `8760h`",
        "how long the pod may wait; without it for ever",
    ),
    row(
        names::ON_TIMEOUT,
        "annotation",
        "user",
        "`Wait` (default) or `Fail`",
        "after the timeout: only an event, or phase Failed with reason `SlotTimeout`",
    ),
    row(
        names::PRIORITY,
        "annotation",
        "user",
        "whole number, -2147483648 to 2147483647",
        "place in the queue in place of the PriorityClass value; may lower it, and raise it up to what the operator allows",
    ),
    row(
        names::IF_MISSING,
        "annotation",
        "user",
        "`Wait` (default) or `Ignore`",
        "what a limit or lock that does not exist means: wait for it, or leave it out",
    ),
    row(
        names::WORKER,
        "label",
        "user",
        "one segment of a key",
        "worker of a family, where the limit's `perWorker.podLabel` is not another label",
    ),
    row(
        names::REQUEST_GROUP,
        "annotation",
        "nobody yet",
        "",
        "reserved",
    ),
    row(
        names::GATE,
        "scheduling gate",
        "admission",
        "",
        "holds the pod until its leases are durable; a pod with it needs the label `sluice.dev/managed`",
    ),
    row(
        names::MANAGED,
        "label",
        "admission",
        "`true`",
        "the controller watches only pods with it",
    ),
    row(
        names::ATTEMPT,
        "annotation",
        "controller",
        "a number (absent: 0), or `timed-out`",
        "raising it makes all earlier leases of the request void",
    ),
    row(
        names::GRANTED,
        "annotation",
        "controller",
        "JSON `{attempt, leases: [{kind, namespace, key, uid, slots or mode, token}]}`",
        "what was granted; from then on this is the request, and edits of the others change nothing",
    ),
    row(
        names::TOKENS,
        "annotation",
        "controller",
        "`key=token`, …",
        "fencing tokens of limits, for the downward API",
    ),
    row(
        names::LOCK_TOKENS,
        "annotation",
        "controller",
        "`key=token`, …",
        "fencing tokens of locks, for the downward API",
    ),
    row(
        names::FINALIZER,
        "finalizer",
        "controller",
        "",
        "on holders of limits and locks with `releasePolicy: Confirmed`, until their end is proven",
    ),
    row(
        names::RELEASE,
        "annotation on a limit or lock",
        "operator",
        "UIDs of holders, separated by commas",
        "frees that holder's lease without proof that it ended",
    ),
    row(
        names::QUARANTINE,
        "annotation on a limit or lock",
        "operator",
        "why, for people; the first 200 characters are shown",
        "nothing is granted while it is there (a family's covers its derived limits); once it is gone, whoever runs is counted before anything is granted",
    ),
    row(
        names::PARENT_GENERATION,
        "annotation on a worker's limit",
        "controller",
        "a number",
        "generation of the family that the limit was made from",
    ),
    row(
        names::BYPASS_VERB,
        "verb on `concurrencylimits`",
        "operator, in a role",
        "",
        "lets its holder remove the gate by hand",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_request_is_explained() {
        for name in names::REQUEST_ANNOTATIONS {
            assert!(
                ANNOTATIONS
                    .iter()
                    .any(|row| row.name == name && row.kind == "annotation"),
                "{name}"
            );
        }
    }
}
