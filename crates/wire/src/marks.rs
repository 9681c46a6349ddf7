//! What in a request's body keeps its bytes from passing as they are, found on the way through it or by one search.

use crate::anthropic::{AHEAD, CALL_SEAL};
use crate::seal::MARK;

/// What some text of a body, or a member's name, begins with.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// State of another provider on its way through a client of this dialect, which only the canonical form takes out of its
    /// envelope.
    pub sealed: bool,
    /// Sound as Chat Completions has it: `input_audio`.
    pub sound: bool,
}

/// How an envelope begins where all of it is base64, and where it is one that goes ahead.
const CODED: [&str; 2] = ["dGcxL", "YWhlYWQudGcxL"];

impl Marks {
    /// Searches a body. An escape in the middle of a word hides it.
    pub fn of(body: &[u8]) -> Self {
        let mut marks = Self::default();
        for quote in memchr::memchr_iter(b'"', body) {
            marks.look(body.get(quote + 1..).unwrap_or_default());
        }
        marks
    }

    /// Looks at one text and what follows it, from behind its quote.
    pub(crate) fn look(&mut self, text: &[u8]) {
        match text.first() {
            Some(b't' | b'c' | b'a' | b'd' | b'Y') => self.sealed |= is_envelope(text),
            Some(b'r') => self.sealed |= is_foreign_thought(text),
            Some(b'i') => self.sound |= text.starts_with(b"input_audio\""),
            _ => {}
        }
    }
}

fn is_envelope(text: &[u8]) -> bool {
    let outer = [CALL_SEAL, AHEAD].into_iter().find_map(|kind| text.strip_prefix(kind.as_bytes()));
    outer.unwrap_or(text).starts_with(MARK.as_bytes())
        || CODED.iter().any(|mark| text.starts_with(mark.as_bytes()))
}

/// `OpenRouter`'s form of thoughts, or an id of thoughts that is not the provider's own: those have no second underscore.
fn is_foreign_thought(text: &[u8]) -> bool {
    let id = text.strip_prefix(b"rs_").unwrap_or_default();
    text.starts_with(b"reasoning_details\"")
        || id.iter().take_while(|byte| **byte != b'"').take(64).any(|byte| *byte == b'_')
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::peek::Peek;

    fn is_sealed(body: &str) -> bool {
        Marks::of(body.as_bytes()).sealed
    }

    #[test]
    fn state_of_others_is_found_where_a_text_begins() {
        let coded = |text: &str| STANDARD.encode(text);
        for text in [
            "tg1.anthropic.YQ".to_owned(),
            "call.tg1.gemini.YQ".to_owned(),
            "ahead.tg1.gemini.YQ".to_owned(),
            coded("tg1.anthropic.YQ"),
            coded("ahead.tg1.anthropic.YQ"),
            "rs_1_2".to_owned(),
        ] {
            assert!(is_sealed(&format!(r#"{{"a":["{text}"]}}"#)), "{text}");
            assert!(!is_sealed(&format!(r#"{{"a":["say {text}"]}}"#)), "{text}");
        }
        assert!(is_sealed(r#"{"reasoning_details":[]}"#));
        for text in ["tg1", "call.", "rs_12", "reasoning_detail", "dGcx", ""] {
            assert!(!is_sealed(&format!(r#"{{"a":"{text}","b":"x rs_1_2"}}"#)), "{text}");
        }
    }

    /// On the way through a body the same is found as by a search, wherever it stands.
    #[test]
    fn what_is_found_on_the_way_is_what_a_search_finds() {
        let texts =
            ["tg1.anthropic.YQ", "ahead.tg1.gemini.YQ", "rs_1_2", "rs_12", "input_audio", "x"];
        for text in texts {
            let bodies = [
                format!(r#"{{"{text}":1}}"#),
                format!(r#"{{"model":"m","a":"{text}"}}"#),
                format!(r#"{{"a":[1,{{"b":["","{text}"]}}],"model":"m"}}"#),
                format!(r#"{{"a":{{"b\n":{{"{text}":null}}}}}}"#),
                format!(r#"{{"a":"é \u00e9 {text}"}}"#),
            ];
            for body in bodies {
                let found = Peek::of(body.as_bytes()).unwrap().marks;
                assert_eq!(found, Some(Marks::of(body.as_bytes())), "{body}");
            }
        }
        // Behind an escaped quote no text begins.
        let quoted = br#"{"a":"say \"rs_1_2\""}"#;
        assert_eq!(Peek::of(quoted).unwrap().marks, Some(Marks::default()));
        // What is written in an unusual way is read otherwise, and searched by who wants to know.
        assert_eq!(Peek::of(br#"{"a\u0062":"rs_1_2"}"#).unwrap().marks, None);
    }

    #[test]
    fn sound_is_found_by_its_whole_name() {
        let found = |body: &str| Marks::of(body.as_bytes());
        let sound = Marks { sound: true, sealed: false };
        assert_eq!(found(r#"{"type":"input_audio","input_audio":{}}"#), sound);
        assert_eq!(found(r#"{"type":"input_audios","a":"an input_audio"}"#), Marks::default());
    }
}
