//! What is done to the API server and to the store, and the record of what the store ever held.
//!
//! The record reads on before every compaction. A restored backup begins a new segment: it shares with the one before
//! all that was written up to the backup, and what came later never was.

use std::sync::Arc;
use std::time::Duration;

use sluice_testenv::history::{History, Recording, Scope};
use sluice_testenv::{Component, ControlPlane, FakeNodes, NodeOptions, Snapshot};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep_until};

use crate::claimants::wall_micros;
use crate::error::Result;
use crate::fleet::Fleet;
use crate::plan::Quake;
use crate::tally::{Deed, Tally};

/// How often a component is started that does not come up at once.
const STARTS: usize = 3;
/// The nodes of the cluster.
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

/// A stretch of history, from the first revision to its end, or to the moment it was taken back.
pub(crate) struct Segment {
    pub(crate) history: History,
    /// The revision at which it left the segment before it.
    pub(crate) branched_at: Option<i64>,
}

/// How often the store was put back, and when what was before it ended, by the wall clock in microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Era {
    /// Number of the present segment.
    pub(crate) number: usize,
    /// When each segment before it ended.
    pub(crate) ends: Vec<i64>,
}

/// The control plane, its nodes, and its record.
pub(crate) struct Store {
    pub(crate) plane: Arc<ControlPlane>,
    nodes: Option<FakeNodes>,
    recording: Recording,
    branched_at: Option<i64>,
    backup: Option<Snapshot>,
    /// The revision of the last compaction.
    compacted: i64,
    past: Vec<Segment>,
    tally: Tally,
}

impl Store {
    pub(crate) async fn new(
        plane: Arc<ControlPlane>,
        namespace: &str,
        tally: &Tally,
    ) -> Result<Self> {
        let nodes = FakeNodes::start(&plane, &NODES, NodeOptions::default()).await?;
        let recording = Recording::new(&plane.etcd_url(), Scope::namespace(namespace));
        Ok(Self {
            plane,
            nodes: Some(nodes),
            recording,
            branched_at: None,
            backup: None,
            compacted: 0,
            past: Vec::new(),
            tally: tally.clone(),
        })
    }

    /// Does to the control plane what the plan says, one after the other; the users keep still while `world` is locked.
    pub(crate) async fn suffer(
        &mut self,
        begun: Instant,
        quakes: Vec<(Duration, Quake)>,
        fleet: &Fleet,
        world: &RwLock<Era>,
    ) -> Result<()> {
        for (at, quake) in quakes {
            sleep_until(begun + at).await;
            match quake {
                Quake::ServerRestart => {
                    self.did(Deed::ServerRestart, "SIGKILL");
                    self.plane.kill(Component::ApiServer)?;
                    self.back(Component::ApiServer).await?;
                }
                Quake::EtcdKill => {
                    self.did(Deed::EtcdKill, "SIGKILL");
                    self.plane.kill(Component::Etcd)?;
                    self.back(Component::Etcd).await?;
                }
                Quake::Compaction => {
                    let revision = self.recording.catch_up().await?;
                    if revision > self.compacted {
                        self.plane.compact(revision).await?;
                        self.compacted = revision;
                        self.did(Deed::Compaction, &format!("at {revision}"));
                    }
                }
                Quake::Backup => {
                    if let Some(old) = self.backup.replace(self.plane.snapshot()?) {
                        old.discard();
                    }
                    self.tally.note("store: a backup was taken");
                }
                Quake::Restore => {
                    let mut era = world.write().await;
                    let began = wall_micros();
                    self.restore(fleet).await?;
                    if era.number < self.past.len() {
                        era.number = self.past.len();
                        era.ends.push(began);
                    }
                    drop(era);
                }
            }
        }
        Ok(())
    }

    /// Starts a component again that was killed, and whatever took its own life over that.
    async fn back(&self, component: Component) -> Result<()> {
        for _ in 0..STARTS {
            match self.plane.start_component(component).await {
                Err(sluice_testenv::Error::Died {
                    component: other, ..
                }) => {
                    self.tally.note(&format!("store: {other} ended by itself"));
                    self.plane.kill(other)?;
                    if other != component {
                        self.plane.start_component(other).await?;
                    }
                }
                result => return Ok(result?),
            }
        }
        Ok(self.plane.start_component(component).await?)
    }

    /// Puts the backup back as the manual says: the controllers are ended before, and started after. A restore beneath
    /// living controllers cannot be made safe by anybody who is told of it later than they are.
    async fn restore(&mut self, fleet: &Fleet) -> Result<()> {
        let Some(backup) = self.backup.take() else {
            return Ok(());
        };
        let away = fleet.away().await;
        // Kubelets know what never was, as controllers do.
        self.nodes = None;
        self.plane.kill(Component::ApiServer)?;
        let read = self.recording.catch_up().await?;
        let revision = self.plane.restore(&backup).await?;
        backup.discard();
        self.compacted = revision;
        let branch = self.recording.branch(revision);
        let taken_back = std::mem::replace(&mut self.recording, branch);
        self.past.push(Segment {
            history: taken_back.into_history(),
            branched_at: self.branched_at.replace(revision),
        });
        self.nodes = Some(FakeNodes::take_over(
            &self.plane,
            &NODES,
            NodeOptions::default(),
        )?);
        self.did(Deed::Restore, &format!("from {read} to {revision}"));
        away.over()
    }

    /// Reads on, and gives the segment that is still growing.
    pub(crate) async fn present(&mut self) -> Result<Segment> {
        self.recording.catch_up().await?;
        Ok(Segment {
            history: self.recording.clone().into_history(),
            branched_at: self.branched_at,
        })
    }

    /// The segments that were taken back, in order.
    pub(crate) fn past(&self) -> &[Segment] {
        &self.past
    }

    fn did(&self, deed: Deed, detail: &str) {
        self.tally.did(deed, "store", detail);
    }
}
