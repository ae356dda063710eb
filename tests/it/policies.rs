//! The chart's admission policies on a real API server: what they put on pods, what they let through, what they refuse.
//!
//! All tests share one control plane of their own, because the policies hold for the whole cluster. [`plane`] installs
//! the release and knows the people: `dev` and `eve`, who may do everything but bypass, an `operator` who may, the
//! controller's account, a kubelet. [`claims`] is about `SlotClaim`s. The annotation cases are those of `tests/cases/annotations.yaml`, which the parser
//! is tested with too.

mod attempt;
mod cage;
mod claims;
mod collectors;
mod creation;
mod examples;
mod grammar;
mod guard;
mod older;
mod plane;
