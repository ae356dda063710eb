//! `sluice release`: takes slots from a holder without proof of its end, on a person's word, and on the record; or, with
//! `--claim`, gives back what the caller itself holds ([`claim`]).
//!
//! It writes one annotation and decides nothing: the controller acts on it. First an event says who asked, and why;
//! without that record nothing is released. While the uid is in the annotation the controller does not count that
//! holder again; it is taken out once the lease is gone and the holder has ended, and stays as long as it may run.
//! Running the command again finishes what was left.

mod annotation;
mod claim;
mod record;

use std::time::{Duration, Instant};

use kube::api::DynamicObject;

use super::look::{Scope, Server, Target, claims, pods, pools, request, words};
use super::{CliError, output};
use crate::api::names;
use crate::ledger::{Amount, End, HolderKind, Lease, PoolObject, Uid};
use annotation::annotate;
use record::record;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Longest that a release is waited for, in seconds.
const WAIT_SECONDS_MAX: u64 = 3_600;
/// Longest reason, in characters: an event's note has a bound.
const REASON_CHARS_MAX: usize = 500;

/// Arguments of `sluice release`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice release --claim \"$claim\"                      gives back what `sluice acquire` has acquired
  sluice release gpu --holder render-2whwv --force --reason 'node burnt down'
  sluice release gpu --holder claim/nightly-import --force --reason 'its host is gone'
  sluice release lock/deploy -n team --holder 6f1c2c9e-6a3d-4d4e-9a55-1c6f3f0a7b11 --force --reason 'ticket 4711'

With KEY and --holder, the next one in the queue may start at once, while a pod or process that still runs goes on running. Sluice can stop
neither (`sluice run` stops its command when it hears of it); the fencing token is what tells them apart.")]
pub(super) struct Arguments {
    /// Limit or lock: gpu, gpu:worker-1, licences/matlab, lock/deploy.
    #[arg(value_name = "KEY", required_unless_present = "claim")]
    key: Option<String>,
    /// KEY is a lock, as if it began with lock/.
    #[arg(long, requires = "key")]
    lock: bool,
    /// A claim of one's own: it is given back.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["key", "holder", "force", "reason"])]
    claim: Option<String>,
    /// Name or uid of the holder: NAME, pod/NAME or claim/NAME; NAMESPACE/NAME where several namespaces have one of
    /// that name.
    #[arg(long, value_name = "POD|CLAIM|UID", required_unless_present = "claim")]
    holder: Option<String>,
    /// Yes: without proof that it has ended.
    #[arg(long)]
    force: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", required_unless_present = "claim")]
    reason: Option<String>,
    /// How long to wait for a controller to act.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait_seconds: u64,
    #[command(flatten)]
    scope: Scope,
}

/// One who is to hold no longer.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Holder {
    kind: HolderKind,
    uid: Uid,
    namespace: String,
    name: String,
    /// `2 slots since …`; nothing when its lease is gone already.
    holds: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let deadline =
        Instant::now() + Duration::from_secs(arguments.wait_seconds.min(WAIT_SECONDS_MAX));
    if let Some(name) = &arguments.claim {
        return claim::give_back(&server, name, deadline).await;
    }
    let key = arguments.key.as_deref().unwrap_or_default();
    let target = Target::parse(key, arguments.lock, &server.namespace).map_err(CliError::Usage)?;
    let reason = arguments.reason.as_deref().unwrap_or_default().trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(CliError::Usage(format!(
            "--reason is for the record: say in 1 to {REASON_CHARS_MAX} characters why this is done"
        )));
    }
    let object = pools::get(&server, &target).await?;
    let pool = pools::read(target.kind, object.clone());
    let said = arguments.holder.as_deref().unwrap_or_default();
    let holder = find(&pool, &target, said)?;
    if !arguments.force {
        return Err(CliError::Usage(unforced(&server, &target, &holder).await));
    }
    if holder.holds.is_some() {
        record(&server, &target, &object, &holder, reason).await?;
        annotate(&server, &target, &pool.uid, &holder.uid, true).await?;
        wait(&server, &target, &pool.uid, &holder, deadline).await?;
        let text = format!(
            "{target}: the slots of {holder} are free; the event ReleaseRequested says why"
        );
        output::say(&text)?;
    } else {
        output::say(&format!("{target}: {holder} holds nothing any more"))?;
    }
    tidy(&server, &target, &pool.uid, &holder).await
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "uid {}", self.uid),
            name => {
                let word = request::word(self.kind);
                write!(f, "{word} {}/{name} ({})", self.namespace, self.uid)
            }
        }
    }
}

/// The holder of this name or uid.
fn find(pool: &PoolObject, target: &Target, said: &str) -> Result<Holder, CliError> {
    let (kind, name) = match request::spelled(said) {
        Ok((Some(kind), name)) => (Some(kind), name),
        _ => (None, said),
    };
    let entries = pool.status.read().into_iter().flat_map(|it| it.entries());
    let found: Vec<Holder> = entries
        .filter(|lease| {
            let (uid, lease_name) = (lease.uid.as_str(), lease.name.as_str());
            let full = format!("{}/{lease_name}", lease.namespace);
            let is_kind = kind.is_none_or(|kind| kind == lease.kind);
            is_kind && [uid, lease_name, full.as_str()].contains(&name)
        })
        .map(holder)
        .collect();
    let namespace = &target.namespace;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] if pool.released.iter().any(|uid| uid.as_str() == name) => Ok(Holder {
            kind: HolderKind::Pod,
            uid: name.into(),
            namespace: String::new(),
            name: String::new(),
            holds: None,
        }),
        [] => Err(CliError::Missing(format!(
            "{said} holds nothing of {target}; `sluice holders {} -n {namespace}` lists who does",
            target.short()
        ))),
        several => Err(CliError::Usage(format!(
            "several holders of {target} are called {said}: {}. Name one by its uid",
            several
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn holder(lease: &Lease) -> Holder {
    let what = match lease.amount {
        Amount::Slots(slots) | Amount::Rate(slots) => words::counted(u64::from(slots), "slot"),
        mode => format!("the lock ({})", words::amount(mode)),
    };
    Holder {
        kind: lease.kind,
        uid: lease.uid.clone(),
        namespace: lease.namespace.to_string(),
        name: lease.name.to_string(),
        holds: Some(format!("{what} since {}", words::time(lease.granted_at))),
    }
}

async fn unforced(server: &Server, target: &Target, holder: &Holder) -> String {
    let places = [(
        holder.uid.clone(),
        (
            holder.namespace.as_str().into(),
            holder.name.as_str().into(),
        ),
    )];
    let facts = request::facts(&server.client, holder.kind, &places.into()).await;
    let phase = facts
        .get(&holder.uid)
        .map_or("not known", |it| it.phase.as_str());
    let holds = holder.holds.as_deref().unwrap_or("nothing any more");
    format!(
        "nothing is done without --force: {holder} holds {holds} of {target}, and its phase is {phase}. Released, the next one may start while this one still runs. If you are sure, add --force"
    )
}

fn same(target: &Target, uid: &Uid, object: &DynamicObject) -> Result<(), CliError> {
    if object.metadata.uid.as_deref() == Some(uid.as_str()) {
        return Ok(());
    }
    Err(CliError::Unfinished(format!(
        "{target} was deleted and created again meanwhile; look at `sluice holders {}` before you go on",
        target.short()
    )))
}

/// Waits until the lease is gone.
async fn wait(
    server: &Server,
    target: &Target,
    pool_uid: &Uid,
    holder: &Holder,
    deadline: Instant,
) -> Result<(), CliError> {
    loop {
        let object = pools::get(server, target).await?;
        same(target, pool_uid, &object)?;
        let pool = pools::read(target.kind, object);
        let mut entries = pool.status.read().into_iter().flat_map(|it| it.entries());
        if !entries.any(|lease| lease.uid == holder.uid) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let command = format!(
                "kubectl annotate {}/{} -n {} {}-",
                target.kind.short(),
                target.name(),
                target.namespace,
                names::RELEASE
            );
            return Err(CliError::Unfinished(format!(
                "{target}: the lease of {holder} is still there: no controller has acted on annotation {}. One that starts will; `{command}` takes the order back",
                names::RELEASE
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Takes the uid out of the annotation again, unless the holder could then be counted anew.
async fn tidy(
    server: &Server,
    target: &Target,
    pool_uid: &Uid,
    holder: &Holder,
) -> Result<(), CliError> {
    let short = target.short();
    let word = request::word(holder.kind);
    let again = format!(
        "`sluice release {short} -n {} --holder {} --force --reason …` once more, when it has ended, takes it out",
        target.namespace, holder.uid
    );
    let stays = |why: &str| {
        output::say(&format!(
            "its {word} {why}, so its uid stays in annotation {}: without it the {word} would be counted again. {again}",
            names::RELEASE
        ))
    };
    if holder.name.is_empty() {
        return annotate(server, target, pool_uid, &holder.uid, false).await;
    }
    let found = match holder.kind {
        HolderKind::Pod => pods::api(&server.client, Some(&holder.namespace)),
        HolderKind::Claim => claims::api(&server.client, Some(&holder.namespace)),
    };
    match found.get_opt(&holder.name).await {
        Err(_) => stays("may not be read"),
        Ok(Some(object)) if counts(holder.kind, &object, &holder.uid) => stays("has not ended"),
        Ok(_) => annotate(server, target, pool_uid, &holder.uid, false).await,
    }
}

/// It is the holder of this uid, and by the controller's own judgement it has not provably ended: it could be counted
/// again. What cannot be understood could be.
fn counts(kind: HolderKind, object: &DynamicObject, uid: &Uid) -> bool {
    let view = match kind {
        HolderKind::Pod => match pods::read(object, None) {
            Ok(pod) => pod.view,
            Err(_) => return true,
        },
        HolderKind::Claim => claims::read(object.clone(), None).view,
    };
    view.uid == *uid && view.end() != End::Confirmed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::look::{Kind, samples};

    #[test]
    fn a_holder_is_named_by_pod_or_uid() {
        let target = Target::parse("gpu", false, "team").unwrap();
        let object = samples::limit("gpu", json!({"slots": 9}), &[("a", 1), ("b", 2)]);
        let pool = pools::read(Kind::Limit, object);
        for said in ["b", "pod/b", "team/b", "uid-b"] {
            let found = find(&pool, &target, said).unwrap();
            assert_eq!(found.to_string(), "pod team/b (uid-b)");
            assert!(found.holds.unwrap().starts_with("2 slots since 2026-"));
        }
        let error = find(&pool, &target, "c").unwrap_err().to_string();
        assert!(error.contains("sluice holders gpu -n team"), "{error}");
    }

    #[test]
    fn a_claim_is_told_from_a_pod_of_its_name() {
        let target = Target::parse("gpu", false, "team").unwrap();
        let mut object = samples::limit("gpu", json!({"slots": 9}), &[("a", 1), ("a", 2)]);
        object.data["status"]["leases"][1]["kind"] = "Claim".into();
        object.data["status"]["leases"][1]["uid"] = "uid-claim".into();
        let pool = pools::read(Kind::Limit, object);
        let found = find(&pool, &target, "claim/a").unwrap();
        assert_eq!(found.to_string(), "claim team/a (uid-claim)");
        let found = find(&pool, &target, "pod/a").unwrap();
        assert_eq!(found.to_string(), "pod team/a (uid-a)");
        let error = find(&pool, &target, "a").unwrap_err().to_string();
        assert!(error.contains("several holders"), "{error}");
    }

    /// What could be counted again is what the controller would not take for ended.
    #[test]
    fn who_could_be_counted_again() {
        let uid: Uid = "uid-a".into();
        let pod = |status: serde_json::Value, node: Option<&str>| {
            let mut pod = samples::waiting("a", 1, json!({"sluice.dev/slots": "gpu"}));
            pod.data["spec"]["schedulingGates"] = json!([]);
            if let Some(node) = node {
                pod.data["spec"]["nodeName"] = node.into();
            }
            pod.data["status"] = status;
            pod
        };
        let over = json!({"terminated": {"exitCode": 0}});
        let proven =
            json!({"phase": "Succeeded", "containerStatuses": [{"name": "c", "state": over}]});
        let unproven = json!({"phase": "Failed"});
        let is = |object: &DynamicObject| counts(HolderKind::Pod, object, &uid);
        assert!(is(&pod(json!({"phase": "Running"}), Some("n"))));
        assert!(is(&pod(unproven.clone(), Some("n"))));
        assert!(!is(&pod(proven, Some("n"))));
        // Never bound: nothing of it ever ran.
        assert!(!is(&pod(unproven, None)));
        let mut leaving = pod(json!({"phase": "Pending"}), None);
        leaving.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-11-21T10:05:00Z")).unwrap());
        assert!(!is(&leaving));
        let other: Uid = "uid-b".into();
        assert!(!counts(
            HolderKind::Pod,
            &pod(json!({"phase": "Running"}), None),
            &other
        ));

        let claim = |status| samples::claim("a", 1, json!({"slots": [{"limit": "gpu"}]}), status);
        let is = |status| counts(HolderKind::Claim, &claim(status), &uid);
        assert!(is(json!({"phase": "Granted"})));
        assert!(is(
            json!({"phase": "Revoked", "reason": "ReleasedByOperator"})
        ));
        assert!(!is(json!({"phase": "Released"})));
    }
}
