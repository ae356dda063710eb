//! Golden stories: scripts in `tests/scenarios` that a reviewer can read (who asks, what is written,
//! who is told), each with the transcript it must produce.
//!
//! A block is a few commands, a line `----`, and what the server and the people saw. After a change
//! that is meant to change a story, `SLUICE_BLESS=1 cargo test --lib stories` writes them anew; the
//! difference is then part of the review.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::*;
use super::server::{Change, limit};
use super::world::World;
use super::{claim, limit_spec, lock, pod};

/// A world with a narrator.
struct Teller {
    world: World,
    told_events: usize,
    /// Tokens by order of appearance, so that a story does not depend on a clock.
    tokens: BTreeMap<Token, usize>,
}

impl Teller {
    fn new() -> Self {
        Self {
            world: World::new(1, 0, 1),
            told_events: 0,
            tokens: BTreeMap::new(),
        }
    }

    /// Does what a line says, lets everything settle, and tells what happened.
    fn act(&mut self, line: &str, out: &mut String) {
        let mut words = line.split_whitespace();
        let Some(verb) = words.next() else { return };
        let words: Vec<&str> = words.collect();
        self.command(verb, &words);
        let from = self.world.server.log.len();
        match verb {
            "advance" => self.world.settle(words[0].parse().unwrap()),
            _ => self.world.drain(),
        }
        self.tell(from, out);
    }

    fn command(&mut self, verb: &str, words: &[&str]) {
        match verb {
            "limit" => self.limit(words),
            "lock" => {
                let spec = PoolSpec {
                    capacity: LOCK_UNITS,
                    ..limit_spec(1)
                };
                self.world.server.create_pool(lock(words[0]), spec);
            }
            "delete-limit" => {
                self.world.server.delete_pool(&limit(words[0]));
            }
            "resize" => {
                let slots = words[1].parse().unwrap();
                self.world
                    .server
                    .edit_spec(&limit(words[0]), |spec| spec.capacity = slots);
            }
            "mode" => {
                let mode = match words[1] {
                    "Active" => Mode::Active,
                    "Paused" => Mode::Paused,
                    _ => Mode::Disabled,
                };
                self.world
                    .server
                    .edit_spec(&limit(words[0]), |spec| spec.mode = mode);
            }
            "release" => {
                let mut object = self.world.server.pools[&limit(words[0])].clone();
                object.released.insert(uid(words[1]));
                self.world.server.put_pool(object);
            }
            "set-aside" => self.world.server.set_aside(&limit(words[0]), true),
            "end-quarantine" => self.world.server.set_aside(&limit(words[0]), false),
            "pod" => self.pod(words),
            "claim" => self.claim(words),
            "renew" => self.world.server.renew_claim(&uid(words[0])),
            "give-back" => self.world.server.release_claim(&uid(words[0])),
            "crash" => self.world.crash(0),
            "lose-next-answer" => self.world.lose_next = true,
            "deny-next-patch" => self.world.deny_next = true,
            "advance" | "nothing" => {}
            _ => self.change_pod(verb, words),
        }
    }

    fn limit(&mut self, words: &[&str]) {
        let mut spec = limit_spec(words[1].parse().unwrap());
        for option in &words[2..] {
            match option.split_once('=').unwrap_or((option, "")) {
                ("strict", _) => spec.order = Order::Strict,
                ("decay", rate) => {
                    let (slots, seconds) = rate.split_once('/').unwrap();
                    spec.decay = Some(Decay {
                        slots: slots.parse().unwrap(),
                        period: Span::seconds(seconds.parse().unwrap()),
                    });
                }
                ("confirmed", _) => spec.release = ReleasePolicy::Confirmed,
                ("lock-delay", value) => {
                    spec.lock_delay = Span::seconds(value.parse().unwrap());
                }
                ("disabled", _) => spec.mode = Mode::Disabled,
                ("family", label) => {
                    spec.family = Some(FamilySpec {
                        label: label.into(),
                        overrides: [("big".into(), 5)].into(),
                        workers_max: 2,
                        idle: Span::seconds(30),
                    });
                }
                (other, _) => panic!("no option {other}"),
            }
        }
        self.world.server.create_pool(limit(words[0]), spec);
    }

    fn pod(&mut self, words: &[&str]) {
        let slots = if words[1] == "-" { "" } else { words[1] };
        let mut view = pod(words[0], slots);
        // One pod a second: the story has an order.
        self.world.server.clock.0 += 1_000_000;
        view.arrival = self.world.server.clock;
        for option in &words[2..] {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let Ask::Wants(wants) = &mut view.ask else {
                panic!()
            };
            match key {
                "lock" | "lock-shared" => {
                    let mut mentions = wants.mentions.to_vec();
                    let amount = if key == "lock" {
                        Amount::Exclusive
                    } else {
                        Amount::Shared
                    };
                    mentions.push(Mention {
                        pool: lock(value),
                        amount,
                    });
                    wants.mentions = mentions.into();
                }
                "rate" => {
                    let (name, slots) = value.split_once('*').unwrap_or((value, "1"));
                    let mut mentions = wants.mentions.to_vec();
                    mentions.push(Mention {
                        pool: limit(name),
                        amount: Amount::Rate(slots.parse().unwrap()),
                    });
                    wants.mentions = mentions.into();
                    let text = RequestText {
                        rates: Some(value.into()),
                        ..(*view.text).clone()
                    };
                    view.text = Arc::new(text);
                }
                "priority" => view.priority = value.parse().unwrap(),
                "worker" => view.labels = Arc::new([("worker".into(), value.into())].into()),
                "ignore-missing" => wants.ignore_missing = true,
                "timeout" => {
                    wants.timeout = Some(Span::seconds(value.parse().unwrap()));
                    wants.fail_on_timeout = true;
                }
                "other-gate" => view.gates.others = true,
                "no-gate" => view.gates.ours = None,
                other => panic!("no option {other}"),
            }
        }
        self.world.server.put_pod(view);
    }

    fn claim(&mut self, words: &[&str]) {
        let mut view = claim(words[0], words[1]);
        self.world.server.clock.0 += 1_000_000;
        view.arrival = self.world.server.clock;
        for option in &words[2..] {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let (Ask::Wants(wants), Some(claim)) = (&mut view.ask, &mut view.claim) else {
                panic!()
            };
            let seconds = || Some(Span::seconds(value.parse().unwrap()));
            match key {
                "lease" => claim.lease = seconds(),
                "hold" => claim.hold_max = seconds(),
                "timeout" => wants.timeout = seconds(),
                "or-deny" => wants.deny_missing = true,
                other => panic!("no option {other}"),
            }
        }
        self.world.server.put_pod(view);
    }

    fn change_pod(&mut self, verb: &str, words: &[&str]) {
        let Some(mut view) = self.world.server.pods.get(&uid(words[0])).cloned() else {
            panic!("no pod {}", words[0])
        };
        match verb {
            "bind" => {
                view.node = Some("node-1".into());
                view.progress.containers = Containers::SomeNotTerminated;
            }
            "end" => {
                view.node.get_or_insert("node-1".into());
                view.progress.phase = PodPhase::Terminal;
                view.progress.containers = Containers::AllTerminated;
            }
            "end-by-gc" => {
                view.progress.phase = PodPhase::Terminal;
                view.progress.by_pod_gc = true;
            }
            "edit" => {
                view.ask = pod("x", words[1]).ask;
                let attempt = view.text.attempt.clone();
                let slots = Some(words[1].into());
                view.text = Arc::new(RequestText {
                    slots,
                    attempt,
                    ..Default::default()
                });
            }
            "free-of-other-gates" => view.gates.others = false,
            "strip-gate" => view.gates.ours = None,
            "unlabel" => view.managed = false,
            "delete" => {
                self.world.server.delete_pod(&view.uid);
                return;
            }
            other => panic!("no command {other}"),
        }
        self.world.server.put_pod(view);
    }

    fn tell(&mut self, from: usize, out: &mut String) {
        let changes: Vec<Change> = self.world.server.log[from..].to_vec();
        for change in changes {
            self.tell_change(&change, out);
        }
        for event in &self.world.told[self.told_events..] {
            writeln!(out, "  tells: {event}").unwrap();
        }
        self.told_events = self.world.told.len();
    }

    fn tell_change(&mut self, change: &Change, out: &mut String) {
        match change {
            Change::Pool {
                key,
                now: Some(now),
                before,
            } => {
                let line = self.pool_line(key, now, before.as_ref());
                writeln!(out, "  {line}").unwrap();
            }
            Change::Pool { key, now: None, .. } => writeln!(out, "  deletes {key}").unwrap(),
            Change::Pod {
                now: Some(now),
                before: Some(before),
            } => {
                let line = self.pod_line(now, before);
                writeln!(out, "  {line}").unwrap();
            }
            Change::Pod {
                now: None,
                before: Some(before),
            } => {
                writeln!(out, "  {} is gone", before.name).unwrap();
            }
            Change::Pod { .. } => {}
        }
    }

    fn pool_line(
        &mut self,
        key: &PoolKey,
        now: &PoolObject,
        before: Option<&PoolObject>,
    ) -> String {
        let Some(before) = before else {
            return format!("creates {key}");
        };
        let (old, new) = (before.status.read().unwrap(), now.status.read().unwrap());
        let mut parts = Vec::new();
        for lease in &new.leases {
            let known = old
                .leases
                .iter()
                .any(|it| it.uid == lease.uid && it.token == lease.token);
            if !known {
                let token = self.token(lease.token);
                parts.push(format!(
                    "+{} {:?} {token} attempt {}",
                    lease.name, lease.amount, lease.attempt
                ));
            }
        }
        for lease in new.adopted.iter().filter(|it| !old.adopted.contains(it)) {
            parts.push(format!("adopts {}", lease.name));
        }
        for lease in old
            .entries()
            .filter(|it| !new.entries().any(|other| other.uid == it.uid))
        {
            parts.push(format!("-{}", lease.name));
        }
        for worker in new.workers.difference(&old.workers) {
            parts.push(format!("reserves worker {worker}"));
        }
        for worker in old.workers.difference(&new.workers) {
            parts.push(format!("drops worker {worker}"));
        }
        for (word, was, is) in [
            ("fenced", old.fenced, new.fenced),
            ("open", old.open, new.open),
        ] {
            if was != is {
                parts.push(format!("{word}: {is}"));
            }
        }
        if old.level != new.level {
            let slots = new.level.map_or(0, Level::slots);
            parts.push(format!("used up: {slots}"));
        }
        parts.push(format!("{} in use, {} waiting", new.in_use, new.waiting));
        format!("writes {key}: {}", parts.join("; "))
    }

    fn claim_line(&mut self, now: &RequestView, was: &ClaimView, is: &ClaimView) -> String {
        let name = &now.name;
        if is.phase != was.phase {
            let leases = now.granted.iter().flat_map(|it| it.leases.iter());
            let leases: Vec<String> = leases
                .map(|it| format!("{} {}", it.pool.text(), self.token(it.token)))
                .collect();
            return match (is.phase, is.terms) {
                (ClaimPhase::Granted, Some(terms)) => format!(
                    "grants {name}: {} for {} s, lock delay {} s",
                    leases.join(", "),
                    terms.lease.0 / 1000,
                    terms.lock_delay.0 / 1000
                ),
                (ClaimPhase::Revoked, _) if is.expired => format!("revokes {name}: expired"),
                (ClaimPhase::Revoked, _) => format!("revokes {name}: its holder may believe"),
                (phase, _) => format!("says of {name}: {}", phase.word()),
            };
        }
        if is.seq != was.seq {
            return format!("{name} renews: {}", is.seq);
        }
        if is.release != was.release {
            return format!("{name} is given back");
        }
        format!("raises {name} to attempt {:?}", now.attempt)
    }

    fn pod_line(&mut self, now: &RequestView, before: &RequestView) -> String {
        if let (Some(was), Some(is)) = (&before.claim, &now.claim) {
            return self.claim_line(now, was, is);
        }
        if before.gates.ours.is_some() && now.gates.ours.is_none() {
            let leases = now
                .granted
                .as_ref()
                .map(|it| it.leases.to_vec())
                .unwrap_or_default();
            let leases: Vec<String> = leases
                .iter()
                .map(|it| format!("{} {}", it.pool.text(), self.token(it.token)))
                .collect();
            return format!("reveals {}: {}", now.name, leases.join(", "));
        }
        if before.attempt != now.attempt {
            let attempt = now
                .text
                .attempt
                .as_ref()
                .map(Name::as_str)
                .unwrap_or_default();
            return format!("raises {} to attempt {attempt}", now.name);
        }
        if before.managed != now.managed {
            return format!("labels {}", now.name);
        }
        if before.finalizer != now.finalizer {
            return format!("takes the finalizer off {}", now.name);
        }
        if before.progress != now.progress {
            return format!("fails {}", now.name);
        }
        format!("changes {}", now.name)
    }

    fn token(&mut self, token: Token) -> String {
        if token == Token(0) {
            return "uncounted".to_owned();
        }
        let next = self.tokens.len() + 1;
        format!("t{}", *self.tokens.entry(token).or_insert(next))
    }
}

fn uid(name: &str) -> Uid {
    format!("uid-{name}").into()
}

/// Plays a script; the same script with what really happened.
fn play(script: &str) -> String {
    let mut teller = Teller::new();
    let mut out = String::new();
    let mut in_transcript = false;
    let mut block = String::new();
    for line in script.lines() {
        if line == "----" {
            writeln!(out, "----\n{block}").unwrap();
            block.clear();
            in_transcript = true;
        } else if in_transcript {
            in_transcript = !line.is_empty();
        } else {
            writeln!(out, "{line}").unwrap();
            if !line.starts_with('#') {
                teller.act(line, &mut block);
            }
        }
    }
    out
}

#[test]
fn stories_are_told_as_they_are_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let bless = std::env::var_os("SLUICE_BLESS").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        count += 1;
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if bless {
            std::fs::write(&path, &played).unwrap();
        } else if played != script {
            let first = played
                .lines()
                .zip(script.lines())
                .find(|(is, should)| is != should);
            wrong.push(format!(
                "{}: first difference (is, should be): {first:#?}",
                path.display()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "SLUICE_BLESS=1 writes them anew:\n{}",
        wrong.join("\n")
    );
    assert!(
        count >= 15,
        "only {count} stories were found in {}",
        folder.display()
    );
}
