//! What operators do to the store: compact it, take a backup, and put an old one back.
//!
//! A backup is a copy of etcd's data directory while etcd is frozen: what lies on disk then is what a SIGKILL at that
//! moment would leave, from which etcd recovers by itself. Tested in `tests/it/faults.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::component::Component;
use crate::control_plane::ControlPlane;
use crate::error::{Error, Result};

/// A backup of the store.
#[derive(Clone, Debug)]
pub struct Snapshot {
    directory: PathBuf,
}

impl ControlPlane {
    /// Gives the store's present revision.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn revision(&self) -> Result<i64> {
        // Any read tells it; this one finds nothing.
        let answer = self
            .call_etcd("/v3/kv/range", &json!({"key": "AA=="}))
            .await?;
        let revision = answer.pointer("/header/revision").and_then(Value::as_str);
        revision.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let reason = format!("its answer has none: {answer}");
            Error::io("read the revision of etcd")(std::io::Error::other(reason))
        })
    }

    /// Makes the store forget what was before this revision. Whoever needs it has read it.
    ///
    /// # Errors
    /// When etcd does not answer, or has compacted later revisions already.
    pub async fn compact(&self, revision: i64) -> Result<()> {
        let body = json!({"revision": revision.to_string()});
        self.call_etcd("/v3/kv/compaction", &body).await.map(drop)
    }

    /// Takes a backup of the store, which stands still meanwhile.
    ///
    /// # Errors
    /// When etcd is not running or its files cannot be copied.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let directory = self.new_file("snapshot");
        self.pause(Component::Etcd)?;
        let copied = copy(&self.store_directory(), &directory);
        self.resume(Component::Etcd)?;
        copied?;
        Ok(Snapshot { directory })
    }

    /// Puts a backup back as operators do: everything is ended (SIGKILL), the store's data replaced, and everything
    /// started again. Gives the revision of the backup, after which history begins anew.
    ///
    /// What else keeps a view of the store (fake nodes, controllers, clients that watch) is for the caller to end before.
    ///
    /// # Errors
    /// When the files cannot be copied or something does not come up; the error names its log.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<i64> {
        for component in Component::ALL.iter().rev() {
            if let Some(process) = self.processes.get(component) {
                process.kill()?;
            }
        }
        let store = self.store_directory();
        fs::remove_dir_all(&store).map_err(Error::io(format!("remove {}", store.display())))?;
        copy(&snapshot.directory, &store)?;
        self.start_component(Component::Etcd).await?;
        let revision = self.revision().await?;
        for component in Component::ALL {
            if self.processes.contains_key(&component) {
                self.start_component(component).await?;
            }
        }
        Ok(revision)
    }

    fn store_directory(&self) -> PathBuf {
        PathBuf::from(self.layout.file("etcd"))
    }
}

impl Snapshot {
    /// Removes its files.
    pub fn discard(self) {
        // The run's directory goes at the end anyhow.
        let _ = fs::remove_dir_all(self.directory);
    }
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || Error::io(format!("copy {} to {}", from.display(), to.display()));
    fs::create_dir_all(to).map_err(failed())?;
    for entry in fs::read_dir(from).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(failed())?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(failed())?;
        }
    }
    Ok(())
}
