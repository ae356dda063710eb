//! The guardian: a small process in a session of its own that ends the command of `sluice run` in time, whatever
//! becomes of `sluice` itself: stopped, killed, starved, without a network.
//!
//! It is the same binary under a hidden name. It is told over its standard input, line by line, which process group
//! to watch and until when, in moments of the machine's clock, so a line that arrives late says nothing wrong. It
//! answers a first line, and the command is started only after that. When its input ends without `done`, `sluice` is
//! gone: the command is asked to end at once and killed soon. It never talks to the cluster: slots that are left are
//! freed by expiry. What it decides is in [`super::leash`]; tested there, and as processes in `tests/it/cli/run.rs`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};

use super::clock::{self, Moment};
use super::leash::{Deed, Leash, Watch};
use crate::client::Guarded;

/// Its hidden name.
pub(in crate::cli) const NAME: &str = "guardian";
/// Lines that may wait.
const LINES_MAX: usize = 16;
/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 512;
/// How long it goes on killing a group that does not go away.
const KILLS_MAX: u32 = 300;

/// What a guardian is told.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    /// Watch this process group, which runs under a claim of this name.
    Watch(i32, Leash, String),
    /// A renewal was acknowledged.
    Until(Leash),
    /// `sluice` has asked the group to end.
    Stopping,
    /// The group has ended.
    Done,
}

impl Word {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let mut number = || words.next()?.parse::<u64>().ok();
        match name {
            "watch" => {
                let group = i32::try_from(number()?).ok().filter(|it| *it > 1)?;
                let leash = leash(number()?, number()?);
                Some(Self::Watch(group, leash, words.next()?.to_owned()))
            }
            "until" => Some(Self::Until(leash(number()?, number()?))),
            "stopping" => Some(Self::Stopping),
            "done" => Some(Self::Done),
            _ => None,
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Watch(group, it, claim) => {
                let (term_at, kill_at) = (it.term_at.0, it.kill_at.0);
                format!("watch {group} {term_at} {kill_at} {claim}\n")
            }
            Self::Until(it) => format!("until {} {}\n", it.term_at.0, it.kill_at.0),
            Self::Stopping => "stopping\n".to_owned(),
            Self::Done => "done\n".to_owned(),
        }
    }
}

fn leash(term_at: u64, kill_at: u64) -> Leash {
    Leash {
        term_at: Moment(term_at),
        kill_at: Moment(kill_at),
    }
}

/// A guardian, as `sluice run` has it.
#[derive(Debug)]
pub(super) struct Guardian {
    child: Child,
    input: ChildStdin,
}

impl Guardian {
    /// Starts one for this process group, which runs under a claim of this name; it watches when this returns.
    pub(super) fn start(group: Pid, leash: Leash, claim: &str) -> io::Result<Self> {
        let mut child = itself()
            .arg(NAME)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("it has no input or output");
        let input = child.stdin.take().ok_or_else(missing)?;
        let mut output = child.stdout.take().ok_or_else(missing)?;
        let mut guardian = Self { child, input };
        guardian.say(Word::Watch(group.as_raw(), leash, claim.to_owned()))?;
        let mut answer = [0_u8; 1];
        // Its end, too, is an answer: nobody watches then.
        output.read_exact(&mut answer)?;
        Ok(guardian)
    }

    fn say(&mut self, word: Word) -> io::Result<()> {
        self.input.write_all(word.line().as_bytes())?;
        self.input.flush()
    }

    /// A renewal was acknowledged.
    pub(super) fn until(&mut self, leash: Leash) -> io::Result<()> {
        self.say(Word::Until(leash))
    }

    /// The group has been asked to end.
    pub(super) fn stopping(&mut self) -> io::Result<()> {
        self.say(Word::Stopping)
    }

    /// Its process has ended, and nobody watches any more.
    pub(super) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The group has ended, and nothing is left to be watched.
    pub(super) fn done(mut self) {
        let told = self.say(Word::Done);
        drop(self.input);
        if told.is_ok() {
            // It ends at once; a zombie would be left otherwise.
            let _ = self.child.wait();
        }
    }
}

/// This binary, whatever has become of its file.
pub(in crate::cli) fn itself() -> Command {
    let path = if cfg!(target_os = "linux") {
        "/proc/self/exe".into()
    } else {
        std::env::current_exe().unwrap_or_else(|_| "sluice".into())
    };
    let mut command = Command::new(path);
    command.arg0("sluice");
    command
}

/// The guardian's own life.
pub(in crate::cli) fn run() -> u8 {
    // A leader of a process group cannot; then it was started by hand, for a test.
    let _ = setsid();
    let (heard, words) = sync_channel(LINES_MAX);
    std::thread::spawn(move || listen(&heard));
    let Ok(Some(Word::Watch(group, leash, claim))) = words.recv() else {
        return super::super::exit::USAGE;
    };
    // Nobody in this pod takes the claim up before the command is gone.
    let _guarded = Guarded::by(&claim);
    let answered = io::stdout()
        .write_all(b"\n")
        .and_then(|()| io::stdout().flush());
    if answered.is_err() {
        return super::super::exit::FAILED;
    }
    guard(&words, Pid::from_raw(group), Watch::new(leash));
    0
}

/// Sends what it hears; nothing where its input has ended.
fn listen(heard: &SyncSender<Option<Word>>) {
    let mut input = BufReader::new(io::stdin());
    loop {
        let mut line = String::new();
        let read = input.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
        let over = !matches!(read, Ok(bytes) if bytes > 0);
        let word = if over { None } else { Word::parse(&line) };
        // A line that is not understood is of a newer version, or nobody's: the deadlines stand.
        let gone = (over || word.is_some()) && heard.send(word).is_err();
        if gone || over {
            return;
        }
    }
}

fn guard(words: &Receiver<Option<Word>>, group: Pid, mut watch: Watch) {
    let mut kills = 0_u32;
    let mut orphan = false;
    loop {
        let rest = watch.rest(clock::now()).max(Duration::from_millis(1));
        let heard = if orphan {
            std::thread::sleep(rest);
            Err(RecvTimeoutError::Timeout)
        } else {
            words.recv_timeout(rest)
        };
        match heard {
            Ok(Some(Word::Done)) => return,
            Ok(Some(Word::Until(leash))) => watch.renewed(leash),
            Ok(Some(Word::Stopping)) => watch.stopping(clock::now()),
            Ok(Some(Word::Watch(..))) | Err(RecvTimeoutError::Timeout) => {}
            Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                orphan = true;
                watch.orphaned(clock::now());
            }
        }
        if !exists(group) {
            // While `sluice` lives it reaps its command, and says so; nobody else's group is ever signalled.
            return;
        }
        match watch.deed(clock::now()) {
            Deed::Wait => {}
            Deed::Term => ask(group),
            Deed::Kill => {
                let _ = killpg(group, Signal::SIGKILL);
                kills = kills.saturating_add(1);
                if kills > KILLS_MAX {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Whether anybody is left in a process group.
pub(super) fn exists(group: Pid) -> bool {
    !matches!(killpg(group, None), Err(Errno::ESRCH))
}

/// Asks a process group to end; one that is stopped hears it too.
pub(super) fn ask(group: Pid) {
    // Whoever has ended needs no asking.
    let _ = killpg(group, Signal::SIGTERM);
    let _ = killpg(group, Signal::SIGCONT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_way() {
        let leash = leash(5, 7);
        for word in [
            Word::Watch(4711, leash, "claim-x".to_owned()),
            Word::Until(leash),
            Word::Stopping,
            Word::Done,
        ] {
            assert_eq!(Word::parse(&word.line()), Some(word));
        }
        for bad in [
            "",
            "watch",
            "watch 1 5 7 c",
            "watch 0 5 7 c",
            "watch x 5 7 c",
            "watch 4711 5 7",
            "kill 5",
        ] {
            assert_eq!(Word::parse(bad), None, "{bad}");
        }
    }
}
