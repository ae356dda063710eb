//! The last resort against a test that hangs, as one does whose program waits without a timeout: the run ends, and says
//! which test it was. Everything that can wait with a deadline of its own does so.

use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// How long a test may take: several times what the longest does on a busy machine, and less than the whole suite.
const TEST_AT_MOST: Duration = Duration::from_secs(12 * 60);

/// Rings unless it is dropped in time.
pub(super) struct Bell {
    _answered: Sender<()>,
}

impl Bell {
    /// For the test of this thread.
    pub(super) fn set() -> Self {
        Self::set_to(TEST_AT_MOST, |test| {
            eprintln!(
                "test {test} hangs: it has not ended within {} s. Everything else ends with it.",
                TEST_AT_MOST.as_secs()
            );
            process::exit(1);
        })
    }

    fn set_to(patience: Duration, ring: impl FnOnce(&str) + Send + 'static) -> Self {
        let test = thread::current().name().unwrap_or("of no name").to_owned();
        let (answered, hears) = mpsc::channel::<()>();
        thread::spawn(move || {
            if hears.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                ring(&test);
            }
        });
        Self {
            _answered: answered,
        }
    }
}

#[test]
fn it_rings_for_who_is_late_and_for_nobody_else() {
    let (rings, heard) = mpsc::channel();
    let again = rings.clone();
    let late = Bell::set_to(Duration::from_millis(1), move |test| {
        rings.send(test.to_owned()).unwrap();
    });
    let test = heard.recv().unwrap();
    assert!(test.ends_with("it_rings_for_who_is_late_and_for_nobody_else"));
    drop(late);
    drop(Bell::set_to(TEST_AT_MOST, move |test| {
        again.send(test.to_owned()).unwrap();
    }));
    // Its thread ends without ringing, and lets its end of the channel go.
    assert!(heard.recv().is_err());
}
