//! What holds for any conversation: what is written can be read, and is the same when it is written again; no input
//! stops anything.

use ledger::{Meter, Usage, UsageReport};
use proptest::prelude::*;
use wire::chat::{
    Block, CacheLife, Effort, Format, Media, MediaKind, Reasoning, Role, Seal, Source, Tool,
    ToolChoice, Turn,
};
use wire::{Chat, DIALECTS, Json, Reply, Shape, dialect};

use crate::targets::TARGETS;

fn texts() -> impl Strategy<Value = String> {
    // Not only blanks: some dialects refuse those, so writers leave them out.
    "[a-zA-Z0-9 \"\\\\\n{}é🦀]{0,20}".prop_map(|text| format!("x{text}"))
}

fn user_blocks() -> impl Strategy<Value = Block> {
    prop_oneof![
        4 => texts().prop_map(Block::Text),
        1 => Just(Block::Media(Media::new(
            MediaKind::Image,
            Source::Base64("iVBORw0KGgo=".to_owned()),
            Some("image/png".to_owned()),
        ))),
        1 => any::<bool>().prop_map(|long| {
            Block::CachePoint(if long { CacheLife::Long } else { CacheLife::Short })
        }),
    ]
}

fn thoughts() -> impl Strategy<Value = Block> {
    let dialects = prop::sample::select(vec!["anthropic", "gemini", "openai_responses"]);
    (texts(), prop::option::of(dialects)).prop_map(|(text, dialect)| Block::Thinking {
        text,
        seal: dialect.map(|dialect| Seal { dialect, value: "c2ln".to_owned() }),
    })
}

/// A question, and an answer that may think, speak and call; then the results of all calls.
fn round() -> impl Strategy<Value = Vec<Turn>> {
    let question = prop::collection::vec(user_blocks(), 0..3);
    let result = (texts(), any::<bool>());
    (
        (texts(), question),
        prop::option::of(thoughts()),
        prop::option::of(texts()),
        prop::collection::vec(result, 0..3),
        any::<u16>(),
    )
        .prop_map(|((first, more), thoughts, said, results, n)| {
            let turn = |role, blocks| Turn { role, blocks, name: None };
            let mut asked = vec![Block::Text(first)];
            asked.extend(more);
            let mut answer: Vec<Block> = thoughts.into_iter().collect();
            answer.extend(said.map(Block::Text));
            if answer.is_empty() && results.is_empty() {
                answer.push(Block::Text("x".to_owned()));
            }
            let id = |at: usize| format!("call_{n}_{at}");
            answer.extend((0..results.len()).map(|at| Block::ToolUse {
                id: id(at),
                name: "tool".to_owned(),
                input: Json::parse(&format!("{{\"n\":{at}}}")).unwrap(),
                seal: None,
            }));
            let results: Vec<Block> = results
                .into_iter()
                .enumerate()
                .map(|(at, (text, failed))| Block::ToolResult {
                    id: id(at),
                    name: None,
                    blocks: vec![Block::Text(text)],
                    failed,
                })
                .collect();
            let mut turns = vec![turn(Role::User, asked), turn(Role::Assistant, answer)];
            if !results.is_empty() {
                turns.push(turn(Role::User, results));
            }
            turns
        })
}

fn reasonings() -> impl Strategy<Value = Option<Reasoning>> {
    let efforts = prop::sample::select(vec![
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::Xhigh,
        Effort::Max,
    ]);
    let asked = (prop::option::of(efforts), prop::option::of(1_u64..60_000), any::<Option<bool>>());
    prop::option::of(asked.prop_map(|(effort, budget, show)| Reasoning {
        effort,
        budget: budget.filter(|_| effort.is_none()),
        show,
    }))
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![
        2 => Just(Format::Text),
        1 => Just(Format::JsonObject),
        1 => any::<Option<bool>>().prop_map(|strict| Format::JsonSchema {
            name: Some("answer".to_owned()),
            description: None,
            schema: Json::parse(
                r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
            )
            .unwrap(),
            strict,
        }),
    ]
}

fn choices() -> impl Strategy<Value = ToolChoice> {
    prop_oneof![
        Just(ToolChoice::Unsaid),
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        Just(ToolChoice::One("tool".to_owned())),
        any::<bool>().prop_map(|required| ToolChoice::Among {
            names: vec!["tool".to_owned(), "other".to_owned()],
            required,
        }),
    ]
}

fn tool(name: &str, strict: Option<bool>) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: None,
        schema: Json::parse(
            r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}"#,
        ),
        strict,
        cache: None,
    }
}

prop_compose! {
    fn chats()(
        (system, rounds, last) in
            (prop::option::of(texts()), prop::collection::vec(round(), 0..3), texts()),
        operator in prop::option::of(texts()),
        max_tokens in prop::option::of(16_u64..100_000),
        (temperature, top_p, top_k, seed) in (
            prop::option::of(0_u32..=20), prop::option::of(0_u32..=10),
            prop::option::of(1_u32..50), prop::option::of(any::<i64>()),
        ),
        (penalty, user, tier) in (
            prop::option::of(-2_i8..=2), prop::option::of("[a-z0-9 ]{1,200}"),
            prop::option::of(prop::sample::select(vec!["auto", "default", "flex", "priority"])),
        ),
        choice in choices(),
        (strict, parallel_tools, stream) in (any::<Option<bool>>(), any::<Option<bool>>(), any::<bool>()),
        reasoning in reasonings(),
        format in formats(),
    ) -> Chat {
        let mut chat = Chat { max_tokens, reasoning, parallel_tools, stream, user, ..Chat::default() };
        chat.include_usage = stream;
        chat.system = system.into_iter().map(Block::Text).collect();
        chat.turns = rounds.into_iter().flatten().collect();
        let turn = |role, text| Turn { role, blocks: vec![Block::Text(text)], name: None };
        chat.turns.push(turn(Role::User, last));
        chat.turns.extend(operator.map(|text| turn(Role::System, text)));
        chat.tools = vec![tool("tool", strict), tool("other", None)];
        chat.tool_choice = choice;
        chat.sampling.temperature = temperature.map(|tenths| f64::from(tenths) / 10.0);
        chat.sampling.top_p = top_p.map(|tenths| f64::from(tenths) / 10.0);
        chat.sampling.top_k = top_k.map(f64::from);
        chat.sampling.presence_penalty = penalty.map(f64::from);
        chat.sampling.seed = seed;
        chat.service_tier = tier.map(str::to_owned);
        chat.output.format = format;
        chat
    }
}

proptest! {
    // Each conversation is written for all targets, three times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_written_request_is_taken_and_is_a_fixed_point(chat in chats()) {
        for to in TARGETS {
            let Ok(first) = to.write(&chat) else { continue };
            let faults = to.faults(&first.body);
            prop_assert!(faults.is_empty(), "{}: {:?}", to.model, faults);
            let read = to.dialect().read_request(&first.body).unwrap();
            let second = to.write(&read).unwrap();
            let again = to.dialect().read_request(&second.body).unwrap();
            let third = to.write(&again).unwrap();
            // What was put into words is words from then on, so the second writing may say more than the first.
            let (second, third) = (String::from_utf8(second.body).unwrap(), String::from_utf8(third.body).unwrap());
            prop_assert_eq!(&second, &third, "{}", to.model);
            if !first.dropped.iter().any(|name| name.contains("->")) && again.system == read.system {
                prop_assert_eq!(String::from_utf8(first.body).unwrap(), second, "{}", to.model);
            }
        }
    }

}

proptest! {
    #[test]
    fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        for dialect in DIALECTS {
            all_readers(dialect, &body, status);
        }
    }

    #[test]
    fn usage_is_the_same_after_any_dialect(
        input in 0_u64..1_000_000, read in 0_u64..1_000_000, written in 0_u64..1_000_000,
        output in 0_u64..1_000_000, thinking in 0_u64..1_000_000,
    ) {
        let usage = Usage::of(&[
            (Meter::Input, input), (Meter::CacheRead, read), (Meter::CacheWrite5m, written),
            (Meter::Output, output), (Meter::Reasoning, thinking),
        ]);
        let reply = Reply { usage: Some(UsageReport::single(usage)), ..Reply::default() };
        for dialect in DIALECTS {
            let again = dialect.read_reply(&dialect.write_reply(&reply, &Shape::default())).unwrap().usage.unwrap();
            let mut expected = usage;
            if dialect.name() == "gemini" {
                // Gemini has no word for writing a cache.
                expected.set(Meter::Input, input + written);
                expected.set(Meter::CacheWrite5m, 0);
            }
            prop_assert_eq!(again.total(), expected);
            prop_assert!(!again.inconsistent);
        }
    }
}

fn all_readers(dialect: &dyn wire::Dialect, body: &[u8], status: u16) {
    if let Ok(chat) = dialect.read_request(body) {
        for to in TARGETS {
            let _ = to.write(&chat);
        }
    }
    if let Ok(reply) = dialect.read_reply(body) {
        for other in DIALECTS {
            other.write_reply(&reply, &Shape::default());
        }
    }
    let _ = dialect.read_body_usage(body);
    dialect.write_problem(&dialect.read_problem(status, Some("1"), body));
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = dialect.read_usage(text);
    }
}

#[test]
fn a_malformed_request_names_the_place() {
    for (name, body, path) in [
        ("openai_chat", r#"{"model":"m","messages":[],"temperature":"hot"}"#, "temperature"),
        (
            "openai_chat",
            r#"{"model":"m","messages":[{"role":"user"},{"role":"pirate"}]}"#,
            "messages[1].role",
        ),
        (
            "openai_chat",
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "messages[0].content[0].text",
        ),
        ("openai_chat", r#"{"messages":[]}"#, "model"),
        ("openai_responses", r#"{"model":"m","input":[{"role":"pirate"}]}"#, "input[0].role"),
        (
            "anthropic",
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            "messages[0].content",
        ),
        (
            "anthropic",
            r#"{"model":"m","messages":[],"tools":[{"input_schema":{}}]}"#,
            "tools[0].name",
        ),
        (
            "openai_chat",
            r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":5}}]}"#,
            "tools[0].function.name",
        ),
        (
            "openai_chat",
            r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":"{}"}}]}"#,
            "tools[0].function.parameters",
        ),
        (
            "openai_responses",
            r#"{"model":"m","input":[],"tools":[{"type":"function","name":"f","parameters":5}]}"#,
            "tools[0].parameters",
        ),
        (
            "anthropic",
            r#"{"model":"m","messages":[],"tools":[{"name":"f","input_schema":[]}]}"#,
            "tools[0].input_schema",
        ),
        (
            "gemini",
            r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":-3}]}]}"#,
            "tools[0].functionDeclarations[0].parametersJsonSchema",
        ),
        (
            "gemini",
            r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":[]}]}]}"#,
            "tools[0].functionDeclarations[0].parameters",
        ),
        ("gemini", r#"{"contents":[{"parts":[{"text":7}]}]}"#, "contents[0].parts[0].text"),
        ("gemini", r#"{"contents":[],"generationConfig":{"topP":"x"}}"#, "generationConfig.topP"),
    ] {
        let error = dialect(name).unwrap().read_request(body.as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{body}");
    }
    let twice = br#"{"model":"a","model":"b","messages":[]}"#;
    for dialect in DIALECTS {
        assert!(
            dialect.read_request(twice).is_err(),
            "a second model must not win: {}",
            dialect.name()
        );
    }
}

#[test]
fn paths() {
    let path = |name: &str, model: &str| dialect(name).unwrap().request_path(model, false);
    assert_eq!(path("openai_chat", "x"), "/chat/completions");
    assert_eq!(path("openai_responses", "x"), "/responses");
    assert_eq!(path("anthropic", "x"), "/v1/messages");
    assert_eq!(
        path("gemini", "models/gemini-3-flash"),
        "/v1beta/models/gemini-3-flash:generateContent"
    );
    assert_eq!(
        path("gemini", "a/../b?key=1"),
        "/v1beta/models/a%2F..%2Fb%3Fkey%3D1:generateContent"
    );
}
