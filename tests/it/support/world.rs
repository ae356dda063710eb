//! A world: namespaces, and the controllers that serve them.

use std::cell::{Ref, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::time::{Duration, Instant};

use kube::Client;
use sluice_testenv::history::{Assumptions, Scope};
use sluice_testenv::{ControlPlane, FakeNodes};

use super::bell::Bell;
use super::controller::{Controller, Fault, Run};
use super::stage::Stage;
use super::{PATIENCE_SECONDS, POLL_MILLIS};

/// What all namespaces of a world share.
pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) client: Client,
    pub(super) namespaces: Vec<String>,
    pub(super) controllers: RefCell<Vec<Controller>>,
    pub(super) assumptions: RefCell<Assumptions>,
    run: RefCell<Run>,
    _bell: Bell,
}

/// One namespace of a world, and what users do and see in it.
pub(crate) struct Space {
    pub(super) scene: Rc<Scene>,
    pub(super) namespace: String,
}

/// Namespaces on a control plane, and their controllers. It is its own first namespace.
pub(crate) struct World {
    spaces: Vec<Space>,
}

/// A world that is about to be.
pub(crate) struct Plan {
    prefix: String,
    namespaces: usize,
    run: Run,
    everywhere: bool,
    controllers: usize,
    stage: Option<(ControlPlane, Option<FakeNodes>)>,
}

impl Plan {
    /// With so many namespaces.
    pub(crate) fn namespaces(mut self, count: usize) -> Self {
        self.namespaces = count;
        self
    }

    /// With so many controllers at once; none are started later.
    pub(crate) fn controllers(mut self, count: usize) -> Self {
        self.controllers = count;
        self
    }

    /// With one more flag for the controllers.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.run.flags.push(flag.to_owned());
        self
    }

    /// With controllers that stand for election.
    pub(crate) fn elects(mut self) -> Self {
        self.run.elects = true;
        self
    }

    /// With controllers that do something wrong.
    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.run.faults.push(fault);
        self
    }

    /// With controllers that serve all namespaces; on a control plane of its own.
    pub(crate) fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// On this control plane in place of the shared one.
    pub(crate) fn on(mut self, plane: ControlPlane, nodes: Option<FakeNodes>) -> Self {
        self.stage = Some((plane, nodes));
        self
    }

    /// Makes it, and waits until its controllers are ready.
    pub(crate) async fn begin(self) -> World {
        assert!(
            !self.everywhere || self.stage.is_some(),
            "other tests have namespaces on the shared control plane"
        );
        let bell = Bell::set();
        let stage = match self.stage {
            Some((plane, nodes)) => Stage::own(plane, nodes).await,
            None => Stage::shared().await,
        };
        let mut namespaces = Vec::new();
        for _ in 0..self.namespaces {
            namespaces.push(stage.plane().namespace(&self.prefix).await.unwrap());
        }
        let mut run = self.run;
        if !self.everywhere {
            run.namespaces.clone_from(&namespaces);
        }
        let scene = Rc::new(Scene {
            client: stage.plane().client(),
            stage,
            namespaces: namespaces.clone(),
            controllers: RefCell::default(),
            assumptions: RefCell::default(),
            run: RefCell::new(run),
            _bell: bell,
        });
        let space = |namespace| Space {
            scene: Rc::clone(&scene),
            namespace,
        };
        let world = World {
            spaces: namespaces.into_iter().map(space).collect(),
        };
        for _ in 0..self.controllers {
            world.start_controller();
        }
        world.ready().await;
        world
    }
}

impl World {
    /// One namespace on the shared control plane, with one controller that is ready.
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::plan(prefix).begin().await
    }

    /// Says what else than [`World::new`] gives is wanted.
    pub(crate) fn plan(prefix: &str) -> Plan {
        Plan {
            prefix: prefix.to_owned(),
            namespaces: 1,
            run: Run::default(),
            everywhere: false,
            controllers: 1,
            stage: None,
        }
    }

    /// One of its namespaces, from 0.
    pub(crate) fn space(&self, index: usize) -> &Space {
        &self.spaces[index]
    }

    /// All of its namespaces.
    pub(super) fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    /// Starts one more controller.
    pub(crate) fn start_controller(&self) {
        let plane = self.plane();
        let run = self.scene.run.borrow();
        let controller = Controller::start(&plane.kubeconfig(), plane.directory(), &run);
        self.scene.controllers.borrow_mut().push(controller);
    }

    /// From now on controllers are started without faults.
    pub(crate) fn heal(&self) {
        self.scene.run.borrow_mut().faults.clear();
    }

    /// From now on controllers are started with this fault alone.
    pub(crate) fn hurt(&self, fault: Fault) {
        self.scene.run.borrow_mut().faults = vec![fault];
    }

    /// Waits until all controllers are ready.
    pub(crate) async fn ready(&self) {
        self.eventually("controllers that are ready", async || {
            self.scene
                .controllers
                .borrow()
                .iter()
                .all(Controller::is_ready)
        })
        .await;
    }

    /// Kills all controllers (SIGKILL).
    pub(crate) fn kill_controllers(&self) {
        self.scene
            .controllers
            .borrow_mut()
            .drain(..)
            .for_each(Controller::kill);
    }

    /// Kills the controller that was started first.
    pub(crate) fn kill_first(&self) {
        self.scene.controllers.borrow_mut().remove(0).kill();
    }

    /// Kills one of the controllers, from 0.
    pub(crate) fn kill_nth(&self, index: usize) {
        self.scene.controllers.borrow_mut().remove(index).kill();
    }

    /// Waits until one of the controllers leads; which.
    pub(crate) async fn leader(&self) -> usize {
        let leader = || {
            let controllers = self.scene.controllers.borrow();
            controllers.iter().position(Controller::leads)
        };
        self.eventually("a leader", async || leader().is_some())
            .await;
        leader().unwrap()
    }

    /// With which codes controllers ended; none for one that a signal ended or that still runs.
    pub(crate) fn exit_codes(&self) -> Vec<Option<i32>> {
        let mut controllers = self.scene.controllers.borrow_mut();
        controllers
            .iter_mut()
            .map(|it| it.ended()?.code())
            .collect()
    }

    /// Kills all controllers, and starts one that is ready.
    pub(crate) async fn restart_controller(&self) {
        self.kill_controllers();
        self.start_controller();
        self.ready().await;
    }

    /// What this world's history covers.
    pub(super) fn scope(&self) -> Scope {
        Scope::namespaces(self.scene.namespaces.iter().cloned())
    }
}

impl Deref for World {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.spaces[0]
    }
}

impl Space {
    /// The control plane.
    pub(crate) fn plane(&self) -> &ControlPlane {
        self.scene.stage.plane()
    }

    /// Its nodes.
    pub(crate) fn nodes(&self) -> &FakeNodes {
        self.scene.stage.nodes()
    }

    /// Name of the namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The admin's client.
    pub(crate) fn client(&self) -> Client {
        self.scene.client.clone()
    }

    /// The controllers that were started and not killed.
    pub(crate) fn controllers(&self) -> Ref<'_, Vec<Controller>> {
        self.scene.controllers.borrow()
    }

    /// Whether a controller has ended by itself.
    pub(crate) fn crashed(&self) -> bool {
        let mut controllers = self.scene.controllers.borrow_mut();
        controllers.iter_mut().any(|it| it.ended().is_some())
    }

    /// Tells the checker what the test did by hand.
    pub(crate) fn assume(&self, change: impl FnOnce(Assumptions) -> Assumptions) {
        let mut assumptions = self.scene.assumptions.borrow_mut();
        *assumptions = change(assumptions.clone());
    }

    /// Waits until something is so; fails with the state of the cluster if it does not become so in time.
    pub(crate) async fn eventually(&self, what: &str, condition: impl AsyncFn() -> bool) {
        self.within(PATIENCE_SECONDS, what, condition).await;
    }

    /// Like [`Space::eventually`], for what takes longer by its nature.
    pub(crate) async fn within(&self, seconds: u64, what: &str, condition: impl AsyncFn() -> bool) {
        let patience = Duration::from_secs(seconds);
        let deadline = Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(deadline.into(), condition()).await {
                Ok(true) => return,
                Ok(false) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(POLL_MILLIS)).await;
                }
                _ => self.fail(&format!("waited {seconds} s in vain for {what}")),
            }
        }
    }

    /// Fails with the state of the cluster.
    pub(crate) fn fail(&self, why: &str) -> ! {
        panic!("{why}\n{}", super::state::state(&self.scene));
    }
}
