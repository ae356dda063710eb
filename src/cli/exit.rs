//! With which codes the command ends. They are part of its interface: documented in `sluice run --help` and in
//! docs/cli.md, and they stay.

/// The lease was lost while the command ran; the command was stopped.
pub(super) const LOST: u8 = 122;
/// It was refused: denied, missing, forbidden, or the id belongs to another request.
pub(super) const REFUSED: u8 = 123;
/// It waited as long as --timeout allows.
pub(super) const TIMEOUT: u8 = 124;
/// Sluice itself failed: no server, no answer, no guardian.
pub(super) const FAILED: u8 = 125;
/// The command was found and cannot be run.
pub(super) const NOT_EXECUTABLE: u8 = 126;
/// The command was not found.
pub(super) const NOT_FOUND: u8 = 127;
/// The arguments are wrong, as clap has it.
pub(super) const USAGE: u8 = 2;

/// The code for the end by a signal, as shells have it.
pub(super) fn by_signal(signal: i32) -> u8 {
    u8::try_from(signal.saturating_add(128)).unwrap_or(FAILED)
}

/// What `--help` says of them.
pub(super) const HELP: &str = "\
Exit code: that of CMD; 128+N where signal N ended it. Of Sluice itself:
  122  the lease was lost and CMD was stopped     123  refused: denied, missing, forbidden
  124  nothing was granted within --timeout       125  Sluice failed: no server, no answer
  126  CMD cannot be executed                     127  CMD was not found
  2    the arguments are wrong                    128+N  signal N came while it waited";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_as_shells_have_them() {
        assert_eq!((by_signal(9), by_signal(15), by_signal(2)), (137, 143, 130));
    }
}
