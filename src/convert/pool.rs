//! From the spec of a limit or lock to the ledger's.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::spec::{self as api, AllowedNamespaces, FromNamespaces};
use crate::api::{ConcurrencyLimitSpec, Decay as ApiDecay, LockSpec};
use crate::ledger::{
    Admits, Decay, FamilySpec, LOCK_UNITS, Mode, Name, Operator, Order, PoolSpec, ReleasePolicy,
    Requirement, Span, Units,
};

/// What a limit asks for.
pub(crate) fn limit_spec(spec: ConcurrencyLimitSpec) -> Result<PoolSpec, String> {
    let capacity = Units::try_from(spec.slots).map_err(|_| negative("spec.slots", spec.slots))?;
    let family = spec.per_worker.map(|per_worker| {
        let overrides = per_worker.overrides.into_iter().map(|(worker, slots)| {
            let slots =
                u32::try_from(slots).map_err(|_| negative("spec.perWorker.overrides", slots))?;
            Ok((Name::from(worker), slots))
        });
        Ok::<_, String>(FamilySpec {
            label: per_worker.pod_label.into(),
            overrides: overrides.collect::<Result<_, String>>()?,
            workers_max: usize::try_from(per_worker.max_workers)
                .map_err(|_| negative("spec.perWorker.maxWorkers", per_worker.max_workers))?,
            idle: seconds("spec.perWorker.idleSeconds", per_worker.idle_seconds)?,
        })
    });
    Ok(PoolSpec {
        capacity,
        mode: mode(spec.mode),
        order: order(
            spec.order,
            seconds("spec.reserveAfterSeconds", spec.reserve_after_seconds)?,
        ),
        admits: admits(spec.allowed_namespaces)?,
        release: release(spec.release_policy, spec.settle_seconds)?,
        family: family.transpose()?,
        decay: spec.decay.map(decay).transpose()?,
        lease: lease(spec.lease_duration_seconds)?,
        lock_delay: seconds("spec.lockDelaySeconds", spec.lock_delay_seconds)?,
    })
}

/// What a lock asks for.
pub(crate) fn lock_spec(spec: LockSpec) -> Result<PoolSpec, String> {
    Ok(PoolSpec {
        capacity: LOCK_UNITS,
        mode: mode(spec.mode),
        order: order(spec.order, crate::ledger::bounds::LOCK_RESERVE_AFTER),
        admits: admits(spec.allowed_namespaces)?,
        release: release(spec.release_policy, spec.settle_seconds)?,
        family: None,
        decay: None,
        lease: lease(spec.lease_duration_seconds)?,
        lock_delay: seconds("spec.lockDelaySeconds", spec.lock_delay_seconds)?,
    })
}

fn lease(given: Option<i32>) -> Result<Option<Span>, String> {
    given
        .map(|it| seconds("spec.leaseDurationSeconds", it))
        .transpose()
}

fn decay(decay: ApiDecay) -> Result<Decay, String> {
    let slots =
        u32::try_from(decay.slots).map_err(|_| negative("spec.decay.slots", decay.slots))?;
    let period = seconds("spec.decay.perSeconds", decay.per_seconds)?;
    let slots_max = u32::try_from(api::MAX_SLOTS).unwrap_or(u32::MAX);
    let period_max = seconds("spec.decay.perSeconds", api::MAX_SECONDS)?;
    if slots == 0 || period == Span(0) || slots > slots_max || period > period_max {
        return Err(format!(
            "spec.decay: slots must be 1 to {slots_max}, perSeconds 1 to {}",
            api::MAX_SECONDS
        ));
    }
    Ok(Decay { slots, period })
}

fn negative(field: &str, value: i32) -> String {
    format!("{field} is {value}; it must not be negative")
}

fn seconds(field: &str, value: i32) -> Result<Span, String> {
    u64::try_from(value)
        .map(Span::seconds)
        .map_err(|_| negative(field, value))
}

fn mode(mode: api::Mode) -> Mode {
    match mode {
        api::Mode::Active => Mode::Active,
        api::Mode::Paused => Mode::Paused,
        api::Mode::Disabled => Mode::Disabled,
    }
}

fn order(order: api::Order, reserve_after: Span) -> Order {
    match order {
        api::Order::Strict => Order::Strict,
        api::Order::Backfill => Order::Backfill { reserve_after },
    }
}

fn release(policy: api::ReleasePolicy, settle_seconds: i32) -> Result<ReleasePolicy, String> {
    Ok(match policy {
        api::ReleasePolicy::Confirmed => ReleasePolicy::Confirmed,
        api::ReleasePolicy::Presumed => ReleasePolicy::Presumed {
            settle: seconds("spec.settleSeconds", settle_seconds)?,
        },
    })
}

fn admits(allowed: AllowedNamespaces) -> Result<Admits, String> {
    Ok(match allowed.from {
        FromNamespaces::Same => Admits::Same,
        FromNamespaces::All => Admits::All,
        FromNamespaces::Selector => {
            Admits::Selector(requirements(allowed.selector.unwrap_or_default())?)
        }
    })
}

fn requirements(selector: LabelSelector) -> Result<Vec<Requirement>, String> {
    let mut requirements = Vec::new();
    for (label, value) in selector.match_labels.into_iter().flatten() {
        let operator = Operator::In([Name::from(value)].into());
        requirements.push(Requirement {
            label: label.into(),
            operator,
        });
    }
    for expression in selector.match_expressions.into_iter().flatten() {
        let values: BTreeSet<Name> = expression
            .values
            .into_iter()
            .flatten()
            .map(Name::from)
            .collect();
        let operator = match expression.operator.as_str() {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                return Err(format!(
                    "spec.allowedNamespaces.selector has operator {other:?}"
                ));
            }
        };
        requirements.push(Requirement {
            label: expression.key.into(),
            operator,
        });
    }
    Ok(requirements)
}
