//! When what is done to processes: drawn from the seed before a round begins. Pure.
//!
//! Of each kind there is one in every period, at a moment of that period that the seed chooses: random, and yet as many
//! as were asked for.

use std::time::Duration;

use fastrand::Rng;

use crate::flags::LEASE_SECONDS;

/// How many controllers there are.
pub(crate) const CONTROLLERS: usize = 3;
/// The longest pause between two of a kind, in seconds.
const KILL_EVERY: f64 = 5.5;
const STOP_EVERY: f64 = 18.0;
const PARTITION_EVERY: f64 = 20.0;
const SERVER_RESTART_EVERY: f64 = 28.0;
const ETCD_KILL_EVERY: f64 = 55.0;
const RESTORE_EVERY: f64 = 150.0;
const COMPACTION_EVERY: f64 = 5.0;
/// What of a period is kept free at its beginning.
const LEAD: f64 = 0.3;

/// Something that is done to a controller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Blow {
    /// SIGKILL; another one is started this much later.
    Kill { away: Duration },
    /// SIGSTOP, for this long.
    Stop { time: Duration },
    /// It cannot reach the server for this long; with or without being told so.
    Partition { time: Duration, silent: bool },
}

/// Something that is done to the control plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quake {
    ServerRestart,
    EtcdKill,
    Compaction,
    /// A backup to come back to.
    Backup,
    Restore,
}

/// What is done in a round, each list in order of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// To which controller.
    pub(crate) blows: Vec<(Duration, usize, Blow)>,
    pub(crate) quakes: Vec<(Duration, Quake)>,
}

impl Plan {
    /// Draws one for a round of this many seconds.
    pub(crate) fn draw(dice: &mut Rng, seconds: f64) -> Self {
        let mut blows = Vec::new();
        for at in moments(dice, seconds, KILL_EVERY) {
            let away = between(dice, 0.0, 2.0);
            blows.push((at, dice.usize(..CONTROLLERS), Blow::Kill { away }));
        }
        for at in moments(dice, seconds, STOP_EVERY) {
            let lease = LEASE_SECONDS as f64;
            let time = between(dice, lease + 0.5, 2.5 * lease);
            blows.push((at, dice.usize(..CONTROLLERS), Blow::Stop { time }));
        }
        for at in moments(dice, seconds, PARTITION_EVERY) {
            let time = between(dice, 1.0, 8.0);
            let silent = dice.bool();
            blows.push((
                at,
                dice.usize(..CONTROLLERS),
                Blow::Partition { time, silent },
            ));
        }
        let mut quakes = Vec::new();
        for (every, quake) in [
            (SERVER_RESTART_EVERY, Quake::ServerRestart),
            (ETCD_KILL_EVERY, Quake::EtcdKill),
            (COMPACTION_EVERY, Quake::Compaction),
            (RESTORE_EVERY, Quake::Restore),
        ] {
            for at in moments(dice, seconds, every) {
                quakes.push((at, quake));
                if quake == Quake::Restore {
                    let age = between(dice, 3.0, 20.0);
                    quakes.push((at.saturating_sub(age), Quake::Backup));
                }
            }
        }
        blows.sort_by_key(|(at, _, _)| *at);
        // Of two at the same moment the backup comes first.
        quakes.sort_by_key(|(at, quake)| (*at, *quake == Quake::Restore));
        Self { blows, quakes }
    }
}

/// One moment in each period, at least one.
fn moments(dice: &mut Rng, seconds: f64, every: f64) -> Vec<Duration> {
    let periods = (seconds / every).ceil().max(1.0);
    let period = seconds / periods;
    let mut begin = 0.0;
    let mut moments = Vec::new();
    while begin + period <= seconds + 0.001 {
        moments.push(between(dice, begin + LEAD * period, begin + period));
        begin += period;
    }
    moments
}

fn between(dice: &mut Rng, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(least + dice.f64() * (most - least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minutes_have_some_of_everything() {
        let plan = Plan::draw(&mut Rng::with_seed(3), 120.0);
        let quakes = |wanted| plan.quakes.iter().filter(|(_, it)| *it == wanted).count();
        assert_eq!(quakes(Quake::ServerRestart), 5);
        assert_eq!(quakes(Quake::EtcdKill), 3);
        assert_eq!(quakes(Quake::Backup), 1);
        assert_eq!(quakes(Quake::Restore), 1);
        assert_eq!(quakes(Quake::Compaction), 24);
        let kills = plan
            .blows
            .iter()
            .filter(|(_, _, it)| matches!(it, Blow::Kill { .. }));
        assert_eq!(kills.count(), 22);
        assert!(plan.blows.is_sorted_by_key(|(at, _, _)| *at));
    }

    #[test]
    fn a_backup_comes_before_it_is_put_back_and_stops_outlast_leases() {
        for seed in 0..200 {
            let plan = Plan::draw(&mut Rng::with_seed(seed), 240.0);
            let first = plan
                .quakes
                .iter()
                .find(|(_, it)| matches!(it, Quake::Backup | Quake::Restore));
            assert_eq!(first.unwrap().1, Quake::Backup);
            for (_, _, blow) in &plan.blows {
                if let Blow::Stop { time } = blow {
                    assert!(*time > Duration::from_secs(LEASE_SECONDS));
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        let draw = |seed| Plan::draw(&mut Rng::with_seed(seed), 60.0);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
