//! Which namespaces a pool serves: the shape of Gateway API's `allowedRoutes`.
//!
//! A pure predicate; a namespace that is not known has no labels and matches only what asks for none.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::Name;

/// Namespaces whose requests a pool serves. Its own is always among them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Admits {
    /// Only its own.
    Same,
    /// Every one.
    All,
    /// Those whose labels meet every requirement.
    Selector(Vec<Requirement>),
}

/// One requirement on a namespace's labels.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Requirement {
    /// The label.
    pub label: Name,
    /// What must be true of it.
    pub operator: Operator,
}

/// What must be true of a label.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Operator {
    /// It has one of these values.
    In(BTreeSet<Name>),
    /// It has none of these values, or is absent.
    NotIn(BTreeSet<Name>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// Labels by namespace.
pub(super) type NamespaceLabels = BTreeMap<Name, BTreeMap<Name, Name>>;

impl Admits {
    /// Whether a pool in `own` serves a request in `from`.
    pub(super) fn admits(&self, own: &Name, from: &Name, labels: &NamespaceLabels) -> bool {
        if own == from {
            return true;
        }
        match self {
            Self::Same => false,
            Self::All => true,
            Self::Selector(requirements) => {
                let Some(labels) = labels.get(from) else {
                    return false;
                };
                requirements
                    .iter()
                    .all(|requirement| requirement.meets(labels))
            }
        }
    }
}

impl Requirement {
    fn meets(&self, labels: &BTreeMap<Name, Name>) -> bool {
        let value = labels.get(&self.label);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_needs_every_requirement_and_a_known_namespace() {
        let labels = NamespaceLabels::from([
            (
                "team".into(),
                BTreeMap::from([("tier".into(), "gold".into())]),
            ),
            ("bare".into(), BTreeMap::new()),
        ]);
        let gold = Requirement {
            label: "tier".into(),
            operator: Operator::In(["gold".into()].into()),
        };
        let free = Requirement {
            label: "frozen".into(),
            operator: Operator::DoesNotExist,
        };
        let rule = Admits::Selector(vec![gold, free]);
        let own = "home".into();
        assert!(rule.admits(&own, &"team".into(), &labels));
        assert!(!rule.admits(&own, &"bare".into(), &labels));
        assert!(!rule.admits(&own, &"unknown".into(), &labels));
        assert!(rule.admits(&own, &own, &labels));
        assert!(!Admits::Same.admits(&own, &"team".into(), &labels));
        assert!(Admits::All.admits(&own, &"team".into(), &labels));
    }
}
