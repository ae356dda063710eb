//! Who believed to hold, and when, by a log of the holders themselves, held against the server's history: at no instant
//! do more believe, or run, than a limit has slots.
//!
//! A holder counts its lease by its own clock and asks nobody, so what it believes is not in the store. Beliefs are of
//! the wall clock of the machine that the API server runs on too. A running pod counts from the second after its
//! reveal to the first sign of its end: what is found too much is so. Not counted, because nobody promises anything of
//! them: who was let through uncounted by a Disabled limit; who was revoked by an operator's word, from then on; who
//! may believe still, though its claim is gone or was revoked, when its limit is deleted or Disabled.
//!
//! Tested here.

use std::collections::{BTreeMap, BTreeSet};

use super::assumptions::Assumptions;
use super::checker::Report;
use super::pool::{Mode, Pool};
use super::request::Amount;
use super::version::{History, Kind, ObjectRef};
use super::violation::{Invariant, Violation};
use super::who::Who;
use super::world::{Change, PoolChange, World};

/// A second, to which the server stamps writes, in microseconds.
const SECOND_MICROS: i64 = 1_000_000;
/// How much later than its lease was written a holder may begin to believe, in microseconds.
const HEARD_WITHIN_MICROS: i64 = 60 * SECOND_MICROS;

/// A stretch of time in which a holder believed that it held what its claim was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    /// uid of the claim.
    pub claim: String,
    /// From when on, in microseconds since 1970.
    pub from_micros: i64,
    /// Until when: its release was sent, it learned of a loss, or its own deadline came.
    pub until_micros: i64,
}

/// Somebody who believes or runs.
struct Stretch {
    name: String,
    amount: Amount,
    from: i64,
    until: i64,
}

/// What a history says of beliefs.
#[derive(Default)]
struct Evidence {
    /// Slots of each limit, by when a version of it appeared.
    slots: BTreeMap<ObjectRef, Vec<(i64, i64)>>,
    pods: BTreeMap<ObjectRef, BTreeMap<String, Stretch>>,
    /// What each claim was granted.
    grants: BTreeMap<String, (String, Vec<(ObjectRef, Amount)>)>,
    /// From when on nothing is promised of a claim on a limit.
    excused: BTreeMap<(String, ObjectRef), i64>,
}

/// Judges what holders believed. Beliefs of claims that the history never granted break the invariant as well.
#[must_use]
pub fn check_beliefs(
    history: &History,
    beliefs: &[Belief],
    assumptions: &Assumptions,
) -> Vec<Violation> {
    let mut report = Report::new(assumptions);
    report.revision = history.revision();
    let evidence = Evidence::of(history);
    let mut stretches: BTreeMap<ObjectRef, Vec<Stretch>> = BTreeMap::new();
    for (place, pods) in evidence.pods {
        stretches
            .entry(place)
            .or_default()
            .extend(pods.into_values());
    }
    for belief in beliefs {
        let Some((name, leases)) = evidence.grants.get(&belief.claim) else {
            let place = ObjectRef::new(Kind::Claim, "", belief.claim.clone());
            let message = "its holder believed to hold, and it was never granted".to_owned();
            report.add(Invariant::Belief, &place, message);
            continue;
        };
        for (place, amount) in leases {
            let excused = evidence.excused.get(&(belief.claim.clone(), place.clone()));
            stretches.entry(place.clone()).or_default().push(Stretch {
                name: name.clone(),
                amount: *amount,
                from: belief.from_micros,
                until: excused.map_or(belief.until_micros, |it| belief.until_micros.min(*it)),
            });
        }
    }
    for (place, stretches) in &stretches {
        let slots = evidence.slots.get(place).map_or(&[][..], Vec::as_slice);
        for message in too_many(place, stretches, slots) {
            report.add(Invariant::Belief, place, message);
        }
    }
    report.violations
}

impl Evidence {
    fn of(history: &History) -> Self {
        let mut evidence = Self::default();
        let mut world = World::default();
        for version in history.versions() {
            match world.take(version) {
                Change::Pool(change) => evidence.note_pool(&world, &change),
                Change::Pod(change) => evidence.note_told(&world, &change.uid),
                Change::Claim(change) => evidence.note_told(&world, &change.uid),
                Change::Node => {}
            }
        }
        evidence
    }

    fn note_pool(&mut self, world: &World, change: &PoolChange) {
        let now = world.now.saturating_mul(SECOND_MICROS);
        if let Some(new) = &change.new {
            let slots = self.slots.entry(change.place.clone()).or_default();
            if slots.last().is_none_or(|(_, last)| *last != new.slots) {
                slots.push((now, new.slots));
            }
        }
        let Some(old) = &change.old else { return };
        let counted = change.new.as_deref().is_some_and(counts);
        for entry in old.status.entries() {
            let stays = change
                .new
                .as_ref()
                .is_some_and(|new| new.status.entry(&entry.uid).is_some());
            let word = super::evidence::was_released(world, &change.place, old, &entry.uid);
            let claim = world.claims.get(&entry.uid);
            let lost = claim.is_some_and(|claim| word || !counted && !claim.holds());
            if !stays && lost {
                let key = (entry.uid.clone(), change.place.clone());
                self.excused.entry(key).or_insert(now);
            }
        }
    }

    /// Notes a pod that was revealed or has ended, or a claim that was granted.
    fn note_told(&mut self, world: &World, uid: &str) {
        let now = world.now.saturating_mul(SECOND_MICROS);
        let Some(holder) = world.who(uid).filter(|it| it.is_told()) else {
            return;
        };
        let record = holder.record().into_iter().flat_map(|it| &it.leases);
        let counted = record.filter(|lease| lease.token != 0 && !lease.rate);
        match holder {
            Who::Claim(claim) => {
                let leases: Vec<_> = counted.map(|it| (it.pool.clone(), it.amount)).collect();
                for (place, _) in leases
                    .iter()
                    .filter(|_| claim.may_believe() && !claim.holds())
                {
                    let pool = world.pool(place);
                    let forgets =
                        pool.is_none_or(|pool| !counts(pool) && pool.status.entry(uid).is_none());
                    if forgets {
                        let key = (uid.to_owned(), place.clone());
                        self.excused.entry(key).or_insert(now);
                    }
                }
                let grant = (holder.name().to_owned(), leases);
                self.grants.entry(uid.to_owned()).or_insert(grant);
            }
            Who::Pod(pod) => {
                let over = pod.gone || pod.last.deleting || pod.last.is_terminal();
                for lease in counted {
                    let pods = self.pods.entry(lease.pool.clone()).or_default();
                    let stretch = pods.entry(uid.to_owned()).or_insert_with(|| Stretch {
                        name: holder.name().to_owned(),
                        amount: lease.amount,
                        from: now.saturating_add(SECOND_MICROS),
                        until: i64::MAX,
                    });
                    if over {
                        stretch.until = stretch.until.min(now);
                    }
                }
            }
        }
    }
}

/// It counts its holders, and was told of all of them.
fn counts(pool: &Pool) -> bool {
    pool.mode != Mode::Disabled && pool.status.fenced
}

/// Says where too many believe or run at once: looks whenever one begins.
fn too_many(place: &ObjectRef, stretches: &[Stretch], slots: &[(i64, i64)]) -> Vec<String> {
    let mut ordered: Vec<&Stretch> = stretches.iter().filter(|it| it.from < it.until).collect();
    ordered.sort_by_key(|it| it.from);
    let mut active: Vec<&Stretch> = Vec::new();
    let mut told = Vec::new();
    let mut sets = BTreeSet::new();
    for newcomer in ordered {
        active.retain(|it| it.until > newcomer.from);
        active.push(newcomer);
        let since = active.iter().map(|it| it.from).min().unwrap_or_default();
        let sum = active
            .iter()
            .fold(0_i64, |sum, it| sum.saturating_add(it.amount.slots()));
        let excess = match place.kind {
            Kind::Lock => {
                let alone = active.iter().any(|it| it.amount == Amount::Exclusive);
                alone && active.len() > 1
            }
            _ => sum > most_slots(slots, since, newcomer.from),
        };
        let names: Vec<&str> = active.iter().map(|it| it.name.as_str()).collect();
        if excess && sets.insert(names.join(", ")) {
            let (names, at) = (names.join(", "), newcomer.from);
            told.push(format!(
                "at {at} µs these believe or run with {sum} of it together: {names}"
            ));
        }
    }
    told
}

/// The most slots that a limit may have had in this stretch of time, and a moment before: whoever fitted stays.
fn most_slots(slots: &[(i64, i64)], from: i64, until: i64) -> i64 {
    let mut most = 0;
    for (index, (began, count)) in slots.iter().enumerate() {
        let next = slots
            .get(index.saturating_add(1))
            .map_or(i64::MAX, |it| it.0);
        let ended = next.saturating_add(HEARD_WITHIN_MICROS);
        if *began <= until && ended >= from {
            most = most.max(*count);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::builder::{ONE, START_SECONDS, Script, claim, limit, pod};

    fn belief(script: &Script, name: &str, from: i64, until: i64) -> Belief {
        let micros = |seconds: i64| (START_SECONDS + seconds) * SECOND_MICROS;
        Belief {
            claim: script.uid(&claim(name)),
            from_micros: micros(from),
            until_micros: micros(until),
        }
    }

    fn found(script: &Script, beliefs: &[Belief]) -> Vec<String> {
        let violations = check_beliefs(&script.history(), beliefs, &Assumptions::none());
        violations.iter().map(ToString::to_string).collect()
    }

    /// One slot, which `a` has until it releases after 20 s, and `b` then.
    fn handoff() -> (Script, Belief, Belief) {
        let mut script = Script::new();
        script.at(1);
        script.limit("gpu", 1);
        script.claim_holder("a", "gpu");
        let a = belief(&script, "a", 1, 20);
        script.at(20);
        script.give_back("a");
        script.release(&limit("gpu"), "a");
        script.at(21);
        script.claim_holder("b", "gpu");
        let b = belief(&script, "b", 21, 30);
        (script, a, b)
    }

    #[test]
    fn one_after_the_other_is_right() {
        let (script, a, b) = handoff();
        assert_eq!(found(&script, &[b, a]), Vec::<String>::new());
    }

    #[test]
    fn two_who_believe_at_once_are_found() {
        let (script, mut a, b) = handoff();
        a.until_micros = b.from_micros + 1;
        let found = found(&script, &[a, b]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("with 2 of it together: a, b"),
            "{found:?}"
        );
    }

    #[test]
    fn a_running_pod_counts_beside_a_believer() {
        let (mut script, _, b) = handoff();
        script.at(22);
        script.pod("p", "gpu");
        script.lease(&limit("gpu"), "p", ONE);
        script.reveal("p", &[limit("gpu")]);
        script.run("p");
        let found = found(&script, &[b]);
        assert!(found.len() == 1 && found[0].contains("b, p"), "{found:?}");
        // One that had ended before is in nobody's way.
        let (mut script, _, mut b) = handoff();
        script.at(22);
        script.holder("p", "gpu");
        script.at(25);
        script.delete(&pod("p"));
        (b.from_micros, b.until_micros) = (b.until_micros, b.until_micros + 1);
        assert_eq!(self::found(&script, &[b]), Vec::<String>::new());
    }

    #[test]
    fn who_was_never_granted_believes_nothing() {
        let mut script = Script::new();
        script.at(1);
        script.limit("gpu", 1);
        script.claim("a", "gpu");
        let found = found(&script, &[belief(&script, "a", 1, 2)]);
        assert!(
            found.len() == 1 && found[0].contains("never granted"),
            "{found:?}"
        );
    }

    #[test]
    fn an_operators_word_ends_what_is_promised() {
        let mut script = Script::new();
        script.at(1);
        script.limit("gpu", 1);
        script.claim_holder("a", "gpu");
        let uid = script.uid(&claim("a"));
        script.at(5);
        script.annotate(&limit("gpu"), "sluice.dev/release", &uid);
        script.revoke("a", "ReleasedByOperator");
        script.release(&limit("gpu"), "a");
        script.claim_holder("b", "gpu");
        let both = [belief(&script, "a", 1, 30), belief(&script, "b", 6, 30)];
        assert_eq!(found(&script, &both), Vec::<String>::new());
    }

    /// One slot that `a` has, whose claim is deleted or not; then the limit is made anew, and `b` has it.
    fn over_two_limits(deleted: bool) -> Vec<String> {
        let mut script = Script::new();
        script.at(1);
        script.limit("gpu", 1);
        script.claim_holder("a", "gpu");
        let a = belief(&script, "a", 1, 14);
        script.at(5);
        if deleted {
            script.delete(&claim("a"));
        }
        script.delete(&limit("gpu"));
        script.limit("gpu", 1);
        script.claim_holder("b", "gpu");
        let b = belief(&script, "b", 6, 9);
        found(&script, &[a, b])
    }

    #[test]
    fn a_new_limit_knows_of_claims_that_are_there_and_of_no_others() {
        assert_eq!(over_two_limits(true), Vec::<String>::new());
        let found = over_two_limits(false);
        assert!(found.len() == 1 && found[0].contains("a, b"), "{found:?}");
    }
}
