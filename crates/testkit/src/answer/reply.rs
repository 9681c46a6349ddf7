//! What the simulator says: one of a few sentences, chosen by the last user message.

use super::Prompt;
use crate::ids;
use crate::prompt::tokens;

pub(super) struct Reply {
    pub(super) text: String,
    pub(super) tokens: u64,
    /// Whether the ceiling of the request cut it short.
    pub(super) truncated: bool,
}

const SENTENCES: [&str; 8] = [
    "The bar goes up as soon as the fee is paid.",
    "There are three lanes, and the one on the right is the quickest today.",
    "Count the axles first; the price follows from them.",
    "A receipt is printed for every vehicle, and none is printed twice.",
    "The night tariff begins at ten and ends at five.",
    "Two coins were too many, so one of them comes back.",
    "Whoever drives over the bridge twice also pays twice.",
    "The keeper of the gate writes each passage into the book.",
];

/// As much of a message as an answer repeats, in bytes.
const ECHO: usize = 80;

/// Names the message, so that a test sees whether it came through, and says something about it.
pub(super) fn to(prompt: &Prompt) -> Reply {
    let said = prompt.said.trim();
    let places = u64::try_from(SENTENCES.len()).unwrap_or(1);
    let place = usize::try_from(ids::mix(ids::fingerprint(said)) % places).unwrap_or_default();
    let sentence = SENTENCES.get(place).copied().unwrap_or_default();
    let echo = said.get(..said.floor_char_boundary(ECHO)).unwrap_or_default();
    let mut text = match echo {
        "" => sentence.to_owned(),
        echo => format!("You said: \u{201c}{echo}\u{201d}. {sentence}"),
    };
    let ceiling = prompt.ceiling.and_then(|tokens| usize::try_from(tokens.saturating_mul(4)).ok());
    let truncated = ceiling.is_some_and(|bytes| bytes < text.len());
    if let Some(bytes) = ceiling {
        text.truncate(text.floor_char_boundary(bytes));
    }
    Reply { tokens: tokens(text.len()), text, truncated }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(said: &str, ceiling: Option<u64>) -> Reply {
        to(&Prompt { model: String::new(), said: said.to_owned(), input_tokens: 1, ceiling })
    }

    #[test]
    fn the_same_message_gets_the_same_reply() {
        let first = reply("How much?", None);
        assert_eq!(first.text, reply("How much?", None).text);
        assert!(first.text.starts_with("You said: \u{201c}How much?\u{201d}. "));
        assert!(!first.truncated);
        assert_eq!(first.tokens, tokens(first.text.len()));
        assert!(SENTENCES.contains(&reply("", None).text.as_str()));
    }

    #[test]
    fn a_ceiling_cuts_between_characters() {
        for ceiling in 0..30 {
            let reply = reply(&"€".repeat(40), Some(ceiling));
            assert!(reply.tokens <= ceiling, "{ceiling}");
            assert_eq!(reply.tokens == 0, ceiling == 0, "{ceiling}");
            assert!(reply.truncated);
        }
        assert!(!reply("€", Some(1000)).truncated);
    }
}
