//! A modelled API server: one versioned log of everything that was ever durable, and the requests that change it.
//!
//! It keeps what the real one keeps and refuses what the real one refuses (conditional writes, tests of patches, status as
//! a part of its own, the CRDs' rules, admission, finalizers, garbage collection by owner). It knows nothing of ledgers,
//! and it never judges: that is for `check`. The same contract tests run against it and against a real control plane.

pub mod claim;
mod claims;
mod patch;
pub mod pod;
mod requests;
pub mod rules;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice::api::names;
use sluice::election::LeaseObject;
use sluice::ledger::{Decay, Lease, Level, Micros, Name, PoolKey, PoolObject, Uid};

pub use self::claim::{Claim, ClaimRule, SeenClaim};
pub use self::pod::{Container, Phase, Pod, Seen};
pub use self::requests::{Call, Reply};
pub use self::rules::{Rule, Rules};

/// Who made a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Writer {
    /// A controller, by its place.
    Controller(usize),
    /// A person, or a controller of somebody else.
    Person,
    /// A process that holds claims, by its number.
    Holder(usize),
    /// A kubelet, the scheduler, the pod garbage collector.
    Node,
    /// The server itself.
    Server,
}

/// One durable change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Of a limit or lock.
    Pool {
        /// Which.
        key: PoolKey,
        /// As it was.
        before: Option<Arc<PoolObject>>,
        /// As it is.
        now: Option<Arc<PoolObject>>,
    },
    /// Of a pod.
    Pod {
        /// As it was.
        before: Option<Arc<Seen>>,
        /// As it is.
        now: Option<Arc<Seen>>,
    },
    /// Of a claim.
    Claim {
        /// As it was.
        before: Option<Arc<SeenClaim>>,
        /// As it is.
        now: Option<Arc<SeenClaim>>,
    },
    /// Of a namespace's labels.
    Namespace(Name),
    /// Of the Lease; `None`: it was deleted.
    Lease(Option<LeaseObject>),
    /// The server's past was restored from a snapshot.
    Restored,
}

/// A change with its place in the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, in microseconds of true time.
    pub at: u64,
    /// By whom.
    pub by: Writer,
    /// What.
    pub change: Change,
}

/// Labels of a namespace.
pub type Labels = BTreeMap<Name, Name>;

/// Everything that is durable.
#[derive(Clone, Debug, Default)]
struct State {
    version: u128,
    pools: BTreeMap<PoolKey, Arc<PoolObject>>,
    pods: BTreeMap<Uid, Arc<Seen>>,
    by_name: BTreeMap<(Name, Name), Uid>,
    claims: BTreeMap<(Name, Name), Arc<SeenClaim>>,
    namespaces: BTreeMap<Name, Labels>,
    nodes: BTreeMap<Name, bool>,
    lease: Option<LeaseObject>,
}

/// What the server held at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot(State);

/// A write that one of the CRDs' rules refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Of which limit or lock.
    pub key: PoolKey,
    /// By which rule.
    pub rule: Rule,
    /// Whose.
    pub by: Writer,
    /// What it would have made of the leases and the adopted.
    pub what: String,
}

/// A write of a claim that one of the CRD's rules refused.
#[derive(Clone, Debug)]
pub struct ClaimRefusal {
    /// Whose.
    pub by: Writer,
    /// By which rule.
    pub rule: ClaimRule,
    /// What it would have made of the claim.
    pub what: String,
}

/// How this server is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Which of the CRDs' rules it enforces.
    pub rules: Rules,
    /// The guard policies are installed.
    pub guards: bool,
    /// A mutating policy raises the attempt in the same write as an edit of the request (Kubernetes 1.36).
    pub raises: bool,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    /// True time in microseconds since the simulation began.
    pub now: u64,
    /// How far the server's own clock is ahead of true time, in microseconds.
    pub clock_ahead: u64,
    /// All there ever was.
    pub log: Vec<Entry>,
    /// Writes that rules refused.
    pub refusals: Vec<Refusal>,
    /// Writes of claims that rules refused.
    pub claim_refusals: Vec<ClaimRefusal>,
    /// How it is set up.
    pub setup: Setup,
    state: State,
    uids: u64,
}

impl Server {
    /// An empty server.
    pub fn new(setup: Setup) -> Self {
        Self {
            now: 0,
            clock_ahead: 0,
            log: Vec::new(),
            refusals: Vec::new(),
            claim_refusals: Vec::new(),
            setup,
            state: State::default(),
            uids: 0,
        }
    }

    /// The server's clock.
    pub fn clock(&self) -> Micros {
        Micros(pod::EPOCH_SECONDS * 1_000_000 + self.now + self.clock_ahead)
    }

    /// All limits and locks.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<PoolObject>> {
        self.state.pools.values()
    }

    /// A limit or lock.
    pub fn pool(&self, key: &PoolKey) -> Option<&Arc<PoolObject>> {
        self.state.pools.get(key)
    }

    /// All pods.
    pub fn pods(&self) -> impl Iterator<Item = &Arc<Seen>> {
        self.state.pods.values()
    }

    /// A pod.
    pub fn pod(&self, uid: &Uid) -> Option<&Arc<Seen>> {
        self.state.pods.get(uid)
    }

    /// Labels of namespaces.
    pub fn namespaces(&self) -> &BTreeMap<Name, Labels> {
        &self.state.namespaces
    }

    /// The Lease of the election.
    pub fn lease(&self) -> Option<&LeaseObject> {
        self.state.lease.as_ref()
    }

    /// Somebody deletes the Lease.
    pub fn delete_lease(&mut self) {
        if self.state.lease.take().is_some() {
            self.next_version();
            self.record(Writer::Person, Change::Lease(None));
        }
    }

    /// Whether a node is out of service; `None` when it does not exist.
    pub fn node(&self, node: &Name) -> Option<bool> {
        self.state.nodes.get(node).copied()
    }

    /// Adds or changes a node.
    pub fn set_node(&mut self, node: &Name, out_of_service: bool) {
        self.state.nodes.insert(node.clone(), out_of_service);
    }

    /// Removes a node.
    pub fn delete_node(&mut self, node: &Name) {
        self.state.nodes.remove(node);
    }

    /// Sets the labels of a namespace.
    pub fn set_namespace(&mut self, name: &Name, labels: Labels) {
        self.state.namespaces.insert(name.clone(), labels);
        self.next_version();
        self.record(Writer::Person, Change::Namespace(name.clone()));
    }

    /// What is durable now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state.clone())
    }

    /// Goes back to a snapshot. With `bump`, versions go on from where they were, as `etcdutl snapshot restore
    /// --bump-revision` does; without, they are given a second time.
    pub fn restore(&mut self, snapshot: Snapshot, bump: bool) {
        let version = self.state.version;
        self.state = snapshot.0;
        if bump {
            self.state.version = version.saturating_add(1_000_000);
        }
        self.record(Writer::Server, Change::Restored);
    }

    fn next_version(&mut self) -> u128 {
        self.state.version = self.state.version.saturating_add(1);
        self.state.version
    }

    fn fresh_uid(&mut self, prefix: &str) -> Uid {
        self.uids = self.uids.saturating_add(1);
        format!("{prefix}-{}", self.uids).into()
    }

    fn record(&mut self, by: Writer, change: Change) {
        self.log.push(Entry {
            at: self.now,
            by,
            change,
        });
    }

    /// Limits whose family is gone: what the garbage collector deletes.
    pub fn orphans(&self) -> Vec<PoolKey> {
        let uids: std::collections::BTreeSet<&Uid> = self.pools().map(|pool| &pool.uid).collect();
        self.pools()
            .filter(|pool| {
                pool.owner
                    .as_ref()
                    .is_some_and(|owner| !uids.contains(&owner.uid))
            })
            .map(|pool| pool.key.clone())
            .collect()
    }

    /// The last entries of the log that concern any of these names, a line each.
    pub fn story(&self, most: usize, about: &[String]) -> String {
        let lines: Vec<String> = self
            .log
            .iter()
            .map(line)
            .filter(|line| {
                about.is_empty() || about.iter().any(|name| line.contains(name.as_str()))
            })
            .collect();
        let skip = lines.len().saturating_sub(most);
        lines.get(skip..).unwrap_or_default().join("\n")
    }
}

/// Leases as people read them.
fn names(leases: &[Lease]) -> String {
    let name = |lease: &Lease| {
        let (name, amount) = (&lease.name, lease.amount.units());
        let token = lease.token.0 % 1_000_000_000_000;
        format!("{name}@{} {amount} t{token}", lease.attempt)
    };
    let names: Vec<String> = leases.iter().map(name).collect();
    names.join(", ")
}

/// A log entry as people read it.
fn line(entry: &Entry) -> String {
    let at = format!("{:>9.3} s {:?}", entry.at as f64 / 1e6, entry.by);
    match &entry.change {
        Change::Pool {
            key,
            now: Some(now),
            ..
        } => {
            let status = now.status.read().cloned().unwrap_or_default();
            let spec = now.spec.read();
            format!(
                "{at}: {key} {} v{} g{} {:?} of {}{}: leases [{}] adopted [{}] waiting {} fenced {} open {} epoch {} batch {} released {:?} set aside {} workers {:?}",
                now.uid,
                now.version.0,
                now.generation,
                spec.map(|spec| spec.mode),
                spec.map_or(0, |spec| spec.capacity),
                rate(spec.and_then(|spec| spec.decay), status.level),
                names(&status.leases),
                names(&status.adopted),
                status.waiting,
                status.fenced,
                status.open,
                status.epoch.0,
                status.batch.as_ref().map_or("-", |batch| batch.as_str()),
                now.released,
                now.set_aside.is_some(),
                status.workers,
            )
        }
        Change::Pool { key, now: None, .. } => format!("{at}: {key} deleted"),
        Change::Pod { now: Some(now), .. } => {
            let pod = &now.pod;
            let note = |key: &str| pod.annotations.get(key).map_or("-", String::as_str);
            format!(
                "{at}: pod {} {} v{} {:?} {:?} on {} gates {:?} attempt {} slots {} locks {} managed {} deleting {} granted {}",
                pod.name,
                pod.uid,
                pod.version,
                pod.phase,
                pod.container,
                pod.node.as_ref().map_or("-", Name::as_str),
                pod.gates,
                note(names::ATTEMPT),
                note(names::SLOTS),
                note(names::LOCKS),
                pod.is_managed(),
                pod.deleting,
                note(names::GRANTED),
            )
        }
        Change::Pod { before, .. } => {
            let name = before
                .as_ref()
                .map_or("?", |before| before.pod.name.as_str());
            format!("{at}: pod {name} is gone")
        }
        Change::Claim { now: Some(now), .. } => {
            let Claim { spec, status, .. } = &now.claim;
            let grants: Vec<String> = status
                .grants
                .iter()
                .map(|grant| format!("{} t{}", grant.key, grant.token % 1_000_000_000_000))
                .collect();
            format!(
                "{at}: claim {} {} v{} {:?} {} attempt {} session {} seq {} release {} lease {:?}/{:?} wait {:?} hold {:?} {:?} slots {:?} locks {:?} grants {grants:?}",
                now.claim.name,
                now.claim.uid,
                now.claim.version,
                status.phase,
                status.reason,
                status.attempt,
                spec.session,
                spec.renew.seq,
                spec.release,
                spec.lease_duration_seconds,
                status.lease_duration_seconds,
                spec.timeout_seconds,
                spec.max_hold_seconds,
                spec.if_missing,
                spec.slots,
                spec.locks,
            )
        }
        Change::Claim { before, .. } => {
            let name = before
                .as_ref()
                .map_or("?", |before| before.claim.name.as_str());
            format!("{at}: claim {name} is gone")
        }
        Change::Namespace(name) => format!("{at}: labels of namespace {name} changed"),
        Change::Lease(lease) => {
            let record = lease.as_ref().map(|lease| &lease.record);
            format!(
                "{at}: Lease {:?} epoch {:?}",
                record.map(|it| &it.holder),
                record.map(|it| it.epoch)
            )
        }
        Change::Restored => format!("{at}: RESTORED from a snapshot"),
    }
}

/// How fast slots come back, and how much has to.
fn rate(decay: Option<Decay>, level: Option<Level>) -> String {
    let decay = decay.map(|it| format!(" {} in {} ms", it.slots, it.period.0));
    let level = level.map(|it| format!(" used {}/{}", it.parts, it.parts_per_slot));
    decay.unwrap_or_default() + &level.unwrap_or_default()
}
