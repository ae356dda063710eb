//! A round: a control plane of its own, chaos for a while, and then peace, in which everything must come right.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::json;
use sluice_testenv::history::{Assumptions, check_quiescent};
use sluice_testenv::{ControlPlane, Options};
use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

use crate::claimants::{self, Beliefs};
use crate::error::{Error, Result};
use crate::flags::{ENDED_CLAIMS_SECONDS, Election};
use crate::fleet::Fleet;
use crate::judge;
use crate::plan::Plan;
use crate::store::{Era, Segment, Store};
use crate::tally::{Counts, Tally};
use crate::town::{POISON, PROOF, Town};
use crate::users::{Users, has_ended};

/// How long everything may take to come right once faults have stopped, in seconds. Controllers back off for up to
/// two minutes from what the server refused again and again.
const PATIENCE_SECONDS: u64 = 240;
/// How long proof is waited for before an operator gives his word, in seconds.
const PROOF_SECONDS: u64 = 20;
/// How long between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How the complaint begins that somebody holds on.
const HELD: &str = "these are held by what has ended: ";

/// What a round is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A binary that runs a controller when its first argument is [`crate::CONTROLLER`].
    pub program: PathBuf,
    /// What every fault is drawn from.
    pub seed: u64,
    /// How long faults last, in seconds.
    pub seconds: f64,
    /// Whether the controllers elect a leader.
    pub election: Election,
}

/// What a round was.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done.
    pub counts: Counts,
    /// Pods that were granted, those of segments that were taken back included.
    pub grants: usize,
    /// Claims that were granted, likewise.
    pub claims: usize,
    /// What was taken for a rate, likewise.
    pub takes: usize,
    /// Stretches of time in which a program believed that it held.
    pub beliefs: usize,
    /// Versions of objects that were judged.
    pub versions: usize,
    /// Segments of the history.
    pub segments: usize,
    /// How long it took from the last fault until everything was right, in seconds.
    pub recovery_seconds: f64,
    /// Holders of the limit that wants proof, for whose end an operator had to give his word.
    pub vouched: usize,
    /// What was wrong, in words; empty when nothing was.
    pub findings: Vec<String>,
}

/// Plays a round.
///
/// # Errors
/// When the harness fails; what Sluice does wrong is in the report's findings.
pub async fn play(settings: &Settings) -> Result<Report> {
    let mut dice = Rng::with_seed(settings.seed);
    let plan = Plan::draw(&mut dice.fork(), settings.seconds);
    // Nobody needs its controllers here, and two cores have enough to do.
    let plane =
        Arc::new(ControlPlane::start(Options::default().without_controller_manager()).await?);
    let report = on(&plane, settings, plan, dice).await;
    match &report {
        Ok(report) if report.findings.is_empty() => {}
        Ok(report) => {
            let file = plane.directory().join("findings.txt");
            let _ = std::fs::write(file, report.findings.join("\n\n"));
            plane.keep_directory("the chaos found something");
        }
        Err(_) => plane.keep_directory("the chaos could not go on"),
    }
    report
}

async fn on(
    plane: &Arc<ControlPlane>,
    settings: &Settings,
    plan: Plan,
    mut dice: Rng,
) -> Result<Report> {
    let tally = Tally::new(plane.directory())?;
    let town = Town {
        client: plane.client(),
        namespace: plane.namespace("chaos").await?,
    };
    let mut store = Store::new(Arc::clone(plane), &town.namespace, &tally).await?;
    town.found().await?;
    let Settings {
        program, election, ..
    } = settings;
    let fleet = Fleet::start(
        plane,
        program,
        &town.namespace,
        *election,
        &tally,
        &mut dice,
    )
    .await?;
    let fleet = Arc::new(fleet);
    let by_hand = town.poison_limit().await?;
    town.poison_pods().await?;
    let assumptions = Assumptions::none()
        .written_by_hand(by_hand)
        .ended_claims_kept(ENDED_CLAIMS_SECONDS);
    let beliefs = Beliefs::default();

    let supervised = async {
        chaos(
            settings, plan, &fleet, &mut store, &town, &mut dice, &beliefs, &tally,
        )
        .await?;
        fleet.heal().await?;
        tally.note("all faults have stopped");
        peace(&town, &mut store, &assumptions).await
    };
    let rest = tokio::select! {
        ended = supervised => ended?,
        failed = fleet.supervise() => return Err(failed.err().unwrap_or(crate::Error::Task("supervision"))),
    };
    let last = store.present().await?;
    let segments: Vec<_> = store.past().iter().chain([&last]).collect();
    let mut findings = fleet.findings().await;
    findings.extend(rest.stuck);
    let believed = beliefs.lock().map(|it| it.clone()).unwrap_or_default();
    findings.extend(judge::judge(&segments, &believed, &assumptions));
    if !findings.is_empty() {
        keep(plane.directory(), &segments)?;
    }
    let summaries: Vec<_> = segments.iter().map(|it| it.history.summary()).collect();
    let takes = summaries.iter().flat_map(|it| it.pools.values());
    Ok(Report {
        counts: tally.counts(),
        grants: summaries.iter().map(|it| it.grants).sum(),
        claims: summaries.iter().map(|it| it.claims).sum(),
        takes: takes.map(|it| it.takes).sum(),
        beliefs: believed.len(),
        versions: segments.iter().map(|it| it.history.versions().len()).sum(),
        segments: segments.len(),
        recovery_seconds: rest.seconds,
        vouched: rest.vouched,
        findings,
    })
}

/// Writes down every version of every segment, one on each line, for whoever looks into a finding.
fn keep(directory: &Path, segments: &[&Segment]) -> Result<()> {
    for (index, segment) in segments.iter().enumerate() {
        let path = directory.join(format!("history-{index}.jsonl"));
        let lines: Vec<String> = segment
            .history
            .versions()
            .iter()
            .map(|it| {
                let object = it.object.as_deref();
                json!({"revision": it.revision, "kind": it.kind.to_string(), "name": it.name, "object": object})
                    .to_string()
            })
            .collect();
        std::fs::write(&path, lines.join("\n"))
            .map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// Everything at once, until the time is over and whatever was begun is undone.
#[expect(
    clippy::too_many_arguments,
    reason = "all that there is takes part in it"
)]
async fn chaos(
    settings: &Settings,
    plan: Plan,
    fleet: &Arc<Fleet>,
    store: &mut Store,
    town: &Town,
    dice: &mut Rng,
    beliefs: &Beliefs,
    tally: &Tally,
) -> Result<()> {
    let world = RwLock::new(Era::default());
    let begun = Instant::now();
    tally.note(&format!("seed {}: {plan:?}", settings.seed));
    let users = Users::new(town.clone(), dice.fork());
    let mut luck = dice.fork();
    let programs = claimants::live(town, &mut luck, &world, beliefs);
    let blows = Arc::clone(fleet).suffer(begun, plan.blows);
    let quakes = store.suffer(begun, plan.quakes, fleet, &world);
    let time = async {
        tokio::time::sleep_until(begun + Duration::from_secs_f64(settings.seconds)).await;
        Ok(())
    };
    let planned = futures::future::try_join3(blows, quakes, time);
    tokio::select! {
        ended = planned => ended.map(drop),
        failed = users.live(&world) => failed,
        () = programs => Ok(()),
    }
}

/// How everything came to rest, or did not.
struct Rest {
    seconds: f64,
    /// Holders for whose end an operator gave his word.
    vouched: usize,
    stuck: Option<String>,
}

/// Waits until everything is right; how long it took, and what was wrong when patience ended.
async fn peace(town: &Town, store: &mut Store, assumptions: &Assumptions) -> Result<Rest> {
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(PATIENCE_SECONDS);
    town.calm().await?;
    town.excuse_the_hopeless().await?;
    let mut vouched = 0;
    let mut proofless_since = None;
    loop {
        let waiting = not_done(town).await;
        if waiting.as_deref() == Some(&format!("{HELD}{PROOF}")) {
            let since: Instant = *proofless_since.get_or_insert_with(Instant::now);
            if vouched == 0 && since.elapsed() > Duration::from_secs(PROOF_SECONDS) {
                // Unanswered, it is said again at the next look.
                vouched = town.vouch_for_the_gone().await.unwrap_or_default();
            }
        }
        let wrong = match waiting {
            Some(waiting) => waiting,
            None => {
                let present = store.present().await?;
                let violations = check_quiescent(&present.history, assumptions);
                if violations.is_empty() {
                    return Ok(Rest {
                        seconds: begun.elapsed().as_secs_f64(),
                        vouched,
                        stuck: None,
                    });
                }
                judge::told(&violations, &present.history)
            }
        };
        if Instant::now() > deadline {
            let story = stories(&wrong, store).await?;
            let stuck = format!(
                "{PATIENCE_SECONDS} s after the last fault it is not at rest: {wrong}\n{story}"
            );
            return Ok(Rest {
                seconds: begun.elapsed().as_secs_f64(),
                vouched,
                stuck: Some(stuck),
            });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Pods of users that have not ended, and limits that are held; `None` when there are none.
async fn not_done(town: &Town) -> Option<String> {
    let all = ListParams::default();
    let Ok(pods) = town.pods().list(&all).await else {
        return Some("the server does not answer".into());
    };
    let names: Vec<String> = pods
        .items
        .iter()
        .filter(|pod| !pod.name_any().starts_with(POISON) && !has_ended(pod))
        .map(ResourceExt::name_any)
        .collect();
    if !names.is_empty() {
        return Some(format!(
            "{} pods have not had their turn: {}",
            names.len(),
            names.join(" ")
        ));
    }
    let Ok(claims) = town.claims().list(&all).await else {
        return Some("the server does not answer".into());
    };
    let live = |claim: &&DynamicObject| {
        let phase = claim.data["status"]["phase"].as_str();
        // What was taken for a rate is over once it is granted.
        if claim.data["spec"]["kind"] == "RateLimit" && phase == Some("Granted") {
            return false;
        }
        matches!(phase, None | Some("Pending" | "Granted"))
    };
    let claims: Vec<String> = claims
        .items
        .iter()
        .filter(live)
        .map(ResourceExt::name_any)
        .collect();
    if !claims.is_empty() {
        return Some(format!(
            "{} claims have not ended: {}",
            claims.len(),
            claims.join(" ")
        ));
    }
    let mut held = Vec::new();
    for pools in [town.limits(), town.locks()] {
        let Ok(found) = pools.list(&all).await else {
            return Some("the server does not answer".into());
        };
        let holds = |pool: &DynamicObject| {
            ["leases", "adopted"].iter().any(|list| {
                pool.data["status"][list]
                    .as_array()
                    .is_some_and(|it| !it.is_empty())
            })
        };
        held.extend(
            found
                .items
                .iter()
                .filter(|it| holds(it))
                .map(ResourceExt::name_any),
        );
    }
    (!held.is_empty()).then(|| format!("{HELD}{}", held.join(" ")))
}

/// Stories of the first few names in a complaint.
async fn stories(wrong: &str, store: &mut Store) -> Result<String> {
    const TOLD: usize = 3;
    let history = store.present().await?.history;
    let (_, names) = wrong.split_once(": ").unwrap_or_default();
    let stories: Vec<String> = names
        .split_whitespace()
        .take(TOLD)
        .map(|name| format!("--- what happened to {name}:\n{}", history.story(name)))
        .collect();
    Ok(stories.join("\n"))
}

impl Settings {
    /// A round of this many seconds with the controllers that this program runs.
    #[must_use]
    pub fn new(program: &Path, seed: u64, seconds: f64) -> Self {
        Self {
            program: program.to_owned(),
            seed,
            seconds,
            election: Election::Off,
        }
    }
}
