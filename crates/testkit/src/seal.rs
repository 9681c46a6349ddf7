//! The opaque state that comes with thinking: signatures, encrypted content.
//!
//! It is derived from what was thought, so that one simulator recognises the state of another, and
//! any change to either is noticed. A state says by itself whether it is whole, as clients may hold
//! it without the thought.

use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine};

use crate::ids::{fingerprint, mix};

const MARK: &[u8; 4] = b"toll";
const LENGTH: usize = 96;

/// Bytes may come back with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) fn seal(thought: &str) -> String {
    BASE64.encode(bytes(fingerprint(thought)))
}

/// Whether this is a state that was given out, for this thought if there is one to compare with.
pub(crate) fn holds(seal: &str, thought: Option<&str>) -> bool {
    // Some carry bytes in the alphabet that is safe in URLs.
    let text: String = seal.chars().map(standard).collect();
    let Ok(found) = BASE64.decode(text) else { return false };
    let Some(print) = found.get(MARK.len()..MARK.len() + 8) else { return false };
    let print = print.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    found == bytes(print) && thought.is_none_or(|thought| fingerprint(thought) == print)
}

fn standard(letter: char) -> char {
    match letter {
        '-' => '+',
        '_' => '/',
        other => other,
    }
}

fn bytes(print: u64) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend(print.to_be_bytes());
    let mut state = print;
    while bytes.len() < LENGTH {
        state = mix(state);
        bytes.extend(state.to_be_bytes());
    }
    bytes.truncate(LENGTH);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_own_thought_alone() {
        let seal = seal("a thought");
        assert!(holds(&seal, Some("a thought")) && holds(&seal, None));
        assert!(!holds(&seal, Some("another")));
        assert_eq!(seal.len(), 128);
        let url_safe = seal.replace('+', "-").replace('/', "_");
        assert!(holds(&url_safe, None));
        for place in 0..seal.len() {
            let mut broken = seal.clone().into_bytes();
            broken[place] = if broken[place] == b'A' { b'B' } else { b'A' };
            let broken = String::from_utf8(broken).expect("text");
            assert!(!holds(&broken, Some("a thought")), "{place}");
        }
        for broken in ["", "AAAA", "€", &seal[4..]] {
            assert!(!holds(broken, None), "{broken}");
        }
    }
}
