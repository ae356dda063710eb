//! Durations as people write them in annotations: Gateway API's form (GEP-2257), as in `1h30m`.
//!
//! Up to four pairs of a number and a unit (`h`, `m`, `s`, `ms`), longer than nothing and at most
//! [`MAX_DURATION`]. Parsing is total and reads a bounded number of characters. Tested here and by
//! `tests/cases/annotations.yaml`.

use std::time::Duration;

/// Longest duration that is understood: 365 days.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);
/// The form as a regular expression (RE2); the bounds come on top of it.
pub const DURATION_PATTERN: &str = "([0-9]{1,5}(h|m|s|ms)){1,4}";

const MAX_PAIRS: usize = 4;
const MAX_DIGITS: usize = 5;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// Not of the form.
    #[error(
        "write up to four numbers of at most five digits with their units h, m, s or ms, as in 1h30m"
    )]
    Form,
    /// Nothing, as in `0s`.
    #[error("it must be longer than nothing")]
    Zero,
    /// Beyond [`MAX_DURATION`].
    #[error("it may be at most 8760h (365 days)")]
    TooLong,
}

/// Reads a duration.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..MAX_PAIRS {
        if rest.is_empty() {
            break;
        }
        let digits = rest
            .bytes()
            .take_while(u8::is_ascii_digit)
            .take(MAX_DIGITS + 1)
            .count();
        if digits == 0 || digits > MAX_DIGITS {
            return Err(BadDuration::Form);
        }
        let (number, unit_on) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| BadDuration::Form)?;
        let (milliseconds, after) = unit(unit_on).ok_or(BadDuration::Form)?;
        // Four times 99999 hours in milliseconds are far from overflowing.
        total = total.saturating_add(Duration::from_millis(number.saturating_mul(milliseconds)));
        rest = after;
    }
    if text.is_empty() || !rest.is_empty() {
        return Err(BadDuration::Form);
    }
    match total {
        Duration::ZERO => Err(BadDuration::Zero),
        total if total > MAX_DURATION => Err(BadDuration::TooLong),
        total => Ok(total),
    }
}

/// Returns the length of the unit that the text begins with, in milliseconds, and what follows it.
fn unit(text: &str) -> Option<(u64, &str)> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    UNITS
        .iter()
        .find_map(|(name, milliseconds)| Some((*milliseconds, text.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_add_up() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1m1ms"), Ok(Duration::from_millis(60_001)));
        assert_eq!(parse_duration("8760h"), Ok(MAX_DURATION));
        assert_eq!(parse_duration("8760h1ms"), Err(BadDuration::TooLong));
        assert_eq!(parse_duration("0h0s"), Err(BadDuration::Zero));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in any::<String>()) {
            let _ = parse_duration(&text);
        }

        #[test]
        fn sums_of_pairs(h in 0u64..99, m in 0u64..99, s in 1u64..99) {
            let read = parse_duration(&format!("{h}h{m}m{s}s"));
            prop_assert_eq!(read, Ok(Duration::from_secs(h * 3600 + m * 60 + s)));
        }
    }
}
