//! Reasoning items: their text as one block of thinking, everything else as its seal.

use serde::Serialize;

use super::NAME;
use super::types::{Part, Thoughts};
use crate::chat::{Block, Seal};
use crate::json::{Json, wire};
use crate::seal;

/// Between two parts of a summary, each of which is a heading and some lines.
pub(super) const BREAK: &str = "\n\n";

wire! {
    /// What a reasoning item has beside its text: the value of a seal of this dialect, where there is more to it than the
    /// encrypted content.
    struct State {
        id: String,
        encrypted_content: String,
        /// Bytes of each part of the summary and of the content, where that is not one part of summary.
        summary: Vec<usize>,
        content: Vec<usize>,
    }
    /// What a call has beside name and arguments: the value of its seal.
    struct CallState {
        #[serde(rename = "type")]
        kind: String,
        id: String,
        namespace: String,
        caller: Json,
        r#async: bool,
    }
}

/// The text of an item; parts of the summary come before those of the content.
pub(super) fn text(item: &Thoughts) -> String {
    let parts = item.summary.iter().flatten().chain(item.content.iter().flatten());
    let texts: Vec<&str> = parts.map(|part| part.text.as_deref().unwrap_or_default()).collect();
    texts.join(BREAK)
}

/// The seal of an item: that of its provider, or of another one whose envelope it holds.
pub(super) fn seal(item: &Thoughts) -> Option<Seal> {
    let encrypted = item.encrypted_content.as_deref().filter(|text| !text.is_empty());
    if let Some(seal) = encrypted.map(|value| seal::unwrap(value, NAME))
        && seal.dialect != NAME
    {
        return Some(seal);
    }
    let lengths = |parts: &Option<Vec<Part>>| -> Vec<usize> {
        let parts = parts.iter().flatten();
        parts.map(|part| part.text.as_deref().unwrap_or_default().len()).collect()
    };
    let (summary, content) = (lengths(&item.summary), lengths(&item.content));
    let plain = summary.len() <= 1 && content.is_empty();
    let id = item.id.as_deref().filter(|id| !id.is_empty());
    match (id, encrypted) {
        (None, None) => return None,
        (None, Some(value)) if plain => {
            return Some(Seal { dialect: NAME, value: value.to_owned() });
        }
        _ => {}
    }
    let state = State {
        id: id.map(str::to_owned),
        encrypted_content: encrypted.map(str::to_owned),
        summary: (!plain).then_some(summary),
        content: (!plain).then_some(content),
    };
    Some(Seal { dialect: NAME, value: Json::of(&state).get().to_owned() })
}

/// Whether a seal is one of this dialect without anything sealed: what has it may as well be another provider's.
pub(crate) fn is_bare(seal: &Seal) -> bool {
    seal.dialect == NAME && of_seal(seal).encrypted_content.is_none()
}

/// The state in a seal of this dialect.
pub(super) fn of_seal(seal: &Seal) -> State {
    let bare = || State { encrypted_content: Some(seal.value.clone()), ..State::default() };
    if seal.value.starts_with('{') {
        serde_json::from_str(&seal.value).unwrap_or_else(|_| bare())
    } else {
        bare()
    }
}

#[derive(Serialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    summary: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Vec<Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_content: Option<&'a str>,
}

fn part(kind: &str, text: &str) -> Json {
    Json::of(&Part { kind: Some(kind.to_owned()), text: Some(text.to_owned()), ..Part::default() })
}

/// The item of that text and state, in the parts it had. Without `status`, which the API refuses when it is null.
pub(super) fn item(text: &str, state: &State) -> Json {
    let (summary, content) = match split(text, state) {
        Some(parts) => parts,
        None if text.is_empty() => (Vec::new(), Vec::new()),
        None => (vec![text], Vec::new()),
    };
    let list =
        |kind: &str, texts: &[&str]| texts.iter().map(|text| part(kind, text)).collect::<Vec<_>>();
    let content = list("reasoning_text", &content);
    Json::of(&Item {
        kind: "reasoning",
        id: state.id.as_deref(),
        summary: list("summary_text", &summary),
        content: (!content.is_empty()).then_some(content),
        encrypted_content: state.encrypted_content.as_deref(),
    })
}

/// An item whose thoughts are its content, as servers write it that show them in full.
pub(super) fn open_item(id: &str, text: &str) -> Json {
    let content = Some(vec![part("reasoning_text", text)]);
    let summary = Vec::new();
    Json::of(&Item { kind: "reasoning", id: Some(id), summary, content, encrypted_content: None })
}

/// The text in the parts that the state tells of; nothing if it tells of none or of another text.
fn split<'a>(text: &'a str, state: &State) -> Option<(Vec<&'a str>, Vec<&'a str>)> {
    let (summary, content) = (state.summary.as_ref()?, state.content.as_ref()?);
    let mut rest = text;
    let mut texts = Vec::new();
    for (i, length) in summary.iter().chain(content).enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(BREAK)?;
        }
        let (part, behind) = rest.split_at_checked(*length)?;
        texts.push(part);
        rest = behind;
    }
    let content = texts.split_off(summary.len());
    rest.is_empty().then_some((texts, content))
}

/// A block of thinking that carries nothing: no text and no state that means anything without the server's memory.
pub(super) fn is_hollow(block: &Block) -> bool {
    match block {
        Block::Thinking { text, seal } if text.is_empty() => seal
            .as_ref()
            .is_none_or(|seal| seal.dialect == NAME && of_seal(seal).encrypted_content.is_none()),
        _ => false,
    }
}

/// Clients have no place for the state of a call; it travels in a reasoning item of its own, behind the envelope a mark
/// and the call's id.
const OF_CALL: char = '#';

pub(super) fn wrap_for_call(seal: &Seal, call_id: &str) -> String {
    format!("{}{OF_CALL}{call_id}", seal::wrap(seal, NAME))
}

/// The call and its seal, if that is what a reasoning item carries.
pub(super) fn unwrap_for_call(item: &Thoughts) -> Option<(String, Seal)> {
    let (envelope, call_id) = item.encrypted_content.as_deref()?.split_once(OF_CALL)?;
    let seal = seal::unwrap(envelope, NAME);
    (seal.dialect != NAME).then(|| (call_id.to_owned(), seal))
}

/// The seal of a call: its id as an item is worth keeping only where the server may remember it.
pub(super) fn call_seal(mut state: CallState, remembered: bool) -> Option<Seal> {
    let says_more = state.kind.is_some()
        || state.namespace.is_some()
        || state.caller.is_some()
        || state.r#async.is_some();
    if !says_more && !remembered {
        state.id = None;
    }
    let value = Json::of(&state).get().to_owned();
    (value != "{}").then_some(Seal { dialect: NAME, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Thoughts {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn items_come_back_as_they_were() {
        for text in [
            r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#,
            r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}"#,
            r#"{"type":"reasoning","id":"rs_1","summary":[]}"#,
            r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"a\n\nb"}],"encrypted_content":"g"}"#,
            r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"ä\n\n"},{"type":"summary_text","text":""},{"type":"summary_text","text":"b"}]}"#,
            r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"a"}],"content":[{"type":"reasoning_text","text":"b"}],"encrypted_content":"g"}"#,
            r#"{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"b"}]}"#,
        ] {
            let read = read(text);
            let state = of_seal(&seal(&read).unwrap());
            assert_eq!(item(&self::text(&read), &state).get(), text);
        }
    }

    #[test]
    fn parts_of_another_text_are_not_cut() {
        let state =
            State { summary: Some(vec![1, 2]), content: Some(Vec::new()), ..State::default() };
        for text in ["", "a", "ä\n\nbc", "a\n\nb", "a\n\nbcd", "abcde"] {
            assert!(split(text, &state).is_none(), "{text}");
        }
        assert_eq!(split("a\n\nbc", &state), Some((vec!["a", "bc"], Vec::new())));
    }
}
