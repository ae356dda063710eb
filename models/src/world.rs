//! What the models `grant`, `resume` and `recreate` share: statuses, requests, plans of leaders, writes
//! in flight, and what the API server does with them. What leaders do is in `leader`.
//!
//! Any number of leaders act; two of them at a time carry out a plan, and nobody is ever told that
//! another one leads. A write is sent (decided) in one step and arrives in another, at any time later,
//! also after its sender has forgotten it, or never.
//!
//! A `resourceVersion` is kept as the only fact about it that matters: a status write that is in flight
//! was computed from the version that is still there. As soon as another write of that status arrives
//! it is refused for ever, so it is dropped. This keeps the states few and the number of writes
//! unbounded; only the attempts and the writes in flight at once are bounded.
//!
//! An answer is not a message of its own: a leader learns that its lease is durable by seeing it,
//! whether in an answer or in a read, and may act on that at any time later.

use crate::leases::{Attempt, Lease, Leases, Pool, Request, Set};

/// Pools of these models.
pub(crate) const POOLS: usize = 2;
/// Requests of these models, at most.
pub(crate) const REQUESTS: usize = 3;
/// Leaders that carry out a plan at the same time.
pub(crate) const PLANS: usize = 2;

/// The bounds of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Which pools each request names.
    pub(crate) wants: [Set; REQUESTS],
    /// Slots of every pool.
    pub(crate) slots: usize,
    /// No attempt is raised above this one.
    pub(crate) last_attempt: Attempt,
    /// Writes in flight at once.
    pub(crate) in_flight: usize,
}

/// How far a request has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Its gate is there.
    Gated,
    /// Revealed with the leases of this attempt.
    Running(Attempt),
    /// Provably over.
    Ended,
}

/// A pod, as far as the protocol sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Pod {
    /// Its annotation.
    pub(crate) attempt: Attempt,
    /// How far it has come.
    pub(crate) phase: Phase,
}

/// A leader's intent to grant one request, in its memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Plan {
    /// For whom.
    pub(crate) request: Request,
    /// The attempt it was decided from.
    pub(crate) attempt: Attempt,
    /// Where its lease was seen durable.
    pub(crate) durable: Set,
}

/// A write on its way to the API server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Write {
    /// PUT of a pool's status, at the version that it was computed from.
    Status {
        /// Of which pool.
        pool: Pool,
        /// The whole list.
        leases: Leases,
        /// The mark that this incarnation has fenced and adopted.
        fenced: bool,
    },
    /// Tests attempt and gate; removes the gate.
    Reveal {
        /// Of whom.
        request: Request,
        /// The attempt tested.
        attempt: Attempt,
    },
    /// Tests attempt and gate; raises the attempt by one.
    Bump {
        /// Of whom.
        request: Request,
        /// The attempt tested.
        from: Attempt,
    },
}

/// The durable state of one pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Status {
    /// What is taken.
    pub(crate) leases: Leases,
    /// Grants are allowed.
    pub(crate) fenced: bool,
}

/// Everything there is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct World {
    /// The pools' statuses.
    pub(crate) pools: [Status; POOLS],
    /// The pods.
    pub(crate) pods: [Pod; REQUESTS],
    /// What leaders are about to do; sorted, for leaders are alike.
    pub(crate) plans: [Option<Plan>; PLANS],
    /// Sorted, each once: the same write sent twice does no more than once.
    pub(crate) wire: Vec<Write>,
}

/// One step that the three models share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A leader finds room for a request and decides to grant it.
    Plan(usize, Request),
    /// It sends the status with its lease added.
    Take(usize, Pool),
    /// It sees that its lease is durable.
    SeeDurable(usize, Pool),
    /// It has seen all of them, and sends the reveal.
    Reveal(usize),
    /// It crashes, or forgets for another reason.
    Forget(usize),
    /// Wrong on purpose: it goes on under the raised attempt with what it saw before.
    GoOn(usize),
    /// Some leader decides to abort, and sends the bump.
    Abort(Request),
    /// Some leader sends the status without what is garbage.
    Collect(Pool),
    /// A write arrives.
    Arrive(Write),
    /// A write never arrives.
    Lose(Write),
    /// A pod ends.
    End(Request),
}

/// Known-wrong rules, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// An abort removes the leases of a partial set and leaves the attempt as it is.
    RollbackWithoutBump,
    /// Leases are garbage as soon as the bump is sent.
    GarbageBeforeBumpDurable,
    /// The reveal tests the gate only.
    RevealWithoutAttemptTest,
    /// The reveal is sent when one lease is still in flight.
    RevealBeforeLastLease,
    /// The bump tests the attempt only, and a raised attempt proves that the gate is there.
    BumpWithoutGateTest,
    /// A status is written whatever version is there (or with a fresh version after a conflict).
    StatusWithoutVersion,
    /// Room is found once, and not looked for again when the write is computed.
    RoomNotRecomputed,
    /// What a cache does not show has ended.
    AbsenceIsEvidence,
    /// A lease of an older attempt counts as the plan's own.
    VoidLeaseCounts,
    /// What was seen durable is remembered when the attempt is raised.
    SightOutlivesBump,
}

/// Which rules are in force.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// A leader that finds some of the leases completes the set if the rest fits.
    pub(crate) completes: bool,
    /// One of them is wrong.
    pub(crate) wrong: Option<Wrong>,
}

impl Rules {
    /// This rule is wrong.
    pub(crate) fn is(self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }
}

impl World {
    /// Nobody has anything.
    pub(crate) fn new(scope: &Scope) -> World {
        let pod = |wants: Set| Pod {
            attempt: 0,
            phase: match wants.is_empty() {
                true => Phase::Ended,
                false => Phase::Gated,
            },
        };
        let status = Status {
            leases: Leases::default(),
            fenced: true,
        };
        World {
            pools: [status; POOLS],
            pods: scope.wants.map(pod),
            plans: [None; PLANS],
            wire: Vec::new(),
        }
    }

    /// Requests that are gated.
    pub(crate) fn gated(&self) -> impl Iterator<Item = Request> {
        (0..REQUESTS).filter(|request| self.pods[*request].phase == Phase::Gated)
    }

    /// Requests that run and name the pool.
    pub(crate) fn running(&self, scope: &Scope, pool: Pool) -> impl Iterator<Item = Lease> {
        let naming = (0..REQUESTS).filter(move |request| scope.wants[*request].has(pool));
        naming.filter_map(|request| match self.pods[request].phase {
            Phase::Running(attempt) => Some(Lease { request, attempt }),
            Phase::Gated | Phase::Ended => None,
        })
    }

    /// The pools that hold a lease of the request's current attempt.
    pub(crate) fn current_leases(&self, request: Request) -> Set {
        let attempt = self.pods[request].attempt;
        let lease = Lease { request, attempt };
        let pools = (0..POOLS).filter(|pool| self.pools[*pool].leases.has(lease));
        pools.collect()
    }

    /// Sends a pool's status with these leases.
    pub(crate) fn send_status(&mut self, pool: Pool, leases: Leases) -> Option<()> {
        self.send(Write::Status {
            pool,
            leases,
            fenced: self.pools[pool].fenced,
        })
    }

    /// Puts a write on the wire. `None` if the very same is there already.
    pub(crate) fn send(&mut self, write: Write) -> Option<()> {
        let at = self.wire.binary_search(&write).err()?;
        self.wire.insert(at, write);
        Some(())
    }

    /// Nothing that was computed from the former content of this status can be applied any more.
    pub(crate) fn version_moved(&mut self, pool: Pool) {
        self.wire
            .retain(|write| !matches!(write, Write::Status { pool: of, .. } if *of == pool));
    }

    /// What the API server does with a write.
    pub(crate) fn arrive(&mut self, rules: Rules, write: Write) {
        match write {
            Write::Status {
                pool,
                leases,
                fenced,
            } => {
                self.pools[pool] = Status { leases, fenced };
                if !rules.is(Wrong::StatusWithoutVersion) {
                    self.version_moved(pool);
                }
            }
            Write::Reveal { request, attempt } => {
                let pod = &mut self.pods[request];
                let tested = pod.attempt == attempt || rules.is(Wrong::RevealWithoutAttemptTest);
                if tested && pod.phase == Phase::Gated {
                    pod.phase = Phase::Running(attempt);
                }
            }
            Write::Bump { request, from } => {
                let pod = &mut self.pods[request];
                let gate = match pod.phase {
                    Phase::Gated => true,
                    Phase::Running(_) => rules.is(Wrong::BumpWithoutGateTest),
                    Phase::Ended => false,
                };
                if gate && pod.attempt == from {
                    pod.attempt = from + 1;
                }
            }
        }
    }

    /// Invariant 1: what is granted fits.
    pub(crate) fn fits(&self, scope: &Scope) -> bool {
        self.pools
            .iter()
            .all(|status| status.leases.len() <= scope.slots)
    }

    /// Invariant 2: at most one lease for each pool and holder.
    pub(crate) fn one_lease_each(&self) -> bool {
        self.pools.iter().all(|status| status.leases.one_for_each())
    }

    /// Invariants 3 and 4: whoever runs has the leases that it was revealed with, in every pool that grants.
    pub(crate) fn leases_stay(&self, scope: &Scope) -> bool {
        (0..POOLS)
            .filter(|pool| self.pools[*pool].fenced)
            .all(|pool| {
                self.running(scope, pool)
                    .all(|lease| self.pools[pool].leases.has(lease))
            })
    }

    /// What all of it is for: no more run than there are slots.
    pub(crate) fn never_more_run(&self, scope: &Scope) -> bool {
        (0..POOLS).all(|pool| self.running(scope, pool).count() <= scope.slots)
    }

    /// Everybody has run and ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.pods.iter().all(|pod| pod.phase == Phase::Ended)
    }

    /// Somebody runs whose attempt was raised before.
    pub(crate) fn ran_after_abort(&self) -> bool {
        let after = |pod: &Pod| matches!(pod.phase, Phase::Running(attempt) if attempt > 0);
        self.pods.iter().any(after)
    }
}
