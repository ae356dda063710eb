//! Everything that decides who is next, read once, in a ledger that grants nothing.
//!
//! The order of a queue and the causes of waiting are the ledger's, and there is no second opinion here: it is
//! filled with what the server shows, told that it leads, and whatever it then wants done is thrown away. What it
//! finds it would do at once is shown as being granted. Pods and claims are read as far as they can matter: of the namespaces
//! asked about, and of all others where a limit serves others than its own.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject};

use super::request::RequestRead;
use super::{Server, claims, pods, pools};
use crate::cli::{CliError, list_all};
use crate::controller::translate::label_map;
use crate::ledger::{
    Admits, Cause, ClaimTimes, Command, Ledger, Micros, Name, Now, Options, PoolKey, PoolKind,
    PoolObject, RequestView, Tick, Uid,
};

/// Labels by namespace.
type Labels = Vec<(Name, BTreeMap<Name, Name>)>;

/// What was read.
pub(in crate::cli) struct Snapshot {
    pub(in crate::cli) ledger: Ledger,
    pub(in crate::cli) pools: BTreeMap<PoolKey, PoolObject>,
    /// When, by the server's clock.
    pub(in crate::cli) now: Micros,
    /// What could not be read, for people.
    pub(in crate::cli) notes: Vec<String>,
    /// The namespaces whose limits and locks were read, where it was not all of them.
    pub(in crate::cli) only: Option<BTreeSet<String>>,
    /// Who waits, in the words of claims.
    pub(in crate::cli) holders: BTreeMap<Uid, String>,
}

impl Snapshot {
    /// Reads what can matter to these namespaces. `besides` are pods and claims that were read already.
    pub(in crate::cli) async fn read(
        server: &Server,
        namespaces: &BTreeSet<String>,
        besides: Vec<RequestRead>,
        priority_max: Option<i32>,
    ) -> Result<Self, CliError> {
        let mut notes = Vec::new();
        let (found, only) = read_pools(server, namespaces, &mut notes).await?;
        let labels = if found.iter().any(selects) {
            read_labels(server, &mut notes).await?
        } else {
            Labels::new()
        };
        let wide = found.iter().any(serves_others);
        let mut requests = read_pods(server, namespaces, wide, priority_max, &mut notes).await?;
        requests.extend(read_claims(server, namespaces, wide, priority_max, &mut notes).await);
        requests.extend(besides);
        if requests.iter().any(|it| it.asks_above) {
            notes.push(
                "some ask for a higher priority than they have by themselves (a pod by its PriorityClass, a claim 0); say --max-priority as the controller was told, or that is not counted"
                    .to_owned(),
            );
        }
        let now = Micros(server.clock.micros());
        let holders = requests
            .iter()
            .filter_map(|it| Some((it.view.uid.clone(), it.holder.clone()?)))
            .collect();
        let views = requests.into_iter().map(|it| it.view).collect();
        Ok(Self {
            notes,
            only,
            holders,
            ..Self::of(found, views, labels, now)
        })
    }

    /// Fills a ledger with this, and lets it come to rest.
    pub(in crate::cli) fn of(
        found: Vec<PoolObject>,
        requests: Vec<RequestView>,
        labels: Labels,
        now: Micros,
    ) -> Self {
        let mut ledger = Ledger::new(Options {
            process: "sluice-look".into(),
            events: false,
            claims: ClaimTimes::default(),
        });
        let mut tell = |command| {
            let now = Now {
                tick: Tick(0),
                server: now,
            };
            ledger.handle(now, command);
        };
        for (name, labels) in labels {
            let labels = Some(labels);
            tell(Command::NamespaceSeen { name, labels });
        }
        let pools: BTreeMap<PoolKey, PoolObject> = found
            .into_iter()
            .map(|pool| (pool.key.clone(), pool))
            .collect();
        for kind in [PoolKind::Limit, PoolKind::Lock] {
            let of_kind = pools.values().filter(|pool| pool.key.kind == kind);
            tell(Command::PoolsListed {
                kind,
                scope: None,
                objects: of_kind.cloned().collect(),
            });
        }
        for view in requests {
            tell(Command::RequestSeen(Box::new(view)));
        }
        let epoch = ledger.epoch_needed();
        let at = Now {
            tick: Tick(0),
            server: now,
        };
        ledger.handle(at, Command::Lead { epoch });
        while ledger.poll_effect().is_some() {}
        Self {
            ledger,
            pools,
            now,
            notes: Vec::new(),
            only: None,
            holders: BTreeMap::new(),
        }
    }

    /// Why somebody waits, without claiming that there is nothing where one may not look.
    pub(in crate::cli) fn sentence(&self, cause: &Cause) -> String {
        match cause {
            Cause::NotFound(pool) if !self.has_read(pool) => format!(
                "{pool} may not be read; `kubectl describe` of whoever waits shows what the controller says of it"
            ),
            cause => cause.sentence(),
        }
    }

    /// Limits and locks of its namespace were read.
    pub(in crate::cli) fn has_read(&self, pool: &PoolKey) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(pool.namespace.as_str()))
    }
}

fn serves_others(pool: &PoolObject) -> bool {
    let spec = pool.spec.read();
    spec.is_some_and(|spec| spec.admits != Admits::Same)
}

fn selects(pool: &PoolObject) -> bool {
    let spec = pool.spec.read();
    spec.is_some_and(|spec| matches!(spec.admits, Admits::Selector(_)))
}

/// All limits and locks, or those of these namespaces where that is all one may.
async fn read_pools(
    server: &Server,
    namespaces: &BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Result<(Vec<PoolObject>, Option<BTreeSet<String>>), CliError> {
    match pools::list_both(&server.client, None).await {
        Err(error) if error.is_forbidden() => {}
        found => return Ok((found?, None)),
    }
    let (mut found, mut only) = (Vec::new(), BTreeSet::new());
    for namespace in namespaces {
        match pools::list_both(&server.client, Some(namespace)).await {
            Ok(more) => {
                found.extend(more);
                only.insert(namespace.clone());
            }
            // Of a namespace that is only named by a pod; what it would say of that one is then not known.
            Err(error) if error.is_forbidden() && *namespace != server.namespace => notes.push(
                format!("limits and locks of namespace {namespace} may not be read"),
            ),
            Err(error) => return Err(error),
        }
    }
    Ok((found, Some(only)))
}

/// Pods that wait: of these namespaces, or of all.
async fn read_pods(
    server: &Server,
    namespaces: &BTreeSet<String>,
    wide: bool,
    priority_max: Option<i32>,
    notes: &mut Vec<String>,
) -> Result<Vec<RequestRead>, CliError> {
    if wide {
        match pods::waiting(&server.client, None, priority_max).await {
            Err(error) if error.is_forbidden() => notes.push(
                "pods of other namespaces may not be read: those of them that wait are not shown, and not counted"
                    .to_owned(),
            ),
            read => {
                let (pods, broken) = read?;
                notes.extend(broken);
                return Ok(pods);
            }
        }
    }
    let mut found = Vec::new();
    for namespace in namespaces {
        let read = pods::waiting(&server.client, Some(namespace), priority_max).await;
        match read {
            Ok((pods, broken)) => {
                found.extend(pods);
                notes.extend(broken);
            }
            Err(error) if error.is_forbidden() && *namespace != server.namespace => {
                notes.push(format!("pods of namespace {namespace} may not be read"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Claims that wait: of these namespaces, or of all. Whoever may not read them sees the rest.
async fn read_claims(
    server: &Server,
    namespaces: &BTreeSet<String>,
    wide: bool,
    priority_max: Option<i32>,
    notes: &mut Vec<String>,
) -> Vec<RequestRead> {
    if wide {
        match claims::waiting(&server.client, None, priority_max).await {
            Err(error) if error.is_forbidden() => notes.push(
                "claims of other namespaces may not be read: those of them that wait are not shown, and not counted"
                    .to_owned(),
            ),
            Err(error) => {
                notes.push(unread_claims(&error));
                return Vec::new();
            }
            Ok(claims) => return claims,
        }
    }
    let mut found = Vec::new();
    for namespace in namespaces {
        match claims::waiting(&server.client, Some(namespace), priority_max).await {
            Ok(claims) => found.extend(claims),
            Err(error) if error.is_forbidden() => {
                notes.push(format!(
                    "claims of namespace {namespace} may not be read: those that wait are not shown, and not counted"
                ));
            }
            Err(error) => {
                notes.push(unread_claims(&error));
                break;
            }
        }
    }
    found
}

/// One sentence; a server without the CRD knows no claims.
fn unread_claims(error: &CliError) -> String {
    if error.is_not_found() {
        return "this server has no slotclaims (its CRD is not installed): pods alone are shown"
            .to_owned();
    }
    format!("{error}: pods alone are shown")
}

async fn read_labels(server: &Server, notes: &mut Vec<String>) -> Result<Labels, CliError> {
    let resource = ApiResource::erase::<Namespace>(&());
    let api: Api<DynamicObject> = Api::all_with(server.client.clone(), &resource);
    match list_all(&api, "namespaces", |_| true).await {
        Ok(objects) => Ok(objects
            .into_iter()
            .map(|it| {
                let meta = it.metadata;
                (meta.name.unwrap_or_default().into(), label_map(meta.labels))
            })
            .collect()),
        Err(error) if error.is_forbidden() => {
            notes.push(
                "labels of namespaces may not be read: whom a limit with allowedNamespaces.selector serves is not known, and shown as nobody"
                    .to_owned(),
            );
            Ok(Labels::new())
        }
        Err(error) => Err(error),
    }
}
