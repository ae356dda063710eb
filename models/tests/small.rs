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
        .filter_map(|it| Some(format!("{}: {}", it.name, failure(it)?)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with one configuration, or with what README.md says of it.
fn failure(configuration: &Configuration) -> Option<String> {
    let report = configuration.run(1);
    if let Err(why) = configuration.judge(&report) {
        return Some(why);
    }
    let states = report.unique_states.to_string();
    let row = row_of(configuration).unwrap_or_default();
    let told = configuration.expected != Expected::Holds || row.contains(&states.as_str());
    (!told).then(|| format!("has {states} states, README.md says otherwise"))
}

/// README.md has one row for each configuration: ``| `name` | … |``.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = include_str!("../README.md").lines();
    let rows = rows.filter(|line| line.starts_with("| `") && line.contains('/'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn row_of(configuration: &Configuration) -> Option<Vec<&'static str>> {
    let name = format!("`{}`", configuration.name);
    rows().into_iter().find(|row| row[0] == name)
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

#[test]
fn lease() {
    search("lease");
}

#[test]
fn ttl() {
    search("ttl");
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

/// Who runs a configuration, and in how many steps a wrong variant fails.
#[test]
fn the_readme_tells_the_same() {
    for configuration in configurations() {
        let row = row_of(&configuration).expect(configuration.name);
        match configuration.expected {
            Expected::Breaks { property, steps } => {
                assert_eq!(row[3], steps.to_string(), "{configuration:?}");
                assert!(property.ends_with(row[2]), "{configuration:?}: {}", row[2]);
            }
            Expected::Holds => {
                let run_by = match configuration.size {
                    Size::Small => "tests",
                    Size::Large => "command",
                };
                assert_eq!(row[2], run_by, "{configuration:?}");
            }
        }
    }
    assert_eq!(rows().len(), configurations().len(), "rows of README.md");
}
