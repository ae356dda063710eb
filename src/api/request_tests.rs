//! The table of annotation cases, and properties of the parser.
#![cfg(feature = "cli")] // The table is YAML.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;

/// A row of `tests/cases/annotations.yaml`; that file says what each field means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    annotation: String,
    value: String,
    #[serde(default = "one")]
    times: usize,
    #[serde(default)]
    end: String,
    ok: Option<String>,
    error: Option<String>,
    #[serde(default = "yes")]
    policy: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Parses one annotation, beside a harmless request if it makes none itself.
fn parse_one(annotation: &str, value: &str) -> Result<RequestSpec, BadAnnotation> {
    let mut all = annotations(&[(annotation, value)]);
    if ![names::SLOTS, names::LOCKS].contains(&annotation) {
        all.insert(names::SLOTS.to_owned(), "gpu".to_owned());
    }
    parse(&all).map(|spec| spec.expect("it names something"))
}

/// Writes what was read from one annotation in the one form that the table uses.
fn canonical(annotation: &str, spec: &RequestSpec) -> String {
    match annotation {
        names::SLOTS | names::LOCKS => spec
            .mentions
            .iter()
            .map(Mention::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        names::RATE_LIMITS => spec
            .mentions
            .iter()
            .filter(|it| matches!(it.amount, Amount::Rate(_)))
            .map(Mention::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        names::TIMEOUT => format!("{}ms", spec.timeout.expect("a timeout").as_millis()),
        names::ON_TIMEOUT => format!("{:?}", spec.on_timeout),
        names::IF_MISSING => format!("{:?}", spec.if_missing),
        names::PRIORITY => spec.priority.expect("a priority").to_string(),
        other => panic!("the table names {other}, which is no annotation of a request"),
    }
}

#[test]
fn the_table_of_cases() {
    let table = include_str!("../../tests/cases/annotations.yaml");
    let cases: Vec<Case> = serde_yaml::from_str(table).expect("the table has the form it says");
    assert!(
        cases.len() >= 80,
        "the table shrank to {} cases",
        cases.len()
    );
    let mut seen = std::collections::BTreeSet::new();
    for case in &cases {
        let value = format!("{}{}", case.value.repeat(case.times), case.end);
        let read = parse_one(&case.annotation, &value);
        match (&case.ok, &case.error) {
            (Some(expected), None) => {
                let spec = read.unwrap_or_else(|error| panic!("{case:?} was refused: {error}"));
                assert_eq!(&canonical(&case.annotation, &spec), expected, "{case:?}");
            }
            (None, Some(part)) => {
                let error = read
                    .err()
                    .unwrap_or_else(|| panic!("{case:?} was accepted"))
                    .to_string();
                assert!(error.contains(part.as_str()), "{case:?} says: {error}");
                assert!(
                    error.contains(&case.annotation),
                    "{case:?} does not name the annotation: {error}"
                );
                assert!(error.len() < 1000, "{case:?} says too much: {error}");
            }
            _ => panic!("{case:?} needs either ok or error"),
        }
        seen.insert((case.annotation.clone(), case.ok.is_some()));
        assert!(
            case.policy || case.error.is_some(),
            "only refused cases may be kept from the policy: {case:?}"
        );
    }
    for annotation in names::REQUEST_ANNOTATIONS {
        for accepted in [true, false] {
            let needed = (annotation.to_owned(), accepted);
            assert!(
                seen.contains(&needed),
                "no case with {annotation} accepted={accepted}"
            );
        }
    }
}

#[test]
fn nothing_named_is_no_request() {
    assert_eq!(parse(&BTreeMap::new()), Ok(None));
    assert_eq!(
        parse(&annotations(&[(names::TIMEOUT, "nonsense")])),
        Ok(None)
    );
}

#[test]
fn limits_come_before_locks_and_defaults_hold() {
    let spec = parse(&annotations(&[
        (names::LOCKS, "deploy"),
        (names::SLOTS, "a, b=2"),
    ]))
    .unwrap()
    .unwrap();
    let written: Vec<String> = spec.mentions.iter().map(Mention::to_string).collect();
    assert_eq!(written, ["a=1", "b=2", "deploy:exclusive"]);
    let kinds: Vec<MentionKind> = spec.mentions.iter().map(Mention::kind).collect();
    assert_eq!(
        kinds,
        [MentionKind::Limit, MentionKind::Limit, MentionKind::Lock]
    );
    assert_eq!(
        (spec.if_missing, spec.on_timeout),
        (IfMissing::Wait, OnTimeout::Wait)
    );
    assert_eq!((spec.timeout, spec.priority), (None, None));
}

#[test]
fn the_largest_annotation_that_the_server_allows() {
    let error = parse(&annotations(&[(names::SLOTS, &"a,".repeat(128 * 1024))]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "annotation sluice.dev/slots: has 262144 bytes; at most 4096 are read"
    );
}

fn mention() -> impl Strategy<Value = Mention> {
    let namespace = proptest::option::of("[a-z0-9]([-a-z0-9]{0,5}[a-z0-9])?");
    let segment = "[a-z0-9]{1,4}([-.][a-z0-9]{1,3}){0,2}";
    let key =
        proptest::collection::vec(segment, 1..4).prop_map(|s| Key::parse(&s.join(":")).unwrap());
    let amount = prop_oneof![
        (1..=MAX_WEIGHT).prop_map(Amount::Slots),
        Just(Amount::Shared),
        Just(Amount::Exclusive)
    ];
    (namespace, key, amount)
        .prop_map(|(namespace, key, amount)| Mention {
            namespace,
            key,
            amount,
        })
        .prop_filter("a lock's name", |m| {
            m.kind() == MentionKind::Limit || m.key.check_lock().is_ok()
        })
}

fn join(mentions: &[Mention], kind: MentionKind) -> Option<String> {
    let written: Vec<String> = mentions
        .iter()
        .filter(|m| m.kind() == kind)
        .map(Mention::to_string)
        .collect();
    (!written.is_empty()).then(|| written.join(" ,\n"))
}

#[test]
fn a_rate_alone_is_a_request() {
    let spec = parse(&annotations(&[(names::RATE_LIMITS, "api=3")]));
    let mentions = spec.unwrap().unwrap().mentions;
    assert_eq!(mentions[0].amount, Amount::Rate(3));
    assert_eq!(mentions[0].kind(), MentionKind::Limit);
}

proptest! {
    #[test]
    fn display_then_parse_is_identity(mut mentions in proptest::collection::vec(mention(), 1..20)) {
        mentions.sort_by_key(Mention::kind);
        let mut all = BTreeMap::new();
        for (annotation, kind) in [(names::SLOTS, MentionKind::Limit), (names::LOCKS, MentionKind::Lock)] {
            all.extend(join(&mentions, kind).map(|value| (annotation.to_owned(), value)));
        }
        prop_assert_eq!(parse(&all).unwrap().unwrap().mentions, mentions);
    }

    #[test]
    fn any_annotations_are_judged(values in proptest::collection::vec(any::<Vec<u8>>(), names::REQUEST_ANNOTATIONS.len())) {
        let texts: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect();
        let all = names::REQUEST_ANNOTATIONS.iter().map(|n| (*n).to_owned()).zip(texts).collect();
        let _ = parse(&all);
    }

    #[test]
    fn nearly_right_annotations_are_judged(
        slots in "[ab:/=,\\-0-9 ]{0,40}", locks in "[ab:/,a-z ]{0,40}", rates in "[ab:/=,\\-0-9 ]{0,40}"
    ) {
        let all = [(names::SLOTS, &*slots), (names::LOCKS, &*locks), (names::RATE_LIMITS, &*rates)];
        if let Ok(Some(spec)) = parse(&annotations(&all)) {
            prop_assert!(spec.mentions.len() <= 3 * MAX_ENTRIES);
            let named = |rate: bool| {
                let of = spec.mentions.iter().filter(move |it| it.kind() == MentionKind::Limit
                    && matches!(it.amount, Amount::Rate(_)) == rate);
                of.map(|it| (it.namespace.clone(), it.key.to_string())).collect::<std::collections::BTreeSet<_>>()
            };
            prop_assert!(named(true).is_disjoint(&named(false)));
        }
    }
}
