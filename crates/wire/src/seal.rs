//! Opaque state of one provider on its way through a client of another: it comes back with the conversation, at the place
//! where the client's dialect keeps such state, and is told apart from that dialect's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::chat::Seal;

/// No provider's own state begins like this: what of it is text is base64, which has no dots.
pub(crate) const MARK: &str = "tg1.";

/// The text that stands for `seal` in the dialect `own`: its own state as it is, that of others in an envelope. A dialect
/// whose field holds bytes (Gemini) encodes the envelope once more.
pub(crate) fn wrap(seal: &Seal, own: &str) -> String {
    if seal.dialect == own {
        return seal.value.clone();
    }
    format!("{MARK}{}.{}", seal.dialect, URL_SAFE_NO_PAD.encode(&seal.value))
}

/// The state that a client of the dialect `own` sent back. What is no envelope of a known dialect is state of its own.
pub(crate) fn unwrap(value: &str, own: &'static str) -> Seal {
    open(value).unwrap_or_else(|| Seal { dialect: own, value: value.to_owned() })
}

fn open(envelope: &str) -> Option<Seal> {
    let (name, value) = envelope.strip_prefix(MARK)?.split_once('.')?;
    let dialect = crate::dialect(name)?.name();
    let value = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
    Some(Seal { dialect, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_passes_through_every_client() {
        for from in crate::DIALECTS {
            for client in crate::DIALECTS {
                for value in ["c2ln+/=", "", "{\"id\":\"ä\"}", "tg1.x.y"] {
                    let seal = Seal { dialect: from.name(), value: value.to_owned() };
                    let text = wrap(&seal, client.name());
                    assert_eq!(unwrap(&text, client.name()), seal, "{} {text}", client.name());
                    assert_eq!(text == value, from.name() == client.name());
                }
            }
        }
    }

    #[test]
    fn an_envelope_is_what_others_expect() {
        let seal = Seal { dialect: "anthropic", value: "c2ln+/=".to_owned() };
        assert_eq!(wrap(&seal, "gemini"), "tg1.anthropic.YzJsbisvPQ");
    }

    #[test]
    fn what_is_no_envelope_is_own() {
        for value in ["tg1.", "tg1.unknown.YQ", "tg1.gemini.%", "tg1.gemini._w", "tg1.gemini", "g"]
        {
            let seal = unwrap(value, "openai_responses");
            assert_eq!((seal.dialect, seal.value.as_str()), ("openai_responses", value));
        }
    }
}
