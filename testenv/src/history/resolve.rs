//! Which object serves an entry of a request: the one of its name, or, where that is a family, the one of the pod's
//! worker. Tested through the rules.

use std::collections::BTreeMap;

use super::grammar::{is_segment, mentions};
use super::pod::Pod;
use super::request::Amount;
use super::version::ObjectRef;
use super::world::World;

/// What a pod asks of one limit or lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// All its mentions together.
    pub(super) amount: Amount,
    /// The family it was named by.
    pub(super) family: Option<ObjectRef>,
}

/// Resolves what a pod asks for; says why it cannot.
pub(super) fn wants(world: &World, pod: &Pod) -> Result<BTreeMap<ObjectRef, Want>, String> {
    let mentions = mentions(&pod.namespace, pod.slots.as_deref(), pod.locks.as_deref())?;
    let mut wants: BTreeMap<ObjectRef, Want> = BTreeMap::new();
    for (named, amount) in mentions {
        let (place, family) = serving(world, pod, named)?;
        wants
            .entry(place)
            .and_modify(|want| want.amount = want.amount.merged(amount))
            .or_insert(Want { amount, family });
    }
    Ok(wants)
}

fn serving(
    world: &World,
    pod: &Pod,
    named: ObjectRef,
) -> Result<(ObjectRef, Option<ObjectRef>), String> {
    let Some(label) = world.pool(&named).and_then(|pool| pool.family_label.clone()) else {
        return Ok((named, None));
    };
    match pod.labels.get(&label) {
        Some(worker) if is_segment(worker) => {
            let name = format!("{}--{worker}", named.name);
            let child = ObjectRef::new(named.kind, named.namespace.clone(), name);
            Ok((child, Some(named)))
        }
        Some(worker) => Err(format!("label {label}={worker} names no worker of family {named}")),
        None => Err(format!("no label {label} says which worker of family {named} it is for")),
    }
}
