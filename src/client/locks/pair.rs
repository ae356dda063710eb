//! A key and a holder: the lock that the key stands for, and the claim that is this pair's and nobody else's.

use sha2::{Digest as _, Sha256};

use super::LockError;
use crate::api::key::QualifiedKey;
use crate::client::error::AcquireError;

/// First segment of the locks that stand for keys which are no keys of locks.
const HASHED: &str = "sha256:";

/// A key and a holder, as they are asked about.
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) holder: &'a str,
    /// Key of the lock.
    pub(super) lock: String,
    /// Name of the claim.
    pub(super) id: String,
}

impl<'a> Pair<'a> {
    pub(super) fn new(key: &'a str, holder: &'a str) -> Self {
        let lock = lock_of(key);
        // The length of the first part keeps `a` and `bc` apart from `ab` and `c`.
        let text = format!("{}:{lock}{holder}", lock.len());
        let id = format!("lock-{}", hash(&text));
        Self {
            key,
            holder,
            lock,
            id,
        }
    }

    pub(super) fn failed(&self, error: AcquireError) -> LockError {
        LockError::Acquire {
            key: self.key.to_owned(),
            error,
        }
    }

    pub(super) fn unknown(&self, detail: &str) -> LockError {
        LockError::Unknown {
            key: self.key.to_owned(),
            detail: detail.to_owned(),
        }
    }

    pub(super) fn not_holder(&self, detail: &str) -> LockError {
        LockError::NotHolder {
            key: self.key.to_owned(),
            holder: self.holder.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

/// The lock that a text stands for.
pub(super) fn lock_of(key: &str) -> String {
    let is_lock = QualifiedKey::parse(key).is_ok_and(|parsed| {
        parsed.key.check_lock().is_ok() && !parsed.key.as_str().starts_with(HASHED)
    });
    if is_lock {
        key.to_owned()
    } else {
        format!("{HASHED}{}", hash(key))
    }
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_locks_are_those_locks_and_all_others_have_one_each() {
        for key in ["a.b", "a.c", "tag:etl", "team/schema"] {
            assert_eq!(lock_of(key), key);
        }
        let odd = [
            "A",
            "",
            "a/b/c",
            "a:shared",
            "/tmp/x.lock",
            "sha256:00",
            "é",
        ];
        let mut locks: Vec<String> = odd.map(lock_of).to_vec();
        for lock in &locks {
            let key = QualifiedKey::parse(lock).unwrap();
            key.key.check_lock().unwrap();
            assert!(lock.starts_with(HASHED) && lock != "sha256:00");
        }
        locks.sort();
        locks.dedup();
        assert_eq!(locks.len(), odd.len());
    }

    #[test]
    fn pairs_share_no_claim() {
        let ids = [
            ("a", "bc"),
            ("ab", "c"),
            ("a", "b"),
            ("1:a", "b"),
            ("a", ""),
        ]
        .map(|(key, holder)| Pair::new(key, holder).id);
        let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
        assert!(ids.iter().all(|id| id.len() <= 253));
        assert_eq!(Pair::new("a", "b").id, Pair::new("a", "b").id);
    }
}
