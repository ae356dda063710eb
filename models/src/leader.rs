//! What leaders do in the world of `grant`, `resume` and `recreate`: the recovery table of
//! docs/design.md 5.1 as steps. Decides; the server's part is in `world`.

use crate::leases::{Lease, Leases, Pool, Request, Set};
use crate::world::{POOLS, Phase, Plan, REQUESTS, Rules, Scope, Step, World, Write, Wrong};

impl World {
    /// Nobody can act on this lease any more, and nobody ever will.
    fn is_garbage(&self, rules: Rules, lease: Lease) -> bool {
        let pod = self.pods[lease.request];
        let (request, from) = (lease.request, lease.attempt);
        match pod.phase {
            Phase::Ended => true,
            Phase::Gated => {
                lease.attempt < pod.attempt
                    || rules.is(Wrong::GarbageBeforeBumpDurable)
                        && self.wire.contains(&Write::Bump { request, from })
            }
            Phase::Running(_) => {
                rules.is(Wrong::AbsenceIsEvidence)
                    || rules.is(Wrong::BumpWithoutGateTest) && lease.attempt < pod.attempt
            }
        }
    }

    /// The leases of a pool that are not garbage.
    pub(crate) fn without_garbage(&self, scope: &Scope, rules: Rules, pool: Pool) -> Leases {
        let mut leases = self.pools[pool].leases;
        for lease in leases.iter() {
            let rolled_back = rules.is(Wrong::RollbackWithoutBump)
                && self.pods[lease.request].phase == Phase::Gated
                && self.current_leases(lease.request) != scope.wants[lease.request];
            if rolled_back || self.is_garbage(rules, lease) {
                leases.remove(lease);
            }
        }
        leases
    }

    /// A leader that looks at a gated request may plan it: what it finds durable, if so.
    fn may_plan(&self, scope: &Scope, rules: Rules, request: Request) -> Option<Set> {
        let wants = scope.wants[request];
        let durable = self.current_leases(request);
        let known = match rules.completes {
            true => true,
            false => durable.is_empty() || durable == wants,
        };
        let fits = wants.iter().all(|pool| {
            let leases = self.without_garbage(scope, rules, pool);
            let status = self.pools[pool];
            durable.has(pool)
                || status.fenced && leases.len() < scope.slots && !status.leases.has_any_of(request)
                || rules.is(Wrong::VoidLeaseCounts) && status.leases.has_any_of(request)
        });
        (known && fits).then_some(durable)
    }

    fn sees_durable(&self, rules: Rules, plan: Plan, pool: Pool) -> bool {
        let leases = self.pools[pool].leases;
        let lease = Lease {
            request: plan.request,
            attempt: plan.attempt,
        };
        leases.has(lease) || rules.is(Wrong::VoidLeaseCounts) && leases.has_any_of(plan.request)
    }

    /// The status with the plan's lease added, if it fits.
    fn taken(&self, scope: &Scope, rules: Rules, plan: Plan, pool: Pool) -> Option<Leases> {
        let mut leases = self.without_garbage(scope, rules, pool);
        let fits = leases.len() < scope.slots || rules.is(Wrong::RoomNotRecomputed);
        if !fits || !self.pools[pool].fenced || leases.has_any_of(plan.request) {
            return None;
        }
        leases.insert(Lease {
            request: plan.request,
            attempt: plan.attempt,
        });
        Some(leases)
    }

    /// Everything that may happen next.
    pub(crate) fn steps(&self, scope: &Scope, rules: Rules, steps: &mut Vec<Step>) {
        let may_send = self.wire.len() < scope.in_flight;
        for (at, plan) in self.plans.iter().enumerate() {
            match plan {
                // Leaders are alike: only the first idle one begins.
                None if at > 0 && self.plans[at - 1].is_none() => {}
                None => steps.extend(
                    self.gated()
                        .filter(|request| self.may_plan(scope, rules, *request).is_some())
                        .map(|request| Step::Plan(at, request)),
                ),
                Some(plan) => self.plan_steps(scope, rules, at, *plan, steps),
            }
        }
        if may_send {
            for request in self.gated() {
                let some = !self.current_leases(request).is_empty();
                if some && self.pods[request].attempt < scope.last_attempt {
                    steps.push(Step::Abort(request));
                }
            }
            let garbage =
                |pool: &Pool| self.without_garbage(scope, rules, *pool) != self.pools[*pool].leases;
            steps.extend((0..POOLS).filter(garbage).map(Step::Collect));
        }
        for write in &self.wire {
            steps.push(Step::Arrive(*write));
            steps.push(Step::Lose(*write));
        }
        let runs = |request: &Request| matches!(self.pods[*request].phase, Phase::Running(_));
        steps.extend((0..REQUESTS).filter(runs).map(Step::End));
    }

    fn plan_steps(
        &self,
        scope: &Scope,
        rules: Rules,
        at: usize,
        plan: Plan,
        steps: &mut Vec<Step>,
    ) {
        let wants = scope.wants[plan.request];
        let may_send = self.wire.len() < scope.in_flight;
        for pool in wants.iter().filter(|pool| !plan.durable.has(*pool)) {
            if self.sees_durable(rules, plan, pool) {
                steps.push(Step::SeeDurable(at, pool));
            } else if may_send && self.taken(scope, rules, plan, pool).is_some() {
                steps.push(Step::Take(at, pool));
            }
        }
        let missing = wants.len() - plan.durable.len();
        let enough = missing == 0 || missing == 1 && rules.is(Wrong::RevealBeforeLastLease);
        if enough && may_send {
            steps.push(Step::Reveal(at));
        }
        let raised = self.pods[plan.request].attempt > plan.attempt;
        if rules.is(Wrong::SightOutlivesBump) && raised {
            steps.push(Step::GoOn(at));
        }
        steps.push(Step::Forget(at));
    }

    /// Does one step. `None` if nothing changed.
    pub(crate) fn step(&mut self, scope: &Scope, rules: Rules, step: Step) -> Option<()> {
        match step {
            Step::Plan(at, request) => {
                self.plans[at] = Some(Plan {
                    request,
                    attempt: self.pods[request].attempt,
                    durable: self.may_plan(scope, rules, request)?,
                });
            }
            Step::Take(at, pool) => {
                let leases = self.taken(scope, rules, self.plans[at]?, pool)?;
                self.send_status(pool, leases)?;
            }
            Step::SeeDurable(at, pool) => {
                let plan = self.plans[at].as_mut()?;
                plan.durable = plan.durable.with(pool);
            }
            Step::Reveal(at) => {
                let plan = self.plans[at].take()?;
                let (request, attempt) = (plan.request, plan.attempt);
                self.send(Write::Reveal { request, attempt })?;
            }
            Step::Forget(at) => self.plans[at] = None,
            Step::GoOn(at) => {
                let plan = self.plans[at].as_mut()?;
                plan.attempt = self.pods[plan.request].attempt;
            }
            Step::Abort(request) => {
                let from = self.pods[request].attempt;
                self.send(Write::Bump { request, from })?;
            }
            Step::Collect(pool) => {
                self.send_status(pool, self.without_garbage(scope, rules, pool))?;
            }
            Step::Arrive(write) => {
                self.wire.retain(|other| *other != write);
                self.arrive(rules, write);
            }
            Step::Lose(write) => self.wire.retain(|other| *other != write),
            Step::End(request) => self.pods[request].phase = Phase::Ended,
        }
        self.plans.sort();
        Some(())
    }
}
