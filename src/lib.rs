//! Concurrency limits and locks for Kubernetes.
pub mod api;
pub mod ledger;
