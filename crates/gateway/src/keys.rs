//! API keys: `tg-`, thirty random base62 characters, six of their CRC32.
//!
//! Such a key is found by secret scanners, and 178 bits of chance need no slow hash. Only the SHA-256 is stored; the key
//! itself is shown once. Keys that were brought along from elsewhere look as they do: they are found by their hash too.

use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

const BRAND: &str = "tg-";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 30;
const CHECK: usize = 6;
/// How much of the start of a key is kept to tell it apart: the brand and four characters.
const PREFIX: usize = BRAND.len() + 4;

/// What a key of any make is at least and at most: shorter ones are guessed, longer ones are not read.
const SHORTEST: usize = 8;
const LONGEST: usize = 256;
/// Below this length a key of another make can be guessed, and no more than a hint of it is shown.
pub(crate) const GUESSED: usize = 20;
/// Stands for the end of a key that is not shown.
pub(crate) const UNSHOWN: &str = "****";

/// The SHA-256 of a key. The store has it in hexadecimal.
pub(crate) type KeyHash = [u8; 32];

/// A new key, to be shown once.
pub(crate) fn generate() -> SecretString {
    let mut random = rand::rng();
    let body: String =
        (0..RANDOM).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect();
    let check = checksum(&body);
    SecretString::from(format!("{BRAND}{body}{check}"))
}

/// The hash of what may be a key, ours or brought along; `None` for anything that cannot be one.
pub(crate) fn hash(key: &str) -> Option<KeyHash> {
    let fits = (SHORTEST..=LONGEST).contains(&key.len());
    (fits && key.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| Sha256::digest(key.as_bytes()).into())
}

/// Whether that is a key of ours by its looks, checksum and all.
pub(crate) fn is_ours(key: &str) -> bool {
    let Some(body) = key.strip_prefix(BRAND) else { return false };
    let Some((random, check)) = body.split_at_checked(RANDOM) else { return false };
    // The alphabet is all letters and digits of ASCII.
    let well_formed =
        body.len() == RANDOM + CHECK && body.bytes().all(|b| b.is_ascii_alphanumeric());
    well_formed && checksum(random) == check
}

/// What may be shown of a key: its start and its end. Of one that is short, next to nothing.
pub(crate) fn prefix_and_last4(key: &SecretString) -> (String, String) {
    let key = key.expose_secret();
    if key.len() < GUESSED {
        return (key.get(..2).unwrap_or_default().to_owned(), UNSHOWN.to_owned());
    }
    let (start, tail) = (PREFIX.min(key.len() / 5), key.len().saturating_sub(4));
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    (part(key.get(..start)), part(key.get(tail..)))
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use ledger::{from_hex, to_hex};

    use super::*;

    #[test]
    fn a_generated_key_is_well_formed_and_unlike_the_next() {
        let key = generate();
        let text = key.expose_secret();
        assert_eq!(text.len(), 39);
        assert!(is_ours(text) && hash(text).is_some());
        assert_ne!(hash(text), hash(generate().expose_secret()));
        let (prefix, last4) = prefix_and_last4(&key);
        assert!(text.starts_with(&prefix) && text.ends_with(&last4));
        assert_eq!((prefix.len(), last4.len()), (7, 4));
        let digest = hash(text).expect("well-formed");
        assert_eq!(from_hex(&to_hex(&digest)), Some(digest));
        let none = (None::<KeyHash>, None::<KeyHash>);
        assert_eq!((from_hex(""), from_hex(&"g".repeat(64))), none);
    }

    #[test]
    fn a_slip_of_one_character_is_seen() {
        let key = generate();
        let text = key.expose_secret();
        for position in BRAND.len()..text.len() {
            let mut slip = text.to_owned().into_bytes();
            slip[position] = if slip[position] == b'x' { b'y' } else { b'x' };
            let slip = String::from_utf8(slip).expect("ascii");
            assert!(!is_ours(&slip), "position {position}");
            assert_ne!(hash(&slip), hash(text), "position {position}");
        }
        for junk in [
            "",
            "tg-",
            "sk-abc",
            &text[..38],
            &format!("{text}0"),
            &text.replace("tg-", "TG-"),
            "tg-ééééééééééééééééééé",
        ] {
            assert!(!is_ours(junk), "{junk}");
        }
    }

    #[test]
    fn keys_of_another_make_are_hashed_whole() {
        let digest = Sha256::digest(b"sk-0123456789");
        assert_eq!(hash("sk-0123456789"), Some(digest.into()));
        let longest = "k".repeat(256);
        assert!(hash(&longest).is_some() && hash("12345678").is_some());
        for junk in ["", "1234567", &format!("{longest}k"), "with space", "with\ttab", "schlüssel"]
        {
            assert_eq!(hash(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn little_is_shown_of_a_short_key() {
        let shown = |key: &str| prefix_and_last4(&SecretString::from(key));
        assert_eq!(shown("hunter22"), ("hu".into(), "****".into()));
        assert_eq!(shown("0123456789012345678x"), ("0123".into(), "678x".into()));
        let uuid = "6b7e0c1a-9f1d-4c55-8a43-0d6a5c1f2e3d";
        assert_eq!(shown(uuid), ("6b7e0c1".into(), "2e3d".into()));
    }

    #[test]
    fn the_checksum_is_crc32_in_base62() {
        // CRC32 of "123456789" is 0xCBF43926 by definition: 3421780262, in base62 3JZSyQ.
        assert_eq!(checksum("123456789"), to_base62(0xCBF4_3926));
        assert_eq!(to_base62(61), "00000z");
    }

    fn to_base62(mut number: u32) -> String {
        let mut text = Vec::new();
        for _ in 0..6 {
            text.insert(0, char::from(ALPHABET[(number % 62) as usize]));
            number /= 62;
        }
        text.into_iter().collect()
    }
}
