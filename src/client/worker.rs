//! Which worker of a family this process is.
//!
//! Asked in this order: the caller, `SLUICE_WORKER`, `WORKER_ID`, the label `sluice.dev/worker` of the pod in the
//! file of the downward API. There is no default: two workers that both take the slots of "default" would share what
//! each should have alone.

use std::path::{Path, PathBuf};

use super::handle::Client;
use super::keys::Keys;
use super::rate::RateLimit;
use super::request::Request;
use crate::api::key::Key;
use crate::api::names;

/// Where the pod's labels are, unless `SLUICE_POD_LABELS` says another place.
const LABELS_FILE: &str = "/etc/podinfo/labels";
/// Most bytes of the file of labels that are read.
const LABELS_BYTES_MAX: u64 = 262_144;
/// Variables that name the worker, first come first.
const VARIABLES: [&str; 2] = ["SLUICE_WORKER", "WORKER_ID"];

/// Nobody said which worker this is, or what was said is no worker's name.
///
/// ```
/// let client = sluice::client::Client::embedded([("gpu", 2)])?;
/// let unknown = client.worker("no worker's name").unwrap_err();
/// println!("{unknown}");
/// # Ok::<(), sluice::client::EmbeddedError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorkerUnknown(String);

/// A client that takes the slots of one worker: `concurrency("gpu")` takes `gpu:worker-1`.
///
/// ```
/// use sluice::client::{Client, Limits};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::embedded(Limits::new().family("gpu", 1))?;
/// let worker = client.worker("worker-1")?;
/// let slots = worker.concurrency("gpu").acquire().await?;
/// assert_eq!(slots.tokens()[0].key, "gpu:worker-1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Worker {
    client: Client,
    name: String,
}

impl Worker {
    /// Finds out which worker this is.
    pub(super) fn find(client: Client, name: Option<&str>) -> Result<Self, WorkerUnknown> {
        let variable = |name: &str| std::env::var(name).ok();
        let file =
            variable("SLUICE_POD_LABELS").map_or_else(|| PathBuf::from(LABELS_FILE), PathBuf::from);
        let name = worker_name(name, variable, &file)?;
        Ok(Self { client, name })
    }

    /// Name of the worker.
    ///
    /// ```
    /// # let worker = sluice::client::Client::embedded([("gpu", 2)])?.worker("worker-1")?;
    /// assert_eq!(worker.name(), "worker-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Like [`Client::request`]: `slots` names families.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().family("gpu", 1).lock("deploy");
    /// # let worker = sluice::client::Client::embedded(limits)?.worker("worker-1")?;
    /// let slots = worker.request().slots("gpu", 1).lock("deploy").acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self) -> Request {
        self.client.request().worker(&self.name)
    }

    /// Like [`Client::concurrency`]: the keys are those of families.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limits = sluice::client::Limits::new().family("gpu", 1);
    /// # let worker = sluice::client::Client::embedded(limits)?.worker("worker-1")?;
    /// let slots = worker.concurrency("gpu").acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn concurrency(&self, keys: impl Keys) -> Request {
        self.client.concurrency(keys).worker(&self.name)
    }

    /// Like [`Client::rate_limit`]: the keys are those of families.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let spec = serde_json::from_str(r#"{"slots": 5, "perWorker": {}, "decay": {"slots": 5}}"#)?;
    /// # let limits = sluice::client::Limits::new().limit("api", spec);
    /// # let worker = sluice::client::Client::embedded(limits)?.worker("worker-1")?;
    /// worker.rate_limit("api").acquire().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rate_limit(&self, keys: impl Keys) -> RateLimit {
        self.client.rate_limit(keys).worker(&self.name)
    }
}

fn worker_name(
    argument: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    labels: &Path,
) -> Result<String, WorkerUnknown> {
    let given = |text: &str| !text.is_empty();
    if let Some(name) = argument.filter(|name| given(name)) {
        return checked("the argument", name);
    }
    for name in VARIABLES {
        if let Some(value) = variable(name).filter(|value| given(value)) {
            return checked(name, &value);
        }
    }
    match label(labels).filter(|value| given(value)) {
        Some(value) => checked(&labels.display().to_string(), &value),
        None => Err(WorkerUnknown(format!(
            "which worker is this? Pass a name, set SLUICE_WORKER or WORKER_ID, or mount the pod's labels at {} with \
             the label {}",
            labels.display(),
            names::WORKER
        ))),
    }
}

/// A worker's name is a segment of a key.
fn checked(origin: &str, name: &str) -> Result<String, WorkerUnknown> {
    let family = Key::parse("w").and_then(|family| family.child(name));
    match family {
        Ok(_) => Ok(name.to_owned()),
        Err(why) => Err(WorkerUnknown(format!(
            "{origin} names the worker {}: {why}",
            crate::api::key::quoted(name)
        ))),
    }
}

/// The worker in a file of the downward API: a label a line, as in `key="value"`.
fn label(file: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let opened = std::fs::File::open(file).ok()?;
    opened
        .take(LABELS_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    let line = |line: &str| {
        Some(
            line.strip_prefix(names::WORKER)?
                .strip_prefix('=')?
                .to_owned(),
        )
    };
    let value = text.lines().find_map(line)?;
    let value = value.trim();
    Some(
        value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value)
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> PathBuf {
        PathBuf::from("/nonexistent/labels")
    }

    #[test]
    fn the_argument_then_variables_then_the_label() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("labels");
        std::fs::write(
            &file,
            "app=\"web\"\nsluice.dev/worker-group=\"g\"\nsluice.dev/worker=\"w4\"\n",
        )
        .unwrap();
        let both = |name: &str| match name {
            "SLUICE_WORKER" => Some("w2".to_owned()),
            "WORKER_ID" => Some("w3".to_owned()),
            _ => None,
        };
        let second = |name: &str| (name == "WORKER_ID").then(|| "w3".to_owned());
        let empty = |_: &str| Some(String::new());
        assert_eq!(worker_name(Some("w1"), both, &file).unwrap(), "w1");
        assert_eq!(worker_name(None, both, &file).unwrap(), "w2");
        assert_eq!(worker_name(None, second, &file).unwrap(), "w3");
        assert_eq!(worker_name(Some(""), empty, &file).unwrap(), "w4");
    }

    #[test]
    fn nobody_knows() {
        let error = worker_name(None, |_| None, &nowhere()).unwrap_err();
        assert!(error.to_string().contains("SLUICE_WORKER"), "{error}");
        let error = worker_name(Some("A100"), |_| None, &nowhere()).unwrap_err();
        assert!(error.to_string().contains("\"A100\""), "{error}");
    }
}
