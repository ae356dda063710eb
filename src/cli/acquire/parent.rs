//! The process that something is held for. A number alone may be another process's later: its start is told too, where
//! the system says it (Linux).

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parent {
    pid: Pid,
    started: Option<String>,
}

impl Parent {
    /// The process of this number, if there is one.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let pid = Pid::from_raw(pid);
        let process = Self {
            pid,
            started: started(pid),
        };
        process.lives().then_some(process)
    }

    /// It has not ended.
    pub(super) fn lives(&self) -> bool {
        let there = !matches!(kill(self.pid, None), Err(Errno::ESRCH));
        // A zombie has ended; it says so where its start is read.
        there && (self.started.is_none() || started(self.pid) == self.started)
    }

    /// Asks it to end.
    pub(super) fn ask(&self) {
        if self.lives() {
            let _ = kill(self.pid, Signal::SIGTERM);
        }
    }
}

/// When it started, in ticks since the machine did; nothing where that cannot be read, or it is a zombie.
fn started(pid: Pid) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in brackets, and may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let start = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| start.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_has_ended() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(Parent::of(own).unwrap().lives());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let parent = Parent::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(parent.lives());
        parent.ask();
        child.wait().unwrap();
        assert!(!parent.lives());
        // Another process of its number is not it.
        let other = Parent {
            started: Some("1".to_owned()),
            ..Parent::of(own).unwrap()
        };
        assert!(!other.lives() || !cfg!(target_os = "linux"));
    }
}
