//! Answers for a client: streams and whole ones.

use ledger::{Meter, ServiceTier, Usage, UsageReport};
use serde_json::{Value, json};
use wire::chat::{Block, Citation, Media, MediaKind, Native, Seal, Source};
use wire::collect::{collect, events};
use wire::openai_chat::add_cost;
use wire::problem::Kind;
use wire::reply::Finish;
use wire::stream::Event;
use wire::{Json, Problem, Reply};

use super::*;

fn seal(dialect: &'static str, value: &str) -> Seal {
    Seal { dialect, value: value.to_owned() }
}

fn thoughts(text: &str, seal: Option<Seal>) -> Block {
    Block::Thinking { text: text.to_owned(), seal }
}

fn call(id: &str, input: &str, seal: Option<Seal>) -> Block {
    let input = Json::parse(input).unwrap();
    Block::ToolUse { id: id.to_owned(), name: "find_ship".to_owned(), input, seal }
}

fn citation() -> Citation {
    Citation {
        url: "https://example.com".to_owned(),
        title: Some("An example".to_owned()),
        cited_text: Some("ship".to_owned()),
        span: Some((2, 4)),
        native: None,
    }
}

/// Everything that a model may answer and this dialect can carry.
fn everything() -> Reply {
    let usage = Usage::of(&[
        (Meter::Input, 10),
        (Meter::CacheRead, 5),
        (Meter::CacheWrite5m, 3),
        (Meter::Output, 7),
        (Meter::Reasoning, 4),
    ]);
    let mut report = UsageReport::single(usage);
    report.service_tier = ServiceTier::Flex;
    let picture = Media::new(
        MediaKind::Image,
        Source::Base64("AAAA".to_owned()),
        Some("image/png".to_owned()),
    );
    Reply {
        id: "msg_1".to_owned(),
        model: "claude-opus-5".to_owned(),
        created: Some(1_793_000_000),
        blocks: vec![
            thoughts("first", Some(seal("anthropic", "c2ln+/="))),
            thoughts("", Some(seal("anthropic", "cmVkYWN0ZWQ="))),
            Block::Native(Native {
                dialect: "anthropic",
                field: "server_tool_use".to_owned(),
                raw: Json::parse(r#"{"type":"server_tool_use","data":"x"}"#).unwrap(),
            }),
            thoughts("summed up", Some(seal("openai_responses", "gAAAA"))),
            thoughts("plain", None),
            Block::Text("Øl ahoy.".to_owned()),
            Block::Citation(citation()),
            Block::Media(picture),
            call("call_a", "{\"mast\":3}", Some(seal("gemini", "Z2Vt"))),
            call("call_b", "{}", None),
        ],
        finish: Finish::ToolUse,
        stop_sequence: None,
        usage: Some(report),
    }
}

#[test]
fn a_whole_answer_comes_back_as_it_was() {
    let body = chat().write_reply(&everything(), &shape());
    let again = chat().read_reply(&body).unwrap();
    assert_eq!(again.blocks, everything().blocks);
    assert_eq!(again, everything());
}

#[test]
fn a_stream_comes_back_as_it_was() {
    let stream = written(events(everything()), shape());
    let (read_again, seen) = read(&stream);
    let again = collect(read_again).unwrap();
    assert_eq!(again.blocks, everything().blocks);
    assert_eq!(again.usage, everything().usage);
    assert!(seen.whole);
}

/// What a client of the Python SDK sends back: it puts lists together by the index of their entries.
#[test]
fn a_history_put_together_from_a_stream_has_everything() {
    let stream = written(events(everything()), shape());
    let mut message = json!({});
    for chunk in chunks(&stream) {
        if let Some(delta) = chunk["choices"][0].get("delta") {
            accumulate(&mut message, delta);
        }
    }
    assert_eq!(message["role"], "assistant");
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "ahoy"}, message]});
    let chat = chat().read_request(request.to_string().as_bytes()).unwrap();
    // Pictures and sources have no place between text and calls; thoughts come first.
    assert_eq!(chat.turns[1].blocks, everything().blocks);
}

fn accumulate(into: &mut Value, delta: &Value) {
    for (key, value) in delta.as_object().unwrap() {
        let old = &mut into[key.as_str()];
        match (&mut *old, value) {
            (Value::String(old), Value::String(more)) if key != "type" => old.push_str(more),
            (Value::Object(_), Value::Object(_)) => accumulate(old, value),
            (old, Value::Array(entries)) => {
                if old.is_null() {
                    *old = json!([]);
                }
                for entry in entries {
                    let at = usize::try_from(entry["index"].as_u64().unwrap()).unwrap();
                    match old.as_array_mut().unwrap().get_mut(at) {
                        Some(known) => accumulate(known, entry),
                        None => old.as_array_mut().unwrap().push(entry.clone()),
                    }
                }
            }
            (old, value) => *old = value.clone(),
        }
    }
}

#[test]
fn the_chunks_are_what_clients_expect() {
    let stream = written(events(everything()), shape());
    assert!(stream.ends_with("data: [DONE]\n\n"));
    let all = chunks(&stream);
    for chunk in &all {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], "msg_1");
        assert_eq!(chunk["model"], "claude-opus-5");
        assert_eq!(chunk["created"], 1_793_000_000);
    }
    assert_eq!(all[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let (usage, others) = all.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["prompt_tokens"], 18);
    assert_eq!(usage["service_tier"], "flex");
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    let finish = &others.last().unwrap()["choices"][0];
    assert_eq!((&finish["delta"], &finish["finish_reason"]), (&json!({}), &json!("tool_calls")));
    let calls: Vec<&Value> = others
        .iter()
        .flat_map(|chunk| {
            chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten()
        })
        .collect();
    let open = json!({"index": 0, "id": "call_a", "type": "function", "function": {"name": "find_ship", "arguments": ""}});
    assert_eq!(*calls[0], open);
    assert_eq!(*calls[1], json!({"index": 0, "function": {"arguments": "{\"mast\":3}"}}));
    assert_eq!(calls[2]["extra_content"]["google"]["thought_signature"], "Z2Vt");
    assert!(calls.iter().all(|call| call["function"]["arguments"].is_string()));
    assert_eq!(calls.last().unwrap()["index"], 1);
    let plain = written(events(everything()), Shape { include_usage: false, ..shape() });
    assert!(!plain.contains("usage"), "nobody asked");
}

#[test]
fn ids_and_models_that_are_missing_are_ours() {
    let reply = Reply { blocks: vec![Block::Text("a".to_owned())], ..Reply::default() };
    for chunk in chunks(&written(events(reply.clone()), shape())) {
        assert_eq!((&chunk["id"], &chunk["model"]), (&json!("gen-1"), &json!("vendor/model")));
    }
    let body: Value = serde_json::from_slice(&chat().write_reply(&reply, &shape())).unwrap();
    assert_eq!((&body["id"], &body["created"]), (&json!("gen-1"), &json!(1_793_000_000)));
    assert_eq!(body["choices"][0]["message"]["refusal"], Value::Null);
    assert_eq!(body["choices"][0]["logprobs"], Value::Null);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let events = vec![
        Event::Start { id: "a".to_owned(), model: "m".to_owned() },
        Event::Open {
            index: 0,
            block: Opening::ToolUse { id: "c".to_owned(), name: "f".to_owned() },
        },
        Event::Close { index: 0 },
    ];
    let all = chunks(&written(events, shape()));
    let call = &all.last().unwrap()["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!(*call, json!({"index": 0, "function": {"arguments": "{}"}}));
}

#[test]
fn the_cost_is_told_in_whole_answers_and_streams_alike() {
    let mut reply = everything();
    reply.blocks.truncate(1);
    let told = Shape { cost: Some(cost()), ..shape() };
    let body: Value = serde_json::from_slice(&chat().write_reply(&reply, &told)).unwrap();
    let priced = events(reply.clone()).into_iter().map(|event| match event {
        Event::Usage(metered) => Event::Usage(Metered { cost: Some(cost()), ..metered }),
        other => other,
    });
    let all = chunks(&written(priced.collect(), shape()));
    let usage = &all.last().unwrap()["usage"];
    assert_eq!(usage, &body["usage"]);
    assert_eq!(usage["cost"].to_string(), "0.00105");
    assert_eq!(usage["is_byok"], false);
    assert_eq!(usage["cost_details"]["upstream_inference_cost"].to_string(), "0.001");
    // The same as where the provider's bytes pass.
    let bare = chat().write_reply(&reply, &shape());
    let spliced = add_cost(std::str::from_utf8(&bare).unwrap(), chat(), &cost());
    assert_eq!(serde_json::from_str::<Value>(&spliced).unwrap()["usage"], *usage);
}

#[test]
fn a_failure_is_an_error_chunk_and_no_end() {
    let mut begun = events(everything());
    begun.truncate(3);
    begun.push(Event::Problem(Problem::own(Kind::Upstream, "the provider's stream was cut short")));
    let stream = written(begun, shape());
    let error = chunks(&stream).pop().unwrap();
    assert_eq!(error["error"]["type"], "server_error");
    assert_eq!(error["error"]["message"], "the provider's stream was cut short");
    assert!(!stream.contains("[DONE]") && !stream.contains("\"finish_reason\":\"stop\""));
    let (again, seen) = read(&stream);
    assert!(
        matches!(again.last(), Some(Event::Problem(problem)) if problem.kind == Kind::Upstream)
    );
    assert!(seen.failed);
    let secret = Problem { upstream: true, ..Problem::own(Kind::Auth, "the secret reason") };
    assert!(!written(vec![Event::Problem(secret)], shape()).contains("secret"));
}

/// Clients tell by the code whether to try again, and by `param` what to mend.
#[test]
fn errors_have_the_words_of_the_dialect_and_name_the_field() {
    let error = |kind: Kind, code: &str, param: Option<&str>| -> (Value, Value, Value) {
        let problem = Problem {
            code: Some(code.to_owned()),
            param: param.map(str::to_owned),
            ..Problem::own(kind, "m")
        };
        let (_, body) = chat().write_problem(&problem);
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        let mut take = |name: &str| body["error"][name].take();
        (take("type"), take("code"), take("param"))
    };
    let none = || Value::Null;
    for (kind, code, expected) in [
        (Kind::RateLimit, "rate_limited", ["requests", "rate_limit_exceeded"]),
        (Kind::Billing, "insufficient_credits", ["insufficient_quota", "insufficient_quota"]),
        (Kind::Auth, "api_key_disabled", ["invalid_request_error", "invalid_api_key"]),
        (Kind::ContextOverflow, "too_long", ["invalid_request_error", "context_length_exceeded"]),
        (Kind::NotFound, "model_not_found", ["invalid_request_error", "model_not_found"]),
        // What the dialect has no word for keeps ours.
        (Kind::NotFound, "no_provider", ["invalid_request_error", "no_provider"]),
        (Kind::BadRequest, "unpriced_model", ["invalid_request_error", "unpriced_model"]),
    ] {
        let [class, word] = expected.map(Value::from);
        assert_eq!(error(kind, code, None), (class, word, none()));
    }
    let (_, code, param) = error(Kind::BadRequest, "unsupported_parameter", Some("n"));
    assert_eq!((code, param), ("unsupported_parameter".into(), "n".into()));
}

#[test]
fn finish_reasons() {
    for (finish, word) in [
        (Finish::Stop, "stop"),
        (Finish::StopSequence, "stop"),
        (Finish::Pause, "stop"),
        (Finish::Length, "length"),
        (Finish::Filter, "content_filter"),
        (Finish::Failed, "error"),
    ] {
        let reply = Reply { finish, ..Reply::default() };
        let body: Value = serde_json::from_slice(&chat().write_reply(&reply, &shape())).unwrap();
        assert_eq!(body["choices"][0]["finish_reason"], word);
        let all = chunks(&written(events(reply), shape()));
        assert_eq!(all.last().unwrap()["choices"][0]["finish_reason"], word);
    }
}

#[test]
fn sources_have_places_in_the_whole_text() {
    let reply = Reply {
        blocks: vec![
            Block::Text("Øne ".to_owned()),
            Block::Citation(Citation { span: None, title: None, ..citation() }),
            thoughts("hm", None),
            Block::Text("two".to_owned()),
            Block::Citation(Citation { span: Some((1, 3)), ..citation() }),
        ],
        ..Reply::default()
    };
    let body: Value = serde_json::from_slice(&chat().write_reply(&reply, &shape())).unwrap();
    let annotations = body["choices"][0]["message"]["annotations"].as_array().unwrap().clone();
    let place = |at: usize| {
        let cited = &annotations[at]["url_citation"];
        (cited["start_index"].as_u64().unwrap(), cited["end_index"].as_u64().unwrap())
    };
    assert_eq!((place(0), place(1)), ((0, 4), (5, 7)));
    assert_eq!(annotations[0]["url_citation"]["title"], "https://example.com");
    let streamed: Vec<Value> = chunks(&written(events(reply), shape()))
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["annotations"].get(0).cloned())
        .collect();
    for (one, other) in streamed.iter().zip(&annotations) {
        assert_eq!(one["url_citation"], other["url_citation"]);
    }
    assert_eq!(streamed.len(), 2);
}

#[test]
fn sound_has_what_clients_ask_for() {
    let mut sound = Media::new(MediaKind::Audio, Source::Base64("AAAA".to_owned()), None);
    sound.transcript = Some("ahoy".to_owned());
    let reply = Reply { blocks: vec![Block::Media(sound)], ..Reply::default() };
    let body: Value = serde_json::from_slice(&chat().write_reply(&reply, &shape())).unwrap();
    let streamed = chunks(&written(events(reply), shape()));
    for audio in
        [&body["choices"][0]["message"]["audio"], &streamed[1]["choices"][0]["delta"]["audio"]]
    {
        assert_eq!(
            *audio,
            json!({"id": "audio_gen-1", "data": "AAAA", "expires_at": 0, "transcript": "ahoy"})
        );
    }
}

#[test]
fn a_waiting_client_gets_a_comment() {
    assert_eq!(chat().writer(shape()).ping(), b": keep-alive\n\n");
}

#[test]
fn an_answer_without_a_choice_is_none() {
    let error = chat().read_reply(br#"{"id":"a","choices":[]}"#).unwrap_err();
    assert_eq!(error.path, "choices");
}
