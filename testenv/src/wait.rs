//! Waiting for a condition, with a deadline.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `condition` gives true; an error of its own ends the wait, a look that hangs does not outlive the deadline.
pub(crate) async fn until<F>(
    what: &str,
    patience: Duration,
    logs: &Path,
    condition: impl Fn() -> F,
) -> Result<()>
where
    // Not an async closure: tests spawn what waits here, and nothing would say that the future is Send.
    F: Future<Output = Result<bool>>,
{
    let deadline = Instant::now() + patience;
    let looks = async {
        while !condition().await? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    match tokio::time::timeout_at(deadline.into(), looks).await {
        Ok(result) => result,
        Err(_) => Err(Error::Deadline {
            what: what.to_owned(),
            seconds: patience.as_secs(),
            directory: logs.to_owned(),
        }),
    }
}
