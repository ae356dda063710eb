//! What a controller hears of a request that was refused, or never answered.

use super::super::*;

pub(super) fn is_write(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::WriteStatus(_) | Effect::Patch(_) | Effect::WriteChild(_) | Effect::DeleteClaim(_)
    )
}

pub(super) fn refused(effect: &Effect) -> Vec<Command> {
    match effect {
        Effect::WriteStatus(write) => {
            let (pool, batch) = (write.pool.clone(), write.batch.clone());
            vec![Command::StatusWritten {
                pool,
                batch,
                outcome: WriteOutcome::Refused("429".to_owned()),
            }]
        }
        Effect::Patch(patch) => {
            let outcome = PatchOutcome::Refused("denied by a policy".to_owned());
            vec![Command::RequestPatched {
                uid: patch.uid.clone(),
                patch: patch.kind(),
                outcome,
            }]
        }
        other => unanswered(other),
    }
}

/// No answer came.
pub(super) fn unanswered(effect: &Effect) -> Vec<Command> {
    match effect {
        Effect::WriteStatus(write) => {
            let (pool, batch) = (write.pool.clone(), write.batch.clone());
            vec![Command::StatusWritten {
                pool,
                batch,
                outcome: WriteOutcome::Unknown,
            }]
        }
        Effect::ReadPool(key) => {
            vec![Command::PoolRead {
                pool: key.clone(),
                found: Found::Unknown,
            }]
        }
        Effect::Patch(patch) => {
            let outcome = PatchOutcome::Unknown;
            vec![Command::RequestPatched {
                uid: patch.uid.clone(),
                patch: patch.kind(),
                outcome,
            }]
        }
        Effect::ReadRequest { uid, .. } => {
            vec![Command::RequestRead {
                uid: uid.clone(),
                found: Found::Unknown,
            }]
        }
        Effect::ListRequests { ticket } => {
            vec![Command::RequestsListed {
                ticket: *ticket,
                listed: None,
            }]
        }
        Effect::DeleteClaim(deletion) => vec![Command::ClaimDeleted {
            uid: deletion.uid.clone(),
            outcome: PatchOutcome::Unknown,
        }],
        Effect::ReadHolderPod { uid, .. } => vec![Command::HolderPodRead {
            uid: uid.clone(),
            found: Found::Unknown,
        }],
        Effect::ReadNode(node) => {
            vec![Command::NodeRead {
                node: node.clone(),
                out_of_service: None,
            }]
        }
        Effect::WriteChild(write) => {
            let outcome = ChildOutcome::Doubtful("no answer".to_owned());
            vec![Command::ChildWritten {
                pool: write.pool().clone(),
                outcome,
            }]
        }
        Effect::Event(_) => Vec::new(),
    }
}
