//! A server that answers everything at once, with one limit and its pods, and a ledger that it times.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice::ledger::bounds::STATUS_SCHEMA;
use sluice::ledger::{
    Admits, Amount, Ask, Attempt, Command, Effect, Epoch, Gates, Granted, Ledger, Mention, Micros,
    Mode, Now, Options, Order, Part, PatchOutcome, PodPhase, PoolKey, PoolKind, PoolObject,
    PoolSpec, PoolStatus, Progress, ReleasePolicy, RequestAction, RequestPatch, RequestText,
    RequestView, Span, Tick, Uid, Version, Wants, WriteOutcome,
};

/// When the first pod arrives: 2026-11-21, in microseconds.
const START: u64 = 1_795_219_200_000_000;
/// Long enough for everything that people are told of waiting pods to have been told.
const QUIET: u64 = 120_000;

pub(super) struct Server {
    ledger: Ledger,
    limit: PoolObject,
    waiting: BTreeMap<Uid, RequestView>,
    held: VecDeque<RequestView>,
    created: usize,
    version: u128,
    /// Milliseconds that passed beside those spent in the ledger.
    passed: u64,
    /// Time spent inside the ledger so far.
    pub(super) time_in_ledger: Duration,
}

impl Server {
    /// A server with so many waiting pods beside the holders of all slots.
    pub(super) fn with_waiters(waiters: usize, slots: usize) -> Self {
        let options = Options {
            process: "bench".into(),
            claims: sluice::ledger::ClaimTimes::default(),
            events: true,
        };
        let mut server = Self {
            ledger: Ledger::new(options),
            limit: limit(slots),
            waiting: BTreeMap::new(),
            held: VecDeque::new(),
            created: 0,
            version: 1,
            passed: 1,
            time_in_ledger: Duration::ZERO,
        };
        server.tell([Command::PoolsListed {
            kind: PoolKind::Limit,
            scope: None,
            objects: vec![server.limit.clone()],
        }]);
        for _ in 0..waiters + slots {
            let pod = server.create();
            server.hear(pod);
        }
        server.tell([Command::Lead { epoch: Epoch(1) }]);
        // What is told to people about waiting pods, they are told before anything is counted.
        for _ in 0..QUIET / 1_000 {
            server.passed += 1_000;
            server.tell([Command::Tick]);
        }
        assert_eq!(server.held.len(), slots, "all slots are taken");
        server
    }

    pub(super) fn holders(&self) -> usize {
        self.held.len()
    }

    /// A pod is created.
    pub(super) fn arrive(&mut self) {
        let pod = self.create();
        self.tell([pod]);
    }

    fn create(&mut self) -> Command {
        self.created += 1;
        let version = self.next_version();
        let view = pod(self.created, version, self.now().server);
        self.waiting.insert(view.uid.clone(), view.clone());
        Command::RequestSeen(Box::new(view))
    }

    /// The pod that has held longest ends and is deleted.
    pub(super) fn end_oldest_holder(&mut self) {
        if let Some((ended, vanished)) = self.end() {
            self.tell([ended]);
            self.tell([vanished]);
        }
    }

    /// All pods that hold end at once, and are deleted at once.
    pub(super) fn end_all_holders(&mut self) {
        let (ended, vanished): (Vec<_>, Vec<_>) = std::iter::from_fn(|| self.end()).unzip();
        self.tell(ended);
        self.tell(vanished);
    }

    /// What a watch shows of the end of the oldest holder.
    fn end(&mut self) -> Option<(Command, Command)> {
        let mut view = self.held.pop_front()?;
        view.version = self.next_version();
        view.progress.phase = PodPhase::Terminal;
        let ended = Command::RequestSeen(Box::new(view.clone()));
        view.version = self.next_version();
        Some((ended, Command::RequestVanished(Box::new(view))))
    }

    /// The limit gets another number of slots.
    pub(super) fn resize(&mut self, slots: usize) {
        self.limit.spec = Part::Read(spec(slots));
        self.limit.generation += 1;
        self.limit.version = self.next_version();
        self.tell([Command::PoolSeen(Box::new(self.limit.clone()))]);
    }

    /// Tells the ledger, and answers all that it then asks for.
    fn tell(&mut self, news: impl IntoIterator<Item = Command>) {
        let mut news: VecDeque<Command> = news.into_iter().collect();
        while let Some(command) = news.pop_front() {
            self.hear(command);
            // As the driver does it: a batch of news, then all effects.
            if !news.is_empty() {
                continue;
            }
            let start = Instant::now();
            let effects: Vec<Effect> = std::iter::from_fn(|| self.ledger.poll_effect()).collect();
            self.time_in_ledger += start.elapsed();
            for effect in effects {
                self.answer(effect, &mut news);
            }
        }
    }

    fn hear(&mut self, command: Command) {
        let now = self.now();
        let start = Instant::now();
        self.ledger.handle(now, command);
        self.time_in_ledger += start.elapsed();
    }

    /// Carries out an effect; the answer comes first, then what a watch shows.
    fn answer(&mut self, effect: Effect, news: &mut VecDeque<Command>) {
        match effect {
            Effect::WriteStatus(write) => {
                self.limit.version = self.next_version();
                self.limit.status = Part::Read(write.status);
                news.push_back(Command::StatusWritten {
                    pool: write.pool,
                    batch: write.batch,
                    outcome: WriteOutcome::Applied(Box::new(self.limit.clone())),
                });
                news.push_back(Command::PoolSeen(Box::new(self.limit.clone())));
            }
            Effect::Patch(patch) => self.patch(*patch, news),
            Effect::ListRequests { ticket } => news.push_back(Command::RequestsListed {
                ticket,
                listed: Some(self.waiting.values().cloned().collect()),
            }),
            Effect::Event(_) => {}
            other => unreachable!("nothing goes wrong here, and yet: {other:?}"),
        }
    }

    fn patch(&mut self, patch: RequestPatch, news: &mut VecDeque<Command>) {
        let kind = patch.kind();
        let RequestAction::Reveal(reveal) = patch.action else {
            unreachable!("the limit was there before its pods: nothing is bumped");
        };
        let Some(mut view) = self.waiting.remove(&patch.uid) else {
            unreachable!("a pod is revealed once");
        };
        view.version = self.next_version();
        view.gates = Gates::default();
        view.granted = Some(Granted {
            attempt: reveal.attempt,
            leases: reveal.leases.into(),
        });
        self.held.push_back(view.clone());
        news.push_back(Command::RequestPatched {
            uid: patch.uid,
            patch: kind,
            outcome: PatchOutcome::Applied(Box::new(view.clone())),
        });
        news.push_back(Command::RequestSeen(Box::new(view)));
    }

    /// Time passes as the ledger takes it: what it does from time to time costs its share and no more.
    fn now(&self) -> Now {
        let spent = u64::try_from(self.time_in_ledger.as_millis()).unwrap_or(u64::MAX);
        let tick = self.passed + spent;
        Now {
            tick: Tick(tick),
            server: Micros(START + tick * 1_000),
        }
    }

    fn next_version(&mut self) -> Version {
        self.version += 1;
        Version(self.version)
    }
}

fn key() -> PoolKey {
    PoolKey::new(PoolKind::Limit, "bench".into(), "gpu".into())
}

fn spec(slots: usize) -> PoolSpec {
    PoolSpec {
        capacity: u64::try_from(slots).unwrap_or(u64::MAX),
        mode: Mode::Active,
        order: Order::Backfill {
            reserve_after: Span::seconds(60),
        },
        admits: Admits::Same,
        release: ReleasePolicy::Presumed {
            settle: Span::seconds(10),
        },
        family: None,
        decay: None,
        lease: None,
        lock_delay: Span(0),
    }
}

fn limit(slots: usize) -> PoolObject {
    PoolObject {
        key: key(),
        uid: "limit".into(),
        version: Version(1),
        generation: 1,
        deleting: false,
        spec: Part::Read(spec(slots)),
        // It was there before its pods: an earlier controller has fenced it.
        status: Part::Read(
            PoolStatus {
                schema: STATUS_SCHEMA,
                batch: Some("earlier-1".into()),
                fenced: true,
                ..PoolStatus::default()
            }
            .into(),
        ),
        owner: None,
        released: Default::default(),
        set_aside: None,
    }
}

fn pod(number: usize, version: Version, created: Micros) -> RequestView {
    let mention = Mention {
        pool: key(),
        amount: Amount::Slots(1),
    };
    RequestView {
        uid: format!("8d3f4f0a-{number:08}-4c1e-9a53").into(),
        namespace: "bench".into(),
        name: format!("pod-{number:08}").into(),
        version,
        // Creation timestamps have whole seconds.
        arrival: Micros(created.0 / 1_000_000 * 1_000_000),
        priority: 0,
        ask: Ask::Wants(Wants {
            mentions: [mention].into(),
            ignore_missing: false,
            timeout: None,
            fail_on_timeout: false,
            deny_missing: false,
        }),
        text: Arc::new(RequestText {
            slots: Some("gpu".into()),
            ..RequestText::default()
        }),
        labels: Arc::new(BTreeMap::from([(
            "sluice.dev/managed".into(),
            "true".into(),
        )])),
        managed: true,
        attempt: Some(Attempt::Number(0)),
        gates: Gates {
            ours: Some(0),
            others: false,
        },
        granted: None,
        deleting: false,
        finalizers: [].into(),
        finalizer: false,
        node: None,
        progress: Progress::default(),
        claim: None,
    }
}
