//! Carrying out effects: each is one request, in its lane's share of what may be under way at once; its
//! answer goes back to the driver as a command. Nothing is repeated and nothing is judged here. What is
//! under way ends with the executor: a controller that is dropped sends nothing more.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tracing::{debug, trace, warn};

use super::config::{PATCHES_IN_FLIGHT, READS_IN_FLIGHT, STATUS_WRITES_IN_FLIGHT};
use super::events::EventLane;
use super::intake::News;
use super::kube_transport::Shared;
use super::metrics::Metrics;
use super::translate;
use super::transport::{Address, Failure, Kind, Object};
use crate::ledger::{
    ChildOutcome, ChildWrite, ClaimDeletion, Command, Effect, Found, HolderKind, Name,
    PatchOutcome, PoolKey, PoolKind, RequestPatch, RequestView, StatusWrite, Uid, WriteOutcome,
};

/// Starts effects, and owns what is under way.
pub(super) struct Executor {
    carrier: Carrier,
    tasks: JoinSet<()>,
}

/// Carries out one effect.
#[derive(Clone)]
struct Carrier {
    transport: Shared,
    answers: Sender<News>,
    events: EventLane,
    metrics: Metrics,
    /// Namespaces that are served; empty: all.
    scopes: Arc<[Name]>,
    patches: Arc<Semaphore>,
    statuses: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl Executor {
    pub(super) fn new(
        transport: Shared,
        answers: Sender<News>,
        events: EventLane,
        metrics: Metrics,
        scopes: Arc<[Name]>,
    ) -> Self {
        Self {
            carrier: Carrier {
                transport,
                answers,
                events,
                metrics,
                scopes,
                patches: Arc::new(Semaphore::new(PATCHES_IN_FLIGHT)),
                statuses: Arc::new(Semaphore::new(STATUS_WRITES_IN_FLIGHT)),
                reads: Arc::new(Semaphore::new(READS_IN_FLIGHT)),
            },
            tasks: JoinSet::new(),
        }
    }

    /// Starts an effect; its answer comes to the inbox. The ledger asks for at most one thing at a time
    /// for each pool and each request, so what waits here is bounded by what it follows.
    pub(super) fn start(&mut self, effect: Effect) {
        trace!(?effect, "asked for");
        let lane = match &effect {
            Effect::Event(event) => {
                self.carrier.events.offer(event);
                return;
            }
            Effect::Patch(_) | Effect::DeleteClaim(_) => Arc::clone(&self.carrier.patches),
            Effect::WriteStatus(_) | Effect::WriteChild(_) => Arc::clone(&self.carrier.statuses),
            Effect::ReadPool(_)
            | Effect::ReadRequest { .. }
            | Effect::ReadHolderPod { .. }
            | Effect::ListRequests { .. }
            | Effect::ReadNode(_) => Arc::clone(&self.carrier.reads),
        };
        while self.tasks.try_join_next().is_some() {}
        let own = self.carrier.clone();
        self.tasks.spawn(async move {
            let Ok(_turn) = lane.acquire().await else {
                return;
            };
            let command = own.carry_out(effect).await;
            // Nobody listens any more when the controller stops.
            let _ = own.answers.send(News::Happened(command)).await;
        });
    }

    /// No more effects will be started; waits until all answers are in.
    pub(super) async fn drain(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Carrier {
    async fn carry_out(&self, effect: Effect) -> Command {
        match effect {
            Effect::WriteStatus(write) => self.write_status(*write).await,
            Effect::ReadPool(pool) => self.read_pool(pool).await,
            Effect::Patch(patch) => self.patch_request(*patch).await,
            Effect::ReadRequest {
                uid,
                kind,
                namespace,
                name,
            } => {
                let at = request_address(kind, &namespace, &name);
                let found = self.read_request(&at).await;
                Command::RequestRead { uid, found }
            }
            Effect::ReadHolderPod {
                uid,
                namespace,
                name,
                pod,
            } => self.read_holder_pod(uid, &namespace, &name, &pod).await,
            Effect::DeleteClaim(deletion) => self.delete_claim(*deletion).await,
            Effect::ListRequests { ticket } => self.list_requests(ticket).await,
            Effect::ReadNode(node) => self.read_node(node).await,
            Effect::WriteChild(write) => self.write_child(*write).await,
            Effect::Event(_) => Command::Tick,
        }
    }

    async fn write_status(&self, write: StatusWrite) -> Command {
        let answer = self.transport.replace_status(&write).await;
        self.metrics.wrote("status", &answer);
        let outcome = match answer {
            Ok(Object::Pool(object)) => WriteOutcome::Applied(object),
            Ok(_) => WriteOutcome::Unknown,
            Err(Failure::NotFound(_)) => WriteOutcome::NotFound,
            Err(Failure::Conflict(_)) => WriteOutcome::Conflict,
            Err(Failure::Invalid(message)) => {
                warn!(pool = %write.pool, %message, "a rule of the API server refused a status");
                WriteOutcome::Invalid(message)
            }
            Err(Failure::Refused(message)) => {
                warn!(pool = %write.pool, %message, "a status write was refused");
                WriteOutcome::Refused(message)
            }
            Err(Failure::Unknown(message)) => {
                warn!(pool = %write.pool, %message, "a status write was not answered");
                WriteOutcome::Unknown
            }
        };
        Command::StatusWritten {
            pool: write.pool,
            batch: write.batch,
            outcome,
        }
    }

    async fn read_pool(&self, pool: PoolKey) -> Command {
        let found = match self.transport.get(&pool_address(&pool)).await {
            Ok(Some(Object::Pool(object))) => Found::Present(object),
            Ok(None) => Found::Absent,
            Ok(Some(_)) | Err(_) => Found::Unknown,
        };
        Command::PoolRead { pool, found }
    }

    async fn patch_request(&self, patch: RequestPatch) -> Command {
        let kind = patch.kind();
        let (part, operations) = translate::request_patch(&patch);
        let answer = self
            .transport
            .patch(
                &request_address(patch.kind, &patch.namespace, &patch.name),
                part,
                &operations,
            )
            .await;
        self.metrics.wrote(patch_word(&patch), &answer);
        let outcome = match answer {
            Ok(Object::Request(view)) if view.uid == patch.uid => PatchOutcome::Applied(view),
            Ok(_) => PatchOutcome::Unknown,
            Err(Failure::NotFound(_)) => PatchOutcome::Gone,
            Err(
                Failure::Conflict(message) | Failure::Invalid(message) | Failure::Refused(message),
            ) => {
                debug!(request = %patch.name, ?kind, %message, "a patch was refused");
                PatchOutcome::Refused(message)
            }
            Err(Failure::Unknown(message)) => {
                warn!(request = %patch.name, ?kind, %message, "a patch was not answered");
                PatchOutcome::Unknown
            }
        };
        Command::RequestPatched {
            uid: patch.uid,
            patch: kind,
            outcome,
        }
    }

    async fn read_request(&self, at: &Address) -> Found<Box<RequestView>> {
        match self.transport.get(at).await {
            Ok(Some(Object::Request(view))) => Found::Present(view),
            Ok(None) => Found::Absent,
            Ok(Some(_)) | Err(_) => Found::Unknown,
        }
    }

    async fn read_holder_pod(&self, uid: Uid, namespace: &Name, name: &Name, pod: &Uid) -> Command {
        let at = request_address(HolderKind::Pod, namespace, name);
        let found = match self.read_request(&at).await {
            Found::Present(view) if view.uid == *pod => Found::Present(view.end()),
            Found::Present(_) | Found::Absent => Found::Absent,
            Found::Unknown => Found::Unknown,
        };
        Command::HolderPodRead { uid, found }
    }

    async fn delete_claim(&self, deletion: ClaimDeletion) -> Command {
        let answer = self.transport.delete_claim(&deletion).await;
        self.metrics.wrote("delete", &answer);
        let outcome = match answer {
            Ok(()) | Err(Failure::NotFound(_)) => PatchOutcome::Gone,
            Err(
                Failure::Conflict(message) | Failure::Invalid(message) | Failure::Refused(message),
            ) => PatchOutcome::Refused(message),
            Err(Failure::Unknown(_)) => PatchOutcome::Unknown,
        };
        Command::ClaimDeleted {
            uid: deletion.uid,
            outcome,
        }
    }

    async fn list_requests(&self, ticket: u64) -> Command {
        let scopes: Vec<Option<&Name>> = if self.scopes.is_empty() {
            vec![None]
        } else {
            self.scopes.iter().map(Some).collect()
        };
        let mut listed = Vec::new();
        for scope in scopes {
            match self.list_all(scope).await {
                Ok(objects) => {
                    listed.extend(objects.into_iter().filter_map(|object| match object {
                        Object::Request(view) => Some(*view),
                        _ => None,
                    }));
                }
                Err(failure) => {
                    warn!(%failure, "pods and claims could not be listed");
                    return Command::RequestsListed {
                        ticket,
                        listed: None,
                    };
                }
            }
        }
        Command::RequestsListed {
            ticket,
            listed: Some(listed),
        }
    }

    async fn list_all(&self, scope: Option<&Name>) -> Result<Vec<Object>, Failure> {
        let mut objects = self.transport.list(Kind::Pod, scope).await?;
        objects.extend(self.transport.list(Kind::Claim, scope).await?);
        Ok(objects)
    }

    async fn read_node(&self, node: Name) -> Command {
        let at = Address {
            kind: Kind::Node,
            namespace: None,
            name: node.clone(),
        };
        let out_of_service = match self.transport.get(&at).await {
            Ok(Some(Object::Node { out_of_service })) => Some(out_of_service),
            Ok(None) => Some(true),
            Ok(Some(_)) | Err(_) => None,
        };
        Command::NodeRead {
            node,
            out_of_service,
        }
    }

    async fn write_child(&self, write: ChildWrite) -> Command {
        let pool = write.pool().clone();
        let answer = self.transport.write_child(&write).await;
        self.metrics.wrote("child", &answer);
        let outcome = match answer {
            Ok(Some(Object::Pool(object))) => ChildOutcome::Written(object),
            Ok(None) => ChildOutcome::Deleted,
            Ok(Some(_)) => ChildOutcome::Doubtful("the answer was no limit".to_owned()),
            Err(failure) => {
                debug!(%pool, %failure, "a derived limit was not written");
                ChildOutcome::Doubtful(failure.to_string())
            }
        };
        Command::ChildWritten { pool, outcome }
    }
}

fn patch_word(patch: &RequestPatch) -> &'static str {
    use crate::ledger::PatchKind;
    match patch.kind() {
        PatchKind::Reveal => "reveal",
        PatchKind::Bump => "bump",
        PatchKind::StripFinalizer => "finalizer",
        PatchKind::Label => "label",
        PatchKind::Fail => "fail",
        PatchKind::Revoke => "revoke",
        PatchKind::Finish => "finish",
    }
}

fn pool_address(pool: &PoolKey) -> Address {
    let kind = match pool.kind {
        PoolKind::Limit => Kind::Limit,
        PoolKind::Lock => Kind::Lock,
    };
    Address {
        kind,
        namespace: Some(pool.namespace.clone()),
        name: pool.name.clone(),
    }
}

fn request_address(kind: HolderKind, namespace: &Name, name: &Name) -> Address {
    Address {
        kind: match kind {
            HolderKind::Pod => Kind::Pod,
            HolderKind::Claim => Kind::Claim,
        },
        namespace: Some(namespace.clone()),
        name: name.clone(),
    }
}
