//! The Helm chart: what it renders, and a release of it on a real control plane.
//!
//! [`helm`] is the way to Helm for every test that needs a release, [`stage`] a control plane to have it on. What the
//! admission policies accept and refuse is in `policies`.

mod audit;
pub(crate) mod helm;
mod process;
mod rbac;
mod release;
mod render;
mod served;
mod site;
pub(crate) mod stage;
mod stories;
mod ungate;
mod uninstall;
