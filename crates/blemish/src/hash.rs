//! FNV-1a, 64 bits (Fowler, Noll and Vo): the same on every machine, unlike the standard library's hashes.

/// The hash of nothing.
pub(crate) const START: u64 = 0xcbf2_9ce4_8422_2325;

/// Goes on from `hash` with bytes, or with whole words, which takes a fraction of the time.
pub(crate) fn fnv1a<T: Into<u64>>(hash: u64, words: impl IntoIterator<Item = T>) -> u64 {
    let step = |hash: u64, word: T| (hash ^ word.into()).wrapping_mul(0x0100_0000_01b3);
    words.into_iter().fold(hash, step)
}
