//! What is asked for, as the arguments of `sluice run`, `acquire` and `lock`. Keys are in the grammar of the
//! annotations of pods, and are checked before anything is sent. Pure; tested below.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::claim::{MAX_HOLDER_LENGTH, MIN_LEASE_DURATION_SECONDS};
use crate::api::duration::parse_duration;
use crate::api::request::{Amount, Mention};
use crate::api::{ClaimIfMissing, names, request};

/// Limits and locks, and on which terms.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Request")]
pub(in crate::cli) struct Asked {
    /// Slots of limits, as in gpu=2,db or licences/matlab.
    #[arg(long, value_name = "KEY[=N],…")]
    slots: Vec<String>,
    /// Locks, as in deploy-db, or schema:shared beside other shared holders.
    #[arg(long, value_name = "KEY[:shared],…")]
    lock: Vec<String>,
    #[command(flatten)]
    terms: Terms,
}

/// On which terms something is asked for.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Request")]
pub(in crate::cli) struct Terms {
    /// How long to wait, as in 90s or 1h30m; 0: only if it is free now. For ever without it.
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// How long the slots stay taken when nothing is heard of this process any more, from 15s; by default as the
    /// limit says, else 60s.
    #[arg(long, value_name = "TIME")]
    lease: Option<String>,
    /// Worker: a limit of a family is then that worker's own.
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Place in the queue; higher is earlier. Above 0 only as far as the operator allows.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Who asks, for people who look; by default the host and the command.
    #[arg(long, value_name = "TEXT")]
    holder: Option<String>,
    /// What a limit or lock that does not exist means: an error, something to wait for, or something to leave out.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    if_missing: IfMissing,
}

/// What a limit or lock that does not exist means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum IfMissing {
    /// It is refused.
    #[default]
    Deny,
    /// It is waited for.
    Wait,
    /// It is left out.
    Ignore,
}

impl From<IfMissing> for ClaimIfMissing {
    fn from(said: IfMissing) -> Self {
        match said {
            IfMissing::Deny => Self::Deny,
            IfMissing::Wait => Self::Wait,
            IfMissing::Ignore => Self::Ignore,
        }
    }
}

/// What is asked for.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::cli) struct Ask {
    pub(in crate::cli) mentions: Vec<Mention>,
    pub(in crate::cli) timeout: Option<Duration>,
    pub(in crate::cli) lease: Option<Duration>,
    pub(in crate::cli) worker: Option<String>,
    pub(in crate::cli) priority: Option<i32>,
    pub(in crate::cli) holder: String,
    pub(in crate::cli) if_missing: ClaimIfMissing,
}

impl Asked {
    /// For nothing but these locks.
    pub(in crate::cli) fn locks(lock: String, terms: Terms) -> Self {
        Self {
            slots: Vec::new(),
            lock: vec![lock],
            terms,
        }
    }

    /// Checks it. `purpose` says what for, where the user does not.
    pub(in crate::cli) fn ask(self, purpose: &str) -> Result<Ask, String> {
        let given = [
            (names::SLOTS, "--slots", self.slots.join(",")),
            (names::LOCKS, "--lock", self.lock.join(",")),
        ];
        let mut annotations = BTreeMap::new();
        for (name, _, text) in &given {
            if !text.is_empty() {
                annotations.insert((*name).to_owned(), text.clone());
            }
        }
        let spec = request::parse(&annotations).map_err(|error| {
            let mut text = error.to_string();
            for (name, flag, _) in &given {
                text = text.replace(&format!("annotation {name}"), flag);
            }
            text
        })?;
        let terms = self.terms;
        let timeout = match terms.timeout.as_deref() {
            Some("0" | "0s") => Some(Duration::ZERO),
            said => said.map(|text| time("--timeout", text)).transpose()?,
        };
        let lease = terms.lease.as_deref().map(|text| time("--lease", text));
        let lease = lease.transpose()?;
        let shortest = Duration::from_secs(u64::from(MIN_LEASE_DURATION_SECONDS.unsigned_abs()));
        if lease.is_some_and(|lease| lease < shortest || lease.subsec_nanos() != 0) {
            return Err(format!(
                "--lease: write whole seconds, from {} s",
                shortest.as_secs()
            ));
        }
        let holder = terms.holder.unwrap_or_else(|| purpose.to_owned());
        Ok(Ask {
            mentions: spec.map(|spec| spec.mentions).unwrap_or_default(),
            timeout,
            lease,
            worker: terms.worker,
            priority: terms.priority,
            holder: holder.chars().take(MAX_HOLDER_LENGTH).collect(),
            if_missing: terms.if_missing.into(),
        })
    }
}

/// A time on the command line.
pub(in crate::cli) fn time(flag: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|why| format!("{flag} {text}: {why}"))
}

/// `host: command`.
pub(in crate::cli) fn purpose(command: &str) -> String {
    let host = nix::unistd::gethostname().ok();
    let host = host.and_then(|it| it.into_string().ok());
    let host = host.unwrap_or_else(|| "a host".to_owned());
    format!("{host}: {command}")
}

impl std::fmt::Display for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = self.mentions.iter().map(|it| {
            let key = key(it);
            match it.amount {
                Amount::Slots(1) | Amount::Rate(1) => key,
                Amount::Slots(slots) | Amount::Rate(slots) => format!("{key}={slots}"),
                Amount::Exclusive => format!("lock/{key}"),
                Amount::Shared => format!("lock/{key}:shared"),
            }
        });
        f.write_str(&texts.collect::<Vec<_>>().join(", "))
    }
}

/// As a request names it.
pub(in crate::cli) fn key(mention: &Mention) -> String {
    match &mention.namespace {
        Some(namespace) => format!("{namespace}/{}", mention.key),
        None => mention.key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(slots: &[&str], lock: &[&str]) -> Asked {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        Asked {
            slots: owned(slots),
            lock: owned(lock),
            terms: Terms::default(),
        }
    }

    #[test]
    fn the_grammar_of_annotations() {
        let ask = asked(
            &["gpu=2,db", "licences/matlab"],
            &["deploy", "schema:shared"],
        );
        let ask = ask.ask("host: make").unwrap();
        assert_eq!(
            ask.to_string(),
            "gpu=2, db, licences/matlab, lock/deploy, lock/schema:shared"
        );
        assert_eq!(ask.holder, "host: make");
        assert_eq!(ask.if_missing, ClaimIfMissing::Deny);
        // Nothing asked for is nothing to wait for.
        assert!(asked(&[], &[]).ask("x").unwrap().mentions.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_flag() {
        let error = asked(&["GPU"], &[]).ask("x").unwrap_err();
        assert!(
            error.contains("--slots") && error.contains("\"GPU\""),
            "{error}"
        );
        let error = asked(&["gpu=0"], &[]).ask("x").unwrap_err();
        assert!(error.contains("--slots"), "{error}");
        let with = |timeout: &str, lease: &str| {
            let mut ask = asked(&["gpu"], &[]);
            ask.terms.timeout = Some(timeout.to_owned());
            ask.terms.lease = Some(lease.to_owned());
            ask.ask("x")
        };
        assert_eq!(with("0", "15s").unwrap().timeout, Some(Duration::ZERO));
        assert_eq!(
            with("1m30s", "1m").unwrap().timeout,
            Some(Duration::from_secs(90))
        );
        for (timeout, lease, why) in [
            ("soon", "15s", "--timeout soon"),
            ("1s", "14s", "from 15 s"),
            ("1s", "15s500ms", "whole seconds"),
        ] {
            let error = with(timeout, lease).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
