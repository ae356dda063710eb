//! Everything that is tested against a real control plane, in one binary, so that its tests share one.
//!
//! | module | what it shows |
//! |---|---|
//! | [`crds`] | the rules in the CRDs, on the newest and the oldest server |
//! | [`chart`], [`policies`] | the Helm chart and its admission policies |
//! | [`cli`] | the command, as its users drive it |
//! | [`scenarios`] | the controller, as its users drive it |
//! | [`sdk`] | a program that takes slots, as its author writes it |
//! | [`election`] | several controllers that take turns |
//! | [`faults`] | the controller while everything around it fails |
//! | [`recovery`] | what the runbook promises: restores, deleted limits and CRDs, quarantine |
//!
//! `scenarios`, `election`, `faults` and `recovery` run the real `sluice controller` as a process of its own, one for each test and only for the
//! test's namespaces, through [`support`]. Each of their tests ends by `World::finish`, which re-proves the invariants
//! from etcd's own history. Nothing waits for a time: everything waits for a condition, with a deadline.
#![cfg(test)]

mod chart;
mod cli;
mod crds;
mod docs;
mod election;
mod faults;
mod policies;
mod purity;
mod recovery;
mod scenarios;
mod sdk;
#[path = "../sdk_bodies/mod.rs"]
mod sdk_bodies;
mod sdk_docs;
mod support;
