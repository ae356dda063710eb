//! A place for a controller: processes come and go in it, each a life with a number of its own.

use super::watches::Watching;
use super::{What, World};
use crate::process::Process;

/// Shortest and longest a process that does nothing waits until its clock is looked at, in microseconds.
const CLOCK_EVERY_US: (u64, u64) = (200_000, 1_000_000);

/// A place for a controller.
pub(super) struct Seat {
    pub(super) process: Option<Process>,
    /// Number of the process in it; what was meant for another one finds nobody.
    pub(super) life: u64,
    /// When it started.
    pub(super) born: u64,
    /// Speed of its clock, in millionths of true time.
    pub(super) rate: u64,
    /// How long its clock has stood still, in microseconds of true time.
    pub(super) suspended_us: u64,
    /// It is stopped (as by SIGSTOP) until then.
    pub(super) frozen_until: u64,
    /// The network between it and the server is down until then.
    pub(super) cut_until: u64,
    pub(super) watches: Vec<Watching>,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            process: None,
            life: 0,
            born: 0,
            rate: 1_000_000,
            suspended_us: 0,
            frozen_until: 0,
            cut_until: 0,
            watches: Vec::new(),
        }
    }
}

impl Seat {
    /// What the clock of its process shows, in milliseconds.
    fn clock_ms(&self, now: u64) -> u64 {
        let lived = now
            .saturating_sub(self.born)
            .saturating_sub(self.suspended_us);
        let lived = u128::from(lived);
        let shown = lived.saturating_mul(u128::from(self.rate)) / 1_000_000_000;
        u64::try_from(shown).unwrap_or(u64::MAX)
    }
}

impl World {
    /// A process starts in an empty seat.
    pub(super) fn start(&mut self, place: usize) {
        self.starts = self.starts.saturating_add(1);
        let id = format!("p{}", self.starts);
        let scopes = if self.plan.scoped {
            vec!["ns".to_owned(), "other".to_owned()]
        } else {
            Vec::new()
        };
        let elects = self.plan.elects;
        let server_micros = self.server.clock().0;
        // Clocks of machines differ by less than one in twenty.
        let rate = if self.calm {
            1_000_000
        } else {
            self.dice.between(950_000, 1_050_000)
        };
        let now = self.now;
        let Some(seat) = self.seats.get_mut(place) else {
            return;
        };
        seat.life = seat.life.saturating_add(1);
        seat.process = Some(Process::start(&id, &scopes, elects, server_micros));
        seat.born = now;
        seat.rate = rate;
        seat.suspended_us = 0;
        seat.frozen_until = 0;
        seat.cut_until = 0;
        seat.watches.clear();
        let life = seat.life;
        self.note(1, place as u64);
        self.run_process(place);
        self.schedule(1_000, What::Clock(place, life));
    }

    /// One more controller starts; its place.
    pub(crate) fn add_controller(&mut self) -> usize {
        self.seats.push(Seat::default());
        let place = self.seats.len().saturating_sub(1);
        self.schedule(0, What::Start(place));
        place
    }

    /// A controller is stopped for a while.
    pub(crate) fn freeze(&mut self, place: usize, lasts: u64) {
        if let Some(seat) = self.seats.get_mut(place) {
            seat.frozen_until = self.now.saturating_add(lasts);
        }
    }

    /// A process dies; what it had sent goes on travelling.
    pub(super) fn kill(&mut self, place: usize) {
        if let Some(seat) = self.seats.get_mut(place) {
            seat.process = None;
            seat.watches.clear();
        }
    }

    /// The controllers and what they have on its way, a line each.
    pub fn seats_told(&self) -> String {
        let line = |(place, seat): (usize, &Seat)| {
            let travelling = self
                .travelling
                .values()
                .filter(|it| it.is_of(place, seat.life))
                .count();
            let watches: Vec<String> = seat.watches.iter().map(Watching::tell).collect();
            format!(
                "controller {place}, life {}: {}, {travelling} requests under way, watches [{}] of {}",
                seat.life,
                if seat.process.is_some() {
                    "lives"
                } else {
                    "is dead"
                },
                watches.join(", "),
                self.server.log.len()
            )
        };
        let lines: Vec<String> = self.seats.iter().enumerate().map(line).collect();
        lines.join("\n")
    }

    pub(super) fn is_alive(&self, place: usize, life: u64) -> bool {
        self.seats
            .get(place)
            .is_some_and(|seat| seat.life == life && seat.process.is_some())
    }

    /// Until when a process is stopped; `None` when it runs.
    pub(super) fn frozen_until(&self, place: usize) -> Option<u64> {
        let until = self.seats.get(place).map_or(0, |seat| seat.frozen_until);
        (until > self.now).then_some(until)
    }

    pub(super) fn move_clock(&mut self, place: usize, life: u64) {
        if !self.is_alive(place, life) {
            return;
        }
        if let Some(until) = self.frozen_until(place) {
            self.schedule_at(until, What::Clock(place, life));
            return;
        }
        self.run_process(place);
        let (least, most) = CLOCK_EVERY_US;
        let pause = self.dice.between(least, most);
        self.schedule(pause, What::Clock(place, life));
    }

    /// A process does all it can do now, and what it sends begins to travel.
    pub(super) fn run_process(&mut self, place: usize) {
        let now = self.now;
        let server_micros = self.server.clock().0;
        let Some(seat) = self.seats.get_mut(place) else {
            return;
        };
        let (clock_ms, life) = (seat.clock_ms(now), seat.life);
        let Some(process) = &mut seat.process else {
            return;
        };
        process.post.mailbox().server_micros = server_micros;
        process.run(clock_ms);
        let (calls, watches) = {
            let mut mailbox = process.post.mailbox();
            (
                std::mem::take(&mut mailbox.calls),
                std::mem::take(&mut mailbox.watches),
            )
        };
        let ended = process.has_ended();
        for opened in watches {
            self.open_watch(place, life, opened);
        }
        for outgoing in calls {
            self.send(place, life, outgoing);
        }
        if ended && self.is_alive(place, life) {
            self.kill(place);
            self.reach("process: ended by itself");
            let pause = self.about_ms(1_000);
            self.schedule(pause, What::Start(place));
        }
    }
}
