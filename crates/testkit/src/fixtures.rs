//! Answers written by hand in the shape of real traffic, one of each kind that matters.
//!
//! Each says beside the body what a client should see and what a meter should count. Counters are
//! disjoint: no token is in two of them, and a counter that is not named is zero.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::provider::Provider;

/// One answer of one provider and what is known about it.
#[derive(Clone, Debug)]
pub struct Fixture {
    pub provider: Provider,
    /// The name of its file, which is how a client asks for it: `fixture:<name>`.
    pub name: &'static str,
    /// What it shows.
    pub about: String,
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    /// The model that was asked for.
    pub model: String,
    pub body: Value,
    /// The text that a reader of the answer sees; none when the answer holds no text at all, as
    /// with a lone tool call, a refusal field or an error.
    pub text: Option<String>,
    /// What is to be counted at the price of `model`; none for an error.
    pub usage: Option<BTreeMap<String, u64>>,
    /// What is to be counted besides, at the prices of other models that took part.
    pub usage_by_other_model: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    model: String,
    body: Value,
    text: Option<String>,
    usage: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    usage_by_other_model: BTreeMap<String, BTreeMap<String, u64>>,
}

/// All fixtures, in the order of the list below.
pub fn fixtures() -> Vec<Fixture> {
    // A file that cannot be read would be missing here; a test sees to it that there is none.
    FILES.iter().filter_map(|file| parse(*file).ok()).collect()
}

/// The text of a hand-written stream, a file `<name>.sse` beside the others. Streams are read when
/// they are asked for, from the sources of this crate: only tests ask.
pub(crate) fn stream(provider: Provider, name: &str) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if !name.chars().all(plain) {
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(provider.as_str());
    std::fs::read_to_string(folder.join(name).with_extension("sse")).ok()
}

type Source = (Provider, &'static str, &'static str);

fn parse((provider, name, json): Source) -> serde_json::Result<Fixture> {
    let file: File = serde_json::from_str(json)?;
    Ok(Fixture {
        provider,
        name,
        about: file.about,
        status: file.status,
        headers: file.headers,
        model: file.model,
        body: file.body,
        text: file.text,
        usage: file.usage,
        usage_by_other_model: file.usage_by_other_model,
    })
}

/// Lists files of `fixtures/`, whose text becomes a part of the program.
macro_rules! files {
    ($($provider:ident in $folder:literal: $($name:literal)*;)*) => {
        &[$($((
            Provider::$provider,
            $name,
            include_str!(concat!("../fixtures/", $folder, "/", $name, ".json")),
        ),)*)*]
    };
}

const FILES: &[Source] = files! {
    OpenAi in "openai":
        "audio" "cache" "content_filter" "error_400" "error_400_context" "error_401" "error_404"
        "error_429" "error_429_quota" "error_500" "error_503" "odd_names" "parallel_tool_calls"
        "priority_tier" "reasoning" "refusal" "rejected_prediction" "text" "tool_call"
        "truncated" "worked_example"
    ;
    DeepSeek in "deepseek":
        "cache" "error_400" "error_401" "error_402" "error_404" "error_422" "error_429"
        "error_500" "error_503" "reasoning" "refusal" "system_resource" "text" "tool_call"
        "tool_call_empty" "truncated"
    ;
    Anthropic in "anthropic":
        "advisor" "cache" "cache_no_split" "error_400" "error_400_context" "error_401"
        "error_402" "error_404" "error_429" "error_500" "error_529" "refusal" "text"
        "text_in_parts" "thinking" "thinking_redacted" "tool_call" "tool_call_with_text"
        "truncated" "web_search"
    ;
    Gemini in "gemini":
        "audio" "blocked" "cache" "error_400" "error_400_key" "error_401" "error_403"
        "error_404" "error_429" "error_500" "error_503" "image" "missing_parts" "refusal" "text"
        "thinking" "tool_call" "truncated" "web_search"
    ;
};

#[cfg(test)]
#[path = "fixtures_tests.rs"]
mod tests;
