//! Time as the ledger is told it: a monotonic tick for durations, the server's clock for stamps.
//!
//! The two never convert into each other, so no deadline can be judged by a wall clock. Durations of
//! safety (settling, expiry) use [`Tick`] alone; [`Micros`] are for tokens, for stamps that people
//! read, and for a request's age in the queue, clamped.

/// Milliseconds since the shell started, on its own monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(pub u64);

/// A duration in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(pub u64);

/// Microseconds since 1970 on the API server's clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Micros(pub u64);

/// The time of one call: both clocks, read by the shell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Now {
    /// Monotonic clock of this process.
    pub tick: Tick,
    /// The API server's clock, from the `Date` header of its answers.
    pub server: Micros,
}

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

impl Tick {
    /// This tick, later by a span.
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Micros {
    /// How long ago `earlier` was on the same clock, clamped to zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0) / 1000)
    }

    /// This time, later by a span.
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0.saturating_mul(1000)))
    }
}
