//! The older API.

use serde_json::{Value, json};
use wire::chat::Block;
use wire::collect::{collect, events};
use wire::openai_chat::completions;
use wire::reply::Finish;
use wire::stream::Event;
use wire::{Problem, Reply};

use super::*;

fn refused(body: &Value) -> String {
    completions::read_request(body.to_string().as_bytes()).unwrap_err().path
}

#[test]
fn a_prompt_is_a_chat_of_one_turn() {
    for prompt in [json!("Say ahoy"), json!(["Say ahoy"])] {
        let body = json!({"model": "m", "prompt": prompt, "max_tokens": 9, "stop": "x", "stream": true, "n": 1,
            "stream_options": {"include_usage": true}, "best_of": 1, "echo": false, "logprobs": null,
            "suffix": null, "logit_bias": {"1": 2}, "user": "u", "provider": {}});
        let chat = completions::read_request(body.to_string().as_bytes()).unwrap();
        assert_eq!(chat.turns[0].blocks, [Block::Text("Say ahoy".to_owned())]);
        assert_eq!((chat.max_tokens, chat.stream, chat.include_usage), (Some(9), true, true));
        assert_eq!((chat.sampling.stop, chat.user.as_deref()), (vec!["x".to_owned()], Some("u")));
        let native: Vec<&str> = chat.native.iter().map(|native| native.field.as_str()).collect();
        assert_eq!(native, ["logit_bias"]);
    }
}

#[test]
fn what_other_models_cannot_do_is_refused_by_name() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "prompt": "p"});
        body[field] = value;
        refused(&body)
    };
    for (field, value) in [
        ("suffix", json!("end")),
        ("best_of", json!(2)),
        ("n", json!(2)),
        ("echo", json!(true)),
        ("logprobs", json!(0)),
        ("prompt", json!([1, 2, 3])),
        ("prompt", json!([[1, 2]])),
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([])),
        ("prompt", json!(7)),
        ("temperature", json!("hot")),
    ] {
        assert_eq!(with(field, value), field);
    }
    assert_eq!(refused(&json!({"prompt": "p"})), "model");
    assert_eq!(refused(&json!({"model": "m"})), "prompt");
}

fn reply() -> Reply {
    let body = r#"{"id":"a","model":"m","choices":[{"message":{"content":"ahoy","reasoning":"hm","tool_calls":
        [{"id":"k","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"length"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    chat().read_reply(body.as_bytes()).unwrap()
}

#[test]
fn a_whole_answer() {
    let told = Shape { cost: Some(cost()), ..shape() };
    let body: Value = serde_json::from_slice(&completions::write_reply(&reply(), &told)).unwrap();
    assert_eq!(body["object"], "text_completion");
    assert_eq!(
        body["choices"],
        json!([{"text": "ahoy", "index": 0, "logprobs": null, "finish_reason": "length"}])
    );
    assert_eq!(body["usage"]["cost"].to_string(), "0.00105");
    let again = chat().read_reply(body.to_string().as_bytes()).unwrap();
    assert_eq!((again.text(), again.usage), ("ahoy".to_owned(), reply().usage));
    let called = Reply { finish: Finish::ToolUse, ..reply() };
    let body: Value = serde_json::from_slice(&completions::write_reply(&called, &told)).unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "stop", "there are no tools in this API");
}

#[test]
fn a_stream() {
    for include_usage in [true, false] {
        let mut writer = completions::writer(Shape { include_usage, ..shape() });
        let mut bytes = Vec::new();
        for event in events(reply()) {
            writer.event(event, &mut bytes);
        }
        let stream = String::from_utf8(bytes).unwrap();
        assert!(stream.ends_with("data: [DONE]\n\n"));
        let all = chunks(&stream);
        assert!(all.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == "a"));
        assert_eq!(
            all[0]["choices"],
            json!([{"text": "ahoy", "index": 0, "logprobs": null, "finish_reason": null}])
        );
        assert_eq!(all[1]["choices"][0]["finish_reason"], "length");
        assert_eq!(all.len(), if include_usage { 3 } else { 2 });
        let mut reader = completions::reader();
        let mut again = Vec::new();
        frames(&[stream.as_bytes()], |frame| reader.frame(&frame, &mut again));
        let again = collect(again).unwrap();
        assert_eq!((again.text(), again.finish), ("ahoy".to_owned(), Finish::Length));
        assert_eq!(again.usage, reply().usage.filter(|_| include_usage));
    }
    let mut writer = completions::writer(shape());
    let mut bytes = Vec::new();
    let cut = Problem::own(wire::problem::Kind::Upstream, "cut");
    writer.event(Event::Problem(cut), &mut bytes);
    assert!(String::from_utf8(bytes).unwrap().contains("server_error"));
}

#[test]
fn openais_own_stream() {
    let mut reader = completions::reader();
    let mut events = Vec::new();
    frames(&[COMPLETION.as_bytes()], |frame| reader.frame(&frame, &mut events));
    let reply = collect(events).unwrap();
    assert_eq!((reply.text(), reply.finish), ("\n\nA toll".to_owned(), Finish::Length));
    assert_eq!(reader.seen().output_bytes, 8);
    skims_alike("completion", COMPLETION, completions::reader);
}
