//! Reads what a pod asks for. Written anew from DESIGN.md section 2, so that an error of the product's parser cannot
//! hide itself: it is small because it may refuse with one word. Tested here.

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
