//! The tables of cases, `tests/cases/crd_rules.yaml` and `claim_rules.yaml`, and their short forms written out.

use serde::Deserialize;
use serde_json::{Value, json};

/// A row of the table; the file says what each field means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) story: String,
    pub(super) rule: Option<String>,
    /// Not written in the table of claims, which has no other kind.
    #[serde(default)]
    pub(super) kinds: Vec<Kind>,
    pub(super) name: Option<String>,
    pub(super) spec: Option<Value>,
    #[serde(default)]
    pub(super) steps: Vec<Value>,
    pub(super) verdict: Verdict,
    pub(super) message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Limit,
    Lock,
    Claim,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Limit, Self::Lock, Self::Claim];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Accepted,
    Refused,
}

pub(super) fn cases() -> Vec<Case> {
    let read =
        |text| -> Vec<Case> { serde_yaml::from_str(text).expect("the table has the form it says") };
    let mut cases = read(include_str!("../../cases/crd_rules.yaml"));
    for mut case in read(include_str!("../../cases/claim_rules.yaml")) {
        case.kinds = vec![Kind::Claim];
        cases.push(case);
    }
    cases
}

/// Changes a value as a JSON merge patch does, which is how the table of claims writes a step.
pub(super) fn merge(value: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (name, change) in fields {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut value[name], change);
        }
    }
}

/// Writes out what the table has in short.
pub(super) fn status(kind: Kind, step: &Value) -> Value {
    let mut status = step.clone();
    status["schema"] = json!(1);
    for list in ["leases", "adopted"] {
        status[list] = match &step[list] {
            Value::String(many) => {
                let (count, from) = many.split_once(" from ").unwrap();
                let (count, from): (u32, u32) = (count.parse().unwrap(), from.parse().unwrap());
                (from..from + count)
                    .map(|number| lease(kind, &format!("u{number:035}@1")))
                    .collect()
            }
            short => short
                .as_array()
                .into_iter()
                .flatten()
                .map(|l| lease(kind, l.as_str().unwrap()))
                .collect(),
        };
    }
    status
}

fn lease(kind: Kind, short: &str) -> Value {
    let (holder, token) = short.split_once('@').unwrap();
    let (uid, amount) = holder
        .split_once('=')
        .map_or((holder, None), |(uid, amount)| (uid, Some(amount)));
    let mut lease = json!({
        "uid": uid, "kind": "Pod", "name": format!("pod-{uid}"), "token": token.parse::<i64>().unwrap(),
        "attempt": 0, "grantedAt": "2026-11-21T10:00:00Z",
    });
    match kind {
        Kind::Limit => lease["slots"] = json!(amount.unwrap_or("1").parse::<i64>().unwrap()),
        Kind::Lock => lease["mode"] = json!(amount.unwrap_or("Shared")),
        Kind::Claim => unreachable!("a claim has no leases"),
    }
    lease
}
