//! What a failed test says of its cluster.

use std::fmt::Write as _;
use std::path::Path;

use super::world::Scene;

/// How many of the last lines of a controller's log are shown.
const LOG_LINES: usize = 60;
/// How much of a table is shown, in characters.
const TABLE_CHARACTERS: usize = 12_000;

/// The tables a person would look at, and the end of each controller's log.
pub(super) fn state(scene: &Scene) -> String {
    let mut text = String::new();
    for namespace in &scene.namespaces {
        for arguments in [
            &["get", "climit,lock,sclaim,pods,jobs", "-o", "wide"][..],
            &[
                "get",
                "climit,lock",
                "-o",
                "jsonpath={range .items[*]}{.metadata.name} {.status}{\"\\n\"}{end}",
            ],
            &[
                "get",
                "events",
                "--sort-by=.metadata.creationTimestamp",
                "-o",
                "jsonpath={range .items[*]}{.involvedObject.name} {.reason}: {.message}{\"\\n\"}{end}",
            ],
        ] {
            let all = [&["-n", namespace], arguments].concat();
            let table = match scene.stage.plane().kubectl(&all).map(|mut it| it.output()) {
                Ok(Ok(output)) => [output.stdout, output.stderr].concat(),
                _ => b"no answer".to_vec(),
            };
            let table: String = String::from_utf8_lossy(&table)
                .chars()
                .take(TABLE_CHARACTERS)
                .collect();
            let _ = writeln!(
                text,
                "--- {namespace}: kubectl {} {}\n{table}",
                arguments[0], arguments[1]
            );
        }
    }
    for controller in scene.controllers.borrow_mut().iter_mut() {
        let ended = controller
            .ended()
            .map_or_else(|| "running".to_owned(), |it| it.to_string());
        let log = controller.log();
        let _ = writeln!(
            text,
            "--- controller ({ended}), end of {}:\n{}",
            log.display(),
            tail(log)
        );
    }
    text
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
