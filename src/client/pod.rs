//! A process that runs in a pod, and holds for as long as that pod lives.
//!
//! With a [`Pod`], claims carry `podRef`: the controller looks at the pod, and nobody renews. The holder looks at its
//! claim in place of renewing it, because what takes it away while it may live (its pod deleted by force, the longest
//! hold) frees the slots one lease later whether it has heard or not. Claims without an id of the caller's are named after
//! the pod, the container and the keys, so that a container that starts again finds what its former self left behind;
//! that nobody works under such a name any more is known by [`super::own_name`].
//!
//! Tested below, and in `tests/it/sdk/pods.rs` and `tests/it/chart/programs.rs` with tokens of pods.

use sha2::{Digest as _, Sha256};

use crate::api::claim::{PodReference, SlotClaimSpec};

/// Hexadecimal digits of the hash in a name.
const HASH_DIGITS: usize = 24;
/// Variables of the environment that name a pod, its UID and the container.
const VARIABLES: [&str; 3] = ["SLUICE_POD_NAME", "SLUICE_POD_UID", "SLUICE_CONTAINER"];

/// The pod, and the container in it, that a process runs in.
///
/// ```
/// use sluice::client::Pod;
///
/// let pod = Pod::new("worker-7f9c", "0b3e1a52-6f0e-4c1e-9d0a-0c7d5b2f1a10", "main");
/// assert_eq!(pod.name(), "worker-7f9c");
/// // In a pod whose manifest sets the variables:
/// assert!(Pod::from_env().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    name: String,
    uid: String,
    container: String,
}

/// The environment does not say which pod this is.
///
/// ```
/// let unknown = sluice::client::Pod::from_env().unwrap_err();
/// assert!(unknown.to_string().contains("SLUICE_POD_NAME"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "which pod is this? {0} is not set: set in its manifest SLUICE_POD_NAME and SLUICE_POD_UID by the downward API \
     (fieldRef metadata.name, metadata.uid) and SLUICE_CONTAINER to the container's name, or pass a Pod"
)]
pub struct PodUnknown(&'static str);

impl Pod {
    /// A pod of the client's namespace, by name and UID, and the name of the container that asks: two containers of one
    /// pod do not find each other's claims.
    ///
    /// ```
    /// let pod = sluice::client::Pod::new("worker-7f9c", "0b3e1a52-6f0e-4c1e-9d0a-0c7d5b2f1a10", "main");
    /// ```
    pub fn new(
        name: impl Into<String>,
        uid: impl Into<String>,
        container: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            uid: uid.into(),
            container: container.into(),
        }
    }

    /// What `SLUICE_POD_NAME`, `SLUICE_POD_UID` and `SLUICE_CONTAINER` say. There are no defaults: containers that were
    /// all called the same would find each other's claims.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sluice::client::{Client, Pod};
    ///
    /// let client = Client::builder().pod(Pod::from_env()?).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env() -> Result<Self, PodUnknown> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, PodUnknown> {
        let [name, uid, container] = VARIABLES;
        let given = |key: &'static str| variable(key).filter(|it| !it.is_empty());
        Ok(Self {
            name: given(name).ok_or(PodUnknown(name))?,
            uid: given(uid).ok_or(PodUnknown(uid))?,
            container: given(container).ok_or(PodUnknown(container))?,
        })
    }

    /// Its name.
    ///
    /// ```
    /// assert_eq!(sluice::client::Pod::new("worker-7f9c", "0b3e", "main").name(), "worker-7f9c");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As a claim names it.
    pub(super) fn reference(&self) -> PodReference {
        PodReference {
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// What claims of this container for these keys are called, before the number of the one among several at once. How
    /// much of each is asked for is no part of it: a container that comes back with other numbers finds its former claim,
    /// and gives it back.
    pub(super) fn claim_name(&self, spec: &SlotClaimSpec) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            // Lengths keep neighbours apart.
            hash.update(text.len().to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.uid);
        add(&self.container);
        for slots in &spec.slots {
            add("limit");
            add(&slots.limit);
            add(slots.worker.as_deref().unwrap_or_default());
        }
        for lock in &spec.locks {
            add("lock");
            add(&lock.lock);
        }
        let digits: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("pod-{}", digits.get(..HASH_DIGITS).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::claim::ClaimSlots;

    fn spec(limit: &str, slots: i32) -> SlotClaimSpec {
        SlotClaimSpec {
            slots: vec![ClaimSlots {
                limit: limit.to_owned(),
                slots,
                worker: None,
            }],
            ..SlotClaimSpec::default()
        }
    }

    #[test]
    fn the_same_container_asks_under_the_same_name_and_nobody_else_does() {
        let pod = |uid: &str, container: &str| Pod::new("p", uid, container);
        let name = pod("u", "a").claim_name(&spec("gpu", 1));
        assert_eq!(name, pod("u", "a").claim_name(&spec("gpu", 1)));
        assert_eq!(name.len(), "pod-".len() + HASH_DIGITS);
        assert_eq!(name, pod("u", "a").claim_name(&spec("gpu", 2)));
        let others = [
            pod("v", "a").claim_name(&spec("gpu", 1)),
            pod("u", "b").claim_name(&spec("gpu", 1)),
            pod("u", "a").claim_name(&spec("db", 1)),
            pod("ua", "").claim_name(&spec("gpu", 1)),
        ];
        for other in others {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn the_environment_names_the_pod_or_an_error_says_what_is_missing() {
        let all = |name: &str| Some(name.to_lowercase());
        let pod = Pod::from_variables(all).unwrap();
        let named = Pod::new("sluice_pod_name", "sluice_pod_uid", "sluice_container");
        assert_eq!(pod, named);
        for missing in VARIABLES {
            let variable = |name: &str| (name != missing).then(|| "x".to_owned());
            let error = Pod::from_variables(variable).unwrap_err().to_string();
            assert!(error.contains(&format!("{missing} is not set")), "{error}");
            let empty = |name: &str| Some(if name == missing { "" } else { "x" }.to_owned());
            assert!(Pod::from_variables(empty).is_err());
        }
    }
}
