//! Looking: what several commands read from the server and say about it.
//!
//! - [`server`]: which API server, and in which namespace: kubectl's rules.
//! - [`kind`], [`target`]: how people name limits and locks.
//! - [`pools`], [`owned`]: reading them, and whose family a limit is of.
//! - [`request`], [`pods`], [`claims`]: reading those who wait and hold.
//! - [`snapshot`]: everything that decides who is next, in a ledger of its own that grants nothing.
//! - [`rows`], [`words`]: what is shown of a limit; ages, modes and amounts as words.
//!
//! Reads and never writes. The functions from objects to rows and sentences are pure and tested beside them;
//! the rest is tested on a real control plane (`tests/it/cli`).

pub(super) mod claims;
pub(super) mod kind;
pub(super) mod owned;
pub(super) mod pods;
pub(super) mod pools;
pub(super) mod request;
pub(super) mod rows;
pub(super) mod server;
pub(super) mod snapshot;
pub(super) mod target;
pub(super) mod words;

#[cfg(test)]
pub(super) mod samples;

pub(super) use kind::Kind;
pub(super) use server::{Connection, Scope, Server};
pub(super) use target::{Named, Target};
