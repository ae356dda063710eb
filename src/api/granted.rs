//! What the controller writes on a pod: the attempt, and at the reveal what was granted.
//!
//! After the reveal [`Granted`] *is* the request, so it is read as carefully as any other text that a tenant
//! might have forged: bounded, total, and with kinds and amounts that belong together. Who may write it is
//! the guard policies' matter; whether it agrees with the leases is the ledger's. Tested below.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::{Key, QualifiedKey};
use super::names::TIMED_OUT;
use super::request::{Amount, MAX_ENTRIES, MAX_WEIGHT, Mention, MentionKind};
use super::status::{LockMode, MAX_TOKEN, MAX_UID_LENGTH};

/// Most bytes of [`super::names::GRANTED`] that are read: the longest request, with every name at its longest.
pub const MAX_GRANTED_BYTES: usize = 128 * 1024;
/// Most leases of one pod: all entries of both annotations.
pub const MAX_GRANTED_LEASES: usize = 2 * MAX_ENTRIES;

/// Value of [`super::names::ATTEMPT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttemptText {
    /// How often the request was aborted; without the annotation 0.
    Number(u32),
    /// It was given up for good.
    TimedOut,
}

/// Value of [`super::names::GRANTED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Granted {
    /// Attempt that was revealed.
    pub attempt: u32,
    /// What it holds, several mentions of one limit merged; empty where all was ignored or disabled.
    pub leases: Vec<GrantedLease>,
}

/// One limit or lock that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantedLease {
    /// Kind of the object.
    pub kind: GrantedKind,
    /// Namespace of the object.
    pub namespace: String,
    /// Key of the object.
    pub key: String,
    /// UID of the object.
    pub uid: String,
    /// How many slots, of a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// How, of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LockMode>,
    /// Fencing token.
    pub token: i64,
}

/// Kind of an object, as its manifest says it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum GrantedKind {
    /// A limit.
    ConcurrencyLimit,
    /// A lock.
    Lock,
}

/// Why what the controller is said to have written is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Neither a number nor the word.
    #[error("annotation sluice.dev/attempt is neither a whole number nor \"{TIMED_OUT}\"")]
    Attempt,
    /// More than [`MAX_GRANTED_BYTES`].
    #[error(
        "annotation sluice.dev/granted has {length} bytes; at most {MAX_GRANTED_BYTES} are read"
    )]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not JSON of the form.
    #[error("annotation sluice.dev/granted is not of the form that the controller writes: {0}")]
    Form(String),
    /// A lease that no controller would write.
    #[error("lease {position} in annotation sluice.dev/granted has no legal {field}")]
    Lease {
        /// Place of the lease, from 1.
        position: usize,
        /// The field that is wrong.
        field: &'static str,
    },
}

impl FromStr for AttemptText {
    type Err = BadRecord;

    fn from_str(text: &str) -> Result<Self, BadRecord> {
        if text == TIMED_OUT {
            return Ok(Self::TimedOut);
        }
        // Only the one form that the controller writes: the reveal tests for the very text.
        let number: u32 = text.parse().map_err(|_| BadRecord::Attempt)?;
        if number.to_string() == text {
            Ok(Self::Number(number))
        } else {
            Err(BadRecord::Attempt)
        }
    }
}

impl fmt::Display for AttemptText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::TimedOut => f.write_str(TIMED_OUT),
        }
    }
}

impl Granted {
    /// Reads the annotation.
    pub fn parse(text: &str) -> Result<Self, BadRecord> {
        if text.len() > MAX_GRANTED_BYTES {
            return Err(BadRecord::TooLong { length: text.len() });
        }
        let granted: Self =
            serde_json::from_str(text).map_err(|error| BadRecord::Form(error.to_string()))?;
        if granted.leases.len() > MAX_GRANTED_LEASES {
            return Err(BadRecord::Form(format!(
                "more than {MAX_GRANTED_LEASES} leases"
            )));
        }
        for (index, lease) in granted.leases.iter().enumerate() {
            lease.mention().map_err(|field| BadRecord::Lease {
                position: index + 1,
                field,
            })?;
        }
        Ok(granted)
    }

    /// Returns the annotation's value.
    pub fn render(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Returns the value of [`super::names::TOKENS`] or [`super::names::LOCK_TOKENS`] of a pod in this namespace, if
    /// it holds anything of the kind.
    pub fn tokens(&self, kind: GrantedKind, pod_namespace: &str) -> Option<String> {
        // Token 0: let through uncounted while the limit was Disabled; there is nothing to fence with.
        let of_kind = self
            .leases
            .iter()
            .filter(|lease| lease.kind == kind && lease.token > 0);
        let entries: Vec<String> = of_kind
            .map(|lease| match lease.namespace.as_str() {
                own if own == pod_namespace => format!("{}={}", lease.key, lease.token),
                other => format!("{other}/{}={}", lease.key, lease.token),
            })
            .collect();
        (!entries.is_empty()).then(|| entries.join(","))
    }
}

impl GrantedLease {
    /// Returns what a request would have to say to be granted this; fails with the name of the field that is wrong.
    pub fn mention(&self) -> Result<Mention, &'static str> {
        let qualified = QualifiedKey::parse(&format!("{}/{}", self.namespace, self.key));
        let QualifiedKey { namespace, .. } = qualified.map_err(|_| "namespace or key")?;
        let key = Key::parse(&self.key).map_err(|_| "key")?;
        if self.uid.is_empty() || self.uid.len() > MAX_UID_LENGTH {
            return Err("uid");
        }
        if !(0..=MAX_TOKEN).contains(&self.token) {
            return Err("token");
        }
        let most_slots = MAX_WEIGHT.saturating_mul(u32::try_from(MAX_ENTRIES).unwrap_or(u32::MAX));
        let amount = match (self.kind, self.slots, self.mode) {
            (GrantedKind::ConcurrencyLimit, Some(slots), None)
                if (1..=most_slots).contains(&slots) =>
            {
                Amount::Slots(slots)
            }
            (GrantedKind::Lock, None, Some(LockMode::Shared)) => Amount::Shared,
            (GrantedKind::Lock, None, Some(LockMode::Exclusive)) => Amount::Exclusive,
            (GrantedKind::ConcurrencyLimit, ..) => return Err("slots"),
            (GrantedKind::Lock, ..) => return Err("mode"),
        };
        Ok(Mention {
            namespace,
            key,
            amount,
        })
    }
}

impl From<MentionKind> for GrantedKind {
    fn from(kind: MentionKind) -> Self {
        match kind {
            MentionKind::Limit => Self::ConcurrencyLimit,
            MentionKind::Lock => Self::Lock,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn granted() -> Granted {
        let limit = |namespace: &str, key: &str, token| GrantedLease {
            kind: GrantedKind::ConcurrencyLimit,
            namespace: namespace.to_owned(),
            key: key.to_owned(),
            uid: "u1".to_owned(),
            slots: Some(2),
            mode: None,
            token,
        };
        let lock = GrantedLease {
            kind: GrantedKind::Lock,
            slots: None,
            mode: Some(LockMode::Shared),
            ..limit("a", "s", 7)
        };
        Granted {
            attempt: 3,
            leases: vec![
                limit("a", "gpu:worker-1", 41),
                limit("licences", "matlab", 42),
                lock,
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = granted().render().unwrap();
        assert!(text.starts_with(
            r#"{"attempt":3,"leases":[{"kind":"ConcurrencyLimit","namespace":"a","key":"gpu:worker-1","uid":"u1","slots":2,"token":41}"#
        ));
        assert_eq!(Granted::parse(&text), Ok(granted()));
    }

    #[test]
    fn tokens_name_the_namespace_of_others() {
        let granted = granted();
        let limits = granted.tokens(GrantedKind::ConcurrencyLimit, "a");
        assert_eq!(
            limits.as_deref(),
            Some("gpu:worker-1=41,licences/matlab=42")
        );
        assert_eq!(
            granted.tokens(GrantedKind::Lock, "a").as_deref(),
            Some("s=7")
        );
        assert_eq!(
            Granted {
                leases: vec![],
                ..granted
            }
            .tokens(GrantedKind::Lock, "a"),
            None
        );
    }

    #[test]
    fn leases_that_no_controller_writes() {
        let refused = |field: &'static str, change: &dyn Fn(&mut GrantedLease)| {
            let mut granted = granted();
            change(&mut granted.leases[1]);
            let read = Granted::parse(&granted.render().unwrap());
            assert_eq!(read, Err(BadRecord::Lease { position: 2, field }));
        };
        refused("slots", &|lease| lease.slots = Some(0));
        refused("slots", &|lease| lease.slots = None);
        refused("slots", &|lease| lease.mode = Some(LockMode::Shared));
        refused("mode", &|lease| lease.kind = GrantedKind::Lock);
        refused("token", &|lease| lease.token = -1);
        refused("token", &|lease| lease.token = MAX_TOKEN + 1);
        refused("uid", &|lease| lease.uid = String::new());
        refused("namespace or key", &|lease| lease.key = "A".to_owned());
        refused("namespace or key", &|lease| {
            lease.namespace = "a/b".to_owned()
        });
    }

    #[test]
    fn attempts_have_one_form() {
        assert_eq!("0".parse(), Ok(AttemptText::Number(0)));
        assert_eq!("timed-out".parse(), Ok(AttemptText::TimedOut));
        for text in ["", "00", "01", "+1", "-1", " 1", "4294967296", "Timed-Out"] {
            assert_eq!(
                text.parse::<AttemptText>(),
                Err(BadRecord::Attempt),
                "{text}"
            );
        }
    }

    #[test]
    fn the_longest_annotation() {
        let error = Granted::parse(&" ".repeat(MAX_GRANTED_BYTES + 1)).unwrap_err();
        assert_eq!(
            error,
            BadRecord::TooLong {
                length: MAX_GRANTED_BYTES + 1
            }
        );
        let deep = "[".repeat(MAX_GRANTED_BYTES);
        assert!(matches!(Granted::parse(&deep), Err(BadRecord::Form(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in any::<String>(), number in any::<u32>()) {
            let _ = Granted::parse(&text);
            let _ = text.parse::<AttemptText>();
            prop_assert_eq!(number.to_string().parse(), Ok(AttemptText::Number(number)));
        }
    }
}
