//! The command while it runs: signals go on to it, renewals to its guardian, and when the lease is lost it is ended.
//!
//! What holds the slots is behind [`Held`]; who kills when this process cannot is [`super::guardian`]. Tested on
//! the real control plane (`tests/it/cli/run.rs`).

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::MissedTickBehavior;

use super::child::{Step, Ward};
use super::clock::{self, Moment};
use super::guardian::Guardian;
use super::hold::{Held, Lost, environment};
use super::leash::Leash;
use super::signals::Signals;
use super::terminal::Terminal;
use crate::cli::{CliError, exit};

/// How often the lease is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Guardians that are started in place of one that is gone.
const GUARDIANS_MAX: u32 = 3;
/// The leash of what needs no renewal, as long as any.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Runs a command while something is held, and gives it back. The exit code.
pub(super) async fn supervise<H: Held>(
    held: H,
    command: &[OsString],
    signals: &mut Signals,
) -> Result<u8, CliError> {
    let mut run = match Run::start(&held, command) {
        Ok(run) => run,
        Err(error) => {
            // Given back by being dropped, where this does not come through.
            let _ = held.release().await;
            return Err(error);
        }
    };
    let end = run.follow(&held, signals).await;
    run.end_the_rest(end, signals).await;
    run.guardian.done();
    // Whoever was stopped itself learns of it afterwards.
    if let Some(lost) = run.lost.or_else(|| held.loss()) {
        let code = exit::LOST;
        let message = format!(
            "the slots were lost and the command was stopped: {}",
            lost.why
        );
        // Whatever is left of it is let go.
        drop(held);
        return Err(CliError::Ended { code, message });
    }
    if let Err(why) = held.release().await {
        eprintln!("sluice: the slots come back when their lease runs out: {why}");
    }
    if let Step::Killed(signal) = end
        && run.had_terminal
    {
        run.terminal.pass_on(signal);
    }
    Ok(end.code())
}

/// A command that runs.
struct Run {
    ward: Ward,
    guardian: Guardian,
    claim: String,
    guardians: u32,
    terminal: Terminal,
    had_terminal: bool,
    leash: Leash,
    lost: Option<Lost>,
}

impl Run {
    /// Starts the command under its guardian's eyes.
    fn start(held: &impl Held, command: &[OsString]) -> Result<Self, CliError> {
        let fences = held.fences();
        let environment: Vec<(String, String)> = environment(&fences, held.claim().as_deref())
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let not_started = |what: &str, source: io::Error| CliError::Ended {
            code: exit::FAILED,
            message: format!("{what} cannot be started: {source}; nothing was run"),
        };
        let mut ward = Ward::start(command, &environment)
            .map_err(|error| not_started("the command", error))?;
        let leash = leash(held);
        // Nothing asked for has no claim, and a word all the same.
        let claim = held.claim().unwrap_or_else(|| "-".to_owned());
        let guardian = Guardian::start(ward.group, leash, &claim)
            .map_err(|error| not_started("the guardian of the command", error))?;
        let terminal = Terminal::open();
        let had_terminal = terminal.give(ward.group);
        ward.open()
            .map_err(|error| not_started("the command", error))?;
        Ok(Self {
            ward,
            guardian,
            claim,
            guardians: 1,
            terminal,
            had_terminal,
            leash,
            lost: None,
        })
    }

    /// Until it has ended.
    async fn follow(&mut self, held: &impl Held, signals: &mut Signals) -> Step {
        let mut lost = held.lost();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                step = self.ward.steps.recv() => match step {
                    Some(Step::Stopped(signal)) => self.stopped(signal),
                    Some(end) => return end,
                    None => return Step::Gone,
                },
                why = &mut lost, if self.lost.is_none() => self.stop(why),
                signal = signals.next() => self.ward.signal(signal),
                _ = looks.tick() => self.look(held),
            }
        }
    }

    /// Stopped by the terminal: so are we. By anybody else: that is theirs to undo.
    fn stopped(&mut self, signal: Signal) {
        if matches!(signal, Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) {
            self.terminal.suspend(self.ward.group);
        }
    }

    /// The lease is lost: the command is asked to end, and killed soon.
    fn stop(&mut self, lost: Lost) {
        eprintln!(
            "sluice: the slots are lost, the command is being stopped: {}",
            lost.why
        );
        self.leash = self.leash.cut(clock::now());
        self.lost = Some(lost);
        // Should it be gone, the kill below is what is left.
        let _ = self.guardian.stopping();
        self.ward.ask();
    }

    /// Looks at the lease, and whether the guardian is there.
    fn look(&mut self, held: &impl Held) {
        let now = clock::now();
        if self.lost.is_some() {
            if now >= self.leash.kill_at {
                self.ward.kill();
            }
            return;
        }
        let leash = leash(held);
        if leash.kill_at > self.leash.kill_at.after(LOOK_EVERY) {
            self.leash = leash;
            let _ = self.guardian.until(leash);
        }
        if self.guardian.is_gone() {
            self.guard_again();
        }
    }

    /// The guardian is gone, by whoever's hand: another one, or the command is ended.
    fn guard_again(&mut self) {
        if !self.ward.is_left() {
            return;
        }
        self.guardians = self.guardians.saturating_add(1);
        let again = match self.guardians <= GUARDIANS_MAX {
            true => Guardian::start(self.ward.group, self.leash, &self.claim),
            false => Err(io::Error::other("it has been ended several times")),
        };
        match again {
            Ok(guardian) => self.guardian = guardian,
            Err(error) => self.stop(Lost {
                why: format!("the guardian of the command is gone, and there is no other: {error}"),
                given_back: false,
            }),
        }
    }

    /// What the command has left running in its process group holds nothing either: it is ended before the slots are
    /// given back.
    async fn end_the_rest(&mut self, end: Step, signals: &mut Signals) {
        if self.had_terminal {
            self.terminal.take_back(self.ward.group);
        }
        if !self.ward.is_left() || end == Step::Gone {
            return;
        }
        let kill_at: Moment = self.leash.cut(clock::now()).kill_at;
        let _ = self.guardian.stopping();
        self.ward.ask();
        while self.ward.is_left() {
            if clock::now() >= kill_at {
                self.ward.kill();
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY / 10) => {}
                signal = signals.next() => self.ward.signal(signal),
            }
        }
    }
}

/// Until when a command may run, as things stand.
fn leash(held: &impl Held) -> Leash {
    // First the clock: whatever passes between the two shortens it.
    let now = clock::now();
    let (left, lease) = held.lease().unwrap_or((FOR_EVER, FOR_EVER));
    Leash::of(lease, left, now)
}
