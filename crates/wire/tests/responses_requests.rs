//! Requests of the Responses API: what is read of them, what is written from other dialects, what is refused.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

use proptest::prelude::*;
use serde_json::{Value, json};
use wire::chat::{
    Block, CacheLife, Citation, Effort, Format, Hosted, Media, MediaKind, Native, Reasoning, Role,
    Seal, Source, Tool, ToolChoice, Turn, WebSearch,
};
use wire::reply::Reply;
use wire::{Chat, Dialect, Json, Shape, Target, Unsupported, Written, dialect};

fn responses() -> &'static dyn Dialect {
    dialect("openai_responses").unwrap()
}

fn read(body: &Value) -> Chat {
    responses().read_request(body.to_string().as_bytes()).unwrap()
}

fn target(model: &str) -> Target<'_> {
    Target { provider: "openai", model, max_output_tokens: None, reasoning: false }
}

fn write_for(chat: &Chat, target: &Target<'_>) -> (Value, Vec<String>) {
    let Written { body, dropped, .. } = responses().write_request(chat, target).unwrap();
    (serde_json::from_slice(&body).unwrap(), dropped)
}

fn write(chat: &Chat, model: &str) -> (Value, Vec<String>) {
    write_for(chat, &target(model))
}

fn refused(chat: &Chat, to: &str) -> Unsupported {
    let target =
        Target { provider: to, model: "claude-opus-5", max_output_tokens: None, reasoning: false };
    dialect(to).unwrap().write_request(chat, &target).unwrap_err()
}

fn turn(role: Role, blocks: Vec<Block>) -> Turn {
    Turn { role, blocks, name: None }
}

fn user(text: &str) -> Turn {
    turn(Role::User, vec![Block::Text(text.to_owned())])
}

fn tool_use(id: &str, name: &str, input: &str) -> Block {
    let input = Json::parse(input).unwrap();
    Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input, seal: None }
}

fn result(id: &str, text: &str) -> Block {
    let blocks = vec![Block::Text(text.to_owned())];
    Block::ToolResult { id: id.to_owned(), name: None, blocks, failed: false }
}

fn function(name: &str, strict: Option<bool>) -> Tool {
    let schema = Json::parse(r#"{"type":"object","properties":{"mast":{"type":"integer"}}}"#);
    Tool::Function { name: name.to_owned(), description: None, schema, strict, cache: None }
}

// Reading.

#[test]
fn every_field_finds_its_place() {
    let chat = read(&json!({
        "model": "gpt-5.4", "instructions": "You keep a lighthouse.", "input": "What ship?", "max_output_tokens": 300,
        "temperature": 0.5, "top_p": 0.9, "stream": true, "parallel_tool_calls": false, "safety_identifier": "u1",
        "service_tier": "flex", "reasoning": {"effort": "xhigh", "summary": "auto"}, "metadata": {"a": "b"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "ship", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "tool_choice": {"type": "function", "name": "f"},
    }));
    assert_eq!((chat.model.as_str(), chat.stream, chat.include_usage), ("gpt-5.4", true, true));
    assert_eq!(chat.system, [Block::Text("You keep a lighthouse.".to_owned())]);
    assert_eq!(chat.turns, [user("What ship?")]);
    assert_eq!((chat.max_tokens, chat.parallel_tools), (Some(300), Some(false)));
    assert_eq!((chat.sampling.temperature, chat.sampling.top_p), (Some(0.5), Some(0.9)));
    assert_eq!((chat.user.as_deref(), chat.service_tier.as_deref()), (Some("u1"), Some("flex")));
    let reasoning = Reasoning { effort: Some(Effort::Xhigh), budget: None, show: Some(true) };
    assert_eq!(chat.reasoning, Some(reasoning));
    assert_eq!(chat.output.verbosity.as_deref(), Some("low"));
    assert!(
        matches!(&chat.output.format, Format::JsonSchema { name: Some(name), strict: Some(true), .. } if name == "ship")
    );
    assert_eq!(chat.tool_choice, ToolChoice::One("f".to_owned()));
    assert!(matches!(&chat.tools[..], [Tool::Function { strict: None, .. }]));
}

#[test]
fn items_become_turns_in_order() {
    let chat = read(&json!({"model": "m", "input": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look."},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
            {"type": "input_file", "file_url": "https://example.com/b.pdf"},
            {"type": "input_file", "file_id": "file-1"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "two"},
            {"type": "input_image", "image_url": "https://example.com/c.png"}]},
        {"type": "function_call_output", "call_id": "a", "output": "one"},
        {"type": "message", "role": "assistant", "id": "msg_1", "phase": "commentary", "status": "completed",
            "content": [{"type": "output_text", "text": "Hm.", "annotations": [
                {"type": "url_citation", "url": "https://example.com", "title": "T", "start_index": 0, "end_index": 2}]}]},
        {"type": "message", "role": "developer", "content": "Hurry."},
        {"role": "user", "content": "Well?"},
    ]}));
    let text = |text: &str| Block::Text(text.to_owned());
    assert_eq!(chat.system, [text("Be brief."), text("Be kind.")]);
    let roles: Vec<Role> = chat.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::User, Role::Assistant, Role::User, Role::Assistant, Role::System, Role::User]
    );
    let kinds = |blocks: &[Block]| -> Vec<String> {
        let media = |m: &Media| format!("{} {:?} {:?}", m.kind.name(), m.source, m.detail);
        blocks
            .iter()
            .map(|block| match block {
                Block::Media(m) => media(m),
                other => {
                    format!("{other:?}").chars().take_while(char::is_ascii_alphabetic).collect()
                }
            })
            .collect()
    };
    assert_eq!(
        kinds(&chat.turns[0].blocks),
        [
            "Text",
            "image Base64(\"iVBO\") Some(\"low\")",
            "document Base64(\"JVBE\") None",
            "document Url(\"https://example.com/b.pdf\") None",
            "document File { dialect: \"openai_responses\", id: \"file-1\" } None",
        ]
    );
    assert_eq!(kinds(&chat.turns[1].blocks), ["Thinking", "ToolUse", "ToolUse"]);
    assert!(
        matches!(&chat.turns[1].blocks[2], Block::ToolUse { input, .. } if input.get() == "{}")
    );
    let [Block::ToolResult { id, blocks, .. }, Block::ToolResult { id: second, .. }] =
        &chat.turns[2].blocks[..]
    else {
        unreachable!()
    };
    assert_eq!((id.as_str(), second.as_str(), blocks.len()), ("b", "a", 2));
    assert_eq!(kinds(&chat.turns[3].blocks), ["Native", "Text", "Citation"]);
}

#[test]
fn a_late_result_joins_its_round() {
    let chat = read(&json!({"model": "m", "input": [
        {"role": "user", "content": "Go."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"role": "assistant", "content": "One is there."},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]}));
    assert_eq!(chat.turns[2].blocks, [result("a", "1"), result("b", "2")]);
    assert_eq!(chat.turns.len(), 4);
}

#[test]
fn what_is_wrong_is_named() {
    for (body, path) in [
        (json!({"input": "x"}), "model"),
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": 7}), "input"),
        (json!({"model": "m", "input": [{"content": "x"}]}), "input[0].type"),
        (json!({"model": "m", "input": [{"role": "pirate", "content": "x"}]}), "input[0].role"),
        (
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (
            json!({"model": "m", "input": [{"type": "function_call", "name": "f"}]}),
            "input[0].call_id",
        ),
        (
            json!({"model": "m", "input": [{"type": "function_call_output", "output": "x"}]}),
            "input[0].call_id",
        ),
        (json!({"model": "m", "input": [], "tools": [{"name": "f"}]}), "tools[0].type"),
        (json!({"model": "m", "input": [], "tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"model": "m", "input": [], "tool_choice": "some"}), "tool_choice"),
        (json!({"model": "m", "input": [], "reasoning": {"effort": "huge"}}), "reasoning.effort"),
        (
            json!({"model": "m", "input": [], "text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (
            json!({"model": "m", "input": [], "text": {"format": {"type": "json_schema"}}}),
            "text.format.schema",
        ),
        (json!({"model": "m", "input": [], "max_output_tokens": "many"}), "max_output_tokens"),
    ] {
        let error = responses().read_request(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{body}");
    }
}

// To other dialects.

#[test]
fn what_needs_the_servers_memory_is_refused_by_name() {
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "pmpt_1"})),
        ("background", json!(true)),
    ] {
        let mut body = json!({"model": "m", "input": "x"});
        body[field] = value.clone();
        for to in ["openai_chat", "anthropic", "gemini"] {
            assert_eq!(refused(&read(&body), to).field, field);
        }
        let (again, dropped) = write(&read(&body), "gpt-5.4");
        assert_eq!((&again[field], dropped.len()), (&value, 0));
        assert!(again.get("store").is_none(), "an id to go on from is wanted");
    }
}

#[test]
fn what_stands_for_a_part_of_the_conversation_is_refused_by_name() {
    for item in [
        json!({"type": "item_reference", "id": "msg_1"}),
        json!({"type": "item_reference", "id": "fc_1"}),
        json!({"type": "compaction", "id": "cmp_1"}),
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gB"}),
    ] {
        let body = json!({"model": "m", "input": [
            {"role": "user", "content": "x"}, item, {"role": "user", "content": "z"}]});
        for to in ["openai_chat", "anthropic", "gemini"] {
            let refused = refused(&read(&body), to);
            assert_eq!(refused.field, item["type"].as_str().unwrap(), "{item}");
            let hinted = refused.reason.contains("store: false");
            assert_eq!(hinted, item["type"] == "item_reference", "{item}");
        }
        assert_eq!(write(&read(&body), "gpt-5.4").0["input"][1], item);
    }
}

#[test]
fn what_happens_anyway_is_no_loss() {
    let body = json!({"model": "m", "input": "x", "background": false, "include": ["reasoning.encrypted_content"],
        "metadata": {}, "previous_response_id": null, "reasoning": {"summary": "auto"}, "text": {"format": {"type": "text"}}});
    for (store, dropped) in [(json!(false), &[][..]), (Value::Null, &[]), (json!(true), &["store"])]
    {
        let mut body = body.clone();
        body["store"] = store;
        let target = Target { provider: "anthropic", ..target("claude-opus-5") };
        let written = dialect("anthropic").unwrap().write_request(&read(&body), &target).unwrap();
        assert_eq!(written.dropped, dropped, "{body}");
    }
    let more = json!({"model": "m", "input": "x", "include": ["message.output_text.logprobs"], "truncation": "auto"});
    let target = Target { provider: "anthropic", ..target("claude-opus-5") };
    let written = dialect("anthropic").unwrap().write_request(&read(&more), &target).unwrap();
    assert_eq!(written.dropped, ["truncation", "include"]);
}

#[test]
fn tools_that_the_model_looks_for() {
    let function = |name: &str, more: Value| {
        let mut tool = json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": false});
        tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tool
    };
    let tools = json!([{"type": "tool_search"}, function("a", json!({"defer_loading": true})), function("b", json!({}))]);
    let chat = read(&json!({"model": "m", "input": "x", "tools": tools}));
    assert_eq!(write(&chat, "gpt-5.4").0["tools"], tools);
    let written = |dialect: &str, provider: &str, model: &str| {
        let target = Target { provider, model, max_output_tokens: Some(4096), reasoning: true };
        let written = wire::dialect(dialect).unwrap().write_request(&chat, &target).unwrap();
        (serde_json::from_slice::<Value>(&written.body).unwrap(), written.dropped)
    };
    let (body, dropped) = written("anthropic", "anthropic", "claude-opus-5-5");
    assert_eq!(body["tools"][0]["type"], "tool_search_tool_bm25_20251119");
    assert_eq!(
        (&body["tools"][1]["defer_loading"], &body["tools"][2]["defer_loading"]),
        (&json!(true), &Value::Null)
    );
    assert!(dropped.is_empty(), "{dropped:?}");
    for (dialect, provider, model) in [
        ("gemini", "gemini", "gemini-3.8-flash"),
        ("openai_chat", "openai", "gpt-4o"),
        ("openai_chat", "deepseek", "deepseek-v4-pro"),
        ("anthropic", "deepseek", "deepseek-v4-pro"),
    ] {
        let (body, dropped) = written(dialect, provider, model);
        assert!(!body.to_string().contains("defer_loading"), "{body}");
        assert!(dropped.contains(&"tool_search".to_owned()), "{dialect}: {dropped:?}");
        assert!(dropped.contains(&"tools.defer_loading".to_owned()), "{dialect}: {dropped:?}");
    }
    // One that the client runs is nobody else's.
    let chat = read(
        &json!({"model": "m", "input": "x", "tools": [{"type": "tool_search", "execution": "client"}]}),
    );
    assert_eq!(refused(&chat, "anthropic").field, "tool_search");
    // And from Anthropic, where a model has the tool.
    let asked = json!({"model": "m", "max_tokens": 90, "messages": [{"role": "user", "content": "x"}], "tools": [
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
        {"name": "a", "input_schema": {"type": "object"}, "defer_loading": true}]});
    let chat =
        wire::dialect("anthropic").unwrap().read_request(asked.to_string().as_bytes()).unwrap();
    let (tools, dropped) = (write(&chat, "gpt-5.4").0["tools"].clone(), write(&chat, "gpt-5.4").1);
    assert_eq!(
        (&tools[0], &tools[1]["defer_loading"]),
        (&json!({"type": "tool_search"}), &json!(true))
    );
    assert!(dropped.is_empty(), "{dropped:?}");
    let (body, dropped) = write(&chat, "gpt-5.2");
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(dropped, ["tools.defer_loading", "tool_search_tool_regex_20251119"]);
}

#[test]
fn tools_of_this_api_only_are_refused_by_name() {
    for kind in ["file_search", "image_generation", "mcp", "computer", "shell"] {
        let chat = read(&json!({"model": "m", "input": "x", "tools": [{"type": kind}]}));
        assert_eq!(refused(&chat, "anthropic").field, kind);
        assert_eq!(write(&chat, "gpt-5.4").0["tools"], json!([{"type": kind}]));
    }
    let chat = read(&json!({"model": "m", "input": "x", "tools": [
        {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "search_context_size": "low",
            "user_location": {"type": "approximate", "country": "NO", "city": null}},
        {"type": "web_search_preview_2025_03_11"}, {"type": "code_interpreter", "container": {"type": "auto"}}]}));
    let hosted: Vec<&Hosted> = chat
        .tools
        .iter()
        .map(|tool| match tool {
            Tool::Hosted { kind, .. } => kind,
            _ => unreachable!(),
        })
        .collect();
    let terms = WebSearch {
        allowed_domains: vec!["a.example".to_owned()],
        user_location: Json::parse(r#"{"country":"NO","type":"approximate"}"#),
        context_size: Some("low".to_owned()),
        ..WebSearch::default()
    };
    assert_eq!(hosted[..2], [&Hosted::WebSearch(terms), &Hosted::WebSearch(WebSearch::default())]);
    assert_eq!(hosted[2], &Hosted::CodeExecution);
}

#[test]
fn items_of_this_api_only_are_dropped_by_name() {
    let chat = read(&json!({"model": "m", "input": [{"role": "user", "content": "x"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"role": "assistant", "phase": "final_answer", "content": [{"type": "output_text", "text": "y"}]},
        {"type": "item_reference", "id": "rs_1"},
        {"type": "mcp_approval_response", "approval_request_id": "a", "approve": true},
        {"role": "user", "content": "z"}]}));
    let target = Target { provider: "anthropic", ..target("claude-opus-5") };
    let written = dialect("anthropic").unwrap().write_request(&chat, &target).unwrap();
    for name in ["web_search_call", "phase", "item_reference", "mcp_approval_response"] {
        assert!(
            written.dropped.iter().any(|dropped| dropped == name),
            "{name}: {:?}",
            written.dropped
        );
    }
}

// Back to its own.

#[test]
fn its_own_items_are_written_as_they_came() {
    let input = json!([
        {"role": "user", "content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "gAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
            "content": [{"type": "output_text", "text": "y", "annotations": [
                {"type": "url_citation", "url": "https://e.example", "title": "T", "start_index": 0, "end_index": 1},
                {"type": "file_citation", "file_id": "file-1", "filename": "f", "index": 0}]}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "namespace": "n"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "d", "name": "signal", "input": "SOS"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "sent"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gB"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "z", "annotations": []}], "phase": "final_answer"},
        {"type": "additional_tools", "role": "developer", "tools": []},
        {"role": "user", "content": [{"type": "input_text", "text": "w", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            {"type": "input_video", "video": 1}]},
    ]);
    let tools = json!([
        {"type": "custom", "name": "signal", "format": {"type": "grammar", "syntax": "regex", "definition": "[A-Z]+"}},
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "defer_loading": true},
        {"type": "namespace", "name": "n", "tools": []},
    ]);
    let body = json!({"model": "gpt-5.6-sol", "input": input, "tools": tools, "tool_choice": {"type": "custom", "name": "signal"},
        "reasoning": {"effort": "low", "summary": "detailed", "context": "all_turns"}, "text": {"verbosity": "low", "new": 1},
        "store": true, "include": ["reasoning.encrypted_content"], "truncation": "auto", "max_tool_calls": 3,
        "safety_identifier": "s", "user": "u"});
    let (again, dropped) = write(&read(&body), "gpt-5.6-sol");
    assert_eq!((again, dropped), (body, Vec::new()));
}

/// Codex keeps the items of an answer in the order in which they end.
#[test]
fn the_state_of_a_call_comes_back_from_either_side_of_it() {
    let sealed = Some(Seal { dialect: "gemini", value: "c2ln".to_owned() });
    let call = Block::ToolUse {
        id: "c".to_owned(),
        name: "f".to_owned(),
        input: Json::empty_object(),
        seal: sealed.clone(),
    };
    let reply = Reply { blocks: vec![call], ..Reply::default() };
    let told = responses().write_reply(&reply, &Shape::default());
    let told: Value = serde_json::from_slice(&told).unwrap();
    let mut items = told["output"].as_array().unwrap().clone();
    assert_eq!(items.len(), 2);
    for _ in 0..2 {
        items.reverse();
        let chat = read(&json!({"model": "m", "input": items}));
        let seals =
            chat.turns.iter().flat_map(|turn| &turn.blocks).filter_map(|block| match block {
                Block::ToolUse { seal: Some(seal), .. } => Some(seal.clone()),
                _ => None,
            });
        assert_eq!(seals.collect::<Vec<_>>(), Vec::from_iter(sealed.clone()));
    }
}

#[test]
fn the_tools_of_a_group_are_functions_under_both_names_elsewhere() {
    let tools = json!([
        {"type": "function", "name": "load", "parameters": {"type": "object"}, "strict": false},
        {"type": "namespace", "name": "mcp_pier", "description": "The pier.", "tools": [
            {"type": "function", "name": "load", "parameters": {"type": "object"}, "strict": false, "defer_loading": true},
            {"type": "custom", "name": "signal"}]},
    ]);
    let call = json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "load", "arguments": "{}",
        "namespace": "mcp_pier"});
    let mut body = json!({"model": "gpt-5.4", "store": false, "tools": tools,
        "input": [{"role": "user", "content": "x"}, call, {"type": "function_call_output", "call_id": "c", "output": "1"}]});
    let chat = read(&body);
    for to in ["anthropic", "gemini", "deepseek"] {
        let target = Target { provider: to, ..target("m") };
        let dialect = dialect(if to == "deepseek" { "openai_chat" } else { to }).unwrap();
        let written = dialect.write_request(&chat, &target).unwrap();
        assert_eq!(written.dropped[0], "tools.namespace", "{to}");
        assert!(!written.dropped.contains(&"input.namespace".to_owned()), "{to}");
        let text = String::from_utf8(written.body).unwrap();
        // Two tools, and the call.
        assert_eq!(
            text.matches("\"mcp_pier__load\"").count(),
            2 + usize::from(to == "gemini"),
            "{text}"
        );
        assert_eq!(text.matches("\"mcp_pier__signal\"").count(), 1, "{text}");
    }
    let (again, dropped) = write(&chat, "gpt-5.4");
    assert_eq!((again, dropped), (body.clone(), Vec::new()));
    // With another provider's state, which takes the place of the group.
    let state = json!({"type": "reasoning", "summary": [], "encrypted_content": "tg1.gemini.YTI5c2JnPT0#c"});
    let mut sealed = body.clone();
    sealed["input"].as_array_mut().unwrap().insert(1, state);
    let chat = read(&sealed);
    let Some(Block::ToolUse { name, seal: Some(seal), .. }) = chat.turns[1].blocks.first() else {
        panic!()
    };
    assert_eq!((name.as_str(), seal.dialect), ("mcp_pier__load", "gemini"));
    body["input"][1].as_object_mut().unwrap().remove("id");
    assert_eq!(write(&chat, "gpt-5.4").0["input"], body["input"]);
}

#[test]
fn a_custom_tool_is_a_function_elsewhere() {
    let chat = read(
        &json!({"model": "m", "tools": [{"type": "custom", "name": "signal", "description": "Flashes.",
            "format": {"type": "text"}}], "input": [{"role": "user", "content": "x"},
        {"type": "custom_tool_call", "call_id": "d", "name": "signal", "input": "a \"b\""},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "sent"}]}),
    );
    let target = Target { provider: "anthropic", ..target("claude-opus-5") };
    let written = dialect("anthropic").unwrap().write_request(&chat, &target).unwrap();
    assert_eq!(written.dropped, ["tools.custom"]);
    let body: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(body["tools"][0]["input_schema"]["properties"]["input"]["type"], "string");
    assert_eq!(body["messages"][1]["content"][0]["input"], json!({"input": "a \"b\""}));
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], "d");
}

/// What tells messages from other items by is nothing to a tool, which another API may have given more members.
#[test]
fn a_tool_may_have_members_of_any_name() {
    let body = json!({"model": "m", "input": "x",
        "tools": [{"type": "custom", "name": "signal", "role": {"of": "lamps"}}]});
    assert_eq!(read(&body).tools.len(), 1);
    let body = json!({"model": "m", "input": [{"role": {"of": "lamps"}, "content": "x"}]});
    let refused = responses().read_request(body.to_string().as_bytes()).unwrap_err();
    assert_eq!(refused.path, "input[0].role");
}

#[test]
fn thoughts_that_lead_nowhere_are_not_sent() {
    let thoughts = json!({"type": "reasoning", "id": "rs_1", "status": null, "summary": [], "encrypted_content": "gAAA"});
    let ask = json!({"role": "user", "content": "x"});
    let (body, dropped) =
        write(&read(&json!({"model": "m", "input": [ask, thoughts, thoughts, ask]})), "gpt-5.4");
    assert_eq!(body["input"], json!([ask, ask]));
    assert_eq!(dropped, ["thinking"]);
    let said = json!({"role": "assistant", "content": "y"});
    let (body, dropped) =
        write(&read(&json!({"model": "m", "input": [ask, thoughts, said, ask]})), "gpt-5.4");
    assert_eq!((&body["input"][1]["type"], dropped.len()), (&json!("reasoning"), 0));
    assert!(body["input"][1].get("status").is_none(), "the API refuses a status of null");
}

#[test]
fn thoughts_that_the_server_has_are_not_sent_again() {
    let (body, dropped) = write(
        &read(&json!({"model": "m", "previous_response_id": "resp_1", "input": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"}]})),
        "gpt-5.4",
    );
    let kinds: Vec<&Value> =
        body["input"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["function_call", "function_call_output"]);
    assert_eq!(dropped, ["thinking"]);
}

// From other dialects.

#[test]
fn a_conversation_from_elsewhere() {
    let own = Seal {
        dialect: "openai_responses",
        value: r#"{"id":"rs_1","encrypted_content":"gAAA"}"#.to_owned(),
    };
    let foreign = Seal { dialect: "anthropic", value: "c2ln".to_owned() };
    let thinking = |seal| Block::Thinking { text: "Hm.".to_owned(), seal: Some(seal) };
    let chat = Chat {
        system: vec![
            Block::Text("You keep a lighthouse.".to_owned()),
            Block::Text("Be brief.".to_owned()),
        ],
        turns: vec![
            user("What ship?"),
            turn(
                Role::Assistant,
                vec![
                    thinking(foreign),
                    thinking(own),
                    Block::Text("Let me see.".to_owned()),
                    tool_use("call_1", "find_ship", r#"{"mast": 3}"#),
                ],
            ),
            turn(
                Role::User,
                vec![result("call_1", "The Albatross"), Block::Text("And from where?".to_owned())],
            ),
            turn(Role::System, vec![Block::Text("Hurry.".to_owned())]),
        ],
        tools: vec![function("find_ship", None)],
        tool_choice: ToolChoice::Required,
        reasoning: Some(Reasoning { effort: None, budget: Some(3_000), show: Some(true) }),
        max_tokens: Some(7),
        stream: true,
        ..Chat::default()
    };
    let (body, dropped) = write(&chat, "gpt-5.4");
    // The thoughts go without their id: the API refuses one whose message has none.
    assert_eq!(
        body,
        json!({
            "model": "gpt-5.4", "instructions": "You keep a lighthouse.\n\nBe brief.", "max_output_tokens": 16, "stream": true,
            "input": [
                {"role": "user", "content": "What ship?"},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAA"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
                {"type": "function_call", "call_id": "call_1", "name": "find_ship", "arguments": "{\"mast\": 3}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "The Albatross"},
                {"role": "user", "content": "And from where?"},
                {"role": "developer", "content": "Hurry."},
            ],
            "tools": [{"type": "function", "name": "find_ship", "strict": false,
                "parameters": {"type": "object", "properties": {"mast": {"type": "integer"}}}}],
            "tool_choice": "required", "reasoning": {"effort": "medium", "summary": "auto"},
            "store": false, "include": ["reasoning.encrypted_content"],
        })
    );
    assert_eq!(
        dropped,
        ["thinking", "reasoning: 3000 tokens -> medium", "max_output_tokens: 7 -> 16"]
    );
}

#[test]
fn a_schema_that_is_not_strict_here_is_not_called_so() {
    let loose =
        r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#;
    let format = |strict| Format::JsonSchema {
        name: None,
        description: None,
        schema: Json::parse(loose).unwrap(),
        strict,
    };
    let mut chat =
        Chat { turns: vec![user("x")], tools: vec![function("f", Some(true))], ..Chat::default() };
    chat.output.format = format(Some(true));
    let (body, dropped) = write(&chat, "gpt-5.4");
    assert_eq!(
        (&body["text"]["format"]["strict"], &body["text"]["format"]["name"]),
        (&json!(false), &json!("response"))
    );
    assert_eq!((&body["tools"][0]["strict"], dropped), (&json!(false), vec!["strict".to_owned()]));
    chat.output.format = format(None);
    chat.tools.clear();
    let (body, dropped) = write(&chat, "gpt-5.4");
    assert!(body["text"]["format"].get("strict").is_none() && dropped.is_empty());
}

#[test]
fn older_models_neither_reason_nor_keep_state() {
    let chat = Chat {
        turns: vec![user("x")],
        reasoning: Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() }),
        ..Chat::default()
    };
    let (body, dropped) = write(&chat, "gpt-4.1");
    assert!(body.get("include").is_none() && body.get("reasoning").is_none());
    assert_eq!((&body["store"], dropped), (&json!(false), vec!["reasoning".to_owned()]));
    let quiet = Reasoning { effort: Some(Effort::None), ..Reasoning::default() };
    let quiet = Chat { reasoning: Some(quiet), ..chat };
    assert!(write(&quiet, "gpt-4.1").1.is_empty());
    assert_eq!(write(&quiet, "gpt-6-astra").1, ["reasoning.effort: none -> low"]);
}

#[test]
fn sampling_is_carried_or_dropped() {
    let mut chat = Chat { turns: vec![user("x")], ..Chat::default() };
    chat.sampling.temperature = Some(0.5);
    chat.sampling.top_p = Some(0.9);
    chat.sampling.top_k = Some(3.0);
    chat.sampling.presence_penalty = Some(1.0);
    chat.sampling.frequency_penalty = Some(1.0);
    chat.sampling.seed = Some(7);
    let never = ["top_k", "presence_penalty", "frequency_penalty", "seed"];
    let (body, dropped) = write(&chat, "gpt-4o");
    assert_eq!((&body["temperature"], &body["top_p"]), (&json!(0.5), &json!(0.9)));
    assert_eq!(dropped, never);
    let (body, dropped) = write(&chat, "gpt-6.1-sol");
    assert!(body.get("temperature").is_none() && body.get("top_p").is_none());
    assert_eq!(dropped[..2], ["temperature", "top_p"]);
    chat.sampling.stop.push("THE END".to_owned());
    // As Chat Completions of models that reason has it.
    for model in ["gpt-4o", "gpt-6.1-sol"] {
        assert!(write(&chat, model).1.contains(&"stop".to_owned()), "{model}");
    }
}

#[test]
fn what_chat_completions_shares_goes_along() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "metadata": {"a": "b"},
        "prompt_cache_key": "k", "logit_bias": {"1": 2}, "prediction": {"type": "content"}, "safety_identifier": "s"});
    let chat = dialect("openai_chat").unwrap().read_request(body.to_string().as_bytes()).unwrap();
    let (written, dropped) = write(&chat, "gpt-4o");
    assert_eq!(
        (&written["metadata"]["a"], &written["prompt_cache_key"]),
        (&json!("b"), &json!("k"))
    );
    assert_eq!(written["safety_identifier"], "s");
    assert_eq!(dropped, ["logit_bias", "prediction"]);
    for (field, value) in [("n", json!(2)), ("logprobs", json!(true))] {
        let mut body = body.clone();
        body[field] = value;
        let chat =
            dialect("openai_chat").unwrap().read_request(body.to_string().as_bytes()).unwrap();
        assert_eq!(responses().write_request(&chat, &target("gpt-4o")).unwrap_err().field, field);
    }
}

#[test]
fn media_is_written_or_refused() {
    let media = |kind, source| Block::Media(Media::new(kind, source, None));
    let mut pdf = Media::new(
        MediaKind::Document,
        Source::Base64("JVBE".to_owned()),
        Some("application/pdf".to_owned()),
    );
    let url = |at: &str| Source::Url(at.to_owned());
    let file = |dialect| Source::File { dialect, id: "file-1".to_owned() };
    let blocks = vec![
        media(MediaKind::Image, url("https://e.example/a.png")),
        Block::Media(pdf.clone()),
        media(MediaKind::Document, url("https://e.example/a.pdf")),
        media(MediaKind::Image, file("openai_chat")),
        media(MediaKind::Document, Source::Text("plain".to_owned())),
    ];
    let parts = json!([
        {"type": "input_image", "image_url": "https://e.example/a.png"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBE", "filename": "file.pdf"},
        {"type": "input_file", "file_url": "https://e.example/a.pdf"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_text", "text": "plain"},
    ]);
    let of_tool =
        Block::ToolResult { id: "c".to_owned(), name: None, blocks: blocks.clone(), failed: true };
    let turns = vec![
        turn(Role::User, blocks),
        turn(Role::Assistant, vec![tool_use("c", "f", "{}")]),
        turn(Role::User, vec![of_tool]),
    ];
    let (body, dropped) = write(&Chat { turns, ..Chat::default() }, "gpt-5.4");
    assert_eq!((&body["input"][0]["content"], &body["input"][2]["output"]), (&parts, &parts));
    assert_eq!(dropped, ["is_error"]);
    for (kind, source, field) in [
        (MediaKind::Audio, Source::Base64("UklG".to_owned()), "audio"),
        (MediaKind::Video, url("https://e.example/a.mp4"), "video"),
        (MediaKind::Document, file("anthropic"), "document"),
    ] {
        let chat =
            Chat { turns: vec![turn(Role::User, vec![media(kind, source)])], ..Chat::default() };
        assert_eq!(responses().write_request(&chat, &target("gpt-5.4")).unwrap_err().field, field);
    }
    // DeepSeek's models see nothing but for one.
    let seen = vec![media(MediaKind::Image, url("https://e.example/a.png"))];
    let chat = Chat { turns: vec![turn(Role::User, seen)], ..Chat::default() };
    for (model, sees) in [("deepseek-v4-flash", false), ("deepseek-v4-flash-vision-exp", true)] {
        let target = Target { provider: "deepseek", ..target(model) };
        assert_eq!(responses().write_request(&chat, &target).is_ok(), sees, "{model}");
    }
    pdf.name = Some("log.pdf".to_owned());
    let chat = Chat { turns: vec![turn(Role::User, vec![Block::Media(pdf)])], ..Chat::default() };
    assert_eq!(write(&chat, "gpt-5.4").0["input"][0]["content"][0]["filename"], "log.pdf");
}

#[test]
fn cache_markers_go_where_they_are_taken() {
    let marked = |text: &str, life| vec![Block::Text(text.to_owned()), Block::CachePoint(life)];
    let mut chat = Chat {
        system: marked("S", CacheLife::Long),
        turns: vec![turn(Role::User, marked("a", CacheLife::Short))],
        ..Chat::default()
    };
    let (body, dropped) = write(&chat, "gpt-5.6-sol");
    assert!(body.get("instructions").is_none() && dropped.is_empty());
    assert_eq!(body["input"][0]["role"], "developer");
    assert_eq!(
        body["input"][0]["content"][0]["prompt_cache_breakpoint"],
        json!({"mode": "explicit", "ttl": "12h"})
    );
    assert_eq!(
        body["input"][1]["content"][0]["prompt_cache_breakpoint"],
        json!({"mode": "explicit"})
    );
    let (body, dropped) = write(&chat, "gpt-5.4");
    assert_eq!((&body["instructions"], &body["input"][0]["content"]), (&json!("S"), &json!("a")));
    assert_eq!(dropped, ["cache_control"]);
    // The last four count.
    chat.turns.extend((0..4).map(|_| turn(Role::User, marked("b", CacheLife::Short))));
    let (body, dropped) = write(&chat, "gpt-6.1-sol");
    let kept = |item: &&Value| item["content"][0].get("prompt_cache_breakpoint").is_some();
    let input = body["input"].as_array().unwrap();
    assert_eq!((input.iter().filter(kept).count(), input.len()), (4, 6));
    assert!(!kept(&&input[0]) && !kept(&&input[1]) && dropped == ["cache_control"]);
}

#[test]
fn hosted_tools_of_others() {
    let native =
        |dialect| Native { dialect, field: "x".to_owned(), raw: Json::parse("{}").unwrap() };
    let hosted = |kind, dialect| Tool::Hosted { kind, native: native(dialect) };
    let terms = WebSearch {
        max_uses: Some(3),
        allowed_domains: vec!["a.example".to_owned()],
        blocked_domains: vec!["b.example".to_owned()],
        context_size: Some("high".to_owned()),
        ..WebSearch::default()
    };
    let mut chat = Chat {
        turns: vec![user("x")],
        tools: vec![
            hosted(Hosted::WebSearch(terms), "anthropic"),
            hosted(Hosted::CodeExecution, "gemini"),
            hosted(Hosted::WebFetch, "gemini"),
        ],
        ..Chat::default()
    };
    let (body, dropped) = write(&chat, "gpt-5.4");
    assert_eq!(
        body["tools"],
        json!([
            {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "search_context_size": "high"},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ])
    );
    assert_eq!(
        dropped,
        ["web_search.max_uses", "web_search.blocked_domains", "web_fetch -> web_search"]
    );
    chat.tools = vec![hosted(Hosted::WebFetch, "anthropic")];
    assert_eq!(write(&chat, "gpt-5.4").0["tools"], json!([{"type": "web_search"}]));
    chat.tools = vec![Tool::Native(Native { field: "memory".to_owned(), ..native("anthropic") })];
    assert_eq!(responses().write_request(&chat, &target("gpt-5.4")).unwrap_err().field, "memory");
}

#[test]
fn choices_of_tools() {
    let mut chat =
        Chat { turns: vec![user("x")], tools: vec![function("f", Some(false))], ..Chat::default() };
    for (choice, expected) in [
        (ToolChoice::Unsaid, Value::Null),
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::One("f".to_owned()), json!({"type": "function", "name": "f"})),
        (
            ToolChoice::Among { names: vec!["f".to_owned()], required: true },
            json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}),
        ),
    ] {
        chat.tool_choice = choice.clone();
        let (body, _) = write(&chat, "gpt-5.4");
        assert_eq!(body["tool_choice"], expected);
        assert_eq!(read(&body).tool_choice, choice);
        assert_eq!(body["tools"][0]["strict"], false);
    }
    // Without tools there is nothing to choose, and the API refuses it.
    let bare = Chat { tools: Vec::new(), tool_choice: ToolChoice::Required, ..chat };
    assert!(write(&bare, "gpt-5.4").0.get("tool_choice").is_none());
    let own = json!({"model": "m", "input": "x", "tools": [{"type": "mcp"}], "tool_choice": {"type": "mcp", "server_label": "s"}});
    assert_eq!(write(&read(&own), "gpt-5.4").0["tool_choice"], own["tool_choice"]);
}

#[test]
fn long_names_are_shortened_everywhere_alike() {
    let long = format!("{}.tail", "deep_".repeat(20));
    let chat = Chat {
        turns: vec![
            user("x"),
            turn(Role::Assistant, vec![tool_use(&"c".repeat(90), &long, "{}")]),
            turn(Role::User, vec![result(&"c".repeat(90), "1")]),
        ],
        tools: vec![function(&long, None), function("short", None)],
        tool_choice: ToolChoice::One(long.clone()),
        ..Chat::default()
    };
    let Written { body, renamed, .. } =
        responses().write_request(&chat, &target("gpt-5.4")).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let [(theirs, client)] = &renamed[..] else { unreachable!("{renamed:?}") };
    assert_eq!(*client, long);
    assert!(theirs.len() <= 64 && theirs.starts_with("deep_deep_"));
    for name in [&body["tools"][0]["name"], &body["tool_choice"]["name"], &body["input"][1]["name"]]
    {
        assert_eq!(name, theirs);
    }
    assert_eq!(body["input"][1]["call_id"], body["input"][2]["call_id"]);
    assert!(body["input"][1]["call_id"].as_str().unwrap().len() <= 64);
}

#[test]
fn an_operators_word_alone_is_an_input() {
    let chat = Chat { system: vec![Block::Text("Greet.".to_owned())], ..Chat::default() };
    let (body, _) = write(&chat, "gpt-5.4");
    assert_eq!(body["input"], json!([{"role": "developer", "content": "Greet."}]));
    assert!(body.get("instructions").is_none());
}

#[test]
fn deepseek_speaks_it_with_its_own_limits() {
    let target = Target { provider: "deepseek", ..target("deepseek-v4-flash") };
    let chat = Chat {
        system: vec![Block::Text("S".to_owned())],
        turns: vec![
            user("x"),
            turn(
                Role::Assistant,
                vec![
                    Block::Thinking { text: "Hm.".to_owned(), seal: None },
                    tool_use("c", "f", "{}"),
                ],
            ),
            turn(Role::User, vec![result("c", "1")]),
        ],
        user: Some("u".to_owned()),
        ..Chat::default()
    };
    let (body, dropped) = write_for(&chat, &target);
    assert_eq!(
        body["input"][1],
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]})
    );
    assert!(dropped.is_empty() && body.get("include").is_none());
    assert_eq!((&body["user"], body.get("safety_identifier")), (&json!("u"), None));
    let hosted = read(&json!({"model": "m", "input": "x", "tools": [{"type": "file_search"}]}));
    assert_eq!(responses().write_request(&hosted, &target).unwrap_err().field, "file_search");
    let custom =
        read(&json!({"model": "m", "input": "x", "tools": [{"type": "custom", "name": "s"}]}));
    let (body, dropped) = write_for(&custom, &target);
    assert_eq!(
        (&body["tools"][0]["type"], dropped),
        (&json!("function"), vec!["tools.custom".to_owned()])
    );
}

#[test]
fn state_of_other_providers_passes_through_its_clients() {
    // What a client of this dialect was given for an answer of Gemini: sealed thoughts, and a sealed call.
    let seal = |dialect, value: &str| Some(Seal { dialect, value: value.to_owned() });
    let blocks = vec![
        Block::Thinking { text: "Hm.".to_owned(), seal: seal("anthropic", "sig+/=") },
        Block::ToolUse {
            id: "c".to_owned(),
            name: "f".to_owned(),
            input: Json::empty_object(),
            seal: seal("gemini", "EpM="),
        },
        Block::Text("so".to_owned()),
    ];
    let reply = wire::Reply { blocks: blocks.clone(), ..wire::Reply::default() };
    let answer: Value =
        serde_json::from_slice(&responses().write_reply(&reply, &wire::Shape::default())).unwrap();
    let mut input = vec![json!({"role": "user", "content": "x"})];
    input.extend(answer["output"].as_array().unwrap().iter().cloned());
    let chat = read(&json!({"model": "m", "input": input}));
    let again: Vec<Block> = chat.turns[1..].iter().flat_map(|turn| turn.blocks.clone()).collect();
    let spoken: Vec<Block> = again.into_iter().filter(|b| !matches!(b, Block::Native(_))).collect();
    assert_eq!(spoken, blocks);
    // None of it goes to OpenAI.
    let (body, dropped) = write(&chat, "gpt-5.4");
    assert!(!body.to_string().contains("tg1.") && !body.to_string().contains("Hm."));
    assert_eq!(
        dropped,
        ["thinking", "thoughtSignature", "prefill: begun answer -> earlier answer"]
    );
}

// Properties.

fn texts() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 \"\\\\\n{}é🦀]{0,20}".prop_map(|text| format!("x{text}"))
}

fn assistant_block() -> impl Strategy<Value = Block> {
    prop_oneof![
        texts().prop_map(Block::Text),
        texts().prop_map(Block::Refusal),
        (texts(), any::<u8>()).prop_map(|(text, n)| Block::Thinking {
            text,
            seal: Some(Seal {
                dialect: "openai_responses",
                value: format!("{{\"id\":\"rs_{n}\",\"encrypted_content\":\"gAAA\"}}"),
            }),
        }),
        (texts(), any::<u8>()).prop_map(|(text, n)| tool_use(
            &format!("call_{n}"),
            "tool",
            &json!({ "a": text }).to_string()
        )),
    ]
}

fn chats() -> impl Strategy<Value = Chat> {
    let round = (texts(), proptest::collection::vec(assistant_block(), 1..5), texts()).prop_map(
        |(ask, blocks, got)| {
            let results: Vec<Block> = blocks
                .iter()
                .filter_map(|block| match block {
                    Block::ToolUse { id, .. } => Some(result(id, &got)),
                    _ => None,
                })
                .collect();
            let mut turns = vec![user(&ask), turn(Role::Assistant, blocks)];
            if !results.is_empty() {
                turns.push(turn(Role::User, results));
            }
            turns
        },
    );
    (proptest::option::of(texts()), proptest::collection::vec(round, 0..3), texts(), any::<bool>())
        .prop_map(|(system, rounds, last, strict)| Chat {
            system: system.into_iter().map(Block::Text).collect(),
            turns: rounds.into_iter().flatten().chain(std::iter::once(user(&last))).collect(),
            tools: vec![function("tool", Some(strict))],
            max_tokens: Some(500),
            ..Chat::default()
        })
}

proptest! {
    #[test]
    fn a_written_request_is_a_fixed_point(chat in chats()) {
        let first = responses().write_request(&chat, &target("gpt-5.4")).unwrap();
        let read = responses().read_request(&first.body).unwrap();
        let second = responses().write_request(&read, &target("gpt-5.4")).unwrap();
        prop_assert_eq!(String::from_utf8(first.body).unwrap(), String::from_utf8(second.body.clone()).unwrap());
        prop_assert_eq!(read, responses().read_request(&second.body).unwrap());
    }

    #[test]
    fn nothing_panics_on_broken_json(at in 0_usize..4_000, with in "[\\[\\]{}\",:0-9a-z-]{0,3}") {
        let whole = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/fixtures/openai/responses_search.sse")).unwrap();
        let answer = whole.rsplit_once("\"response\":").unwrap().1.trim_end().trim_end_matches('}').to_owned() + "}";
        let request = json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "b"}], "encrypted_content": "tg1.gemini.YQ#c"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}], "tools": [{"type": "custom", "name": "f"}]}).to_string();
        for text in [answer, request] {
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let broken = [&text.as_bytes()[..at], with.as_bytes(), &text.as_bytes()[at..]].concat();
            if let Ok(chat) = responses().read_request(&broken) {
                let _ = responses().write_request(&chat, &target("gpt-5.4"));
            }
            if let Ok(reply) = responses().read_reply(&broken) {
                responses().write_reply(&reply, &wire::Shape::default());
            }
            responses().echo(&broken);
            let _ = wire::openai_responses::read_count(&broken);
        }
    }
}

#[test]
fn citations_on_replay() {
    let cite = |span| {
        Block::Citation(Citation {
            url: "https://e.example".to_owned(),
            span,
            ..Citation::default()
        })
    };
    let blocks = vec![Block::Text("Höhe".to_owned()), cite(None), cite(Some((1, 2)))];
    let chat = Chat { turns: vec![user("x"), turn(Role::Assistant, blocks)], ..Chat::default() };
    let (body, _) = write(&chat, "gpt-5.4");
    let annotations = &body["input"][1]["content"][0]["annotations"];
    assert_eq!(
        (&annotations[0]["start_index"], &annotations[0]["end_index"]),
        (&json!(0), &json!(4))
    );
    assert_eq!(
        (&annotations[1]["start_index"], &annotations[1]["title"]),
        (&json!(1), &json!("https://e.example"))
    );
}

#[test]
fn calls_and_results_belong_together() {
    let call = |id: &str| turn(Role::Assistant, vec![tool_use(id, "f", "{}")]);
    let done = |id: &str| turn(Role::User, vec![result(id, "x")]);
    let written = |turns: Vec<Turn>| {
        let chat = Chat { turns, ..Chat::default() };
        responses().write_request(&chat, &target("gpt-5.2")).map_err(|refusal| refusal.to_string())
    };
    for turns in [
        vec![user("a"), call("c"), done("c"), user("b")],
        // The model went on before the first was done; ids begin anew in each round.
        vec![user("a"), call("c"), call("d"), done("d"), done("c"), call("c"), done("c")],
        // Somebody else is to add the result.
        vec![user("a"), call("c")],
    ] {
        written(turns).unwrap();
    }
    for (turns, told) in [
        (vec![user("a"), call("c"), user("b")], "messages: the call c has no result"),
        (vec![user("a"), done("c"), call("c")], "messages: the result c has no call before it"),
        (
            vec![user("a"), call("c"), done("c"), done("c")],
            "messages: the result c has no call before it",
        ),
    ] {
        assert_eq!(written(turns).unwrap_err(), told);
    }
}

#[test]
fn results_of_calls_that_the_server_remembers_go_on() {
    let output = r#"{"type":"function_call_output","call_id":"c","output":"x"}"#;
    for (more, before) in [
        (r#""previous_response_id":"resp_1","#, ""),
        ("", r#"{"type":"item_reference","id":"fc_1"},"#),
        ("", r#"{"type":"tool_search_call","call_id":"c","execution":"client","arguments":{}},"#),
        (
            "",
            r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}","async":true},{"role":"user","content":"y"},"#,
        ),
    ] {
        let body = format!(
            r#"{{"model":"m",{more}"input":[{before}{output},{{"role":"user","content":"y"}}]}}"#
        );
        let chat = responses().read_request(body.as_bytes()).unwrap();
        responses().write_request(&chat, &target("gpt-5.2")).unwrap();
    }
}

#[test]
fn a_tool_with_many_members_is_kept_once() {
    let mut tool =
        json!({"type": "function", "name": "f", "parameters": {}, "defer_loading": true});
    for i in 0..500 {
        tool[format!("new_{i}")] = i.into();
    }
    let search = json!({"type": "tool_search"});
    let chat = read(&json!({"model": "m", "input": "x", "store": false, "tools": [tool, search]}));
    let kept: usize = chat.native.iter().map(|native| native.raw.get().len()).sum();
    assert!(kept < 2 * tool.to_string().len(), "{kept}");
    assert_eq!(write(&chat, "gpt-5.4").0["tools"][0], tool);
    let Written { body, dropped, .. } = dialect("anthropic")
        .unwrap()
        .write_request(&chat, &Target { provider: "anthropic", ..target("claude-opus-5") })
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["tools"][0]["defer_loading"], true);
    assert_eq!(dropped.len(), 500);
}

/// What becomes of a tool that runs at OpenAI.
fn hosted_at(to: &str, model: &str, tool: &Value) -> Result<(Value, Vec<String>), String> {
    let chat = read(&json!({"model": "m", "input": "x", "store": false, "tools": [tool]}));
    let target = Target { provider: to, model, max_output_tokens: None, reasoning: false };
    let written = dialect(to).unwrap().write_request(&chat, &target);
    let Written { body, dropped, .. } = written.map_err(|refusal| refusal.to_string())?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    Ok((body["tools"][0].clone(), dropped))
}

#[test]
fn terms_of_hosted_tools_are_carried_or_named() {
    let place = json!({"type": "approximate", "city": "Utrecht"});
    let search = json!({
        "type": "web_search", "filters": {"allowed_domains": ["a.example"], "blocked_domains": ["b.example"]},
        "search_context_size": "low", "user_location": place, "external_web_access": false,
    });
    let (tool, named) = hosted_at("anthropic", "claude-opus-5", &search).unwrap();
    assert_eq!((&tool["allowed_domains"], &tool["user_location"]), (&json!(["a.example"]), &place));
    let own = ["web_search.external_web_access", "web_search.filters.blocked_domains"];
    assert_eq!(named, [own[0], own[1], "web_search.search_context_size"]);
    let (_, named) = hosted_at("gemini", "gemini-3-flash-preview", &search).unwrap();
    let known = ["allowed_domains", "user_location", "search_context_size"];
    assert_eq!(named, [own.as_slice(), known.as_slice()].concat());
    let usual = json!({"type": "web_search", "external_web_access": true, "user_location": null});
    assert_eq!(hosted_at("anthropic", "claude-opus-5", &usual).unwrap().1.len(), 0);

    let run = |container: Value| {
        let tool = json!({"type": "code_interpreter", "container": container});
        hosted_at("anthropic", "claude-opus-5", &tool).map(|(_, named)| named)
    };
    assert_eq!(run(json!({"type": "auto", "file_ids": []})), Ok(vec![]));
    let named = vec!["code_interpreter.container.memory_limit".to_owned()];
    assert_eq!(run(json!({"type": "auto", "memory_limit": "4g"})), Ok(named));
    for (container, field) in [
        (json!("cntr_1"), "code_interpreter.container: is known"),
        (
            json!({"type": "auto", "file_ids": ["file-1"]}),
            "code_interpreter.container.file_ids: is known",
        ),
    ] {
        let told = run(container).unwrap_err();
        assert!(told.starts_with(field), "{told}");
    }
}
