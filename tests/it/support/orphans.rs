//! Ends controllers whose test process is gone, SIGKILL of it included.
//!
//! One shell reads which processes live from a pipe of ours. When the pipe closes, we are gone, and it kills what is left.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};

const SCRIPT: &str = r#"
while read -r sign id; do
    if [ "$sign" = + ]; then all="$all $id"; else all=$(for it in $all; do [ "$it" = "$id" ] || echo "$it"; done); fi
done
[ -z "$all" ] || kill -9 $all
"#;

static SHELL: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        // Ctrl-C on a terminal must not end it before us.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Mutex::new(shell)
});

/// A process that must not outlive this one, until this is dropped.
pub(super) struct Registered(u32);

impl Registered {
    pub(super) fn new(id: u32) -> Self {
        tell('+', id);
        Self(id)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        tell('-', self.0);
    }
}

fn tell(sign: char, id: u32) {
    let mut shell = SHELL.lock().unwrap();
    writeln!(shell.stdin.as_mut().unwrap(), "{sign} {id}").unwrap();
}
