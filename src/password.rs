//! Passwords that people read and type: letters and digits that are not taken for one another.

use rand::RngExt as _;

const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// By the system's randomness: nearly six bits a letter.
pub(crate) fn new(length: usize) -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    (0..length).map(letter).collect()
}
