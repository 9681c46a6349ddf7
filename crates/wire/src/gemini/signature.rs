//! `thoughtSignature`: opaque bytes that belong to one part of an answer and must come back with it.
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>
//!
//! Google signs a call, or a text or picture that came out of thinking, and never the thoughts themselves. In the
//! canonical form the signature of a call is its seal; that of anything else is the seal of the thinking ahead of it,
//! which is made up without a text where none is shown. A signature that comes alone, in an empty text behind the last
//! one, is such a thinking at that place.
//!
//! State of another provider is carried by the call that its thoughts led to, or else stays with them. It travels in an
//! envelope, once more in base64 because the field is bytes.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::NAME;
use crate::chat::Seal;
use crate::seal;

/// Google's documented stand-in for the signature of a call that its model did not make.
pub(super) const STAND_IN: &str = "skip_thought_signature_validator";

/// Stands ahead of the envelope where a call carries the state of the thoughts that led to it, and not its own.
const AHEAD: &str = "ahead.";

/// Clients may write bytes in either alphabet, padded or not.
const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// A seal, and whether it is that of the thoughts ahead of the call that has it.
pub(super) fn read(value: &str) -> (Seal, bool) {
    let standard: String = value
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    let engine = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
    let inside = engine.decode(standard).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let inside = inside.as_deref().map(|inside| match inside.strip_prefix(AHEAD) {
        Some(envelope) => (seal::unwrap(envelope, NAME), true),
        None => (seal::unwrap(inside, NAME), false),
    });
    match inside {
        Some((foreign, ahead)) if foreign.dialect != NAME => (foreign, ahead),
        _ => (Seal { dialect: NAME, value: value.to_owned() }, false),
    }
}

/// For a client: Google's own as it is, that of others in an envelope.
pub(super) fn write(seal: &Seal) -> String {
    if seal.dialect == NAME {
        return seal.value.clone();
    }
    STANDARD.encode(seal::wrap(seal, NAME))
}

/// State of another provider's thoughts, for the call that they led to.
pub(super) fn write_ahead(seal: &Seal) -> String {
    STANDARD.encode(format!("{AHEAD}{}", seal::wrap(seal, NAME)))
}

/// For Google: its own, and nothing of others.
pub(super) fn own(seal: Option<&Seal>) -> Option<&str> {
    seal.filter(|seal| seal.dialect == NAME).map(|seal| seal.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_others_come_back_from_any_client() {
        let foreign = Seal { dialect: "anthropic", value: "EqQB+/ä?>~".to_owned() };
        let through = write(&foreign);
        assert_eq!(read(&through), (foreign.clone(), false));
        let url_safe = through.replace('+', "-").replace('/', "_");
        assert_eq!(read(url_safe.trim_end_matches('=')), (foreign.clone(), false));
        let ahead = write_ahead(&foreign);
        assert!(ahead.ends_with(&through), "what is another's state is known by the same mark");
        assert_eq!(read(&ahead), (foreign, true));
    }

    #[test]
    fn googles_own_stay_as_they_are() {
        for value in ["EpMCdG9sbGdhdGU=", "", "not base64!", STAND_IN, "dGcxLmdlbWluaS5ZUQ=="] {
            let (own, _) = read(value);
            assert_eq!((own.dialect, own.value.as_str()), (NAME, value));
            assert_eq!(write(&own), value);
        }
    }
}
