//! API keys: `tg-`, thirty random base62 characters, six of their CRC32.
//!
//! Such a key is found by secret scanners, a mistyped one is refused without a look-up, and 178 bits of chance need
//! no slow hash. Only the SHA-256 is stored; the key itself is shown once.

use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

const BRAND: &str = "tg-";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 30;
const CHECK: usize = 6;
/// How much of the start of a key is kept to tell it apart: the brand and four characters.
const PREFIX: usize = BRAND.len() + 4;

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

/// The hash of a well-formed key; `None` for anything that cannot be one.
pub(crate) fn hash(key: &str) -> Option<KeyHash> {
    let body = key.strip_prefix(BRAND)?;
    let (random, check) = body.split_at_checked(RANDOM)?;
    // The alphabet is all letters and digits of ASCII.
    let well_formed =
        body.len() == RANDOM + CHECK && body.bytes().all(|b| b.is_ascii_alphanumeric());
    (well_formed && checksum(random) == check).then(|| Sha256::digest(key.as_bytes()).into())
}

/// What may be shown of a key: its start and its end.
pub(crate) fn prefix_and_last4(key: &SecretString) -> (String, String) {
    let key = key.expose_secret();
    let tail = key.len().saturating_sub(4);
    (
        key.get(..PREFIX).unwrap_or_default().to_owned(),
        key.get(tail..).unwrap_or_default().to_owned(),
    )
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
        assert!(hash(text).is_some());
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
            assert_eq!(hash(&String::from_utf8(slip).expect("ascii")), None, "position {position}");
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
            assert_eq!(hash(junk), None, "{junk}");
        }
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
