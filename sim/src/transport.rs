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
use sluice::ledger::{ChildWrite, Name, StatusWrite};
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

/// A watch that was opened.
pub struct OpenedWatch {
    /// Of what.
    pub kind: Kind,
    /// Where.
    pub scope: Option<Name>,
    /// Where its events go.
    pub events: mpsc::UnboundedSender<Watched>,
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

/// The transport of one process.
#[derive(Clone, Default)]
pub struct SimTransport {
    mailbox: Arc<Mutex<Mailbox>>,
}

impl SimTransport {
    /// What was sent.
    pub fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, call: Call) -> Answer {
        let (back, answer) = oneshot::channel();
        self.mailbox().calls.push(Outgoing { call, back });
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::Unknown("the connection is gone".to_owned())))
    }
}

/// An answer of another kind than was asked for.
fn astray<T>(reply: Reply) -> T {
    crate::bug(&format!("an answer went astray: {reply:?}"))
}

#[async_trait]
impl Transport for SimTransport {
    async fn get(&self, at: &Address) -> Result<Option<Object>, Failure> {
        match self.ask(Call::Get(at.clone())).await? {
            Reply::Found(found) => Ok(found),
            other => astray(other),
        }
    }

    async fn list(&self, kind: Kind, namespace: Option<&Name>) -> Result<Vec<Object>, Failure> {
        match self.ask(Call::List(kind, namespace.cloned())).await? {
            Reply::Listed(objects) => Ok(objects),
            other => astray(other),
        }
    }

    fn watch(&self, kind: Kind, namespace: Option<&Name>) -> BoxStream<'static, Watched> {
        let (events, received) = mpsc::unbounded_channel();
        let scope = namespace.cloned();
        self.mailbox().watches.push(OpenedWatch {
            kind,
            scope,
            events,
        });
        futures::stream::unfold(received, |mut received| async {
            let event = received.recv().await?;
            Some((event, received))
        })
        .boxed()
    }

    async fn write_child(&self, write: &ChildWrite) -> Result<Option<Object>, Failure> {
        match self.ask(Call::Child(Box::new(write.clone()))).await? {
            Reply::Child(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn replace_status(&self, write: &StatusWrite) -> Result<Object, Failure> {
        match self.ask(Call::Status(Box::new(write.clone()))).await? {
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
        match self.ask(call).await? {
            Reply::Written(object) => Ok(object),
            other => astray(other),
        }
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), Failure> {
        match self.ask(Call::Event(event.clone())).await? {
            Reply::Done => Ok(()),
            other => astray(other),
        }
    }

    async fn page_pods(
        &self,
        namespace: Option<&Name>,
        _after: Option<String>,
    ) -> Result<(Vec<PodMetadata>, Option<String>), Failure> {
        match self.ask(Call::Page(namespace.cloned())).await? {
            Reply::Page(pods) => Ok((pods, None)),
            other => astray(other),
        }
    }

    fn server_micros(&self) -> u64 {
        self.mailbox().server_micros
    }
}
