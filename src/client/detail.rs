//! What stands in the way of a request, in words: how much is held, by whom, and what does not exist.
//!
//! Looks once, for a message, and decides nothing. Tested below and by `tests/sdk_bodies/acquiring.rs`.

use super::store::{Found, HeldBy, Sight, Store, Wanted};

/// Most holders that a message names.
const HOLDERS_TOLD: usize = 5;

/// Looks at all of these, and asks those claims that a message will name who they are in their own words.
pub(super) async fn look(store: &dyn Store, wanted: &[Wanted]) -> Vec<Sight> {
    let mut sights = store.look(wanted).await;
    let found = sights.iter_mut().filter_map(|sight| sight.found.as_mut());
    let asked = found.flat_map(|found| found.holders.iter_mut().take(HOLDERS_TOLD));
    let asked = asked.map(|held_by| own_words(store, held_by));
    futures::future::join_all(asked).await;
    sights
}

/// Fills in what a claim says of its holder, where that can be read.
async fn own_words(store: &dyn Store, held_by: &mut HeldBy) {
    let Some(name) = held_by
        .claim
        .as_deref()
        .filter(|_| held_by.holder.is_empty())
    else {
        return;
    };
    // Who may not read it is told its name all the same.
    if let Ok(Some(claim)) = store.get(name).await {
        held_by.holder = claim.spec.holder;
    }
}

/// What stands in the way, in words.
pub(super) fn detail(said: &str, sights: &[Sight]) -> String {
    let told = sights.iter().filter_map(sight);
    let said = Some(said.to_owned()).filter(|said| !said.is_empty());
    let parts: Vec<String> = said.into_iter().chain(told).collect();
    if parts.is_empty() {
        "what stands in the way cannot be read".to_owned()
    } else {
        parts.join("; ")
    }
}

fn sight(sight: &Sight) -> Option<String> {
    let what = &sight.what;
    if sight.missing {
        return Some(format!("{what} does not exist"));
    }
    let found = sight.found.as_ref()?;
    let held = match found.slots {
        Some(slots) => format!("{} of {slots} slots are held", found.held),
        None if found.held == 0 => "not held".to_owned(),
        None => "held".to_owned(),
    };
    let coming_back = match found.coming_back {
        0 => String::new(),
        used => format!(", {used} were used and come back with time"),
    };
    Some(format!(
        "{what}: {held}{}{coming_back}{}",
        holders(found),
        match found.waiting {
            0 => String::new(),
            1 => ", 1 waits".to_owned(),
            waiting => format!(", {waiting} wait"),
        }
    ))
}

fn holders(found: &Found) -> String {
    if found.holders.is_empty() {
        return String::new();
    }
    let named = found.holders.iter().take(HOLDERS_TOLD);
    let named: Vec<String> = named.map(ToString::to_string).collect();
    let mut text = format!(" by {}", named.join(", "));
    let more = found.holders.len().saturating_sub(HOLDERS_TOLD);
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(number: u32) -> HeldBy {
        HeldBy {
            who: format!("pod p{number}"),
            ..HeldBy::default()
        }
    }

    #[test]
    fn what_comes_back_with_time_is_told_beside_what_is_held() {
        let rated = Sight {
            what: "limit api".to_owned(),
            found: Some(Found {
                slots: Some(3),
                held: 1,
                coming_back: 2,
                waiting: 1,
                holders: vec![HeldBy {
                    who: "claim c".to_owned(),
                    claim: Some("c".to_owned()),
                    holder: "run 7".to_owned(),
                }],
                tokens: Vec::new(),
            }),
            missing: false,
        };
        assert_eq!(
            detail("", &[rated]),
            "limit api: 1 of 3 slots are held by claim c (run 7), 2 were used and come back with time, 1 waits"
        );
    }

    #[test]
    fn what_stands_in_the_way() {
        let full = Sight {
            what: "limit gpu".to_owned(),
            found: Some(Found {
                slots: Some(7),
                held: 7,
                waiting: 2,
                coming_back: 0,
                holders: (1..=7).map(holder).collect(),
                tokens: Vec::new(),
            }),
            missing: false,
        };
        let missing = Sight {
            what: "lock deploy".to_owned(),
            missing: true,
            ..Sight::default()
        };
        assert_eq!(
            detail("", &[full, missing]),
            "limit gpu: 7 of 7 slots are held by pod p1, pod p2, pod p3, pod p4, pod p5 and 2 more, 2 wait; \
             lock deploy does not exist"
        );
        assert_eq!(detail("", &[]), "what stands in the way cannot be read");
        assert_eq!(detail("so it is", &[Sight::default()]), "so it is");
    }
}
