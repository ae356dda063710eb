//! Tests of the SDK as functions over a [`Stage`], so that the same bodies run inside one process (`tests/embedded.rs`)
//! and against the real control plane (`tests/it/sdk/shared.rs`).

mod acquiring;
mod blocking;
mod ending;
mod locks;
mod rates;

use std::time::Duration;

use sluice::client::{Client, ClientBuilder};

pub(crate) use acquiring::*;
pub(crate) use blocking::*;
pub(crate) use ending::*;
pub(crate) use locks::*;
pub(crate) use rates::*;

/// Longest that anything here is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Somewhere with limits and locks.
pub(crate) trait Stage: Sized {
    /// Creates a limit, ready to grant.
    async fn limit(&self, key: &str, slots: i32);
    /// Creates a limit of which one slot comes back in so many seconds, ready to grant.
    async fn rate(&self, key: &str, slots: i32, per_seconds: i32);
    /// Creates a family, ready to grant.
    async fn family(&self, key: &str, slots: i32);
    /// Creates a lock, ready to grant.
    async fn lock(&self, key: &str);
    /// What a client of it is made of, as another process would have one.
    fn builder(&self) -> ClientBuilder;
    /// How many slots of a limit are held, and how many requests wait for it.
    async fn numbers(&self, limit: &str) -> (i64, i64);

    /// The end: proves of what happened what can be proven.
    async fn close(self);

    /// A client.
    async fn client(&self) -> Client {
        self.builder().connect().await.unwrap()
    }

    /// Waits until so many are held and wait.
    async fn until(&self, limit: &str, held: i64, waiting: i64) {
        let reached = async {
            while self.numbers(limit).await != (held, waiting) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(SOON, reached).await.is_err() {
            let now = self.numbers(limit).await;
            panic!("{limit}: {held} held and {waiting} waiting never came; {now:?}");
        }
    }

    /// Waits until nothing is held, and nobody waits.
    async fn empty(&self, limit: &str) {
        self.until(limit, 0, 0).await;
    }
}

/// Makes a test of each body, with a stage of its own.
#[macro_export]
macro_rules! sdk_tests {
    ($stage:expr; $($body:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $body() {
                let stage = $stage(stringify!($body)).await;
                $crate::sdk_bodies::$body(&stage).await;
                stage.close().await;
            }
        )*
    };
}

/// All bodies, for [`sdk_tests`].
#[macro_export]
macro_rules! all_sdk_tests {
    ($stage:expr) => {
        $crate::sdk_tests! { $stage;
            it_holds_until_it_gives_back, dropping_gives_back, nothing_is_asked_for_nothing,
            the_first_to_wait_is_the_first_to_get, tokens_rise, a_timeout_names_who_holds,
            a_try_does_not_wait, what_is_missing_is_said_or_created, what_can_never_fit_is_denied,
            shared_locks_go_together, workers_have_their_own, a_family_serves_many_workers,
            one_id_acquires_once, dropping_a_wait_gives_up, a_cancel_ends_a_wait,
            the_longest_hold_is_the_end, what_is_detached_is_resumed_once, a_body_runs_and_gives_back,
            a_body_is_cancelled_when_it_loses, a_scope_leaves_nothing, closing_ends_what_waits,
            a_drain_tells_what_is_held,
            a_rate_is_taken_and_comes_back, a_rate_that_is_used_up_is_full,
            a_rate_of_what_does_not_come_back_is_denied, a_rate_of_what_is_missing_is_as_it_says,
            what_is_held_of_a_rate_comes_back_once_it_is_given_back, blocking_code_takes_for_a_rate,
            blocking_code_acquires_within_a_runtime, blocking_code_acquires_without_a_runtime,
            blocking_bodies_and_scopes_give_back, callbacks_run_on_the_thread_that_waits,
            threads_never_hold_more_than_there_is, an_async_guard_may_be_dropped_anywhere,
            eight_threads_never_share_a_lock, a_timeout_of_zero_tries_once, waiting_takes_nothing,
            a_timeout_for_a_lock_is_no_error_and_takes_nothing,
            a_release_after_the_hold_time_is_an_error, keys_with_dots_are_locks_of_their_own,
            acquired_async_released_blocking, a_stranger_releases_nothing, a_holder_has_it_once,
            a_waiter_for_a_lock_gets_it, missing_locks_are_created_where_that_was_said,
        }
    };
}
