//! What goes wrong with machines, clocks, connections and the server's disk. Each blow is a fault with a name.

use sluice::ledger::Uid;

use super::{SECOND, What, World, nodes};

impl World {
    pub(super) fn nemesis_acts(&mut self) {
        if self.calm {
            return;
        }
        self.note(8, 0);
        let place = self.dice.index(self.seats.len());
        match self.dice.roll(22) {
            0..=2 => self.strike_crash(place),
            3 | 4 => self.strike_freeze(place),
            5 | 6 => self.strike_cut(place),
            7 => self.strike_clock(place),
            8 => self.strike_watches(place),
            9 => self.strike_silence(place),
            10 => self.strike_skip(place),
            11 => self.strike_stop(place),
            12 => self.strike_policy(),
            13 => self.strike_node(),
            14 => self.strike_collection(),
            15 => self.take_snapshot(),
            16 => {
                self.server.delete_lease();
                self.fault("server: the Lease is deleted", String::new);
            }
            17 => self.strike_restore(),
            _ => self.strike_holder(),
        }
        let pause = self.about_ms(self.plan.nemesis_every_ms);
        self.schedule(pause, What::Nemesis);
    }

    /// Kills a process; another starts in its place.
    pub(super) fn crash(&mut self, place: usize, pause: u64) {
        self.kill(place);
        self.schedule(pause, What::Start(place));
    }

    fn lives(&self, place: usize) -> bool {
        self.seats
            .get(place)
            .is_some_and(|seat| seat.process.is_some())
    }

    fn strike_crash(&mut self, place: usize) {
        if self.lives(place) {
            let pause = self.dice.between(0, 20 * SECOND);
            self.fault("crash", || {
                format!("controller {place}, back after {pause} us")
            });
            self.crash(place, pause);
        }
    }

    fn strike_stop(&mut self, place: usize) {
        let Some(process) = self.seats.get(place).and_then(|seat| seat.process.as_ref()) else {
            return;
        };
        process.tell_to_stop();
        self.fault("stop", || format!("controller {place} is told to stop"));
        if self.frozen_until(place).is_none() {
            self.run_process(place);
        }
    }

    fn strike_freeze(&mut self, place: usize) {
        let lasts = self.dice.between(SECOND, 300 * SECOND);
        let until = self.now.saturating_add(lasts);
        if let Some(seat) = self.seats.get_mut(place) {
            seat.frozen_until = until;
            self.fault("freeze", || format!("controller {place} for {lasts} us"));
        }
    }

    fn strike_cut(&mut self, place: usize) {
        let lasts = self.dice.between(SECOND, 90 * SECOND);
        let until = self.now.saturating_add(lasts);
        if let Some(seat) = self.seats.get_mut(place) {
            seat.cut_until = until;
            self.fault("partition", || format!("controller {place} for {lasts} us"));
        }
    }

    /// The server's wall clock jumps ahead; or a machine is suspended, and its monotonic clock stands still meanwhile.
    fn strike_clock(&mut self, place: usize) {
        if self.dice.one_in(2) {
            let jump = self.dice.between(SECOND, 600 * SECOND);
            self.server.clock_ahead = self.server.clock_ahead.saturating_add(jump);
            self.fault("clock: the server's jumps ahead", || format!("{jump} us"));
            return;
        }
        let lasts = self.dice.between(SECOND, 300 * SECOND);
        let until = self.now.saturating_add(lasts);
        if let Some(seat) = self.seats.get_mut(place) {
            seat.frozen_until = until;
            seat.suspended_us = seat.suspended_us.saturating_add(lasts);
            self.fault("clock: stands still in suspension", || {
                format!("controller {place} for {lasts} us")
            });
        }
    }

    /// The watches of a controller break, and begin anew with lists.
    pub(crate) fn strike_watches(&mut self, place: usize) {
        if let Some(seat) = self.seats.get_mut(place) {
            for watch in &mut seat.watches {
                watch.break_off();
            }
            self.fault("watch: compacted, lists anew", || {
                format!("controller {place}")
            });
        }
    }

    fn strike_silence(&mut self, place: usize) {
        let lasts = self.dice.between(SECOND, 60 * SECOND);
        let until = self.now.saturating_add(lasts);
        if let Some(seat) = self.seats.get_mut(place) {
            let count = seat.watches.len();
            let index = self.dice.index(count);
            if let Some(watch) = seat.watches.get_mut(index) {
                watch.silent_until = until;
                self.fault("watch: silent", || {
                    format!("watch {index} of controller {place} for {lasts} us")
                });
            }
        }
    }

    fn strike_skip(&mut self, place: usize) {
        if let Some(seat) = self.seats.get_mut(place) {
            let count = seat.watches.len();
            let index = self.dice.index(count);
            if let Some(watch) = seat.watches.get_mut(index) {
                watch.skips_next = true;
                self.fault("watch: loses an event", || {
                    format!("watch {index} of controller {place}")
                });
            }
        }
    }

    /// Somebody's policy refuses every write of controllers to a pod, or to a limit.
    fn strike_policy(&mut self) {
        let until = self
            .now
            .saturating_add(self.dice.between(SECOND, 200 * SECOND));
        if self.dice.one_in(3) {
            let keys: Vec<_> = self.server.pools().map(|pool| pool.key.clone()).collect();
            if let Some(key) = self.dice.pick(&keys).cloned() {
                self.fault("policy: denies writes of a limit", || key.to_string());
                self.denied_pools.insert(key, until);
            }
        } else {
            let uids: Vec<Uid> = self
                .server
                .pods()
                .map(|seen| seen.pod.uid.clone())
                .chain(self.server.claims().map(|seen| seen.claim.uid.clone()))
                .collect();
            if let Some(uid) = self.dice.pick(&uids).cloned() {
                self.fault("policy: denies writes of a pod", || uid.to_string());
                self.denied_pods.insert(uid, until);
            }
        }
    }

    /// A machine is off: an operator says so by the taint, or removes the node.
    fn strike_node(&mut self) {
        let node = nodes::node_name(self.dice.any());
        if self.server.node(&node) == Some(false) {
            self.nodes.power_off(&node);
            if self.dice.one_in(2) {
                self.server.set_node(&node, true);
                self.fault("node: out of service", || node.to_string());
            } else {
                self.server.delete_node(&node);
                self.fault("node: gone", || node.to_string());
            }
        } else {
            self.server.set_node(&node, false);
        }
    }

    /// The pod garbage collector ends a pod although its kubelet said nothing.
    fn strike_collection(&mut self) {
        let running: Vec<Uid> = self.nodes.running().map(|(uid, _)| uid.clone()).collect();
        if let Some(uid) = self.dice.pick(&running).cloned() {
            self.server.node_writes(&uid, |pod| {
                pod.phase = crate::server::Phase::Failed;
                pod.collected = true;
            });
            self.fault("node: PodGC ended a pod that runs", || uid.to_string());
        }
    }

    fn take_snapshot(&mut self) {
        self.snapshots.push(self.server.snapshot());
        self.reach("server: snapshot");
    }

    /// The server's disk is restored from an earlier snapshot. Kubelets stop what it does not know.
    fn strike_restore(&mut self) {
        if self.snapshots.is_empty() || !self.dice.one_in(3) {
            return;
        }
        let index = self.dice.index(self.snapshots.len());
        let snapshot = self.snapshots.swap_remove(index);
        // Versions that are given twice are caught by the rule about batches alone.
        let bump = self.server.setup.rules != crate::server::Rules::All || self.dice.one_in(2);
        self.server.restore(snapshot, bump);
        self.snapshots.clear();
        let unknown: Vec<Uid> = self
            .nodes
            .running()
            .map(|(uid, _)| uid.clone())
            .filter(|uid| {
                self.server
                    .pod(uid)
                    .is_none_or(|seen| seen.pod.node.is_none())
            })
            .collect();
        for uid in unknown {
            self.nodes.end(&uid);
        }
        self.fault("server: restored from a snapshot", || {
            format!("bump {bump}")
        });
        for seat in &mut self.seats {
            for watch in &mut seat.watches {
                watch.break_off();
            }
        }
    }
}
