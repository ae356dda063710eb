//! Scenarios: what users do, and what they see.
//!
//! Each is a story of one or two namespaces, told in the words of `support`, and ends with the proof of the invariants.

mod bad_input;
mod bad_status;
mod changes;
mod claims;
mod claims_ends;
mod claims_many;
mod claims_places;
mod denied;
mod disabled;
mod ends;
mod families;
mod family_limits;
mod hands;
mod incarnations;
mod locks;
mod namespaces;
mod order;
mod past_admission;
mod proof;
mod random;
mod rates;
mod slots;
mod timeouts;
mod visible;
mod writes;
