//! Names of functions and ids of calls: what Google takes, and what it leaves to others to make up.
//! <https://ai.google.dev/api/caching#FunctionDeclaration>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::chat::{Block, Chat, Tool, ToolChoice};

/// Google's limit for the name of a function.
const LONGEST: usize = 128;

fn is_legal(name: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    let start = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    start && name.len() <= LONGEST && name.bytes().all(inside)
}

/// The names of functions that Google does not take, and what they are called instead. They follow from the request
/// alone, so that the next turn of the conversation has the same ones.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    pub(super) fn of(chat: &Chat) -> Self {
        let mut names = Self::default();
        for name in all(chat) {
            if !is_legal(name) && !names.0.contains_key(name) {
                names.0.insert(name.to_owned(), shortened(name));
            }
        }
        names
    }

    /// What Google is told.
    pub(super) fn get(&self, name: &str) -> String {
        self.0.get(name).map_or(name, String::as_str).to_owned()
    }

    /// Google's name, then the client's.
    pub(super) fn renamed(self) -> Vec<(String, String)> {
        self.0.into_iter().map(|(from, to)| (to, from)).collect()
    }
}

fn all(chat: &Chat) -> impl Iterator<Item = &str> {
    let tools = chat.tools.iter().filter_map(|tool| match tool {
        Tool::Function { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let blocks = chat.turns.iter().flat_map(|turn| &turn.blocks);
    let called = blocks.filter_map(|block| match block {
        Block::ToolUse { name, .. } | Block::ToolResult { name: Some(name), .. } => {
            Some(name.as_str())
        }
        _ => None,
    });
    let chosen: &[String] = match &chat.tool_choice {
        ToolChoice::One(name) => std::slice::from_ref(name),
        ToolChoice::Among { names, .. } => names,
        _ => &[],
    };
    tools.chain(called).chain(chosen.iter().map(String::as_str))
}

fn shortened(name: &str) -> String {
    /// Leaves room for the hash within 64 bytes, which every provider takes.
    const KEPT: usize = 50;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let mut kept: String = name.chars().map(plain).take(KEPT).collect();
    if !kept.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        kept.insert(0, '_');
    }
    format!("{kept}_{}", hex(&Sha256::digest(name), 4))
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id of a call in an answer that came without one: models before 3 give none. It follows from the answer's own id
/// and the place of the call in it, so that it differs from every other id of the conversation, and reading the answer
/// again gives the same one.
pub(super) fn made_up(answer: &str, place: usize, name: &str) -> String {
    /// Bytes of the hash: 24 digits, as long as the ids of `OpenAI`.
    const BYTES: usize = 12;
    let hash = Sha256::new()
        .chain_update(answer)
        .chain_update([0])
        .chain_update(place.to_string())
        .chain_update([0])
        .chain_update(name)
        .finalize();
    format!("call_{}", hex(&hash, BYTES))
}

/// The id of a call without one in a client's history: its place in the conversation, which stays when turns are added.
pub(super) fn made_up_in_history(place: usize, name: &str) -> String {
    /// No provider takes fewer than 40 characters.
    const KEPT: usize = 24;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let kept: String = name.chars().map(plain).take(KEPT).collect();
    format!("call_{place}_{kept}")
}

/// Whether an id is one that [`made_up`] or [`made_up_in_history`] gives. Google never saw those, and gets calls and
/// results without an id, which it then pairs by name and order.
pub(super) fn is_made_up(id: &str) -> bool {
    let Some(rest) = id.strip_prefix("call_") else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let place = digits > 0 && rest.as_bytes().get(digits) == Some(&b'_');
    place || (rest.len() == 24 && rest.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_stable_and_told_from_others() {
        let ids = [
            made_up("a", 0, "f"),
            made_up("a", 1, "f"),
            made_up("b", 0, "f"),
            made_up("a", 0, "g"),
            made_up_in_history(3, "näme.with:dots"),
        ];
        assert_eq!(ids[0], made_up("a", 0, "f"));
        assert_eq!(ids[4], "call_3_n_me_with_dots");
        for (at, id) in ids.iter().enumerate() {
            assert!(is_made_up(id), "{id}");
            assert!(!ids[..at].contains(id), "{id}");
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        }
        for id in ["0usajhl5", "toolu_01", "call_54402", "call_30QT8TKHJabcdefghijklmno", ""] {
            assert!(!is_made_up(id), "{id}");
        }
    }

    #[test]
    fn illegal_names_get_legal_ones() {
        for name in ["", "1st", "mcp__näme", "with space", &"x".repeat(129)] {
            assert!(!is_legal(name), "{name}");
            let short = shortened(name);
            assert!(is_legal(&short) && short.len() <= 64, "{short}");
        }
        assert!(is_legal("_a.b:c-d") && is_legal(&"x".repeat(128)));
        assert_ne!(shortened("a b"), shortened("a-b c"));
    }
}
