//! Requests of clients, and requests to providers.

use serde_json::{Value, json};
use wire::chat::{
    Block, CacheLife, Effort, Hosted, Media, MediaKind, Native, Role, Source, Tool, ToolChoice,
    Turn, WebSearch,
};
use wire::openai_chat::{EXTENSION_FIELDS, GATEWAY_FIELDS};
use wire::{Chat, Json, Reply, Shape, Target, Unsupported, Written};

use super::*;

pub(crate) fn target<'a>(provider: &'a str, model: &'a str) -> Target<'a> {
    Target { provider, model, max_output_tokens: None, reasoning: false }
}

pub(crate) const OPENAI: Target<'_> =
    Target { provider: "openai", model: "gpt-4o", max_output_tokens: None, reasoning: false };
pub(crate) const DEEPSEEK: Target<'_> = Target {
    provider: "deepseek",
    model: "deepseek-v4-pro",
    max_output_tokens: None,
    reasoning: true,
};
pub(crate) const ANY: Target<'_> =
    Target { provider: "elsewhere", model: "m", max_output_tokens: None, reasoning: false };

pub(crate) fn request(body: &Value) -> Chat {
    chat().read_request(body.to_string().as_bytes()).unwrap()
}

/// A request with one user message and these members.
pub(crate) fn with(members: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "ahoy"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

pub(crate) fn try_write(
    chat_: &Chat,
    target: &Target<'_>,
) -> Result<(Value, Written), Unsupported> {
    let written = chat().write_request(chat_, target)?;
    Ok((serde_json::from_slice(&written.body).unwrap(), written))
}

pub(crate) fn write(chat: &Chat, target: &Target<'_>) -> (Value, Vec<String>) {
    let (body, written) = try_write(chat, target).unwrap();
    (body, written.dropped)
}

pub(crate) fn user(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::User, blocks, name: None }
}

pub(crate) fn assistant(blocks: Vec<Block>) -> Turn {
    Turn { role: Role::Assistant, blocks, name: None }
}

pub(crate) fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

pub(crate) fn call(id: &str, name: &str) -> Block {
    let input = Json::empty_object();
    Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input, seal: None }
}

pub(crate) fn result(id: &str, blocks: Vec<Block>) -> Block {
    Block::ToolResult { id: id.to_owned(), name: None, blocks, failed: false }
}

pub(crate) fn picture() -> Block {
    Block::Media(Media::new(
        MediaKind::Image,
        Source::Base64("AAAA".to_owned()),
        Some("image/png".to_owned()),
    ))
}

#[test]
fn what_is_the_gateways_business_reaches_nobody() {
    let mut members = serde_json::Map::new();
    for field in GATEWAY_FIELDS {
        let value = match field {
            "usage" => json!({"include": true}),
            _ => json!({"a": "b"}),
        };
        members.insert(field.to_owned(), value);
    }
    let chat = request(&with(&Value::Object(members)));
    assert_eq!(chat.native, []);
    assert!(chat.include_usage, "the usage is OpenRouter's way to ask for it");
    for target in [OPENAI, DEEPSEEK, ANY] {
        let (body, dropped) = write(&chat, &target);
        assert!(dropped.is_empty(), "{dropped:?}");
        let told = GATEWAY_FIELDS.iter().filter(|field| body.get(**field).is_some());
        assert_eq!(told.count(), 0, "{}", target.provider);
    }
}

#[test]
fn the_end_user_is_named_as_each_provider_calls_it() {
    let chat = request(&with(&json!({"user": "customer"})));
    assert_eq!(write(&chat, &OPENAI).0["safety_identifier"], "customer");
    assert_eq!(write(&chat, &DEEPSEEK).0["user_id"], "customer");
    assert_eq!(write(&chat, &ANY).0["user"], "customer");
}

#[test]
fn labels_go_with_answers_that_are_kept() {
    let kept = request(&with(&json!({"store": true, "metadata": {"a": "b"}})));
    assert_eq!(write(&kept, &OPENAI).0["metadata"], json!({"a": "b"}));
    let passing = request(&with(&json!({"store": false, "metadata": {"a": "b"}})));
    let (body, dropped) = write(&passing, &OPENAI);
    assert_eq!((body.get("metadata"), dropped), (None, vec!["metadata".to_owned()]));
}

#[test]
fn the_web_plugin_is_a_search() {
    let web = json!({"id": "web", "include_domains": ["a.example"], "max_results": 3});
    let chat = request(&with(&json!({"plugins": [{"id": "file-parser"}, web]})));
    let written = |name: &str, provider| {
        let target = Target { provider, model: "m", max_output_tokens: None, reasoning: false };
        let written = wire::dialect(name).unwrap().write_request(&chat, &target).unwrap();
        let body: Value = serde_json::from_slice(&written.body).unwrap();
        (body["tools"][0].clone(), written.dropped)
    };
    let (tool, dropped) = written("openai_responses", "openai");
    assert_eq!(tool["filters"]["allowed_domains"], json!(["a.example"]));
    assert_eq!(dropped, ["plugins", "plugins.max_results"]);
    assert_eq!(written("anthropic", "anthropic").0["allowed_domains"], json!(["a.example"]));
    assert_eq!(written("gemini", "gemini").0, json!({"googleSearch": {}}));
    assert_eq!(try_write(&chat, &DEEPSEEK).unwrap_err().field, "plugins");
    let off = request(&with(&json!({"plugins": [{"id": "web", "enabled": false}]})));
    assert_eq!(write(&off, &DEEPSEEK).1, ["plugins"]);
}

#[test]
fn openai_gets_none_of_the_extensions_of_others() {
    let body = with(&json!({
        "min_p": 0.1, "top_a": 0.2, "repetition_penalty": 1.1, "top_k": 5, "image_config": {}, "preset": "p",
        "transforms": ["middle-out"], "plugins": [{"id": "file-parser"}], "structured_outputs": true,
        "reasoning": {"effort": "high"}, "logit_bias": {"1": 2}, "brand_new": 1,
    }));
    let (body, dropped) = write(&request(&body), &OPENAI);
    assert!(EXTENSION_FIELDS.iter().all(|field| body.get(*field).is_none()), "{body}");
    assert_eq!((&body["logit_bias"], &body["brand_new"]), (&json!({"1": 2}), &json!(1)));
    for name in [
        "min_p",
        "top_a",
        "repetition_penalty",
        "top_k",
        "preset",
        "reasoning",
        "transforms",
        "plugins",
        "structured_outputs",
    ] {
        assert!(dropped.iter().any(|dropped| dropped == name), "{name}: {dropped:?}");
    }
    let chat =
        request(&with(&json!({"min_p": 0.1, "reasoning": {"max_tokens": 2000, "exclude": true}})));
    let (body, dropped) = write(&chat, &ANY);
    assert_eq!(body["min_p"], 0.1);
    assert_eq!(body["reasoning"], json!({"max_tokens": 2000, "exclude": true}));
    assert!(dropped.is_empty());
}

#[test]
fn ways_to_ask_for_thoughts() {
    let asked = |members: Value| request(&with(&members)).reasoning;
    let effort = |members: Value| asked(members).unwrap().effort;
    assert_eq!(asked(json!({})), None);
    assert_eq!(asked(json!({"include_reasoning": false})), None);
    assert_eq!(asked(json!({"include_reasoning": true})).unwrap().show, Some(true));
    assert_eq!(asked(json!({"reasoning": {"exclude": true}})).unwrap().show, Some(false));
    assert_eq!(effort(json!({"reasoning": {"enabled": false}})), Some(Effort::None));
    assert_eq!(effort(json!({"reasoning": {"effort": "xhigh"}})), Some(Effort::Xhigh));
    assert_eq!(effort(json!({"thinking": {"type": "disabled"}})), Some(Effort::None));
    let same = json!({"reasoning": {"effort": "low"}, "reasoning_effort": "low"});
    assert_eq!(effort(same), Some(Effort::Low));
    let differ = with(&json!({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}));
    let error = chat().read_request(differ.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.path, "reasoning_effort");
}

#[test]
fn levels_of_thinking_that_a_model_does_not_know() {
    for (provider, model, asked, sent) in [
        ("openai", "gpt-5", "none", "minimal"),
        ("openai", "gpt-5.1", "minimal", "low"),
        ("openai", "gpt-5.2", "max", "xhigh"),
        ("openai", "gpt-6-astra", "none", "low"),
        ("openai", "gpt-6-sol", "none", "none"),
        ("openai", "o3", "xhigh", "high"),
        ("deepseek", "deepseek-v4-pro", "medium", "medium"),
        ("deepseek", "deepseek-v4-pro", "xhigh", "xhigh"),
        ("deepseek", "deepseek-v4-pro", "minimal", "low"),
        ("elsewhere", "m", "max", "max"),
    ] {
        let chat = request(&with(&json!({"reasoning_effort": asked})));
        let (body, dropped) = write(&chat, &target(provider, model));
        assert_eq!(body["reasoning_effort"], sent, "{model} {asked}");
        let told = dropped == [format!("reasoning: {asked} -> {sent}")];
        assert_eq!(told, asked != sent, "{dropped:?}");
    }
    let quiet = request(&with(&json!({"reasoning_effort": "none"})));
    assert_eq!(write(&quiet, &DEEPSEEK).0["thinking"], json!({"type": "disabled"}));
    assert_eq!(write(&quiet, &OPENAI), (write(&request(&with(&json!({}))), &OPENAI).0, vec![]));
}

#[test]
fn limits_have_the_name_of_the_model() {
    let chat = request(&with(&json!({"max_tokens": 100, "stop": ["a", "b", "c", "d", "e"]})));
    let (body, dropped) = write(&chat, &target("openai", "o4-mini"));
    assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(100), None));
    assert_eq!((body.get("stop"), dropped), (None, vec!["stop".to_owned()]));
    let (body, dropped) = write(&chat, &OPENAI);
    assert_eq!(body["stop"], json!(["a", "b", "c", "d"]));
    assert_eq!(dropped, ["stop: 5 -> 4"]);
    let (body, _) = write(&chat, &DEEPSEEK);
    assert_eq!((&body["max_tokens"], &body["stop"][4]), (&json!(100), &json!("e")));
}

#[test]
fn several_answers_are_openais_alone() {
    let chat = request(&with(&json!({"n": 2})));
    assert_eq!(write(&chat, &OPENAI).0["n"], 2);
    assert_eq!(try_write(&chat, &DEEPSEEK).unwrap_err().field, "n");
    for other in ["anthropic", "gemini"] {
        let other = dialect(other).unwrap();
        assert_eq!(other.write_request(&chat, &target("x", "y")).unwrap_err().field, "n");
    }
    let one = request(&with(&json!({"n": 1, "logprobs": false, "modalities": ["text"]})));
    assert_eq!(write(&one, &DEEPSEEK).1, [""; 0]);
    let sound = request(&with(&json!({"modalities": ["text", "audio"], "audio": {"voice": "x"}})));
    assert!(try_write(&sound, &DEEPSEEK).is_err());
}

#[test]
fn deepseek_takes_functions_and_strings() {
    let chat = request(&json!({"model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        "tools": [{"type": "function", "function": {"name": "f", "strict": true}},
                  {"type": "function", "function": {"name": "g"}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required",
            "tools": [{"type": "function", "function": {"name": "g"}}]}},
        "parallel_tool_calls": true, "user": "a b/c"}));
    let (body, dropped) = write(&chat, &DEEPSEEK);
    assert_eq!(body["messages"][0]["content"], "a\n\nb");
    assert_eq!(body["tools"], json!([{"type": "function", "function": {"name": "g"}}]));
    assert_eq!((&body["tool_choice"], &body["user_id"]), (&json!("required"), &json!("a_b_c")));
    assert_eq!(dropped, ["tool_choice.allowed_tools", "user: name -> plain name"]);
    let custom = request(&with(&json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]})));
    let (body, dropped) = write(&custom, &DEEPSEEK);
    assert_eq!(body["tools"][0]["function"]["parameters"]["required"], json!(["input"]));
    assert_eq!(dropped, ["tools.custom"]);
}

#[test]
fn names_and_ids_that_openai_refuses_are_changed_everywhere() {
    let long = format!("mcp.server/{}", "x".repeat(90));
    let id = format!("toolu_{}", "y".repeat(60));
    let chat = Chat {
        turns: vec![
            user(vec![text("ahoy")]),
            assistant(vec![call(&id, &long)]),
            user(vec![result(&id, vec![text("x")])]),
        ],
        tools: vec![Tool::Function {
            name: long.clone(),
            description: None,
            schema: None,
            strict: None,
            cache: None,
        }],
        tool_choice: ToolChoice::One(long.clone()),
        ..Chat::default()
    };
    let (body, written) = try_write(&chat, &OPENAI).unwrap();
    let [(name, own)] = written.renamed.as_slice() else { panic!("{:?}", written.renamed) };
    assert_eq!(*own, long);
    assert!(name.len() <= 64);
    assert_eq!(body["tools"][0]["function"]["name"], *name);
    assert_eq!(body["tool_choice"]["function"]["name"], *name);
    let call = &body["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"]["name"], *name);
    assert!(call["id"].as_str().unwrap().len() <= 40);
    assert_eq!(body["messages"][2]["tool_call_id"], call["id"]);
    assert_eq!(try_write(&chat, &OPENAI).unwrap().1, written, "always the same");
}

#[test]
fn markers_of_what_to_cache() {
    let mark = |life| Block::CachePoint(life);
    let chat = Chat {
        system: vec![text("be brief"), mark(CacheLife::Long)],
        turns: vec![
            user(vec![text("a"), mark(CacheLife::Short), text("b"), mark(CacheLife::Short)]),
            assistant(vec![text("c"), mark(CacheLife::Short), call("k", "f")]),
            user(vec![result("k", vec![text("d")]), mark(CacheLife::Short)]),
        ],
        ..Chat::default()
    };
    let marks = |body: &Value, name: &str| body.to_string().matches(name).count();
    let (body, dropped) = write(&chat, &target("openai", "gpt-5.6-sol"));
    assert_eq!(marks(&body, "prompt_cache_breakpoint"), 4, "the last four: {body}");
    assert_eq!(body["messages"][0]["content"][0].get("prompt_cache_breakpoint"), None);
    assert_eq!(
        body["messages"][3]["content"],
        json!([{"type": "text", "text": "d", "prompt_cache_breakpoint": {"mode": "explicit"}}])
    );
    assert_eq!(dropped, ["cache_control: more than 4 -> 4"]);
    let (body, _) = write(&chat, &ANY);
    assert_eq!(marks(&body, "cache_control"), 5);
    assert_eq!(
        body["messages"][0]["content"][0]["cache_control"],
        json!({"type": "ephemeral", "ttl": "1h"})
    );
    assert_eq!(request(&body).turns, chat.turns.iter().map(marked_inside).collect::<Vec<_>>());
    for old in [OPENAI, DEEPSEEK] {
        let (body, dropped) = write(&chat, &old);
        assert_eq!(marks(&body, "cache"), 0);
        assert_eq!(dropped, ["cache_control"]);
    }
    let top = request(&with(&json!({"cache_control": {"type": "ephemeral"}})));
    assert_eq!(top.turns[0].blocks.last(), Some(&mark(CacheLife::Short)));
}

/// A marker behind a result is one inside of it for Chat Completions.
fn marked_inside(turn: &Turn) -> Turn {
    let mut turn = turn.clone();
    if let [Block::ToolResult { blocks, .. }, mark] = turn.blocks.as_mut_slice() {
        blocks.push(mark.clone());
        turn.blocks.pop();
    }
    turn
}

#[test]
fn searching_the_web() {
    let options = json!({"search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Utrecht", "country": "NL"}}});
    let chat = request(&with(&json!({"web_search_options": options})));
    let [Tool::Hosted { kind: Hosted::WebSearch(search), .. }] = chat.tools.as_slice() else {
        panic!("{:?}", chat.tools)
    };
    let place = search.user_location.as_ref().unwrap().get();
    assert_eq!(place, r#"{"type":"approximate","city":"Utrecht","country":"NL"}"#);
    let searching = target("openai", "gpt-5-search-api");
    assert_eq!(write(&chat, &searching).0["web_search_options"], options);
    for other in [OPENAI, DEEPSEEK] {
        assert_eq!(try_write(&chat, &other).unwrap_err().field, "web_search_options");
    }
    let native = Native {
        dialect: "anthropic",
        field: "web_search_20250305".to_owned(),
        raw: Json::empty_object(),
    };
    let search = WebSearch { max_uses: Some(3), ..search.clone() };
    let foreign = Chat {
        tools: vec![Tool::Hosted { kind: Hosted::WebSearch(search), native: native.clone() }],
        ..Chat::default()
    };
    let (body, dropped) = write(&foreign, &searching);
    assert_eq!(body["web_search_options"], options);
    assert_eq!((body.get("tools"), dropped), (None, vec!["web_search.max_uses".to_owned()]));
    let fetch = Tool::Hosted { kind: Hosted::WebFetch, native };
    let foreign = Chat { tools: vec![fetch], ..Chat::default() };
    assert_eq!(try_write(&foreign, &searching).unwrap_err().field, "web_search_20250305");
}

#[test]
fn tools_that_take_free_text_are_chosen_their_own_way() {
    let choice = json!({"type": "custom", "custom": {"name": "c"}});
    let tools = json!([{"type": "custom", "custom": {"name": "c"}}]);
    let body = with(&json!({"tools": tools, "tool_choice": choice}));
    let (body, _) = write(&request(&body), &target("openai", "gpt-5"));
    assert_eq!((&body["tools"], &body["tool_choice"]), (&tools, &choice));
}

#[test]
fn tools_that_take_free_text_are_those_of_responses() {
    let grammar =
        json!({"type": "grammar", "grammar": {"syntax": "regex", "definition": "[A-Z]+"}});
    let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "a \"b\""}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"}],
        "tools": [{"type": "custom", "custom": {"name": "c", "description": "d", "format": grammar}}],
        "tool_choice": {"type": "custom", "custom": {"name": "c"}}});
    let chat = request(&body);
    let responses = dialect("openai_responses").unwrap();
    let written = responses.write_request(&chat, &target("openai", "gpt-5.4")).unwrap();
    let sent: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(
        sent["tools"],
        json!([{"type": "custom", "name": "c", "description": "d",
                "format": {"type": "grammar", "syntax": "regex", "definition": "[A-Z]+"}}])
    );
    assert_eq!(sent["tool_choice"], json!({"type": "custom", "name": "c"}));
    let call = &sent["input"][1];
    assert_eq!((&call["type"], &call["input"]), (&json!("custom_tool_call"), &json!("a \"b\"")));
    assert_eq!(sent["input"][2]["type"], "custom_tool_call_output");
    assert_eq!(written.dropped, [""; 0]);
    // The same words where the dialect is the same.
    let (same, _) = write(&chat, &OPENAI);
    assert_eq!(same["tools"], body["tools"]);
    assert_eq!(same["messages"][1]["tool_calls"], body["messages"][1]["tool_calls"]);
    let claude = dialect("anthropic").unwrap();
    let written = claude.write_request(&chat, &target("anthropic", "claude-sonnet-4-5")).unwrap();
    let sent: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(sent["messages"][1]["content"][0]["input"], json!({"input": "a \"b\""}));
    assert_eq!(sent["tools"][0]["input_schema"]["required"], json!(["input"]));
    assert_eq!(written.dropped, ["tools.custom"]);
}

#[test]
fn calls_of_tools_that_take_free_text_come_back_as_such() {
    let own = dialect("openai_chat").unwrap();
    let body = r#"{"tools":[{"type":"custom","custom":{"name":"c"}}]}"#;
    let shape = || Shape { echo: own.echo(body.as_bytes()), ..Shape::default() };
    let free = call("call_1", "c");
    let free = match free {
        Block::ToolUse { id, name, seal, .. } => {
            Block::ToolUse { id, name, input: Json::of(&json!({"input": "a\nb"})), seal }
        }
        other => other,
    };
    let reply = Reply { blocks: vec![free, call("call_2", "f")], ..Reply::default() };
    let whole: Value = serde_json::from_slice(&own.write_reply(&reply, &shape())).unwrap();
    let calls = &whole["choices"][0]["message"]["tool_calls"];
    let custom =
        json!({"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "a\nb"}});
    assert_eq!((&calls[0], &calls[1]["type"]), (&custom, &json!("function")));
    let mut writer = own.writer(shape());
    let mut out = Vec::new();
    for event in wire::collect::events(reply) {
        writer.event(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(r#""type":"custom","custom":{"name":"c","input":""}"#), "{text}");
    assert!(text.contains(r#"{"index":0,"custom":{"input":"a\nb"}}"#), "{text}");
    assert!(text.contains(r#""type":"function","function":{"name":"f""#), "{text}");
}

/// Who asked for functions, as it was done before there were tools, reads no calls of tools.
#[test]
fn functions_are_called_in_their_own_form() {
    let own = dialect("openai_chat").unwrap();
    let body = r#"{"functions":[{"name":"f"}],"messages":[]}"#;
    let shape = || Shape { echo: own.echo(body.as_bytes()), ..Shape::default() };
    let blocks = vec![call("call_1", "f"), call("call_2", "g")];
    let reply = Reply { blocks, finish: wire::reply::Finish::ToolUse, ..Reply::default() };
    let whole: Value = serde_json::from_slice(&own.write_reply(&reply, &shape())).unwrap();
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "function_call");
    assert_eq!(choice["message"]["function_call"]["name"], "f");
    assert!(choice["message"]["function_call"]["arguments"].is_string(), "{whole}");
    assert_eq!(choice["message"].get("tool_calls"), None);
    let mut writer = own.writer(shape());
    let mut out = Vec::new();
    for event in wire::collect::events(reply) {
        writer.event(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(r#""function_call":{"name":"f","arguments":""}"#), "{text}");
    assert!(text.contains(r#""finish_reason":"function_call""#), "{text}");
    assert!(!text.contains("tool_calls") && !text.contains(r#""name":"g""#), "{text}");
    let both = r#"{"functions":[{"name":"f"}],"tools":[],"messages":[]}"#;
    assert!(own.echo(both.as_bytes()).is_empty());
}

#[test]
fn json_is_spoken_of_where_it_must_be() {
    let chat = request(&with(&json!({"response_format": {"type": "json_object"}})));
    for (target, said) in [(OPENAI, true), (DEEPSEEK, true), (ANY, false)] {
        let (body, _) = write(&chat, &target);
        assert_eq!(body["messages"].to_string().contains("JSON"), said, "{}", target.provider);
        assert_eq!(body["response_format"], json!({"type": "json_object"}));
    }
    let speaks = json!({"model": "m", "messages": [{"role": "user", "content": "As json"}],
        "response_format": {"type": "json_object"}});
    assert_eq!(write(&request(&speaks), &OPENAI).0["messages"], speaks["messages"]);
}

#[test]
fn the_address_of_a_picture_may_stand_alone() {
    let data = "data:image/png;base64,AAAA";
    let body = |image: Value, more: &Value| {
        let part = json!([{"type": "image_url", "image_url": image}, more]);
        json!({"model": "m", "messages": [{"role": "user", "content": part}]})
    };
    let words = json!({"type": "text", "text": "What is it?"});
    let alone = request(&body(json!(data), &words));
    assert_eq!(alone.turns[0].blocks, [picture(), text("What is it?")]);
    assert_eq!(write(&alone, &OPENAI).0["messages"][0]["content"][0]["image_url"]["url"], data);
    let object = request(&body(json!({"url": data, "detail": "low", "new": 1}), &words));
    assert_eq!(object.native[0].field, "messages.content.image_url.new");
    for wrong in [json!(7), json!([data])] {
        let body = body(wrong, &words).to_string();
        let malformed = chat().read_request(body.as_bytes()).unwrap_err();
        assert_eq!(malformed.path, "messages[0].content[0].image_url");
    }
}

#[test]
fn files_in_all_the_ways_that_clients_send_them() {
    for (data, source) in [
        ("data:application/pdf;base64,JVBE", Source::Base64("JVBE".to_owned())),
        ("JVBE", Source::Base64("JVBE".to_owned())),
        ("https://example.com/a.pdf", Source::Url("https://example.com/a.pdf".to_owned())),
    ] {
        let part = json!([{"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}]);
        let chat = request(&json!({"model": "m", "messages": [{"role": "user", "content": part}]}));
        let [Block::Media(media)] = chat.turns[0].blocks.as_slice() else { panic!("{chat:?}") };
        assert_eq!((media.kind, &media.source), (MediaKind::Document, &source));
        let inline = matches!(source, Source::Base64(_));
        assert_eq!(try_write(&chat, &OPENAI).is_ok(), inline);
        assert_eq!(try_write(&chat, &DEEPSEEK).unwrap_err().field, "document");
    }
}
