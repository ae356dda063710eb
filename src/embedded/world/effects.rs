//! What the ledger asks for, carried out at once and answered: a write is refused where an API server would refuse it.

use std::sync::Arc;

use super::World;
use crate::client::Loss;
use crate::ledger::{
    ChildOutcome, ChildWrite, ClaimAction, ClaimPhase, Command, Effect, Found, Guard, Owner, Part,
    PatchOutcome, RequestAction, RequestPatch, Span, StatusWrite, WriteOutcome,
};

/// How long what is given back may wait for the next acquisition, to be written with it, while nobody waits for it.
const PUT_OFF: Span = Span(5);

impl World {
    /// Leaves what the ledger was told for a moment, if nobody waits for what it would do.
    pub(in crate::embedded) fn settle_soon(&mut self) {
        if self.waits == 0 {
            let latest = self.now.tick.after(PUT_OFF);
            self.put_off.get_or_insert(latest);
        } else {
            self.settle();
        }
    }

    /// Whether something was left.
    pub(in crate::embedded) fn is_put_off(&self) -> bool {
        self.put_off.is_some()
    }

    /// Carries out all that the ledger asks for.
    pub(in crate::embedded) fn settle(&mut self) {
        self.put_off = None;
        while let Some(effect) = self.ledger.poll_effect() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let answer = match effect {
            Effect::WriteStatus(write) => self.write_status(*write),
            Effect::Patch(patch) => self.patch(*patch),
            Effect::DeleteClaim(deletion) => {
                let same = self
                    .rows
                    .get(&deletion.uid)
                    .is_none_or(|row| row.view.version == deletion.version);
                let outcome = if same {
                    self.remove(&deletion.uid);
                    PatchOutcome::Gone
                } else {
                    PatchOutcome::Refused("it has changed".to_owned())
                };
                Command::ClaimDeleted {
                    uid: deletion.uid,
                    outcome,
                }
            }
            Effect::WriteChild(write) => self.write_child(*write),
            Effect::ReadPool(pool) => {
                let found = self.pools.get(&pool).cloned();
                let found = found.map_or(Found::Absent, |it| Found::Present(Box::new(it)));
                Command::PoolRead { pool, found }
            }
            Effect::ReadRequest { uid, .. } => {
                let found = self.rows.get(&uid).map(|row| row.view.clone());
                let found = found.map_or(Found::Absent, |it| Found::Present(Box::new(it)));
                Command::RequestRead { uid, found }
            }
            Effect::ListRequests { ticket } => {
                let listed = self.rows.values().map(|row| row.view.clone()).collect();
                Command::RequestsListed {
                    ticket,
                    listed: Some(listed),
                }
            }
            // No claim in here lives as long as a pod, and there are no nodes.
            Effect::ReadHolderPod { uid, .. } => Command::HolderPodRead {
                uid,
                found: Found::Unknown,
            },
            Effect::ReadNode(node) => Command::NodeRead {
                node,
                out_of_service: None,
            },
            Effect::Event(_) => return,
        };
        self.ledger.handle(self.now, answer);
    }

    fn write_status(&mut self, write: StatusWrite) -> Command {
        let version = self.next_version();
        let outcome = match self.pools.get_mut(&write.pool) {
            None => WriteOutcome::NotFound,
            Some(object) => {
                let batch = object.status.read().and_then(|status| status.batch.clone());
                let current = match write.guard {
                    Guard::Version(version) => object.version == version,
                    Guard::Tested {
                        generation,
                        batch: of,
                    } => object.generation == generation && batch == of,
                };
                if object.uid == write.uid && current {
                    object.version = version;
                    object.status = Part::Read(write.status);
                    WriteOutcome::Applied(Box::new(object.clone()))
                } else {
                    WriteOutcome::Conflict
                }
            }
        };
        Command::StatusWritten {
            pool: write.pool,
            batch: write.batch,
            outcome,
        }
    }

    fn patch(&mut self, patch: RequestPatch) -> Command {
        let kind = patch.kind();
        let version = self.next_version();
        let outcome = match (self.rows.get_mut(&patch.uid), patch.action) {
            (None, _) => PatchOutcome::Gone,
            (Some(row), RequestAction::Claim(action)) => {
                let revokes = matches!(action, ClaimAction::Revoke { .. });
                let waited = row.phase() == ClaimPhase::Pending;
                if row.apply(action) {
                    let ends = waited && row.phase() != ClaimPhase::Pending;
                    self.waits = self.waits.saturating_sub(usize::from(ends));
                    row.view.version = version;
                    self.sessions.note(row);
                    if revokes && let Some(holder) = &row.holder {
                        let loss = Loss::Revoked(format!("{}: {}", row.reason, row.message));
                        self.losses.push((Arc::clone(holder), loss));
                    }
                    PatchOutcome::Applied(Box::new(row.view.clone()))
                } else {
                    PatchOutcome::Refused("a test of the patch failed".to_owned())
                }
            }
            // Labels and finalizers are of pods.
            (Some(_), _) => PatchOutcome::Refused("a claim has no such thing".to_owned()),
        };
        Command::RequestPatched {
            uid: patch.uid,
            patch: kind,
            outcome,
        }
    }

    fn write_child(&mut self, write: ChildWrite) -> Command {
        let pool = write.pool().clone();
        let doubtful = |why: &str| ChildOutcome::Doubtful(why.to_owned());
        let outcome = match write {
            ChildWrite::Create { pool, family, spec } => {
                if self.pools.contains_key(&pool) {
                    doubtful("it exists already")
                } else {
                    let owner = Owner {
                        uid: family.uid,
                        generation: family.generation,
                    };
                    ChildOutcome::Written(Box::new(self.new_pool(pool, spec, Some(owner))))
                }
            }
            ChildWrite::Update {
                pool,
                uid,
                version,
                family,
                spec,
            } => {
                let next = self.next_version();
                match self.pools.get_mut(&pool) {
                    Some(object) if object.uid == uid && object.version == version => {
                        object.owner = Some(Owner {
                            uid: family.uid,
                            generation: family.generation,
                        });
                        object.spec = Part::Read(spec);
                        object.generation = object.generation.saturating_add(1);
                        object.version = next;
                        ChildOutcome::Written(Box::new(object.clone()))
                    }
                    _ => doubtful("it has changed"),
                }
            }
            ChildWrite::Delete { pool, uid, version } => {
                let same = self
                    .pools
                    .get(&pool)
                    .is_some_and(|it| it.uid == uid && it.version == version);
                if same {
                    self.pools.remove(&pool);
                    ChildOutcome::Deleted
                } else {
                    doubtful("it has changed")
                }
            }
        };
        Command::ChildWritten { pool, outcome }
    }
}
