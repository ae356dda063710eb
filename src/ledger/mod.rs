//! The pure core: everything about slots, order, leases, tokens and recovery is decided here and only
//! here.
//!
//! **What it is.** [`Ledger`] is a synchronous state machine in the manner of quinn-proto. There are
//! four kinds of method: getters; [`Ledger::handle`], which is told what happened; and
//! [`Ledger::poll_effect`] and [`Ledger::poll_deadline`], which say what is to be done and when to
//! come back. Call `handle` for everything that has happened, then `poll_effect` until it answers
//! `None`, then sleep until `poll_deadline` or the next news. Time is an argument and never goes back.
//!
//! **What it never does.** No IO, no clock, no async, no randomness, no hash-ordered iteration, no
//! Kubernetes types: only `std` and its own modules. Lints deny the tools for it below, and a test
//! compiles this folder alone with no dependency at all. `handle` never fails: what cannot be
//! understood is put aside with a cause, and everything else goes on.
//!
//! **The protocol** (docs/design.md, section 5): *debit before reveal, dead before credit.* A lease is
//! durable in the status of every pool of a request before its holder is told; it leaves a status
//! only on stable evidence that the holder has ended, or that its attempt was raised while it was
//! still held back. Every status write is conditional on the version it was computed from.
//!
//! **How it is tested.** Unit tests beside the rules; golden stories in `tests/scenarios`; random
//! histories against a modelled API server with faults at every request, each state judged by
//! [`audit`] and by a checker that reads only the server's log (`testing`).
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm
    )
)]

mod abort;
mod adopt;
mod answer;
pub mod audit;
mod backoff;
mod book;
pub mod bounds;
mod cause;
mod claim;
mod claim_end;
mod claim_hold;
mod claim_view;
mod command;
mod commit;
mod conditions;
mod effect;
mod end;
mod enquiry;
mod explain;
mod family;
mod fence;
mod grant;
mod ids;
mod lead;
pub mod mutant;
mod notice;
mod object;
mod observe;
mod observe_requests;
mod outcome;
mod pass;
mod pool;
mod quarantine;
mod queue;
mod rate;
mod release;
mod request;
mod resolve;
mod review;
mod selector;
mod stats;
mod time;
mod timers;
mod view;
mod worth;

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_macros)]
mod testing;

pub use book::{ClaimTimes, Ledger, Options};
pub use cause::Cause;
pub use claim_view::{ClaimPhase, ClaimView, RevokeReason, Terms};
pub use command::{ChildOutcome, Command, Found, PatchKind, PatchOutcome, WriteOutcome};
pub use effect::{
    About, ChildWrite, ClaimAction, ClaimDeletion, Effect, Event, FamilyRef, Guard, RequestAction,
    RequestPatch, Reveal, StatusWrite,
};
pub use end::End;
pub use enquiry::Waiter;
pub use explain::{PoolSummary, RequestState};
pub use ids::{
    Amount, Attempt, Batch, Epoch, HolderKind, LOCK_UNITS, Name, PoolKey, PoolKind, PoolPlace,
    SEGMENT_SEPARATOR, Token, Uid, Units, Version,
};
pub use object::{
    Condition, Decay, Extra, FamilySpec, Lease, Level, Mode, Order, Owner, Part, PoolObject,
    PoolSpec, PoolStatus, ReleasePolicy,
};
pub use selector::{Admits, Operator, Requirement};
pub use stats::Stats;
pub use time::{Micros, Now, Span, Tick};
pub use view::{
    Ask, Containers, Gates, Granted, GrantedLease, Mention, PodPhase, Progress, RequestText,
    RequestView, Wants,
};
