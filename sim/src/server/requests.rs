//! What a controller asks of the modelled server, and how it answers.

use std::sync::Arc;

use sluice::api::claim::SlotClaimSpec;
use sluice::controller::transport::{
    Address, Failure, Kind, NewEvent, Object, Part as Which, PatchOperation, PodMetadata,
};
use sluice::election::{LeaseObject, Record};
use sluice::ledger::{
    ChildWrite, ClaimDeletion, Guard, Name, Owner, Part, PoolKey, PoolKind, StatusWrite, Uid,
};

use super::rules::broken;
use super::{Change, Refusal, SeenClaim, Server, Writer, patch};

/// A request.
#[derive(Clone, Debug)]
pub enum Call {
    /// Reads one object.
    Get(Address),
    /// Lists all pods with our label.
    List(Kind, Option<Name>),
    /// Writes a derived limit.
    Child(Box<ChildWrite>),
    /// Writes a status.
    Status(Box<StatusWrite>),
    /// Creates a claim.
    CreateClaim(Name, Name, Box<SlotClaimSpec>),
    /// Deletes a claim on preconditions.
    DeleteClaim(ClaimDeletion),
    /// Patches a pod or a claim.
    Patch(Address, Which, Vec<PatchOperation>),
    /// Creates an event.
    Event(NewEvent),
    /// One page of the metadata of all pods.
    Page(Option<Name>),
    /// Reads the Lease.
    GetLease,
    /// Replaces this version of the Lease, or creates it.
    PutLease(Option<u128>, Record),
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Call::Get`].
    Found(Option<Object>),
    /// To [`Call::List`].
    Listed(Vec<Object>),
    /// To [`Call::Child`].
    Child(Option<Object>),
    /// To [`Call::Status`] and [`Call::Patch`].
    Written(Object),
    /// To [`Call::CreateClaim`] and, beside the object as controllers read it, to a holder's [`Call::Patch`].
    Claim(Arc<SeenClaim>),
    /// To [`Call::Event`] and [`Call::DeleteClaim`].
    Done,
    /// To [`Call::Page`].
    Page(Vec<PodMetadata>),
    /// To [`Call::GetLease`] and [`Call::PutLease`].
    Lease(Option<LeaseObject>),
}

impl Call {
    /// It may change something.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Child(_) | Self::Status(_) | Self::Patch(..) => true,
            Self::CreateClaim(..) | Self::DeleteClaim(_) => true,
            Self::Get(_) | Self::List(..) | Self::Event(_) | Self::Page(_) => false,
            Self::GetLease | Self::PutLease(..) => false,
        }
    }
}

fn pool_key(at: &Address) -> PoolKey {
    PoolKey::new(
        if at.kind == Kind::Lock {
            PoolKind::Lock
        } else {
            PoolKind::Limit
        },
        at.namespace.clone().unwrap_or_else(|| "".into()),
        at.name.clone(),
    )
}

impl Server {
    /// Carries out a request.
    pub fn serve(&mut self, from: usize, call: &Call) -> Result<Reply, Failure> {
        match call {
            Call::Get(at) => Ok(Reply::Found(self.get(at))),
            Call::List(kind, scope) => Ok(Reply::Listed(self.list(*kind, scope.as_ref()))),
            Call::Child(write) => self.write_child(from, write).map(Reply::Child),
            Call::Status(write) => self.write_status(from, write).map(Reply::Written),
            Call::Patch(at, part, operations) => {
                self.patch(from, at, *part, operations).map(Reply::Written)
            }
            Call::CreateClaim(..) => crate::bug("a controller creates no claims"),
            Call::DeleteClaim(deletion) => {
                let by = Writer::Controller(from);
                self.delete_claim(by, deletion).map(|()| Reply::Done)
            }
            Call::Event(_) => Ok(Reply::Done),
            Call::Page(scope) => Ok(Reply::Page(self.page(scope.as_ref()))),
            Call::GetLease => Ok(Reply::Lease(self.lease().cloned())),
            Call::PutLease(base, record) => {
                let by = Writer::Controller(from);
                self.put_lease(by, *base, record)
                    .map(|lease| Reply::Lease(Some(lease)))
            }
        }
    }

    /// Carries out a request of a process that holds claims.
    pub fn serve_holder(&mut self, holder: usize, call: &Call) -> Result<Reply, Failure> {
        let by = Writer::Holder(holder);
        match call {
            Call::CreateClaim(namespace, name, spec) => self
                .create_claim(by, namespace, name, spec)
                .map(Reply::Claim),
            Call::Patch(at, part, operations) => self
                .patch_claim(by, at, *part, operations)
                .map(Reply::Claim),
            Call::Get(at) => {
                let namespace = at.namespace.clone().unwrap_or_else(|| "".into());
                let found = self.claim_at(&namespace, &at.name).cloned();
                let found = found.ok_or_else(|| Failure::NotFound(at.name.to_string()))?;
                Ok(Reply::Claim(found))
            }
            other => crate::bug(&format!("no process that holds claims asks {other:?}")),
        }
    }

    fn get(&self, at: &Address) -> Option<Object> {
        match at.kind {
            Kind::Limit | Kind::Lock => {
                let pool = self.pool(&pool_key(at))?;
                Some(Object::Pool(Box::new((**pool).clone())))
            }
            Kind::Pod => {
                let seen = self.pod(self.uid_of(at)?)?;
                Some(Object::Request(Box::new(seen.view.clone())))
            }
            Kind::Namespace => {
                let labels = self.namespaces().get(&at.name)?;
                Some(Object::Namespace(at.name.clone(), labels.clone()))
            }
            Kind::Node => {
                let out_of_service = self.node(&at.name)?;
                Some(Object::Node { out_of_service })
            }
            Kind::PolicyBinding => self.setup.guards.then_some(Object::Other),
            Kind::Claim => {
                let seen = self.claim_at(at.namespace.as_ref()?, &at.name)?;
                Some(Self::claim_object(seen))
            }
            Kind::Lease => None,
        }
    }

    fn uid_of(&self, at: &Address) -> Option<&Uid> {
        let namespace = at.namespace.clone()?;
        self.state.by_name.get(&(namespace, at.name.clone()))
    }

    /// Everything a list or the beginning of a watch shows.
    pub fn list(&self, kind: Kind, scope: Option<&Name>) -> Vec<Object> {
        let within = |namespace: &Name| scope.is_none_or(|scope| scope == namespace);
        match kind {
            Kind::Limit | Kind::Lock => {
                let wanted = if kind == Kind::Lock {
                    PoolKind::Lock
                } else {
                    PoolKind::Limit
                };
                self.pools()
                    .filter(|pool| pool.key.kind == wanted && within(&pool.key.namespace))
                    .map(|pool| Object::Pool(Box::new((**pool).clone())))
                    .collect()
            }
            Kind::Pod => self
                .pods()
                .filter(|seen| seen.pod.is_managed() && within(&seen.pod.namespace))
                .map(|seen| Object::Request(Box::new(seen.view.clone())))
                .collect(),
            Kind::Namespace => self
                .namespaces()
                .iter()
                .map(|(name, labels)| Object::Namespace(name.clone(), labels.clone()))
                .collect(),
            Kind::Claim => self
                .claims()
                .filter(|seen| within(&seen.claim.namespace))
                .map(|seen| Self::claim_object(seen))
                .collect(),
            Kind::Node | Kind::PolicyBinding | Kind::Lease => Vec::new(),
        }
    }

    fn page(&self, scope: Option<&Name>) -> Vec<PodMetadata> {
        self.pods()
            .map(|seen| &seen.pod)
            .filter(|pod| scope.is_none_or(|scope| *scope == pod.namespace))
            .map(|pod| PodMetadata {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                asks: pod.asks(),
                managed: pod.is_managed(),
                labelled: !pod.labels.is_empty(),
                mirror: false,
            })
            .collect()
    }

    fn put_lease(
        &mut self,
        by: Writer,
        base: Option<u128>,
        record: &Record,
    ) -> Result<LeaseObject, Failure> {
        match (self.lease().map(|lease| lease.version), base) {
            (Some(_), None) => {
                return Err(Failure::Conflict("the Lease already exists".to_owned()));
            }
            (None, Some(_)) => return Err(Failure::NotFound("the Lease".to_owned())),
            (Some(version), Some(base)) if version != base => {
                return Err(Failure::Conflict("the Lease has changed".to_owned()));
            }
            _ => {}
        }
        let lease = LeaseObject {
            version: self.next_version(),
            record: record.clone(),
            rest: serde_json::Value::Null,
        };
        self.state.lease = Some(lease.clone());
        self.record(by, Change::Lease(Some(lease.clone())));
        Ok(lease)
    }

    fn write_status(&mut self, from: usize, write: &StatusWrite) -> Result<Object, Failure> {
        let by = Writer::Controller(from);
        let Some(object) = self.pool(&write.pool).cloned() else {
            return Err(Failure::NotFound(write.pool.to_string()));
        };
        let old = object.status.read().cloned().unwrap_or_default();
        let stands = match &write.guard {
            Guard::Version(version) if object.uid != write.uid || object.version != *version => {
                return Err(Failure::Conflict(format!("{} has changed", write.pool)));
            }
            Guard::Version(_) => true,
            Guard::Tested { generation, batch } => {
                object.uid == write.uid && object.generation == *generation && old.batch == *batch
            }
        };
        if !stands {
            return Err(Failure::Invalid("a test of the patch failed".to_owned()));
        }
        if let Some(rule) = broken(self.setup.rules, &object, &old, &write.status) {
            let key = write.pool.clone();
            let status = &write.status;
            let what = format!(
                "leases [{}] adopted [{}]",
                super::names(&status.leases),
                super::names(&status.adopted)
            );
            self.refusals.push(Refusal {
                key,
                rule,
                by,
                what,
            });
            return Err(Failure::Invalid(format!("rule {rule:?}")));
        }
        let mut next = (*object).clone();
        next.status = Part::Read(Arc::clone(&write.status));
        Ok(Object::Pool(Box::new((*self.put_pool(by, next)).clone())))
    }

    fn patch(
        &mut self,
        from: usize,
        at: &Address,
        part: Which,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        if at.kind == Kind::Claim {
            let by = Writer::Controller(from);
            let seen = self.patch_claim(by, at, part, operations)?;
            return Ok(Self::claim_object(&seen));
        }
        let found = self.uid_of(at).and_then(|uid| self.pod(uid)).cloned();
        let Some(seen) = found.filter(|_| at.kind == Kind::Pod) else {
            return Err(Failure::NotFound(at.name.to_string()));
        };
        let mut next = patch::apply(&seen.pod, operations).map_err(Failure::Invalid)?;
        match part {
            // Each part keeps the other as it is.
            Which::Main => next.phase = seen.pod.phase,
            Which::Status => {
                let phase = next.phase;
                next = seen.pod.clone();
                next.phase = phase;
            }
        }
        if next == seen.pod {
            return Ok(Object::Request(Box::new(seen.view.clone())));
        }
        let adds_finalizer = next.finalizers.len() > seen.pod.finalizers.len();
        if seen.pod.deleting && adds_finalizer {
            return Err(Failure::Invalid(
                "no new finalizers while it is being deleted".to_owned(),
            ));
        }
        let now = self.put_pod(Writer::Controller(from), next);
        Ok(Object::Request(Box::new(now.view.clone())))
    }

    fn write_child(&mut self, from: usize, write: &ChildWrite) -> Result<Option<Object>, Failure> {
        let by = Writer::Controller(from);
        let present = self.pool(write.pool()).cloned();
        match write {
            ChildWrite::Create { pool, family, spec } => {
                let owner = Owner {
                    uid: family.uid.clone(),
                    generation: family.generation,
                };
                let created = self.create_pool(by, pool, spec.clone(), Some(owner));
                let created =
                    created.ok_or_else(|| Failure::Conflict(format!("{pool} already exists")))?;
                Ok(Some(Object::Pool(Box::new((*created).clone()))))
            }
            ChildWrite::Update {
                pool,
                uid,
                version,
                family,
                spec,
            } => {
                let object = present.ok_or_else(|| Failure::NotFound(pool.to_string()))?;
                if object.uid != *uid || object.version != *version {
                    return Err(Failure::Conflict(format!("{pool} has changed")));
                }
                let mut next = (*object).clone();
                next.owner = Some(Owner {
                    uid: family.uid.clone(),
                    generation: family.generation,
                });
                if next.spec.read() != Some(spec) {
                    next.generation = next.generation.saturating_add(1);
                }
                next.spec = Part::Read(spec.clone());
                Ok(Some(Object::Pool(Box::new(
                    (*self.put_pool(by, next)).clone(),
                ))))
            }
            ChildWrite::Delete { pool, uid, version } => {
                let object = present.ok_or_else(|| Failure::NotFound(pool.to_string()))?;
                if object.uid != *uid || object.version != *version {
                    return Err(Failure::Conflict(format!("{pool} has changed")));
                }
                self.delete_pool(by, pool);
                Ok(None)
            }
        }
    }

    /// Whether our gate holds this pod.
    pub fn is_gated(&self, uid: &Uid) -> bool {
        self.pod(uid).is_some_and(|seen| seen.pod.is_gated())
    }
}
