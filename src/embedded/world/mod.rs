//! The server of an embedded client: tables of limits, locks and claims, and the ledger that decides over them.
//!
//! Every effect of the ledger is carried out at once and answered before anything else happens, so nothing is ever
//! under way, lost or late. It keeps what an API server would keep, and refuses what that would refuse; who gets a slot
//! is the ledger's word alone. Time is an argument. Tested through `Client::embedded`.

mod effects;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::requests::Asked;
use super::row::Row;
use super::sessions::Sessions;
use crate::client::Loss;
use crate::client::direct::Holder;
use crate::ledger::{
    ClaimPhase, ClaimTimes, Command, Epoch, Ledger, Now, Options, Owner, Part, PatchOutcome,
    PoolKey, PoolKind, PoolObject, PoolSpec, Span, Tick, Uid, Version,
};

/// How long what a claim came to can be read, where nobody has read it yet.
const ENDED_KEPT: Span = Span::seconds(60);
/// How often the claims of direct holders are renewed: a third of the shortest lease.
const RENEW_EVERY: Span = Span::seconds(5);

/// Holders that have to be told how they lost what they held; after the world is unlocked.
pub(super) type Losses = Vec<(Arc<dyn Holder>, Loss)>;

/// Tables, and the ledger over them.
#[derive(Debug)]
pub(super) struct World {
    ledger: Ledger,
    now: Now,
    version: u128,
    uids: u64,
    pools: BTreeMap<PoolKey, PoolObject>,
    /// Boxed, for a table moves what is in it.
    rows: BTreeMap<Uid, Box<Row>>,
    /// Claims that can be found by name: all but those of direct holders.
    names: HashMap<String, Uid>,
    /// How many rows are renewed here.
    kept: usize,
    renew_at: Tick,
    pub(super) sessions: Sessions,
    losses: Losses,
    /// How many claims wait.
    waits: usize,
    /// What the last claim asked for.
    pub(super) asked_last: Option<Asked>,
    /// The ledger has been told something that it has not acted on; until then at the latest.
    put_off: Option<Tick>,
}

impl World {
    pub(super) fn new(now: Now) -> Self {
        let mut ledger = Ledger::new(Options {
            process: "embedded".into(),
            events: false,
            claims: ClaimTimes {
                ended: ENDED_KEPT,
                released: Span(0),
            },
        });
        ledger.handle(now, Command::Lead { epoch: Epoch(1) });
        Self {
            ledger,
            now,
            version: 0,
            uids: 0,
            pools: BTreeMap::new(),
            rows: BTreeMap::new(),
            names: HashMap::new(),
            kept: 0,
            renew_at: now.tick.after(RENEW_EVERY),
            sessions: Sessions::default(),
            losses: Vec::new(),
            waits: 0,
            asked_last: None,
            put_off: None,
        }
    }

    /// Time has come so far. Claims of direct holders are renewed before anything is decided by it: as long as this
    /// process lives, they hold.
    pub(super) fn advance(&mut self, now: Now) {
        self.now.tick = self.now.tick.max(now.tick);
        self.now.server = self.now.server.max(now.server);
        if self.now.tick < self.renew_at {
            return;
        }
        self.renew_at = self.now.tick.after(RENEW_EVERY);
        if self.kept == 0 {
            return;
        }
        for row in self.rows.values_mut() {
            if row.holder.is_some()
                && let Some(claim) = &mut row.view.claim
                && claim.phase == ClaimPhase::Granted
            {
                claim.seq = claim.seq.saturating_add(1);
                row.spec.renew.seq = row.spec.renew.seq.saturating_add(1);
                self.version = self.version.saturating_add(1);
                row.view.version = Version(self.version);
                let seen = Command::RequestSeen(Box::new(row.view.clone()));
                self.ledger.handle(self.now, seen);
            }
        }
    }

    /// When something is to be done if nobody comes before.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let renew = (self.kept > 0).then_some(self.renew_at);
        [self.ledger.poll_deadline(), renew, self.put_off]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing but time has passed.
    pub(super) fn tick(&mut self) {
        self.ledger.handle(self.now, Command::Tick);
        self.settle();
    }

    /// Who has lost something since the last time.
    pub(super) fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// The time of its last word, by both clocks.
    pub(super) fn now(&self) -> Now {
        self.now
    }

    pub(super) fn next_uid(&mut self) -> u64 {
        self.uids = self.uids.saturating_add(1);
        self.uids
    }

    fn next_version(&mut self) -> Version {
        self.version = self.version.saturating_add(1);
        Version(self.version)
    }

    // Limits and locks.

    pub(super) fn pool(&self, key: &PoolKey) -> Option<&PoolObject> {
        self.pools.get(key)
    }

    /// Creates a limit or lock; false if there is one.
    pub(super) fn create_pool(
        &mut self,
        key: PoolKey,
        spec: PoolSpec,
        owner: Option<Owner>,
    ) -> bool {
        if self.pools.contains_key(&key) {
            return false;
        }
        let object = self.new_pool(key, spec, owner);
        self.ledger
            .handle(self.now, Command::PoolSeen(Box::new(object)));
        true
    }

    fn new_pool(&mut self, key: PoolKey, spec: PoolSpec, owner: Option<Owner>) -> PoolObject {
        let uid = format!("{:08}-pool", self.next_uid());
        let object = PoolObject {
            key: key.clone(),
            uid: uid.into(),
            version: self.next_version(),
            generation: 1,
            deleting: false,
            spec: Part::Read(spec),
            status: Part::Read(Arc::default()),
            owner,
            released: Default::default(),
            set_aside: None,
        };
        self.pools.insert(key, object.clone());
        object
    }

    /// Changes the spec of a limit or lock; false if there is none.
    pub(super) fn edit_pool(&mut self, key: &PoolKey, spec: PoolSpec) -> bool {
        let version = self.next_version();
        let Some(object) = self.pools.get_mut(key) else {
            return false;
        };
        object.spec = Part::Read(spec);
        object.generation = object.generation.saturating_add(1);
        object.version = version;
        let seen = Command::PoolSeen(Box::new(object.clone()));
        self.ledger.handle(self.now, seen);
        true
    }

    // Claims.

    pub(super) fn row(&self, uid: &Uid) -> Option<&Row> {
        self.rows.get(uid).map(|row| &**row)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Row> {
        self.row(self.names.get(name)?)
    }

    /// A claim is created.
    pub(super) fn insert(&mut self, mut row: Box<Row>) {
        row.view.version = self.next_version();
        self.kept = self.kept.saturating_add(usize::from(row.holder.is_some()));
        self.waits = self.waits.saturating_add(1);
        if row.holder.is_none() {
            self.index(&row);
        }
        let view = Box::new(row.view.clone());
        self.rows.insert(view.uid.clone(), row);
        self.ledger.handle(self.now, Command::RequestSeen(view));
    }

    fn index(&mut self, row: &Row) {
        let name = row.view.name.to_string();
        self.names.insert(name, row.view.uid.clone());
    }

    /// Somebody writes a claim's spec; the ledger is shown it.
    pub(super) fn write(&mut self, uid: &Uid, change: impl FnOnce(&mut Row)) {
        let version = self.next_version();
        let Some(row) = self.rows.get_mut(uid) else {
            return;
        };
        change(row);
        row.reflect();
        row.view.version = version;
        let view = row.view.clone();
        self.sessions.note(row);
        self.ledger
            .handle(self.now, Command::RequestSeen(Box::new(view)));
    }

    /// Nobody in here renews a claim any more: it is found by its name from now on, and whoever has it renews it.
    pub(super) fn let_go(&mut self, uid: &Uid) {
        let Some(row) = self.rows.get_mut(uid) else {
            return;
        };
        if row.holder.take().is_none() {
            return;
        }
        self.kept = self.kept.saturating_sub(1);
        let name = row.view.name.to_string();
        self.names.insert(name, uid.clone());
        // Its lease counts from here.
        self.write(uid, |row| {
            row.spec.renew.seq = row.spec.renew.seq.saturating_add(1)
        });
    }

    /// Its direct holder gives a claim back: its slots are freed, and there is nothing to read of it any more, so it goes
    /// before the ledger asks for that.
    pub(super) fn give_back(&mut self, uid: &Uid) {
        let version = self.next_version();
        let Some(mut row) = self.remove(uid) else {
            return;
        };
        row.spec.release = true;
        row.reflect();
        row.view.version = version;
        let seen = Command::RequestSeen(Box::new(row.view));
        self.ledger.handle(self.now, seen);
        let deleted = Command::ClaimDeleted {
            uid: uid.clone(),
            outcome: PatchOutcome::Gone,
        };
        self.ledger.handle(self.now, deleted);
    }

    /// A claim is deleted by somebody: it vanishes, and the ledger does as it does with one that vanished.
    pub(super) fn delete(&mut self, uid: &Uid) {
        let version = self.next_version();
        let Some(mut row) = self.remove(uid) else {
            return;
        };
        row.view.version = version;
        self.ledger
            .handle(self.now, Command::RequestVanished(Box::new(row.view)));
    }

    /// A claim that came to nothing is deleted, after whoever followed it has been shown that.
    pub(super) fn discard(&mut self, uid: &Uid) {
        if let Some(row) = self.rows.get_mut(uid) {
            // No watch is told: what it was shown is the last word.
            row.spec.session.clear();
        }
        self.delete(uid);
    }

    fn remove(&mut self, uid: &Uid) -> Option<Box<Row>> {
        let row = self.rows.remove(uid)?;
        let waited = row.phase() == ClaimPhase::Pending;
        self.waits = self.waits.saturating_sub(usize::from(waited));
        self.kept = self.kept.saturating_sub(usize::from(row.holder.is_some()));
        if self.names.get(row.view.name.as_str()) == Some(uid) {
            self.names.remove(row.view.name.as_str());
        }
        self.sessions.note_gone(&row);
        Some(row)
    }
}

/// The key of a pool by what people write.
pub(super) fn pool_key(kind: PoolKind, namespace: &str, object_name: &str) -> PoolKey {
    PoolKey::new(kind, namespace.into(), object_name.into())
}
