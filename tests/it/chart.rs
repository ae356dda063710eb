//! The Helm chart: what it renders, and releases of it on real control planes, with the real controller at work.
//!
//! | module | what it shows |
//! |---|---|
//! | [`render`], [`rbac`] | what the chart renders, without a cluster |
//! | [`release`], [`uninstall`] | a release from its install to its end and back, without a controller |
//! | [`served`] | the controller does all of [`stories`] (and [`claims`], [`programs`]) with its own account only; an upgrade and an uninstall beside it |
//! | [`ungate`] | `sluice ungate-all` in the hands of people |
//!
//! The others are what these are made of: [`helm`] is the way to Helm, [`stage`] a control plane to have a release on,
//! [`site`] one with its controller, which is a [`process`], and with an [`audit`] log. What the admission policies accept
//! and refuse is in `policies`.

mod audit;
mod claims;
pub(crate) mod helm;
mod process;
mod programs;
mod rbac;
mod release;
mod render;
mod served;
pub(crate) mod site;
pub(crate) mod stage;
mod stories;
mod ungate;
mod uninstall;
