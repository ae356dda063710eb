//! What people are told: stories and summaries.

use crate::history::builder::{Script, claim, limit, pod};

fn script() -> Script {
    let mut script = Script::new();
    script.limit("gpu", 2);
    script.limit("other", 1);
    script.holder("a", "gpu");
    script.holder("b", "gpu");
    script.holder("stranger", "other");
    script.run("a");
    script.finish("a");
    script.release(&limit("gpu"), "a");
    script.delete(&pod("a"));
    script.holder("c", "gpu");
    script
}

#[test]
fn a_story_tells_of_a_limit_and_its_pods() {
    let story = script().history().story("gpu");
    for part in [
        "limit ns/gpu: created",
        "fenced true",
        "leases + a (1 slot, token 101, attempt 0)",
        "pod ns/a: REVEALED with {",
        "bound to node-1; Pending → Running",
        "Running → Succeeded; all containers stopped",
        "leases - a (token 101)",
        "pod ns/a: gone (last phase Succeeded)",
        "pod ns/c: created",
    ] {
        assert!(story.contains(part), "{part:?} is not in\n{story}");
    }
    assert!(!story.contains("stranger"), "{story}");
}

#[test]
fn a_story_of_nobody_says_so() {
    assert!(
        script()
            .history()
            .story("nobody")
            .contains("nothing of this history")
    );
}

#[test]
fn a_summary_counts_what_ran_at_once() {
    let summary = script().history().summary();
    assert_eq!(summary.grants, 4);
    let gpu = &summary.pools[&limit("gpu")];
    assert_eq!(
        (gpu.slots, gpu.highest_held, gpu.highest_running, gpu.leases),
        (2, 2, 2, 3)
    );
    assert_eq!(gpu.status_versions, 6);
    assert_eq!(summary.status_writes_per_grant(), Some(9.0 / 4.0));
    let told = summary.to_string();
    assert!(
        told.contains("limit ns/gpu: at most 2 of 2 running, 2 held; 3 leases in 6 status writes"),
        "{told}"
    );
    assert!(
        told.ends_with("4 pods granted, 2.25 status writes and 1 patch for each"),
        "{told}"
    );
}

#[test]
fn claims_are_told_of_and_counted() {
    let mut script = script();
    script.delete(&pod("b"));
    script.release(&limit("gpu"), "b");
    script.claim_holder("p", "gpu");
    script.renew("p", 3);
    script.give_back("p");
    script.release(&limit("gpu"), "p");
    script.delete(&claim("p"));
    let story = script.history().story("gpu");
    for part in [
        "claim ns/p: created (p-",
        "asks for 1 slot of limit ns/gpu",
        "Pending → Granted",
        "granted 1 slot of limit ns/gpu, token 105",
        "renewed, seq 3",
        "released by its holder",
        "claim ns/p: gone (last Granted)",
    ] {
        assert!(story.contains(part), "{part:?} is not in\n{story}");
    }
    let summary = script.history().summary();
    assert_eq!((summary.grants, summary.claims), (4, 1));
    assert!(
        summary
            .to_string()
            .contains("4 pods granted, 1 claims granted")
    );
}
