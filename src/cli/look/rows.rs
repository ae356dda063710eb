//! What is shown of a limit or lock, and of who holds it. Pure functions from objects to rows; the names of their
//! fields are what programs read with `-o json`, and stay. Tested below.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::request::{self, Facts};
use super::words;
use crate::cli::table::{Cell, Table, Tone};
use crate::ledger::{Amount, HolderKind, Lease, Micros, Mode, PoolKind, PoolObject};

/// A limit or lock in a few words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct PoolRow {
    /// `limit` or `lock`.
    pub(in crate::cli) kind: &'static str,
    /// Namespace of the object.
    pub(in crate::cli) namespace: String,
    /// Its key, as annotations name it.
    pub(in crate::cli) key: String,
    /// Name of the object.
    pub(in crate::cli) name: String,
    /// Slots there are; with `perWorker` for each worker. Not for a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) slots: Option<u64>,
    /// It is a family: each worker has a limit of its own.
    pub(in crate::cli) per_worker: bool,
    /// Slots of a limit that are held, or holders of a lock; holders that do not fit are counted.
    pub(in crate::cli) in_use: u64,
    /// Requests that wait; up to five seconds old.
    pub(in crate::cli) waiting: i64,
    /// `Active`, `Paused` or `Disabled`; absent when the spec cannot be understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) mode: Option<&'static str>,
    /// Status of the condition `Ready`; absent when no controller has written it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) ready: Option<bool>,
    /// Reason of that condition.
    pub(in crate::cli) reason: String,
    /// Message of that condition, or what is wrong with the object.
    pub(in crate::cli) message: String,
}

/// One who holds something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct HolderRow {
    /// What the holder is: `Pod` or `SlotClaim`.
    pub(in crate::cli) kind: &'static str,
    /// Its namespace.
    pub(in crate::cli) namespace: String,
    /// Its name.
    pub(in crate::cli) name: String,
    /// Its uid.
    pub(in crate::cli) uid: String,
    /// Slots it holds. Not of a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) slots: Option<u32>,
    /// `exclusive` or `shared`. Only of a lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) mode: Option<String>,
    /// Since when.
    pub(in crate::cli) since: String,
    /// Its fencing token; 0 when it was never told one.
    pub(in crate::cli) token: u64,
    /// Attempt of the request that was granted.
    pub(in crate::cli) attempt: String,
    /// It was found running and does not fit: it keeps new grants away.
    pub(in crate::cli) adopted: bool,
    /// Phase of the pod, `Terminating`, `Gated` (its grant is under way); phase of the claim, `Releasing` (it was given
    /// back); `Gone`. Absent when it may not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) phase: Option<String>,
    /// Who holds, in the words of the claim (its `spec.holder`). Not of a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) holder: Option<String>,
}

/// What is shown of a limit or lock.
pub(in crate::cli) fn pool(pool: &PoolObject) -> PoolRow {
    let spec = pool.spec.read();
    let status = pool.status.read();
    let ready = status.and_then(|it| it.conditions.get("Ready"));
    let broken = match (&pool.spec, &pool.status) {
        (crate::ledger::Part::Broken(why), _) => format!("spec: {why}"),
        (_, crate::ledger::Part::Broken(why)) => format!("status: {why}"),
        _ => "no controller has looked at it yet".to_owned(),
    };
    PoolRow {
        kind: super::Kind::of(pool.key.kind).word(),
        namespace: pool.key.namespace.to_string(),
        key: pool.key.text(),
        name: pool.key.name.to_string(),
        slots: spec
            .filter(|_| pool.key.kind == PoolKind::Limit)
            .map(|spec| spec.capacity),
        per_worker: spec.is_some_and(|spec| spec.family.is_some()),
        in_use: in_use(pool),
        waiting: status.map_or(0, |it| it.waiting),
        mode: spec.map(|spec| words::mode(spec.mode)),
        ready: ready.map(|it| it.holds),
        reason: ready.map(|it| it.reason.to_string()).unwrap_or_default(),
        message: ready.map_or(broken, |it| it.message.to_string()),
    }
}

/// Slots of a limit that are held, or holders of a lock.
pub(in crate::cli) fn in_use(pool: &PoolObject) -> u64 {
    let status = pool.status.read();
    match pool.key.kind {
        PoolKind::Limit => status.map_or(0, |it| it.units()),
        PoolKind::Lock => status.map_or(0, |it| {
            u64::try_from(it.entries().count()).unwrap_or(u64::MAX)
        }),
    }
}

/// Limits and locks in a table; the namespace is shown where there may be several.
pub(in crate::cli) fn pool_table(rows: &[PoolRow], namespaces: bool) -> String {
    let heading = [
        "NAMESPACE",
        "KEY",
        "SLOTS",
        "IN-USE",
        "WAITING",
        "MODE",
        "READY",
        "REASON",
    ];
    let from = usize::from(!namespaces);
    let mut table = Table::new(heading.get(from..).unwrap_or_default());
    for row in rows {
        let cells = [
            row.namespace.as_str().into(),
            row.short().into(),
            row.slots_text().into(),
            Cell::toned(row.in_use.to_string(), row.load()),
            row.waiting.to_string().into(),
            mode_cell(row.mode),
            ready_cell(row.ready),
            row.reason.as_str().into(),
        ];
        table.row(cells.into_iter().skip(from));
    }
    table.render()
}

impl PoolRow {
    /// As commands take it.
    pub(in crate::cli) fn short(&self) -> String {
        match self.kind {
            "lock" => format!("lock/{}", self.key),
            _ => self.key.clone(),
        }
    }

    /// `3`, of a family `3/worker`, of a lock nothing.
    pub(in crate::cli) fn slots_text(&self) -> String {
        match self.slots {
            Some(slots) if self.per_worker => format!("{slots}/worker"),
            Some(slots) => slots.to_string(),
            None => "-".to_owned(),
        }
    }

    /// Full, over-full, or neither.
    pub(in crate::cli) fn load(&self) -> Tone {
        match self.slots {
            _ if self.per_worker => Tone::Plain,
            Some(slots) if self.in_use > slots => Tone::Bad,
            Some(slots) if self.in_use == slots && slots > 0 => Tone::Notable,
            Some(_) | None => Tone::Plain,
        }
    }
}

fn mode_cell(mode: Option<&'static str>) -> Cell {
    match mode {
        Some("Active") => "Active".into(),
        Some(other) => Cell::toned(other, Tone::Notable),
        None => Cell::toned("?", Tone::Bad),
    }
}

fn ready_cell(ready: Option<bool>) -> Cell {
    match ready {
        Some(true) => Cell::toned("True", Tone::Good),
        Some(false) => Cell::toned("False", Tone::Bad),
        None => Cell::toned("-", Tone::Faint),
    }
}

/// Everybody who holds something of a limit or lock, the oldest first.
pub(in crate::cli) fn holders(pool: &PoolObject, facts: &Facts) -> Vec<HolderRow> {
    let Some(status) = pool.status.read() else {
        return Vec::new();
    };
    let leases = status.leases.iter().map(|lease| (lease, false));
    let adopted = status.adopted.iter().map(|lease| (lease, true));
    let mut all: Vec<(&Lease, bool)> = leases.chain(adopted).collect();
    all.sort_by_key(|(lease, _)| (lease.granted_at, lease.token));
    let rows = all.into_iter().map(|(lease, adopted)| HolderRow {
        kind: request::kind(lease.kind),
        namespace: lease.namespace.to_string(),
        name: lease.name.to_string(),
        uid: lease.uid.to_string(),
        slots: match lease.amount {
            Amount::Slots(slots) | Amount::Rate(slots) => Some(slots),
            Amount::Shared | Amount::Exclusive => None,
        },
        mode: match lease.amount {
            Amount::Slots(_) | Amount::Rate(_) => None,
            mode => Some(words::amount(mode)),
        },
        since: words::time(lease.granted_at),
        token: lease.token.0,
        attempt: lease.attempt.to_string(),
        adopted,
        phase: facts.get(&lease.uid).map(|it| it.phase.clone()),
        holder: facts.get(&lease.uid).and_then(|it| it.holder.clone()),
    });
    rows.collect()
}

/// Holders in a table.
pub(in crate::cli) fn holder_table(pool: &PoolObject, rows: &[HolderRow], now: Micros) -> String {
    let what = match pool.key.kind {
        PoolKind::Limit => "SLOTS",
        PoolKind::Lock => "MODE",
    };
    let mut table = Table::new(&[
        "NAMESPACE",
        "NAME",
        what,
        "SINCE",
        "TOKEN",
        "ATTEMPT",
        "ADOPTED",
        "PHASE",
        if rows.iter().any(|it| it.holder.is_some()) {
            "HOLDER"
        } else {
            ""
        },
    ]);
    let since: BTreeMap<&str, Micros> = pool
        .status
        .read()
        .into_iter()
        .flat_map(|status| status.entries())
        .map(|lease| (lease.uid.as_str(), lease.granted_at))
        .collect();
    for row in rows {
        let amount = row.slots.map(|slots| slots.to_string());
        let then = since.get(row.uid.as_str()).copied().unwrap_or_default();
        table.row([
            row.namespace.as_str().into(),
            row.short().into(),
            amount
                .or_else(|| row.mode.clone())
                .unwrap_or_default()
                .into(),
            words::age(now, then).into(),
            row.token.to_string().into(),
            row.attempt.as_str().into(),
            match row.adopted {
                true => Cell::toned("yes", Tone::Bad),
                false => "no".into(),
            },
            match row.phase.as_deref() {
                Some("Gone") => Cell::toned("Gone", Tone::Notable),
                Some(phase) => phase.into(),
                None => Cell::toned("?", Tone::Faint),
            },
            row.holder.as_deref().unwrap_or_default().into(),
        ]);
    }
    table.render()
}

impl HolderRow {
    /// As commands take it.
    fn short(&self) -> String {
        match self.kind {
            "SlotClaim" => request::short(HolderKind::Claim, &self.name),
            _ => request::short(HolderKind::Pod, &self.name),
        }
    }
}

/// It grants nothing, whatever room there is, because somebody wants it so.
pub(in crate::cli) fn stands_still(pool: &PoolObject) -> Option<&'static str> {
    match pool.spec.read().map(|spec| spec.mode) {
        _ if pool.set_aside.is_some() => Some("in quarantine"),
        Some(Mode::Paused) => Some("paused"),
        Some(Mode::Disabled | Mode::Active) | None => None,
    }
}
