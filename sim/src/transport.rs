//! The simulated way to the server: every call becomes a message in a mailbox, and waits for its answer.
//!
//! Decides nothing and knows no time; the world takes the messages out and lets them travel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sluice::controller::transport::{
    Address, Failure, Kind, NewEvent, Object, Part, PatchOperation, PodMetadata, Transport, Watched,
};
use sluice::election::{LeaseNews, LeaseObject, Record};
use sluice::ledger::{ChildWrite, ClaimDeletion, Name, StatusWrite};
use tokio::sync::{mpsc, oneshot};

use crate::server::{Call, Reply};

/// How a call ended.
pub type Answer = Result<Reply, Failure>;

/// A call on its way out.
pub struct Outgoing {
    /// What is asked.
    pub call: Call,
    /// Where the answer goes.
    pub back: oneshot::Sender<Answer>,
}

/// Where the events of a watch go.
pub enum Feed {
    /// Of objects.
    Objects(mpsc::UnboundedSender<Watched>),
    /// Of the Lease.
    Lease(mpsc::UnboundedSender<LeaseNews>),
}

/// A watch that was opened.
pub struct OpenedWatch {
    /// Of what.
    pub kind: Kind,
    /// Where.
    pub scope: Option<Name>,
    /// Where its events go.
    pub feed: Feed,
}

/// What a process has sent and nobody has taken yet.
#[derive(Default)]
pub struct Mailbox {
    /// Calls, in order.
    pub calls: Vec<Outgoing>,
    /// Watches, in order.
    pub watches: Vec<OpenedWatch>,
    /// The server's clock, as far as this process has heard of it.
    pub server_micros: u64,
}

/// A way to the modelled server.
pub trait Way: Send + Sync + 'static {
    /// Asks it something, and gives what came back, if anything did.
    fn ask(&self, call: Call) -> impl Future<Output = Answer> + Send;

    /// Opens a watch.
    fn watch(&self, kind: Kind, scope: Option<Name>) -> BoxStream<'static, Watched>;

    /// Opens a watch of the Lease.
    fn watch_lease(&self) -> BoxStream<'static, LeaseNews>;

    /// The server's clock, as far as this side has heard of it.
    fn server_micros(&self) -> u64;
}

/// The transport over a way: each call as a message, each answer of the kind that was asked for.
#[derive(Clone, Default)]
pub struct Wire<W>(pub W);

/// The way of one process: into its mailbox.
#[derive(Clone, Default)]
pub struct Post {
    mailbox: Arc<Mutex<Mailbox>>,
}

impl Post {
    /// What was sent.
    pub fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way for Post {
    async fn ask(&self, call: Call) -> Answer {
        let (back, answer) = oneshot::channel();
        self.mailbox().calls.push(Outgoing { call, back });
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::Unknown("the connection is gone".to_owned())))
    }

    fn watch(&self, kind: Kind, scope: Option<Name>) -> BoxStream<'static, Watched> {
        let (events, received) = mpsc::unbounded_channel();
        let feed = Feed::Objects(events);
        self.mailbox()
            .watches
            .push(OpenedWatch { kind, scope, feed });
        stream(received)
    }

    fn watch_lease(&self) -> BoxStream<'static, LeaseNews> {
        let (events, received) = mpsc::unbounded_channel();
        self.mailbox().watches.push(OpenedWatch {
            kind: Kind::Lease,
            scope: None,
            feed: Feed::Lease(events),
        });
        stream(received)
    }

    fn server_micros(&self) -> u64 {
        self.mailbox().server_micros
    }
}

fn stream<T: Send + 'static>(received: mpsc::UnboundedReceiver<T>) -> BoxStream<'static, T> {
    futures::stream::unfold(received, |mut received| async {
        let event = received.recv().await?;
        Some((event, received))
    })
    .boxed()
}

/// An answer of another kind than was asked for.
fn astray<T>(reply: Reply) -> T {
    crate::bug(&format!("an answer went astray: {reply:?}"))
}

#[async_trait]
impl<W: Way> Transport for Wire<W> {
    async fn get(&self, at: &Address) -> Result<Option<Object>, Failure> {
        match self.0.ask(Call::Get(at.clone())).await? {
            Reply::Found(found) => Ok(found),
            other => astray(other),
        }
    }

    async fn list(&self, kind: Kind, namespace: Option<&Name>) -> Result<Vec<Object>, Failure> {
        match self.0.ask(Call::List(kind, namespace.cloned())).await? {
            Reply::Listed(objects) => Ok(objects),
            other => astray(other),
        }
    }

    fn watch(&self, kind: Kind, namespace: Option<&Name>) -> BoxStream<'static, Watched> {
        self.0.watch(kind, namespace.cloned())
    }

    async fn write_child(&self, write: &ChildWrite) -> Result<Option<Object>, Failure> {
        match self.0.ask(Call::Child(Box::new(write.clone()))).await? {
            Reply::Child(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        match self.0.ask(Call::Status(Box::new(write.clone()))).await? {
            Reply::Written(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn patch(
        &self,
        at: &Address,
        part: Part,
        operations: &[PatchOperation],
    ) -> Result<Object, Failure> {
        let call = Call::Patch(at.clone(), part, operations.to_vec());
        match self.0.ask(call).await? {
            Reply::Written(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn delete_claim(&self, deletion: &ClaimDeletion) -> Result<(), Failure> {
        match self.0.ask(Call::DeleteClaim(deletion.clone())).await? {
            Reply::Done => Ok(()),
            other => astray(other),
        }
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure> {
        match self.0.ask(Call::Event(event.clone())).await? {
            Reply::Done => Ok(()),
            other => astray(other),
        }
    }

    async fn page_pods(
        &self,
        namespace: Option<&Name>,
        _after: Option<String>,
    ) -> Result<(Vec<PodMetadata>, Option<String>), Failure> {
        match self.0.ask(Call::Page(namespace.cloned())).await? {
            Reply::Page(pods) => Ok((pods, None)),
            other => astray(other),
        }
    }

    async fn get_lease(&self, _at: &Address) -> Result<Option<LeaseObject>, Failure> {
        match self.0.ask(Call::GetLease).await? {
            Reply::Lease(lease) => Ok(lease),
            other => astray(other),
        }
    }

    async fn create_lease(&self, _at: &Address, record: &Record) -> Result<LeaseObject, Failure> {
        match self.0.ask(Call::PutLease(None, record.clone())).await? {
            Reply::Lease(Some(lease)) => Ok(lease),
            other => astray(other),
        }
    }

    async fn replace_lease(
        &self,
        _at: &Address,
        base: &LeaseObject,
        record: &Record,
    ) -> Result<LeaseObject, Failure> {
        let call = Call::PutLease(Some(base.version), record.clone());
        match self.0.ask(call).await? {
            Reply::Lease(Some(lease)) => Ok(lease),
            other => astray(other),
        }
    }

    fn watch_lease(&self, _at: &Address) -> BoxStream<'static, LeaseNews> {
        self.0.watch_lease()
    }

    fn server_micros(&self) -> u64 {
        self.0.server_micros()
    }
}
