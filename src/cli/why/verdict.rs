//! The sentence about one pod or claim: what it waits for, what it holds, or why it is none of Sluice's. Pure.

use std::borrow::Cow;

use crate::cli::look::request::{self, RequestRead};
use crate::cli::look::snapshot::Snapshot;
use crate::cli::look::words;
use crate::cli::queue;
use crate::ledger::{
    Amount, ClaimView, Lease, Mode, Part, PoolKey, PoolObject, ReleasePolicy, RequestState, Uid,
};

/// State, reason, message.
pub(super) type Verdict = (&'static str, Cow<'static, str>, String);

/// What is to be said of a pod or claim.
pub(super) fn judge(pod: &RequestRead, snapshot: &Snapshot) -> Verdict {
    let view = &pod.view;
    let asks_nothing = !pod.asks && view.granted.is_none();
    if asks_nothing && view.is_revealed() {
        return (
            "NotOurs",
            "AsksForNothing".into(),
            "it has none of the annotations sluice.dev/slots, locks and rate-limits: Sluice lets it be"
                .to_owned(),
        );
    }
    if request::is_over(&pod.phase) && view.claim.is_some() {
        return ended_claim(pod, snapshot);
    }
    if request::is_over(&pod.phase) {
        return ended(pod, snapshot);
    }
    if view.is_revealed() {
        return held(pod, snapshot);
    }
    if !view.managed {
        return (
            "Waiting",
            "NotManaged".into(),
            "it has the gate sluice.dev/slots but not the label sluice.dev/managed: \"true\", by which controllers find pods; one adds it when it starts, and every ten minutes"
                .to_owned(),
        );
    }
    waits(pod, snapshot)
}

fn waits(pod: &RequestRead, snapshot: &Snapshot) -> Verdict {
    let uid = &pod.view.uid;
    let Some(state) = snapshot.ledger.request_state(uid) else {
        return (
            "Waiting",
            "Pending".into(),
            "it has just come, or just gone".to_owned(),
        );
    };
    let (word, reason, sentence) = queue::state(snapshot, &state);
    let numbers = match &state {
        RequestState::Waiting(Some(cause)) if snapshot.sentence(cause) == cause.sentence() => {
            snapshot.ledger.waits_because(uid)
        }
        _ => None,
    };
    let message = numbers.map_or(sentence, |text| {
        text.strip_prefix("waiting: ").unwrap_or(&text).to_owned()
    });
    (word, reason.into(), message)
}

fn held(pod: &RequestRead, snapshot: &Snapshot) -> Verdict {
    let view = &pod.view;
    let entries = entries(snapshot, &view.uid);
    let mut text = entries
        .iter()
        .map(|(pool, lease, _)| holds(&pool.key, lease))
        .collect::<Vec<_>>()
        .join("; ");
    let adopted = entries.iter().any(|it| it.2);
    if adopted {
        text.push_str(
            "; it was found running and does not fit: nothing more is granted there until it does",
        );
    }
    let counted = |key: &PoolKey| entries.iter().any(|(pool, ..)| pool.key == *key);
    let granted = pod.view.granted.iter().flat_map(|it| it.leases.iter());
    let lost: Vec<&PoolKey> = granted
        .map(|lease| &lease.pool)
        .filter(|key| !counted(key))
        .collect();
    for key in &lost {
        let why = match snapshot.pools.get(*key) {
            _ if !snapshot.has_read(key) => format!("whether {key} counts it may not be read"),
            None => format!("{key} does not exist any more, and counts it when it does again"),
            Some(pool) if pool.released.contains(&pod.view.uid) => {
                format!("an operator took its lease of {key} from it (sluice.dev/release)")
            }
            Some(pool) if is_disabled(pool) => format!("{key} is disabled, and counts nobody"),
            Some(_) => format!("{key} does not count it, and will when its controller looks"),
        };
        text = if text.is_empty() {
            why
        } else {
            format!("{text}; {why}")
        };
    }
    if let Some(claim) = &view.claim
        && (claim.release || text.is_empty())
    {
        return held_by_claim(claim, text);
    }
    if text.is_empty() {
        return (
            "Held",
            "NotCounted".into(),
            "it runs, and nothing counts it yet: it came past admission, or its gate was removed by hand. A controller finds such pods when it starts, and every ten minutes"
                .to_owned(),
        );
    }
    let reason = match (adopted, lost.is_empty()) {
        (true, _) => "Adopted",
        (false, true) => "SlotsGranted",
        (false, false) => "NotCounted",
    };
    ("Held", reason.into(), text)
}

/// A claim that was given back, or that nothing counts.
fn held_by_claim(claim: &ClaimView, holds: String) -> Verdict {
    match (claim.release, holds.is_empty()) {
        (true, true) => (
            "Ended",
            "Released".into(),
            "its holder has given it back, and it holds nothing".to_owned(),
        ),
        (true, false) => (
            "Held",
            "Releasing".into(),
            format!("its holder has given it back, and a controller frees its slots; {holds}"),
        ),
        (false, _) => (
            "Held",
            "NotCounted".into(),
            "it was granted, and nothing counts it yet: a controller looks when it starts, and every ten minutes"
                .to_owned(),
        ),
    }
}

/// A claim that has ended: what its status says, and what is kept from others for a while.
fn ended_claim(read: &RequestRead, snapshot: &Snapshot) -> Verdict {
    let (reason, message) = read.said.clone().unwrap_or_default();
    let reason = if reason.is_empty() {
        read.phase.clone()
    } else {
        reason
    };
    let mut text = format!("it has ended ({})", read.phase);
    if !message.is_empty() {
        text.push_str(&format!(": {message}"));
    }
    let kept: Vec<String> = entries(snapshot, &read.view.uid)
        .iter()
        .map(|(pool, ..)| pool.key.to_string())
        .collect();
    if !kept.is_empty() {
        let terms = read.view.claim.as_ref().and_then(|claim| claim.terms);
        let most = terms.map_or_else(String::new, |terms| {
            format!(", {} s at most", terms.linger().0 / 1_000)
        });
        text.push_str(&format!(
            "; its slots of {} stay taken for as long as its holder may not have heard{most}",
            kept.join(", ")
        ));
    }
    ("Ended", reason.into(), text)
}

fn holds(key: &PoolKey, lease: &Lease) -> String {
    let what = match lease.amount {
        Amount::Slots(slots) | Amount::Rate(slots) => {
            format!("{} of {key}", words::counted(u64::from(slots), "slot"))
        }
        Amount::Shared => format!("{key}, shared"),
        Amount::Exclusive => format!("{key} alone"),
    };
    let since = words::time(lease.granted_at);
    format!("it holds {what} since {since}, token {}", lease.token.0)
}

fn is_disabled(pool: &PoolObject) -> bool {
    let spec = pool.spec.read();
    spec.is_some_and(|spec| spec.mode == Mode::Disabled)
}

fn ended(pod: &RequestRead, snapshot: &Snapshot) -> Verdict {
    let phase = &pod.phase;
    let entries = entries(snapshot, &pod.view.uid);
    let kept: Vec<String> = entries
        .iter()
        .map(|(pool, ..)| {
            let confirmed =
                matches!(&pool.spec, Part::Read(spec) if spec.release == ReleasePolicy::Confirmed);
            let how = if confirmed {
                "until its end is proven (releasePolicy: Confirmed)"
            } else {
                "for settleSeconds after an end without proof, or until a controller acts"
            };
            format!("{} keeps its slots {how}", pool.key)
        })
        .collect();
    if kept.is_empty() {
        let text = format!("it has ended ({phase}) and holds nothing");
        return ("Ended", "Ended".into(), text);
    }
    let text = format!("it has ended ({phase}); {}", kept.join("; "));
    ("Ended", "AwaitingProof".into(), text)
}

/// Every lease of a holder, and whether it was adopted.
pub(super) fn entries<'a>(
    snapshot: &'a Snapshot,
    uid: &Uid,
) -> Vec<(&'a PoolObject, &'a Lease, bool)> {
    let mut found = Vec::new();
    for pool in snapshot.pools.values() {
        let Some(status) = pool.status.read() else {
            continue;
        };
        let leases = status.leases.iter().map(|lease| (pool, lease, false));
        let adopted = status.adopted.iter().map(|lease| (pool, lease, true));
        found.extend(leases.chain(adopted).filter(|it| it.1.uid == *uid));
    }
    found
}
