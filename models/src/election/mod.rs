//! Model `election`: leaders take terms by a Lease, and write their epoch into every status.
//!
//! Time is left out: any candidate may take the Lease over at any moment, as if it had expired, and
//! nobody notices that it was deposed before a write is refused. So what holds here holds for every
//! clock. The Lease may be deleted. Epochs are taken by docs/design.md 3: the highest of the Lease and
//! of all statuses, plus one, by compare-and-swap on the Lease; a leader whose write is refused reads
//! the Lease again, and raises its epoch or exits. A process leads once, so a term is its leader's id.
//!
//! The API server refuses a status whose epoch goes back, or whose equal epoch has another leader.
//! Compare-and-swap alone lets a deposed leader through as soon as it has read afresh.

mod configurations;

pub(crate) use configurations::configurations;

use stateright::{Model, Property};

const DEPOSED: &str = "epochs: no write of a deposed leader after its successor's";
const ONE_WRITER: &str = "epochs: an epoch of a status has one writer";
const RAISES_OWN: &str = "epochs: only who has the Lease raises its epoch";
const NOT_STUCK: &str = "epochs: who has the Lease is not refused for ever";
const RAISED: &str = "a leader that was refused raises its epoch and writes";
const REFUSED: &str = "a deposed leader is refused";
const EVERYWHERE: &str = "a second leader has written every status";
const WITHOUT_LEASE: &str = "somebody leads after the Lease was deleted";

const POOLS: usize = 2;

type Pool = usize;
type Term = u8;
type Epoch = u8;

/// Known-wrong rules, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    /// The API server compares no epochs.
    NoEpochRule,
    /// It accepts an equal epoch of another leader.
    EqualEpochPasses,
    /// Statuses are written without the new epoch.
    EpochNotWritten,
    /// The epoch is raised without compare-and-swap on the Lease that was read.
    RaiseWithoutCas,
    /// The epoch is raised without asking whose the Lease is.
    RaiseThoughDeposed,
    /// The epoch counts in the Lease alone (as `leaseTransitions` does), and is never raised.
    EpochOfLeaseAlone,
}

/// Candidates, terms and deletions of the Lease.
#[derive(Clone, Debug)]
struct Election {
    candidates: usize,
    terms_max: Term,
    epochs_max: Epoch,
    deletions: u8,
    /// An epoch is also above the server's clock, as tokens are.
    clock_floor: bool,
    /// A deposed leader never writes after its successor. The rule of docs/design.md 3 promises that
    /// only for as long as nobody deletes the Lease.
    promises_deposed: bool,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Lease {
    leader: Term,
    epoch: Epoch,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Status {
    epoch: Epoch,
    leader: Term,
    /// Who really wrote it last; not in the object.
    writer: Term,
}

/// Who leads, as it believes, and since which epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Office {
    term: Term,
    epoch: Epoch,
    raised: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Candidate {
    Following,
    /// Has read the Lease; to raise the epoch of its office, if it has one.
    Looked {
        lease_epoch: Epoch,
        office: Option<Office>,
    },
    /// Its write of the Lease is in flight.
    Acceding {
        epoch: Epoch,
        office: Option<Office>,
    },
    /// Believes that it leads; at most one status write is in flight.
    Leading {
        office: Office,
        sending: Option<Pool>,
    },
    /// A write was refused by an epoch; it writes nothing before it has read the Lease.
    Refused(Office),
    /// The Lease is its own, and it is refused all the same.
    Stuck,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    lease: Option<Lease>,
    pools: [Status; POOLS],
    /// Sorted: candidates are alike.
    candidates: Vec<Candidate>,
    terms: Term,
    deletions: u8,
    /// The highest epoch ever taken, which a clock is above.
    highest: Epoch,
    deposed_raised: bool,
    deposed_wrote: bool,
    two_wrote: bool,
    raised_wrote: bool,
}

/// One step; the first number is the candidate's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// Reads the Lease.
    Look(usize),
    /// Lists all statuses, and sends the Lease with the epoch that follows.
    List(usize),
    /// The write of the Lease arrives.
    Accede(usize),
    /// Reads a status, and sends it changed.
    Send(usize, Pool),
    /// The write of the status arrives.
    Arrive(usize),
    /// Exits.
    Exit(usize),
    /// Somebody deletes the Lease.
    DeleteLease,
}

impl Election {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn look(&self, state: &mut State, at: usize) -> Option<()> {
        let lease_epoch = state.lease.map_or(0, |lease| lease.epoch);
        state.candidates[at] = match state.candidates[at] {
            Candidate::Following => Candidate::Looked {
                lease_epoch,
                office: None,
            },
            Candidate::Refused(office) => {
                let mine = state.lease.is_some_and(|lease| lease.leader == office.term);
                match mine {
                    true if self.is(Wrong::EpochOfLeaseAlone) => Candidate::Stuck,
                    false if !self.is(Wrong::RaiseThoughDeposed) => Candidate::Following,
                    true | false => Candidate::Looked {
                        lease_epoch,
                        office: Some(office),
                    },
                }
            }
            _ => return None,
        };
        Some(())
    }

    fn list(&self, state: &mut State, at: usize) -> Option<()> {
        let Candidate::Looked {
            lease_epoch,
            office,
        } = state.candidates[at]
        else {
            return None;
        };
        let seen = match self.is(Wrong::EpochOfLeaseAlone) {
            true => 0,
            false => state.pools.iter().map(|status| status.epoch).max()?,
        };
        let clock = if self.clock_floor { state.highest } else { 0 };
        let epoch = lease_epoch.max(seen).max(clock) + 1;
        state.candidates[at] = Candidate::Acceding { epoch, office };
        (epoch <= self.epochs_max).then_some(())
    }

    fn accede(&self, state: &mut State, at: usize) -> Option<()> {
        let Candidate::Acceding { epoch, office } = state.candidates[at] else {
            return None;
        };
        let before = state.lease.map(|lease| lease.leader);
        state.deposed_raised |= office.is_some_and(|office| before != Some(office.term));
        if self.clock_floor {
            state.highest = state.highest.max(epoch);
        }
        let office = match office {
            Some(office) => Office {
                epoch,
                raised: true,
                ..office
            },
            None => {
                state.terms += 1;
                Office {
                    term: state.terms,
                    epoch,
                    raised: false,
                }
            }
        };
        let sending = None;
        state.candidates[at] = Candidate::Leading { office, sending };
        state.lease = Some(Lease {
            leader: office.term,
            epoch,
        });
        self.lease_moved(state);
        (state.terms <= self.terms_max).then_some(())
    }

    /// Whoever was about to write the Lease read another version of it.
    fn lease_moved(&self, state: &mut State) {
        for candidate in &mut state.candidates {
            let office = match candidate {
                Candidate::Looked { office, .. } | Candidate::Acceding { office, .. } => *office,
                _ => continue,
            };
            match office {
                None => *candidate = Candidate::Following,
                Some(_) if self.is(Wrong::RaiseWithoutCas) => {}
                Some(office) => *candidate = Candidate::Refused(office),
            }
        }
    }

    fn arrive(&self, state: &mut State, at: usize) -> Option<()> {
        let Candidate::Leading {
            office,
            sending: Some(pool),
        } = state.candidates[at]
        else {
            return None;
        };
        let status = &mut state.pools[pool];
        let (epoch, leader) = match self.is(Wrong::EpochNotWritten) {
            true => (status.epoch, status.leader),
            false => (office.epoch, office.term),
        };
        let same = epoch == status.epoch && leader != status.leader;
        let back = epoch < status.epoch || same && !self.is(Wrong::EqualEpochPasses);
        if back && !self.is(Wrong::NoEpochRule) {
            state.candidates[at] = Candidate::Refused(office);
            return Some(());
        }
        state.deposed_wrote |= office.term < status.writer;
        state.two_wrote |= same;
        state.raised_wrote |= office.raised;
        *status = Status {
            epoch,
            leader,
            writer: office.term,
        };
        for candidate in &mut state.candidates {
            // The version moved: a conflict, and whoever likes reads afresh.
            if let Candidate::Leading { sending, .. } = candidate
                && *sending == Some(pool)
            {
                *sending = None;
            }
        }
        Some(())
    }

    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Look(at) => self.look(state, at)?,
            Action::List(at) => self.list(state, at)?,
            Action::Accede(at) => self.accede(state, at)?,
            Action::Send(at, pool) => match &mut state.candidates[at] {
                Candidate::Leading { sending, .. } => *sending = Some(pool),
                _ => return None,
            },
            Action::Arrive(at) => self.arrive(state, at)?,
            Action::Exit(at) => state.candidates[at] = Candidate::Following,
            Action::DeleteLease => {
                state.lease = None;
                state.deletions += 1;
                self.lease_moved(state);
            }
        }
        state.candidates.sort();
        Some(())
    }
}

impl Model for Election {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            lease: None,
            pools: [Status::default(); POOLS],
            candidates: vec![Candidate::Following; self.candidates],
            terms: 0,
            deletions: 0,
            highest: 0,
            deposed_raised: false,
            deposed_wrote: false,
            two_wrote: false,
            raised_wrote: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, candidate) in state.candidates.iter().enumerate() {
            match candidate {
                Candidate::Following => actions.push(Action::Look(at)),
                Candidate::Looked { .. } => actions.extend([Action::List(at), Action::Exit(at)]),
                Candidate::Acceding { .. } => {
                    actions.extend([Action::Accede(at), Action::Exit(at)])
                }
                Candidate::Leading {
                    sending: Some(_), ..
                } => actions.extend([Action::Arrive(at), Action::Exit(at)]),
                Candidate::Leading { sending: None, .. } => {
                    actions.extend((0..POOLS).map(|pool| Action::Send(at, pool)));
                    actions.push(Action::Exit(at));
                }
                Candidate::Refused(_) => actions.push(Action::Look(at)),
                Candidate::Stuck => {}
            }
        }
        if state.lease.is_some() && state.deletions < self.deletions {
            actions.push(Action::DeleteLease);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONE_WRITER, |_, state: &State| !state.two_wrote),
            Property::always(RAISES_OWN, |_, state: &State| !state.deposed_raised),
            Property::always(NOT_STUCK, |_, state: &State| {
                !state.candidates.contains(&Candidate::Stuck)
            }),
            Property::sometimes(REFUSED, |_, state: &State| {
                let deposed = |it: &Candidate| {
                    let lease = state.lease.map(|lease| lease.leader);
                    matches!(it, Candidate::Refused(office) if lease.is_some_and(|leader| leader > office.term))
                };
                state.candidates.iter().any(deposed)
            }),
            Property::sometimes(EVERYWHERE, |_, state: &State| {
                state.pools.iter().all(|status| status.writer > 1)
            }),
        ];
        if self.promises_deposed {
            properties.push(Property::always(DEPOSED, |_, state: &State| {
                !state.deposed_wrote
            }));
        }
        if self.deletions > 0 {
            properties.push(Property::sometimes(WITHOUT_LEASE, |_, state: &State| {
                let written = |status: &Status| status.epoch > 0;
                state.deletions > 0 && state.lease.is_some() && state.pools.iter().any(written)
            }));
        }
        if self.deletions > 0 && !self.clock_floor {
            properties.push(Property::sometimes(RAISED, |_, state: &State| {
                state.raised_wrote
            }));
        }
        properties
    }
}
