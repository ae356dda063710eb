//! What `sluice run` and its kin need of whatever holds slots for them. The SDK is behind it; nothing here knows how
//! slots are got, renewed or given back.

use std::pin::Pin;
use std::time::Duration;

/// A fencing token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Fence {
    /// It is of a lock, or else of a limit.
    pub(in crate::cli) lock: bool,
    /// As a request names it: `gpu`, or `licences/matlab` of another namespace.
    pub(in crate::cli) key: String,
    pub(in crate::cli) token: i64,
}

/// How something that was held was lost, in a sentence; and whether its holder itself gave it back elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Lost {
    pub(in crate::cli) why: String,
    pub(in crate::cli) given_back: bool,
}

/// Slots that are held, and renewed by somebody.
pub(in crate::cli) trait Held {
    fn fences(&self) -> Vec<Fence>;

    /// Name of the claim; nothing where nothing was asked for.
    fn claim(&self) -> Option<String>;

    /// For how long it may be believed from now on without another renewal, and how long its lease is. Nothing
    /// where it needs no renewal.
    fn lease(&self) -> Option<(Duration, Duration)>;

    /// How it is lost, if it is by now.
    fn loss(&self) -> Option<Lost>;

    /// Is ready once it is lost.
    fn lost(&self) -> Pin<Box<dyn Future<Output = Lost> + Send>>;

    /// Gives it back, and waits until that is known.
    async fn release(self) -> Result<(), String>;
}

/// What a command finds in its environment.
pub(in crate::cli) fn environment(
    fences: &[Fence],
    claim: Option<&str>,
) -> Vec<(&'static str, String)> {
    vec![
        ("SLUICE_TOKENS", tokens(fences, false)),
        ("SLUICE_LOCK_TOKENS", tokens(fences, true)),
        ("SLUICE_CLAIM", claim.unwrap_or_default().to_owned()),
    ]
}

/// As in `gpu=42,db=7`.
fn tokens(fences: &[Fence], locks: bool) -> String {
    let of_kind = fences.iter().filter(|it| it.lock == locks);
    let texts: Vec<String> = of_kind
        .map(|it| format!("{}={}", it.key, it.token))
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_limits_and_locks_are_told_apart() {
        let fence = |lock, key: &str, token| Fence {
            lock,
            key: key.to_owned(),
            token,
        };
        let fences = [
            fence(false, "gpu", 42),
            fence(true, "deploy", 7),
            fence(false, "licences/matlab", 5),
        ];
        assert_eq!(
            environment(&fences, Some("c")),
            [
                ("SLUICE_TOKENS", "gpu=42,licences/matlab=5".to_owned()),
                ("SLUICE_LOCK_TOKENS", "deploy=7".to_owned()),
                ("SLUICE_CLAIM", "c".to_owned()),
            ]
        );
    }
}
