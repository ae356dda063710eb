//! `sluice holders`: who holds a limit or lock, as its status says, with what the pods and claims say of themselves.

use super::CliError;
use super::look::request::{self, Facts, Places};
use super::look::{Named, Scope, pools, rows};
use super::output::{self, Format, Output};
use crate::ledger::{HolderKind, Micros};

/// Arguments of `sluice holders`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice holders gpu
  sluice holders gpu:worker-1 -n team
  sluice holders lock/deploy -o json | jq -r '.items[].name'")]
pub(super) struct Arguments {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let target = arguments.named.target(&server.namespace)?;
    let pool = pools::read(target.kind, pools::get(&server, &target).await?);
    let entries = || pool.status.read().into_iter().flat_map(|it| it.entries());
    let places = |kind| -> Places {
        let of_kind = entries().filter(|it| it.kind == kind);
        of_kind
            .map(|it| (it.uid.clone(), (it.namespace.clone(), it.name.clone())))
            .collect()
    };
    let mut facts = Facts::new();
    let mut notes = Vec::new();
    for kind in [HolderKind::Pod, HolderKind::Claim] {
        let places = places(kind);
        let known = request::facts(&server.client, kind, &places).await;
        if known.len() < places.len() {
            let word = request::word(kind);
            notes.push(format!(
                "some {word}s may not be read; their phases are not known"
            ));
        }
        facts.extend(known);
    }
    let is_family = pool.spec.read().is_some_and(|it| it.family.is_some());
    if is_family {
        notes.push(format!(
            "{target} is a family: its workers' limits are held, `sluice get {}` lists them",
            target.short()
        ));
    }
    let items = rows::holders(&pool, &facts);
    if items.is_empty() && arguments.output.format == Format::Table {
        output::warn(&notes);
        return output::say(&format!("nobody holds {target}"));
    }
    let now = Micros(server.clock.micros());
    arguments
        .output
        .list(&items, &notes, || rows::holder_table(&pool, &items, now))
}
