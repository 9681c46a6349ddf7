//! Requests: tools, their names and choice, and the format of the answer.

use serde_json::{Value, json};
use wire::Chat;
use wire::chat::{
    Block, Format, Hosted, Native, Reasoning, Role, Tool, ToolChoice, Turn, WebSearch,
};

use super::{chat_of, json as raw, native, request_for, target, write_to};

const NEWEST: &str = "claude-opus-5-5";
const FORCEABLE: &str = "claude-opus-5";
const OLD: &str = "claude-sonnet-4-5";

fn tool(name: &str) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: None,
        schema: Some(raw(
            r#"{"type":"object","properties":{"a":{"type":"string","minLength":1}}}"#,
        )),
        strict: None,
        cache: None,
    }
}

fn strict(schema: &str) -> Tool {
    Tool::Function {
        name: "f".to_owned(),
        description: None,
        schema: Some(raw(schema)),
        strict: Some(true),
        cache: None,
    }
}

fn chat(tools: Vec<Tool>, tool_choice: ToolChoice) -> Chat {
    let ask = Turn { role: Role::User, blocks: vec![Block::Text("hi".to_owned())], name: None };
    Chat { turns: vec![ask], tools, tool_choice, ..Chat::default() }
}

fn formatted(schema: &str) -> Chat {
    let mut chat = chat(vec![], ToolChoice::Unsaid);
    chat.output.format = Format::JsonSchema {
        name: None,
        description: Some("The lanes.".to_owned()),
        schema: raw(schema),
        strict: Some(true),
    };
    chat
}

const CLOSED: &str =
    r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"]}"#;
const OPEN: &str = r#"{"type":"object","additionalProperties":{"type":"string"}}"#;

#[test]
fn a_schema_that_can_be_enforced_is_the_output_s_format() {
    let (body, dropped) = request_for(NEWEST, &formatted(CLOSED));
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "description": "(minimum: 1)"}},
        "required": ["n"], "additionalProperties": false, "description": "The lanes."});
    assert_eq!(body["output_config"]["format"], json!({"type": "json_schema", "schema": schema}));
    assert!(dropped.is_empty() && body.get("tools").is_none());
}

#[test]
fn an_open_map_is_asked_for_as_a_call() {
    let call = json!({"name": "tollgate_json_answer", "description": "The lanes.",
        "input_schema": {"type": "object", "additionalProperties": {"type": "string"}}});
    let note = ["response_format: json_schema -> tool"];
    let (body, dropped) = request_for(FORCEABLE, &formatted(OPEN));
    assert_eq!(body["tools"], json!([call]));
    let only =
        json!({"type": "tool", "name": "tollgate_json_answer", "disable_parallel_tool_use": true});
    assert_eq!((&body["tool_choice"], dropped.as_slice()), (&only, &note.map(str::to_owned)[..]));
    // Beside other tools the model may call those first.
    let mut both = formatted(OPEN);
    both.tools.push(tool("f"));
    let (body, _) = request_for(FORCEABLE, &both);
    assert_eq!(body["tools"][1], call);
    assert_eq!(body["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
    // Models before 4.5 follow no schema by themselves.
    let (body, dropped) = request_for("claude-3-haiku-20240307", &formatted(CLOSED));
    assert!(body.get("output_config").is_none() && dropped == note);
    assert_eq!(body["tools"][0]["input_schema"], serde_json::from_str::<Value>(CLOSED).unwrap());
}

#[test]
fn where_no_call_can_be_forced_the_schema_is_told_in_words() {
    let mut thinking = formatted(OPEN);
    thinking.reasoning = Some(Reasoning { budget: Some(2_000), ..Reasoning::default() });
    for (model, chat) in
        [(NEWEST, formatted(OPEN)), (OLD, thinking), (FORCEABLE, formatted("true"))]
    {
        let (body, dropped) = request_for(model, &chat);
        assert_eq!(dropped, ["response_format: json_schema -> instruction"]);
        assert!(body.get("tools").is_none() && body.get("output_config").is_none());
        let words = body["system"][0]["text"].as_str().unwrap();
        let Format::JsonSchema { schema, .. } = &chat.output.format else { panic!() };
        assert!(words.ends_with(schema.get()), "{words}");
    }
    let mut object = chat(vec![], ToolChoice::Unsaid);
    object.output.format = Format::JsonObject;
    assert_eq!(request_for(NEWEST, &object).1, ["response_format: json_object -> instruction"]);
}

#[test]
fn strict_tools_keep_what_can_be_enforced() {
    let written = |schema: &str| {
        let (mut body, dropped) =
            request_for(NEWEST, &chat(vec![strict(schema)], ToolChoice::Unsaid));
        (body["tools"][0].take(), dropped)
    };
    let (closed, dropped) = written(CLOSED);
    assert_eq!(closed["input_schema"]["additionalProperties"], false);
    assert_eq!((&closed["strict"], dropped), (&json!(true), vec![]));
    let (open, dropped) = written(OPEN);
    assert_eq!(open["input_schema"], serde_json::from_str::<Value>(OPEN).unwrap());
    assert_eq!((open.get("strict"), dropped), (None, vec!["strict".to_owned()]));
    // One that need not be followed to the letter stays as it is.
    let (body, _) = request_for(NEWEST, &chat(vec![tool("f")], ToolChoice::Unsaid));
    assert_eq!(body["tools"][0]["input_schema"]["properties"]["a"]["minLength"], 1);
}

#[test]
fn old_definitions_are_found() {
    let schema = r##"{"type":"object","properties":{"a":{"$ref":"#/definitions/b"}},"definitions":{"b":{"type":"string"}}}"##;
    let mut of_tool = strict(schema);
    if let Tool::Function { strict, .. } = &mut of_tool {
        *strict = None;
    }
    let (body, _) = request_for(NEWEST, &chat(vec![of_tool], ToolChoice::Unsaid));
    let input = &body["tools"][0]["input_schema"];
    assert_eq!(input["$defs"]["b"]["type"], "string");
    assert_eq!(input["properties"]["a"]["$ref"], "#/$defs/b");
}

#[test]
fn a_tool_is_forced_where_it_can_be() {
    let choice = |model: &str, choice: ToolChoice| {
        let (mut body, dropped) = request_for(model, &chat(vec![tool("f"), tool("g")], choice));
        let names: Vec<String> = body["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect();
        (body["tool_choice"].take(), names.join(" "), dropped.join(" "))
    };
    let one = || ToolChoice::One("g".to_owned());
    let among = |required| ToolChoice::Among { names: vec!["g".to_owned()], required };
    let auto = "tool_choice: required -> auto";
    let allowed = "tool_choice.allowed_tools";
    let kind = |kind: &str| json!({"type": kind});
    for (model, asked, expected, names, dropped) in [
        (FORCEABLE, ToolChoice::Unsaid, Value::Null, "f g", ""),
        (FORCEABLE, ToolChoice::Auto, kind("auto"), "f g", ""),
        (FORCEABLE, ToolChoice::None, kind("none"), "f g", ""),
        (FORCEABLE, ToolChoice::Required, kind("any"), "f g", ""),
        (FORCEABLE, one(), json!({"type": "tool", "name": "g"}), "f g", ""),
        (FORCEABLE, among(false), kind("auto"), "g", allowed),
        (FORCEABLE, among(true), kind("any"), "g", allowed),
        (NEWEST, ToolChoice::Required, kind("auto"), "f g", auto),
        (NEWEST, one(), kind("auto"), "g", auto),
        ("claude-sonnet-5-5", ToolChoice::Required, kind("auto"), "f g", auto),
        ("claude-fable-5-1", ToolChoice::Required, kind("auto"), "f g", auto),
        ("claude-haiku-5-5", ToolChoice::Required, kind("any"), "f g", ""),
    ] {
        let told = format!("{model} {asked:?}");
        assert_eq!(
            choice(model, asked),
            (expected, names.to_owned(), dropped.to_owned()),
            "{told}"
        );
    }
    let mut thinking = chat(vec![tool("f")], ToolChoice::Required);
    thinking.reasoning = Some(Reasoning { budget: Some(2_000), ..Reasoning::default() });
    assert_eq!(request_for(OLD, &thinking).0["tool_choice"], kind("auto"));
}

#[test]
fn parallel_calls_are_a_part_of_the_choice() {
    let of = |choice, parallel| {
        let mut chat = chat(vec![tool("f")], choice);
        chat.parallel_tools = Some(parallel);
        request_for(FORCEABLE, &chat).0["tool_choice"].clone()
    };
    let auto = |off: bool| json!({"type": "auto", "disable_parallel_tool_use": off});
    assert_eq!(of(ToolChoice::Unsaid, false), auto(true));
    assert_eq!(of(ToolChoice::Auto, true), auto(false));
    assert_eq!(of(ToolChoice::None, false), json!({"type": "none"}));
    let mut none = chat(vec![], ToolChoice::Required);
    none.parallel_tools = Some(false);
    assert!(request_for(FORCEABLE, &none).0.get("tool_choice").is_none(), "no tools, no choice");
}

#[test]
fn names_that_are_refused_are_shortened_everywhere() {
    let long = "n".repeat(129);
    let dotted = "find.ship";
    let call = |name: &str| Block::ToolUse {
        id: name.chars().take(5).collect(),
        name: name.to_owned(),
        input: raw("{}"),
        seal: None,
    };
    let result = |id: &str| Block::ToolResult {
        id: id.to_owned(),
        name: None,
        blocks: vec![],
        failed: false,
    };
    let mut chat =
        chat(vec![tool(&long), tool(dotted), tool("plain")], ToolChoice::One(long.clone()));
    chat.turns.push(Turn {
        role: Role::Assistant,
        blocks: vec![call(&long), call(dotted)],
        name: None,
    });
    chat.turns.push(Turn {
        role: Role::User,
        blocks: vec![result("nnnnn"), result("find.")],
        name: None,
    });
    let written = write_to(&chat, &target(FORCEABLE)).unwrap();
    let body: Value = serde_json::from_slice(&written.body).unwrap();
    let names: Vec<&str> = body["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names[0].starts_with(&"n".repeat(50)) && names[0].len() == 59, "{names:?}");
    assert!(names[1].starts_with("find_ship_") && names[1].len() == 18, "{names:?}");
    assert_eq!(names[2], "plain");
    assert_eq!(body["tool_choice"]["name"], names[0]);
    let calls = &body["messages"][1]["content"];
    assert_eq!((&calls[0]["name"], &calls[1]["name"]), (&json!(names[0]), &json!(names[1])));
    assert_eq!(
        written.renamed,
        [(names[0].to_owned(), long), (names[1].to_owned(), dotted.to_owned())]
    );
    // Ids are made plain in the same way on both sides.
    assert_eq!(calls[1]["id"], body["messages"][2]["content"][1]["tool_use_id"]);
    assert!(calls[1]["id"].as_str().unwrap().starts_with("find__"));
    // The name depends on nothing else.
    let (again, _) = request_for(NEWEST, &chat_with(dotted));
    assert_eq!(again["tools"][0]["name"], names[1]);
}

fn chat_with(name: &str) -> Chat {
    chat(vec![tool(name)], ToolChoice::Unsaid)
}

#[test]
fn tools_of_other_dialects_that_have_a_counterpart() {
    let foreign = |field: &str| Native {
        dialect: "openai_responses",
        field: field.to_owned(),
        raw: raw("{}"),
    };
    let search = WebSearch {
        max_uses: Some(2),
        allowed_domains: vec!["a.example".to_owned()],
        blocked_domains: vec!["b.example".to_owned()],
        user_location: Some(raw(r#"{"type":"approximate","city":"Kiel"}"#)),
        context_size: Some("low".to_owned()),
    };
    let hosted = |kind, field: &str| Tool::Hosted { kind, native: foreign(field) };
    let tools = vec![
        hosted(Hosted::WebSearch(search), "web_search"),
        hosted(Hosted::WebFetch, "urlContext"),
        hosted(Hosted::CodeExecution, "code_interpreter"),
    ];
    let (body, dropped) = request_for(NEWEST, &chat(tools, ToolChoice::Unsaid));
    let expected = json!([
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "allowed_domains": ["a.example"],
         "user_location": {"type": "approximate", "city": "Kiel"}},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "code_execution_20250825", "name": "code_execution"}]);
    assert_eq!(body["tools"], expected);
    assert_eq!(dropped, ["web_search.search_context_size", "web_search.blocked_domains"]);
    let other = chat(vec![Tool::Native(foreign("file_search"))], ToolChoice::Unsaid);
    assert_eq!(write_to(&other, &target(NEWEST)).unwrap_err().field, "file_search");
}

#[test]
fn calls_in_the_history_need_a_definition() {
    let mut chat = chat(vec![], ToolChoice::Unsaid);
    let input = raw("{}");
    let call = Block::ToolUse { id: "a".to_owned(), name: "f".to_owned(), input, seal: None };
    let result = Block::ToolResult { id: "a".to_owned(), name: None, blocks: vec![], failed: true };
    chat.turns.push(Turn { role: Role::Assistant, blocks: vec![call.clone()], name: None });
    chat.turns.push(Turn { role: Role::User, blocks: vec![result], name: None });
    let (body, _) = request_for(NEWEST, &chat);
    let stub = json!({"name": "f", "input_schema": {"type": "object", "properties": {}}});
    assert_eq!(body["tools"], json!([stub]));
    // Nobody offers it, so that it is not to be called.
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
    assert_eq!(body["messages"][2]["content"][0]["is_error"], true);
}

/// What only this dialect knows of tools and blocks comes back in its place.
#[test]
fn members_of_tools_and_blocks_come_back() {
    let body = json!({"model": NEWEST, "max_tokens": 9, "inference_geo": "us",
        "thinking": {"type": "adaptive", "block_binding": {"x": 1}}, "output_config": {"task_budget": {"n": 1}},
        "metadata": {"user_id": "u", "y": 2},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": true, "input_examples": [{"a": 1}]},
            {"name": "g", "input_schema": {"type": "object"}, "defer_loading": false}],
        "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                "title": "t", "context": "c", "citations": {"enabled": true}, "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "x", "citations": [
                    {"type": "web_search_result_location", "url": "https://e.com", "title": null, "encrypted_index": "RQ", "cited_text": "c"},
                    {"type": "char_location", "cited_text": "c", "document_index": 0}]},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "code_execution_20250825", "tool_id": "s"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "toolset_name": "z",
                "content": [{"type": "tool_reference", "tool_name": "g"}]}]}]});
    let (again, dropped) = request_for(NEWEST, &chat_of(&body.to_string()));
    assert_eq!(again, body);
    assert!(dropped.is_empty(), "{dropped:?}");
}

#[test]
fn members_that_others_do_not_know_are_missed_by_name() {
    let body = json!({"model": "m", "thinking": {"type": "adaptive", "block_binding": {"x": 1}},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "defer_loading": true}],
        "messages": [{"role": "user", "content": "x"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "c"}]},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": {"type": "direct"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "toolset_name": "z", "content": "r"}]}]});
    let target = wire::Target { provider: "openai", ..target("gpt-4o") };
    let other = wire::dialect("openai_chat").unwrap();
    let dropped = other.write_request(&chat_of(&body.to_string()), &target).unwrap().dropped;
    for name in [
        "thinking.block_binding",
        "tools.defer_loading",
        "content.citations",
        "content.toolset_name",
    ] {
        assert!(dropped.iter().any(|dropped| dropped == name), "{name}: {dropped:?}");
    }
    assert!(!dropped.iter().any(|dropped| dropped == "content.caller"), "a plain call is a call");
}

#[test]
fn foreign_citations_and_blocks_are_named() {
    let mut chat = chat(vec![], ToolChoice::Unsaid);
    let citation = wire::chat::Citation { url: "https://e.com".to_owned(), ..Default::default() };
    let foreign = Native { dialect: "gemini", ..native("executableCode", "{}") };
    chat.turns.push(Turn {
        role: Role::Assistant,
        blocks: vec![
            Block::Text("x".to_owned()),
            Block::Citation(citation),
            Block::Native(foreign),
        ],
        name: Some("bot".to_owned()),
    });
    let again = chat.turns[0].clone();
    chat.turns.push(again);
    let (body, dropped) = request_for(NEWEST, &chat);
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "x"}]));
    assert_eq!(dropped, ["name", "citations", "executableCode"]);
}
