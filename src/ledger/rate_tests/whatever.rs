//! Random histories: in no stretch of time is more told than may.

use super::*;

/// Every take that was told, with the tick at which the server was.
struct Told {
    read: usize,
    takes: Vec<(u64, u64)>,
}

impl Told {
    fn read(&mut self, world: &World) {
        use super::super::super::testing::server::Change;
        for change in &world.server.log[self.read..] {
            let Change::Pod {
                now: Some(now),
                before: Some(before),
            } = change
            else {
                continue;
            };
            let Ask::Wants(wants) = &now.ask else {
                continue;
            };
            if now.granted.is_some() && before.granted.is_none() {
                let rates = wants
                    .mentions
                    .iter()
                    .filter(|it| matches!(it.amount, Amount::Rate(_)));
                self.takes
                    .push((world.tick, rates.map(|it| it.amount.units()).sum()));
            }
        }
        self.read = world.server.log.len();
    }

    /// In no stretch of time is more told than fits, and what comes back in it.
    fn judge(&self, capacity: u64, rate: Decay) -> Result<(), String> {
        for (first, (from, _)) in self.takes.iter().enumerate() {
            let mut sum = 0;
            for (to, slots) in &self.takes[first..] {
                sum += slots;
                let back = u64::from(rate.slots) * (to - from);
                if sum * rate.period.0 > capacity * rate.period.0 + back {
                    return Err(format!(
                        "{sum} slots were told from {from} to {to}, {capacity} and {back} parts fit"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[test]
fn whatever_goes_wrong_no_stretch_of_time_has_more_than_it_may() {
    let mut told_in_all = 0;
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let capacity = 2 + dice.roll(8);
        let rate = decay(1 + u32::try_from(dice.roll(7)).unwrap(), 1 + dice.roll(5));
        let controllers = 1 + (seed % 2) as usize;
        let mut world = World::new(seed, 10, controllers);
        world
            .server
            .create_pool(limit("api"), rated(capacity, rate));
        world.server.create_pool(limit("gpu"), limit_spec(2));
        let mut told = Told {
            read: 0,
            takes: Vec::new(),
        };
        let mut pods = 0;
        for step in 0..1_200 {
            if step < 800 && dice.one_in(12) {
                pods += 1;
                let slots = 1 + dice.roll(capacity.min(3));
                let holds = if dice.one_in(3) { "gpu=1" } else { "" };
                let name = format!("p{pods}");
                let mut view = rate_pod(&name, &format!("api={slots}"), holds);
                view.arrival = world.server.clock;
                world.server.put_pod(view);
            }
            if dice.one_in(40) {
                let running = world
                    .server
                    .pods
                    .values()
                    .find(|it| it.is_revealed() && it.node.is_none());
                if let Some(mut view) = running.cloned() {
                    view.node = Some("node-1".into());
                    view.progress.phase = PodPhase::Terminal;
                    view.progress.containers = Containers::AllTerminated;
                    world.server.put_pod(view);
                }
            }
            if dice.one_in(60)
                && let Some(view) = world.server.pods.values().find(|it| !it.is_revealed())
            {
                let uid = view.uid.clone();
                world.server.delete_pod(&uid);
            }
            if dice.one_in(200) {
                world.crash(dice.roll(controllers as u64) as usize);
            }
            if dice.one_in(5) || !world.step() {
                world.advance(1 + dice.roll(300));
            }
            told.read(&world);
        }
        told.judge(capacity, rate)
            .unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        told_in_all += told.takes.len();
        // In the end nobody is left waiting for a rate, and no take is left a holder.
        world.faults = 0;
        for _ in 0..60 {
            for view in world
                .server
                .pods
                .values()
                .filter(|it| it.is_revealed())
                .cloned()
                .collect::<Vec<_>>()
            {
                if view.progress.phase == PodPhase::Live {
                    let name = view.name.to_string();
                    end(&mut world, &name);
                }
            }
            world.settle(10);
        }
        let waits: Vec<_> = world
            .server
            .pods
            .values()
            .filter(|it| !it.is_revealed())
            .map(|it| it.name.clone())
            .collect();
        assert!(
            waits.is_empty(),
            "seed {seed}: {waits:?} wait\n{}",
            world.server.story(20)
        );
        assert_eq!(status(&world).units(), 0, "seed {seed}");
    }
    assert!(told_in_all > 500, "only {told_in_all} takes were told");
}
