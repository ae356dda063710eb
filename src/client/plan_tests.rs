use super::*;

fn draft() -> Draft {
    Draft {
        slots: vec![("gpu".to_owned(), 2), ("db".to_owned(), 1)],
        locks: vec![("schema".to_owned(), LockMode::Shared)],
        ..Draft::default()
    }
}

fn refusal(draft: &Draft) -> String {
    match draft.clone().plan() {
        Err(AcquireError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_asked_is_no_claim() {
    assert!(Draft::default().plan().unwrap().is_none());
}

#[test]
fn a_plan_says_what_it_asks_for() {
    let mut draft = draft();
    draft.slots.push(("gpu".to_owned(), 1));
    draft.timeout = Some(Duration::from_millis(1_200));
    let plan = draft.plan().unwrap().unwrap();
    assert_eq!(plan.shown, "db=1, gpu=3, lock schema:shared");
    assert_eq!(plan.spec.timeout_seconds, Some(2));
    let wanted: Vec<String> = plan.wanted().into_iter().map(|it| it.key).collect();
    assert_eq!(wanted, ["db", "gpu", "schema"]);
}

#[test]
fn what_a_server_would_refuse_is_refused_here() {
    let with = |change: fn(&mut Draft)| {
        let mut draft = draft();
        change(&mut draft);
        refusal(&draft)
    };
    assert!(with(|it| it.slots[0].1 = 0).contains("0 slots of limit gpu"));
    assert!(with(|it| it.slots[0].0 = "A b".to_owned()).contains("limit \"A b\""));
    assert!(with(|it| it.locks[0].0 = "a:shared".to_owned()).contains("modes"));
    assert!(with(|it| it.lease = Some(Duration::from_secs(14))).contains("lease of 14 s"));
    assert!(with(|it| it.id = Some("Upper".to_owned())).contains("id \"Upper\""));
    assert!(with(|it| it.id = Some("-x".to_owned())).contains("id"));
    assert!(with(|it| it.holder = Some("x".repeat(257))).contains("holder"));
    assert!(with(|it| it.worker = Some("A".to_owned())).contains("limit"));
    assert!(with(|it| it.slots = vec![("a".to_owned(), 1); 65]).contains("at most 64"));
    let rate = with(|it| it.kind = ClaimKind::RateLimit);
    assert!(rate.contains("no locks"), "{rate}");
    let sum = with(|it| it.slots = vec![("a".to_owned(), 600_000); 2]);
    assert!(sum.contains("1200000 slots"), "{sum}");
}

#[test]
fn the_same_request_is_the_same_whoever_runs_it() {
    let plan = draft().plan().unwrap().unwrap();
    let mut other = plan.spec.clone();
    other.user = "ann".to_owned();
    other.holder = "another host".to_owned();
    other.slots.reverse();
    assert_eq!(plan.difference(&other, "ann"), None);
    assert_eq!(
        plan.difference(&other, "bob").unwrap(),
        "it belongs to user \"ann\""
    );
    other.slots[0].slots = 7;
    other.timeout_seconds = Some(1);
    assert_eq!(
        plan.difference(&other, "ann").unwrap(),
        "not the same: slots, timeout"
    );
}
