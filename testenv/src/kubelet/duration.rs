//! Durations of annotations: `500ms`, `2s`, `1m`.

use std::time::Duration;

/// Reads a whole number of `ms`, `s` or `m`; anything else is none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let unit = text.find(|character: char| !character.is_ascii_digit())?;
    let number = text[..unit].parse::<u32>().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number.into())),
        "s" => Some(Duration::from_secs(number.into())),
        "m" => Some(Duration::from_secs(60 * u64::from(number))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
        assert_eq!(parse("2m"), Some(Duration::from_secs(120)));
        for wrong in ["", "s", "5", "1.5s", "-1s", "1h", "99999999999s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
