//! Tests of the life of a claim: one modelled server, one controller, a holder that renews or does not.
