//! Reads what a pod or a claim asks for. Written anew from DESIGN.md section 2, so that an error of the product's parser cannot
//! hide itself: it is small because it may refuse with one word. Tested here.

use serde_json::Value;

use super::request::Amount;
use super::version::{Kind, ObjectRef};

/// Most slots of one entry.
const WEIGHT_MAX: i64 = 1_000_000;

/// One entry of a request: the object that serves its key, before families are resolved, and how much of it.
pub(super) type Mention = (ObjectRef, Amount);

/// Reads both annotations of a pod in this namespace; says which entry is wrong.
pub(super) fn mentions(
    namespace: &str,
    slots: Option<&str>,
    locks: Option<&str>,
) -> Result<Vec<Mention>, String> {
    let entries = |text: Option<&str>| -> Vec<String> {
        let entries = text.into_iter().flat_map(|text| text.split(','));
        entries.map(|entry| entry.trim().to_owned()).collect()
    };
    let mut mentions = Vec::new();
    for entry in entries(slots) {
        let mention = limit(namespace, &entry);
        mentions.push(mention.ok_or_else(|| format!("slots entry {entry:?} cannot be read"))?);
    }
    for entry in entries(locks) {
        let mention = lock(namespace, &entry);
        mentions.push(mention.ok_or_else(|| format!("locks entry {entry:?} cannot be read"))?);
    }
    Ok(mentions)
}

/// Reads what the spec of a claim in this namespace asks for; says which entry is wrong.
pub(super) fn claim_mentions(namespace: &str, spec: &Value) -> Result<Vec<Mention>, String> {
    let list = |field: &str| {
        spec.get(field)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let mut mentions = Vec::new();
    for entry in list("slots") {
        let mention = claim_limit(namespace, entry);
        mentions.push(mention.ok_or_else(|| format!("slots entry {entry} cannot be read"))?);
    }
    for entry in list("locks") {
        let mention = claim_lock(namespace, entry);
        mentions.push(mention.ok_or_else(|| format!("locks entry {entry} cannot be read"))?);
    }
    Ok(mentions)
}

fn claim_limit(namespace: &str, entry: &Value) -> Option<Mention> {
    let key = entry.get("limit")?.as_str()?;
    let slots = entry.get("slots").map_or(Some(1), Value::as_i64)?;
    let key = match entry.get("worker").and_then(Value::as_str) {
        Some(worker) => format!("{key}:{worker}"),
        None => key.to_owned(),
    };
    let legal = (1..=WEIGHT_MAX).contains(&slots);
    legal.then_some((place(Kind::Limit, namespace, &key)?, Amount::Slots(slots)))
}

fn claim_lock(namespace: &str, entry: &Value) -> Option<Mention> {
    let amount = match entry.get("mode").and_then(Value::as_str) {
        Some("Shared") => Amount::Shared,
        Some("Exclusive") | None => Amount::Exclusive,
        Some(_) => return None,
    };
    let key = entry.get("lock")?.as_str()?;
    Some((place(Kind::Lock, namespace, key)?, amount))
}

fn limit(namespace: &str, entry: &str) -> Option<Mention> {
    let (key, weight) = match entry.split_once('=') {
        Some((key, weight)) => (key, weight.parse().ok()?),
        None => (entry, 1),
    };
    let weight_is_legal = (1..=WEIGHT_MAX).contains(&weight);
    weight_is_legal.then_some((place(Kind::Limit, namespace, key)?, Amount::Slots(weight)))
}

fn lock(namespace: &str, entry: &str) -> Option<Mention> {
    let (key, amount) = match entry.rsplit_once(':') {
        Some((key, "shared")) => (key, Amount::Shared),
        Some((key, "exclusive")) => (key, Amount::Exclusive),
        _ => (entry, Amount::Exclusive),
    };
    Some((place(Kind::Lock, namespace, key)?, amount))
}

fn place(kind: Kind, namespace: &str, key: &str) -> Option<ObjectRef> {
    let (namespace, key) = key.split_once('/').unwrap_or((namespace, key));
    let legal = !namespace.is_empty() && key.split(':').all(is_segment);
    legal.then(|| ObjectRef::new(kind, namespace, key.replace(':', "--")))
}

/// Whether a text may be a segment of a key, and so the name of a worker.
pub(super) fn is_segment(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| letter(*byte))
        && bytes.last().is_some_and(|byte| letter(*byte))
        && bytes
            .iter()
            .all(|byte| letter(*byte) || matches!(byte, b'-' | b'.'))
        && !text.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(slots: &str, locks: &str) -> Result<Vec<String>, String> {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let (slots, locks) = (slots.to_owned().leak(), locks.to_owned().leak());
        let mentions = mentions("ns", some(slots), some(locks))?;
        Ok(mentions
            .into_iter()
            .map(|(place, amount)| format!("{place} {amount}"))
            .collect())
    }

    #[test]
    fn requests_name_objects() {
        assert_eq!(
            read(
                " gpu=2,\tgpu:w-1 , licences/matlab",
                "schema:shared, tag:etl"
            )
            .unwrap(),
            [
                "limit ns/gpu 2 slots",
                "limit ns/gpu--w-1 1 slot",
                "limit licences/matlab 1 slot",
                "lock ns/schema shared",
                "lock ns/tag--etl exclusive",
            ]
        );
    }

    #[test]
    fn claims_name_objects() {
        let spec = serde_json::json!({
            "slots": [{"limit": "gpu", "worker": "w1", "slots": 2}, {"limit": "licences/matlab"}],
            "locks": [{"lock": "db", "mode": "Shared"}, {"lock": "door"}],
        });
        let told: Vec<String> = claim_mentions("ns", &spec)
            .unwrap()
            .into_iter()
            .map(|(place, amount)| format!("{place} {amount}"))
            .collect();
        assert_eq!(
            told,
            [
                "limit ns/gpu--w1 2 slots",
                "limit licences/matlab 1 slot",
                "lock ns/db shared",
                "lock ns/door exclusive",
            ]
        );
        for slots in [
            serde_json::json!([{"limit": "G"}]),
            serde_json::json!([{"limit": "g", "slots": 0}]),
        ] {
            assert!(claim_mentions("ns", &serde_json::json!({"slots": slots})).is_err());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for slots in [
            ",",
            "gpu=0",
            "gpu=1000001",
            "Gpu",
            "a--b",
            "-a",
            "a=b",
            "/a",
            "a:",
            "a b",
        ] {
            assert!(read(slots, "").is_err(), "{slots}");
        }
    }
}
