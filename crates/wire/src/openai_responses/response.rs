//! The response object that answers and streams are made of.
//! <https://platform.openai.com/docs/api-reference/responses/object>

use super::types::Tool;
use super::usage;
use crate::json::{self, Json};
use crate::reply::Finish;
use crate::stream::{Metered, Shape};

/// Members that an answer repeats from its request, and what stands there when the request is silent. SDKs read several of
/// them without asking whether they are there.
const REPEATED: [(&str, &str); 19] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
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

/// The members of a request that its answer repeats.
pub(super) fn echo(body: &[u8]) -> Vec<(String, Json)> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let repeated = |name: &str| REPEATED.iter().any(|(known, _)| *known == name);
    let said = |(name, value): &(String, Json)| repeated(name) && value.get() != "null";
    json::fields(text).into_iter().filter(said).collect()
}

/// The names of the custom tools among those that an answer repeats.
pub(super) fn custom_tools(echo: &[(String, Json)]) -> Vec<String> {
    let tools = echo.iter().find(|(name, _)| name == "tools").map(|(_, tools)| tools.get());
    let tools: Vec<Json> =
        tools.and_then(|tools| serde_json::from_str(tools).ok()).unwrap_or_default();
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
