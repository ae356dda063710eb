//! The documents say what is: every test that `docs/failures.md` names as a proof exists, and every
//! document that a document links to is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
}

/// Names of all functions in the sources of the library, the tests and the test control plane.
fn functions() -> BTreeSet<String> {
    let mut sources = Vec::new();
    for folder in [
        "src",
        "tests",
        "testenv/src",
        "testenv/tests",
        "chaos/tests",
    ] {
        files(&root().join(folder), "rs", &mut sources);
    }
    let mut names = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        for line in text.lines() {
            if let Some((_, rest)) = line.split_once("fn ") {
                names.insert(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
            }
        }
    }
    names
}

#[test]
fn every_proof_that_is_named_exists() {
    let functions = functions();
    let text = std::fs::read_to_string(root().join("docs/failures.md")).unwrap();
    let named: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains("::") && !word.contains([' ', '…', '<']))
        .filter(|word| !word.ends_with("::"))
        .collect();
    assert!(named.len() > 40, "only {} proofs are named", named.len());
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|path| !functions.contains(path.rsplit("::").next().unwrap_or_default()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/failures.md names tests that do not exist: {missing:#?}"
    );
}

#[test]
fn every_link_leads_somewhere() {
    let mut documents = Vec::new();
    files(&root().join("docs"), "md", &mut documents);
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ] {
        documents.push(root().join(name));
    }
    let mut broken = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap().to_owned();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                broken.push(format!("{} -> {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
