//! The response object that answers and streams are made of.
//! <https://platform.openai.com/docs/api-reference/responses/object>

use std::collections::BTreeMap;

use memchr::memmem;
use serde_json::value::RawValue;

use super::types::Tool;
use super::usage;
use crate::json::{self, Json};
use crate::peek::{self, insert_member, splice};
use crate::reply::Finish;
use crate::stream::{Metered, Shape};

/// Members that an answer repeats from its request, and what stands there when the request is silent. SDKs read several of
/// them without asking whether they are there.
const REPEATED: [(&str, &str); 21] = [
    ("frequency_penalty", "0.0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0.0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", r#""auto""#),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// What `OpenRouter`'s SDKs do not read an answer without, and what stands there where the provider is silent: `OpenAI`
/// itself did not always say all of it, and other servers of the dialect need not.
const REQUIRED: [(&str, &str); 12] = [
    ("completed_at", "null"),
    ("error", "null"),
    ("frequency_penalty", "0.0"),
    ("incomplete_details", "null"),
    ("instructions", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0.0"),
    ("temperature", "null"),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "null"),
];

/// The members of an object.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// An answer that passes, or an event that brings one, with what is required; none where nothing is missing. All other
/// bytes stay.
pub fn with_required(data: &str) -> Option<String> {
    // Almost no event brings one.
    memmem::find(data.as_bytes(), br#""response""#)?;
    let outer: Members<'_> = serde_json::from_str(data).ok()?;
    let answer = outer.get("response").map_or(data, |inner| inner.get());
    let members: Members<'_> = serde_json::from_str(answer).ok()?;
    if members.get("object").map(|kind| kind.get()) != Some(r#""response""#) {
        return None;
    }
    let missing = REQUIRED.iter().filter(|(name, _)| !members.contains_key(*name));
    let missing: Vec<String> = missing.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    if missing.is_empty() {
        return None;
    }
    let start = peek::at(data, answer)?.start;
    let (at, text) = insert_member(answer.as_bytes(), &missing.join(","))?;
    let edit = (start + at.start..start + at.end, text);
    String::from_utf8(splice(data.as_bytes(), vec![edit])).ok()
}

/// The members of a request that its answer repeats.
pub(super) fn echo(body: &[u8]) -> Vec<(String, Json)> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let repeated = |name: &str| REPEATED.iter().any(|(known, _)| *known == name);
    let said = |(name, value): &(String, Json)| repeated(name) && value.get() != "null";
    json::fields(text).into_iter().filter(said).collect()
}

/// The tools that an answer repeats.
pub(super) fn tools(echo: &[(String, Json)]) -> Vec<Json> {
    let tools = echo.iter().find(|(name, _)| name == "tools").map(|(_, tools)| tools.get());
    tools.and_then(|tools| serde_json::from_str(tools).ok()).unwrap_or_default()
}

/// The names of the custom tools among them.
pub(super) fn custom_tools(tools: &[Json]) -> Vec<String> {
    let tools = tools.iter().filter_map(|raw| serde_json::from_str::<Tool>(raw.get()).ok());
    let custom = tools.filter(|tool| tool.kind.as_deref() == Some("custom"));
    custom.filter_map(|tool| tool.name).collect()
}

/// How far an answer is.
pub(super) enum State<'a> {
    /// It has begun.
    Begun,
    /// It is over.
    Over(Finish),
    /// It failed, and how.
    Failed(&'a Json),
}

impl State<'_> {
    pub(super) fn status(&self) -> &'static str {
        match self {
            Self::Begun => "in_progress",
            Self::Over(Finish::Length | Finish::Filter) => "incomplete",
            Self::Over(Finish::Failed) | Self::Failed(_) => "failed",
            Self::Over(_) => "completed",
        }
    }
}

/// Who answers.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) model: String,
}

pub(super) fn object(
    shape: &Shape,
    head: &Head,
    state: &State<'_>,
    output: &[Json],
    metered: Option<&Metered>,
) -> Json {
    let incomplete = match state {
        State::Over(Finish::Length) => r#"{"reason":"max_output_tokens"}"#,
        State::Over(Finish::Filter) => r#"{"reason":"content_filter"}"#,
        _ => "null",
    };
    let error = match state {
        State::Failed(error) => error.get(),
        State::Over(Finish::Failed) => {
            r#"{"code":"server_error","message":"the provider broke off"}"#
        }
        _ => "null",
    };
    let report = metered.map(|metered| &metered.report);
    let tier = report.map(|report| Json::of(&usage::tier(report.service_tier)));
    let searches = report.and_then(usage::searches_used);
    let used = metered.map(usage::write);
    let mut text = String::from("{");
    let mut member = |name: &str, value: &str| {
        let comma = if text.len() > 1 { "," } else { "" };
        for part in [comma, "\"", name, "\":", value] {
            text.push_str(part);
        }
    };
    member("id", Json::of(&head.id).get());
    member("object", r#""response""#);
    member("created_at", Json::of(&shape.created).get());
    member("status", Json::of(&state.status()).get());
    member("background", "false");
    member("completed_at", "null");
    member("error", error);
    member("incomplete_details", incomplete);
    member("model", Json::of(&head.model).get());
    member("output", Json::of(&output).get());
    member("store", "false");
    for (name, default) in REPEATED {
        let said = shape.echo.iter().find(|(said, _)| said == name).map(|(_, value)| value.get());
        let served = tier.as_ref().filter(|_| name == "service_tier").map(Json::get);
        member(name, served.or(said).unwrap_or(default));
    }
    if let Some(searches) = &searches {
        member("tool_usage", searches.get());
    }
    member("usage", used.as_ref().map_or("null", Json::get));
    text.push('}');
    Json::parse(&text).unwrap_or_else(Json::empty_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_there() {
        let head = r#""completed_at":null,"error":null,"frequency_penalty":0.0,"incomplete_details":null,"instructions":null,"metadata":{},"parallel_tool_calls":true,"presence_penalty":0.0,"temperature":null,"tool_choice":"auto","tools":[],"top_p":null,"#;
        let answer = r#""object" : "response", "output":[{"text":"\"object\""}], "n":12345678901234567890123 "#;
        for (before, after) in [
            (format!(" {{ {answer}}}"), format!(" {{{head} {answer}}}")),
            (
                format!(r#"{{"response":{{{answer}}},"type":"response.created"}}"#),
                format!(r#"{{"response":{{{head}{answer}}},"type":"response.created"}}"#),
            ),
        ] {
            assert_eq!(with_required(&before).as_deref(), Some(after.as_str()));
            assert!(Json::parse(&after).is_some());
            // What is there stays, and nothing comes twice.
            assert_eq!(with_required(&after), None);
        }
        let some = r#"{"object":"response","top_p":0.5,"temperature":null,"tools":[1]}"#;
        let filled = with_required(some).unwrap();
        for said in [r#""top_p":0.5"#, r#""temperature":null"#, r#""tools":[1]"#] {
            let (name, _) = said.split_once(':').unwrap();
            assert!(filled.contains(said), "{filled}");
            assert_eq!(filled.matches(name).count(), 1, "{filled}");
        }
    }

    #[test]
    fn nothing_else_is_filled() {
        for untouched in [
            "",
            "[DONE]",
            r#"{"object":"response""#,
            r#"{"object":"response.compaction","output":[]}"#,
            r#"{"response":null,"type":"response.created"}"#,
            r#"{"response":{"object":"other"}}"#,
            r#"{"type":"response.output_text.delta","delta":"\"response\""}"#,
            r#"{"delta":"response","type":"response.output_text.delta"}"#,
            r#"["response"]"#,
        ] {
            assert_eq!(with_required(untouched), None, "{untouched}");
        }
    }

    #[test]
    fn every_member_that_is_required_is_written() {
        let head = Head { id: "resp_1".to_owned(), model: "m".to_owned() };
        for state in [State::Begun, State::Over(Finish::Stop), State::Over(Finish::Failed)] {
            let written = object(&Shape::default(), &head, &state, &[], None);
            assert_eq!(with_required(written.get()), None, "{}", written.get());
        }
    }
}
