//! The terminal: the command has it while it runs, as if it had been started by the shell itself.
//!
//! The command is a process group of its own (its guardian needs one to kill), so it would be in the background of its
//! terminal. Where `sluice` is in the foreground, the command's group is put there in its place and taken back when it
//! stops or ends. Without a terminal, or in the background, nothing is done.

use std::fs::File;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The terminal that this process belongs to.
#[derive(Debug)]
pub(super) struct Terminal(Option<File>);

impl Terminal {
    pub(super) fn open() -> Self {
        let tty = File::options().read(true).write(true).open("/dev/tty");
        Self(tty.ok())
    }

    /// Puts a group into the foreground, if `sluice` is there; whether it was.
    pub(super) fn give(&self, group: Pid) -> bool {
        let Some(tty) = &self.0 else {
            return false;
        };
        tcgetpgrp(tty).is_ok_and(|it| it == getpgrp()) && tcsetpgrp(tty, group).is_ok()
    }

    /// Puts `sluice` into the foreground again, if that group is there.
    pub(super) fn take_back(&self, group: Pid) -> bool {
        let Some(tty) = &self.0 else {
            return false;
        };
        if !tcgetpgrp(tty).is_ok_and(|it| it == group) {
            return false;
        }
        // Who does this from the background is stopped by TTOU, unless it is blocked.
        let ttou = SigSet::from(Signal::SIGTTOU);
        let Ok(before) = ttou.thread_swap_mask(SigmaskHow::SIG_BLOCK) else {
            return false;
        };
        let taken = tcsetpgrp(tty, getpgrp()).is_ok();
        let _ = before.thread_swap_mask(SigmaskHow::SIG_SETMASK);
        taken
    }

    /// The command was stopped, by the terminal's keys or for want of it: so does `sluice`, with its own group, as the
    /// shell expects. Comes back when it is continued, and goes on with the command. Nobody renews meanwhile.
    pub(super) fn suspend(&self, group: Pid) {
        if self.0.is_none() {
            return;
        }
        self.take_back(group);
        // The group of `sluice` itself: what the keys would have stopped.
        let _ = kill(Pid::from_raw(0), Signal::SIGSTOP);
        self.give(group);
        let _ = killpg(group, Signal::SIGCONT);
    }

    /// The command was ended by a key: whoever else the key would have reached is told, as a script that runs
    /// `sluice` is to end too.
    pub(super) fn pass_on(&self, signal: Signal) {
        if self.0.is_some() && matches!(signal, Signal::SIGINT | Signal::SIGQUIT) {
            let _ = kill(Pid::from_raw(0), signal);
        }
    }
}
