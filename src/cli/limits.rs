//! `sluice limits`: all limits and locks, as their statuses count.

use super::look::{Scope, pools, rows};
use super::output::Output;
use super::{CliError, output};

/// Arguments of `sluice limits`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sluice limits                                  of the current namespace
  sluice limits -A                               of every namespace
  sluice limits -A -o json | jq '.items[] | select(.waiting > 0) | .key'")]
pub(super) struct Arguments {
    /// Those of every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let server = arguments.scope.open().await?;
    let namespace = (!arguments.all_namespaces).then_some(server.namespace.as_str());
    let mut found = pools::list_both(&server.client, namespace).await?;
    found.sort_by(|left, right| {
        (&left.key.namespace, left.key.kind, &left.key.name).cmp(&(
            &right.key.namespace,
            right.key.kind,
            &right.key.name,
        ))
    });
    let items: Vec<rows::PoolRow> = found.iter().map(rows::pool).collect();
    let nothing = items.is_empty() && arguments.output.format == output::Format::Table;
    if nothing {
        let place = namespace.map_or_else(String::new, |it| format!(" in namespace {it}"));
        output::warn(&[format!(
            "there is no limit and no lock{place}; `sluice create gpu --slots 3` makes one"
        )]);
        return Ok(());
    }
    arguments.output.list(&items, &[], || {
        rows::pool_table(&items, namespace.is_none())
    })
}
