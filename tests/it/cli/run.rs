//! `sluice run` and `sluice lock`, as their users drive them: a command under a lease, its exit code, its signals, and
//! its end in time whatever becomes of `sluice`.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{column, json as shown};
use crate::support::{Proxy, Wire, World};

/// Longest that a command is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `sluice` that runs a command, in a folder of its own.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) folder: TempDir,
}

impl Running {
    /// Starts one. The shell script finds itself in the folder.
    pub(super) fn start(world: &World, arguments: &[&str], script: &str) -> Self {
        Self::start_with(world, &[], arguments, script)
    }

    /// Starts one with these variables in its environment.
    pub(super) fn start_with(
        world: &World,
        environment: &[(&str, &str)],
        arguments: &[&str],
        script: &str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            arguments,
            &["-n", world.namespace(), "--", "sh", "-c", script],
        ]
        .concat();
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        let child = world
            .sluice_command(&all)
            .envs(environment.iter().copied())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until the script has written a file; what is in it.
    pub(super) async fn wrote(&self, world: &World, name: &str) -> String {
        let path = self.file(name);
        let text = || std::fs::read_to_string(&path).unwrap_or_default();
        world
            .eventually(&format!("file {name}"), async || text().ends_with('\n'))
            .await;
        text().trim().to_owned()
    }

    /// Waits until `sluice` has said something.
    async fn says(&self, world: &World, what: &str) {
        let path = self.file("said");
        world
            .eventually(&format!("word of {what}"), async || {
                std::fs::read_to_string(&path).unwrap().contains(what)
            })
            .await;
    }

    pub(super) fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }

    /// Waits for its end, and what it said.
    pub(super) fn end(self) -> (ExitStatus, String, String) {
        let said = self.file("said");
        let output = self.child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status, out, std::fs::read_to_string(said).unwrap())
    }
}

pub(super) fn send(signal: &str, pid: u32) {
    let status = std::process::Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill {signal} {pid}");
}

/// A process of this number is there, and has not ended.
pub(super) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|it| !it.rsplit_once(')').unwrap().1.trim().starts_with('Z'))
}

/// Runs a script; code, what it printed, what was said.
fn run(world: &World, arguments: &[&str], script: &str) -> (Option<i32>, String, String) {
    let (status, out, said) = Running::start(world, arguments, script).end();
    (status.code(), out, said)
}

/// The claims of the namespace.
fn claims(world: &World) -> Vec<String> {
    let names = world.kubectl(&["get", "slotclaims", "-o", "name"]);
    names.lines().map(str::to_owned).collect()
}

/// The script does not hear TERM, and says who it is.
pub(super) const DEAF: &str = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done";

#[tokio::test]
async fn a_command_runs_with_tokens_and_keeps_its_exit_code() {
    let world = World::new("cli-run").await;
    world.limit("gpu", 3).await;
    world.limit("db", 1).await;
    world.lock("deploy").await;
    let request = [
        "run", "--slots", "gpu=2,db", "--lock", "deploy", "--holder", "me",
    ];
    let script = "echo $SLUICE_TOKENS $SLUICE_LOCK_TOKENS $SLUICE_CLAIM > env; while [ ! -e go ]; do sleep 0.05; done; exit 7";
    let running = Running::start(&world, &request, script);
    let environment = running.wrote(&world, "env").await;
    let words: Vec<&str> = environment.split(' ').collect();
    let list = shown(&world, &["holders", "gpu"]);
    assert_eq!(column(&list, "name"), [words[2]]);
    assert_eq!(column(&list, "holder"), ["me"]);
    assert_eq!(column(&list, "slots"), ["2"]);
    let token = |key: &str| shown(&world, &["holders", key])["items"][0]["token"].to_string();
    let tokens = words[0].replace(',', " ");
    for key in ["gpu", "db"] {
        let expected = format!("{key}={}", token(key));
        assert!(tokens.split(' ').any(|it| it == expected), "{environment}");
    }
    assert_eq!(words[1], format!("deploy={}", token("lock/deploy")));
    std::fs::write(running.file("go"), "").unwrap();
    let (status, _, said) = running.end();
    assert_eq!(status.code(), Some(7), "{said}");
    world.holders("gpu", []).await;
    world.lock_holders("deploy", []).await;
    world
        .eventually("no claim", async || claims(&world).is_empty())
        .await;
    world.finish().await;
}

#[tokio::test]
async fn every_end_has_its_code() {
    let world = World::new("cli-run-codes").await;
    world.limit("gpu", 1).await;
    let code = |arguments: &[&str], script: &str| run(&world, arguments, script);
    let slots = ["run", "--slots", "gpu"];
    assert_eq!(code(&slots, "exit 0").0, Some(0));
    assert_eq!(code(&slots, "kill -KILL $$").0, Some(137));
    assert_eq!(code(&slots, "kill -TERM $$").0, Some(143));
    let (refused, out, said) = code(&["run", "--slots", "nowhere"], "echo ran");
    assert_eq!((refused, out.as_str()), (Some(123), ""), "{said}");
    assert!(said.contains("nowhere"), "{said}");
    let (refused, _, said) = code(&["run", "--slots", "gpu=2"], "echo ran");
    assert_eq!(refused, Some(123), "{said}");
    let (usage, _, said) = code(&["run", "--slots", "GPU"], "echo ran");
    assert_eq!(usage, Some(2), "{said}");
    assert!(said.contains("--slots"), "{said}");
    assert_eq!(code(&["run", "--lease", "1s"], "echo ran").0, Some(2));

    let ns = world.namespace();
    for (program, expected) in [("/nowhere/program", 127), ("/etc/passwd", 126)] {
        let arguments = ["run", "--slots", "gpu", "-n", ns, "--", program];
        let output = world.sluice_command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{program}");
    }
    let mut lost = world.sluice_command(&["run", "--slots", "gpu", "--", "true"]);
    let output = lost.env("KUBECONFIG", "/nowhere/config").output().unwrap();
    assert_eq!(output.status.code(), Some(125));

    let holder = Running::start(&world, &slots, "echo > held; sleep 600");
    holder.wrote(&world, "held").await;
    for timeout in ["0", "2s"] {
        let arguments = ["run", "--slots", "gpu", "--timeout", timeout];
        let (late, out, said) = code(&arguments, "echo ran");
        assert_eq!((late, out.as_str()), (Some(124), ""), "{timeout}: {said}");
        assert!(said.contains("gpu"), "{said}");
    }
    // While one waits, it says for what; a signal gives up.
    let waiting = Running::start(&world, &slots, "echo ran");
    world.waiting("gpu", 1).await;
    waiting
        .says(&world, "1 of 1 slots are held by claim/")
        .await;
    waiting.signal("-TERM");
    let (status, out, said) = waiting.end();
    assert_eq!((status.code(), out.as_str()), (Some(143), ""), "{said}");
    world.waiting("gpu", 0).await;
    holder.signal("-TERM");
    let (status, ..) = holder.end();
    assert_eq!(status.code(), Some(143));
    world.holders("gpu", []).await;
    world.finish().await;
}

#[tokio::test]
async fn signals_go_on_and_what_is_left_running_is_ended() {
    let world = World::new("cli-run-signals").await;
    world.limit("gpu", 1).await;
    let slots = ["run", "--slots", "gpu"];
    // Others may be ignored by whoever runs the tests in the background, and then stay so.
    for (signal, name) in [("-TERM", "TERM"), ("-USR1", "USR1")] {
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; echo > ready; while :; do sleep 0.05; done"
        );
        let running = Running::start(&world, &slots, &script);
        running.wrote(&world, "ready").await;
        running.signal(signal);
        let (status, out, said) = running.end();
        assert_eq!(status.code(), Some(9), "{said}");
        assert_eq!(out.trim(), format!("got {name}"));
    }
    let running = Running::start(
        &world,
        &slots,
        "sleep 600 > /dev/null 2>&1 & echo $! > left; exit 3",
    );
    let left = running.wrote(&world, "left").await;
    let (status, _, said) = running.end();
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(!lives(&left), "{said}");
    world.holders("gpu", []).await;
    world.finish().await;
}

#[tokio::test]
async fn a_lost_lease_stops_the_command() {
    let world = World::new("cli-run-lost").await;
    world.limit("gpu", 1).await;
    let running = Running::start(&world, &["run", "--slots", "gpu", "--lease", "60s"], DEAF);
    let pid = running.wrote(&world, "pid").await;
    let holders = shown(&world, &["holders", "gpu"]);
    let claim = format!("claim/{}", column(&holders, "name")[0]);
    world.sluice(&[
        "release", "gpu", "--holder", &claim, "--reason", "drill", "--force",
    ]);
    let (status, _, said) = running.end();
    assert_eq!(status.code(), Some(122), "{said}");
    assert!(
        said.contains("ReleasedByOperator") || said.contains("operator"),
        "{said}"
    );
    assert!(!lives(&pid), "{said}");
    world.finish().await;
}

/// Writes down whether the process of this number is alive. A zombie, whom a stopped parent does not bury, is dead.
pub(super) fn finds(pid: &str) -> String {
    format!(
        "case \"$(cut -d' ' -f3 /proc/{pid}/stat 2> /dev/null)\" in ''|Z) echo dead > found;; *) echo alive > found;; esac"
    )
}

/// Whoever comes next finds the former command dead. The way in which its `sluice` ends is given.
async fn next_finds_it_dead(world: &World, end: impl AsyncFnOnce(&Running)) -> Running {
    next_finds_dead(world, &[], end).await
}

/// The same, of a `sluice` that has these variables in its environment.
async fn next_finds_dead(
    world: &World,
    environment: &[(&str, &str)],
    end: impl AsyncFnOnce(&Running),
) -> Running {
    let arguments = ["run", "--slots", "gpu", "--lease", "15s"];
    let first = Running::start_with(world, environment, &arguments, DEAF);
    let pid = first.wrote(world, "pid").await;
    let arguments = ["run", "--slots", "gpu", "--timeout", "90s"];
    let next = Running::start(world, &arguments, &finds(&pid));
    world.waiting("gpu", 1).await;
    end(&first).await;
    // Its lease has to run out first.
    let since = Instant::now();
    while !next.file("found").exists() {
        assert!(since.elapsed() < PATIENCE, "the next one never started");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(next.wrote(world, "found").await, "dead");
    next.end();
    first
}

#[tokio::test]
async fn the_command_of_a_killed_sluice_is_dead_before_the_next_one_starts() {
    let world = World::new("cli-run-killed").await;
    world.limit("gpu", 1).await;
    let first = next_finds_it_dead(&world, async |it| it.signal("-KILL")).await;
    let (status, ..) = first.end();
    assert_eq!(status.signal(), Some(9));
    world.finish().await;
}

#[tokio::test]
async fn the_command_of_a_stopped_sluice_is_dead_before_the_next_one_starts() {
    let world = World::new("cli-run-stopped").await;
    world.limit("gpu", 1).await;
    let first = next_finds_it_dead(&world, async |it| it.signal("-STOP")).await;
    first.signal("-CONT");
    let (status, _, said) = first.end();
    assert_eq!(status.code(), Some(122), "{said}");
    world.finish().await;
}

/// A `sluice` that is cut off in this way, and then healed.
async fn cut_off(name: &str, wire: Wire) {
    let world = World::new(name).await;
    world.limit("gpu", 1).await;
    let proxy = Proxy::to_server(&world);
    let kubeconfig = proxy.kubeconfig(&world);
    let environment = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
    let first = next_finds_dead(&world, &environment, async |_| proxy.set(wire)).await;
    proxy.set(Wire::Whole);
    let (status, _, said) = first.end();
    assert_eq!(status.code(), Some(122), "{said}");
    assert!(said.contains("the lease has run out"), "{said}");
    world.finish().await;
}

#[tokio::test]
async fn the_command_of_a_sluice_whose_connections_are_reset_is_dead_before_the_next_one_starts() {
    cut_off("cli-run-cut", Wire::Cut).await;
}

#[tokio::test]
async fn the_command_of_a_sluice_that_hears_nothing_is_dead_before_the_next_one_starts() {
    cut_off("cli-run-silent", Wire::Silent).await;
}

/// Numbers of the processes below one, whose command line contains a word.
fn below(parent: u32, word: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let fields = stat.rsplit_once(')').map(|it| it.1.to_owned());
        let of = fields.and_then(|it| it.split_whitespace().nth(1)?.parse::<u32>().ok());
        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
        if of == Some(parent) && line.split('\0').any(|it| it == word) {
            found.push(entry.file_name().to_str().unwrap().parse().unwrap());
        }
    }
    found
}

#[tokio::test]
async fn a_guardian_that_is_killed_is_replaced() {
    let world = World::new("cli-run-guardian").await;
    world.limit("gpu", 1).await;
    let running = Running::start(&world, &["run", "--slots", "gpu"], DEAF);
    let pid = running.wrote(&world, "pid").await;
    let sluice = running.child.id();
    let first = below(sluice, "guardian");
    assert_eq!(first.len(), 1);
    send("-KILL", first[0]);
    world
        .eventually("another guardian", async || {
            below(sluice, "guardian").iter().any(|it| *it != first[0])
        })
        .await;
    running.signal("-KILL");
    running.end();
    world
        .eventually("the end of the command", async || !lives(&pid))
        .await;
    world.finish().await;
}

#[tokio::test]
async fn a_lock_is_held_alone_or_shared() {
    let world = World::new("cli-lock").await;
    world.lock("door").await;
    let script = "echo > held; while [ ! -e go ]; do sleep 0.05; done";
    let readers: Vec<Running> = (0..2)
        .map(|_| Running::start(&world, &["lock", "door:shared"], script))
        .collect();
    for reader in &readers {
        reader.wrote(&world, "held").await;
    }
    let (late, _, said) = run(&world, &["lock", "door", "--timeout", "0"], "echo ran");
    assert_eq!(late, Some(124), "{said}");
    for reader in readers {
        std::fs::write(reader.file("go"), "").unwrap();
        let (status, _, said) = reader.end();
        assert_eq!(status.code(), Some(0), "{said}");
    }
    let (code, out, said) = run(&world, &["lock", "door"], "echo $SLUICE_LOCK_TOKENS");
    assert_eq!(code, Some(0), "{said}");
    assert!(out.starts_with("door="), "{out}");
    world.finish().await;
}

/// On a terminal the command has it: it reads what is typed, and its keys reach it alone.
#[tokio::test]
async fn the_command_has_the_terminal() {
    let world = World::new("cli-run-terminal").await;
    world.limit("gpu", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let inner = "read line; echo read $line > typed; ps -o stat= -p $$ > stat; exit 4";
    let line = format!(
        "{} run --slots gpu -n {} -- sh -c '{inner}'",
        env!("CARGO_BIN_EXE_sluice"),
        world.namespace()
    );
    let mut script = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("KUBECONFIG", world.plane().kubeconfig())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    world
        .eventually("the command", async || {
            let list: Value = shown(&world, &["holders", "gpu"]);
            !list["items"].as_array().unwrap().is_empty()
        })
        .await;
    let mut input = script.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"hello\n").unwrap();
    let code = script.wait().unwrap().code();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("typed").trim(), "read hello");
    // It is in the foreground.
    assert!(read("stat").contains('+'), "{}", read("stat"));
    assert_eq!(code, Some(4));
    world.finish().await;
}
