//! The controllers, each behind its proxy, and what is done to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use sluice_testenv::ControlPlane;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::Result;
use crate::flags::{self, Election};
use crate::plan::{Blow, CONTROLLERS};
use crate::process::Process;
use crate::proxy::{Line, Proxy};
use crate::tally::{Deed, Tally};

/// How often somebody looks whether a controller has ended by itself.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Last lines of a log that a finding quotes.
const TAIL_LINES: usize = 15;

/// One controller: there, or about to be started again.
struct Member {
    name: String,
    proxy: Proxy,
    log: PathBuf,
    process: Option<Process>,
}

/// What all of them are started with.
struct Recipe {
    program: PathBuf,
    arguments: Vec<String>,
    election: Election,
}

/// All of them.
pub(crate) struct Fleet {
    members: Vec<Mutex<Member>>,
    recipe: Recipe,
    tally: Tally,
    findings: Mutex<Vec<String>>,
}

impl Fleet {
    /// Starts the proxies, and the controllers behind them.
    pub(crate) async fn start(
        plane: &ControlPlane,
        program: &Path,
        namespace: &str,
        election: Election,
        tally: &Tally,
        dice: &mut Rng,
    ) -> Result<Self> {
        let mut members = Vec::new();
        for index in 1..=CONTROLLERS {
            let name = format!("controller-{index}");
            let proxy = Proxy::start(plane, &name, tally.clone(), dice.fork()).await?;
            members.push(Mutex::new(Member {
                log: plane.directory().join(format!("{name}.log")),
                name,
                proxy,
                process: None,
            }));
        }
        let fleet = Self {
            members,
            recipe: Recipe {
                program: program.to_owned(),
                arguments: flags::arguments(namespace, election),
                election,
            },
            tally: tally.clone(),
            findings: Mutex::default(),
        };
        fleet.start_all().await?;
        Ok(fleet)
    }

    /// Starts those that are not there.
    pub(crate) async fn start_all(&self) -> Result<()> {
        for member in &self.members {
            self.begin(&mut *member.lock().await)?;
        }
        Ok(())
    }

    fn begin(&self, member: &mut Member) -> Result<()> {
        if member.process.is_none() {
            member.proxy.new_client();
            let Recipe {
                program, arguments, ..
            } = &self.recipe;
            let process =
                Process::start(program, arguments, member.proxy.kubeconfig(), &member.log)?;
            member.process = Some(process);
        }
        Ok(())
    }

    /// Does to the controllers what the plan says, each at its time or as soon as the one before is over for it.
    pub(crate) async fn suffer(
        self: Arc<Self>,
        begun: Instant,
        blows: Vec<(Duration, usize, Blow)>,
    ) -> Result<()> {
        let mut lanes: Vec<Vec<(Duration, Blow)>> = vec![Vec::new(); CONTROLLERS];
        for (at, index, blow) in blows {
            if let Some(lane) = lanes.get_mut(index) {
                lane.push((at, blow));
            }
        }
        let lanes = self.members.iter().zip(lanes).map(async |(member, lane)| {
            for (at, blow) in lane {
                sleep_until(begun + at).await;
                self.strike(&mut *member.lock().await, blow).await?;
            }
            Ok(())
        });
        futures::future::try_join_all(lanes).await.map(drop)
    }

    async fn strike(&self, member: &mut Member, blow: Blow) -> Result<()> {
        match blow {
            Blow::Kill { away } => {
                self.tally
                    .did(Deed::Kill, &member.name, &format!("for {away:?}"));
                member.process = None;
                sleep(away).await;
                self.begin(member)?;
            }
            Blow::Stop { time } => {
                if let Some(process) = &member.process {
                    self.tally
                        .did(Deed::Stop, &member.name, &format!("for {time:?}"));
                    process.stop();
                    sleep(time).await;
                    process.resume();
                }
            }
            Blow::Partition { time, silent } => {
                let line = if silent { Line::Silent } else { Line::Cut };
                self.tally.did(
                    Deed::Partition,
                    &member.name,
                    &format!("{line:?} for {time:?}"),
                );
                member.proxy.line(line);
                sleep(time).await;
                member.proxy.line(Line::Open);
            }
        }
        Ok(())
    }

    /// Starts again whoever ended by itself, for ever. Only a leader that lost its lease may do so.
    pub(crate) async fn supervise(&self) -> Result<()> {
        loop {
            sleep(LOOK_EVERY).await;
            for member in &self.members {
                // One that is being dealt with is looked at later.
                let Ok(mut member) = member.try_lock() else {
                    continue;
                };
                let Some(status) = member.process.as_mut().and_then(Process::ended) else {
                    continue;
                };
                let told = format!("{} ended by itself ({status})", member.name);
                self.tally.note(&told);
                if self.recipe.election == Election::Off
                    || status.code() != Some(0) && status.code() != Some(1)
                {
                    let tail = tail(&member.log);
                    self.findings
                        .lock()
                        .await
                        .push(format!("{told}, its log ends with:\n{tail}"));
                }
                member.process = None;
                self.begin(&mut member)?;
            }
        }
    }

    /// What was found wrong with the processes themselves.
    pub(crate) async fn findings(&self) -> Vec<String> {
        self.findings.lock().await.clone()
    }

    /// Kills all of them and holds them until the guard is dropped; nothing of theirs that is under way arrives.
    pub(crate) async fn away(&self) -> Away<'_> {
        let mut members = Vec::new();
        for member in &self.members {
            let mut member = member.lock().await;
            member.process = None;
            member.proxy.new_era();
            members.push(member);
        }
        Away {
            fleet: self,
            members,
        }
    }

    /// Stops all faults, and starts whoever is not there.
    pub(crate) async fn heal(&self) -> Result<()> {
        for member in &self.members {
            member.lock().await.proxy.heal();
        }
        self.start_all().await
    }
}

/// All controllers are dead, and nobody starts one.
pub(crate) struct Away<'a> {
    fleet: &'a Fleet,
    members: Vec<MutexGuard<'a, Member>>,
}

impl Away<'_> {
    /// Starts them again.
    pub(crate) fn over(mut self) -> Result<()> {
        for member in &mut self.members {
            self.fleet.begin(member)?;
        }
        Ok(())
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
