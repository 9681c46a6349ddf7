//! Requests of and for Google: what it takes in which form, and what it does not take.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

use serde_json::{Value, json};
use wire::chat::{Block, Effort, Hosted, MediaKind, Seal, Source, Tool, ToolChoice};
use wire::problem::Kind;
use wire::{Chat, Dialect, Json, Reply, Shape, Target, Unsupported, Written};

const GEMINI: &dyn Dialect = &wire::gemini::Gemini;

fn read(body: &Value) -> Chat {
    GEMINI.read_request(body.to_string().as_bytes()).unwrap()
}

/// A client of Chat Completions, of which the rest of these tests is known.
fn openai(mut body: Value) -> Chat {
    body["model"] = "m".into();
    if body.get("messages").is_none() {
        body["messages"] = json!([{ "role": "user", "content": "hi" }]);
    }
    wire::openai_chat::OpenaiChat.read_request(body.to_string().as_bytes()).unwrap()
}

fn try_write(chat: &Chat, model: &str) -> Result<Written, Unsupported> {
    let target = Target { provider: "gemini", model, max_output_tokens: None, reasoning: true };
    GEMINI.write_request(chat, &target)
}

fn write(chat: &Chat, model: &str) -> (Value, Vec<String>) {
    let written = try_write(chat, model).unwrap();
    (serde_json::from_slice(&written.body).unwrap(), written.dropped)
}

const NEW: &str = "gemini-3-flash-preview";
const OLD: &str = "gemini-2.5-flash";

#[test]
fn both_spellings_are_the_same_request() {
    let camel = json!({
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://x.example/v"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"n": 1}}, "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "safetySettings": [], "cachedContent": "c", "serviceTier": "FLEX", "labels": {"a": "b"},
        "generationConfig": {"topP": 0.5, "topK": 3, "maxOutputTokens": 9, "stopSequences": ["x"], "presencePenalty": 1.0,
            "frequencyPenalty": 1.0, "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            "candidateCount": 2, "responseModalities": ["TEXT"],
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 5}}
    });
    let snake = json!({
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "a"}, {"inline_data": {"mime_type": "image/png", "data": "AA=="}, "media_resolution": {"level": "MEDIA_RESOLUTION_LOW"}},
                {"file_data": {"mime_type": "video/mp4", "file_uri": "https://x.example/v"}}]},
            {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"n": 1}}, "thought_signature": "c2ln"}]},
            {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"output": "r"}}}]}],
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}, {"google_search": {}}],
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "safety_settings": [], "cached_content": "c", "service_tier": "flex", "labels": {"a": "b"},
        "generation_config": {"top_p": 0.5, "top_k": 3, "max_output_tokens": 9, "stop_sequences": ["x"], "presence_penalty": 1.0,
            "frequency_penalty": 1.0, "response_mime_type": "application/json", "response_json_schema": {"type": "object"},
            "candidate_count": 2, "response_modalities": ["TEXT"],
            "thinking_config": {"include_thoughts": true, "thinking_budget": 5}}
    });
    let (mut one, mut other) = (read(&camel), read(&snake));
    let raw = |chat: &mut Chat| match chat.tools.pop() {
        Some(Tool::Hosted { kind: Hosted::WebSearch(_), native }) => native.raw.get().to_owned(),
        tool => panic!("not a search: {tool:?}"),
    };
    assert_eq!(raw(&mut one), r#"{"googleSearch":{}}"#);
    assert_eq!(raw(&mut other), r#"{"google_search":{}}"#, "a tool is handed on as it was written");
    let key = |native: &wire::chat::Native| native.field.clone();
    one.native.sort_by_key(key);
    other.native.sort_by_key(key);
    assert_eq!(one, other);
    assert_eq!(one.native.len(), 5, "{:?}", one.native);
}

#[test]
fn a_single_part_may_stand_for_a_list() {
    let short = json!({"system_instruction": {"parts": {"text": "s"}}, "contents": {"parts": {"text": "a"}}, "tools": {"function_declarations": {"name": "f"}}});
    let long = json!({"system_instruction": {"parts": [{"text": "s"}]}, "contents": [{"parts": [{"text": "a"}]}], "tools": [{"function_declarations": [{"name": "f"}]}]});
    assert_eq!(read(&short), read(&long));
    for (wrong, path) in [
        (json!({"contents": "a"}), "contents"),
        (json!({"contents": [{"parts": "a"}]}), "contents[0].parts"),
        (json!({"contents": null}), "contents"),
        (json!({"contents": [7]}), "contents[0]"),
    ] {
        assert_eq!(GEMINI.read_request(wrong.to_string().as_bytes()).unwrap_err().path, path);
    }
}

#[test]
fn a_history_of_stream_elements_is_one_turn() {
    // The state of another provider in an envelope, as bytes in base64.
    let envelope = "dGcxLmFudGhyb3BpYy5jMmxu";
    let model = |part: Value| json!({"role": "model", "parts": [part]});
    let chat = read(&json!({"contents": [
        {"role": "user", "parts": [{"text": "a"}]},
        model(json!({"text": "Let ", "thought": true})),
        model(json!({"text": "me see", "thought": true})),
        model(json!({"text": "", "thought": true, "thoughtSignature": envelope})),
        model(json!({"text": "It is"})),
        model(json!({"functionCall": {"name": "f"}})),
        {"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}]}));
    assert_eq!(chat.turns.len(), 3);
    let Some(Block::Thinking { text, seal: Some(seal) }) = chat.turns[1].blocks.first() else {
        panic!("{:?}", chat.turns[1]);
    };
    assert_eq!(
        (text.as_str(), seal.dialect, seal.value.as_str()),
        ("Let me see", "anthropic", "sig")
    );
    // Google itself gets none of it.
    let (body, dropped) = write(&chat, NEW);
    assert_eq!(body["contents"][1]["parts"][0]["text"], "It is");
    assert!(dropped.contains(&"thinking".to_owned()));
}

#[test]
fn signatures_are_kept_at_their_parts() {
    let parts = json!([
        {"text": "thoughts", "thought": true},
        {"text": "Let me see.", "thoughtSignature": "dGV4dA=="},
        {"functionCall": {"id": "0usajhl5", "name": "f", "args": {}}, "thoughtSignature": "Y2FsbA=="},
        {"functionCall": {"id": "96c1su3s", "name": "f", "args": {}}}
    ]);
    let results = json!([
        {"functionResponse": {"id": "0usajhl5", "name": "f", "response": {"output": "1"}}},
        {"functionResponse": {"id": "96c1su3s", "name": "f", "response": {"error": "2"}}}
    ]);
    let last = json!([{"text": "So."}, {"text": "", "thoughtSignature": "bGFzdA=="}]);
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": parts},
        {"role": "user", "parts": results}, {"role": "model", "parts": last}, {"role": "user", "parts": [{"text": "b"}]}]});
    let (again, dropped) = write(&read(&body), NEW);
    assert_eq!(again["contents"], body["contents"]);
    assert!(dropped.is_empty(), "{dropped:?}");
}

/// The signatures of calls, turn by turn.
fn signatures(body: &Value) -> Vec<Vec<Option<String>>> {
    let contents = body["contents"].as_array().unwrap().iter();
    let models = contents.filter(|content| content["role"] == "model");
    let parts = models.map(|content| content["parts"].as_array().unwrap());
    let calls = parts.map(|parts| parts.iter().filter(|part| part["functionCall"].is_object()));
    calls
        .map(|calls| calls.map(|p| p["thoughtSignature"].as_str().map(str::to_owned)).collect())
        .collect()
}

fn foreign_calls(last: &[Value]) -> Chat {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
    let mut messages = vec![
        json!({"role": "user", "content": "a"}),
        json!({"role": "assistant", "content": null, "tool_calls": [call("c1")]}),
        result("c1"),
        json!({"role": "assistant", "content": "done"}),
        json!({"role": "user", "content": "again"}),
        json!({"role": "assistant", "content": null, "tool_calls": [call("c2"), call("c3")]}),
        result("c3"),
        result("c2"),
        json!({"role": "assistant", "content": null, "tool_calls": [call("c4")]}),
        result("c4"),
    ];
    messages.extend_from_slice(last);
    openai(json!({ "messages": messages }))
}

#[test]
fn calls_of_other_models_get_the_stand_in_within_the_current_turn_only() {
    let stand_in = || Some("skip_thought_signature_validator".to_owned());
    let (body, dropped) = write(&foreign_calls(&[]), NEW);
    assert_eq!(signatures(&body), [vec![None], vec![], vec![stand_in(), None], vec![stand_in()]]);
    assert!(
        dropped.contains(&"thoughtSignature: none -> skip_thought_signature_validator".to_owned())
    );
    // The user's next words begin another turn, of which there are no calls yet. Right behind a result they are one
    // content with it, of which Google does not say whether it begins a turn.
    let next = [
        json!({"role": "assistant", "content": "done"}),
        json!({"role": "user", "content": "so?"}),
    ];
    let (body, dropped) = write(&foreign_calls(&next), NEW);
    assert_eq!(signatures(&body), [vec![None], vec![], vec![None, None], vec![None], vec![]]);
    assert!(dropped.is_empty(), "{dropped:?}");
    let (body, _) = write(&foreign_calls(&next[1..]), NEW);
    assert_eq!(signatures(&body), [vec![None], vec![], vec![stand_in(), None], vec![stand_in()]]);
    let (body, _) = write(&foreign_calls(&[]), OLD);
    assert!(signatures(&body).concat().iter().all(Option::is_none));
}

/// The AI SDK refers to thoughts by id, between a call and its result.
#[test]
fn a_reference_is_no_word_of_the_users() {
    let request = json!({"model": "m", "input": [
        {"role": "user", "content": "a"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "item_reference", "id": "rs_1"},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
    ]});
    let responses = wire::openai_responses::OpenaiResponses;
    let chat = responses.read_request(request.to_string().as_bytes()).unwrap();
    let (body, dropped) = write(&chat, NEW);
    assert_eq!(signatures(&body), [vec![Some("skip_thought_signature_validator".to_owned())]]);
    assert!(dropped.contains(&"item_reference".to_owned()), "{dropped:?}");
}

/// Agents put reminders of their own behind the results.
#[test]
fn words_beside_a_result_begin_no_turn() {
    let calls = |id: &str| json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "f", "input": {}}]});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let reminder = json!({"type": "text", "text": "<system-reminder>x</system-reminder>"});
    let body = |last: Value| {
        json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"}, calls("c1"), {"role": "user", "content": [result("c1"), reminder]},
        calls("c2"), last], "tools": [{"name": "f", "input_schema": {"type": "object"}}]})
    };
    let stand_in = || vec![Some("skip_thought_signature_validator".to_owned())];
    let signed = |last: Value| {
        let body = body(last).to_string();
        let chat = wire::anthropic::Anthropic.read_request(body.as_bytes()).unwrap();
        signatures(&write(&chat, NEW).0)
    };
    let both = json!({"role": "user", "content": [result("c2"), reminder]});
    assert_eq!(signed(both), [stand_in(), stand_in()]);
    let plain = json!({"role": "user", "content": [result("c2")]});
    assert_eq!(signed(plain), [stand_in(), stand_in()]);
}

/// Some agents load tools in the middle of the conversation.
#[test]
fn tools_that_are_added_are_tools_and_no_words() {
    let tool = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": false});
    let added = json!({"type": "additional_tools", "role": "developer", "tools": [tool("refund"), tool("load")]});
    let request = json!({"model": "m", "store": false, "tools": [tool("load")], "tool_choice": "auto", "input": [
        {"role": "user", "content": "a"},
        {"type": "function_call", "call_id": "c1", "name": "load", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
        added,
    ]});
    let responses = wire::openai_responses::OpenaiResponses;
    let chat = responses.read_request(request.to_string().as_bytes()).unwrap();
    let (body, dropped) = write(&chat, NEW);
    assert_eq!(signatures(&body), [vec![Some("skip_thought_signature_validator".to_owned())]]);
    assert_eq!(dropped, ["thoughtSignature: none -> skip_thought_signature_validator"]);
    let names: Vec<&str> = body["tools"][0]["functionDeclarations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["load", "refund"]);
    let target =
        |provider, model| Target { provider, model, max_output_tokens: None, reasoning: false };
    for (dialect, target) in [
        ("anthropic", target("anthropic", "claude-sonnet-4-5")),
        ("openai_chat", target("deepseek", "deepseek-chat")),
    ] {
        let written = wire::dialect(dialect).unwrap().write_request(&chat, &target).unwrap();
        let body: Value = serde_json::from_slice(&written.body).unwrap();
        assert_eq!(body["tools"].as_array().unwrap().len(), 2, "{body}");
        assert!(written.dropped.is_empty(), "{dialect}: {:?}", written.dropped);
        let last = body["messages"].as_array().unwrap().last().unwrap();
        assert!(last["role"] == "tool" || last["content"][0]["type"] == "tool_result", "{last}");
    }
    // Its own API gets both where they were.
    let written = responses.write_request(&chat, &target("openai", "gpt-5.4")).unwrap();
    let again: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(again["tools"], request["tools"]);
    assert_eq!(again["input"], request["input"]);
}

#[test]
fn results_are_one_turn_in_the_order_of_the_calls() {
    let (body, _) = write(&foreign_calls(&[json!({"role": "user", "content": "so?"})]), NEW);
    let contents = body["contents"].as_array().unwrap();
    let results = contents[6]["parts"].as_array().unwrap();
    let ids: Vec<&str> =
        results.iter().map(|part| part["functionResponse"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c2", "c3"]);
    let last = contents.last().unwrap()["parts"].as_array().unwrap();
    assert!(last[0]["functionResponse"].is_object() && last[1]["text"] == "so?");
}

#[test]
fn a_call_and_its_result_need_each_other() {
    let without = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "user", "content": "b"}]});
    assert_eq!(try_write(&openai(without), NEW).unwrap_err().field, "messages");
    let orphan = json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "c9", "content": "r"}]});
    assert_eq!(try_write(&openai(orphan), NEW).unwrap_err().field, "messages");
}

#[test]
fn ids_go_back_to_those_who_gave_them() {
    let ids = |chat: &Chat, model: &str| -> Vec<Value> {
        let (body, _) = write(chat, model);
        let parts = |at: usize| body["contents"][at]["parts"][0].clone();
        vec![parts(1)["functionCall"]["id"].clone(), parts(2)["functionResponse"]["id"].clone()]
    };
    let conversation = |id: Option<&str>| {
        let (mut call, mut result) =
            (json!({"name": "f", "args": {}}), json!({"name": "f", "response": {}}));
        if let Some(id) = id {
            (call["id"], result["id"]) = (id.into(), id.into());
        }
        read(&json!({"contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"functionCall": call}]},
            {"role": "user", "parts": [{"functionResponse": result}]}]}))
    };
    assert_eq!(ids(&conversation(Some("0usajhl5")), NEW), ["0usajhl5", "0usajhl5"]);
    assert_eq!(ids(&conversation(None), NEW), [Value::Null, Value::Null]);
    assert_eq!(ids(&conversation(Some("0usajhl5")), OLD), [Value::Null, Value::Null]);
}

#[test]
fn calls_without_ids_are_paired_by_name_and_order() {
    let call = |name: &str| json!({"functionCall": {"name": name}});
    let result = |name: &str, said: &str| json!({"functionResponse": {"name": name, "response": {"output": said}}});
    let chat = read(&json!({"contents": [
        {"role": "model", "parts": [call("f"), call("g"), call("f")]},
        {"role": "user", "parts": [result("f", "1"), result("f", "2"), result("g", "3")]},
        {"role": "model", "parts": [call("f")]},
        {"role": "user", "parts": [result("f", "4")]}]}));
    let blocks = |at: usize| chat.turns[at].blocks.iter();
    let called: Vec<&String> = blocks(0)
        .chain(blocks(2))
        .filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    let answered: Vec<(&String, bool)> = blocks(1)
        .chain(blocks(3))
        .filter_map(|block| match block {
            Block::ToolResult { id, failed, .. } => Some((id, *failed)),
            _ => None,
        })
        .collect();
    let order: Vec<usize> =
        answered.iter().map(|(id, _)| called.iter().position(|c| c == id).unwrap()).collect();
    assert_eq!(order, [0, 2, 1, 3]);
    let distinct: std::collections::BTreeSet<_> = called.iter().collect();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn results_under_another_spelling_are_paired_by_order() {
    let call = |name: &str| json!({"functionCall": {"name": name}});
    let result = |name: &str| json!({"functionResponse": {"name": name, "response": {}}});
    let paired = |results: Value| {
        let chat = read(&json!({"contents": [
            {"role": "model", "parts": [call("old")]},
            {"role": "user", "parts": [result("old")]},
            {"role": "model", "parts": [call("W-see")]},
            {"role": "model", "parts": [call("look"), call("W-hear")]},
            {"role": "user", "parts": results}]}));
        let ids = |at: usize| {
            let ids = chat.turns[at].blocks.iter().map(|block| match block {
                Block::ToolUse { id, .. } | Block::ToolResult { id, .. } => id.clone(),
                other => panic!("{other:?}"),
            });
            ids.collect::<Vec<_>>()
        };
        let calls = ids(2);
        let place = |id: &String| calls.iter().position(|call| call == id);
        ids(3).iter().map(place).collect::<Vec<_>>()
    };
    let order = paired(json!([result("W__see"), result("look"), result("W__hear")]));
    assert_eq!(order, [Some(0), Some(1), Some(2)]);
    let order = paired(json!([result("look"), result("W__see"), result("W__hear")]));
    assert_eq!(order, [Some(1), Some(0), Some(2)]);
    assert_eq!(paired(json!([result("look"), result("W__see")])), [Some(1), None]);
}

#[test]
fn only_instructions_make_a_request_all_the_same() {
    let chat = openai(json!({"messages": [{"role": "system", "content": "s"}]}));
    let (body, _) = write(&chat, NEW);
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "s");
    assert_eq!(body["contents"][0]["role"], "user");
}

#[test]
fn a_result_cannot_point_to_other_parts() {
    let said = r##"{"$ref":"#/x"}"##;
    let chat = openai(json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "[1]"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": said}]}));
    let (body, _) = write(&chat, NEW);
    assert_eq!(
        body["contents"][2]["parts"][0]["functionResponse"]["response"],
        json!({ "output": said })
    );
    // Arguments are an object whatever the model wrote.
    assert_eq!(body["contents"][1]["parts"][0]["functionCall"]["args"], json!({"_raw": [1]}));
}

fn function(name: &str, strict: bool) -> Value {
    json!({"type": "function", "function": {"name": name, "strict": strict, "parameters": {"type": "object", "properties": {"b": {}, "a": {}}}}})
}

#[test]
fn modes_of_calling() {
    for (choice, strict, mode, names) in [
        (json!(null), false, None, None),
        (json!("auto"), false, Some("AUTO"), None),
        (json!("none"), false, Some("NONE"), None),
        (json!("required"), true, Some("ANY"), None),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            false,
            Some("ANY"),
            Some(json!(["f"])),
        ),
        (json!(null), true, Some("VALIDATED"), None),
        (json!("auto"), true, Some("VALIDATED"), None),
    ] {
        let mut body = json!({ "tools": [function("f", strict)] });
        if !choice.is_null() {
            body["tool_choice"] = choice.clone();
        }
        let (body, dropped) = write(&openai(body), NEW);
        let config = &body["toolConfig"]["functionCallingConfig"];
        assert_eq!(config["mode"].as_str(), mode, "{choice}");
        assert_eq!(config.get("allowedFunctionNames").cloned(), names, "{choice}");
        assert!(dropped.is_empty(), "{dropped:?}");
    }
    let (body, dropped) =
        write(&openai(json!({ "tools": [function("f", true)] })), "gemini-2.0-flash");
    assert!(body.get("toolConfig").is_none() && dropped == ["strict"]);
    let read = |config: Value| {
        read(&json!({"contents": [], "toolConfig": {"functionCallingConfig": config}})).tool_choice
    };
    assert_eq!(read(json!({"mode": "AUTO"})), ToolChoice::Auto);
    assert_eq!(read(json!({"mode": "ANY"})), ToolChoice::Required);
    assert_eq!(
        read(json!({"mode": "any", "allowedFunctionNames": ["f"]})),
        ToolChoice::One("f".to_owned())
    );
    let names = || vec!["f".to_owned(), "g".to_owned()];
    assert_eq!(
        read(json!({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]})),
        ToolChoice::Among { names: names(), required: false }
    );
    assert_eq!(
        read(json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]})),
        ToolChoice::Among { names: names(), required: true }
    );
}

#[test]
fn validated_calls_stay_validated() {
    let chat = read(&json!({
        "contents": [{"parts": [{"text": "a"}]}], "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"languageCode": "de"}}}));
    let (body, _) = write(&chat, NEW);
    assert_eq!(
        body["toolConfig"],
        json!({"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"languageCode": "de"}})
    );
}

#[test]
fn functions_go_with_tools_of_google_from_gemini_3_on() {
    let chat = read(&json!({
        "contents": [{"parts": [{"text": "a"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}], "googleSearch": {}}, {"codeExecution": {}}]}));
    let (body, _) = write(&chat, NEW);
    assert_eq!(body["tools"].as_array().unwrap().len(), 3);
    assert_eq!(body["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    assert_eq!(body["toolConfig"]["includeServerSideToolInvocations"], true);
    assert_eq!(try_write(&chat, OLD).unwrap_err().field, "tools");
    // Alone either is fine everywhere.
    let mut alone = chat.clone();
    alone.tools.remove(0);
    assert!(write(&alone, OLD).0.get("toolConfig").is_none());
    // JSON as the answer is another such case.
    let json_too = openai(
        json!({"tools": [function("f", false)], "response_format": {"type": "json_object"}}),
    );
    assert!(try_write(&json_too, NEW).is_ok());
    assert_eq!(try_write(&json_too, OLD).unwrap_err().field, "response_format");
}

#[test]
fn tools_that_run_at_a_provider_are_translated_by_kind() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}], "tools": [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "allowed_domains": ["a.example"]}]});
    let mut chat = wire::anthropic::Anthropic.read_request(body.to_string().as_bytes()).unwrap();
    // However the other dialect reads its own tool, this is its kind.
    let native = wire::chat::Native {
        dialect: "anthropic",
        field: "web_search".to_owned(),
        raw: wire::Json::parse("{}").unwrap(),
    };
    let terms = wire::chat::WebSearch {
        max_uses: Some(2),
        allowed_domains: vec!["a.example".to_owned()],
        ..wire::chat::WebSearch::default()
    };
    let hosted = |kind| Tool::Hosted { kind, native: native.clone() };
    chat.tools = vec![
        hosted(Hosted::WebSearch(terms)),
        hosted(Hosted::WebFetch),
        hosted(Hosted::CodeExecution),
    ];
    let (body, dropped) = write(&chat, OLD);
    assert_eq!(
        body["tools"],
        json!([{"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}])
    );
    assert_eq!(dropped, ["max_uses", "allowed_domains"]);
    chat.tool_choice = ToolChoice::None;
    assert!(write(&chat, OLD).0.get("tools").is_none(), "to forbid them is not to offer them");
    chat.tools = vec![Tool::Native(native)];
    chat.tool_choice = ToolChoice::Unsaid;
    assert!(try_write(&chat, NEW).is_err());
}

#[test]
fn names_that_google_refuses_are_changed_everywhere() {
    let long = "mcp/".to_owned() + &"x".repeat(140);
    let chat = openai(json!({
        "tools": [function(&long, false), function("fine", false)],
        "tool_choice": {"type": "function", "function": {"name": long}},
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": long, "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"}]}));
    let written = try_write(&chat, NEW).unwrap();
    let [(short, original)] = written.renamed.as_slice() else { panic!("{:?}", written.renamed) };
    assert!(*original == long && short.len() <= 64);
    let text = String::from_utf8(written.body).unwrap();
    assert_eq!(text.matches(short.as_str()).count(), 4);
    assert!(!text.contains(&long) && text.contains("\"fine\""));
    assert_eq!(try_write(&chat, NEW).unwrap().renamed, written.renamed);
}

#[test]
fn schemas_keep_their_order_and_old_models_get_the_older_variant() {
    let chat = openai(
        json!({"tools": [function("f", false), {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}]}),
    );
    // Not by way of a `Value`, which would sort the keys.
    let ordered = r#"{"type":"object","properties":{"b":{},"a":{}}}"#;
    let body = format!(
        r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","parametersJsonSchema":{ordered}}}]}}]}}"#
    );
    let written = try_write(&GEMINI.read_request(body.as_bytes()).unwrap(), NEW).unwrap();
    let text = String::from_utf8(written.body).unwrap();
    assert!(text.contains(&format!("\"parametersJsonSchema\":{ordered}")), "{text}");
    let (body, _) = write(&chat, "gemini-1.5-pro");
    let functions = &body["tools"][0]["functionDeclarations"];
    assert_eq!(functions[0]["parameters"]["type"], "OBJECT");
    assert!(functions[1].get("parameters").is_none(), "no empty objects");
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {"type": ["string", "null"]}}});
    let chat = openai(json!({ "response_format": format }));
    let (body, dropped) = write(&chat, NEW);
    assert_eq!(body["generationConfig"]["responseJsonSchema"], json!({"type": ["string", "null"]}));
    assert_eq!(dropped, ["response_format.description"]);
    let (body, _) = write(&chat, "gemini-1.5-pro");
    assert_eq!(
        body["generationConfig"]["responseSchema"],
        json!({"type": "STRING", "nullable": true})
    );
    let deep = format!("{}1{}", "{\"items\":".repeat(200), "}".repeat(200));
    let body = format!(
        r#"{{"contents":[{{"parts":[{{"text":"a"}}]}}],"tools":[{{"functionDeclarations":[{{"name":"f","parametersJsonSchema":{deep}}}]}}]}}"#
    );
    let chat = GEMINI.read_request(body.as_bytes()).unwrap();
    assert_eq!(try_write(&chat, NEW).unwrap_err().field, "tools.parameters");
}

#[test]
fn one_word_of_a_list_is_no_json() {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}], "generationConfig":
        {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a", "b"]}}});
    let chat = read(&body);
    let (again, _) = write(&chat, NEW);
    assert_eq!(again["generationConfig"], body["generationConfig"]);
    let target =
        Target { provider: "openai", model: "m", max_output_tokens: None, reasoning: false };
    let refused = wire::openai_chat::OpenaiChat.write_request(&chat, &target).unwrap_err();
    assert_eq!(refused.field, "generationConfig.responseMimeType");
}

#[test]
fn thinking_by_generation() {
    let effort = |effort: &str, model: &str| {
        let (body, dropped) = write(&openai(json!({ "reasoning_effort": effort })), model);
        (body["generationConfig"]["thinkingConfig"].clone(), dropped)
    };
    let level = |level: &str| json!({ "thinkingLevel": level });
    let budget = |budget: i64| json!({ "thinkingBudget": budget });
    for (word, model, expected, noted) in [
        ("none", NEW, level("MINIMAL"), true),
        ("minimal", NEW, level("MINIMAL"), false),
        ("none", "gemini-3.1-pro-preview", level("LOW"), true),
        ("medium", NEW, level("MEDIUM"), false),
        ("xhigh", NEW, level("HIGH"), true),
        ("xhigh", "gemini-4-argon", level("XHIGH"), false),
        ("max", "gemini-4-argon", level("XHIGH"), true),
        ("none", OLD, budget(0), false),
        ("none", "gemini-2.5-pro", budget(128), true),
        ("minimal", OLD, budget(512), true),
        ("low", OLD, budget(1_024), false),
        ("medium", OLD, budget(8_192), false),
        ("high", OLD, budget(24_576), false),
        ("max", "gemini-2.5-pro", budget(32_768), true),
        ("high", "gemini-2.0-flash", Value::Null, true),
        ("none", "gemini-2.0-flash", Value::Null, false),
    ] {
        let (config, dropped) = effort(word, model);
        assert_eq!(
            (config, !dropped.is_empty()),
            (expected, noted),
            "{word} for {model}: {dropped:?}"
        );
    }
    let config = |config: Value| {
        let contents = json!([{"parts": [{"text": "a"}]}]);
        let chat =
            read(&json!({"contents": contents, "generationConfig": {"thinkingConfig": config}}));
        (chat.reasoning.clone(), write(&chat, OLD).0["generationConfig"]["thinkingConfig"].clone())
    };
    assert_eq!(config(json!({})).0, None);
    assert_eq!(
        config(json!({"thinkingBudget": -1, "includeThoughts": true})).1,
        json!({"includeThoughts": true, "thinkingBudget": -1})
    );
    assert_eq!(config(json!({"thinkingBudget": 99_999})).1, budget(24_576));
    assert_eq!(config(json!({"thinkingBudget": 0})).0.unwrap().effort, Some(Effort::None));
    assert_eq!(config(json!({"thinkingLevel": "xhigh"})).0.unwrap().effort, Some(Effort::Xhigh));
    assert_eq!(config(json!({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"})).0, None);
    let wrong =
        br#"{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingLevel":"ENORMOUS"}}}"#;
    let error = GEMINI.read_request(wrong).unwrap_err();
    assert_eq!(error.path, "generationConfig.thinkingConfig.thinkingLevel");
}

/// Proto3 JSON writes numbers as text as well.
#[test]
fn numbers_may_be_text() {
    let config = |config: Value| json!({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": config});
    let text = config(
        json!({"temperature": "0.5", "topP": "0.9", "topK": "40", "maxOutputTokens": "100", "seed": "-7",
        "presencePenalty": "1", "frequency_penalty": "0", "candidateCount": "1", "thinkingConfig": {"thinkingBudget": "1024"}}),
    );
    let numbers = config(
        json!({"temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 100, "seed": -7,
        "presencePenalty": 1, "frequency_penalty": 0, "candidateCount": 1, "thinkingConfig": {"thinkingBudget": 1024}}),
    );
    let (text, numbers) = (read(&text), read(&numbers));
    assert_eq!((&text.sampling, text.max_tokens), (&numbers.sampling, Some(100)));
    assert_eq!(text.reasoning, numbers.reasoning);
    let target =
        Target { provider: "openai", model: "gpt-4o", max_output_tokens: None, reasoning: false };
    let written = |chat: &Chat| wire::openai_chat::OpenaiChat.write_request(chat, &target).unwrap();
    assert_eq!(written(&text), written(&numbers));
    for wrong in [json!("many"), json!(""), json!("1 2"), json!(-1), json!([1])] {
        let body = config(json!({ "maxOutputTokens": wrong })).to_string();
        let error = GEMINI.read_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.path, "generationConfig.maxOutputTokens", "{body}");
    }
}

#[test]
fn media_by_place() {
    let part = |part: Value| {
        let chat = read(&json!({"contents": [{"role": "user", "parts": [part]}]}));
        let (body, _) = write(&chat, NEW);
        (chat.turns[0].blocks[0].clone(), body["contents"][0]["parts"][0].clone())
    };
    for (raw, kind) in [
        (
            json!({"inlineData": {"mimeType": "application/pdf", "data": "AA=="}}),
            MediaKind::Document,
        ),
        (json!({"inlineData": {"mimeType": "audio/ogg", "data": "AA=="}}), MediaKind::Audio),
        (json!({"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}}), MediaKind::Video),
        (
            json!({"fileData": {"mimeType": "video/mp4", "fileUri": "https://x.example/v.mp4"}}),
            MediaKind::Video,
        ),
        (
            json!({"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/i.png"}}),
            MediaKind::Image,
        ),
        (
            json!({"fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}),
            MediaKind::Image,
        ),
        (
            json!({"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/i.png"}}),
            MediaKind::Image,
        ),
    ] {
        let (block, again) = part(raw.clone());
        assert_eq!(again, raw);
        let Block::Media(media) = block else { panic!("{block:?}") };
        assert_eq!(media.kind, kind, "{raw}");
        let own = raw["fileData"]["fileUri"]
            .as_str()
            .is_some_and(|uri| uri.contains("googleapis") || uri.starts_with("gs"));
        assert_eq!(matches!(media.source, Source::File { .. }), own, "{raw}");
    }
    let image = |url: &str, detail: &str| {
        openai(
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, "detail": detail}}]}]}),
        )
    };
    assert_eq!(
        try_write(&image("https://x.example/i.png", "auto"), NEW).unwrap_err().field,
        "image"
    );
    let inline = "data:image/jpg;charset=utf-8;base64,AA==";
    let (body, dropped) = write(&image(inline, "high"), NEW);
    assert_eq!(
        body["contents"][0]["parts"][0],
        json!({"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}})
    );
    assert!(dropped.is_empty());
    assert_eq!(write(&image(inline, "high"), OLD).1, ["detail"]);
    let file = openai(
        json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}),
    );
    assert!(try_write(&file, NEW).is_err(), "ids never cross providers");
}

#[test]
fn bytes_in_either_alphabet_arrive_in_the_standard_one() {
    let target = |provider| Target {
        provider,
        model: "m",
        max_output_tokens: Some(4_096),
        reasoning: false,
    };
    let blob = |mime: &str, data: &str| json!({"inlineData": {"mimeType": mime, "data": data}});
    let result = |part: Value| json!({"functionResponse": {"id": "a", "name": "f", "response": {"output": "x"}, "parts": [part]}});
    let body = |parts: Value| {
        json!({"contents": [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]},
        {"role": "user", "parts": parts}]})
    };
    // "ÿþ~~??" and four bytes of no text, in the alphabet that is safe in URLs and without padding.
    let sent = body(json!([
        result(blob("image/png", "-_v__w")),
        blob("image/png", "-_v__w"),
        blob("text/plain", "w7_Dvn5-Pz8")
    ]));
    let claude = wire::anthropic::Anthropic.write_request(&read(&sent), &target("anthropic"));
    let claude: Value = serde_json::from_slice(&claude.unwrap().body).unwrap();
    let content = &claude["messages"][2]["content"];
    assert_eq!(content[0]["content"][1]["source"]["data"], "+/v//w==");
    assert_eq!(content[1]["source"]["data"], "+/v//w==");
    assert_eq!(
        content[2]["source"],
        json!({"type": "text", "media_type": "text/plain", "data": "ÿþ~~??"})
    );
    let sent = body(json!([result(json!({"text": "b"})), blob("image/png", "-_v__w")]));
    let chat = wire::openai_chat::OpenaiChat.write_request(&read(&sent), &target("openai"));
    let chat = String::from_utf8(chat.unwrap().body).unwrap();
    assert!(chat.contains("data:image/png;base64,+/v//w=="), "{chat}");
    for (part, path) in [
        (blob("image/png", "data:image/png;base64,AAAA"), "contents[2].parts[0].inlineData.data"),
        (
            result(blob("image/png", "A")),
            "contents[2].parts[0].functionResponse.parts[0].inlineData.data",
        ),
        (
            result(json!({"inlineData": {"mimeType": "image/png", "data": 7}})),
            "contents[2].parts[0].functionResponse.parts[0].inlineData.data",
        ),
    ] {
        let error = GEMINI.read_request(body(json!([part])).to_string().as_bytes()).unwrap_err();
        assert_eq!(error.path, path);
    }
}

#[test]
fn pictures_in_results_by_generation() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [
            {"type": "text", "text": "t"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}]}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let chat = wire::anthropic::Anthropic.read_request(body.to_string().as_bytes()).unwrap();
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}});
    let (new, _) = write(&chat, NEW);
    let result = &new["contents"][2]["parts"][0]["functionResponse"];
    assert_eq!(result["response"], json!({"error": "t"}));
    assert_eq!(result["parts"], json!([picture]));
    let (old, _) = write(&chat, OLD);
    assert_eq!(old["contents"][2]["parts"][1], picture);
}

#[test]
fn what_only_google_knows_is_dropped_or_refused_elsewhere() {
    let target =
        Target { provider: "openai", model: "gpt-4o", max_output_tokens: None, reasoning: false };
    let elsewhere =
        |body: Value| wire::openai_chat::OpenaiChat.write_request(&read(&body), &target);
    let parts = json!([{"role": "user", "parts": [{"text": "a", "partMetadata": {"x": 1}}]}]);
    let written = elsewhere(json!({"contents": parts, "safetySettings": [{"category": "c"}], "labels": {"a": "b"},
        "generationConfig": {"responseModalities": ["TEXT"], "candidateCount": 1, "mediaResolution": "MEDIA_RESOLUTION_LOW"},
        "tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]}]}))
    .unwrap();
    let mut dropped = written.dropped;
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "functionDeclarations.behavior",
            "generationConfig.mediaResolution",
            "labels",
            "parts.partMetadata",
            "safetySettings"
        ]
    );
    for (field, value) in [
        ("candidateCount", json!(2)),
        ("responseLogprobs", json!(true)),
        ("responseModalities", json!(["TEXT", "IMAGE"])),
    ] {
        let error =
            elsewhere(json!({"contents": parts, "generationConfig": {field: value}})).unwrap_err();
        assert_eq!(error.field, format!("generationConfig.{field}"));
    }
    let spelt = br#"{"contents":[],"generation_config":{"response_modalities":[ "Text" ]}}"#;
    let chat = GEMINI.read_request(spelt).unwrap();
    let written = wire::openai_chat::OpenaiChat.write_request(&chat, &target).unwrap();
    assert!(written.dropped.is_empty());
    for field in ["cachedContent", "continuationToken"] {
        let error = elsewhere(json!({"contents": parts, field: "x"})).unwrap_err();
        assert_eq!(error.field, field);
    }
    // To Google itself all of it goes on.
    let body = json!({"contents": parts, "safetySettings": [{"category": "c"}], "cachedContent": "x",
        "generationConfig": {"candidateCount": 2, "responseLogprobs": true, "logprobs": 3}});
    let (again, _) = write(&read(&body), NEW);
    assert_eq!(again["generationConfig"], body["generationConfig"]);
    assert_eq!(
        (&again["safetySettings"], &again["cachedContent"]),
        (&body["safetySettings"], &body["cachedContent"])
    );
}

#[test]
fn sampling_within_googles_limits() {
    let chat = openai(
        json!({"seed": 1_i64 << 40 | 7, "stop": ["a", "b", "c", "d"], "temperature": 1.5, "n": 1}),
    );
    let (body, dropped) = write(&chat, NEW);
    assert_eq!(body["generationConfig"]["seed"], 7);
    assert_eq!(dropped, [format!("seed: {} -> 7", 1_i64 << 40 | 7)]);
    let chat = read(
        &json!({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"stopSequences": ["1", "2", "3", "4", "5", "6"], "topK": 40}}),
    );
    let (body, dropped) = write(&chat, NEW);
    assert_eq!(body["generationConfig"]["stopSequences"].as_array().unwrap().len(), 5);
    assert_eq!(dropped, ["stop: 6 -> 5"]);
    for (field, value) in [("n", json!(2)), ("logprobs", json!(true))] {
        assert_eq!(try_write(&openai(json!({field: value})), NEW).unwrap_err().field, field);
    }
}

#[test]
fn counting_tokens() {
    let contents = json!([{"role": "user", "parts": [{"text": "a"}]}]);
    let whole = json!({"generateContentRequest": {"model": "models/g", "contents": contents, "systemInstruction": {"parts": [{"text": "s"}]}}});
    let snake = json!({"generate_content_request": whole["generateContentRequest"]});
    let bare = json!({ "contents": contents });
    let read =
        |body: &Value| wire::gemini::read_count_request(body.to_string().as_bytes()).unwrap();
    assert_eq!(read(&whole), read(&snake));
    assert_eq!(read(&bare).turns, read(&whole).turns);
    let target = Target {
        provider: "gemini",
        model: "gemini-3-flash",
        max_output_tokens: None,
        reasoning: true,
    };
    let written = wire::gemini::write_count_request(&read(&whole), &target).unwrap();
    let body: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(body["generateContentRequest"]["model"], "models/gemini-3-flash");
    assert_eq!(body["generateContentRequest"]["contents"], contents);
    assert_eq!(
        wire::gemini::read_count(br#"{"totalTokens":31,"cachedContentTokenCount":2}"#),
        Ok(31)
    );
    assert!(
        wire::gemini::read_count(b"{}").is_err()
            && wire::gemini::read_count(br#"{"totalTokens":-1}"#).is_err()
    );
    assert_eq!(wire::gemini::write_count(31), br#"{"totalTokens":31}"#);
    assert_eq!(wire::gemini::path("models/g", "countTokens"), "/v1beta/models/g:countTokens");
}

/// Gemini CLI asks for the tokens of a file that a tool has read.
#[test]
fn a_result_without_its_call_is_counted_as_what_it_says() {
    let body = json!({"contents": [{"role": "user", "parts": [
        {"functionResponse": {"id": "c", "name": "read", "response": {"output": "two lanes"}}},
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]}]});
    let chat = wire::gemini::read_count_request(body.to_string().as_bytes()).unwrap();
    let target = Target {
        provider: "anthropic",
        model: "claude-opus-5",
        max_output_tokens: None,
        reasoning: true,
    };
    let written = wire::anthropic::write_count_request(&chat, &target).unwrap();
    let body: Value = serde_json::from_slice(&written.body).unwrap();
    let said = &body["messages"][0]["content"];
    assert_eq!((&said[0]["text"], &said[1]["type"]), (&json!("two lanes"), &json!("image")));
}

#[test]
fn errors_say_which_quota_and_whose_key() {
    let quota = |id: &str| {
        let body = json!([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerMinute-x"}, {"quotaId": id}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.5s"}]}}]);
        GEMINI.read_problem(429, None, body.to_string().as_bytes())
    };
    let minute = quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier");
    assert_eq!(
        (minute.kind, minute.retry_after, minute.is_retryable()),
        (Kind::RateLimit, Some(49), true)
    );
    assert_eq!(minute.code.as_deref(), Some("PerMinute-x"));
    let day = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier");
    assert_eq!((day.kind, day.is_retryable()), (Kind::Billing, false));
    assert_eq!(day.code.as_deref(), Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier"));
    let key = json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}});
    let key = GEMINI.read_problem(400, None, key.to_string().as_bytes());
    assert_eq!((key.kind, key.code.as_deref()), (Kind::Auth, Some("API_KEY_INVALID")));
    assert_eq!(GEMINI.write_problem(&key).0, 502, "the operator's key is not the client's");
    let plain = GEMINI.read_problem(
        404,
        None,
        br#"{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}"#,
    );
    assert_eq!((plain.kind, plain.code.as_deref()), (Kind::NotFound, Some("NOT_FOUND")));
}

/// A conversation whose last answer comes back from a client that keeps those of its parts that `kept` says.
fn given_back(blocks: &[Block], streamed: bool, kept: fn(&Value) -> bool) -> Vec<Block> {
    let reply = Reply { blocks: blocks.to_vec(), ..Reply::default() };
    let parts: Vec<Value> = if streamed {
        let mut out = Vec::new();
        let mut writer = GEMINI.writer(Shape::default());
        for event in wire::collect::events(reply) {
            writer.event(event, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        let elements = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let parts = |element: &str| {
            let element: Value = serde_json::from_str(element).unwrap();
            element["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default()
        };
        elements.flat_map(parts).filter(|part| *part != json!({"text": ""})).collect()
    } else {
        let body: Value =
            serde_json::from_slice(&GEMINI.write_reply(&reply, &Shape::default())).unwrap();
        body["candidates"][0]["content"]["parts"].as_array().unwrap().clone()
    };
    let parts: Vec<Value> = parts.into_iter().filter(kept).collect();
    let body = json!({"contents": [{"role": "model", "parts": parts}]});
    read(&body).turns.remove(0).blocks
}

#[test]
fn calls_carry_the_state_of_other_providers_thoughts() {
    let seal = |value: &str| Seal { dialect: "anthropic", value: value.to_owned() };
    let thinking =
        |text: &str, value| Block::Thinking { text: text.to_owned(), seal: Some(seal(value)) };
    let text = |text: &str| Block::Text(text.to_owned());
    let call = |id: &str| Block::ToolUse {
        id: id.to_owned(),
        name: "f".to_owned(),
        input: Json::empty_object(),
        seal: None,
    };
    let no_thoughts = |part: &Value| part["thought"] != true;
    for streamed in [false, true] {
        let told = vec![thinking("Hm.", "a"), call("1"), call("2")];
        assert_eq!(given_back(&told, streamed, |_| true), told);
        let bare = [thinking("", "a"), call("1"), call("2")];
        assert_eq!(given_back(&told, streamed, no_thoughts), bare);

        let said = vec![thinking("Hm.", "a"), text("Let me see."), call("1")];
        assert_eq!(given_back(&said, streamed, |_| true), said);
        let bare = [thinking("", "a"), text("Let me see."), call("1")];
        assert_eq!(given_back(&said, streamed, no_thoughts), bare);

        let rounds = vec![
            thinking("", "a"),
            text("One."),
            call("1"),
            thinking("Two.", "b"),
            call("2"),
            text("Done."),
        ];
        assert_eq!(given_back(&rounds, streamed, |_| true), rounds);
        let mut bare = rounds.clone();
        bare[3] = thinking("", "b");
        assert_eq!(given_back(&rounds, streamed, no_thoughts), bare);

        // OpenAI's calls have a state of their own.
        let mut own = told.clone();
        own[1] = Block::ToolUse {
            id: "1".to_owned(),
            name: "f".to_owned(),
            input: Json::empty_object(),
            seal: Some(Seal { dialect: "openai_responses", value: "{}".to_owned() }),
        };
        assert_eq!(given_back(&own, streamed, |_| true), own);

        let ended = vec![thinking("Hm.", "a"), text("So.")];
        assert_eq!(given_back(&ended, streamed, |_| true), ended);
    }
}

#[test]
fn a_conversation_without_a_word_is_refused() {
    let chat = openai(json!({"messages": []}));
    assert_eq!(try_write(&chat, NEW).unwrap_err().field, "messages");
}
