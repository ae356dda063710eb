//! The API server's clock, as its answers tell it.
//!
//! Tokens start at the server's microseconds, so that they grow over the re-creation of a limit
//! whatever this machine's clock says. The `Date` header has whole seconds and is as old as the answer
//! took, so the reading is a lower bound; it moves forward with this process's monotonic clock and
//! never back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderMap;
use k8s_openapi::jiff;

/// A shared reading of the server's clock.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, clock) = sluice::client::connect().await?;
/// client.apiserver_version().await?;      // any answer tells the time
/// assert!(clock.micros() > 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerClock(Arc<Mutex<Option<Reading>>>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    micros: u64,
    at: Instant,
}

impl Reading {
    fn now(self) -> u64 {
        let passed = u64::try_from(self.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_add(passed)
    }
}

impl ServerClock {
    /// Microseconds since 1970; 0 until the server has answered once.
    ///
    /// ```
    /// assert_eq!(sluice::client::ServerClock::default().micros(), 0);
    /// ```
    pub fn micros(&self) -> u64 {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.map_or(0, Reading::now)
    }

    /// Takes in the `Date` of an answer.
    pub(super) fn hear(&self, headers: &HeaderMap) {
        let text = headers
            .get(http::header::DATE)
            .and_then(|date| date.to_str().ok());
        let Some(micros) = text.and_then(parse) else {
            return;
        };
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.is_none_or(|reading| micros > reading.now()) {
            *reading = Some(Reading {
                micros,
                at: Instant::now(),
            });
        }
    }
}

/// Reads an HTTP date (RFC 9110), in microseconds since 1970.
fn parse(text: &str) -> Option<u64> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(time.timestamp().as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_date_and_never_goes_back() {
        assert_eq!(
            parse("Sat, 21 Nov 2026 12:00:00 GMT"),
            Some(1_795_262_400_000_000)
        );
        let clock = ServerClock::default();
        assert_eq!(clock.micros(), 0);
        let mut headers = HeaderMap::new();
        headers.insert("date", "Sat, 21 Nov 2026 12:00:00 GMT".parse().unwrap());
        clock.hear(&headers);
        headers.insert("date", "Sat, 21 Nov 2026 11:00:00 GMT".parse().unwrap());
        clock.hear(&headers);
        assert!(clock.micros() >= 1_795_262_400_000_000);
    }
}
