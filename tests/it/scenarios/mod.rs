//! Scenarios: what users do, and what they see.
//!
//! Each is a story of one namespace, told in the words of `support`, and ends with the proof of the invariants.

mod slots;
