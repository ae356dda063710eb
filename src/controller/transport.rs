//! The one narrow way to the API server: get, list, watch, create, replace, replace status, JSON patch,
//! delete.
//!
//! Everything the shell does to a cluster goes through [`Transport`], so that a modelled server can
//! stand in for a real one. It moves typed objects and plain data; it decides nothing, repeats
//! nothing, and says honestly how each call ended ([`Failure`]). Implemented for real servers in
//! `kube_transport`, with injected faults in `faults`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::election::{LeaseNews, LeaseObject, Record};
use crate::ledger::{
    ChildWrite, ClaimDeletion, HolderKind, Name, PoolKey, PoolObject, RequestView, StatusWrite, Uid,
};

/// Kinds of object that are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// `ConcurrencyLimit`.
    Limit,
    /// `Lock`.
    Lock,
    /// `Pod`, those with our label.
    Pod,
    /// `SlotClaim`.
    Claim,
    /// `Namespace`.
    Namespace,
    /// `Node`.
    Node,
    /// `ValidatingAdmissionPolicyBinding`.
    PolicyBinding,
    /// `Lease`, that of the election.
    Lease,
}

impl Kind {
    /// Its word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Lock => "lock",
            Self::Pod => "pod",
            Self::Claim => "claim",
            Self::Namespace => "namespace",
            Self::Node => "node",
            Self::PolicyBinding => "policybinding",
            Self::Lease => "lease",
        }
    }
}

/// Where an object is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, if it has one.
    pub namespace: Option<Name>,
    /// Its name.
    pub name: Name,
}

/// An object, parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Object {
    /// A limit or lock.
    Pool(Box<PoolObject>),
    /// A pod or a claim.
    Request(Box<RequestView>),
    /// A namespace with its labels.
    Namespace(Name, BTreeMap<Name, Name>),
    /// A node: whether it is tainted out-of-service.
    Node {
        /// An operator vouches that nothing runs there.
        out_of_service: bool,
    },
    /// Something of which only the existence matters.
    Other,
}

/// What a watch shows. A listing is announced, brings everything there is, and is finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    /// Everything is being listed anew.
    Listing,
    /// One of the list.
    Listed(Object),
    /// The list is complete.
    ListEnd,
    /// A version of an object.
    Seen(Object),
    /// An object left what is watched; its last version.
    Gone(Object),
    /// An object that could not be understood at all; the sentence says which and why.
    Broken(String),
}

/// How a call failed. [`Failure::Unknown`] alone leaves open whether it was applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// 404.
    #[error("{0} does not exist")]
    NotFound(String),
    /// 409: the object changed meanwhile, or exists already.
    #[error("conflict: {0}")]
    Conflict(String),
    /// 422: a rule of the server, or a failed test of a patch.
    #[error("refused as invalid: {0}")]
    Invalid(String),
    /// Any other refusal: not applied.
    #[error("refused: {0}")]
    Refused(String),
    /// No answer, or one that says nothing.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// Which part of an object a patch is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// The object.
    Main,
    /// Its status.
    Status,
}

/// One operation of a JSON patch (RFC 6902).
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOperation {
    /// The patch fails unless the value is this; `null` where the key is absent.
    Test {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Sets a value.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Removes a value.
    Remove {
        /// Where.
        path: String,
    },
}

/// An event for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEvent {
    /// Namespace of what it is about.
    pub namespace: Name,
    /// The object it is about.
    pub regarding: Regarding,
    /// Somebody should look.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What was done.
    pub note: String,
}

/// What an event is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Regarding {
    /// A pod or a claim.
    Request(HolderKind, Name, Uid),
    /// A limit or lock.
    Pool(PoolKey, Uid),
    /// The Lease of the election.
    Lease(Name, Uid),
}

/// The API server, as far as the controller needs it. Each call is one request, never repeated.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Reads one object from the server itself, not from a cache. `None`: it does not exist.
    async fn get(&self, at: &Address) -> Result<Option<Object>, Failure>;

    /// Lists all objects of a kind consistently, in one namespace or in all.
    async fn list(&self, kind: Kind, namespace: Option<&Name>) -> Result<Vec<Object>, Failure>;

    /// Watches all objects of a kind, for ever: it lists anew whenever it has to.
    fn watch(&self, kind: Kind, namespace: Option<&Name>) -> BoxStream<'static, Watched>;

    /// Creates, replaces or deletes a derived limit, on the conditions it names.
    async fn write_child(&self, write: &ChildWrite) -> Result<Option<Object>, Failure>;

    /// Replaces a status, on condition of its guard.
    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure>;

    /// Patches an object.
    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure>;

    /// Deletes a claim, if nothing was written on it since this version.
    async fn delete_claim(&self, deletion: &ClaimDeletion) -> Result<(), Failure>;

    /// Creates an event.
    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure>;

    /// One page of the metadata of all pods, labelled or not, and where to go on.
    async fn page_pods(
        &self,
        namespace: Option<&Name>,
        after: Option<String>,
    ) -> Result<(Vec<PodMetadata>, Option<String>), Failure>;

    /// Reads the Lease of the election from the server itself. `None`: it does not exist.
    async fn get_lease(&self, at: &Address) -> Result<Option<LeaseObject>, Failure>;

    /// Creates the Lease.
    async fn create_lease(&self, at: &Address, record: &Record) -> Result<LeaseObject, Failure>;

    /// Replaces this very version of the Lease.
    async fn replace_lease(
        &self,
        at: &Address,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, Failure>;

    /// Watches the Lease, for ever.
    fn watch_lease(&self, at: &Address) -> BoxStream<'static, LeaseNews>;

    /// Microseconds since 1970 on the server's clock, as far as its answers told.
    fn server_micros(&self) -> u64;
}

/// What the search for unlabelled pods needs to know of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodMetadata {
    /// Its namespace.
    pub namespace: Name,
    /// Its name.
    pub name: Name,
    /// Its uid.
    pub uid: Uid,
    /// It asks for slots or locks.
    pub asks: bool,
    /// It carries the label by which pods are watched.
    pub managed: bool,
    /// It has labels at all (a patch has to make the map otherwise).
    pub labelled: bool,
    /// It is the mirror of a static pod, which nobody gates.
    pub mirror: bool,
}
