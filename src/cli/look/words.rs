//! Ages, times, amounts and modes as people read them. Pure.

use jiff::Timestamp;

use crate::ledger::{Amount, Micros, Mode, PoolKey, PoolKind};

/// How long ago something was, as kubectl writes it: two units at most, and none that says nothing.
pub(in crate::cli) fn age(now: Micros, then: Micros) -> String {
    let seconds = now.since(then).0 / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (seconds, minutes, hours) {
        (..120, ..) => format!("{seconds}s"),
        (_, ..10, _) if !seconds.is_multiple_of(60) => format!("{minutes}m{}s", seconds % 60),
        (_, ..180, _) => format!("{minutes}m"),
        (_, _, ..8) if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        (_, _, ..48) => format!("{hours}h"),
        (_, _, ..192) if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// A time as the API writes it, to the second.
pub(in crate::cli) fn time(at: Micros) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
    format!("{time:.0}")
}

/// How much of a limit or lock: `2`, `exclusive`, `shared`.
pub(in crate::cli) fn amount(amount: Amount) -> String {
    match amount {
        Amount::Slots(slots) | Amount::Rate(slots) => slots.to_string(),
        Amount::Shared => "shared".to_owned(),
        Amount::Exclusive => "exclusive".to_owned(),
    }
}

pub(in crate::cli) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Active => "Active",
        Mode::Paused => "Paused",
        Mode::Disabled => "Disabled",
    }
}

/// A limit or lock as commands take it: `gpu`, `lock/deploy`.
pub(in crate::cli) fn short(key: &PoolKey) -> String {
    match key.kind {
        PoolKind::Limit => key.text(),
        PoolKind::Lock => format!("lock/{}", key.text()),
    }
}

/// `1 slot`, `2 slots`.
pub(in crate::cli) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_as_kubectl_writes_them() {
        let now = Micros(1_000_000 * 1_000_000);
        for (seconds, written) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_860, "3h1m"),
            (36_000, "10h"),
            (176_400, "2d1h"),
            (999_999, "11d"),
        ] {
            let then = Micros(now.0 - seconds * 1_000_000);
            assert_eq!(age(now, then), written, "{seconds}");
        }
        // A clock that lags makes nobody younger than new.
        assert_eq!(age(Micros(0), now), "0s");
        assert_eq!(time(now), "1970-01-12T13:46:40Z");
    }
}
