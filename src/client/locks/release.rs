//! Releasing, through whatever guard or process the holder has it; and looking whether it is free.

use std::time::{Duration, Instant};

use super::pair::Pair;
use super::{LockError, Locks};
use crate::client::lease::Loss;
use crate::client::store::{Found, StoreError, Wanted};

/// How long a release waits until the lock is seen to be free.
const FREED_WITHIN: Duration = Duration::from_secs(10);

impl Locks {
    pub(super) async fn release_pair(&self, pair: &Pair<'_>) -> Result<(), LockError> {
        let entry = self.held().get(&pair.id).cloned();
        let guard = match &entry {
            Some(entry) => entry.try_lock().ok().and_then(|mut guard| guard.take()),
            None => None,
        };
        let tokens = match guard {
            Some(guard) => {
                if let Err(loss) = guard.slots.check() {
                    return Err(pair.not_holder(&lost_words(&loss)));
                }
                let tokens = guard.slots.tokens();
                let tokens = tokens.iter().map(|token| token.token).collect();
                let released = guard.slots.release().await;
                released.map_err(|error| pair.unknown(&error.to_string()))?;
                tokens
            }
            None => self.release_elsewhere(pair).await?,
        };
        self.see_freed(pair, tokens).await
    }

    /// Releases what the same holder has through somebody else; its tokens.
    async fn release_elsewhere(&self, pair: &Pair<'_>) -> Result<Vec<i64>, LockError> {
        let Some(claim) = self.granted(pair).await? else {
            return Err(pair.not_holder("it holds nothing"));
        };
        let at = claim.at();
        let released = self
            .sent(|store| async move { store.release(&at).await })
            .await;
        match released {
            Ok(_) => Ok(claim.status.grants.iter().map(|it| it.token).collect()),
            Err(StoreError::NotFound(_)) => Err(pair.not_holder("it holds nothing any more")),
            Err(error) => Err(pair.unknown(&error.to_string())),
        }
    }

    /// Waits until none of these tokens is held.
    async fn see_freed(&self, pair: &Pair<'_>, tokens: Vec<i64>) -> Result<(), LockError> {
        let end = Instant::now() + FREED_WITHIN;
        while Instant::now() < end {
            match self.look(pair.key, &pair.lock).await {
                Ok(found) if found.tokens.iter().any(|token| tokens.contains(token)) => {}
                // Who may not look has been told that it is released, which is all there is to know.
                Ok(_) | Err(_) => return Ok(()),
            }
            self.breathe().await;
        }
        Ok(())
    }

    pub(super) async fn look(&self, key: &str, lock: &str) -> Result<Found, LockError> {
        let wanted = [Wanted {
            lock: true,
            key: lock.to_owned(),
        }];
        let sights = self
            .sent(|store| async move { Ok(store.look(&wanted).await) })
            .await
            .unwrap_or_default();
        let unknown = |detail: &str| LockError::Unknown {
            key: key.to_owned(),
            detail: detail.to_owned(),
        };
        match sights.into_iter().next() {
            Some(sight) if sight.missing => Ok(Found::default()),
            Some(sight) => sight
                .found
                .ok_or_else(|| unknown("it may not be read, or the server does not answer")),
            None => Err(unknown("the server says nothing")),
        }
    }
}

fn lost_words(loss: &Loss) -> String {
    format!("it held it, and has lost it: {loss}")
}
