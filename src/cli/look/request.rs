//! A pod or claim as far as it is shown: the request that the ledger understands, and what people want to know
//! beside it. Read by [`super::pods`] and [`super::claims`]; decides nothing.

use std::collections::BTreeMap;

use kube::Client;

use crate::ledger::{HolderKind, Name, RequestView, Uid};

/// A pod or claim as far as it is shown.
#[derive(Clone, Debug)]
pub(in crate::cli) struct RequestRead {
    pub(in crate::cli) view: RequestView,
    /// One word: how far it is.
    pub(in crate::cli) phase: String,
    /// It asks for a higher priority than it has by itself; whether that counts, its controller knows.
    pub(in crate::cli) asks_above: bool,
    /// It asks for something.
    pub(in crate::cli) asks: bool,
    /// Who holds, in the words of a claim.
    pub(in crate::cli) holder: Option<String>,
    /// What a claim's status gives as its reason, and says.
    pub(in crate::cli) said: Option<(String, String)>,
}

impl RequestRead {
    /// The word for it in a sentence.
    pub(in crate::cli) fn word(&self) -> &'static str {
        word(self.view.kind())
    }
}

/// Who is asked for: where, and under which name.
pub(in crate::cli) type Places = BTreeMap<Uid, (Name, Name)>;

/// What is known of a holder beside its lease.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::cli) struct Fact {
    /// One word: how far it is; `Gone` where there is none of its uid.
    pub(in crate::cli) phase: String,
    /// Who holds, in the words of a claim.
    pub(in crate::cli) holder: Option<String>,
}

impl Fact {
    /// There is none of that uid.
    pub(super) fn gone() -> Self {
        Self {
            phase: "Gone".to_owned(),
            holder: None,
        }
    }
}

impl From<RequestRead> for Fact {
    fn from(read: RequestRead) -> Self {
        Self {
            phase: read.phase,
            holder: read.holder,
        }
    }
}

/// What is known of whom.
pub(in crate::cli) type Facts = BTreeMap<Uid, Fact>;

/// What is known of these pods or claims: that they are gone, or nothing where they cannot be read.
pub(in crate::cli) async fn facts(client: &Client, kind: HolderKind, places: &Places) -> Facts {
    match kind {
        HolderKind::Pod => super::pods::facts(client, places).await,
        HolderKind::Claim => super::claims::facts(client, places).await,
    }
}

/// The kind as objects have it.
pub(in crate::cli) fn kind(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::Pod => "Pod",
        HolderKind::Claim => "SlotClaim",
    }
}

/// The word for it in a sentence.
pub(in crate::cli) fn word(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::Pod => "pod",
        HolderKind::Claim => "claim",
    }
}

/// Its name as commands take it: `a`, or `claim/a`.
pub(in crate::cli) fn short(kind: HolderKind, name: &str) -> String {
    match kind {
        HolderKind::Pod => name.to_owned(),
        HolderKind::Claim => format!("claim/{name}"),
    }
}

/// A name as people spell it, with the kind where they say one.
pub(in crate::cli) fn spelled(text: &str) -> Result<(Option<HolderKind>, &str), ()> {
    let (kind, name) = match text.split_once('/') {
        None => (None, text),
        Some((kind, name)) => match kind.to_lowercase().as_str() {
            "pod" | "pods" | "po" => (Some(HolderKind::Pod), name),
            "claim" | "claims" | "sclaim" | "slotclaim" | "slotclaims" => {
                (Some(HolderKind::Claim), name)
            }
            _ => return Err(()),
        },
    };
    if name.is_empty() || name.contains('/') {
        return Err(());
    }
    Ok((kind, name))
}

/// Whether it is over, as far as its slots are concerned: ended, or not there.
pub(in crate::cli) fn is_over(phase: &str) -> bool {
    matches!(
        phase,
        "Gone" | "Succeeded" | "Failed" | "Denied" | "TimedOut" | "Revoked" | "Released"
    )
}
