//! Keys: how a limit or a lock is named in annotations, and which object serves a name.
//!
//! A [`Key`] is one or more segments joined by `:`, as in `gpu:worker-1`; the one object that serves
//! it is called the segments joined by `--`, as in `gpu--worker-1`. No segment contains `--`, so the
//! two forms stand for each other and no key is served by two objects. A [`QualifiedKey`] has a
//! namespace before it, as in `licences/matlab`.
//!
//! Parsing is total, linear and bounded: any bytes give a key or a sentence that names what is wrong.
//! It never looks anything up. Tested by properties here and by `tests/cases/annotations.yaml`.

use std::fmt;
use std::str::FromStr;

/// Longest name of an object, and so longest key with each `:` counted twice, in characters.
pub const MAX_NAME_LENGTH: usize = 253;
/// Longest name of a namespace, in characters.
pub const MAX_NAMESPACE_LENGTH: usize = 63;
/// One segment of a key as a regular expression (RE2): letters and digits, with single `-` or `.` between them.
pub const SEGMENT_PATTERN: &str = "[a-z0-9]+([-.][a-z0-9]+)*";
/// Last segments that no lock may have, because in an annotation they are modes.
pub const LOCK_MODE_SEGMENTS: [&str; 2] = ["shared", "exclusive"];

/// Most characters of a tenant's text that an error repeats.
const MAX_QUOTED: usize = 64;

/// Name of a limit or lock: segments joined by `:`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Canonical text; every segment in it matches [`SEGMENT_PATTERN`].
    text: String,
}

/// A key with the namespace it is looked up in; without one, that of whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedKey {
    /// Namespace before the `/`, if there is one.
    pub namespace: Option<String>,
    /// The key itself.
    pub key: Key,
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A segment (or the whole key) is empty.
    #[error("an empty segment is no key: write letters and digits on both sides of each ':'")]
    EmptySegment,
    /// A character that no segment has.
    #[error(
        "{character:?} is not allowed: a key has a-z, 0-9, '-' and '.', and ':' between its segments"
    )]
    Character {
        /// The first such character.
        character: char,
    },
    /// `-` or `.` at an edge, or two of them in a row.
    #[error(
        "segment {segment} is not allowed: each '-' or '.' stands between two letters or digits \
         (\"--\" stands for ':' in object names)"
    )]
    Punctuation {
        /// The segment, quoted.
        segment: String,
    },
    /// The object that serves the key would have too long a name.
    #[error(
        "too long: its object's name may have {MAX_NAME_LENGTH} characters, and each ':' counts as two"
    )]
    TooLong,
    /// The part before `/` is no name of a namespace.
    #[error(
        "{namespace} is no namespace: a-z, 0-9 and '-', a letter or digit at both ends, \
         at most {MAX_NAMESPACE_LENGTH} characters"
    )]
    Namespace {
        /// The part before `/`, quoted.
        namespace: String,
    },
    /// A lock whose last segment would read as a mode.
    #[error("a lock's last segment may not be \"shared\" or \"exclusive\": these are modes")]
    LockMode,
}

impl Key {
    /// Reads a key; fails with the first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        Self::check(text)?;
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// Returns the key that the object of this name serves; fails if it can serve none.
    pub fn from_object_name(name: &str) -> Result<Self, BadKey> {
        check_segments(name, "--")?;
        let text = name.replace("--", ":");
        within_length(&text)?;
        Ok(Self { text })
    }

    /// Returns the name of the one object that serves this key.
    pub fn object_name(&self) -> String {
        self.text.replace(':', "--")
    }

    /// Returns the key as it is written in annotations.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the segments, in order; there is at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split(':')
    }

    /// Returns the key of a worker of this family; fails if the worker's name is no segment.
    pub fn child(&self, worker: &str) -> Result<Self, BadKey> {
        check_segment(worker)?;
        let text = format!("{}:{worker}", self.text);
        within_length(&text)?;
        Ok(Self { text })
    }

    /// Returns the family's key and the worker's name, if there is more than one segment.
    pub fn split_last(&self) -> Option<(Self, &str)> {
        let (parent, worker) = self.text.rsplit_once(':')?;
        Some((
            Self {
                text: parent.to_owned(),
            },
            worker,
        ))
    }

    /// Fails if a lock may not have this key.
    pub fn check_lock(&self) -> Result<(), BadKey> {
        let last = self.text.rsplit(':').next().unwrap_or_default();
        if LOCK_MODE_SEGMENTS.contains(&last) {
            Err(BadKey::LockMode)
        } else {
            Ok(())
        }
    }

    /// Fails as [`Key::parse`] does, and copies nothing.
    fn check(text: &str) -> Result<(), BadKey> {
        check_segments(text, ":")?;
        within_length(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Key {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        Self::parse(text)
    }
}

impl QualifiedKey {
    /// Fails as [`QualifiedKey::parse`] does, and copies nothing.
    pub(crate) fn check(text: &str) -> Result<(), BadKey> {
        let (_, key) = Self::split(text)?;
        Key::check(key)
    }

    /// Reads `key` or `namespace/key`; fails with the first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let (namespace, key) = Self::split(text)?;
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            key: Key::parse(key)?,
        })
    }

    /// The namespace, which is looked at, and the key, which is not.
    fn split(text: &str) -> Result<(Option<&str>, &str), BadKey> {
        let Some((namespace, key)) = text.split_once('/') else {
            return Ok((None, text));
        };
        check_namespace(namespace)?;
        Ok((Some(namespace), key))
    }
}

impl fmt::Display for QualifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.key),
            None => self.key.fmt(f),
        }
    }
}

impl FromStr for QualifiedKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        Self::parse(text)
    }
}

/// Quotes text of a tenant for a message: escaped, and cut to a length that a condition can hold.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_QUOTED)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

fn check_segments(text: &str, separator: &str) -> Result<(), BadKey> {
    if text.len() > MAX_NAME_LENGTH {
        return Err(BadKey::TooLong);
    }
    text.split(separator).try_for_each(check_segment)
}

/// Fails unless the text matches [`SEGMENT_PATTERN`].
fn check_segment(segment: &str) -> Result<(), BadKey> {
    if segment.is_empty() {
        return Err(BadKey::EmptySegment);
    }
    let mut after_punctuation = true;
    for character in segment.chars() {
        match character {
            'a'..='z' | '0'..='9' => after_punctuation = false,
            '-' | '.' if !after_punctuation => after_punctuation = true,
            '-' | '.' => {
                return Err(BadKey::Punctuation {
                    segment: quoted(segment),
                });
            }
            _ => return Err(BadKey::Character { character }),
        }
    }
    if after_punctuation {
        Err(BadKey::Punctuation {
            segment: quoted(segment),
        })
    } else {
        Ok(())
    }
}

/// Fails unless the text is a DNS label, as names of namespaces are.
fn check_namespace(namespace: &str) -> Result<(), BadKey> {
    let bytes = namespace.as_bytes();
    let legal = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edges = bytes.first().is_some_and(legal) && bytes.last().is_some_and(legal);
    if edges && bytes.len() <= MAX_NAMESPACE_LENGTH && bytes.iter().all(|b| legal(b) || *b == b'-')
    {
        return Ok(());
    }
    Err(BadKey::Namespace {
        namespace: quoted(namespace),
    })
}

/// Fails if the object of this key would have too long a name.
fn within_length(text: &str) -> Result<(), BadKey> {
    let doubled = text.bytes().filter(|b| *b == b':').count();
    if text.len() + doubled > MAX_NAME_LENGTH {
        Err(BadKey::TooLong)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[a-z0-9]{1,6}([-.][a-z0-9]{1,4}){0,2}").unwrap()
    }

    fn key() -> impl Strategy<Value = Key> {
        proptest::collection::vec(segment(), 1..5).prop_map(|s| Key::parse(&s.join(":")).unwrap())
    }

    #[test]
    fn a_key_and_its_object_name() {
        let key = Key::parse("gpu:worker-1").unwrap();
        assert_eq!(key.object_name(), "gpu--worker-1");
        assert_eq!(Key::from_object_name("gpu--worker-1").unwrap(), key);
        assert_eq!(
            key.split_last().unwrap(),
            (Key::parse("gpu").unwrap(), "worker-1")
        );
        assert_eq!(Key::parse("gpu").unwrap().child("worker-1").unwrap(), key);
    }

    #[test]
    fn object_names_that_serve_no_key() {
        for name in [
            "a---b", "-a", "a-", "a--", "--a", "a.-b", "a..b", "A", "", "a:b",
        ] {
            assert!(Key::from_object_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn workers_that_are_no_segment() {
        let gpu = Key::parse("gpu").unwrap();
        for worker in ["", "A100", "a_b", "a:b", "a--b", "a/b", "-a"] {
            assert!(gpu.child(worker).is_err(), "{worker}");
        }
        assert_eq!(
            gpu.child(&"a".repeat(248)).unwrap().object_name().len(),
            MAX_NAME_LENGTH
        );
        assert_eq!(gpu.child(&"a".repeat(249)), Err(BadKey::TooLong));
    }

    #[test]
    fn the_length_counts_each_colon_twice() {
        let fits = format!("{}:b", "a".repeat(250));
        assert_eq!(
            Key::parse(&fits).unwrap().object_name().len(),
            MAX_NAME_LENGTH
        );
        assert_eq!(Key::parse(&format!("a{fits}")), Err(BadKey::TooLong));
    }

    #[test]
    fn errors_quote_little_and_escape_it() {
        let error = Key::parse(&format!("a-\u{0}{}", "x".repeat(300))).unwrap_err();
        assert_eq!(error, BadKey::TooLong);
        let error = QualifiedKey::parse(&format!("\u{1b}[31m{}/a", "x".repeat(300)))
            .unwrap_err()
            .to_string();
        assert!(error.len() < 250 && !error.contains('\u{1b}'), "{error}");
    }

    proptest! {
        #[test]
        fn display_then_parse_is_identity(key in key()) {
            prop_assert_eq!(Key::parse(&key.to_string()).unwrap(), key);
        }

        #[test]
        fn an_object_name_stands_for_one_key(a in key(), b in key()) {
            prop_assert_eq!(Key::from_object_name(&a.object_name()).unwrap(), a.clone());
            prop_assert_eq!(a == b, a.object_name() == b.object_name());
        }

        #[test]
        fn any_text_is_judged(text in any::<String>()) {
            prop_assert_eq!(QualifiedKey::check(&text), QualifiedKey::parse(&text).map(drop));
            if let Ok(key) = QualifiedKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn near_keys_are_judged(text in "[-a-bA.:/]{0,12}") {
            prop_assert_eq!(QualifiedKey::check(&text), QualifiedKey::parse(&text).map(drop));
            if let Ok(key) = Key::parse(&text) {
                prop_assert_eq!(Key::from_object_name(&key.object_name()).unwrap(), key);
            }
        }
    }
}
