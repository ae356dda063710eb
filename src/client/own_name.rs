//! A claim's name that one live process of a pod has at a time: whoever gets it knows that no former holder of that name
//! is at work any more, and several at once for the same find names of their own.
//!
//! On Linux it is a socket without a file (an abstract address) in the network namespace that the containers of a pod
//! share: bound by one process, and free in the moment that process has ended, however it ended. It carries nothing. A
//! name without a pod is never taken. Elsewhere, where no pods run, the names of this process are told apart.
//!
//! `sluice run` has a guardian that may outlive it for a moment, together with the command: it has a name beside the
//! claim's, and whoever gets the claim's waits until nobody has that one. Tested below.

/// How many acquisitions of one container for the same may be under way at once.
pub(super) const NUMBERS_MAX: u32 = 1_000;
/// What the names are called among all sockets.
#[cfg(target_os = "linux")]
const PREFIX: &str = "sluice/claim/";
/// What guardians are called.
#[cfg(target_os = "linux")]
const GUARD_PREFIX: &str = "sluice/guard/";

/// A name, until this is dropped or its process has ended.
#[derive(Debug)]
pub(super) struct OwnName {
    name: String,
    _held: Held,
}

impl OwnName {
    /// Takes a name; `None` where a live process of this pod has it.
    pub(super) fn take(name: &str) -> Option<Self> {
        let held = Held::take(name)?;
        let name = name.to_owned();
        Some(Self { name, _held: held })
    }

    /// Takes the first of `name-0`, `name-1` and so on that is free.
    pub(super) fn numbered(name: &str) -> Option<Self> {
        (0..NUMBERS_MAX).find_map(|number| Self::take(&format!("{name}-{number}")))
    }

    /// Whether the command of a `sluice run` that had the name and is gone is just being ended by its guardian.
    pub(super) fn is_guarded(&self) -> bool {
        #[cfg(target_os = "linux")]
        return linux::bound(GUARD_PREFIX, &self.name).is_none();
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// The name.
    pub(super) fn as_str(&self) -> &str {
        &self.name
    }
}

/// What a guardian has for as long as it watches a command that runs under a claim of this name.
#[cfg(any(test, feature = "cli"))]
#[derive(Debug)]
pub(crate) struct Guarded {
    #[cfg(target_os = "linux")]
    _bound: Option<std::os::unix::net::UnixDatagram>,
}

#[cfg(any(test, feature = "cli"))]
impl Guarded {
    /// Takes it. Where that fails somebody else guards the same name, and nothing is lost: both have to be gone.
    pub(crate) fn by(name: &str) -> Self {
        #[cfg(target_os = "linux")]
        return Self {
            _bound: linux::bound(GUARD_PREFIX, name),
        };
        #[cfg(not(target_os = "linux"))]
        {
            let _ = name;
            Self {}
        }
    }
}

#[cfg(target_os = "linux")]
use linux::Held;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[derive(Debug)]
    pub(super) struct Held {
        _bound: UnixDatagram,
    }

    impl Held {
        pub(super) fn take(name: &str) -> Option<Self> {
            let own = bound(super::PREFIX, name)?;
            Some(Self { _bound: own })
        }
    }

    pub(super) fn bound(prefix: &str, name: &str) -> Option<UnixDatagram> {
        let address = SocketAddr::from_abstract_name(format!("{prefix}{name}")).ok()?;
        UnixDatagram::bind_addr(&address).ok()
    }
}

#[cfg(not(target_os = "linux"))]
use elsewhere::Held;

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, PoisonError};

    static TAKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

    #[derive(Debug)]
    pub(super) struct Held(String);

    impl Held {
        pub(super) fn take(name: &str) -> Option<Self> {
            let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
            taken.insert(name.to_owned()).then(|| Self(name.to_owned()))
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
            taken.remove(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unused(what: &str) -> String {
        format!("test-{what}-{}-{}", std::process::id(), fastrand::u64(..))
    }

    #[test]
    fn one_at_a_time_has_a_name_and_the_next_one_another_number() {
        let name = unused("one");
        let first = OwnName::numbered(&name).unwrap();
        let second = OwnName::numbered(&name).unwrap();
        assert_eq!(first.as_str(), format!("{name}-0"));
        assert_eq!(second.as_str(), format!("{name}-1"));
        assert!(OwnName::take(first.as_str()).is_none());
        drop(first);
        let third = OwnName::numbered(&name).unwrap();
        assert_eq!(third.as_str(), format!("{name}-0"));
        drop(second);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_guardian_that_outlives_its_sluice_is_seen() {
        let name = unused("guard");
        let former = OwnName::take(&name).unwrap();
        assert!(!former.is_guarded());
        let guardian = Guarded::by(&name);
        drop(former);
        let next = OwnName::take(&name).unwrap();
        assert!(next.is_guarded());
        drop(guardian);
        assert!(!next.is_guarded());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_longest_name_of_a_claim_fits() {
        let name = format!("pod-{}-{}", "f".repeat(24), NUMBERS_MAX);
        assert!(OwnName::take(&name).is_some());
    }
}
