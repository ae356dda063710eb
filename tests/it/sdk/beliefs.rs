//! Who believed to hold when: at no instant may more unexpired holders believe than there are slots.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sluice_testenv::history;

/// One belief: of which claim, how many slots, from when, until when.
#[derive(Clone, Debug)]
struct Belief {
    /// UID of its claim.
    claim: String,
    slots: u32,
    from: Instant,
    from_micros: i64,
    until: Option<(Instant, i64)>,
}

/// Microseconds since 1970, by the clock that the server stamps with as well.
fn micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// All beliefs of a test.
#[derive(Clone, Debug, Default)]
pub(super) struct Beliefs(Arc<Mutex<Vec<Belief>>>);

impl Beliefs {
    /// Somebody was handed its slots.
    pub(super) fn begin(&self, claim: &str, slots: u32) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(Belief {
            claim: claim.to_owned(),
            slots,
            from: Instant::now(),
            from_micros: micros(),
            until: None,
        });
        all.len() - 1
    }

    /// It is about to release, or knows that it has lost them.
    pub(super) fn end(&self, index: usize) {
        self.0.lock().unwrap()[index].until = Some((Instant::now(), micros()));
    }

    /// Fails if at any instant more slots were believed to be held than there are. Beliefs only grow at a begin, so
    /// those are the instants to look at.
    pub(super) fn check(&self, slots: u32) -> usize {
        let all = self.0.lock().unwrap().clone();
        let mut most = 0;
        for begun in &all {
            let at = begun.from;
            let believing =
                |it: &&Belief| it.from <= at && it.until.is_none_or(|(until, _)| until > at);
            let believers: Vec<&Belief> = all.iter().filter(believing).collect();
            let sum: u32 = believers.iter().map(|it| it.slots).sum();
            assert!(
                sum <= slots,
                "{sum} of {slots} slots believed: {believers:#?}"
            );
            most = most.max(believers.len());
        }
        most
    }

    /// As the judge of etcd's history takes them: `World::finish_with`. One that has not ended has ended now.
    pub(super) fn for_history(&self) -> Vec<history::Belief> {
        let all = self.0.lock().unwrap();
        let belief = |it: &Belief| history::Belief {
            claim: it.claim.clone(),
            from_micros: it.from_micros,
            until_micros: it.until.map_or_else(micros, |(_, until)| until),
        };
        all.iter().map(belief).collect()
    }

    /// How many there were.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[test]
fn a_third_believer_is_noticed() {
    let beliefs = Beliefs::default();
    let first = beliefs.begin("a", 1);
    let second = beliefs.begin("b", 1);
    beliefs.end(first);
    let third = beliefs.begin("c", 1);
    assert_eq!(beliefs.check(2), 2);
    beliefs.begin("d", 1);
    beliefs.end(second);
    beliefs.end(third);
    assert!(std::panic::catch_unwind(|| beliefs.check(2)).is_err());
    assert_eq!(beliefs.len(), 4);
}
