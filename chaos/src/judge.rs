//! What was wrong: every segment of the history, with what programs believed while it lasted, is judged by the history's
//! own checker, and tokens across segments here.
//!
//! A segment is a whole history from the first revision on, so nothing has to be assumed of a restore: what the backup
//! did not hold never was. Only tokens must go on as if it had been, because holders may still have them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sluice_testenv::history::{
    Assumptions, Belief, History, ObjectRef, Version, Violation, check, check_beliefs,
};

use crate::store::Segment;

/// Most violations that are told.
const VIOLATIONS_TOLD: usize = 12;
/// Of how many violations the objects' stories are told.
const STORIES_TOLD: usize = 3;

/// Judges all segments, the last one included; each belief comes with the number of its segment.
pub(crate) fn judge(
    segments: &[&Segment],
    beliefs: &[(usize, Belief)],
    assumptions: &Assumptions,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let mut violations = check(&segment.history, assumptions);
        let ours = beliefs.iter().filter(|(era, _)| *era == index);
        let ours: Vec<Belief> = ours.map(|(_, belief)| belief.clone()).collect();
        violations.extend(check_beliefs(&segment.history, &ours, assumptions));
        if !violations.is_empty() {
            let told = told(&violations, &segment.history);
            findings.push(format!("segment {index} of the history: {told}"));
        }
    }
    findings.extend(tokens_go_on(segments));
    findings
}

/// Tokens that were issued in a segment, although a segment that was taken back had issued higher ones.
fn tokens_go_on(segments: &[&Segment]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut highest: BTreeMap<ObjectRef, i64> = BTreeMap::new();
    for segment in segments {
        let mut known = BTreeSet::new();
        let mut issued: BTreeMap<ObjectRef, i64> = BTreeMap::new();
        for version in segment.history.versions().iter().filter(|it| is_pool(it)) {
            let place = version.object_ref();
            let is_new = segment.branched_at.is_some_and(|at| version.revision > at);
            for token in tokens(version) {
                if !known.insert((place.clone(), token)) {
                    continue;
                }
                let floor = highest.get(&place).copied().unwrap_or_default();
                if is_new && token <= floor {
                    findings.push(format!(
                        "{place} issued token {token} at revision {} after a restore, but {floor} was issued before it",
                        version.revision
                    ));
                }
                let most = issued.entry(place.clone()).or_default();
                *most = token.max(*most);
            }
        }
        for (place, token) in issued {
            let most = highest.entry(place).or_default();
            *most = token.max(*most);
        }
    }
    findings
}

fn is_pool(version: &Version) -> bool {
    use sluice_testenv::history::Kind;
    matches!(version.kind, Kind::Limit | Kind::Lock)
}

/// The tokens of its leases; 0 is the token of a holder that was never told one.
fn tokens(version: &Version) -> Vec<i64> {
    let leases = version
        .object
        .as_ref()
        .and_then(|it| it.pointer("/status/leases")?.as_array());
    let tokens = leases
        .into_iter()
        .flatten()
        .filter_map(|lease| lease.get("token")?.as_i64());
    tokens.filter(|token| *token > 0).collect()
}

/// Violations in words, with the stories of what they are about.
pub(crate) fn told(violations: &[Violation], history: &History) -> String {
    let mut text = format!("{} violations\n", violations.len());
    for violation in violations.iter().take(VIOLATIONS_TOLD) {
        let _ = writeln!(text, "{violation}");
    }
    let mut about = BTreeSet::new();
    for violation in violations.iter().take(STORIES_TOLD) {
        about.insert(violation.object.name.as_str());
        // Limits and locks that the message speaks of, as "limit namespace/name".
        let words = violation.message.split([' ', ',', ':']);
        about.extend(
            words
                .filter_map(|word| word.split_once('/'))
                .map(|(_, name)| name),
        );
    }
    for name in about {
        let _ = writeln!(
            text,
            "--- what happened to {name}:\n{}",
            history.story(name)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_testenv::history::{Kind, Scope};

    use super::*;

    fn segment(branched_at: Option<i64>, tokens: &[(i64, i64)]) -> Segment {
        let gpu = ObjectRef::new(Kind::Limit, "ns", "gpu");
        let writes = tokens.iter().map(|(revision, token)| {
            let status = json!({"leases": [{"uid": "a", "token": token}]});
            (
                *revision,
                gpu.clone(),
                Some(json!({"metadata": {"uid": "g"}, "status": status})),
            )
        });
        Segment {
            history: History::from_writes(Scope::Everything, 99, writes),
            branched_at,
        }
    }

    #[test]
    fn a_token_that_was_taken_back_is_never_given_again() {
        let before = segment(None, &[(3, 10), (5, 20)]);
        let after = segment(Some(4), &[(3, 10), (5, 30)]);
        assert_eq!(tokens_go_on(&[&before, &after]), Vec::<String>::new());
        let again = segment(Some(4), &[(3, 10), (6, 20)]);
        let findings = tokens_go_on(&[&before, &again]);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].contains("token 20") && findings[0].contains("revision 6"),
            "{findings:?}"
        );
        // What the backup held is no news.
        let same = segment(Some(4), &[(3, 10)]);
        assert_eq!(tokens_go_on(&[&before, &same]), Vec::<String>::new());
    }
}
