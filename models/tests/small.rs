//! Every small configuration shows what it has to show, and the documented numbers are the true ones.

use sluice_models::{Configuration, Expected, Size, configurations, story};

/// Searches all small configurations of one model; the failure says which of them, and how.
fn search(model: &str) {
    let all = configurations();
    let chosen: Vec<&Configuration> = all
        .iter()
        .filter(|it| it.size == Size::Small && it.name.starts_with(&format!("{model}/")))
        .collect();
    assert!(
        chosen.len() > 2,
        "{model} has a protocol and wrong variants"
    );
    let failures: Vec<String> = chosen
        .into_iter()
        .filter_map(|it| Some(format!("{}: {}", it.name, it.judge(&it.run(1)).err()?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn grant() {
    search("grant");
}

#[test]
fn resume() {
    search("resume");
}

#[test]
fn recreate() {
    search("recreate");
}

#[test]
fn pods() {
    search("pods");
}

#[test]
fn election() {
    search("election");
}

/// A wrong variant that is taken for the protocol fails, and so does the protocol that is taken for a
/// wrong variant, a counterexample of another length, and a state space beyond its bound.
#[test]
fn the_judge_can_say_no() {
    let all = configurations();
    let named = |name: &str| {
        let mut found = all.iter().filter(|it| it.name == name);
        found.next().unwrap_or_else(|| panic!("{name} is there"))
    };
    let protocol = named("grant/two requests");
    let wrong = named("grant/room not looked for again");
    let holds = protocol.run(1);
    let breaks = wrong.run(1);
    assert!(
        protocol
            .judge(&breaks)
            .is_err_and(|why| why.contains("breaks \"invariant 1"))
    );
    assert!(
        wrong
            .judge(&holds)
            .is_err_and(|why| why.contains("does not break"))
    );

    let mut longer = breaks.clone();
    longer.counterexamples[0].steps.push("one more".to_owned());
    assert!(
        wrong
            .judge(&longer)
            .is_err_and(|why| why.contains("steps, not in"))
    );
    assert!(story(&longer.counterexamples[0]).contains("one more"));

    let mut unreached = holds.clone();
    unreached.unreached.push("something");
    assert!(
        protocol
            .judge(&unreached)
            .is_err_and(|why| why.contains("never reaches"))
    );

    let mut large = holds.clone();
    large.unique_states = sluice_models::SMALL_STATES_MAX + 1;
    assert!(
        protocol
            .judge(&large)
            .is_err_and(|why| why.contains("more than"))
    );

    let mut stopped = holds;
    stopped.complete = false;
    assert!(
        protocol
            .judge(&stopped)
            .is_err_and(|why| why.contains("was stopped"))
    );
}

/// README.md has one row for each configuration: ``| `name` | … |``, with the steps of wrong variants.
#[test]
fn the_readme_tells_the_same() {
    let readme = include_str!("../README.md");
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for configuration in configurations() {
        let name = format!("`{}`", configuration.name);
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("README.md has a row for {name}"));
        if let Expected::Breaks { steps, .. } = configuration.expected {
            assert_eq!(row.last(), Some(&steps.to_string().as_str()), "{name}");
        }
    }
    assert_eq!(rows.len(), configurations().len(), "rows of README.md");
}
