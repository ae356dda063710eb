//! Which object serves an entry of a request: the one of its name, or, where that is a family, the one of the pod's
//! worker. Tested through the rules.

use std::collections::BTreeMap;

use super::claim::Claim;
use super::grammar::{Mention, is_segment, mentions};
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
    resolved(world, &pod.labels, mentions)
}

/// Resolves what a pod takes for a rate; says why it cannot.
pub(super) fn rates(world: &World, pod: &Pod) -> Result<BTreeMap<ObjectRef, Want>, String> {
    let mentions = mentions(&pod.namespace, pod.rates.as_deref(), None)?;
    resolved(world, &pod.labels, mentions)
}

/// Resolves what a claim asks for, which names the worker of a family itself; says why it cannot.
pub(super) fn claim_wants(
    world: &World,
    claim: &Claim,
) -> Result<BTreeMap<ObjectRef, Want>, String> {
    resolved(world, &BTreeMap::new(), claim.mentions.clone()?)
}

fn resolved(
    world: &World,
    labels: &BTreeMap<String, String>,
    mentions: Vec<Mention>,
) -> Result<BTreeMap<ObjectRef, Want>, String> {
    let mut wants: BTreeMap<ObjectRef, Want> = BTreeMap::new();
    for (named, amount) in mentions {
        let (place, family) = serving(world, labels, named)?;
        wants
            .entry(place)
            .and_modify(|want| want.amount = want.amount.merged(amount))
            .or_insert(Want { amount, family });
    }
    Ok(wants)
}

fn serving(
    world: &World,
    labels: &BTreeMap<String, String>,
    named: ObjectRef,
) -> Result<(ObjectRef, Option<ObjectRef>), String> {
    let Some(pool) = world.pool(&named) else {
        let family = family_of_missing(world, &named);
        return Ok((named, family));
    };
    let Some(label) = &pool.family_label else {
        return Ok((named, None));
    };
    let worker = labels
        .get(label)
        .ok_or_else(|| format!("no label {label} says which worker of family {named} it is for"))?;
    if !is_segment(worker) {
        return Err(format!(
            "label {label}={worker} names no worker of family {named}"
        ));
    }
    let name = format!("{}--{worker}", named.name);
    let child = ObjectRef::new(named.kind, named.namespace.clone(), name);
    let incarnations = world.places.get(&named).map(|it| &it.incarnations);
    let is_ours = |uid: &String| incarnations.is_some_and(|it| it.contains_key(uid));
    match world.pool(&child) {
        Some(foreign) if !foreign.owners.iter().any(is_ours) => {
            Err(format!("{child} is none of family {named}"))
        }
        _ => Ok((child, Some(named))),
    }
}

/// The family that has to make this limit, where it is missing and named as one of its workers.
fn family_of_missing(world: &World, named: &ObjectRef) -> Option<ObjectRef> {
    let (family, _) = named.name.rsplit_once("--")?;
    let family = ObjectRef::new(named.kind, named.namespace.clone(), family);
    let is_family = world.pool(&family)?.family_label.is_some();
    is_family.then_some(family)
}
