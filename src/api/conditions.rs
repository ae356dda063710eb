//! The conditions of limits and locks: every type and every reason, each with what it means.
//!
//! The words that people and scripts match on. The ledger, which is plain text and numbers, decides which
//! holds when (`src/ledger/conditions.rs`) and a test here holds it to this vocabulary; `docs/api.md` prints
//! it. A full limit is Ready: only `Saturated` says that all is taken, so that nothing which waits for
//! readiness hangs on a busy limit.

/// What a condition speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// It serves requests, or on purpose does not.
    Ready,
    /// All is taken.
    Saturated,
    /// More is held than there is.
    OverCommitted,
    /// Nothing is granted until something is cleared up.
    Quarantined,
    /// The policies that keep others from editing our annotations are missing.
    Unguarded,
}

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionReason {
    /// Ready.
    Granting,
    /// Ready.
    Paused,
    /// Ready.
    Disabled,
    /// Ready.
    Family,
    /// Not ready.
    Fencing,
    /// Not ready.
    TooManyHolders,
    /// Not ready.
    SpecInvalid,
    /// Not ready.
    Deleting,
    /// Not ready.
    Quarantined,
    /// Saturated.
    Full,
    /// Not saturated.
    RoomLeft,
    /// Not saturated.
    NotCounted,
    /// Over-committed.
    HoldersKept,
    /// Not over-committed.
    WithinCapacity,
    /// Quarantined.
    SetAside,
    /// Quarantined.
    NotUnderstood,
    /// Quarantined.
    WritesRefused,
    /// Not quarantined.
    Trusted,
    /// Unguarded.
    PoliciesMissing,
    /// Not unguarded.
    PoliciesPresent,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::Saturated,
        Self::OverCommitted,
        Self::Quarantined,
        Self::Unguarded,
    ];

    /// Returns the word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Saturated => "Saturated",
            Self::OverCommitted => "OverCommitted",
            Self::Quarantined => "Quarantined",
            Self::Unguarded => "Unguarded",
        }
    }
}

impl ConditionReason {
    /// All of them, by type.
    pub const ALL: [Self; 20] = [
        Self::Granting,
        Self::Paused,
        Self::Disabled,
        Self::Family,
        Self::Fencing,
        Self::TooManyHolders,
        Self::SpecInvalid,
        Self::Deleting,
        Self::Quarantined,
        Self::Full,
        Self::RoomLeft,
        Self::NotCounted,
        Self::HoldersKept,
        Self::WithinCapacity,
        Self::SetAside,
        Self::NotUnderstood,
        Self::WritesRefused,
        Self::Trusted,
        Self::PoliciesMissing,
        Self::PoliciesPresent,
    ];

    /// Returns the word in the API.
    pub fn as_str(self) -> &'static str {
        self.explain().2
    }

    /// Returns the condition that it is a reason of.
    pub fn condition(self) -> ConditionType {
        self.explain().0
    }

    /// Returns whether the condition then holds.
    pub fn holds(self) -> bool {
        self.explain().1
    }

    /// Returns what it means, for people.
    pub fn meaning(self) -> &'static str {
        self.explain().3
    }

    fn explain(self) -> (ConditionType, bool, &'static str, &'static str) {
        use ConditionType::{OverCommitted, Quarantined, Ready, Saturated, Unguarded};
        match self {
            Self::Granting => (Ready, true, "Granting", "requests are granted as they fit"),
            Self::Paused => (Ready, true, "Paused", "`mode: Paused`"),
            Self::Disabled => (Ready, true, "Disabled", "`mode: Disabled`"),
            Self::Family => (
                Ready,
                true,
                "Family",
                "each worker has a limit of its own; see those",
            ),
            Self::Fencing => (
                Ready,
                false,
                "Fencing",
                "holders that were there before it are being counted",
            ),
            Self::TooManyHolders => (
                Ready,
                false,
                "TooManyHolders",
                "more holders were found than a status can list; it waits until they fit",
            ),
            Self::SpecInvalid => (Ready, false, "SpecInvalid", "its spec is not understood"),
            Self::Deleting => (Ready, false, "Deleting", "it is being deleted"),
            Self::Full => (Saturated, true, "Full", "nothing is free"),
            Self::RoomLeft => (Saturated, false, "RoomLeft", "something is free"),
            Self::NotCounted => (
                Saturated,
                false,
                "NotCounted",
                "it counts no holders itself: a family, or disabled",
            ),
            Self::HoldersKept => (
                OverCommitted,
                true,
                "HoldersKept",
                "it was made smaller than what is held, or running holders were found; nobody is evicted",
            ),
            Self::WithinCapacity => (OverCommitted, false, "WithinCapacity", "what is held fits"),
            Self::Quarantined => (
                Ready,
                false,
                "Quarantined",
                "it is in quarantine; the condition `Quarantined` says why",
            ),
            Self::SetAside => (
                Quarantined,
                true,
                "SetAside",
                "an operator set it or its family aside by `sluice.dev/quarantine`; the message says why and how it ends",
            ),
            Self::NotUnderstood => (
                Quarantined,
                true,
                "NotUnderstood",
                "spec or status cannot be read, contradicts what is known, or is of a newer version; the message says what",
            ),
            Self::WritesRefused => (
                Quarantined,
                true,
                "WritesRefused",
                "the server refuses our writes; the message says why",
            ),
            Self::Trusted => (
                Quarantined,
                false,
                "Trusted",
                "its status agrees with what is known",
            ),
            Self::PoliciesMissing => (
                Unguarded,
                true,
                "PoliciesMissing",
                "whoever may patch pods or claims can change what Sluice has written there",
            ),
            Self::PoliciesPresent => (
                Unguarded,
                false,
                "PoliciesPresent",
                "the guard policies are installed",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_those_of_the_variants() {
        for type_ in ConditionType::ALL {
            assert_eq!(type_.as_str(), format!("{type_:?}"));
            assert!(
                ConditionReason::ALL
                    .iter()
                    .any(|reason| reason.condition() == type_ && reason.holds())
            );
        }
        for reason in ConditionReason::ALL {
            assert_eq!(reason.as_str(), format!("{reason:?}"));
        }
    }

    /// The ledger may not depend on this module, so its text is compared.
    #[test]
    fn the_ledger_speaks_with_these_words() {
        let ledger = include_str!("../ledger/conditions.rs");
        let camel_case = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.chars().all(|c| c.is_ascii_alphabetic())
        };
        let spoken: BTreeSet<&str> = ledger
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(camel_case)
            .collect();
        let types = ConditionType::ALL.iter().map(|type_| type_.as_str());
        let known: BTreeSet<&str> = types
            .chain(ConditionReason::ALL.iter().map(|reason| reason.as_str()))
            .collect();
        assert_eq!(
            spoken, known,
            "left: src/ledger/conditions.rs, right: src/api/conditions.rs"
        );
    }
}
