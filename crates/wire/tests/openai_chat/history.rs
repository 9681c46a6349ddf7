//! Histories: thoughts and calls with the state of their provider, results.

use serde_json::{Value, json};
use wire::chat::{Block, Seal};
use wire::openai_chat::OpenaiChat;
use wire::reply::{Finish, Reply};
use wire::{Chat, Dialect as _, Json, Shape, Target, collect};

use super::requests::{
    ANY, DEEPSEEK, OPENAI, assistant, call, picture, request, result, target, text, user, write,
};

#[test]
fn deepseek_gets_the_thoughts_of_its_calls_back() {
    let calls =
        json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    for (message, sent) in [
        (json!({"reasoning_content": "hm"}), "hm"),
        (json!({"reasoning_content": ""}), ""),
        (json!({"reasoning": "hm"}), "hm"),
        (json!({}), " "),
        // Those of another provider are none of its own.
        (
            json!({"reasoning": "hm", "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1"}]}),
            " ",
        ),
    ] {
        let mut message = message;
        let more = json!({"role": "assistant", "content": null, "tool_calls": calls});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "ahoy"}, message, {"role": "tool", "tool_call_id": "a", "content": "x"}]});
        let (body, dropped) = write(&request(&body), &DEEPSEEK);
        assert_eq!(body["messages"][1]["reasoning_content"], sent, "{message}");
        assert_eq!(body["messages"][1]["content"], "");
        let lost = message.get("reasoning_details").is_some();
        assert_eq!(dropped, if lost { vec!["thinking"] } else { vec![] });
    }
    let chat = request(&json!({"model": "m", "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "c"},
        {"role": "user", "content": "d"}]}));
    assert_eq!(write(&chat, &DEEPSEEK).0["messages"][1]["reasoning_content"], "c");
    let (body, dropped) = write(&chat, &OPENAI);
    assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "b"}));
    assert_eq!(dropped, ["thinking"]);
}

#[test]
fn state_of_providers_travels_through_a_clients_history() {
    let seal = |dialect, value: &str| Some(Seal { dialect, value: value.to_owned() });
    let thoughts = |text: &str, seal| Block::Thinking { text: text.to_owned(), seal };
    let blocks = |details: Value, more: Value| {
        let mut message =
            json!({"role": "assistant", "content": "x", "reasoning_details": details});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}, message]});
        let mut blocks = request(&body).turns.remove(1).blocks;
        blocks.retain(|block| *block != text("x"));
        blocks
    };
    // Fragments of a stream, kept as they came.
    let fragments = json!([
        {"type": "reasoning.text", "text": "a", "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 0},
        {"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "c", "index": 1},
        {"type": "reasoning.text", "signature": "t", "format": "anthropic-claude-v1", "index": 1},
    ]);
    assert_eq!(
        blocks(fragments, json!({})),
        [thoughts("ab", seal("anthropic", "s")), thoughts("c", seal("anthropic", "t"))]
    );
    // As OpenRouter writes them.
    let summary = json!([
        {"type": "reasoning.summary", "summary": "a", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "format": "openai-responses-v1", "id": "rs_1", "index": 1},
    ]);
    assert_eq!(blocks(summary, json!({})), [thoughts("a", seal("openai_responses", "e"))]);
    let redacted = json!([
        {"type": "reasoning.text", "text": "a", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "r", "format": "anthropic-claude-v1"},
    ]);
    assert_eq!(
        blocks(redacted, json!({})),
        [thoughts("a", seal("anthropic", "s")), thoughts("", seal("anthropic", "r"))]
    );
    let only_state =
        json!([{"type": "reasoning.encrypted", "data": "g", "format": "google-gemini-v1"}]);
    assert_eq!(blocks(only_state, json!({"reasoning": "a"})), [thoughts("a", seal("gemini", "g"))]);
    let unknown =
        json!([{"type": "reasoning.encrypted", "data": "u", "format": "new-v9"}, {"type": 7}]);
    assert_eq!(blocks(unknown, json!({})), [thoughts("", seal("openai_chat", "u"))]);
    let of_call = json!([{"type": "reasoning.encrypted", "data": "g", "format": "google-gemini-v1", "id": "k"}]);
    let calls = json!({"tool_calls": [{"id": "k", "function": {"name": "f", "arguments": "{}"}}]});
    let input = Json::empty_object();
    let sealed = Block::ToolUse {
        id: "k".to_owned(),
        name: "f".to_owned(),
        input,
        seal: seal("gemini", "g"),
    };
    assert_eq!(blocks(of_call, calls), [sealed]);
}

#[test]
fn state_goes_back_to_whom_it_belongs() {
    let seal = |dialect| Some(Seal { dialect, value: "s".to_owned() });
    let thoughts = |dialect| Block::Thinking { text: "t".to_owned(), seal: seal(dialect) };
    let chat = Chat {
        turns: vec![
            user(vec![text("a")]),
            assistant(vec![
                thoughts("anthropic"),
                Block::ToolUse {
                    id: "k".to_owned(),
                    name: "f".to_owned(),
                    input: Json::empty_object(),
                    seal: seal("gemini"),
                },
            ]),
            user(vec![result("k", vec![text("x")])]),
        ],
        ..Chat::default()
    };
    for own in [OPENAI, DEEPSEEK] {
        let (body, dropped) = write(&chat, &own);
        let said = body["messages"][1].to_string();
        assert!(!said.contains("\"t\"") && !said.contains("\"s\""), "{said}");
        assert_eq!(dropped, ["thoughtSignature", "thinking"]);
    }
    let (body, dropped) = write(&chat, &target("gemini", "gemini-3-flash"));
    let call = &body["messages"][1]["tool_calls"][0];
    assert_eq!(call["extra_content"]["google"]["thought_signature"], "s");
    assert_eq!(dropped, ["thinking"]);
    let (body, dropped) = write(&chat, &ANY);
    assert_eq!(request(&body).turns, chat.turns);
    assert!(dropped.is_empty());
}

#[test]
fn empty_ids_of_calls_are_paired_by_order() {
    let calls = json!([{"id": "", "function": {"name": "f", "arguments": "{}"}},
                       {"id": "", "function": {"name": "g", "arguments": "{}"}}]);
    let chat = request(&json!({"model": "m", "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "", "content": "one"},
        {"role": "tool", "tool_call_id": "", "content": "two"},
        {"role": "assistant", "content": null, "function_call": {"name": "h", "arguments": "{}"}},
        {"role": "function", "name": "h", "content": "three"}]}));
    let (mut called, mut answered) = (Vec::new(), Vec::new());
    for block in chat.turns.iter().flat_map(|turn| &turn.blocks) {
        match block {
            Block::ToolUse { id, .. } => called.push(id.as_str()),
            Block::ToolResult { id, .. } => answered.push(id.as_str()),
            _ => {}
        }
    }
    assert_eq!(called, answered);
    called.sort_unstable();
    called.dedup();
    assert_eq!(called.len(), 3);
}

#[test]
fn results_follow_their_calls_and_pictures_follow_the_results() {
    let chat = Chat {
        turns: vec![
            user(vec![text("ahoy")]),
            assistant(vec![call("a", "f"), call("b", "f")]),
            user(vec![result("a", vec![text("one"), picture()]), text("and")]),
            user(vec![result("b", vec![text("two")])]),
        ],
        ..Chat::default()
    };
    let (body, dropped) = write(&chat, &OPENAI);
    let roles: Vec<&str> =
        body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
    assert_eq!(body["messages"][2]["content"], "one");
    assert_eq!(body["messages"][4]["content"][0]["type"], "image_url");
    assert_eq!(body["messages"][4]["content"][1]["text"], "and");
    assert_eq!(dropped, ["tool_result.media: result -> user message"]);
}

/// The message that a client makes of a stream: texts joined, calls by their index, entries as they came.
fn put_together(stream: &[u8]) -> Value {
    let (mut content, mut details, mut calls) = (String::new(), Vec::new(), Vec::<Value>::new());
    let stream = String::from_utf8(stream.to_vec()).unwrap();
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    for chunk in data.filter(|data| *data != "[DONE]") {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        details.extend(delta["reasoning_details"].as_array().into_iter().flatten().cloned());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            match calls.get_mut(usize::try_from(call["index"].as_u64().unwrap()).unwrap()) {
                Some(begun) => {
                    let so_far = begun["function"]["arguments"].as_str().unwrap();
                    let more = call["function"]["arguments"].as_str().unwrap();
                    begun["function"]["arguments"] = format!("{so_far}{more}").into();
                }
                None => calls.push(call.clone()),
            }
        }
    }
    json!({"role": "assistant", "content": content, "reasoning_details": details, "tool_calls": calls})
}

/// Anthropic refuses thoughts of the last answer that do not stand where they stood.
#[test]
fn thoughts_between_text_and_calls_come_back_where_they_were() {
    let seal = |value: &str| Some(Seal { dialect: "anthropic", value: value.to_owned() });
    let thoughts =
        |value: &str| Block::Thinking { text: format!("about {value}"), seal: seal(value) };
    for blocks in [
        vec![thoughts("a"), call("k", "f"), thoughts("b"), call("l", "f")],
        vec![thoughts("a"), text("Fünf."), thoughts("b"), text(" Six."), call("k", "f")],
        vec![
            text("One."),
            call("k", "f"),
            text("Two."),
            thoughts("b"),
            call("l", "f"),
            call("m", "f"),
        ],
        vec![thoughts("a"), thoughts("b"), text("One."), call("k", "f")],
    ] {
        let reply = Reply {
            id: "r".to_owned(),
            model: "m".to_owned(),
            created: None,
            blocks: blocks.clone(),
            finish: Finish::ToolUse,
            stop_sequence: None,
            usage: None,
        };
        let whole: Value =
            serde_json::from_slice(&OpenaiChat.write_reply(&reply, &Shape::default())).unwrap();
        let (mut writer, mut stream) = (OpenaiChat.writer(Shape::default()), Vec::new());
        for event in collect::events(reply) {
            writer.event(event, &mut stream);
        }
        for message in [whole["choices"][0]["message"].clone(), put_together(&stream)] {
            let in_order = !message.to_string().contains("place:");
            assert_eq!(
                in_order,
                matches!(blocks.as_slice(), [_, Block::Thinking { .. }, ..]),
                "{message}"
            );
            let body =
                json!({"model": "m", "messages": [{"role": "user", "content": "a"}, message]});
            assert_eq!(request(&body).turns[1].blocks, blocks, "{message}");
        }
    }
}

#[test]
fn the_name_of_a_results_tool_is_not_lost() {
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "r"},
    ]});
    let chat = OpenaiChat.read_request(body.to_string().as_bytes()).unwrap();
    for (provider, dialect) in
        [("anthropic", "anthropic"), ("gemini", "gemini"), ("openai", "openai_responses")]
    {
        let target = Target { provider, model: "m", max_output_tokens: None, reasoning: false };
        let written = wire::dialect(dialect).unwrap().write_request(&chat, &target).unwrap();
        assert!(written.dropped.iter().all(|note| note != "name"), "{dialect}");
    }
}
