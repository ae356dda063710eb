//! The documents say what is: every test that `docs/failures.md` or `docs/prefect.md` names as a proof exists, and
//! every document that a document links to is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder whose names end so.
pub(crate) fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
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

/// The tests that a document names by file, as in `src/ledger/end.rs::the_truth_table`.
fn tests_by_file(text: &str) -> Vec<(&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.split_once(".rs::"))
        .collect()
}

/// Those of them that are in no such file.
fn unknown_tests(text: &str, root: &Path) -> Vec<String> {
    let is_there = |file: &str, test: &str| {
        let text = std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
        text.contains(&format!("fn {test}("))
    };
    tests_by_file(text)
        .into_iter()
        .filter(|(file, test)| !is_there(file, test))
        .map(|(file, test)| format!("{file}.rs::{test}"))
        .collect()
}

#[test]
fn every_test_that_stands_for_one_of_prefects_exists() {
    let text = std::fs::read_to_string(root().join("docs/prefect.md")).unwrap();
    let named = tests_by_file(&text).len();
    assert!(named > 150, "only {named} tests are named");
    let unknown = unknown_tests(&text, root());
    assert!(
        unknown.is_empty(),
        "docs/prefect.md names tests that do not exist: {unknown:#?}"
    );
}

#[test]
fn a_made_up_test_is_noticed() {
    let text = "| a | `src/ledger/end.rs::the_truth_table`, `src/ledger/end.rs::the_truth` and \
                `src/ledger/ends.rs::the_truth_table` | `test_of_prefect` |";
    assert_eq!(
        unknown_tests(text, root()),
        [
            "src/ledger/end.rs::the_truth",
            "src/ledger/ends.rs::the_truth_table"
        ]
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
