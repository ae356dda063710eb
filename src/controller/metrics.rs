//! Numbers for machines, in OpenMetrics text. Pools by namespace and name, never pods: the number of
//! series is the number of limits.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::transport::Failure;
use crate::ledger::{Ledger, PoolKind, Stats};

/// A pool as a label set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PoolLabels {
    kind: &'static str,
    namespace: String,
    name: String,
}

/// A write as a label set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// One word as a label set.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The metrics of one controller.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    last: Mutex<Stats>,
    capacity: Family<PoolLabels, Gauge>,
    in_use: Family<PoolLabels, Gauge>,
    waiting: Family<PoolLabels, Gauge>,
    quarantined: Family<PoolLabels, Gauge>,
    requests: Gauge,
    leader: Gauge,
    epoch: Gauge,
    wait_seconds: Histogram,
    hold_seconds: Histogram,
    claims_revoked: Counter,
    grants: Counter,
    releases: Family<KindLabel, Counter>,
    adoptions: Counter,
    aborts: Counter,
    conflicts: Counter,
    invalid: Counter,
    unknown: Counter,
    reveals_refused: Counter,
    events_held_back: Counter,
    events_dropped: Counter,
    beyond_bound: Counter,
    tokens_disbelieved: Counter,
    fences: Counter,
    pasts_restored: Counter,
    gone_while_held: Counter,
    watch_errors: Family<KindLabel, Counter>,
    writes: Family<WriteLabels, Counter>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("sluice"),
            last: Mutex::default(),
            capacity: Family::default(),
            in_use: Family::default(),
            waiting: Family::default(),
            quarantined: Family::default(),
            requests: Gauge::default(),
            leader: Gauge::default(),
            epoch: Gauge::default(),
            wait_seconds: Histogram::new([
                0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0,
            ]),
            hold_seconds: Histogram::new([
                0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0,
            ]),
            claims_revoked: Counter::default(),
            grants: Counter::default(),
            releases: Family::default(),
            adoptions: Counter::default(),
            aborts: Counter::default(),
            conflicts: Counter::default(),
            invalid: Counter::default(),
            unknown: Counter::default(),
            reveals_refused: Counter::default(),
            events_held_back: Counter::default(),
            events_dropped: Counter::default(),
            beyond_bound: Counter::default(),
            tokens_disbelieved: Counter::default(),
            fences: Counter::default(),
            pasts_restored: Counter::default(),
            gone_while_held: Counter::default(),
            watch_errors: Family::default(),
            writes: Family::default(),
        };
        inner.register();
        Self(Arc::new(inner))
    }

    /// All of them, as text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Counts a write by what it was for and how it ended.
    pub(super) fn wrote<T>(&self, kind: &'static str, answer: &Result<T, Failure>) {
        let outcome = match answer {
            Ok(_) => "applied",
            Err(Failure::NotFound(_)) => "not_found",
            Err(Failure::Conflict(_)) => "conflict",
            Err(Failure::Invalid(_)) => "invalid",
            Err(Failure::Refused(_)) => "refused",
            Err(Failure::Unknown(_)) => "unknown",
        };
        self.0
            .writes
            .get_or_create(&WriteLabels { kind, outcome })
            .inc();
    }

    /// A watch broke off, or met something it cannot use.
    pub(super) fn watch_failed(&self, kind: &'static str) {
        self.0.watch_errors.get_or_create(&KindLabel { kind }).inc();
    }

    /// An event found its lane full.
    pub(super) fn dropped_event(&self) {
        self.0.events_dropped.inc();
    }

    /// Adds what the ledger has counted since the last time.
    pub(super) fn count(&self, ledger: &mut Ledger) {
        let stats = ledger.take_stats();
        let inner = &self.0;
        let mut last = inner.last.lock().unwrap_or_else(PoisonError::into_inner);
        let add = |counter: &Counter, now: u64, before: u64| {
            counter.inc_by(now.saturating_sub(before));
        };
        for wait in &stats.waits {
            inner
                .wait_seconds
                .observe(std::time::Duration::from_millis(wait.0).as_secs_f64());
        }
        for hold in &stats.holds {
            let held = std::time::Duration::from_millis(hold.0).as_secs_f64();
            inner.hold_seconds.observe(held);
        }
        add(&inner.grants, stats.grants, last.grants);
        add(
            &inner.claims_revoked,
            stats.claims_revoked,
            last.claims_revoked,
        );
        for (kind, now, before) in [
            (
                "confirmed",
                stats.releases_confirmed,
                last.releases_confirmed,
            ),
            ("presumed", stats.releases_presumed, last.releases_presumed),
            ("forced", stats.releases_forced, last.releases_forced),
            ("void", stats.releases_void, last.releases_void),
        ] {
            add(
                &inner.releases.get_or_create(&KindLabel { kind }),
                now,
                before,
            );
        }
        add(&inner.adoptions, stats.adoptions, last.adoptions);
        add(&inner.aborts, stats.aborts, last.aborts);
        add(&inner.conflicts, stats.conflicts, last.conflicts);
        add(&inner.invalid, stats.invalid, last.invalid);
        add(&inner.unknown, stats.unknown, last.unknown);
        add(
            &inner.reveals_refused,
            stats.reveals_refused,
            last.reveals_refused,
        );
        add(
            &inner.events_held_back,
            stats.events_held_back,
            last.events_held_back,
        );
        add(
            &inner.beyond_bound,
            stats.requests_beyond_bound,
            last.requests_beyond_bound,
        );
        add(&inner.fences, stats.fences, last.fences);
        add(
            &inner.pasts_restored,
            stats.pasts_restored,
            last.pasts_restored,
        );
        add(
            &inner.gone_while_held,
            stats.gone_while_held,
            last.gone_while_held,
        );
        add(
            &inner.tokens_disbelieved,
            stats.tokens_disbelieved,
            last.tokens_disbelieved,
        );
        *last = stats;
    }

    /// Says whether this process leads, and in which term.
    pub(super) fn lead(&self, ledger: &Ledger) {
        let epoch = ledger.epoch().unwrap_or_default();
        self.0.leader.set(i64::from(ledger.leads()));
        self.0.epoch.set(i64::try_from(epoch.0).unwrap_or(i64::MAX));
    }

    /// Brings the gauges in step with the ledger.
    pub(super) fn measure(&self, ledger: &Ledger) {
        self.0
            .requests
            .set(i64::try_from(ledger.requests_len()).unwrap_or(i64::MAX));
        self.lead(ledger);
        self.0.observe_pools(ledger);
    }
}

impl Inner {
    fn observe_pools(&self, ledger: &Ledger) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        // Pools that are gone leave no series behind.
        self.capacity.clear();
        self.in_use.clear();
        self.waiting.clear();
        self.quarantined.clear();
        // A follower's would be counted twice beside the leader's.
        let pools = ledger.leads().then(|| ledger.pools());
        for pool in pools.into_iter().flatten() {
            let labels = PoolLabels {
                kind: match pool.key.kind {
                    PoolKind::Limit => "limit",
                    PoolKind::Lock => "lock",
                },
                namespace: pool.key.namespace.to_string(),
                name: pool.key.name.to_string(),
            };
            if pool.key.kind == PoolKind::Limit {
                self.capacity
                    .get_or_create(&labels)
                    .set(number(pool.capacity));
            }
            self.in_use.get_or_create(&labels).set(number(pool.in_use));
            self.quarantined
                .get_or_create(&labels)
                .set(i64::from(pool.quarantined));
            self.waiting
                .get_or_create(&labels)
                .set(i64::try_from(pool.waiting).unwrap_or(i64::MAX));
        }
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("slots_capacity", "Slots of a limit", self.capacity.clone());
        registry.register(
            "slots_in_use",
            "Slots (of a lock: units) held, durably",
            self.in_use.clone(),
        );
        registry.register(
            "waiting",
            "Requests that wait for a limit or lock",
            self.waiting.clone(),
        );
        registry.register(
            "quarantined",
            "1 while a limit or lock grants nothing because it is set aside or cannot be understood",
            self.quarantined.clone(),
        );
        registry.register(
            "requests",
            "Requests that are followed",
            self.requests.clone(),
        );
        registry.register(
            "leader",
            "1 while this process leads, 0 while it follows",
            self.leader.clone(),
        );
        registry.register(
            "epoch",
            "Number of the term in which this process leads; 0 while it follows",
            self.epoch.clone(),
        );
        registry.register(
            "wait_seconds",
            "Time from a request's creation to the removal of its gate, or to its being Granted",
            self.wait_seconds.clone(),
        );
        registry.register(
            "hold_seconds",
            "Time from this controller's first sight of a holder to the release of its leases",
            self.hold_seconds.clone(),
        );
        registry.register(
            "claims_revoked",
            "Claims taken away from their holders: tries",
            self.claims_revoked.clone(),
        );
        registry.register(
            "grants",
            "Gates removed and claims granted",
            self.grants.clone(),
        );
        registry.register(
            "releases",
            "Leases released, by ground",
            self.releases.clone(),
        );
        registry.register(
            "adoptions",
            "Running holders adopted",
            self.adoptions.clone(),
        );
        registry.register("aborts", "Attempts raised", self.aborts.clone());
        registry.register(
            "status_conflicts",
            "Status writes that met a conflict",
            self.conflicts.clone(),
        );
        registry.register(
            "status_invalid",
            "Status writes a rule refused",
            self.invalid.clone(),
        );
        registry.register(
            "unknown_outcomes",
            "Writes without an answer",
            self.unknown.clone(),
        );
        registry.register(
            "patches_refused",
            "Patches of pods that were refused",
            self.reveals_refused.clone(),
        );
        registry.register(
            "events_held_back",
            "Events held back by the rate",
            self.events_held_back.clone(),
        );
        registry.register(
            "events_dropped",
            "Events that found their lane full",
            self.events_dropped.clone(),
        );
        registry.register(
            "requests_beyond_bound",
            "Requests beyond the bound",
            self.beyond_bound.clone(),
        );
        registry.register(
            "tokens_disbelieved",
            "Token evidence too far ahead of the server's clock",
            self.tokens_disbelieved.clone(),
        );
        registry.register(
            "fences",
            "Limits and locks that began to grant after everybody who runs was counted",
            self.fences.clone(),
        );
        registry.register(
            "pasts_restored",
            "Limits, locks and requests whose past a backup brought back",
            self.pasts_restored.clone(),
        );
        registry.register(
            "gone_while_held",
            "Limits and locks that were deleted while somebody held them",
            self.gone_while_held.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches that broke off or met something they cannot use, by kind",
            self.watch_errors.clone(),
        );
        registry.register(
            "api_writes",
            "Writes to the API server, by kind and outcome",
            self.writes.clone(),
        );
    }
}
