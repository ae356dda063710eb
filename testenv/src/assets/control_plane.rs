//! Builds the multi-call control plane from the Go module beside this crate.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::{cache, go, progress};
use crate::error::{Error, Result};

/// The multi-call binary's file name in its cache directory; `kubectl` lies beside it.
pub(super) const BINARY: &str = "controlplane";
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane");
/// Processor minutes of a build from nothing, least and most measured.
const BUILD_MINUTES: (usize, usize) = (10, 18);
/// Characters of the sources' hash in a directory's name.
const HASH_LENGTH: usize = 16;

/// Gives the cache's directory with the control plane, building it first when it is missing.
pub(super) fn build() -> Result<PathBuf> {
    let sources = sources(Path::new(MODULE))?;
    let flags = build_flags(&sources)?;
    let key = format!("{BINARY}-{}", hash(&sources, &flags));
    cache::entry(&key, |directory| {
        progress::line(&format!(
            "building the control plane once, {}",
            go::estimate(BUILD_MINUTES.0, BUILD_MINUTES.1)
        ));
        let mut command = Command::new("go");
        command
            .arg("build")
            .args(&flags)
            .arg("-o")
            .arg(directory.join(BINARY))
            .arg(".")
            .current_dir(MODULE);
        go::run(&mut command, directory, "the control plane")?;
        write_kubectl(directory)
    })
}

/// Reads the module's sources in the order of their names.
fn sources(module: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let cannot_read = || format!("read {}", module.display());
    let mut sources = Vec::new();
    for entry in fs::read_dir(module).map_err(Error::io(cannot_read()))? {
        let entry = entry.map_err(Error::io(cannot_read()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "go.mod" || name == "go.sum" || name.ends_with(".go") {
            let content = fs::read(entry.path()).map_err(Error::io(cannot_read()))?;
            sources.push((name, content));
        }
    }
    sources.sort_unstable();
    Ok(sources)
}

/// The server reports v0.0.0-master unless it is told the version that go.mod asks for.
fn build_flags(sources: &[(String, Vec<u8>)]) -> Result<[String; 3]> {
    let version = sources
        .iter()
        .find(|(name, _)| name == "go.mod")
        .and_then(|(_, content)| kubernetes_version(&String::from_utf8_lossy(content)))
        .ok_or_else(|| {
            Error::io("find the version of k8s.io/kubernetes in go.mod")(std::io::Error::from(
                std::io::ErrorKind::InvalidData,
            ))
        })?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let set = "-X k8s.io/component-base/version";
    Ok([
        "-trimpath".to_owned(),
        "-ldflags".to_owned(),
        format!(
            "-s -w {set}.gitVersion={version} {set}.gitMajor={major} {set}.gitMinor={minor} {set}.gitTreeState=clean"
        ),
    ])
}

fn kubernetes_version(go_mod: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        line.trim()
            .strip_prefix("k8s.io/kubernetes ")
            .map(|version| version.trim().to_owned())
    })
}

fn hash(sources: &[(String, Vec<u8>)], flags: &[String]) -> String {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(bytes.len().to_le_bytes());
        hasher.update(bytes);
    };
    for (name, content) in sources {
        part(name.as_bytes());
        part(content);
    }
    for flag in flags {
        part(flag.as_bytes());
    }
    let digest = hasher.finalize();
    let mut text = String::new();
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(HASH_LENGTH);
    text
}

/// Writes a `kubectl` beside the binary; it finds the binary from where it lies itself, so the directory may be moved.
fn write_kubectl(directory: &Path) -> Result<()> {
    let path = directory.join("kubectl");
    let script = format!("#!/bin/sh\nexec \"$(dirname \"$0\")/{BINARY}\" kubectl \"$@\"\n");
    fs::write(&path, script)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .map_err(Error::io(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_go_mod() {
        let flags = build_flags(&sources(Path::new(MODULE)).unwrap()).unwrap();
        assert!(flags[2].contains("gitMajor=1 "), "{}", flags[2]);
        assert!(flags[2].contains(".gitVersion=v1."), "{}", flags[2]);
    }

    #[test]
    fn the_hash_sees_names_contents_and_flags() {
        let source = |name: &str, content: &str| vec![(name.to_owned(), content.into())];
        let flags = ["-a".to_owned()];
        let hashes = [
            hash(&source("a.go", "b"), &flags),
            hash(&source("a.gob", ""), &flags),
            hash(&source("a.go", "c"), &flags),
            hash(&source("a.go", "b"), &[]),
        ];
        for (index, left) in hashes.iter().enumerate() {
            assert_eq!(left.len(), HASH_LENGTH);
            assert!(!hashes[index + 1..].contains(left));
        }
    }
}
