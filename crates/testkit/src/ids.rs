//! Identifiers that look like the providers' own, made from the number of the request.
//!
//! They are not random: the same requests in the same order give the same answers, byte for byte.

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Spreads a small number over 64 bits (the `splitmix64` finaliser).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The same number for the same text, in this and every later build (FNV-1a).
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn digits(seed: u64, length: usize, alphabet: &[u8]) -> String {
    let mut state = mix(seed);
    let base = u64::try_from(alphabet.len()).unwrap_or(1);
    let mut digit = || {
        state = mix(state);
        let place = usize::try_from(state % base).unwrap_or_default();
        alphabet.get(place).copied().map_or('0', char::from)
    };
    (0..length).map(|_| digit()).collect()
}

pub(crate) fn base62(seed: u64, length: usize) -> String {
    digits(seed, length, BASE62)
}

pub(crate) fn hex(seed: u64, length: usize) -> String {
    digits(seed, length, b"0123456789abcdef")
}

/// In the shape of a version 4 UUID.
pub(crate) fn uuid(seed: u64) -> String {
    let hex = hex(seed, 30);
    let part = |range| hex.get(range).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0..8), part(8..12), part(12..15), part(15..18), part(18..30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_right_shape_and_differ() {
        assert_eq!(base62(1, 29).len(), 29);
        assert_ne!(base62(1, 29), base62(2, 29));
        assert_eq!(base62(7, 29), base62(7, 29));
        let uuid = uuid(3);
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
