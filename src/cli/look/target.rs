//! KEY on the command line: the grammar of annotations, with the kind before it where it is not a limit.
//!
//! | written | means |
//! |---|---|
//! | `gpu`, `gpu:worker-1` | a limit of the namespace at hand |
//! | `gpu--worker-1` | the same by the name of its object, as `kubectl get` shows it |
//! | `licences/matlab` | a limit of another namespace |
//! | `lock/deploy`, `climit/gpu` | a kind and a key, as for kubectl and `sluice quarantine` |
//! | `lock/licences/matlab` | all three |
//!
//! A word that is a kind is read as one: for a namespace called `lock` there is `--namespace`. Reads nothing from
//! a server. Tested below.

use super::Kind;
use crate::api::key::{Key, QualifiedKey};
use crate::cli::CliError;
use crate::ledger::PoolKey;

/// A limit or lock as the arguments of a command.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Named {
    /// Limit or lock: gpu, gpu:worker-1, licences/matlab, lock/deploy.
    #[arg(value_name = "KEY")]
    key: String,
    /// KEY is a lock, as if it began with lock/.
    #[arg(long)]
    lock: bool,
}

impl Named {
    /// What was named; the namespace is this one where KEY has none.
    pub(in crate::cli) fn target(&self, namespace: &str) -> Result<Target, CliError> {
        Target::parse(&self.key, self.lock, namespace).map_err(CliError::Usage)
    }
}

/// A limit or lock that may exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Target {
    pub(in crate::cli) kind: Kind,
    pub(in crate::cli) namespace: String,
    pub(in crate::cli) key: Key,
}

impl Target {
    pub(in crate::cli) fn parse(
        text: &str,
        is_lock: bool,
        namespace: &str,
    ) -> Result<Self, String> {
        let bad = |why: &str| {
            format!(
                "{text} is no limit or lock: {why}. Write a key as in gpu, gpu:worker-1, licences/matlab, or lock/deploy for a lock"
            )
        };
        let kind_first = text
            .split_once('/')
            .and_then(|(kind, rest)| Some((Kind::spelled(kind)?, rest)));
        let (kind, rest) = match kind_first {
            Some((Kind::Limit, _)) if is_lock => return Err(bad("--lock contradicts it")),
            Some(said) => said,
            None if is_lock => (Kind::Lock, text),
            None => (Kind::Limit, text),
        };
        let key = qualified(rest).map_err(|error| bad(&error.to_string()))?;
        if kind == Kind::Lock {
            key.key
                .check_lock()
                .map_err(|error| bad(&error.to_string()))?;
        }
        Ok(Self {
            kind,
            namespace: key.namespace.unwrap_or_else(|| namespace.to_owned()),
            key: key.key,
        })
    }

    /// Name of the object.
    pub(in crate::cli) fn name(&self) -> String {
        self.key.object_name()
    }

    /// As a command takes it: `gpu`, or `lock/deploy`.
    pub(in crate::cli) fn short(&self) -> String {
        match self.kind {
            Kind::Limit => self.key.to_string(),
            Kind::Lock => format!("lock/{}", self.key),
        }
    }

    /// The same in another kind.
    pub(in crate::cli) fn other_kind(&self) -> Self {
        Self {
            kind: match self.kind {
                Kind::Limit => Kind::Lock,
                Kind::Lock => Kind::Limit,
            },
            ..self.clone()
        }
    }

    pub(in crate::cli) fn pool_key(&self) -> PoolKey {
        PoolKey::new(
            self.kind.of_pool(),
            self.namespace.as_str().into(),
            self.name().into(),
        )
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.word(), self.namespace, self.key)
    }
}

/// A key, or the name of the object that serves one.
fn qualified(text: &str) -> Result<QualifiedKey, crate::api::BadKey> {
    let error = match QualifiedKey::parse(text) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    let Ok(key) = Key::from_object_name(name) else {
        return Err(error);
    };
    let qualified = match namespace {
        Some(namespace) => format!("{namespace}/{key}"),
        None => key.to_string(),
    };
    QualifiedKey::parse(&qualified)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Target::parse(text, false, "team").unwrap().to_string()
    }

    #[test]
    fn keys_as_in_annotations_and_kinds_as_for_kubectl() {
        for (text, meant) in [
            ("gpu", "limit team/gpu"),
            ("gpu:worker-1", "limit team/gpu:worker-1"),
            ("gpu--worker-1", "limit team/gpu:worker-1"),
            ("licences/matlab", "limit licences/matlab"),
            ("licences/gpu--a", "limit licences/gpu:a"),
            ("climit/gpu", "limit team/gpu"),
            ("ConcurrencyLimits/gpu", "limit team/gpu"),
            ("climit/licences/matlab", "limit licences/matlab"),
            ("lock/deploy", "lock team/deploy"),
            ("locks/ops/tag:etl", "lock ops/tag:etl"),
        ] {
            assert_eq!(shown(text), meant, "{text}");
        }
        let lock = Target::parse("ops/deploy", true, "team").unwrap();
        assert_eq!(lock.to_string(), "lock ops/deploy");
        assert_eq!(lock.short(), "lock/deploy");
        assert_eq!(lock.other_kind().to_string(), "limit ops/deploy");
    }

    #[test]
    fn what_is_no_key_is_said_with_what_to_write() {
        for (text, is_lock, why) in [
            ("GPU", false, "'G' is not allowed"),
            ("", false, "empty segment"),
            ("a/b/c", false, "'/' is not allowed"),
            ("lock/schema:shared", false, "these are modes"),
            ("climit/gpu", true, "--lock contradicts"),
        ] {
            let error = Target::parse(text, is_lock, "team").unwrap_err();
            assert!(
                error.contains(why) && error.contains("lock/deploy"),
                "{error}"
            );
        }
    }
}
