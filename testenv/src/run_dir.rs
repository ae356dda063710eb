//! The directory of one run: logs, certificates, kubeconfigs and etcd's data.
//!
//! It is removed when the run ends well. It is kept and named on stderr when a test panicked or a component died.
//! A run that was killed cannot clean up: the next one removes what dead runs left, but for the last few
//! that were marked to be kept. A run is dead when nobody holds its lock, which the kernel drops with the process.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use crate::error::{Error, Result};

const PREFIX: &str = "sluice-testenv-run-";
const LOCK: &str = "alive.lock";
const KEEP: &str = "keep";
/// How many directories of failed runs stay.
const KEPT_RUNS: usize = 5;

/// Directories of runs that are under way in this process, for the panic hook.
static ACTIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// The directory of one run.
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    pub(crate) fn create() -> Result<Self> {
        remove_dead_runs(&std::env::temp_dir());
        let path = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .map_err(Error::io("create a temporary directory"))?
            .keep();
        // Locked before it has its name: in between, another run would take this one for dead.
        let unnamed = path.join("starting.lock");
        let lock =
            File::create(&unnamed).map_err(Error::io(format!("create {}", unnamed.display())))?;
        lock.lock()
            .and_then(|()| fs::rename(&unnamed, path.join(LOCK)))
            .map_err(Error::io(format!("lock {}", path.display())))?;
        active().push(path.clone());
        HOOK.call_once(name_logs_on_panic);
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps this directory when the run ends, and says why and where it is, once.
    pub(crate) fn keep(&self, reason: &str) {
        if self.path.join(KEEP).exists() {
            return;
        }
        mark(&self.path);
        let _ = writeln!(
            std::io::stderr(),
            "{reason}: logs of the control plane are kept in {}",
            self.path.display()
        );
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        active().retain(|path| path != &self.path);
        if !self.path.join(KEEP).exists() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn active() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    ACTIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn mark(path: &Path) {
    let _ = fs::write(path.join(KEEP), "");
}

/// Makes a failing test say where the logs are: a shared control plane is still running when one of its tests panics.
fn name_logs_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        for path in active().iter() {
            mark(path);
            // The macro, so that a test harness which captures output shows it with the failed test.
            eprintln!("logs of the control plane: {}", path.display());
        }
    }));
}

/// Removes the directories of runs whose process is gone, but for the newest kept ones.
fn remove_dead_runs(parent: &Path) {
    let mut kept = Vec::new();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // Without a lock file a run may just be starting.
        let Ok(lock) = File::open(path.join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        match fs::metadata(path.join(KEEP)).and_then(|keep| keep.modified()) {
            Ok(when) => kept.push((when, path)),
            Err(_) => drop(fs::remove_dir_all(&path)),
        }
    }
    kept.sort_unstable();
    let surplus = kept.len().saturating_sub(KEPT_RUNS);
    for (_, path) in kept.into_iter().take(surplus) {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(parent: &Path, name: &str, keep: bool) -> PathBuf {
        let path = parent.join(format!("{PREFIX}{name}"));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(LOCK), "").unwrap();
        if keep {
            mark(&path);
        }
        path
    }

    #[test]
    fn dead_runs_go_and_living_ones_stay() {
        let parent = tempfile::tempdir().unwrap();
        let dead = run(parent.path(), "dead", false);
        let failed = run(parent.path(), "failed", true);
        let living = run(parent.path(), "living", false);
        let lock = File::create(living.join(LOCK)).unwrap();
        lock.lock().unwrap();
        let foreign = parent.path().join("foreign");
        fs::create_dir_all(&foreign).unwrap();

        remove_dead_runs(parent.path());

        assert!(!dead.exists());
        assert!(failed.exists() && living.exists() && foreign.exists());
    }

    #[test]
    fn only_a_few_failed_runs_are_kept() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            run(parent.path(), name, true);
        }
        remove_dead_runs(parent.path());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), KEPT_RUNS);
    }
}
