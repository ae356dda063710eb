//! The thread that watches bound pods and runs a small task for each: all kubelets of all fake nodes.
//!
//! It has a runtime of its own, because the nodes outlive the runtime of the test that happened to start them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config};
use tokio::sync::{oneshot, watch};

use super::life::live;
use super::nodes::Answers;
use super::view::{Observed, PodView};
use super::writer::Writer;
use crate::error::{Error, Result};

/// How long to wait after the watch broke.
const RETRY: Duration = Duration::from_millis(200);

/// The thread. Dropping it ends it.
pub(super) struct Runner {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Runner {
    /// Starts the thread for pods on any of the nodes in `answers`.
    pub(super) fn start(mut config: Config, answers: Answers) -> Result<Self> {
        // The watch has its own way to see that a connection is dead; a frozen API server is no reason to lose it.
        config.read_timeout = None;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start the runtime of the fake nodes"))?;
        let (stop, stopped) = oneshot::channel();
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config).map_err(Error::request("make a client for the fake nodes"))?
        };
        let thread = std::thread::Builder::new()
            .name("fake-nodes".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = watch_pods(client, answers) => {}
                    }
                });
            })
            .map_err(Error::io("start the thread of the fake nodes"))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn watch_pods(client: Client, answers: Answers) {
    let pods = Api::<PodView>::all(client.clone());
    let mut table = Table {
        pods: HashMap::new(),
        listed: HashSet::new(),
        answers,
        writer: Writer::new(client),
    };
    let mut events = watcher(pods, watcher::Config::default().fields("spec.nodeName!=")).boxed();
    loop {
        match events.try_next().await {
            Ok(Some(event)) => table.handle(event),
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the watch of the fake nodes starts again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// The bound pods, each with a task that is told what changes.
struct Table {
    pods: HashMap<String, watch::Sender<Observed>>,
    /// The uids seen by the list that is under way.
    listed: HashSet<String>,
    answers: Answers,
    writer: Writer,
}

impl Table {
    fn handle(&mut self, event: Event<PodView>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                if let Some(uid) = &pod.metadata.uid {
                    self.listed.insert(uid.clone());
                }
                self.seen(pod);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.pods.retain(|uid, _| listed.contains(uid));
            }
            Event::Apply(pod) => self.seen(pod),
            Event::Delete(pod) => {
                if let Some(uid) = &pod.metadata.uid {
                    self.pods.remove(uid);
                }
            }
        }
    }

    fn seen(&mut self, pod: PodView) {
        let Some((identity, observed)) = pod.split() else {
            return;
        };
        if let Some(known) = self.pods.get(&identity.uid) {
            known.send_if_modified(|last| std::mem::replace(last, observed.clone()) != observed);
            return;
        }
        // A pod on a node of somebody else.
        let Some(answers) = self.answers.of(&identity.node) else {
            return;
        };
        let (sender, receiver) = watch::channel(observed);
        self.pods.insert(identity.uid.clone(), sender);
        tokio::spawn(live(identity, receiver, answers, self.writer.clone()));
    }
}
