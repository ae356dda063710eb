//! Known-wrong variants of Sluice, for showing that its checks would notice them: each is a few lines behind [`is`].
//!
//! They exist only in builds with the feature `mutants`, which nothing but the simulation asks for; elsewhere [`is`] is
//! `false` at compile time and the variants are gone. `cargo run -p sluice-sim -- mutants` shows what catches each of them.

macro_rules! mutants {
    ($($name:ident: $what:literal,)*) => {
        /// A known-wrong variant.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Mutant {
            $(
                #[doc = $what]
                $name,
            )*
        }

        impl Mutant {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it does wrong.
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)*
                }
            }
        }
    };
}

mutants! {
    RevealBeforeDurable: "reveals before every lease of the plan is acknowledged",
    RevealUntestedAttempt: "a reveal does not test the attempt",
    RevealUntestedRequest: "a reveal does not test the annotations it was decided from",
    RevealUntestedWorker: "a reveal does not test the worker label it was decided from",
    AbortUntestedGate: "an abort does not test the gate",
    AbortUntestedAttempt: "an abort does not test the attempt it raises",
    RollbackWithoutAbort: "leases of an unfinished grant go before the attempt is raised",
    TimeoutWithoutAbort: "a request that timed out is failed without being aborted",
    ReleaseOnDeletionTimestamp: "a pod whose deletion was asked for counts as ended",
    ReleaseOnWatchDeleted: "a watch's DELETED counts as the end, without a live read",
    ReleaseOnRelist: "whoever is missing in a list of the watch counts as gone",
    TerminalIsProof: "a terminal phase counts as proof, whoever wrote it",
    PresumedAtOnce: "a presumed end does not settle",
    ConfirmedByTime: "a limit that asks for proof is content with time",
    TokenIgnoresClock: "tokens count on from the last one only, so that they repeat after a re-creation",
    NoFence: "a new limit grants at once",
    FenceBumpsNobody: "a fence raises no attempts",
    FenceAdoptsNobody: "a fence counts nobody who runs already",
    FenceFromCache: "a fence believes its cache in place of a consistent list",
    AdoptTwice: "a holder is written down again without taking out its old entry",
    AdoptedTakeNoRoom: "adopted holders do not keep new grants away",
    GrantBeyondCapacity: "a write grants what was planned, whatever the capacity is by now",
    RetryOnFreshVersion: "after a conflict the same status is written on the new version",
    UnknownIsApplied: "an unanswered status write is taken for applied",
    OpenWithoutMark: "reveals relying on a Disabled limit leave no mark in its status",
    OpenWithoutLook: "a Disabled limit is believed from the cache",
    AbsentWithoutLook: "a limit is believed to be absent from the cache",
    ShrinkEvicts: "leases beyond a smaller capacity are dropped",
    IgnoresNamespaces: "allowedNamespaces is not asked",
    IgnoresForeignGates: "slots are taken while other gates hold the pod",
    FamilyIsUnlimited: "a request of a family whose worker is unknown takes nothing",
    TooManyWorkers: "maxWorkers does not bound the derived limits",
    DeletesBusyWorker: "an idle worker's limit is deleted without looking who holds it",
    FirstLeaseLostAtStart: "the first holder of each limit is dropped when a controller starts",
    SameNameIsSame: "a pod of the same name is taken for the same pod",
    OperatorIgnored: "an operator's word frees nothing",
    LateEditCounts: "after the reveal the annotations count, not the record",
    TooLargeReserves: "a request that can never fit keeps others from what it wants",
    FenceEndReviewsNobody: "whoever was found running while a fence ended is never counted",
    WitnessForgotten: "a second request that waits to hear that a limit is absent is forgotten",
    FloorOverCapacity: "the floor of tokens is raised while more is held than the slots",
    RestoredPodsDisbelieved: "after a restore the newer past of pods is believed",
    ExpiryWithoutGuard: "a claim is revoked after half its lease",
    VanishedClaimFreesAtOnce: "the slots of a claim that vanished or was revoked are free at once",
    RevokeUntestedSeq: "a revoke does not test the renewal it was decided from",
    FreedBeforeRevoke: "the slots of a claim whose lease has run out are freed before its holder is told",
    LapseBySight: "a grant lapses early by what a watch showed, whoever sent it",
    RenewalUnseen: "a renewal of a claim is not noticed",
    EveryRevokeIsExpiry: "every revoke counts as one by expiry, as if its holder could not believe any more",
    LockDelayIgnored: "the slots of a claim are free as soon as its lease has run out",
    LingerNotWritten: "a lease does not say how long it stays when its claim vanishes",
    ClaimGrantUntestedAttempt: "a grant to a claim does not test the attempt",
    ReleaseUnheard: "a holder that gives its claim back is not heard",
    DeletedBeforeFreed: "a released claim is deleted while it holds",
    EndedClaimStays: "a claim that was refused or revoked is never deleted",
    OperatorFreesUntold: "an operator's word frees the slots of a claim before its holder is told",
    DeniesFromCache: "a claim is denied on the word of a cache",
    DeniesWhoWaits: "a claim that waits is denied when its limit goes",
    AppliedIsFinal: "after a status write that was applied nobody looks at what came while it was under way",
    RefusesUntried: "a claim that would not wait is refused before it was tried",
    HoldsForEver: "maxHoldSeconds is not asked",
    LevelForgotten: "a controller counts what has to come back from nothing when it starts",
    FractionLost: "a slot that has come back in part counts as one that is there",
    TakeComesBackAtOnce: "what was taken for a rate is free as soon as its request was told",
    UsedTwice: "what was used has to come back twice",
    AbortedTakeCounts: "what was taken for a rate and aborted has to come back",
    TakeGoesBeforeReveal: "what is taken for a rate leaves the status before its request is told",
    TakeIsAdopted: "a fence counts what was taken for a rate as if somebody held it",
    TakenWithoutDecay: "a rate is taken from a limit of which nothing comes back",
    NoReservation: "a blocked request never reserves",
    StrictIsBackfill: "Strict lets others pass",
    PriorityIgnored: "all requests have one priority",
}

#[cfg(feature = "mutants")]
thread_local! {
    static CURRENT: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this thread run a wrong variant, or none.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    CURRENT.set(mutant);
}

/// This wrong variant is to be run.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    CURRENT.get() == Some(mutant)
}

/// This wrong variant is to be run: never, outside the simulation.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
