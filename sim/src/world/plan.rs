//! What a seed stands for: how the cluster is set up, how hard it is treated. Drawn once, printed with a failure.

use crate::dice::Dice;
use crate::server::{Rules, Setup};

/// Parameters of one simulation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything else follows from it.
    pub seed: u64,
    /// Events until the faults stop.
    pub events: u64,
    /// How the server is set up.
    pub setup: Setup,
    /// Controllers.
    pub controllers: usize,
    /// They elect a leader; otherwise all of them lead, all the time.
    pub elects: bool,
    /// They serve two listed namespaces instead of all.
    pub scoped: bool,
    /// Of a thousand requests so many meet a fault on their way.
    pub faulty_per_mille: u64,
    /// Milliseconds between two blows of the nemesis, on average; 0: none.
    pub nemesis_every_ms: u64,
    /// Milliseconds between two acts of people, on average.
    pub people_every_ms: u64,
    /// Longest a message travels when nothing is wrong, in microseconds.
    pub latency_max_us: u64,
    /// Longest a watch lags when nothing is wrong, in microseconds.
    pub lag_max_us: u64,
}

/// Events of a simulation until its faults stop.
pub const EVENTS: u64 = 2_000;

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x51_0b_1c_e5);
        // A third without the epoch rule, a third without any: rules hide wrong writes.
        let rules = match seed % 3 {
            0 => Rules::All,
            1 => Rules::WithoutEpoch,
            _ => Rules::None,
        };
        let setup = Setup {
            rules,
            guards: !dice.one_in(4),
            raises: !dice.one_in(3),
        };
        Self {
            seed,
            events: EVENTS,
            setup,
            controllers: if dice.one_in(4) { 3 } else { 1 + dice.index(2) },
            elects: dice.one_in(2),
            scoped: dice.one_in(5),
            faulty_per_mille: *dice.pick(&[5, 20, 50, 120]).unwrap_or(&20),
            nemesis_every_ms: *dice.pick(&[2_000, 8_000, 20_000]).unwrap_or(&8_000),
            people_every_ms: *dice.pick(&[150, 500, 1_500]).unwrap_or(&500),
            latency_max_us: *dice.pick(&[3_000, 20_000, 200_000]).unwrap_or(&20_000),
            lag_max_us: *dice.pick(&[2_000, 50_000, 2_000_000]).unwrap_or(&50_000),
        }
    }

    /// A cluster in which nothing happens by itself.
    pub fn quiet(seed: u64) -> Self {
        Self {
            latency_max_us: 50_000,
            lag_max_us: 50_000,
            people_every_ms: 0,
            controllers: 1,
            scoped: false,
            elects: false,
            ..Self::calm(seed)
        }
    }

    /// The same cluster without faults.
    pub fn calm(seed: u64) -> Self {
        Self {
            faulty_per_mille: 0,
            nemesis_every_ms: 0,
            ..Self::of(seed)
        }
    }
}
