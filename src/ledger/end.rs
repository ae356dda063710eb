//! When has a pod ended? The one place that answers (DESIGN 5.3; facts in Kubernetes' own words:
//! kubelet writes a terminal phase only after the containers stopped, others write it without looking).
//!
//! Pure functions over what was seen; the truth table is tested below.

use super::claim_view::{ClaimPhase, ClaimView};
use super::mutant::{self, Mutant};
use super::view::{Containers, PodPhase, RequestView};

/// How a pod came to be gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Gone {
    /// Its deletion was watched: what was last seen is its final state.
    Watched,
    /// It was missing when somebody looked: it may have changed since it was last seen.
    Missed,
}

/// Whether a pod's processes have ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum End {
    /// They may run.
    Live,
    /// They probably have, without proof.
    Presumed,
    /// They have: nothing of this pod can run any more.
    Confirmed,
}

/// Judges a pod by the last version seen of it, and whether the object is gone.
pub(super) fn judge(view: &RequestView, gone: Option<Gone>) -> End {
    if let Some(claim) = &view.claim {
        return judge_claim(claim, gone);
    }
    if view.deleting && mutant::is(Mutant::ReleaseOnDeletionTimestamp) {
        return End::Confirmed;
    }
    let never_bound = view.node.is_none();
    let proven = view.progress.containers == Containers::AllTerminated && !view.progress.by_pod_gc
        || mutant::is(Mutant::TerminalIsProof);
    match (view.progress.phase, gone) {
        (PodPhase::Terminal, _) if never_bound || proven => End::Confirmed,
        (PodPhase::Terminal, _) => End::Presumed,
        // The API server binds no pod that is being deleted, and a deletion is never taken back: it will not run.
        // Our own finalizer may be all that keeps it, so nobody must wait for it to be gone. Before its reveal the
        // abort comes first.
        (PodPhase::Live, None) if never_bound && view.deleting && view.is_revealed() => {
            End::Confirmed
        }
        (PodPhase::Live, None) => End::Live,
        (PodPhase::Live, Some(Gone::Missed)) if never_bound && view.deleting => End::Confirmed,
        (PodPhase::Live, Some(Gone::Watched)) if never_bound => End::Confirmed,
        (PodPhase::Live, Some(_)) => End::Presumed,
    }
}

/// Judges a claim. Whoever was told that it holds does so until it says otherwise, its lease has run out by everybody's
/// clock, or its claim was durably revoked; one that vanished may still believe for a while.
fn judge_claim(claim: &ClaimView, gone: Option<Gone>) -> End {
    let heard = !mutant::is(Mutant::ReleaseUnheard);
    match (claim.phase, gone) {
        (ClaimPhase::Denied | ClaimPhase::TimedOut | ClaimPhase::Released, _) => End::Confirmed,
        (ClaimPhase::Granted | ClaimPhase::Revoked, _) if claim.release && heard => End::Confirmed,
        (ClaimPhase::Granted, None) => End::Live,
        (ClaimPhase::Granted, Some(_)) | (ClaimPhase::Revoked, _) => End::Presumed,
        // Who released while waiting believes nothing; who was seen waiting to the end was told nothing.
        (ClaimPhase::Pending, Some(_)) if claim.release => End::Confirmed,
        (ClaimPhase::Pending, Some(Gone::Watched)) => End::Confirmed,
        (ClaimPhase::Pending, Some(Gone::Missed)) => End::Presumed,
        (ClaimPhase::Pending, None) => End::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::pod;
    use super::super::view::Progress;
    use super::*;

    fn seen(phase: PodPhase, containers: Containers, by_pod_gc: bool, bound: bool) -> RequestView {
        let mut view = pod("p", "gpu=1");
        view.progress = Progress {
            phase,
            containers,
            by_pod_gc,
        };
        view.node = bound.then(|| "node-1".into());
        view
    }

    #[test]
    fn the_truth_table() {
        use Containers::{AllTerminated, SomeNotTerminated, Unreported};
        use PodPhase::{Live, Terminal};
        let cases = [
            (Live, SomeNotTerminated, false, true, None, End::Live),
            (Live, AllTerminated, false, true, None, End::Live),
            (Terminal, AllTerminated, false, true, None, End::Confirmed),
            (
                Terminal,
                SomeNotTerminated,
                false,
                true,
                None,
                End::Presumed,
            ),
            (Terminal, Unreported, false, true, None, End::Presumed),
            (Terminal, AllTerminated, true, true, None, End::Presumed),
            (Terminal, Unreported, false, false, None, End::Confirmed),
            (
                Live,
                SomeNotTerminated,
                false,
                true,
                Some(Gone::Watched),
                End::Presumed,
            ),
            (
                Live,
                Unreported,
                false,
                false,
                Some(Gone::Watched),
                End::Confirmed,
            ),
            (
                Live,
                Unreported,
                false,
                false,
                Some(Gone::Missed),
                End::Presumed,
            ),
            (
                Terminal,
                AllTerminated,
                false,
                true,
                Some(Gone::Missed),
                End::Confirmed,
            ),
        ];
        for (phase, containers, by_pod_gc, bound, gone, expected) in cases {
            let view = seen(phase, containers, by_pod_gc, bound);
            assert_eq!(judge(&view, gone), expected, "{view:?} gone {gone:?}");
        }
    }

    #[test]
    fn a_pod_that_is_deleted_before_it_has_a_node_will_never_run() {
        let deleted = |bound: bool, revealed: bool| {
            let mut view = seen(PodPhase::Live, Containers::Unreported, false, bound);
            view.deleting = true;
            if revealed {
                view.gates.ours = None;
            }
            view
        };
        assert_eq!(judge(&deleted(false, true), None), End::Confirmed);
        // A reveal may still be in flight: its abort comes first.
        assert_eq!(judge(&deleted(false, false), None), End::Live);
        assert_eq!(judge(&deleted(true, true), None), End::Live);
        let missed = Some(Gone::Missed);
        assert_eq!(judge(&deleted(false, false), missed), End::Confirmed);
        assert_eq!(judge(&deleted(true, true), missed), End::Presumed);
    }
}
