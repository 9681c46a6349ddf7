//! Requests: turns, thinking, sampling, caching.

use proptest::prelude::*;
use serde_json::{Value, json};
use wire::chat::{
    Block, CacheLife, Effort, Hosted, Media, MediaKind, Native, Reasoning, Role, Seal, Source,
    Tool, ToolChoice, Turn,
};
use wire::{Chat, Target, dialect};

use super::{anthropic, body_of, chat_of, json as raw, request_for, target, write_to};

const NEWEST: &str = "claude-opus-5-5";
const OLD: &str = "claude-sonnet-4-5";

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn turn(role: Role, blocks: Vec<Block>) -> Turn {
    Turn { role, blocks, name: None }
}

fn call(id: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: "f".to_owned(), input: raw("{}"), seal: None }
}

fn result(id: &str) -> Block {
    let blocks = vec![text(id)];
    Block::ToolResult { id: id.to_owned(), name: None, blocks, failed: false }
}

fn chat(turns: Vec<Turn>) -> Chat {
    Chat { turns, ..Chat::default() }
}

fn asking(change: impl FnOnce(&mut Chat)) -> Chat {
    let mut chat = chat(vec![turn(Role::User, vec![text("hi")])]);
    change(&mut chat);
    chat
}

fn reasoning(effort: Option<Effort>, budget: Option<u64>) -> Chat {
    asking(|chat| chat.reasoning = Some(Reasoning { effort, budget, show: None }))
}

/// Roles, and the kinds or texts of the blocks.
fn outline(body: &Value) -> Vec<(String, Vec<String>)> {
    let word = |block: &Value| {
        let of = |name: &str| block[name].as_str().map(str::to_owned);
        of("text").or(of("tool_use_id")).or(of("id")).or(of("type")).unwrap()
    };
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| {
            let blocks = message["content"].as_array().unwrap().iter().map(word).collect();
            (message["role"].as_str().unwrap().to_owned(), blocks)
        })
        .collect()
}

fn role(role: &str, blocks: &[&str]) -> (String, Vec<String>) {
    (role.to_owned(), blocks.iter().map(|block| (*block).to_owned()).collect())
}

#[test]
fn results_stand_first_behind_their_calls_in_their_order() {
    let late = chat(vec![
        turn(Role::User, vec![text("go")]),
        turn(Role::Assistant, vec![text("two calls"), call("a"), call("b")]),
        turn(Role::System, vec![text("be brief")]),
        turn(Role::User, vec![text("meanwhile"), result("b")]),
        turn(Role::User, vec![result("a"), Block::CachePoint(CacheLife::Short)]),
        turn(Role::Assistant, vec![call("a")]),
        turn(Role::User, vec![result("a")]),
    ]);
    let (body, _) = request_for(OLD, &late);
    let expected = [
        role("user", &["go"]),
        role("assistant", &["two calls", "a", "b"]),
        role("user", &["a", "b", "[Instruction of the operator]\nbe brief", "meanwhile"]),
        role("assistant", &["a"]),
        role("user", &["a"]),
    ];
    assert_eq!(outline(&body), expected);
    assert_eq!(body["messages"][2]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
}

#[test]
fn a_call_without_result_and_a_result_without_call_are_named() {
    let user = |blocks| turn(Role::User, blocks);
    let cases = [
        (
            vec![
                user(vec![text("go")]),
                turn(Role::Assistant, vec![call("a1")]),
                user(vec![text("x")]),
            ],
            "the call a1 has no result",
        ),
        (vec![user(vec![result("b1"), text("x")])], "the result b1 has no call before it"),
    ];
    for (turns, reason) in cases {
        let error = write_to(&chat(turns), &target(OLD)).unwrap_err();
        assert_eq!((error.field.as_str(), error.reason.as_str()), ("messages", reason));
    }
}

#[test]
fn an_operator_s_word_stays_in_its_place() {
    let user = |word: &str| turn(Role::User, vec![text(word)]);
    let system = |word: &str| turn(Role::System, vec![text(word)]);
    let assistant = |word: &str| turn(Role::Assistant, vec![text(word)]);
    let talk = vec![user("a"), system("s"), system("t"), assistant("b"), system("u"), user("c")];
    let (new, _) = request_for("claude-opus-4-8", &chat(talk.clone()));
    let note = "[Instruction of the operator]\nu";
    let expected = [
        role("user", &["a"]),
        role("system", &["s", "t"]),
        role("assistant", &["b"]),
        role("user", &[note, "c"]),
    ];
    assert_eq!(outline(&new), expected);
    let (old, _) = request_for(OLD, &chat(talk.clone()));
    assert!(outline(&old).iter().all(|(role, _)| role != "system"));
    // What is appended changes nothing before it, or the cache would be lost.
    for model in ["claude-opus-4-8", OLD] {
        let before = outline(&request_for(model, &chat(talk.clone())).0);
        let more = [talk.clone(), vec![assistant("d"), system("v"), user("e")]].concat();
        assert!(outline(&request_for(model, &chat(more)).0).starts_with(&before), "{model}");
    }
}

#[test]
fn a_conversation_begins_with_the_user() {
    let only = Chat { system: vec![text("s")], ..chat(vec![]) };
    assert_eq!(outline(&request_for(NEWEST, &only).0), [role("user", &["Go on."])]);
}

#[test]
fn a_begun_answer_goes_to_models_that_continue_it() {
    let begun = chat(vec![
        turn(Role::User, vec![text("count")]),
        turn(Role::Assistant, vec![text("one, two \n")]),
    ]);
    let (body, _) = request_for(OLD, &begun);
    assert_eq!(outline(&body)[1], role("assistant", &["one, two"]));
    for model in ["claude-sonnet-4-6", NEWEST] {
        assert_eq!(write_to(&begun, &target(model)).unwrap_err().field, "messages");
    }
    let native = |field: &str| {
        let raw = raw(&format!("{{\"type\":\"{field}\"}}"));
        Block::Native(Native { dialect: "anthropic", field: field.to_owned(), raw })
    };
    let paused = chat(vec![
        turn(Role::User, vec![text("search")]),
        turn(Role::Assistant, vec![native("server_tool_use"), native("web_search_tool_result")]),
    ]);
    assert!(write_to(&paused, &target(NEWEST)).is_ok(), "a pause is resumed as it was");
}

#[test]
fn thinking_is_asked_for_as_the_model_takes_it() {
    let of = |model: &str, effort, budget| {
        let (body, dropped) = request_for(model, &reasoning(effort, budget));
        (body["thinking"].clone(), body["output_config"]["effort"].clone(), dropped)
    };
    let adaptive = json!({"type": "adaptive"});
    let none = Vec::<String>::new;
    assert_eq!(of(NEWEST, Some(Effort::Xhigh), None), (adaptive.clone(), json!("xhigh"), none()));
    let note = vec!["reasoning: minimal -> low".to_owned()];
    assert_eq!(of(NEWEST, Some(Effort::Minimal), None), (adaptive.clone(), json!("low"), note));
    let note = vec!["reasoning: 5000 tokens -> medium".to_owned()];
    assert_eq!(of(NEWEST, None, Some(5_000)), (adaptive.clone(), json!("medium"), note));
    let note = vec!["reasoning: xhigh -> high".to_owned()];
    assert_eq!(of("claude-opus-4-6", Some(Effort::Xhigh), None), (adaptive, json!("high"), note));
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    assert_eq!(of("claude-opus-4-6", None, Some(5_000)), (budget(5_000), Value::Null, none()));
    for (effort, tokens) in [(Effort::Low, 2_048), (Effort::Medium, 8_192), (Effort::High, 16_384)]
    {
        assert_eq!(of(OLD, Some(effort), None), (budget(tokens), Value::Null, none()));
    }
    let note = vec!["reasoning: max -> 32000 tokens".to_owned()];
    assert_eq!(of(OLD, Some(Effort::Max), None), (budget(32_000), Value::Null, note));
    // Turned off as far as can be.
    let off = |model: &str| of(model, Some(Effort::None), None);
    let disabled = json!({"type": "disabled"});
    for model in [OLD, "claude-opus-4-8", "claude-opus-5", "claude-haiku-5-5"] {
        assert_eq!(off(model), (disabled.clone(), Value::Null, none()), "{model}");
    }
    assert_eq!(off("claude-sonnet-5-5").0, json!({"type": "between_tools"}));
    for model in [NEWEST, "claude-fable-5-1"] {
        let note = vec!["reasoning: none -> low".to_owned()];
        assert_eq!(off(model), (Value::Null, json!("low"), note), "{model}");
    }
    // Nothing said, nothing added.
    let (body, _) = request_for(NEWEST, &asking(|_| ()));
    assert!(body.get("thinking").is_none() && body.get("output_config").is_none());
}

#[test]
fn a_budget_leaves_room_for_the_answer() {
    let within = |limit: u64, budget: u64| {
        let mut chat = reasoning(None, Some(budget));
        chat.max_tokens = Some(limit);
        let (body, dropped) = request_for(OLD, &chat);
        (body["thinking"]["budget_tokens"].clone(), dropped)
    };
    assert_eq!(within(3_000, 2_000), (json!(2_000), vec![]));
    assert_eq!(within(2_000, 9_000).0, json!(1_999));
    assert_eq!(within(2_000, 9_000).1, ["reasoning: 9000 -> 1999 tokens"]);
    assert_eq!(within(1_024, 9_000), (Value::Null, vec!["reasoning".to_owned()]));
}

#[test]
fn thinking_off_caps_the_effort() {
    let body = |kind: &str| {
        chat_of(&format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"x"}}],
            "thinking":{{"type":"{kind}"}},"output_config":{{"effort":"max"}}}}"#
        ))
    };
    let (capped, dropped) = request_for("claude-haiku-5-5", &body("disabled"));
    assert_eq!(capped["output_config"]["effort"], "high");
    assert_eq!(dropped, ["output_config.effort: max -> high"]);
    assert_eq!(capped["thinking"]["type"], "disabled");
    let (kept, _) = request_for("claude-opus-4-8", &body("disabled"));
    assert_eq!(kept["output_config"]["effort"], "max");
    // Effort alone does not turn thinking on.
    let alone = chat_of(
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],"output_config":{"effort":"low"}}"#,
    );
    let (body, _) = request_for("claude-opus-4-6", &alone);
    assert!(body.get("thinking").is_none());
    assert_eq!(body["output_config"]["effort"], "low");
}

#[test]
fn thinking_does_not_go_on_from_calls_that_have_none() {
    let history = |seal: Option<Seal>| {
        let thought = Block::Thinking { text: "hm".to_owned(), seal };
        Chat {
            reasoning: Some(Reasoning { budget: Some(2_000), ..Reasoning::default() }),
            ..chat(vec![
                turn(Role::User, vec![text("go")]),
                turn(Role::Assistant, vec![thought, call("a")]),
                turn(Role::User, vec![result("a")]),
            ])
        }
    };
    let own = Seal { dialect: "anthropic", value: "c2ln".to_owned() };
    let foreign = Seal { dialect: "gemini", value: "c2ln".to_owned() };
    let (body, dropped) = request_for(OLD, &history(Some(own)));
    assert_eq!(body["thinking"]["budget_tokens"], 2_000);
    assert_eq!(body["messages"][1]["content"][0]["signature"], "c2ln");
    assert!(dropped.is_empty());
    for seal in [Some(foreign), None] {
        let (body, dropped) = request_for(OLD, &history(seal));
        assert!(body.get("thinking").is_none());
        assert_eq!(dropped, ["reasoning", "thinking"]);
        assert!(!body.to_string().contains("hm"), "thoughts never go on as text");
        assert!(!body.to_string().contains("c2ln"));
    }
}

#[test]
fn seals_come_back_to_where_they_belong() {
    let body = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"a","signature":"c2ln"},
        {"type":"thinking","thinking":"b","signature":"tg1.gemini.YTI"},
        {"type":"thinking","thinking":"c","signature":"tg1.unsigned"},
        {"type":"thinking","thinking":"d","signature":""},
        {"type":"redacted_thinking","data":"ZGF0YQ=="},
        {"type":"redacted_thinking","data":"tg1.openai_chat.e30"}]},{"role":"user","content":"y"}]}"#;
    let chat = chat_of(body);
    let seals: Vec<_> = chat.turns[1]
        .blocks
        .iter()
        .map(|block| match block {
            Block::Thinking { text, seal } => {
                (text.as_str(), seal.as_ref().map(|seal| (seal.dialect, seal.value.as_str())))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("a", Some(("anthropic", "c2ln"))),
        ("b", Some(("gemini", "a2"))),
        ("c", None),
        ("d", None),
        ("", Some(("anthropic", "redacted:ZGF0YQ=="))),
        ("", Some(("openai_chat", "{}"))),
    ];
    assert_eq!(seals, expected);
    let (written, dropped) = request_for(NEWEST, &chat);
    let content = json!([{"type": "thinking", "thinking": "a", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="}]);
    assert_eq!(written["messages"][1]["content"], content);
    assert_eq!(dropped, ["thinking"]);
}

#[test]
fn sampling_goes_to_models_that_take_it() {
    let of = |model: &str, temperature: f64, top_p: Option<f64>| {
        let chat = asking(|chat| {
            chat.sampling.temperature = Some(temperature);
            chat.sampling.top_p = top_p;
            chat.sampling.top_k = Some(50.0);
            chat.sampling.stop = vec!["END".to_owned()];
        });
        let (body, dropped) = request_for(model, &chat);
        let get = |name: &str| body[name].clone();
        assert_eq!(body["stop_sequences"], json!(["END"]));
        (get("temperature"), get("top_p"), get("top_k"), dropped)
    };
    let null = || Value::Null;
    let notes = |notes: &[&str]| notes.iter().map(|note| (*note).to_owned()).collect::<Vec<_>>();
    let whole = of(OLD, 0.5, Some(0.9));
    assert_eq!(whole, (json!(0.5), null(), json!(50), notes(&["top_p"])));
    let hot = of(OLD, 1.6, None);
    assert_eq!(hot, (json!(1.0), null(), json!(50), notes(&["temperature: 1.6 -> 1"])));
    // A temperature of 1 is what happens anyway.
    assert_eq!(of(OLD, 1.0, Some(0.9)), (null(), json!(0.9), json!(50), notes(&[])));
    assert_eq!(of("claude-3-haiku-20240307", 0.5, Some(0.9)).1, json!(0.9));
    let none = (null(), null(), null(), notes(&["temperature", "top_p", "top_k"]));
    for model in [NEWEST, "claude-sonnet-4-7"] {
        assert_eq!(of(model, 0.5, Some(0.9)), none);
    }
    let mut thinking = reasoning(None, Some(2_000));
    thinking.sampling.temperature = Some(0.5);
    assert_eq!(request_for(OLD, &thinking).1, ["temperature"]);
}

#[test]
fn stop_texts_of_white_space_are_left_out() {
    let chat = asking(|chat| {
        chat.sampling.stop = ["\n", "END", " \t"].map(str::to_owned).to_vec();
    });
    let (body, dropped) = request_for(OLD, &chat);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(dropped, ["stop: 3 -> 1"]);
    let blank = asking(|chat| chat.sampling.stop = vec!["\n\n".to_owned()]);
    assert_eq!(request_for(OLD, &blank).0.get("stop_sequences"), None);
}

#[test]
fn a_conversation_without_a_word_is_refused() {
    let refused = write_to(&chat(Vec::new()), &target(OLD)).unwrap_err();
    assert_eq!(refused.field, "messages");
}

#[test]
fn the_limit_is_the_model_s_own_where_none_is_asked_for() {
    let limit = |asked: Option<u64>, most: Option<u64>| {
        let mut target = target(NEWEST);
        target.max_output_tokens = most;
        let written = write_to(&asking(|chat| chat.max_tokens = asked), &target).unwrap();
        (body_of(&written)["max_tokens"].as_u64().unwrap(), written.dropped)
    };
    assert_eq!(limit(None, Some(128_000)), (128_000, vec![]));
    assert_eq!(limit(None, None), (4_096, vec![]));
    assert_eq!(limit(Some(9), Some(128_000)), (9, vec![]));
    let note = vec!["max_tokens: 200000 -> 128000".to_owned()];
    assert_eq!(limit(Some(200_000), Some(128_000)), (128_000, note));
}

#[test]
fn four_markers_are_kept_and_they_are_the_last() {
    let mark = |life| Block::CachePoint(life);
    let mut chat = chat(vec![turn(
        Role::User,
        (0..4).flat_map(|n| [text(&n.to_string()), mark(CacheLife::Short)]).collect(),
    )]);
    chat.system = vec![text("s"), mark(CacheLife::Long)];
    chat.tools = vec![Tool::Function {
        name: "f".to_owned(),
        description: None,
        schema: None,
        strict: None,
        cache: Some(CacheLife::Long),
    }];
    let count = |chat: &Chat| {
        let (body, dropped) = request_for(NEWEST, chat);
        let marks = body.to_string().matches("cache_control").count();
        let first = body["messages"][0]["content"][0].get("cache_control").is_some();
        let ahead = body["tools"][0].get("cache_control").is_some()
            || body["system"][0].get("cache_control").is_some();
        (marks, first, ahead, dropped)
    };
    let note = || vec!["cache_control".to_owned()];
    assert_eq!(count(&chat), (4, true, false, note()));
    // One at the top marks the last block by itself.
    let field = "cache_control".to_owned();
    let raw = raw("{\"type\":\"ephemeral\"}");
    chat.native.push(Native { dialect: "anthropic", field, raw });
    assert_eq!(count(&chat), (4, false, false, note()));
    // A longer life behind a shorter one is refused.
    chat.turns = vec![turn(
        Role::User,
        vec![text("a"), mark(CacheLife::Short), text("b"), mark(CacheLife::Long)],
    )];
    chat.tools.clear();
    let (body, dropped) = request_for(NEWEST, &chat);
    let content = &body["messages"][0]["content"];
    assert_eq!(body["system"][0]["cache_control"]["ttl"], "1h");
    assert!(content[0]["cache_control"].get("ttl").is_none());
    assert!(content[1]["cache_control"].get("ttl").is_none());
    assert_eq!(dropped, ["cache_control.ttl: 1h -> 5m"]);
}

#[test]
fn media_goes_where_it_is_taken() {
    let show = |media: Media| {
        let chat = chat(vec![turn(Role::User, vec![Block::Media(media)])]);
        write_to(&chat, &target(NEWEST))
            .map(|written| body_of(&written)["messages"][0]["content"][0].clone())
    };
    let inline = |kind, mime: &str, data: &str| {
        Media::new(kind, Source::Base64(data.to_owned()), Some(mime.to_owned()))
    };
    let source =
        |kind, mime: &str, data: &str| show(inline(kind, mime, data)).unwrap()["source"].clone();
    assert_eq!(
        source(MediaKind::Image, "image/jpg", "AA=="),
        json!({"type": "base64", "media_type": "image/jpeg", "data": "AA=="})
    );
    let mut pdf = inline(MediaKind::Document, "application/pdf", "AA==");
    pdf.name = Some("tolls.pdf".to_owned());
    let document = show(pdf).unwrap();
    assert_eq!((&document["type"], &document["title"]), (&json!("document"), &json!("tolls.pdf")));
    assert_eq!(
        source(MediaKind::Document, "text/csv", "YSxi"),
        json!({"type": "text", "media_type": "text/plain", "data": "a,b"})
    );
    let url = Media::from_url(MediaKind::Image, "https://example.com/a.png");
    assert_eq!(show(url).unwrap()["source"]["url"], "https://example.com/a.png");
    let file =
        |dialect| Media::new(MediaKind::Image, Source::File { dialect, id: "f".to_owned() }, None);
    assert_eq!(show(file("anthropic")).unwrap()["source"], json!({"type": "file", "file_id": "f"}));
    assert_eq!(show(file("gemini")).unwrap_err().field, "image");
    assert_eq!(show(inline(MediaKind::Audio, "audio/wav", "AA==")).unwrap_err().field, "audio");
    // Nothing but text and calls stands in an answer.
    let mut spoken = inline(MediaKind::Audio, "audio/wav", "AA==");
    spoken.transcript = Some("said".to_owned());
    let picture = inline(MediaKind::Image, "image/png", "AA==");
    let history = chat(vec![
        turn(Role::User, vec![text("x")]),
        turn(Role::Assistant, vec![Block::Media(spoken), Block::Media(picture)]),
        turn(Role::User, vec![text("y")]),
    ]);
    let (body, dropped) = request_for(NEWEST, &history);
    assert_eq!(outline(&body)[1], role("assistant", &["said"]));
    assert_eq!(dropped, ["image of the assistant"]);
}

/// What DeepSeek's endpoint of this dialect takes less of.
#[test]
fn deepseek_speaks_it_with_fewer_words() {
    let target = wire::Target {
        provider: "deepseek",
        model: "deepseek-v4-pro",
        max_output_tokens: Some(384_000),
        reasoning: true,
    };
    let body = r#"{"model":"m","max_tokens":9,"temperature":1.7,"top_p":0.5,"top_k":3,"service_tier":"auto",
        "system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],
        "thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"effort":"medium"},
        "messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"t"}}]},
          {"role":"assistant","content":[{"type":"redacted_thinking","data":"ZA=="},{"type":"thinking","thinking":"own","signature":"c2ln"},{"type":"tool_use","id":"a","name":"f","input":{}}]},
          {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"r"}]}],
        "tools":[{"type":"custom","name":"f","strict":true,"input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}}"#;
    let written = write_to(&chat_of(body), &target).unwrap();
    let expected = json!({"model": "deepseek-v4-pro", "max_tokens": 9, "temperature": 1.7, "top_p": 0.5,
        "system": [{"type": "text", "text": "s"}], "thinking": {"type": "enabled"},
        "output_config": {"effort": "high"}, "tool_choice": {"type": "any"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "t"}]},
          {"role": "assistant", "content": [{"type": "thinking", "thinking": "own", "signature": "c2ln"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
          {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "r"}]}]}]});
    assert_eq!(body_of(&written), expected);
    let dropped = [
        "reasoning: medium -> high",
        "top_k",
        "service_tier",
        "strict",
        "cache_control",
        "thinking",
    ];
    assert_eq!(written.dropped, dropped);
    for (part, field) in [
        (r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#, "web_search_20250305"),
        (r#""mcp_servers":[{"url":"https://e.com"}]"#, "mcp_servers"),
    ] {
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{part}}}"#);
        assert_eq!(write_to(&chat_of(&body), &target).unwrap_err().field, field);
    }
    for (block, field) in [
        (r#"{"type":"document","source":{"type":"url","url":"https://e.com"}}"#, "document"),
        (r#"{"type":"image","source":{"type":"url","url":"https://e.com"}}"#, "image"),
        (r#"{"type":"search_result","source":"x","title":"x","content":[]}"#, "search_result"),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{block}]}}]}}"#);
        assert_eq!(write_to(&chat_of(&body), &target).unwrap_err().field, field);
    }
}

#[test]
fn hosted_tools_are_read_by_what_they_do() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[
        {"type":"web_search_20260318","name":"web_search","max_uses":3,"allowed_domains":["e.com"]},
        {"type":"web_fetch_20260209","name":"web_fetch"},
        {"type":"code_execution_20260521","name":"code_execution"},
        {"type":"bash_20250124","name":"bash"}]}"#;
    let chat = chat_of(body);
    let Tool::Hosted { kind: Hosted::WebSearch(search), .. } = &chat.tools[0] else {
        panic!("{:?}", chat.tools[0])
    };
    assert_eq!(
        (search.max_uses, search.allowed_domains.as_slice()),
        (Some(3), &["e.com".to_owned()][..])
    );
    assert!(matches!(&chat.tools[1], Tool::Hosted { kind: Hosted::WebFetch, .. }));
    assert!(matches!(&chat.tools[2], Tool::Hosted { kind: Hosted::CodeExecution, .. }));
    assert!(matches!(&chat.tools[3], Tool::Native(native) if native.field == "bash_20250124"));
    let (written, dropped) = request_for(NEWEST, &chat);
    assert_eq!(written["tools"], serde_json::from_str::<Value>(body).unwrap()["tools"]);
    assert!(dropped.is_empty());
}

#[test]
fn a_request_to_count_has_what_the_model_reads() {
    let mut chat = asking(|chat| {
        chat.max_tokens = Some(3_000);
        chat.stream = true;
        chat.sampling.temperature = Some(0.3);
        chat.sampling.stop = vec!["x".to_owned()];
        chat.user = Some("u".to_owned());
        chat.service_tier = Some("auto".to_owned());
        chat.system = vec![text("s")];
        chat.reasoning = Some(Reasoning { budget: Some(2_000), ..Reasoning::default() });
    });
    chat.tool_choice = ToolChoice::Auto;
    let written = wire::anthropic::write_count_request(&chat, &target(OLD)).unwrap();
    let expected = json!({"model": OLD, "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "thinking": {"type": "enabled", "budget_tokens": 2_000}});
    assert_eq!(body_of(&written), expected);
    let read = wire::anthropic::read_count_request(&written.body).unwrap();
    assert_eq!((read.max_tokens, read.turns.len()), (None, 1));
    assert_eq!(wire::anthropic::read_count(&wire::anthropic::write_count(42)), Ok(42));
    assert!(wire::anthropic::read_count(b"{}").is_err());
}

proptest! {
    #[test]
    fn nothing_panics_on_any_block(kinds in proptest::collection::vec(0_usize..9, 0..8), cut in 0_usize..40) {
        const BLOCKS: [&str; 9] = [
            r#"{"type":"text","text":"a","citations":[{"type":"page_location"},7]}"#,
            r#"{"type":"thinking","thinking":"t","signature":"tg1.gemini.YQ"}"#,
            r#"{"type":"redacted_thinking","data":"call.tg1.gemini.YQ"}"#,
            r#"{"type":"tool_use","id":"","name":"","input":7,"caller":{"type":"x"}}"#,
            r#"{"type":"tool_result","tool_use_id":"","content":[{"type":"image","source":{"type":"content"}}]}"#,
            r#"{"type":"document","source":{"type":"base64","data":"!"},"citations":{"enabled":true}}"#,
            r#"{"type":"image","source":{"type":"file"},"cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
            r#"{"type":"web_search_tool_result","cache_control":{}}"#,
            r#"{"type":"text","text":" "}"#,
        ];
        let blocks: Vec<_> = kinds.iter().map(|kind| BLOCKS[*kind]).collect();
        let blocks = blocks.join(",");
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"assistant","content":[{blocks}]}},{{"role":"user","content":[{blocks}]}}]}}"#
        );
        let mut broken = body.clone();
        broken.replace_range(cut..=cut, "");
        let _ = anthropic().read_request(broken.as_bytes());
        if let Ok(chat) = anthropic().read_request(body.as_bytes()) {
            for provider in ["anthropic", "deepseek"] {
                let target = wire::Target { provider, ..target(OLD) };
                if let Ok(first) = write_to(&chat, &target) {
                    let again = write_to(&anthropic().read_request(&first.body).unwrap(), &target);
                    prop_assert_eq!(again.unwrap().body, first.body, "what is written is a fixed point");
                }
            }
        }
    }
}

/// What a client has found itself is text to every provider, its title and source included.
#[test]
fn results_of_the_clients_own_search_are_text_elsewhere() {
    let found = json!({"type": "search_result", "source": "https://example.com/a", "title": "Ships",
        "content": [{"type": "text", "text": "FOUND"}], "citations": {"enabled": true}});
    let parts = json!({"type": "document", "title": "Lanes",
        "source": {"type": "content", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}});
    let body = json!({"model": "m", "max_tokens": 100, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "q"}, found, parts]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [found]}]},
    ], "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let own = dialect("anthropic").unwrap();
    let chat = own.read_request(body.to_string().as_bytes()).unwrap();
    for (name, provider) in
        [("openai_chat", "openai"), ("openai_responses", "openai"), ("gemini", "gemini")]
    {
        let target = Target { provider, model: "m", max_output_tokens: None, reasoning: false };
        let written = dialect(name).unwrap().write_request(&chat, &target).unwrap();
        let sent = String::from_utf8(written.body).unwrap();
        let text = "[Search result: Ships]\\nhttps://example.com/a\\nFOUND";
        assert_eq!(sent.matches(text).count(), 2, "{name}: {sent}");
        assert!(sent.contains("one\\ntwo"), "{name}: {sent}");
        assert!(
            written.dropped.iter().any(|name| name == "content.citations"),
            "{:?}",
            written.dropped
        );
    }
    let target = Target {
        provider: "anthropic",
        model: "claude-sonnet-4-5",
        max_output_tokens: None,
        reasoning: false,
    };
    let written = own.write_request(&chat, &target).unwrap();
    let sent: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(sent["messages"][0]["content"][1], found);
}
