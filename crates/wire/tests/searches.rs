//! Searches that a provider made on its own: what a client of another dialect sees of them, and that its next turn goes on
//! where the answer stood.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use wire::sse::{Framing, Splitter};
use wire::stream::{End, Shape};
use wire::{Dialect, Event, Target, dialect};

const CLAUDE: &str = "anthropic";
const GEMINI: &str = "gemini";
const RESPONSES: &str = "openai_responses";

fn of(name: &str) -> &'static dyn Dialect {
    dialect(name).unwrap()
}

fn target<'a>(provider: &'a str, model: &'a str) -> Target<'a> {
    Target { provider, model, max_output_tokens: Some(64_000), reasoning: true }
}

fn shape() -> Shape {
    Shape { id: "answer-1".to_owned(), model: "model-1".to_owned(), ..Shape::default() }
}

/// An answer as a client of another dialect gets it.
fn told(from: &str, answer: &Value, client: &str) -> Value {
    let reply = of(from).read_reply(answer.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&of(client).write_reply(&reply, &shape())).unwrap()
}

fn found_by_anthropic() -> Vec<Value> {
    vec![
        json!({"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"night tolls"}}),
        json!({"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[
            {"type":"web_search_result","url":"https://example.com/tolls","title":"Tolls","encrypted_content":"c2VjcmV0","page_age":null}
        ]}),
    ]
}

fn anthropic() -> Value {
    let mut content = found_by_anthropic();
    content.push(json!({"type":"text","text":"Twelve euros."}));
    json!({"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5","content":content,
        "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":3}})
}

fn openai() -> Value {
    json!({"id":"resp_1","object":"response","status":"completed","model":"gpt-5.2","output":[
        {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"night tolls",
            "queries":["night tolls","tolls"],"sources":[{"type":"url","url":"https://example.com/tolls"}]}},
        {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[
            {"type":"output_text","text":"Twelve euros.","annotations":[]}]}
    ]})
}

fn google() -> Value {
    json!({"candidates":[{"content":{"role":"model","parts":[{"text":"Twelve euros."}]},"finishReason":"STOP",
        "groundingMetadata":{"webSearchQueries":["night tolls"],
            "groundingChunks":[{"web":{"uri":"https://example.com/tolls","title":"Tolls"}}]}}]})
}

#[test]
fn a_client_of_responses_sees_what_was_looked_for() {
    for (from, answer) in [(CLAUDE, anthropic()), (GEMINI, google())] {
        let told = told(from, &answer, RESPONSES);
        let search = &told["output"][0];
        assert_eq!(search["type"], "web_search_call", "{told}");
        assert!(search["id"].as_str().unwrap().starts_with("ws_"));
        assert_eq!(search["status"], "completed");
        let action = json!({"type":"search","query":"night tolls","queries":["night tolls"],
            "sources":[{"type":"url","url":"https://example.com/tolls"}]});
        assert_eq!(search["action"], action, "{from}");
    }
}

#[test]
fn a_client_of_anthropic_sees_a_call_and_its_result() {
    for (from, answer, query, title) in [
        (RESPONSES, openai(), "night tolls; tolls", "https://example.com/tolls"),
        (GEMINI, google(), "night tolls", "Tolls"),
    ] {
        let told = told(from, &answer, CLAUDE);
        let [call, result] = [&told["content"][0], &told["content"][1]];
        assert_eq!(
            (&call["type"], &call["name"]),
            (&json!("server_tool_use"), &json!("web_search"))
        );
        assert_eq!(call["input"], json!({"query":query}));
        assert_eq!(result["tool_use_id"], call["id"]);
        let hit = json!({"type":"web_search_result","url":"https://example.com/tolls","title":title,
            "encrypted_content":"","page_age":null});
        assert_eq!(result["content"], json!([hit]), "{from}");
    }
}

#[test]
fn a_client_of_gemini_sees_the_queries() {
    for (from, answer, queries) in [
        (CLAUDE, anthropic(), json!(["night tolls"])),
        (RESPONSES, openai(), json!(["night tolls", "tolls"])),
    ] {
        let told = told(from, &answer, GEMINI);
        assert_eq!(told["candidates"][0]["groundingMetadata"]["webSearchQueries"], queries);
    }
}

/// The request that goes on behind an answer as the client got it.
fn next_turn(client: &str, told: &Value) -> Value {
    match client {
        RESPONSES => {
            let mut input = vec![json!({"role":"user","content":"How much?"})];
            input.extend(told["output"].as_array().unwrap().iter().cloned());
            input.push(json!({"role":"user","content":"And by day?"}));
            json!({"model":"m","input":input,"store":false,"tools":[{"type":"web_search"}]})
        }
        _ => {
            json!({"model":"m","max_tokens":64,"tools":[{"type":"web_search_20250305","name":"web_search"}],"messages":[
            {"role":"user","content":"How much?"},{"role":"assistant","content":told["content"]},
            {"role":"user","content":"And by day?"}]})
        }
    }
}

fn sent(client: &str, told: &Value, to: &str, target: &Target<'_>) -> (Value, Vec<String>) {
    let request = next_turn(client, told).to_string();
    let chat = of(client).read_request(request.as_bytes()).unwrap();
    let written = of(to).write_request(&chat, target).unwrap();
    (serde_json::from_slice(&written.body).unwrap(), written.dropped)
}

#[test]
fn anthropic_gets_its_search_back_from_a_client_of_responses() {
    let told = told(CLAUDE, &anthropic(), RESPONSES);
    let (body, dropped) = sent(RESPONSES, &told, CLAUDE, &target("anthropic", "claude-opus-5-5"));
    let mut content = found_by_anthropic();
    content.push(json!({"type":"text","text":"Twelve euros."}));
    assert_eq!(body["messages"][1]["content"], json!(content), "{body}");
    assert!(dropped.is_empty(), "{dropped:?}");
    // Elsewhere nothing of it is known.
    let (body, dropped) = sent(RESPONSES, &told, GEMINI, &target("gemini", "gemini-3.8-flash"));
    assert_eq!(body["contents"][1]["parts"], json!([{"text":"Twelve euros."}]));
    assert_eq!(dropped, ["server_tool_use", "web_search_tool_result"]);
}

#[test]
fn what_is_no_part_of_a_conversation_does_not_come_back() {
    for (from, answer, client, to, target) in [
        (GEMINI, google(), RESPONSES, GEMINI, target("gemini", "gemini-3.8-flash")),
        (GEMINI, google(), RESPONSES, RESPONSES, target("openai", "gpt-5.2")),
        (GEMINI, google(), CLAUDE, GEMINI, target("gemini", "gemini-3.8-flash")),
        (RESPONSES, openai(), CLAUDE, RESPONSES, target("openai", "gpt-5.2")),
        (RESPONSES, openai(), CLAUDE, CLAUDE, target("anthropic", "claude-opus-5-5")),
    ] {
        let told = told(from, &answer, client);
        let (body, mut dropped) = sent(client, &told, to, &target);
        let history = ["messages", "input", "contents"].map(|name| body[name].to_string()).concat();
        assert!(history.contains("Twelve euros."), "{body}");
        for word in ["search", "tg1.", "srvtoolu"] {
            assert!(!history.contains(word), "{from} by {client} to {to}: {body}");
        }
        // The sources of a text are those of its provider.
        dropped.retain(|name| !name.contains("citations") && !name.contains("annotations"));
        assert!(dropped.is_empty(), "{dropped:?}");
    }
}

const STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","model":"claude-opus-5-5","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"night tolls\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":RESULT}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}

event: message_stop
data: {"type":"message_stop"}

"#;

fn events(stream: &str) -> Vec<Event> {
    let (mut reader, mut events) = (of(CLAUDE).reader(), Vec::new());
    let mut splitter = Splitter::new(Framing::Sse, 1_000_000);
    splitter.push(stream.as_bytes(), |frame| reader.frame(&frame, &mut events)).unwrap();
    reader.end(End::Closed, &mut events);
    events
}

fn streamed(stream: &str) -> Vec<Value> {
    let mut writer = of(RESPONSES).writer(shape());
    let mut out = Vec::new();
    for event in events(stream) {
        writer.event(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn a_stream_tells_of_a_search_while_it_goes_on() {
    let failure = r#"{"type":"web_search_tool_result_error","error_code":"unavailable"}"#;
    for (result, status) in [("[]", "completed"), (failure, "failed")] {
        let events = streamed(&STREAM.replace("RESULT", result));
        let of_search: Vec<&Value> =
            events.iter().filter(|event| event["output_index"] == 0).collect();
        let kinds: Vec<&str> =
            of_search.iter().filter_map(|event| event["type"].as_str()).collect();
        let expected = [
            "response.output_item.added",
            "response.web_search_call.in_progress",
            "response.web_search_call.searching",
            "response.web_search_call.completed",
            "response.output_item.done",
        ];
        assert_eq!(kinds, expected);
        let id = &of_search[0]["item"]["id"];
        assert_eq!(of_search[0]["item"]["status"], "in_progress");
        assert!(of_search[1..4].iter().all(|event| event["item_id"] == *id));
        assert_eq!(of_search[4]["item"]["status"], status);
        let whole = &events.last().unwrap()["response"]["output"];
        assert_eq!(whole[0], of_search[4]["item"]);
    }
}

#[test]
fn a_search_that_was_cut_off_is_told_as_failed() {
    let (begun, _) = STREAM
        .split_once(
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1",
        )
        .unwrap();
    let paused = format!(
        "{begun}event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"pause_turn\"}},\"usage\":{{\"output_tokens\":3}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
    );
    let output = &streamed(&paused).pop().unwrap()["response"]["output"];
    assert_eq!(output[0]["status"], "failed");
    // What was asked goes back, so that the provider can go on with it.
    assert!(output[1]["encrypted_content"].as_str().unwrap().starts_with("tg1.anthropic."));
    let cut = streamed(begun);
    let [.., last, _] = cut.as_slice() else { panic!("{cut:?}") };
    assert_eq!(
        (&last["type"], &last["response"]["output"][0]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
}
