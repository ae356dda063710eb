//! A directory of built programs that outlives `cargo clean`.
//!
//! An entry is complete or absent: it is built beside its place and moved there by one rename. A lock makes processes
//! that need the same entry build it once.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::progress;
use crate::error::{Error, Result};

/// Gives the directory of all entries.
fn root() -> Result<PathBuf> {
    let from = |variable: &str| {
        std::env::var_os(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("SLUICE_TESTENV_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("sluice-testenv")))
        .or_else(|| from("HOME").map(|home| home.join(".cache/sluice-testenv")))
        .ok_or_else(|| {
            Error::io("find a place to keep built programs: set SLUICE_TESTENV_CACHE")(
                std::io::Error::from(std::io::ErrorKind::NotFound),
            )
        })
}

/// Gives the directory of entry `key`; when it is absent, `build` fills an empty directory that becomes it.
pub(super) fn entry(key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    entry_in(&root()?, key, build)
}

fn entry_in(root: &Path, key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let place = root.join(key);
    if place.is_dir() {
        return Ok(place);
    }
    fs::create_dir_all(root).map_err(Error::io(format!("create {}", root.display())))?;
    let _lock = lock(&root.join(format!("{key}.lock")), key)?;
    if place.is_dir() {
        return Ok(place);
    }
    // With the lock held, whatever lies here was left by a build that was killed.
    let building = root.join(format!("{key}.building"));
    let _ = fs::remove_dir_all(&building);
    fs::create_dir(&building).map_err(Error::io(format!("create {}", building.display())))?;
    build(&building)?;
    fs::rename(&building, &place).map_err(Error::io(format!("create {}", place.display())))?;
    Ok(place)
}

fn lock(path: &Path, key: &str) -> Result<File> {
    let file = File::create(path).map_err(Error::io(format!("create {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            progress::line(&format!("waiting for another process that builds {key}"));
        }
        Err(TryLockError::Error(source)) => {
            return Err(Error::io(format!("lock {}", path.display()))(source));
        }
    }
    file.lock()
        .map_err(Error::io(format!("lock {}", path.display())))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn parallel_users_build_an_entry_once() {
        let root = tempfile::tempdir().unwrap();
        let builds = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let place = entry_in(root.path(), "tool", |directory| {
                        builds.fetch_add(1, Ordering::SeqCst);
                        fs::write(directory.join("file"), "content").unwrap();
                        Ok(())
                    })
                    .unwrap();
                    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "content");
                });
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_build_leaves_no_entry() {
        let root = tempfile::tempdir().unwrap();
        let failed = entry_in(root.path(), "tool", |directory| {
            fs::write(directory.join("half"), "").unwrap();
            Err(Error::NoAssets)
        });
        assert!(failed.is_err());
        let place = entry_in(root.path(), "tool", |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    }
}
