//! Answers, counters and errors of our own making, in the shapes that providers send.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

use ledger::Meter::{
    AudioCacheRead, AudioInput, AudioOutput, CacheRead, CacheWrite1h, CacheWrite5m, CacheWrite12h,
    GroundedPrompt, ImageInput, ImageOutput, Input, Output, Reasoning, SearchQuery, WebSearch,
};
use ledger::{Meter, Region, ServiceTier, Usage, UsageReport};
use wire::problem::Kind;
use wire::reply::Finish;
use wire::{Malformed, Problem, Reply, dialect};

fn check(report: &Result<UsageReport, Malformed>, expected: &[(Meter, u64)]) {
    let report = report.as_ref().unwrap();
    assert_eq!(report.total(), Usage::of(expected));
    assert!(!report.inconsistent, "{report:?}");
}

fn read(name: &str, usage: &str) -> Result<UsageReport, Malformed> {
    dialect(name).unwrap().read_usage(usage)
}

#[test]
fn counters_of_openai_chat() {
    let chat = |usage: &str| read("openai_chat", usage);
    check(
        &chat(
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
            "prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":20,"audio_tokens":30,"image_tokens":5},
            "completion_tokens_details":{"reasoning_tokens":15,"audio_tokens":25,"rejected_prediction_tokens":3}}"#,
        ),
        &[
            (Input, 35),
            (CacheRead, 10),
            (CacheWrite5m, 20),
            (AudioInput, 30),
            (ImageInput, 5),
            (Output, 10),
            (Reasoning, 15),
            (AudioOutput, 25),
        ],
    );
    check(&chat(r#"{"prompt_tokens":7,"total_tokens":7}"#), &[(Input, 7)]);
    check(
        &chat(
            r#"{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"prompt_cache_hit_tokens":4,
            "prompt_tokens_details":null}"#,
        ),
        &[(Input, 5), (CacheRead, 4), (Output, 1)],
    );
    let compat = r#"{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}"#;
    check(
        &wire::openai_chat::usage::read_gemini_compat(compat),
        &[(Input, 35), (Output, 12), (Reasoning, 62)],
    );
    assert!(chat(compat).unwrap().inconsistent, "62 tokens are unaccounted for");
}

#[test]
fn absurd_counters_are_marked_and_keep_the_total() {
    for usage in [
        r#"{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":99}}"#,
        r#"{"prompt_tokens":10,"completion_tokens":-5}"#,
        r#"{"prompt_tokens":10,"completion_tokens":"many"}"#,
        r#"{"prompt_tokens":10,"completion_tokens":1.5}"#,
        r#"{"prompt_tokens":10,"completion_tokens":99999999999999999999999}"#,
        r#"{"prompt_tokens":10,"completion_tokens":18446744073709551615}"#,
    ] {
        let report = read("openai_chat", usage).unwrap();
        assert!(report.inconsistent, "{usage}");
        assert_eq!(report.total().input_tokens(), 10, "{usage}");
    }
    for name in ["openai_chat", "anthropic", "gemini", "openai_responses"] {
        for none in ["[1]", "[]", "\"x\"", "7", "true"] {
            assert!(read(name, none).is_err(), "{name} {none}");
        }
    }
    assert!(read("anthropic", "{}").unwrap().inconsistent);
    // Four of those would be more than a balance can hold.
    let much =
        read("openai_chat", r#"{"prompt_tokens":900000000000,"completion_tokens":5}"#).unwrap();
    assert_eq!((much.total(), much.inconsistent), (Usage::of(&[(Output, 5)]), true));
}

#[test]
fn counters_of_responses() {
    let usage = r#"{"input_tokens":100,"output_tokens":9,"total_tokens":109,
        "input_tokens_details":{"cached_tokens":10,"cache_write_tokens":60,
            "cache_write_tokens_details":{"ttl_30m_tokens":20,"ttl_12h_tokens":40}},
        "output_tokens_details":{"reasoning_tokens":4}}"#;
    check(
        &wire::openai_responses::usage::read(usage),
        &[
            (Input, 30),
            (CacheRead, 10),
            (CacheWrite5m, 20),
            (CacheWrite12h, 40),
            (Output, 5),
            (Reasoning, 4),
        ],
    );
    let body = r#"{"service_tier":"flex","tool_usage":{"web_search":{"num_requests":9}},
        "usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2},
        "output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},
            {"type":"message"}]}"#;
    let report = wire::openai_responses::usage::read_body(body.as_bytes()).unwrap().unwrap();
    assert_eq!((report.total().get(WebSearch), report.service_tier), (1, ServiceTier::Flex));
}

#[test]
fn counters_of_anthropic() {
    check(
        &read(
            "anthropic",
            r#"{"input_tokens":5,"cache_read_input_tokens":10,"cache_creation_input_tokens":100,
            "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":30},
            "output_tokens":50,"output_tokens_details":{"thinking_tokens":40},"server_tool_use":{"web_search_requests":2}}"#,
        ),
        &[
            (Input, 5),
            (CacheRead, 10),
            (CacheWrite5m, 70),
            (CacheWrite1h, 30),
            (Output, 10),
            (Reasoning, 40),
            (WebSearch, 2),
        ],
    );
    let terms = r#"{"input_tokens":1,"output_tokens":1,"server_tool_use":null,"cache_creation":null,
        "speed":"fast","inference_geo":"us","service_tier":"priority"}"#;
    let report = read("anthropic", terms).unwrap();
    assert_eq!(
        (report.fast, report.region, report.service_tier),
        (true, Region::Us, ServiceTier::Priority)
    );
    let passes = r#"{"input_tokens":30,"output_tokens":7,"output_tokens_details":{"thinking_tokens":5},
        "server_tool_use":{"web_search_requests":1},"iterations":[
        {"type":"message","input_tokens":10,"output_tokens":3},
        {"type":"advisor_message","model":"claude-opus-5","input_tokens":99,"output_tokens":8},
        {"type":"message","input_tokens":20,"output_tokens":4}]}"#;
    let report = read("anthropic", passes).unwrap();
    let models: Vec<_> = report.passes.iter().map(|pass| pass.model.as_deref()).collect();
    assert_eq!(models, [None, Some("claude-opus-5"), None]);
    assert_eq!(report.passes[0].usage, Usage::of(&[(Input, 10), (Reasoning, 3), (WebSearch, 1)]));
    assert_eq!(report.passes[2].usage, Usage::of(&[(Input, 20), (Reasoning, 2), (Output, 2)]));
    let fallback = r#"{"input_tokens":30,"output_tokens":7,"iterations":[
        {"type":"message","input_tokens":10,"output_tokens":3},
        {"type":"fallback_message","model":"claude-other","input_tokens":30,"output_tokens":7}]}"#;
    let report = read("anthropic", fallback).unwrap();
    assert_eq!(report.passes.len(), 1);
    assert_eq!(report.passes[0].model.as_deref(), Some("claude-other"));
}

#[test]
fn counters_of_gemini() {
    check(
        &read(
            "gemini",
            r#"{"promptTokenCount":100,"cachedContentTokenCount":40,"candidatesTokenCount":30,
            "thoughtsTokenCount":7,"toolUsePromptTokenCount":3,"totalTokenCount":140,
            "promptTokensDetails":[{"modality":"AUDIO","tokenCount":20},{"modality":"TEXT","tokenCount":11}],
            "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":5}],
            "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":25}]}"#,
        ),
        &[
            (Input, 48),
            (AudioInput, 15),
            (CacheRead, 35),
            (AudioCacheRead, 5),
            (Output, 5),
            (ImageOutput, 25),
            (Reasoning, 7),
        ],
    );
    let body = r#"{"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1,"serviceTier":"flex"},"candidates":[
        {"groundingMetadata":{"webSearchQueries":["tides","","ships"]}},{"groundingMetadata":{"webSearchQueries":["tides"]}}]}"#;
    let report = wire::gemini::usage::read_body(body.as_bytes()).unwrap().unwrap();
    assert_eq!(report.total(), Usage::of(&[(Input, 1), (SearchQuery, 2), (GroundedPrompt, 1)]));
    assert_eq!(report.service_tier, ServiceTier::Flex);
    let files = r#"{"usageMetadata":{"promptTokenCount":1},"candidates":[{"groundingMetadata":{"groundingChunks":[]}}]}"#;
    let report = wire::gemini::usage::read_body(files.as_bytes()).unwrap().unwrap();
    assert_eq!(report.total(), Usage::of(&[(Input, 1)]));
}

fn reply(name: &str, body: &str) -> Reply {
    dialect(name).unwrap().read_reply(body.as_bytes()).unwrap()
}

#[test]
fn answers_of_every_shape() {
    let chat = |message: &str| {
        reply("openai_chat", &format!("\n\n{{\"choices\":[{{\"message\":{message}}}]}}"))
    };
    assert_eq!(chat(r#"{"content":"ahoy"}"#).text(), "ahoy");
    assert_eq!(
        chat(r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#).text(),
        "ab"
    );
    assert_eq!(chat(r#"{"content":null,"refusal":"no"}"#).text(), "no");
    assert_eq!(
        chat(r#"{"content":null,"audio":{"id":"a","data":"","transcript":"said"}}"#).text(),
        "said"
    );
    assert_eq!(chat(r#"{"content":"x","reasoning_content":"hidden"}"#).text(), "x");
    assert!(
        chat(
            r#"{"content":null,"tool_calls":[{"id":"","function":{"name":"f","arguments":"{"}}]}"#
        )
        .calls_tools()
    );
    assert!(
        chat(r#"{"content":null,"function_call":{"name":"f","arguments":"{}"}}"#).calls_tools()
    );

    let claude = reply(
        "anthropic",
        r#"{"content":[{"type":"thinking","thinking":"t","signature":"s"},
        {"type":"text","text":"a"},{"type":"server_tool_use","id":"srvtoolu_1"},{"type":"brand_new"},{"type":"text","text":"b"}],
        "stop_reason":"pause_turn"}"#,
    );
    assert_eq!(
        (claude.text().as_str(), claude.finish, claude.blocks.len()),
        ("ab", Finish::Pause, 5)
    );

    let blocked = reply(
        "gemini",
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#,
    );
    assert_eq!((blocked.text().as_str(), blocked.finish), ("", Finish::Filter));
    assert!(blocked.usage.is_some());
    let empty = reply("gemini", r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#);
    assert_eq!(empty.finish, Finish::Length);
    let parts = reply(
        "gemini",
        r#"{"candidates":[{"content":{"parts":[{"text":"hidden","thought":true},{"text":"a"},
        {"executableCode":{"code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK"}},{"inlineData":{"mimeType":"image/png","data":"AA=="}},
        {"functionCall":{"name":"f"}},{"text":"b","thoughtSignature":"s"}]},"finishReason":"STOP"}]}"#,
    );
    assert_eq!((parts.text().as_str(), parts.finish_for_client()), ("ab", Finish::ToolUse));
    assert!(dialect("gemini").unwrap().read_reply(b"{}").is_err());
}

const ERRORS: [(&str, u16, &str, Kind); 13] = [
    (
        "openai_chat",
        429,
        r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        Kind::Billing,
    ),
    (
        "openai_chat",
        429,
        r#"{"error":{"message":"m","type":"requests","code":"rate_limit_exceeded"}}"#,
        Kind::RateLimit,
    ),
    (
        "openai_chat",
        402,
        r#"{"error":{"message":"m","type":"unknown_error","code":"invalid_request_error"}}"#,
        Kind::Billing,
    ),
    (
        "openai_chat",
        400,
        r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
        Kind::ContextOverflow,
    ),
    (
        "openai_chat",
        400,
        r#"[{"error":{"message":"m","code":400,"status":"INVALID_ARGUMENT"}}]"#,
        Kind::BadRequest,
    ),
    ("openai_chat", 502, "<html>bad gateway</html>", Kind::Upstream),
    (
        "anthropic",
        529,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
        Kind::Overloaded,
    ),
    (
        "anthropic",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}"#,
        Kind::ContextOverflow,
    ),
    (
        "anthropic",
        429,
        r#"{"error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        Kind::Billing,
    ),
    ("anthropic", 413, r#"{"error":{"type":"request_too_large","message":"m"}}"#, Kind::TooLarge),
    (
        "gemini",
        400,
        r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
        Kind::Auth,
    ),
    (
        "gemini",
        503,
        r#"[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#,
        Kind::Overloaded,
    ),
    (
        "gemini",
        504,
        r#"{"error":{"code":504,"message":"m","status":"DEADLINE_EXCEEDED"}}"#,
        Kind::Timeout,
    ),
];

#[test]
fn errors_have_their_kind() {
    for (name, status, body, kind) in ERRORS {
        assert_eq!(
            dialect(name).unwrap().read_problem(status, None, body.as_bytes()).kind,
            kind,
            "{body}"
        );
    }
    let wait = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x/google.rpc.RetryInfo","retryDelay":"37.2s"}]}}"#;
    let problem = dialect("gemini").unwrap().read_problem(429, None, wait.as_bytes());
    assert_eq!((problem.kind, problem.retry_after), (Kind::RateLimit, Some(38)));
    let problem = dialect("anthropic").unwrap().read_problem(529, Some("12"), b"");
    assert_eq!((problem.kind, problem.retry_after), (Kind::Overloaded, Some(12)));
}

#[test]
fn what_a_provider_says_of_the_operator_stays_inside() {
    for kind in [Kind::Auth, Kind::Billing, Kind::Forbidden] {
        for dialect in wire::DIALECTS {
            let theirs = Problem { upstream: true, ..Problem::own(kind, "the secret reason") };
            let (status, body) = dialect.write_problem(&theirs);
            assert_eq!(status, 502);
            assert!(!String::from_utf8(body).unwrap().contains("secret"));
            let (status, body) = dialect.write_problem(&Problem::own(kind, "your own"));
            assert!((400..500).contains(&status));
            let again = dialect.read_problem(status, None, &body);
            assert!(again.kind == kind || kind == Kind::Billing, "{}: {again:?}", dialect.name());
            assert_eq!(again.message, "your own");
        }
    }
}
