//! Rates: exact arithmetic, the pace of grants under everything that can go wrong, and what becomes of a take.

use std::sync::Arc;

use super::super::testing::server::limit;
use super::super::testing::world::{Dice, World};
use super::super::testing::{limit_spec, pod};
use super::super::*;
use super::Gauge;

mod arithmetic;
mod pace;
mod requests;
mod whatever;

/// So many slots in so many seconds.
fn decay(slots: u32, seconds: u64) -> Decay {
    Decay {
        slots,
        period: Span::seconds(seconds),
    }
}

fn rated(capacity: u64, decay: Decay) -> PoolSpec {
    PoolSpec {
        decay: Some(decay),
        ..limit_spec(capacity)
    }
}

/// A gated pod that takes from `rates`, and holds `slots` (`"gpu=1, db=2"`).
fn rate_pod(name: &str, rates: &str, slots: &str) -> RequestView {
    let mut view = pod(name, slots);
    let Ask::Wants(wants) = pod(name, rates).ask else {
        unreachable!()
    };
    let takes = wants.mentions.iter().map(|it| Mention {
        amount: Amount::Rate(u32::try_from(it.amount.units()).unwrap()),
        ..it.clone()
    });
    if let Ask::Wants(own) = &mut view.ask {
        own.mentions = own.mentions.iter().cloned().chain(takes).collect();
    }
    view.text = Arc::new(RequestText {
        slots: (!slots.is_empty()).then(|| slots.into()),
        rates: Some(rates.into()),
        ..Default::default()
    });
    view
}

/// A claim of kind `RateLimit`.
fn rate_claim(name: &str, rates: &str) -> RequestView {
    let mut view = rate_pod(name, rates, "");
    view.text = Arc::new(RequestText::default());
    if let Ask::Wants(wants) = &mut view.ask {
        wants.deny_missing = true;
        wants.fail_on_timeout = true;
    }
    view.claim = Some(ClaimView {
        phase: ClaimPhase::Pending,
        seq: 0,
        release: false,
        expired: false,
        lease: Some(Span::seconds(15)),
        hold_max: None,
        pod: None,
        terms: None,
    });
    view
}

fn world(capacity: u64, rate: Decay) -> World {
    let mut world = World::new(1, 0, 1);
    world
        .server
        .create_pool(limit("api"), rated(capacity, rate));
    world.drain();
    world
}

fn ask(world: &mut World, view: RequestView) {
    let mut view = view;
    view.arrival = world.server.clock;
    world.server.put_pod(view);
    world.drain();
}

/// Time passes in small steps, everything that comes up is done at once.
fn pass(world: &mut World, milliseconds: u64) {
    for _ in 0..milliseconds / 10 {
        world.advance(10);
        world.drain();
    }
}

fn uid(name: &str) -> Uid {
    format!("uid-{name}").into()
}

fn revealed(world: &World) -> usize {
    let pods = world.server.pods.values();
    pods.filter(|it| it.is_revealed()).count()
}

fn status(world: &World) -> Arc<PoolStatus> {
    world.server.pools[&limit("api")]
        .status
        .read()
        .cloned()
        .unwrap()
}

fn end(world: &mut World, name: &str) {
    let mut view = world.server.pods[&uid(name)].clone();
    view.node.get_or_insert("node-1".into());
    view.progress.phase = PodPhase::Terminal;
    view.progress.containers = Containers::AllTerminated;
    world.server.put_pod(view);
    world.drain();
}

/// What is used now, in parts, by the status and the time since it was written.
fn parts(world: &World) -> u64 {
    let pool = &world.controllers[0].ledger.pools[&limit("api")];
    pool.gauge
        .now(pool.decay(), world.controllers[0].ledger.now.tick)
        .parts
}
