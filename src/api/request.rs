//! The request of a pod: what its annotations ask for.
//!
//! [`parse`] is the grammar of the annotations that users write ([`names::REQUEST_ANNOTATIONS`]). It is
//! total, linear and bounded: any map gives a request, nothing, or one sentence that names the annotation
//! and the bad entry. It never looks a limit up, never merges mentions of one limit (only its UID says
//! which are one) and knows nothing of pods.
//!
//! `tests/cases/annotations.yaml` is the table of cases; the admission policy is tested with the same
//! one. Properties are below.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::duration::{BadDuration, parse_duration};
use super::key::{BadKey, Key, QualifiedKey, quoted};
use super::names;

/// Most bytes of one annotation that are read; longer ones are refused.
pub const MAX_ANNOTATION_BYTES: usize = 4096;
/// Most entries of one annotation.
pub const MAX_ENTRIES: usize = 64;
/// Most slots that one entry may ask for.
pub const MAX_WEIGHT: u32 = 1_000_000;

/// What a pod asks for: all of it, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSpec {
    /// Limits, locks and rates as written, in this order; at least one, possibly several of one object.
    pub mentions: Vec<Mention>,
    /// What a limit or lock that does not exist means.
    pub if_missing: IfMissing,
    /// How long the pod may wait; for ever without it.
    pub timeout: Option<Duration>,
    /// What happens after that.
    pub on_timeout: OnTimeout,
    /// Place in the queue that the user asks for; higher is earlier.
    pub priority: Option<i32>,
}

/// One entry of an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mention {
    /// Namespace before the `/`; that of the pod without it.
    pub namespace: Option<String>,
    /// Name of the limit or lock.
    pub key: Key,
    /// How much of it, and thereby which kind of object it is.
    pub amount: Amount,
}

/// How much of a limit or lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// Slots of a limit, 1 to [`MAX_WEIGHT`].
    Slots(u32),
    /// Slots of a limit with `decay`, likewise, taken once and never held.
    Rate(u32),
    /// A lock beside other shared holders.
    Shared,
    /// A lock alone.
    Exclusive,
}

/// Kind of the object that a mention names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MentionKind {
    /// A `ConcurrencyLimit`.
    Limit,
    /// A `Lock`.
    Lock,
}

/// What a limit or lock that does not exist means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IfMissing {
    /// The pod waits until it exists.
    #[default]
    Wait,
    /// The mention is left out.
    Ignore,
}

/// What happens when a pod has waited for its timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnTimeout {
    /// An event, and it goes on waiting.
    #[default]
    Wait,
    /// Its phase becomes Failed.
    Fail,
}

/// An annotation that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {annotation}: {problem}")]
pub struct BadAnnotation {
    /// Name of the annotation.
    pub annotation: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More than [`MAX_ANNOTATION_BYTES`].
    #[error("has {length} bytes; at most {MAX_ANNOTATION_BYTES} are read")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Nothing but white space.
    #[error("is empty: name at least one {what}, or remove it")]
    Empty {
        /// What it lists.
        what: &'static str,
    },
    /// More than [`MAX_ENTRIES`].
    #[error("has {count} entries; at most {MAX_ENTRIES} are allowed")]
    TooManyEntries {
        /// How many it has.
        count: usize,
    },
    /// Nothing between two commas, or after the last.
    #[error("entry {position} is empty: remove the comma")]
    EmptyEntry {
        /// Place of the entry, from 1.
        position: usize,
    },
    /// An entry whose key is none.
    #[error("entry {entry}: {problem}")]
    Key {
        /// The entry, quoted.
        entry: String,
        /// What is wrong with the key.
        problem: BadKey,
    },
    /// An entry whose weight is none.
    #[error(
        "entry {entry}: after '=' comes a whole number of slots from 1 to {MAX_WEIGHT}, without leading zeros"
    )]
    Weight {
        /// The entry, quoted.
        entry: String,
    },
    /// A limit that is named in [`names::SLOTS`] too.
    #[error(
        "entry {entry}: the limit is named in sluice.dev/slots too; a pod either holds slots of it or takes them for a rate"
    )]
    BothWays {
        /// The entry, quoted.
        entry: String,
    },
    /// `=` in an entry of [`names::LOCKS`].
    #[error("entry {entry}: a lock has no number; write it plainly, or with \":shared\"")]
    LockWeight {
        /// The entry, quoted.
        entry: String,
    },
    /// A value that is none of the two words.
    #[error("{value} is neither {first} nor {second}")]
    Word {
        /// The value, quoted.
        value: String,
        /// The one word it may be.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// A value that is no duration.
    #[error("{value} is no duration: {problem}")]
    Duration {
        /// The value, quoted.
        value: String,
        /// What is wrong with it.
        problem: BadDuration,
    },
    /// A value that is no priority.
    #[error("{value} is no whole number from -2147483648 to 2147483647")]
    Priority {
        /// The value, quoted.
        value: String,
    },
}

/// Reads the request of a pod with these annotations: `None` if it names no limit and no lock.
pub fn parse(annotations: &BTreeMap<String, String>) -> Result<Option<RequestSpec>, BadAnnotation> {
    let mut mentions = read(annotations, names::SLOTS, parse_slots)?.unwrap_or_default();
    mentions.extend(read(annotations, names::LOCKS, parse_locks)?.unwrap_or_default());
    let rates = read(annotations, names::RATE_LIMITS, |value| {
        parse_rates(value, &mentions)
    })?;
    mentions.extend(rates.unwrap_or_default());
    if mentions.is_empty() {
        return Ok(None);
    }
    Ok(Some(RequestSpec {
        mentions,
        if_missing: read(annotations, names::IF_MISSING, parse_if_missing)?.unwrap_or_default(),
        timeout: read(annotations, names::TIMEOUT, parse_timeout)?,
        on_timeout: read(annotations, names::ON_TIMEOUT, parse_on_timeout)?.unwrap_or_default(),
        priority: read(annotations, names::PRIORITY, parse_priority)?,
    }))
}

impl Mention {
    /// Returns which kind of object it names.
    pub fn kind(&self) -> MentionKind {
        match self.amount {
            Amount::Slots(_) | Amount::Rate(_) => MentionKind::Limit,
            Amount::Shared | Amount::Exclusive => MentionKind::Lock,
        }
    }
}

impl fmt::Display for Mention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        match self.amount {
            Amount::Slots(slots) | Amount::Rate(slots) => write!(f, "{}={slots}", self.key),
            Amount::Shared => write!(f, "{}:shared", self.key),
            Amount::Exclusive => write!(f, "{}:exclusive", self.key),
        }
    }
}

/// Reads one annotation, if it is there and not too long.
fn read<T>(
    annotations: &BTreeMap<String, String>,
    annotation: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
) -> Result<Option<T>, BadAnnotation> {
    let Some(value) = annotations.get(annotation) else {
        return Ok(None);
    };
    let read = if value.len() > MAX_ANNOTATION_BYTES {
        Err(Problem::TooLong {
            length: value.len(),
        })
    } else {
        parse(value)
    };
    read.map(Some).map_err(|problem| BadAnnotation {
        annotation,
        problem,
    })
}

fn parse_slots(value: &str) -> Result<Vec<Mention>, Problem> {
    parse_limits(value, Amount::Slots)
}

/// Limits to take from for a rate. Whether two names are of one limit is judged as they are written; the controller
/// judges the rest.
fn parse_rates(value: &str, others: &[Mention]) -> Result<Vec<Mention>, Problem> {
    let rates = parse_limits(value, Amount::Rate)?;
    for (rate, entry) in rates.iter().zip(value.split(',')) {
        let both = others.iter().any(|other| {
            other.kind() == MentionKind::Limit
                && other.key == rate.key
                && other.namespace == rate.namespace
        });
        if both {
            return Err(Problem::BothWays {
                entry: quoted(entry.trim()),
            });
        }
    }
    Ok(rates)
}

fn parse_limits(value: &str, amount: fn(u32) -> Amount) -> Result<Vec<Mention>, Problem> {
    entries(value, "limit", |entry| {
        let (name, weight) = match entry.split_once('=') {
            Some((name, weight)) => (name, Some(weight)),
            None => (entry, None),
        };
        let QualifiedKey { namespace, key } =
            QualifiedKey::parse(name).map_err(|problem| Problem::Key {
                entry: quoted(entry),
                problem,
            })?;
        let slots = match weight {
            Some(digits) => parse_weight(digits).ok_or_else(|| Problem::Weight {
                entry: quoted(entry),
            })?,
            None => 1,
        };
        Ok(Mention {
            namespace,
            key,
            amount: amount(slots),
        })
    })
}

fn parse_locks(value: &str) -> Result<Vec<Mention>, Problem> {
    entries(value, "lock", |entry| {
        if entry.contains('=') {
            return Err(Problem::LockWeight {
                entry: quoted(entry),
            });
        }
        let (name, amount) = if let Some(name) = entry.strip_suffix(":shared") {
            (name, Amount::Shared)
        } else {
            (
                entry.strip_suffix(":exclusive").unwrap_or(entry),
                Amount::Exclusive,
            )
        };
        let bad_key = |problem| Problem::Key {
            entry: quoted(entry),
            problem,
        };
        let QualifiedKey { namespace, key } = QualifiedKey::parse(name).map_err(bad_key)?;
        key.check_lock().map_err(bad_key)?;
        Ok(Mention {
            namespace,
            key,
            amount,
        })
    })
}

/// Splits at commas, trims white space, and reads each entry.
fn entries(
    value: &str,
    what: &'static str,
    parse: impl Fn(&str) -> Result<Mention, Problem>,
) -> Result<Vec<Mention>, Problem> {
    if value.trim().is_empty() {
        return Err(Problem::Empty { what });
    }
    let count = value.split(',').count();
    if count > MAX_ENTRIES {
        return Err(Problem::TooManyEntries { count });
    }
    let mut mentions = Vec::with_capacity(count);
    for (index, entry) in value.split(',').enumerate() {
        let entry = entry.trim();
        if entry.is_empty() {
            return Err(Problem::EmptyEntry {
                position: index + 1,
            });
        }
        mentions.push(parse(entry)?);
    }
    Ok(mentions)
}

fn parse_weight(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits
        .parse()
        .ok()
        .filter(|weight| plain && (1..=MAX_WEIGHT).contains(weight))
}

fn parse_if_missing(value: &str) -> Result<IfMissing, Problem> {
    match value {
        "Wait" => Ok(IfMissing::Wait),
        "Ignore" => Ok(IfMissing::Ignore),
        _ => Err(Problem::Word {
            value: quoted(value),
            first: "Wait",
            second: "Ignore",
        }),
    }
}

fn parse_on_timeout(value: &str) -> Result<OnTimeout, Problem> {
    match value {
        "Wait" => Ok(OnTimeout::Wait),
        "Fail" => Ok(OnTimeout::Fail),
        _ => Err(Problem::Word {
            value: quoted(value),
            first: "Wait",
            second: "Fail",
        }),
    }
}

fn parse_timeout(value: &str) -> Result<Duration, Problem> {
    parse_duration(value).map_err(|problem| Problem::Duration {
        value: quoted(value),
        problem,
    })
}

fn parse_priority(value: &str) -> Result<i32, Problem> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = value.parse().ok().filter(|_| plain && value != "-0");
    number.ok_or_else(|| Problem::Priority {
        value: quoted(value),
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
