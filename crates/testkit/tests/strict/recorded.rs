//! What a provider accepted has no faults, but for what is listed here.

use serde_json::Value;
use testkit::recordings::{Recording, load, require};
use testkit::strict::{Api, check, check_answer, check_event};

const FILES: [(&str, Api); 11] = [
    ("openai.chat", Api::OpenaiChat),
    ("openai.responses", Api::OpenaiResponses),
    ("openai.embeddings", Api::OpenaiEmbeddings),
    ("openai.completions", Api::OpenaiCompletions),
    ("anthropic.messages", Api::Anthropic),
    ("anthropic.count_tokens", Api::AnthropicCountTokens),
    ("gemini.generateContent", Api::Gemini),
    ("gemini.streamGenerateContent", Api::Gemini),
    ("gemini.countTokens", Api::GeminiCountTokens),
    ("gemini.batchEmbedContents", Api::GeminiBatchEmbed),
    ("deepseek.chat", Api::DeepseekChat),
];

/// Accepted all the same: the API, the fault without its indices and what it quotes, and why it stays a fault.
const TOLERATED: [(Api, &str, &str); 6] = [
    (
        Api::OpenaiChat,
        "$.messages[].annotations: unknown field",
        "an answer sent back whole: only documented in answers, and ignored in requests",
    ),
    (
        Api::OpenaiResponses,
        "$.input[].status: null is not \"in_progress\" or \"completed\" or \"incomplete\"",
        "accepted once on a function call, refused on other items",
    ),
    (
        Api::OpenaiResponses,
        "$.input[].call_id: `` answers no function_call",
        "the answer to a search for tools, sent as that of a function instead of a tool_search_output",
    ),
    (
        Api::Anthropic,
        "$.output_format: unknown field",
        "the name of output_config.format in its beta, accepted with the beta's header only",
    ),
    (Api::DeepseekChat, "$.n: unknown field", "ignored: there is always one choice"),
    (
        Api::DeepseekChat,
        "$.messages[].reasoning: unknown field",
        "another vendor's name of reasoning_content, ignored",
    ),
];

/// A fault without the indices of its path and without what it quotes from the body.
fn general(fault: &str) -> String {
    let mut general = String::new();
    let mut quoted = false;
    let mut before = ' ';
    for c in fault.chars() {
        if c == '`' {
            quoted = !quoted;
        }
        let index = c.is_ascii_digit() && before == '[';
        if !index && (!quoted || c == '`') {
            general.push(c);
        }
        if !index {
            before = c;
        }
    }
    general
}

fn faults(api: Api, recording: &Recording) -> Vec<String> {
    let body = recording.request.body.as_ref().expect("a body");
    let tolerated =
        |fault: &String| TOLERATED.iter().any(|(of, one, _)| *of == api && general(fault) == *one);
    check(api, body).into_iter().filter(|fault| !tolerated(fault)).collect()
}

#[test]
fn accepted_requests_have_no_faults() {
    let Some(dir) = require() else { return };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (file, api) in FILES {
        let recordings = load(&dir, file).expect(file);
        for recording in recordings.iter().filter(|one| one.response.status < 300) {
            checked += 1;
            wrong.extend(
                faults(api, recording).iter().map(|fault| format!("{} {fault}", recording.id)),
            );
        }
    }
    assert!(checked > 0, "no accepted request was found");
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// Errors that the body alone explains: their code and parameter, and where the fault is.
const REFUSED: [(&str, Api, Option<&str>, &str, &str); 2] = [
    // Reasoning, and then not the message that it led to.
    ("openai.responses", Api::OpenaiResponses, None, "input", "$.input[1]"),
    (
        "openai.responses",
        Api::OpenaiResponses,
        Some("decimal_below_min_value"),
        "temperature",
        "$.temperature",
    ),
];

#[test]
fn refused_requests_have_the_fault_that_the_provider_named() {
    let Some(dir) = require() else { return };
    let mut found = 0;
    for (file, api, code, param, path) in REFUSED {
        let recordings = load(&dir, file).expect(file);
        let says_so = |one: &&Recording| {
            let error = one.response.body.as_ref().map(|body| &body["error"]);
            one.response.status == 400
                && error
                    .is_some_and(|error| error["code"].as_str() == code && error["param"] == param)
        };
        for recording in recordings.iter().filter(says_so) {
            let faults = faults(api, recording);
            assert_eq!(crate::wrong::paths(&faults), [path], "{}: {faults:#?}", recording.id);
            found += 1;
        }
    }
    assert!(found > 0, "no refused request was found");
}

/// Answered all the same: the API, the end of the fault, and why it stays a fault.
const ANSWERED: [(Api, &str, &str); 20] = [
    (Api::Anthropic, ".server_tool_use.web_fetch_requests: missing", "older than this counter"),
    (Api::Anthropic, ".content.abort_reason: unknown field", "in none of the types"),
    (
        Api::Anthropic,
        "$.content_block.signature: missing",
        "made by hand for the test that it is from",
    ),
    (Api::DeepseekChat, "$.usage.prompt_cache_hit_tokens: missing", "made by hand, as its id says"),
    (
        Api::DeepseekChat,
        "$.usage.prompt_cache_miss_tokens: missing",
        "made by hand, as its id says",
    ),
    (
        Api::OpenaiCompletions,
        "$.usage.completion_tokens: missing",
        "nothing was generated, and zero left out",
    ),
    (
        Api::OpenaiResponses,
        ".input_tokens_details.cache_write_tokens: missing",
        "older than this counter",
    ),
    (Api::OpenaiResponses, "$.sequence_number: missing", "older than this field"),
    (Api::OpenaiResponses, "$.logprobs: missing", "older than this field"),
    (
        Api::OpenaiResponses,
        "$.logprobs[].bytes: unknown field",
        "not in the types of events, only in those of items",
    ),
    (Api::OpenaiResponses, "$.item.action: missing", "a search that only begins has no action yet"),
    (
        Api::OpenaiResponses,
        "$.tools[].return_token_budget: unknown field",
        "an echoed tool, newer than the types",
    ),
    (
        Api::OpenaiResponses,
        "$.tools[].search_content_types: unknown field",
        "an echoed tool, newer than the types",
    ),
    (Api::OpenaiResponses, "$.tools[].n: unknown field", "an echoed tool, newer than the types"),
    (
        Api::OpenaiResponses,
        "\"incomplete\" or null",
        "made by hand: the status `complete` does not exist",
    ),
    (Api::OpenaiResponses, "$.status_details: unknown field", "made by hand"),
    (Api::OpenaiResponses, "$.tool_calls: unknown field", "made by hand"),
    (Api::OpenaiResponses, "$.total_tokens: unknown field", "made by hand"),
    (Api::OpenaiResponses, "$.tool_choice: missing", "made by hand"),
    (Api::OpenaiResponses, "$.tools: missing", "made by hand"),
];

fn events(sse: &str) -> impl Iterator<Item = Value> {
    let data = sse.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON"))
}

fn answer_faults(api: Api, recording: &Recording) -> Vec<String> {
    let response = &recording.response;
    let mut faults: Vec<String> = match &response.body {
        // A stream that is one array instead of events.
        Some(Value::Array(events)) => {
            events.iter().flat_map(|event| check_event(api, event)).collect()
        }
        Some(body) => check_answer(api, body),
        None => Vec::new(),
    };
    let streamed = response.sse.iter().flat_map(|sse| events(sse));
    faults.extend(streamed.flat_map(|event| check_event(api, &event)));
    let tolerated = |fault: &String| {
        ANSWERED.iter().any(|(of, end, _)| *of == api && general(fault).ends_with(end))
    };
    faults.retain(|fault| !tolerated(fault));
    faults
}

#[test]
fn real_answers_have_no_faults() {
    let Some(dir) = require() else { return };
    let mut wrong = Vec::new();
    for (file, api) in FILES {
        let recordings = load(&dir, file).expect(file);
        let answered = recordings.iter().filter(|one| one.response.status < 300);
        for recording in answered {
            let faults = answer_faults(api, recording);
            wrong.extend(faults.iter().map(|fault| format!("{} {fault}", recording.id)));
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}
