//! Names that nobody else has.

/// Letters of a random name.
const NAME_LETTERS: usize = 20;
/// What they are taken from, as in base32.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A name that nobody else has: a hundred bits of it are random.
pub(super) fn random_name(prefix: &str) -> String {
    let mut bits = fastrand::u128(..);
    let mut name = String::with_capacity(prefix.len().saturating_add(NAME_LETTERS));
    name.push_str(prefix);
    for _ in 0..NAME_LETTERS {
        // Five bits a letter.
        let letter = LETTERS.get((bits & 31) as usize).copied();
        name.push(char::from(letter.unwrap_or(b'a')));
        bits >>= 5;
    }
    name
}
