//! A history as a story: one line for each write that changed anything, for messages of failed tests.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::claim::Claim;
use super::pod::Pod;
use super::pool::{Pool, Status};
use super::resolve::{claim_wants, wants};
use super::version::{History, ObjectRef};
use super::world::{Change, World};

/// Most lines of a story; of a longer one the end is told.
const LINES_MAX: usize = 400;

impl History {
    /// Tells what happened to everything of this name, and to every pod and claim that ever held or named it.
    #[must_use]
    pub fn story(&self, name: &str) -> String {
        let cast = self.cast(name);
        let mut world = World::default();
        let mut lines = Vec::new();
        for version in self.versions() {
            let change = world.take(version);
            let place = version.object_ref();
            if !cast.contains(&place) {
                continue;
            }
            let told = match change {
                Change::Pool(change) => pool_line(change.old.as_deref(), change.new.as_deref()),
                Change::Pod(change) => pod_line(change.old.as_deref(), change.new.as_deref()),
                Change::Claim(change) => claim_line(change.old.as_deref(), change.new.as_deref()),
                Change::Node => "changed".into(),
            };
            if !told.is_empty() {
                lines.push(format!("{:>7}  {place}: {told}", version.revision));
            }
        }
        let skipped = lines.len().saturating_sub(LINES_MAX);
        let mut story = String::new();
        if skipped > 0 {
            let _ = writeln!(story, "({skipped} earlier lines are left out)");
        }
        for line in lines.iter().skip(skipped) {
            let _ = writeln!(story, "{line}");
        }
        if story.is_empty() {
            story = format!("nothing of this history is called {name:?}\n");
        }
        story
    }

    /// Objects of this name, and pods that are named by them or name them.
    fn cast(&self, name: &str) -> BTreeSet<ObjectRef> {
        let mut cast = BTreeSet::new();
        let mut uids = BTreeSet::new();
        for version in self
            .versions()
            .iter()
            .filter(|version| version.name == name)
        {
            cast.insert(version.object_ref());
            if let (true, Some(object)) = (version.kind.is_pool(), &version.object) {
                let status = Pool::read(version.kind, object).status;
                uids.extend(status.entries().map(|entry| entry.uid.clone()));
            }
        }
        let pools = cast.clone();
        let mut world = World::default();
        for version in self.versions() {
            let (place, uid, wants) = match world.take(version) {
                Change::Pod(change) => {
                    let pod = change.new.or(change.old);
                    let wants = pod.as_deref().map(|pod| wants(&world, pod));
                    (change.place, change.uid, wants)
                }
                Change::Claim(change) => {
                    let claim = change.new.or(change.old);
                    let wants = claim.as_deref().map(|claim| claim_wants(&world, claim));
                    (change.place, change.uid, wants)
                }
                Change::Pool(_) | Change::Node => continue,
            };
            let wants = wants.and_then(Result::ok);
            let names = wants.is_some_and(|wants| wants.keys().any(|place| pools.contains(place)));
            if names || uids.contains(&uid) {
                cast.insert(place);
            }
        }
        cast
    }
}

fn pool_line(old: Option<&Pool>, new: Option<&Pool>) -> String {
    let Some(new) = new else {
        return "deleted".into();
    };
    let mut told = Vec::new();
    match old {
        None => told.push(format!(
            "created ({}), {} slots, {:?}",
            new.uid, new.slots, new.mode
        )),
        Some(old) => {
            if old.slots != new.slots {
                told.push(format!("slots {} → {}", old.slots, new.slots));
            }
            if old.mode != new.mode {
                told.push(format!("mode {:?} → {:?}", old.mode, new.mode));
            }
            if old.released != new.released {
                told.push(format!("release annotation {:?}", new.released));
            }
        }
    }
    let nothing = Status::default();
    status_words(
        old.map_or(&nothing, |old| &old.status),
        &new.status,
        &mut told,
    );
    told.join("; ")
}

fn status_words(old: &Status, new: &Status, told: &mut Vec<String>) {
    for (word, old, new) in [
        ("leases", &old.leases, &new.leases),
        ("adopted", &old.adopted, &new.adopted),
    ] {
        for entry in new.iter().filter(|entry| !old.contains(entry)) {
            let (amount, token, attempt) = (entry.amount, entry.token, entry.attempt);
            told.push(format!(
                "{word} + {} ({amount}, token {token}, {attempt})",
                entry.name
            ));
        }
        for entry in old.iter().filter(|entry| !new.contains(entry)) {
            told.push(format!("{word} - {} (token {})", entry.name, entry.token));
        }
    }
    for (word, old, new) in [
        ("fenced", old.fenced, new.fenced),
        ("open", old.open, new.open),
    ] {
        if old != new {
            told.push(format!("{word} {new}"));
        }
    }
    if old.last_token != new.last_token {
        told.push(format!("lastToken {}", new.last_token));
    }
    if let (Some(batch), true) = (&new.batch, old.batch != new.batch) {
        told.push(format!("holds {}, batch {batch}", new.held()));
    }
}

fn pod_line(old: Option<&Pod>, new: Option<&Pod>) -> String {
    let Some(new) = new else {
        return format!(
            "gone (last phase {})",
            old.map_or("unknown", |old| old.phase.as_str())
        );
    };
    let mut told = Vec::new();
    let Some(old) = old else {
        let gate = if new.gated {
            "gated"
        } else {
            "without our gate"
        };
        let asks = [&new.slots, &new.locks]
            .map(|it| it.clone().unwrap_or_default())
            .join(" | ");
        return format!("created ({}), {gate}, asks for {asks}", new.uid);
    };
    if old.attempt != new.attempt {
        told.push(
            new.attempt
                .map_or_else(|| "unreadable attempt".into(), |it| it.to_string()),
        );
    }
    if (&old.slots, &old.locks) != (&new.slots, &new.locks) {
        told.push(format!("now asks for {:?} and {:?}", new.slots, new.locks));
    }
    if old.gated && !new.gated {
        told.push(format!(
            "REVEALED with {}",
            new.granted.as_deref().unwrap_or("no record")
        ));
    } else if old.granted != new.granted {
        told.push(format!("record now {:?}", new.granted));
    }
    if let (None, Some(node)) = (&old.node, &new.node) {
        told.push(format!("bound to {node}"));
    }
    if old.phase != new.phase {
        told.push(format!("{} → {}", old.phase, new.phase));
    }
    if !old.stopped && new.stopped {
        told.push("all containers stopped".into());
    }
    if !old.deleting && new.deleting {
        told.push("being deleted".into());
    }
    told.join("; ")
}

fn claim_line(old: Option<&Claim>, new: Option<&Claim>) -> String {
    let Some(new) = new else {
        return format!(
            "gone (last {})",
            old.map_or("unknown".into(), |old| format!("{:?}", old.phase))
        );
    };
    let mut told = Vec::new();
    let Some(old) = old else {
        let asks = match &new.mentions {
            Ok(mentions) => mentions
                .iter()
                .map(|(place, amount)| format!("{amount} of {place}"))
                .collect::<Vec<_>>()
                .join(", "),
            Err(why) => why.clone(),
        };
        return format!("created ({}), asks for {asks}", new.uid);
    };
    if old.phase != new.phase {
        let reason = &new.reason;
        told.push(format!("{:?} → {:?} {reason}", old.phase, new.phase));
    }
    if let (None, Some(Ok(record))) = (&old.record, &new.record) {
        let leases = record.leases.iter();
        let leases: Vec<_> = leases
            .map(|it| format!("{} of {}, token {}", it.amount, it.pool, it.token))
            .collect();
        told.push(format!("granted {}", leases.join("; ")));
    }
    if old.attempt != new.attempt {
        told.push(
            new.attempt
                .map_or_else(|| "unreadable attempt".into(), |it| it.to_string()),
        );
    }
    if old.seq != new.seq {
        told.push(format!("renewed, seq {}", new.seq));
    }
    if !old.release && new.release {
        told.push("released by its holder".into());
    }
    told.join("; ")
}
