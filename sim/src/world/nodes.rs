//! The scheduler and the kubelets: what really runs, and what they tell the server about it.
//!
//! [`Nodes`] is the physical truth: which containers run, whatever any object says. The oracle sums it up.

use std::collections::BTreeMap;

use sluice::ledger::{Name, Uid};

use super::{SECOND, What, World};
use crate::server::{Container, Phase};

/// How many nodes there are.
const NODES: u64 = 3;
/// Milliseconds between two rounds of the kubelets, on average.
const EVERY_MS: u64 = 250;
/// How long a kubelet that finds its pod's object gone takes to stop the containers, at most.
const GHOST_MAX: u64 = 40 * SECOND;

/// A container that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Where.
    pub node: Name,
    /// When it will end by itself.
    ends: u64,
    /// Its pod's object is gone, and the kubelet stops it then.
    ghost_until: Option<u64>,
}

/// What really runs.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    running: BTreeMap<Uid, Running>,
}

impl Nodes {
    /// Containers of this pod run.
    pub fn runs(&self, uid: &Uid) -> bool {
        self.running.contains_key(uid)
    }

    /// Everything that runs.
    pub fn running(&self) -> impl Iterator<Item = (&Uid, &Running)> {
        self.running.iter()
    }

    /// The machine is off, or gone for good: nothing runs there any more.
    pub(super) fn power_off(&mut self, node: &Name) {
        self.running.retain(|_, running| running.node != *node);
    }

    /// A kubelet kills what no object asks for.
    pub(super) fn end(&mut self, uid: &Uid) {
        self.running.remove(uid);
    }
}

/// Name of a node.
pub(super) fn node_name(number: u64) -> Name {
    format!("node-{}", number % NODES).into()
}

/// What a kubelet does next about a pod.
enum Step {
    Bind(Name),
    Start,
    Report(Phase, Container),
    Remove,
    Nothing,
}

impl World {
    pub(super) fn nodes_act(&mut self) {
        self.note(6, 0);
        let uids: Vec<Uid> = self
            .server
            .pods()
            .map(|seen| seen.pod.uid.clone())
            .collect();
        for uid in uids {
            if self.calm || self.dice.one_in(2) {
                self.tend_pod(&uid);
            }
        }
        self.tend_ghosts();
        let pause = self.about_ms(EVERY_MS);
        self.schedule(pause, What::Nodes);
    }

    fn tend_pod(&mut self, uid: &Uid) {
        match self.next_step(uid) {
            Step::Bind(node) => {
                self.server.node_writes(uid, |pod| pod.node = Some(node));
                self.reach("pod: bound");
            }
            Step::Start => {
                let node = self.server.pod(uid).and_then(|seen| seen.pod.node.clone());
                let Some(node) = node else { return };
                let lasts = if self.calm {
                    2 * SECOND
                } else {
                    self.dice.between(SECOND, 40 * SECOND)
                };
                let ends = self.now.saturating_add(lasts);
                self.nodes.running.insert(
                    uid.clone(),
                    Running {
                        node,
                        ends,
                        ghost_until: None,
                    },
                );
                self.server.node_writes(uid, |pod| {
                    pod.phase = Phase::Running;
                    pod.container = Container::Running;
                });
            }
            Step::Report(phase, container) => {
                self.nodes.running.remove(uid);
                self.server.node_writes(uid, |pod| {
                    pod.phase = phase;
                    pod.container = container;
                });
                self.reach("pod: ended");
            }
            Step::Remove => self.server.remove_pod(crate::server::Writer::Node, uid),
            Step::Nothing => {}
        }
    }

    fn next_step(&mut self, uid: &Uid) -> Step {
        let Some(seen) = self.server.pod(uid).cloned() else {
            return Step::Nothing;
        };
        let pod = &seen.pod;
        let answers = pod
            .node
            .as_ref()
            .is_none_or(|node| self.server.node(node) == Some(false));
        if !answers {
            return Step::Nothing;
        }
        if pod.phase.is_terminal() {
            // Somebody else said so; the kubelet says when it is true.
            let runs = self.nodes.running.get(uid);
            let over = runs.is_some_and(|it| it.ends <= self.now || pod.deleting);
            return if over {
                Step::Report(pod.phase, Container::Terminated)
            } else {
                Step::Nothing
            };
        }
        let Some(running) = self.nodes.running.get(uid) else {
            return match (&pod.node, pod.phase) {
                // PodGC ends what was never scheduled and is to go.
                (None, _) if pod.deleting => Step::Report(Phase::Failed, pod.container),
                (None, _) if !pod.gates.is_empty() => Step::Nothing,
                (None, _) => {
                    let node = node_name(self.dice.any());
                    if self.server.node(&node) == Some(false) {
                        Step::Bind(node)
                    } else {
                        Step::Nothing
                    }
                }
                (Some(_), Phase::Pending) if pod.deleting => {
                    if pod.finalizers.is_empty() {
                        Step::Remove
                    } else {
                        Step::Report(Phase::Failed, Container::Terminated)
                    }
                }
                (Some(_), Phase::Pending) => Step::Start,
                // It was running, and runs no more: the machine was off in between.
                (Some(_), _) => Step::Report(Phase::Failed, Container::Terminated),
            };
        };
        if pod.deleting {
            return Step::Report(Phase::Failed, Container::Terminated);
        }
        if running.ends <= self.now {
            let phase = if self.dice.one_in(4) {
                Phase::Failed
            } else {
                Phase::Succeeded
            };
            return Step::Report(phase, Container::Terminated);
        }
        Step::Nothing
    }

    /// Containers whose pods have no object any more.
    fn tend_ghosts(&mut self) {
        let ghosts: Vec<Uid> = self
            .nodes
            .running
            .keys()
            .filter(|uid| {
                self.server
                    .pod(uid)
                    .is_none_or(|seen| seen.pod.node.is_none())
            })
            .cloned()
            .collect();
        for uid in ghosts {
            let lasts = self
                .dice
                .between(0, if self.calm { SECOND } else { GHOST_MAX });
            let until = self.now.saturating_add(lasts);
            let now = self.now;
            let Some(running) = self.nodes.running.get_mut(&uid) else {
                continue;
            };
            if *running.ghost_until.get_or_insert(until) <= now {
                self.nodes.running.remove(&uid);
            }
        }
    }
}
