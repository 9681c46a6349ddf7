//! Requests from every dialect to every provider, and properties of reading and writing.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

use ledger::{Meter, Usage, UsageReport};
use proptest::prelude::*;
use wire::chat::{Block, Format, Role, Tool, ToolChoice, Turn};
use wire::{Chat, DIALECTS, Json, Reply, Target, dialect};

const OPENAI_CHAT: &str = r#"{
  "model": "openai/gpt-4o", "max_tokens": 300, "temperature": 1.5, "top_p": 0.9, "seed": 7, "stop": "THE END",
  "logit_bias": {"50256": -100}, "user": "customer-1", "reasoning_effort": "high",
  "messages": [
    {"role": "system", "content": "You keep a lighthouse."},
    {"role": "user", "content": [
      {"type": "text", "text": "What ship is this?", "cache_control": {"type": "ephemeral"}},
      {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}]},
    {"role": "assistant", "content": null, "reasoning_content": "Look it up.", "tool_calls": [
      {"id": "call_a", "type": "function", "function": {"name": "find_ship", "arguments": "{\"mast\":3,\"id\":12345678901234567890123}"}},
      {"id": "call_b", "type": "function", "function": {"name": "find_ship", "arguments": ""}}]},
    {"role": "tool", "tool_call_id": "call_a", "content": "The Albatross"},
    {"role": "tool", "tool_call_id": "call_b", "content": "unknown"},
    {"role": "developer", "content": "Be brief now."},
    {"role": "user", "content": "And where from?"}],
  "tools": [{"type": "function", "function": {"name": "find_ship", "description": "Finds a ship.", "strict": true,
    "parameters": {"type": "object", "properties": {"mast": {"type": "integer"}}}}}],
  "tool_choice": "required", "parallel_tool_calls": false,
  "response_format": {"type": "json_schema", "json_schema": {"name": "ship", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}}
}"#;

const ANTHROPIC: &str = r#"{
  "model": "claude-sonnet-4-5", "max_tokens": 4000, "top_k": 20, "stop_sequences": ["THE END"],
  "system": [{"type": "text", "text": "You keep a lighthouse.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
  "thinking": {"type": "enabled", "budget_tokens": 2048}, "metadata": {"user_id": "customer-1"},
  "messages": [
    {"role": "user", "content": [{"type": "text", "text": "What ship is this?"},
      {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "Look it up.", "signature": "c2ln"},
      {"type": "tool_use", "id": "toolu_a", "name": "find_ship", "input": {"mast": 3}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_a", "content": "no such ship", "is_error": true},
      {"type": "text", "text": "And where from?"}]}],
  "tools": [{"name": "find_ship", "input_schema": {"type": "object", "properties": {"mast": {"type": "integer"}}}}],
  "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}
}"#;

const GEMINI: &str = r#"{
  "systemInstruction": {"parts": [{"text": "You keep a lighthouse."}]},
  "contents": [
    {"role": "user", "parts": [{"text": "What ship is this?"}, {"inline_data": {"mime_type": "image/png", "data": "iVBORw0KGgo="}}]},
    {"role": "model", "parts": [{"functionCall": {"name": "find_ship", "args": {"mast": 3}}, "thoughtSignature": "c2ln"}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "find_ship", "response": {"output": "The Albatross"}}}]},
    {"role": "user", "parts": [{"text": "And where from?"}]}],
  "tools": [{"functionDeclarations": [{"name": "find_ship", "parameters": {"type": "OBJECT", "properties": {"mast": {"type": "INTEGER", "nullable": true}}}}]}],
  "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["find_ship"]}},
  "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
  "generationConfig": {"temperature": 0.5, "maxOutputTokens": 300, "responseMimeType": "application/json",
    "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true}}
}"#;

const TARGETS: [(&str, &str, &str); 4] = [
    ("openai_chat", "openai", "gpt-6.1-sol"),
    ("openai_chat", "deepseek", "deepseek-v4-pro"),
    ("anthropic", "anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini", "gemini-3-flash"),
];

fn target<'a>(provider: &'a str, model: &'a str) -> Target<'a> {
    Target { provider, model, max_output_tokens: Some(64_000), reasoning: false }
}

#[test]
fn every_dialect_to_every_provider() {
    for (from, input) in
        [("openai_chat", OPENAI_CHAT), ("anthropic", ANTHROPIC), ("gemini", GEMINI)]
    {
        let chat = dialect(from).unwrap().read_request(input.as_bytes()).unwrap();
        for (to, provider, model) in TARGETS {
            let written = dialect(to).unwrap().write_request(&chat, &target(provider, model));
            let text = match written {
                Ok(written) => {
                    let value: serde_json::Value = serde_json::from_slice(&written.body).unwrap();
                    let body = serde_json::to_string_pretty(&value).unwrap();
                    format!("dropped: {:#?}\n{body}", written.dropped)
                }
                Err(error) => format!("unsupported: {error}"),
            };
            insta::assert_snapshot!(format!("{from}_to_{provider}"), text);
        }
    }
}

#[test]
fn newer_claude_takes_neither_samplers_nor_forced_tools() {
    let chat = dialect("openai_chat").unwrap().read_request(OPENAI_CHAT.as_bytes()).unwrap();
    let anthropic = dialect("anthropic").unwrap();
    let written = anthropic.write_request(&chat, &target("anthropic", "claude-opus-9")).unwrap();
    for name in ["temperature", "top_p", "seed", "logit_bias", "tool_choice: required -> auto"] {
        assert!(
            written.dropped.iter().any(|dropped| dropped == name),
            "{name}: {:?}",
            written.dropped
        );
    }
}

#[test]
fn long_numbers_survive_in_arguments() {
    let chat = dialect("openai_chat").unwrap().read_request(OPENAI_CHAT.as_bytes()).unwrap();
    for (to, provider, model) in TARGETS {
        let body =
            dialect(to).unwrap().write_request(&chat, &target(provider, model)).unwrap().body;
        assert!(String::from_utf8(body).unwrap().contains("12345678901234567890123"), "{provider}");
    }
}

#[test]
fn what_changes_the_answer_is_refused_by_name() {
    let cases = [
        ("openai_chat", r#"{"model":"m","messages":[],"n":3}"#, "anthropic", "n"),
        ("openai_chat", r#"{"model":"m","messages":[],"logprobs":true}"#, "anthropic", "logprobs"),
        (
            "gemini",
            r#"{"contents":[],"cachedContent":"cachedContents/x"}"#,
            "openai_chat",
            "cachedContent",
        ),
        ("gemini", r#"{"contents":[],"tools":[{"googleMaps":{}}]}"#, "anthropic", "googleMaps"),
        (
            "gemini",
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"video/mp4","data":"AA=="}}]}]}"#,
            "anthropic",
            "video",
        ),
    ];
    for (from, body, to, field) in cases {
        let chat = dialect(from).unwrap().read_request(body.as_bytes()).unwrap();
        let error = dialect(to).unwrap().write_request(&chat, &target(to, "claude-opus-4-5"));
        assert_eq!(error.unwrap_err().field, field);
    }
}

#[test]
fn a_malformed_request_names_the_place() {
    for (name, body, path) in [
        ("openai_chat", r#"{"model":"m","messages":[],"temperature":"hot"}"#, "temperature"),
        (
            "openai_chat",
            r#"{"model":"m","messages":[{"role":"user"},{"role":"pirate"}]}"#,
            "messages[1].role",
        ),
        (
            "openai_chat",
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "messages[0].content[0].text",
        ),
        ("openai_chat", r#"{"messages":[]}"#, "model"),
        (
            "anthropic",
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            "messages[0].content",
        ),
        (
            "anthropic",
            r#"{"model":"m","messages":[],"tools":[{"input_schema":{}}]}"#,
            "tools[0].name",
        ),
        ("gemini", r#"{"contents":[{"parts":[{"text":7}]}]}"#, "contents[0].parts[0].text"),
        ("gemini", r#"{"contents":[],"generationConfig":{"topP":"x"}}"#, "generationConfig.topP"),
    ] {
        assert_eq!(
            dialect(name).unwrap().read_request(body.as_bytes()).unwrap_err().path,
            path,
            "{body}"
        );
    }
    let twice = br#"{"model":"a","model":"b","messages":[]}"#;
    for dialect in DIALECTS {
        assert!(
            dialect.read_request(twice).is_err(),
            "a second model must not win: {}",
            dialect.name()
        );
    }
}

#[test]
fn paths() {
    let path = |name: &str, model: &str| dialect(name).unwrap().request_path(model, false);
    assert_eq!(path("openai_chat", "x"), "/chat/completions");
    assert_eq!(path("anthropic", "x"), "/v1/messages");
    assert_eq!(
        path("gemini", "models/gemini-3-flash"),
        "/v1beta/models/gemini-3-flash:generateContent"
    );
    assert_eq!(
        path("gemini", "a/../b?key=1"),
        "/v1beta/models/a%2F..%2Fb%3Fkey%3D1:generateContent"
    );
}

fn texts() -> impl Strategy<Value = String> {
    // Not only blanks: Anthropic refuses those, so writers leave them out.
    "[a-zA-Z0-9 \"\\\\\n{}é🦀]{0,20}".prop_map(|text| format!("x{text}"))
}

fn round() -> impl Strategy<Value = Vec<Turn>> {
    (texts(), texts(), texts(), any::<bool>(), any::<u16>()).prop_map(
        |(ask, say, got, failed, n)| {
            let turn = |role, blocks| Turn { role, blocks, name: None };
            let id = format!("call_{n}");
            let input = Json::parse(&format!("{{\"n\": {n}}}")).unwrap();
            vec![
                turn(Role::User, vec![Block::Text(ask)]),
                turn(
                    Role::Assistant,
                    vec![
                        Block::Text(say),
                        Block::ToolUse {
                            id: id.clone(),
                            name: "tool".to_owned(),
                            input,
                            seal: None,
                        },
                    ],
                ),
                turn(
                    Role::User,
                    vec![Block::ToolResult {
                        id,
                        name: None,
                        blocks: vec![Block::Text(got)],
                        failed,
                    }],
                ),
            ]
        },
    )
}

prop_compose! {
    fn chats()(
        system in proptest::option::of(texts()),
        rounds in proptest::collection::vec(round(), 0..3),
        last in texts(),
        max_tokens in proptest::option::of(2_000_u64..9_000),
        temperature in proptest::option::of(0_u32..=10),
        stop in proptest::collection::vec("[a-z]{1,5}", 0..3),
        choice in 0..4_u8,
        json in any::<bool>(),
    ) -> Chat {
        let mut chat = Chat { max_tokens, ..Chat::default() };
        chat.system = system.into_iter().map(Block::Text).collect();
        chat.turns = rounds.into_iter().flatten().collect();
        chat.turns.push(Turn { role: Role::User, blocks: vec![Block::Text(last)], name: None });
        chat.tools.push(Tool::Function {
            name: "tool".to_owned(),
            description: None,
            schema: Json::parse("{\"type\":\"object\"}"),
            strict: None,
            cache: None,
        });
        chat.tool_choice = match choice {
            0 => ToolChoice::Unsaid,
            1 => ToolChoice::Auto,
            2 => ToolChoice::Required,
            _ => ToolChoice::One("tool".to_owned()),
        };
        chat.sampling.temperature = temperature.map(|tenths| f64::from(tenths) / 10.0);
        chat.sampling.stop = stop;
        if json {
            chat.output.format = Format::JsonSchema {
                name: None, description: None, schema: Json::parse("{\"type\":\"string\"}").unwrap(), strict: None,
            };
        }
        chat
    }
}

proptest! {
    #[test]
    fn a_written_request_is_a_fixed_point(chat in chats()) {
        for (name, provider, model) in TARGETS {
            let (dialect, target) = (dialect(name).unwrap(), target(provider, model));
            // DeepSeek's schema becomes an instruction, which the second writing cannot know.
            let instructed = provider == "deepseek" && chat.output.format != Format::Text;
            let first = dialect.write_request(&chat, &target).unwrap();
            let read = dialect.read_request(&first.body).unwrap();
            let second = dialect.write_request(&read, &target).unwrap();
            if !instructed {
                prop_assert_eq!(&first.body, &second.body);
            }
            prop_assert_eq!(read, dialect.read_request(&second.body).unwrap());
        }
    }

    #[test]
    fn nothing_panics(body in proptest::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        for dialect in DIALECTS {
            all_readers(dialect, &body, status);
        }
    }

    #[test]
    fn nothing_panics_on_broken_json(at in 0_usize..2_000, with in "[\\[\\]{}\",:0-9a-z-]{0,3}") {
        for input in [OPENAI_CHAT, ANTHROPIC, GEMINI] {
            let at = at.min(input.len());
            let body = [&input.as_bytes()[..at], with.as_bytes(), &input.as_bytes()[at..]].concat();
            for dialect in DIALECTS {
                all_readers(dialect, &body, 400);
            }
        }
    }

    #[test]
    fn usage_is_the_same_after_any_dialect(
        input in 0_u64..1_000_000, read in 0_u64..1_000_000, written in 0_u64..1_000_000,
        output in 0_u64..1_000_000, thinking in 0_u64..1_000_000,
    ) {
        let usage = Usage::of(&[
            (Meter::Input, input), (Meter::CacheRead, read), (Meter::CacheWrite5m, written),
            (Meter::Output, output), (Meter::Reasoning, thinking),
        ]);
        let reply = Reply { usage: Some(UsageReport::single(usage)), ..Reply::default() };
        for dialect in DIALECTS {
            let again = dialect.read_reply(&dialect.write_reply(&reply, &wire::Shape::default())).unwrap().usage.unwrap();
            let mut expected = usage;
            if dialect.name() == "gemini" {
                // Gemini has no word for writing a cache.
                expected.set(Meter::Input, input + written);
                expected.set(Meter::CacheWrite5m, 0);
            }
            prop_assert_eq!(again.total(), expected);
            prop_assert!(!again.inconsistent);
        }
    }
}

fn all_readers(dialect: &dyn wire::Dialect, body: &[u8], status: u16) {
    if let Ok(chat) = dialect.read_request(body) {
        for (name, provider, model) in TARGETS {
            let _ = wire::dialect(name).unwrap().write_request(&chat, &target(provider, model));
        }
    }
    if let Ok(reply) = dialect.read_reply(body) {
        for other in DIALECTS {
            other.write_reply(&reply, &wire::Shape::default());
        }
    }
    let _ = dialect.read_body_usage(body);
    dialect.write_problem(&dialect.read_problem(status, Some("1"), body));
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = dialect.read_usage(text);
    }
}

#[test]
fn what_stands_inside_a_block_is_reported_too() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[
        {"type":"text","text":"b","citations":[{"url":"https://example.com"}]}]},{"role":"user","content":"c"}],
        "tools":[{"name":"t","input_schema":{},"defer_loading":true}]}"#;
    let chat = dialect("anthropic").unwrap().read_request(body.as_bytes()).unwrap();
    let written =
        dialect("openai_chat").unwrap().write_request(&chat, &target("openai", "gpt-4o")).unwrap();
    assert_eq!(written.dropped, ["tools.defer_loading", "content.citations"]);
}
