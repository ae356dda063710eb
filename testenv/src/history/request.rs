//! The words in which pods and claims ask and statuses answer: how much, which attempt, and the record of a grant.
//!
//! Reads JSON leniently, because a history may hold what people wrote by hand; what cannot be read is said, never
//! guessed. Tested here.

use std::fmt;

use serde_json::Value;

use super::version::{Kind, ObjectRef};

/// How numbers say `timed-out`.
const LAST_ATTEMPT: u64 = 1 << 32;

/// How much of a limit or lock one holder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Amount {
    /// So many slots of a limit.
    Slots(i64),
    /// A lock, beside other shared holders.
    Shared,
    /// A lock, alone.
    Exclusive,
}

impl Amount {
    /// Reads `slots` or `mode` of a lease.
    fn read(object: &Value) -> Option<Self> {
        match (
            object.get("slots"),
            object.get("mode").and_then(Value::as_str),
        ) {
            (Some(slots), None) => slots.as_i64().map(Self::Slots),
            (None, Some("Shared")) => Some(Self::Shared),
            (None, Some("Exclusive")) => Some(Self::Exclusive),
            _ => None,
        }
    }

    /// Slots of a limit; a lease of a lock counts as one.
    pub(super) fn slots(self) -> i64 {
        match self {
            Self::Slots(slots) => slots,
            Self::Shared | Self::Exclusive => 1,
        }
    }

    /// Two mentions of one limit or lock: slots add up, of two modes the stronger holds.
    pub(super) fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Slots(left), Self::Slots(right)) => Self::Slots(left.saturating_add(right)),
            (Self::Shared, Self::Shared) => Self::Shared,
            _ => Self::Exclusive,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots(1) => formatter.write_str("1 slot"),
            Self::Slots(slots) => write!(formatter, "{slots} slots"),
            Self::Shared => formatter.write_str("shared"),
            Self::Exclusive => formatter.write_str("exclusive"),
        }
    }
}

/// Which try of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Attempt {
    /// 0 is the first, and what no annotation means.
    Number(u64),
    /// The request gave up; no other comes after it.
    TimedOut,
}

impl Attempt {
    /// Reads the annotation; `None` when it is neither a number nor `timed-out`.
    pub(super) fn from_annotation(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(Self::Number(0)),
            Some("timed-out") => Some(Self::TimedOut),
            Some(number) => number.parse().ok().map(Self::Number),
        }
    }

    /// Reads the field of a lease, a record, or a claim's status.
    pub(super) fn from_field(value: Option<&Value>) -> Option<Self> {
        match value {
            Some(Value::String(text)) => Self::from_annotation(Some(text)),
            Some(value) => value.as_u64().map(|number| match number {
                LAST_ATTEMPT => Self::TimedOut,
                number => Self::Number(number),
            }),
            None => Some(Self::Number(0)),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "attempt {number}"),
            Self::TimedOut => formatter.write_str("attempt timed-out"),
        }
    }
}

/// A lease or an adopted holder in a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) uid: String,
    /// `Pod`, `Claim`, or a kind that a later version knows.
    pub(super) kind: String,
    /// Namespace of the holder, where it says one.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) amount: Amount,
    pub(super) token: i64,
    pub(super) attempt: Attempt,
    /// Taken from a limit with `decay`: nothing is held by it.
    pub(super) rate: bool,
    /// How long it stays when its claim is gone, where it says so.
    pub(super) linger_seconds: Option<i64>,
}

impl Entry {
    pub(super) fn read(value: &Value) -> Option<Self> {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        Some(Self {
            uid: text("uid")?.to_owned(),
            kind: text("kind").unwrap_or("Pod").to_owned(),
            namespace: text("namespace").map(ToOwned::to_owned),
            name: text("name").unwrap_or_default().to_owned(),
            amount: Amount::read(value)?,
            token: value.get("token").and_then(Value::as_i64).unwrap_or(0),
            attempt: Attempt::from_field(value.get("attempt"))?,
            rate: is_rate(value),
            linger_seconds: value.get("lingerSeconds").and_then(Value::as_i64),
        })
    }

    /// Names the holder for people.
    pub(super) fn holder(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{} ({})", self.name, self.uid),
            None => format!("{} ({})", self.name, self.uid),
        }
    }
}

/// The record that a reveal writes on a pod or a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) attempt: Attempt,
    pub(super) leases: Vec<RecordedLease>,
}

/// One lease in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedLease {
    /// The one object that serves the key.
    pub(super) pool: ObjectRef,
    /// Which incarnation of it.
    pub(super) pool_uid: String,
    pub(super) amount: Amount,
    pub(super) token: i64,
    /// Taken from a limit with `decay`: nothing is held by it.
    pub(super) rate: bool,
}

impl Record {
    /// Reads the annotation of a pod in this namespace; says what is wrong with it.
    pub(super) fn read(text: &str, namespace: &str) -> Result<Self, String> {
        let record: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let attempt =
            Attempt::from_field(record.get("attempt")).ok_or("its attempt cannot be read")?;
        let leases = record
            .get("leases")
            .and_then(Value::as_array)
            .ok_or("it has no list of leases")?;
        Self::of(attempt, leases, namespace)
    }

    /// What was granted under this attempt, by a list of leases.
    pub(super) fn of(attempt: Attempt, leases: &[Value], namespace: &str) -> Result<Self, String> {
        let leases: Option<Vec<_>> = leases
            .iter()
            .map(|lease| RecordedLease::read(lease, namespace))
            .collect();
        let leases = leases.ok_or("one of its leases cannot be read")?;
        Ok(Self { attempt, leases })
    }

    /// Its lease on the limit or lock of this place, whatever incarnation.
    pub(super) fn lease_on(&self, pool: &ObjectRef) -> Option<&RecordedLease> {
        self.leases.iter().find(|lease| lease.pool == *pool)
    }
}

impl RecordedLease {
    fn read(value: &Value, namespace: &str) -> Option<Self> {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let kind = match text("kind")? {
            "ConcurrencyLimit" => Kind::Limit,
            "Lock" => Kind::Lock,
            _ => return None,
        };
        let name = text("key")?.replace(':', "--");
        Some(Self {
            pool: ObjectRef::new(kind, text("namespace").unwrap_or(namespace), name),
            pool_uid: text("uid")?.to_owned(),
            amount: Amount::read(value)?,
            token: value.get("token")?.as_i64()?,
            rate: is_rate(value),
        })
    }
}

fn is_rate(value: &Value) -> bool {
    value.get("rate").and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_the_objects_that_serve_its_keys() {
        let text = r#"{"attempt": 2, "leases": [
            {"kind": "ConcurrencyLimit", "namespace": "a", "key": "gpu:w1", "uid": "u", "slots": 2, "token": 7},
            {"kind": "Lock", "key": "db", "uid": "v", "mode": "Shared", "token": 9}]}"#;
        let record = Record::read(text, "b").unwrap();
        assert_eq!(record.attempt, Attempt::Number(2));
        let gpu = record
            .lease_on(&ObjectRef::new(Kind::Limit, "a", "gpu--w1"))
            .unwrap();
        assert_eq!((gpu.amount, gpu.token), (Amount::Slots(2), 7));
        let lock = record
            .lease_on(&ObjectRef::new(Kind::Lock, "b", "db"))
            .unwrap();
        assert_eq!(lock.amount, Amount::Shared);
    }

    #[test]
    fn what_is_no_record_says_why() {
        for text in [
            "",
            "{}",
            r#"{"attempt": "x", "leases": []}"#,
            r#"{"leases": [{"kind": "Pod"}]}"#,
        ] {
            assert!(Record::read(text, "ns").is_err(), "{text}");
        }
    }

    #[test]
    fn attempts_end_with_timed_out() {
        let read = Attempt::from_annotation;
        assert_eq!(read(None), read(Some("0")));
        assert!(read(Some("10")) > read(Some("9")));
        assert!(read(Some("timed-out")) > read(Some("10")));
        assert_eq!(read(Some("x")), None);
        let last = Value::from(LAST_ATTEMPT);
        assert_eq!(Attempt::from_field(Some(&last)), Some(Attempt::TimedOut));
    }
}
