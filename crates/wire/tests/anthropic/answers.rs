//! Whole answers and errors.

use ledger::{Meter, UsageReport};
use serde_json::{Value, json};
use wire::chat::{Block, Citation, Seal};
use wire::problem::Kind;
use wire::reply::{Finish, Reply};
use wire::stream::{End, Event, Shape};
use wire::{Problem, Target, dialect};

use super::{anthropic, json as raw, read};

fn reply(body: &Value) -> Reply {
    anthropic().read_reply(body.to_string().as_bytes()).unwrap()
}

fn shown(reply: &Reply) -> Value {
    let shape = Shape { id: "msg_x".to_owned(), model: "m".to_owned(), ..Shape::default() };
    serde_json::from_slice(&anthropic().write_reply(reply, &shape)).unwrap()
}

fn fixtures() -> impl Iterator<Item = testkit::fixtures::Fixture> {
    let all = testkit::fixtures::fixtures().into_iter();
    all.filter(|fixture| fixture.provider == testkit::Provider::Anthropic)
}

/// An answer as the stream that would bring it, each block in one delta.
fn as_stream(answer: &Value) -> String {
    let mut out = String::new();
    let mut emit = |name: &str, mut data: Value| {
        data["type"] = name.into();
        for part in ["event: ", name, "\ndata: ", &data.to_string(), "\n\n"] {
            out.push_str(part);
        }
    };
    let mut message = answer.clone();
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"]["output_tokens"] = json!(1);
    emit("message_start", json!({ "message": message }));
    for (index, block) in answer["content"].as_array().unwrap().iter().enumerate() {
        let delta = |delta: Value| json!({"index": index, "delta": delta});
        let mut start = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap() {
            "text" => {
                start = json!({"type": "text", "text": ""});
                deltas.push(json!({"type": "text_delta", "text": block["text"]}));
                for citation in block["citations"].as_array().into_iter().flatten() {
                    deltas.push(json!({"type": "citations_delta", "citation": citation}));
                }
            }
            "thinking" => {
                start = json!({"type": "thinking", "thinking": "", "signature": ""});
                deltas.push(json!({"type": "thinking_delta", "thinking": block["thinking"]}));
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "tool_use" | "server_tool_use" => {
                start["input"] = json!({});
                let input = block["input"].to_string();
                deltas.push(json!({"type": "input_json_delta", "partial_json": ""}));
                deltas.push(json!({"type": "input_json_delta", "partial_json": input}));
            }
            _ => {}
        }
        emit("content_block_start", json!({"index": index, "content_block": start}));
        for body in deltas {
            emit("content_block_delta", delta(body));
        }
        emit("content_block_stop", json!({ "index": index }));
    }
    let stop = json!({"stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"],
        "stop_details": answer["stop_details"]});
    // The split and the terms stand in the start only.
    let mut usage = answer["usage"].clone();
    for name in ["cache_creation", "service_tier", "inference_geo"] {
        usage.as_object_mut().unwrap().remove(name);
    }
    emit("message_delta", json!({"delta": stop, "usage": usage}));
    emit("message_stop", json!({}));
    out
}

#[test]
fn whole_and_streamed_answers_are_the_same() {
    let mut checked = 0;
    for fixture in fixtures().filter(|fixture| fixture.status == 200) {
        let whole = reply(&fixture.body);
        let (events, seen) = read(&as_stream(&fixture.body));
        assert_eq!(wire::collect::collect(events).unwrap(), whole, "{}", fixture.name);
        assert_eq!(seen.usage, whole.usage, "{}", fixture.name);
        checked += 1;
    }
    assert!(checked > 10, "only {checked} answers");
}

#[test]
fn whole_answers_are_written_again_as_they_were() {
    for fixture in fixtures().filter(|fixture| fixture.status == 200) {
        let again = shown(&reply(&fixture.body));
        let (mut was, mut is) = (fixture.body["content"].clone(), again["content"].clone());
        for content in [&mut was, &mut is] {
            for block in content.as_array_mut().unwrap() {
                let members = block.as_object_mut().unwrap();
                members.retain(|name, value| name != "caller" && !value.is_null());
            }
        }
        // A refusal without a word is said in words.
        if fixture.name != "refusal" {
            assert_eq!(is, was, "{}", fixture.name);
        }
        assert_eq!(again["stop_reason"], fixture.body["stop_reason"], "{}", fixture.name);
        assert_eq!(again["stop_sequence"], fixture.body["stop_sequence"], "{}", fixture.name);
        for name in ["id", "model", "role", "type"] {
            assert_eq!(again[name], fixture.body[name], "{}", fixture.name);
        }
    }
}

#[test]
fn a_refusal_is_visible_and_explained() {
    let body = json!({"content": [], "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": null, "explanation": "No forgeries."}});
    let refused = reply(&body);
    assert_eq!(refused.blocks, [Block::Refusal("No forgeries.".to_owned())]);
    let again = shown(&refused);
    assert_eq!(again["content"][0]["text"], "No forgeries.");
    assert_eq!(again["stop_details"]["explanation"], "No forgeries.");
    assert_eq!(again["stop_reason"], "refusal");
}

#[test]
fn the_answer_that_came_as_a_call_is_text() {
    let body = json!({"content": [{"type": "tool_use", "id": "a", "name": "tollgate_json_answer", "input": {"1": "open"}}],
        "stop_reason": "tool_use"});
    let answer = reply(&body);
    assert_eq!(answer.blocks, [Block::Text("{\"1\":\"open\"}".to_owned())]);
    assert_eq!(answer.finish, Finish::Stop);
}

#[test]
fn an_answer_of_another_provider_is_whole_for_sdks() {
    let answer = Reply {
        blocks: vec![
            Block::Thinking {
                text: "hm".to_owned(),
                seal: Some(Seal { dialect: "gemini", value: "c2ln".to_owned() }),
            },
            Block::Text("a".to_owned()),
            Block::Citation(Citation { url: "https://e.com".to_owned(), ..Citation::default() }),
            Block::ToolUse {
                id: "call/1".to_owned(),
                name: "f".to_owned(),
                input: raw("[1]"),
                seal: None,
            },
        ],
        ..Reply::default()
    };
    let expected = json!({"id": "msg_x", "type": "message", "role": "assistant", "model": "m",
        "stop_reason": "tool_use", "stop_sequence": null, "stop_details": null,
        "content": [{"type": "thinking", "thinking": "hm", "signature": "tg1.gemini.YzJsbg"},
            {"type": "text", "text": "a", "citations": [{"type": "web_search_result_location", "url": "https://e.com",
                "title": null, "cited_text": "", "encrypted_index": ""}]},
            {"type": "tool_use", "id": shown(&answer)["content"][2]["id"], "name": "f", "input": {"_raw": [1]}}],
        "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "output_tokens": 0,
            "output_tokens_details": {"thinking_tokens": 0}, "service_tier": "standard"}});
    assert_eq!(shown(&answer), expected);
    let id = expected["content"][2]["id"].as_str().unwrap();
    assert!(id.starts_with("call_1_") && id.len() == 15, "{id}");
    // A citation that Anthropic did not make is not sent there.
    let history = json!({"model": "m", "messages": [{"role": "user", "content": "x"},
        {"role": "assistant", "content": [expected["content"][1]]}, {"role": "user", "content": "y"}]});
    let (body, dropped) =
        super::request_for("claude-opus-5-5", &super::chat_of(&history.to_string()));
    assert!(body["messages"][1]["content"][0].get("citations").is_none());
    assert_eq!(dropped, ["citations"]);
}

#[test]
fn counters_of_other_providers_have_their_place() {
    let counters = [
        (Meter::Input, 1),
        (Meter::AudioInput, 2),
        (Meter::CacheRead, 10),
        (Meter::CacheWrite5m, 20),
        (Meter::CacheWrite12h, 30),
        (Meter::Output, 4),
        (Meter::Reasoning, 5),
        (Meter::AudioOutput, 6),
        (Meter::WebSearch, 7),
    ];
    let report = UsageReport::single(ledger::Usage::of(&counters));
    let usage = shown(&Reply { usage: Some(report), ..Reply::default() })["usage"].clone();
    let expected = json!({"input_tokens": 3, "cache_creation_input_tokens": 50, "cache_read_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}, "output_tokens": 15,
        "output_tokens_details": {"thinking_tokens": 5},
        "server_tool_use": {"web_search_requests": 7, "web_fetch_requests": 0}, "service_tier": "standard"});
    assert_eq!(usage, expected);
}

/// The error class that each SDK makes of an answer, by its type; in a stream and without.
#[test]
fn errors_are_typed() {
    let cases = [
        ("invalid_request_error", 400, Kind::BadRequest),
        ("authentication_error", 401, Kind::Auth),
        ("billing_error", 402, Kind::Billing),
        ("permission_error", 403, Kind::Forbidden),
        ("not_found_error", 404, Kind::NotFound),
        ("request_too_large", 413, Kind::TooLarge),
        ("rate_limit_error", 429, Kind::RateLimit),
        ("api_error", 500, Kind::Upstream),
        ("timeout_error", 504, Kind::Timeout),
        ("overloaded_error", 529, Kind::Overloaded),
    ];
    for (class, status, kind) in cases {
        let body = json!({"type": "error", "error": {"type": class, "message": "m"}, "request_id": "req_1"});
        let whole = anthropic().read_problem(status, None, body.to_string().as_bytes());
        assert_eq!((whole.kind, whole.status, whole.message.as_str()), (kind, status, "m"));
        let (events, _) = read(&format!("event: error\ndata: {body}\n\n"));
        assert_eq!(events, [Event::Problem(whole)]);
        let (status_again, body) = anthropic().write_problem(&Problem::own(kind, "m"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(class)));
        assert!(status_again == status || kind == Kind::Upstream);
    }
    let spent = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "m",
        "details": {"error_code": "contract_spend_limit_reached"}}});
    for status in [400, 429] {
        let problem = anthropic().read_problem(status, None, spent.to_string().as_bytes());
        assert_eq!(problem.kind, Kind::Billing);
        assert_eq!(problem.code.as_deref(), Some("contract_spend_limit_reached"));
        assert!(!problem.is_retryable());
    }
    let strange = json!({"type": "error", "error": {"type": "brand_new_error", "message": "m"}});
    let (events, seen) = read(&format!("data: {strange}\n\n"));
    assert!(matches!(&events[..], [Event::Problem(problem)] if problem.kind == Kind::Upstream));
    assert!(seen.failed);
}

/// OpenAI's models refuse in a part of its own, and call the answer complete.
#[test]
fn a_refusal_of_another_provider_is_one_here() {
    let chat = r#"{"id":"c","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null,"refusal":"No."}}]}"#;
    let responses = r#"{"id":"resp_1","model":"m","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"No."}]}]}"#;
    for (name, body) in [("openai_chat", chat), ("openai_responses", responses)] {
        let reply = dialect(name).unwrap().read_reply(body.as_bytes()).unwrap();
        let whole = shown(&reply);
        let mut writer = anthropic().writer(Shape::default());
        let mut out = Vec::new();
        for event in wire::collect::events(reply) {
            writer.event(event, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        let frames = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let mut frames = frames.map(|data| serde_json::from_str::<Value>(data).unwrap());
        let delta = frames.find(|frame| frame["type"] == "message_delta").unwrap();
        for stop in [&whole, &delta["delta"]] {
            assert_eq!(stop["stop_reason"], "refusal", "{name}");
            assert_eq!(stop["stop_details"]["explanation"], "No.", "{name}");
        }
        assert_eq!(whole["content"], json!([{"type": "text", "text": "No."}]));
    }
}

/// By this word Anthropic's SDKs send the whole conversation instead of going on with a thread.
#[test]
fn a_thread_that_nobody_keeps_is_refused_in_the_words_of_the_sdks() {
    let about = |param: &str| Problem {
        param: Some(param.to_owned()),
        ..Problem::own(Kind::BadRequest, "m")
    };
    let error = |problem: &Problem| -> Value {
        let (status, body) = anthropic().write_problem(problem);
        assert_eq!(status, 400);
        serde_json::from_slice::<Value>(&body).unwrap()["error"].take()
    };
    let details = json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
    let expected = json!({"type": "invalid_request_error", "message": "m", "details": details});
    assert_eq!(error(&about("thread")), expected);
    assert!(error(&about("container")).get("details").is_none());
    for thread in
        [json!({"type": "create"}), json!({"type": "continue", "previous_message_id": "msg_1"})]
    {
        let body = json!({"model": "m", "max_tokens": 9, "thread": thread,
            "messages": [{"role": "user", "content": "and Rome?"}]});
        let chat = anthropic().read_request(body.to_string().as_bytes()).unwrap();
        for (name, provider) in [
            ("openai_chat", "openai"),
            ("openai_responses", "openai"),
            ("gemini", "gemini"),
            ("anthropic", "deepseek"),
        ] {
            let target = Target { provider, model: "m", max_output_tokens: None, reasoning: false };
            let refused = dialect(name).unwrap().write_request(&chat, &target).unwrap_err();
            assert_eq!(refused.field, "thread", "{name}");
        }
        let own = Target {
            provider: "anthropic",
            model: "claude-opus-5",
            max_output_tokens: None,
            reasoning: false,
        };
        let written = anthropic().write_request(&chat, &own).unwrap();
        let written: Value = serde_json::from_slice(&written.body).unwrap();
        assert_eq!(written["thread"], thread);
    }
}

/// A stream of any dialect that breaks off is an error for a client of this one.
#[test]
fn a_cut_is_an_error_for_clients() {
    let mut reader = dialect("anthropic").unwrap().reader();
    let mut events = Vec::new();
    reader.end(End::Broken, &mut events);
    let out = super::written(&events);
    assert!(
        out.starts_with(
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""
        ),
        "{out}"
    );
}
