//! Calls without a signature in a history that goes to Google as it was written: another model has made them.
//!
//! Gemini 3 refuses the first call of each step of the current turn without one, and takes a stand-in for it.
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use super::signature::STAND_IN;
use crate::families::Gemini;
use crate::peek;

#[derive(serde::Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    contents: Vec<Content<'a>>,
}

#[derive(serde::Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    parts: Vec<&'a RawValue>,
}

/// What a part has.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Part {
    #[serde(rename = "functionCall", alias = "function_call")]
    call: Given,
    #[serde(rename = "functionResponse", alias = "function_response")]
    response: Given,
    #[serde(rename = "thoughtSignature", alias = "thought_signature")]
    signature: Given,
}

/// Whether a member is there, be it as `null`.
#[derive(Default)]
struct Given(bool);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

fn read(part: &RawValue) -> Part {
    serde_json::from_str(part.get()).unwrap_or_default()
}

/// What is to be put into a request's body for `model`: a stand-in wherever a signature is due and missing.
pub fn stand_ins(body: &[u8], model: &str) -> Vec<(Range<usize>, String)> {
    let calls = ["functionCall", "function_call"];
    let has_calls = calls.iter().any(|word| memmem::find(body, word.as_bytes()).is_some());
    if !has_calls || Gemini::of(model) != Gemini::Level {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let Ok(Body { contents }) = serde_json::from_str(text) else { return Vec::new() };
    let is_model = |content: &Content<'_>| content.role.as_deref() == Some("model");
    let begins_turn = |content: &Content<'_>| {
        let answers = content.parts.iter().any(|part| read(part).response.0);
        !is_model(content) && !content.parts.is_empty() && !answers
    };
    let current = contents.iter().rposition(begins_turn).map_or(0, |at| at + 1);
    let mut edits = Vec::new();
    // Only the first call of a step has one.
    let mut signed = false;
    for content in contents.iter().skip(current) {
        if !is_model(content) {
            signed = false;
            continue;
        }
        for raw in &content.parts {
            let part = read(raw);
            if !part.call.0 || std::mem::replace(&mut signed, true) || part.signature.0 {
                continue;
            }
            let edit = peek::insert_member(
                raw.get().as_bytes(),
                &format!("\"thoughtSignature\":\"{STAND_IN}\""),
            );
            let at = peek::at(text, raw.get());
            edits.extend(edit.zip(at).map(|((inside, member), at)| {
                (at.start + inside.start..at.start + inside.end, member)
            }));
        }
    }
    edits
}

/// How that is named among what a request lost.
pub fn note() -> String {
    format!("thoughtSignature: none -> {STAND_IN}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(contents: &str, model: &str) -> String {
        let body = format!(r#"{{"contents":[{contents}]}}"#);
        let spliced = peek::splice(body.as_bytes(), stand_ins(body.as_bytes(), model));
        String::from_utf8(spliced).unwrap()
    }

    #[test]
    fn where_one_is_due_and_missing() {
        const ASK: &str = r#"{"role":"user","parts":[{"text":"Go"}]}"#;
        const CALL: &str = r#"{ "functionCall":{"name":"f","args":{"functionResponse":1}}}"#;
        const RESULT: &str = r#"{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}"#;
        let model = |parts: &str| format!(r#"{{"role":"model","parts":[{parts}]}}"#);
        let stood_in =
            |part: &str| part.replacen('{', &format!("{{\"thoughtSignature\":\"{STAND_IN}\","), 1);
        let own = r#"{"function_call":{"name":"f"},"thought_signature":"c2ln"}"#;
        let step = model(CALL);
        let two = [ASK, &model(&format!("{CALL},{CALL}")), RESULT, &step, RESULT].join(",");
        let first = model(&format!("{},{CALL}", stood_in(CALL)));
        let second = model(&stood_in(CALL));
        let expected = [ASK, &first, RESULT, &second, RESULT].join(",");
        assert_eq!(signed(&two, "gemini-3-pro-preview"), format!(r#"{{"contents":[{expected}]}}"#));
        // Nothing is due of older models, of turns before, or where one is there.
        let before = [ASK, &step, RESULT, ASK].join(",");
        let there = [ASK, &model(&format!("{own},{CALL}")), RESULT].join(",");
        for (contents, model) in [
            (two.as_str(), "gemini-2.5-flash"),
            (before.as_str(), "gemini-3-pro-preview"),
            (there.as_str(), "gemini-3-pro-preview"),
            ("7", "gemini-3-pro-preview"),
        ] {
            assert_eq!(signed(contents, model), format!(r#"{{"contents":[{contents}]}}"#));
        }
    }
}
