//! Users, and the controllers of others: they create, edit and delete pods, and forge what they may. Those who own limits
//! and locks are in [`super::owners`].

use std::collections::BTreeMap;

use sluice::api::names;
use sluice::ledger::Uid;

use super::owners::furniture;
use super::{What, World, abroad, home, nodes};
use crate::server::{Phase, Pod, Writer};

/// Pods that may be there at once; beyond it people wait.
const PODS_MAX: usize = 60;

/// Requests: slots and locks, as people write them.
const REQUESTS: [(&str, &str); 25] = [
    ("gpu", ""),
    ("gpu=2", ""),
    ("db", ""),
    ("gpu, db", ""),
    ("net=3", ""),
    ("db, net", ""),
    ("net", ""),
    ("fam", ""),
    ("fam, gpu", ""),
    ("fam:w2", ""),
    ("proof", ""),
    ("proof, db", ""),
    ("strict", ""),
    ("strict=2, gpu", ""),
    ("ns/gpu", ""),
    ("other/wide", ""),
    ("other/wide=2, gpu", ""),
    ("other/teams", ""),
    ("", "deploy"),
    ("", "schema:shared"),
    ("gpu", "schema"),
    ("db", "deploy, schema:shared"),
    ("net=2, net", ""),
    ("api", ""),
    ("trickle, db", ""),
];

/// What is taken for a rate; the last of them never, for nothing of it comes back.
const RATES: [&str; 6] = ["api", "api=2", "trickle", "api, trickle", "api=3", "net"];

/// Requests that can never be granted, and must not harm anybody else.
const POISON: [(&str, &str); 4] = [
    ("gpu=", ""),
    ("gpu=99", ""),
    ("GPU", "deploy:both"),
    ("nobody-made-this", ""),
];

impl World {
    /// Creates what is there from the beginning.
    pub(super) fn furnish(&mut self) {
        for number in 0..3 {
            self.server.set_node(&nodes::node_name(number), false);
        }
        self.server
            .set_namespace(&home(), BTreeMap::from([("team".into(), "a".into())]));
        self.server.set_namespace(&abroad(), BTreeMap::new());
        for (key, spec) in furniture() {
            self.server.create_pool(Writer::Person, &key, spec, None);
        }
        if self.plan.people_every_ms > 0 {
            self.create_pod(true);
            self.create_pod(true);
        }
    }

    pub(super) fn people_act(&mut self) {
        if self.calm || self.plan.people_every_ms == 0 {
            return;
        }
        self.note(7, 0);
        match self.dice.roll(52) {
            0..=17 => self.create_pod(false),
            18 => self.delete_pod(),
            19 | 20 => self.edit_request(),
            21 => self.resize(),
            22 => self.flip_mode(),
            23 => self.delete_pool(),
            24 | 25 => self.create_pools(),
            26 => self.touch(),
            27 => self.replace_pool(),
            28 => self.edit_labels(),
            29 => self.forge(),
            30 => self.open_gate_by_hand(),
            31 => self.take_away_foreign_gate(),
            32 => self.release_by_word(),
            36 | 37 => self.quarantine(),
            38 => self.change_decay(),
            33 => self.change_namespace(),
            34 => self.meddle_with_family(),
            35 => self.force_delete(),
            40..=51 => self.claimants_act(),
            _ => self.clean_up(),
        }
        let pause = self.about_ms(self.plan.people_every_ms);
        self.schedule(pause, What::People);
    }

    fn some_pod(&mut self, which: impl Fn(&Pod) -> bool) -> Option<Uid> {
        let found: Vec<Uid> = self
            .server
            .pods()
            .filter(|seen| which(&seen.pod))
            .map(|seen| seen.pod.uid.clone())
            .collect();
        self.dice.pick(&found).cloned()
    }

    fn create_pod(&mut self, poison: bool) {
        if self.server.pods().count() >= PODS_MAX {
            self.clean_up();
            return;
        }
        self.pods = self.pods.saturating_add(1);
        let poison = poison || self.dice.one_in(30);
        let request = if poison {
            self.dice.pick(&POISON)
        } else {
            self.dice.pick(&REQUESTS)
        };
        let (slots, locks) = request.copied().unwrap_or_default();
        let rates = self.some_rates(slots);
        // Half of them hold nothing. Who can never go waits for no worker, whose limit others could have.
        let holds = rates.is_empty() || rates != "net" && self.dice.one_in(2);
        let namespace = if self.dice.one_in(8) {
            abroad()
        } else {
            home()
        };
        // Names are used again now and then.
        let number = if self.dice.one_in(6) {
            self.dice.roll(8)
        } else {
            100 + self.pods
        };
        let mut pod = Pod {
            created: self.server.clock(),
            priority: i32::try_from(self.dice.roll(3)).unwrap_or(0),
            ..Pod::new(namespace, format!("pod-{number}").into())
        };
        let asks = [
            (names::SLOTS, if holds { slots } else { "" }),
            (names::LOCKS, if holds { locks } else { "" }),
            (names::RATE_LIMITS, rates),
        ];
        for (annotation, text) in asks {
            if !text.is_empty() {
                pod.annotations
                    .insert(annotation.to_owned(), text.to_owned());
            }
        }
        if !self.dice.one_in(10) {
            let worker = format!("w{}", 1 + self.dice.roll(3));
            pod.labels.insert(names::WORKER.to_owned(), worker);
        }
        if self.dice.one_in(10) {
            let timeout = format!("{}s", self.dice.between(2, 60));
            pod.annotations.insert(names::TIMEOUT.to_owned(), timeout);
            let on_timeout = if self.dice.one_in(3) { "Wait" } else { "Fail" };
            pod.annotations
                .insert(names::ON_TIMEOUT.to_owned(), on_timeout.to_owned());
        }
        if self.dice.one_in(6) {
            pod.annotations
                .insert(names::IF_MISSING.to_owned(), "Ignore".to_owned());
        }
        if self.dice.one_in(15) {
            pod.gates.push("example.com/other".to_owned());
        }
        if self.dice.one_in(12) {
            pod.finalizers.push("example.com/theirs".to_owned());
        }
        let past = self.dice.one_in(20);
        if past {
            self.reach("people: a pod came past admission");
        }
        self.server.create_pod(pod, past);
    }

    /// Rates beside these slots, of other limits: nobody both holds and takes the same.
    fn some_rates(&mut self, slots: &str) -> &'static str {
        let rates = self.dice.pick(&RATES).copied().unwrap_or_default();
        let other = !slots.contains("api") && !slots.contains("trickle") && !slots.contains("net");
        if self.dice.one_in(4) && other {
            rates
        } else {
            ""
        }
    }

    fn delete_pod(&mut self) {
        if let Some(uid) = self.some_pod(|pod| !pod.deleting) {
            self.server.delete_pod(&uid);
            self.reach("people: deleted a pod");
        }
    }

    fn force_delete(&mut self) {
        if let Some(uid) = self.some_pod(|pod| pod.phase == Phase::Running) {
            self.server.force_delete_pod(&uid);
            self.reach("people: deleted a running pod by force");
        }
    }

    /// Without the mutating policy a text that was there before must not come back: that hole is documented.
    fn edit_request(&mut self) {
        let Some(uid) = self.some_pod(|pod| pod.asks()) else {
            return;
        };
        let number = self.pods;
        let (mut slots, mut locks) = self.dice.pick(&REQUESTS).copied().unwrap_or_default();
        let rates = self.some_rates(slots);
        if rates == "net" {
            (slots, locks) = ("", "");
        }
        let raises = self.server.setup.raises;
        let edited = self.server.person_writes(&uid, |pod| {
            let asks = [
                (names::SLOTS, slots),
                (names::LOCKS, locks),
                (names::RATE_LIMITS, rates),
            ];
            for (annotation, text) in asks {
                let text = if raises || text.is_empty() {
                    text.to_owned()
                } else {
                    format!("{text}{}", " ".repeat(1 + number as usize % 40))
                };
                if text.is_empty() {
                    pod.annotations.remove(annotation);
                } else {
                    pod.annotations.insert(annotation.to_owned(), text);
                }
            }
        });
        self.reach(if edited {
            "people: edited a request"
        } else {
            "guard: refused an edit"
        });
    }

    fn edit_labels(&mut self) {
        // The same hole: without the policy, a worker that was there before must not come back.
        let worker = match self.server.setup.raises {
            true => format!("w{}", 1 + self.dice.roll(3)),
            false => format!("w{}", 10 + self.events),
        };
        if let Some(uid) = self.some_pod(|pod| pod.asks()) {
            self.server.person_writes(&uid, |pod| {
                pod.labels.insert(names::WORKER.to_owned(), worker);
            });
            self.reach("people: changed a worker label");
        }
    }

    /// Without guards anybody may write what only the controller should.
    fn forge(&mut self) {
        let Some(uid) = self.some_pod(|pod| pod.asks()) else {
            return;
        };
        let what = self.dice.roll(3);
        let done = self.server.person_writes(&uid, |pod| match what {
            0 => {
                pod.labels.remove(names::MANAGED);
            }
            1 => {
                pod.annotations
                    .insert(names::ATTEMPT.to_owned(), "7".to_owned());
            }
            _ => {
                pod.annotations
                    .insert(names::GRANTED.to_owned(), "{}".to_owned());
            }
        });
        self.reach(if done {
            "people: forged"
        } else {
            "guard: refused a forgery"
        });
        // Who has lost our label is counted all the same.
        if done && what > 0 {
            self.checker.excuse(&uid);
        }
    }

    fn open_gate_by_hand(&mut self) {
        if let Some(uid) = self.some_pod(Pod::is_gated) {
            self.server
                .person_writes(&uid, |pod| pod.gates.retain(|gate| gate != names::GATE));
            self.reach("people: removed a gate by hand");
        }
    }

    fn take_away_foreign_gate(&mut self) {
        if let Some(uid) = self.some_pod(|pod| pod.gates.iter().any(|gate| gate != names::GATE)) {
            self.server
                .person_writes(&uid, |pod| pod.gates.retain(|gate| gate == names::GATE));
            self.reach("people: removed a foreign gate");
        }
    }

    /// Ended pods are deleted, and foreign finalizers come off.
    pub(super) fn clean_up(&mut self) {
        let ended: Vec<Uid> = self
            .server
            .pods()
            .filter(|seen| seen.pod.phase.is_terminal() || seen.pod.deleting)
            .map(|seen| seen.pod.uid.clone())
            .collect();
        for uid in ended {
            self.server.person_writes(&uid, |pod| {
                pod.finalizers.retain(|it| it == names::FINALIZER)
            });
            self.server.delete_pod(&uid);
        }
    }
}
