//! Writing a client's stream.

use ledger::{Meter, Pass, Region, ServiceTier, Usage, UsageReport};
use proptest::prelude::*;
use serde_json::Value;
use wire::Problem;
use wire::chat::{Block, Citation, Media, MediaKind, Seal, Source};
use wire::collect::{collect, events};
use wire::problem::Kind;
use wire::reply::{Finish, Reply};
use wire::stream::{Event, Metered, Opening, Shape};

use super::{anthropic, json, native, read, written};

/// The frames of a stream: the name of each event, and its data.
fn frames(stream: &str) -> Vec<(String, Value)> {
    let frame = |text: &str| {
        let (name, data) = text.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap().to_owned();
        (name, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
    };
    stream.split_terminator("\n\n").map(frame).collect()
}

fn start() -> Event {
    Event::Start { id: "resp_1".to_owned(), model: "gpt".to_owned() }
}

fn open(index: u32, block: Opening) -> Event {
    Event::Open { index, block }
}

fn text(index: u32, text: &str) -> Event {
    Event::Text { index, text: text.to_owned() }
}

fn part(index: u32, part: &str) -> Event {
    Event::Json { index, part: part.to_owned() }
}

fn call(index: u32, id: &str, name: &str) -> Event {
    open(index, Opening::ToolUse { id: id.to_owned(), name: name.to_owned() })
}

fn finish(finish: Finish) -> Event {
    Event::Finish { finish, stop_sequence: None }
}

fn seal(dialect: &'static str, value: &str) -> Seal {
    Seal { dialect, value: value.to_owned() }
}

#[test]
fn an_answer_in_the_frames_that_sdks_ask_for() {
    let usage = UsageReport::single(Usage::of(&[(Meter::Input, 7), (Meter::Output, 3)]));
    let stream = written(&[
        start(),
        open(0, Opening::Text),
        text(0, "a\"\nb"),
        Event::Close { index: 0 },
        call(1, "call.1", "f"),
        part(1, "{\"x\":"),
        part(1, "1}"),
        Event::Close { index: 1 },
        finish(Finish::ToolUse),
        // Chat Completions tells the usage last.
        Event::Usage(Metered::new(usage)),
        Event::End,
    ]);
    insta::assert_snapshot!("anthropic_stream", stream);
    for (name, data) in frames(&stream) {
        assert_eq!(data["type"], name, "SDKs pass over events without their name");
    }
}

#[test]
fn an_answer_without_content_still_has_its_frame() {
    let stream =
        written(&[Event::Finish { finish: Finish::Stop, stop_sequence: None }, Event::End]);
    let names: Vec<_> = frames(&stream).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["message_start", "message_delta", "message_stop"]);
    assert_eq!(frames(&stream)[0].1["message"]["id"], "msg_given");
    assert_eq!(frames(&stream)[0].1["message"]["model"], "given");
}

#[test]
fn a_failure_is_an_error_event_and_the_last() {
    for (events, kind) in [
        (vec![Event::Problem(Problem::own(Kind::Upstream, "cut"))], "api_error"),
        (
            vec![
                start(),
                open(0, Opening::Text),
                text(0, "x"),
                Event::Problem(Problem::own(Kind::Overloaded, "full")),
            ],
            "overloaded_error",
        ),
        (vec![start(), finish(Finish::Failed), Event::End], "overloaded_error"),
    ] {
        let more = [events, vec![Event::End, text(0, "late")]].concat();
        let (name, data) = frames(&written(&more)).pop().unwrap();
        assert_eq!((name.as_str(), data["error"]["type"].as_str()), ("error", Some(kind)));
        assert_eq!(data["type"], "error");
        assert!(!written(&more).contains("message_stop"));
    }
}

#[test]
fn pings_are_events_of_their_own() {
    let ping = anthropic().writer(Shape::default()).ping();
    assert_eq!(ping, b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

#[test]
fn blocks_that_interleave_come_one_after_the_other() {
    let mixed = written(&[
        start(),
        call(0, "a", "f"),
        call(1, "b", "g"),
        part(1, "{\"y\""),
        part(0, "{\"x\""),
        open(2, Opening::Text),
        text(2, "z"),
        part(0, ":1}"),
        Event::Close { index: 2 },
        Event::Close { index: 0 },
        part(1, ":2}"),
        Event::Close { index: 1 },
        finish(Finish::ToolUse),
        Event::End,
    ]);
    let order: Vec<(String, u64)> = frames(&mixed)
        .into_iter()
        .filter_map(|(name, data)| Some((name, data["index"].as_u64()?)))
        .collect();
    assert!(order.is_sorted_by_key(|(_, index)| *index), "{order:?}");
    assert!(mixed.find("\\\"x\\\"").unwrap() < mixed.find("\\\"y\\\"").unwrap());
    let reply = collect(read(&mixed).0).unwrap();
    let inputs: Vec<_> = reply
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::ToolUse { input, .. } => Some(input.get()),
            _ => None,
        })
        .collect();
    assert_eq!((inputs, reply.text().as_str()), (vec!["{\"x\":1}", "{\"y\":2}"], "z"));
}

#[test]
fn arguments_are_an_object_whatever_the_model_wrote() {
    let streamed = |parts: &[&str]| {
        let parts = parts.iter().map(|text| part(0, text)).collect();
        let end = vec![Event::Close { index: 0 }, finish(Finish::ToolUse), Event::End];
        let stream = written(&[vec![start(), call(0, "a", "f")], parts, end].concat());
        let deltas: Vec<String> = frames(&stream)
            .into_iter()
            .filter_map(|(_, data)| Some(data["delta"]["partial_json"].as_str()?.to_owned()))
            .collect();
        deltas
    };
    assert_eq!(streamed(&[" ", "{\"a\"", ":1}"]), [" {\"a\"", ":1}"]);
    assert_eq!(streamed(&["\"a", "\""]), ["{\"_raw\":\"a\"}"]);
    assert_eq!(streamed(&["no", " json"]), ["{\"_raw\":\"no json\"}"]);
    assert_eq!(streamed(&[]), ["{}"]);
}

#[test]
fn thoughts_always_have_a_signature() {
    let thoughts = |body: Vec<Event>| {
        let all = [
            vec![start(), open(0, Opening::Thinking)],
            body,
            vec![Event::Close { index: 0 }, finish(Finish::Stop), Event::End],
        ];
        frames(&written(&all.concat()))
            .into_iter()
            .filter(|(name, _)| name.starts_with("content_block"))
            .map(|(_, data)| data)
            .collect::<Vec<_>>()
    };
    let sealed = |seal: Seal| Event::Seal { index: 0, seal };
    let unsigned = thoughts(vec![text(0, "hm")]);
    assert_eq!(unsigned[2]["delta"]["signature"], "tg1.unsigned");
    let foreign = thoughts(vec![sealed(seal("gemini", "c2ln")), text(0, "hm")]);
    assert_eq!(foreign[2]["delta"]["signature"], "tg1.gemini.YzJsbg");
    let own = thoughts(vec![sealed(seal("anthropic", "c2ln"))]);
    assert_eq!(
        (&own[0]["content_block"]["type"], &own[1]["delta"]["signature"]),
        (&"thinking".into(), &"c2ln".into())
    );
    let withheld = thoughts(vec![sealed(seal("anthropic", "redacted:ZGF0YQ=="))]);
    assert_eq!(
        withheld[0]["content_block"],
        serde_json::json!({"type": "redacted_thinking", "data": "ZGF0YQ=="})
    );
    let opaque = thoughts(vec![sealed(seal("openai_responses", "{}"))]);
    assert_eq!(opaque[0]["content_block"]["data"], "tg1.openai_responses.e30");
    assert!(thoughts(vec![]).is_empty(), "nothing thought, nothing sealed, nothing shown");
}

/// What blocks of thoughts without a text, of text and of calls become: the kind of each, with the data of what is withheld.
fn told(blocks: &[Block], thinking: &str) -> (Vec<String>, Vec<Block>) {
    let reply = Reply { blocks: blocks.to_vec(), ..Reply::default() };
    let asked = format!(r#"{{"model":"m","thinking":{thinking},"messages":[]}}"#);
    let shape = Shape { echo: anthropic().echo(asked.as_bytes()), ..Shape::default() };
    let whole: Value = serde_json::from_slice(&anthropic().write_reply(&reply, &shape)).unwrap();
    let kind = |block: &Value| {
        let data = block["data"].as_str().map(|data| format!(" {data}")).unwrap_or_default();
        format!("{}{data}", block["type"].as_str().unwrap())
    };
    let kinds: Vec<String> = whole["content"].as_array().unwrap().iter().map(kind).collect();
    let (mut writer, mut streamed) = (anthropic().writer(shape), Vec::new());
    for event in events(reply) {
        writer.event(event, &mut streamed);
    }
    let streamed: Vec<String> = frames(&String::from_utf8(streamed).unwrap())
        .iter()
        .filter(|(name, _)| name == "content_block_start")
        .map(|(_, data)| kind(&data["content_block"]))
        .collect();
    assert_eq!(kinds, streamed, "whole and streamed answers have one order");
    let turn = serde_json::json!({"role": "assistant", "content": whole["content"]});
    let body = serde_json::json!({"model": "m", "messages": [turn]});
    let chat = anthropic().read_request(body.to_string().as_bytes()).unwrap();
    (kinds, chat.turns[0].blocks.clone())
}

/// Programs take the first block of an answer for its text, or the last.
#[test]
fn state_of_thoughts_comes_behind_their_text_where_more_does_and_back() {
    const PHASE: &str = "redacted_thinking tg1.openai_responses.eyJwaGFzZSI6ImZpbmFsX2Fuc3dlciJ9";
    let state = |value: &str| Block::Thinking {
        text: String::new(),
        seal: Some(seal("openai_responses", value)),
    };
    let say = |text: &str| Block::Text(text.to_owned());
    let call = Block::ToolUse {
        id: "call_1".to_owned(),
        name: "f".to_owned(),
        input: json("{}"),
        seal: None,
    };
    let own = |value: &str| Block::Thinking {
        text: String::new(),
        seal: Some(seal("anthropic", &format!("redacted:{value}"))),
    };
    let phase = Block::Native(wire::chat::Native {
        dialect: "openai_responses",
        ..native("phase", r#"{"phase":"final_answer"}"#)
    });
    let (a, b) = (
        "redacted_thinking tg1.openai_responses.YQ",
        "redacted_thinking ahead.tg1.openai_responses.YQ",
    );
    // Who has asked for thoughts gets state where it stands, but never behind the last text.
    let thought = [
        (vec![state("a"), say("x")], vec![a, "text"]),
        (vec![state("a"), phase.clone(), say("x")], vec![a, PHASE, "text"]),
        (vec![say("x"), state("z")], vec!["text"]),
        (vec![say("x"), state("a"), say("y")], vec!["text", a, "text"]),
        (vec![state("a"), say("x"), call.clone()], vec![a, "text", "tool_use"]),
        (vec![say("x"), state("a"), call.clone()], vec!["text", a, "tool_use"]),
        (vec![state("a")], vec![a]),
    ];
    let cases = [
        (vec![state("a"), say("x")], vec!["text"]),
        (vec![state("a"), phase, say("x")], vec!["text"]),
        (vec![say("x"), state("a")], vec!["text"]),
        (vec![say("x"), state("a"), say("y")], vec!["text", a, "text"]),
        (vec![say("x"), state("a"), call.clone()], vec!["text", a, "tool_use"]),
        (vec![say("x"), state("a"), say("y"), call.clone()], vec!["text", a, "text", "tool_use"]),
        (vec![state("a"), call.clone()], vec![a, "tool_use"]),
        (vec![state("a"), say("x"), call.clone()], vec!["text", b, "tool_use"]),
        (vec![state("a"), state("a"), say("x"), call], vec!["text", b, b, "tool_use"]),
        (vec![state("a")], vec![a]),
        (vec![own("YQ"), say("x")], vec!["redacted_thinking YQ", "text"]),
    ];
    for thinking in [r#"{"type":"enabled","budget_tokens":1024}"#, r#"{"type":"adaptive"}"#] {
        for (blocks, expected) in &thought {
            let (kinds, again) = told(blocks, thinking);
            assert_eq!(kinds, *expected);
            let sent = if blocks.last() == Some(&state("z")) { &blocks[..1] } else { blocks };
            assert_eq!(again, *sent, "as it was, for the provider");
        }
    }
    for (blocks, expected) in cases {
        let (kinds, again) = told(&blocks, r#"{"type":"disabled"}"#);
        assert_eq!(kinds, expected);
        assert_eq!(told(&blocks, "null").0, expected);
        if kinds.last().is_some_and(|last| last == "text")
            && kinds.iter().all(|kind| kind == "text")
        {
            let texts = blocks.iter().filter(|block| matches!(block, Block::Text(_)));
            assert_eq!(again, texts.cloned().collect::<Vec<_>>(), "no state without its text");
        } else {
            assert_eq!(again, blocks, "as it was, for the provider");
        }
    }
}

#[test]
fn state_of_a_call_comes_behind_it_and_back() {
    let reply = Reply {
        blocks: vec![
            Block::ToolUse {
                id: "call_1".to_owned(),
                name: "f".to_owned(),
                input: json("{\"a\":1}"),
                seal: Some(seal("gemini", "c2ln")),
            },
            Block::ToolUse {
                id: "call_2".to_owned(),
                name: "f".to_owned(),
                input: json("{}"),
                seal: None,
            },
        ],
        finish: Finish::ToolUse,
        ..Reply::default()
    };
    let body = anthropic().write_reply(&reply, &Shape::default());
    let content = serde_json::from_slice::<Value>(&body).unwrap()["content"].clone();
    let streamed: Vec<Value> = frames(&written(&events(reply.clone())))
        .into_iter()
        .filter(|(name, _)| name == "content_block_start")
        .map(|(_, data)| data["content_block"]["type"].clone())
        .collect();
    assert_eq!(streamed, ["tool_use", "redacted_thinking", "tool_use"]);
    let request = serde_json::json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": content}]});
    let chat = super::chat_of(&request.to_string());
    assert_eq!(chat.turns[1].blocks, reply.blocks);
}

#[test]
fn a_refusal_is_said_and_explained() {
    let stream = written(&[
        start(),
        open(0, Opening::Refusal),
        text(0, "I will not."),
        Event::Close { index: 0 },
        finish(Finish::Filter),
        Event::End,
    ]);
    let delta = &frames(&stream)[4].1["delta"];
    assert_eq!(delta["stop_reason"], "refusal");
    assert_eq!(delta["stop_details"]["explanation"], "I will not.");
    assert_eq!(collect(read(&stream).0).unwrap().text(), "I will not.");
}

#[test]
fn a_picture_is_told_of_and_a_foreign_block_is_left_out() {
    let picture =
        Media::new(MediaKind::Image, Source::Url("https://example.com/a.png".to_owned()), None);
    let foreign = wire::chat::Native { dialect: "gemini", ..native("x", "{}") };
    let reply =
        Reply { blocks: vec![Block::Media(picture), Block::Native(foreign)], ..Reply::default() };
    let text = "[image: https://example.com/a.png]";
    assert_eq!(collect(read(&written(&events(reply.clone()))).0).unwrap().text(), text);
    let body = anthropic().write_reply(&reply, &Shape::default());
    assert_eq!(anthropic().read_reply(&body).unwrap().text(), text);
}

fn words() -> impl Strategy<Value = String> {
    "[a-z \"\\\\\n{}é🦀]{1,12}"
}

fn seals() -> impl Strategy<Value = Seal> {
    let dialect = prop_oneof![Just("anthropic"), Just("gemini"), Just("openai_chat"),];
    (dialect, "[a-zA-Z0-9+/]{1,12}").prop_map(|(dialect, value)| Seal { dialect, value })
}

fn citations() -> impl Strategy<Value = Citation> {
    let own = r#"{"type":"web_search_result_location","url":"https://e.com","title":"T","encrypted_index":"RW8","cited_text":"c"}"#;
    let own = Citation {
        url: "https://e.com".to_owned(),
        title: Some("T".to_owned()),
        cited_text: Some("c".to_owned()),
        span: None,
        native: Some(native("content.citations", own)),
    };
    let foreign = (words(), proptest::option::of(words()), proptest::option::of(words()));
    let foreign = foreign.prop_map(|(url, title, cited_text)| Citation {
        url,
        title,
        cited_text,
        ..Citation::default()
    });
    prop_oneof![Just(own), foreign]
}

/// A block and its events, but for its number.
fn bodies() -> impl Strategy<Value = (Opening, Vec<Event>)> {
    let say = |text: String| Event::Text { index: 0, text };
    let said =
        (proptest::collection::vec(words(), 0..3), proptest::collection::vec(citations(), 0..2))
            .prop_map(move |(texts, sources)| {
                let cite = |citation| Event::Cite { index: 0, citation };
                (
                    Opening::Text,
                    texts.into_iter().map(say).chain(sources.into_iter().map(cite)).collect(),
                )
            });
    let thought = (proptest::collection::vec(words(), 1..3), proptest::option::of(seals()))
        .prop_map(move |(texts, seal)| {
            let seal = seal.map(|seal| Event::Seal { index: 0, seal });
            (Opening::Thinking, texts.into_iter().map(say).chain(seal).collect())
        });
    let opaque = (seals(), any::<bool>()).prop_map(move |(mut seal, redacted)| {
        // Where state of other providers goes is another test.
        seal.dialect = "anthropic";
        if redacted {
            seal.value.insert_str(0, "redacted:");
        }
        (Opening::Thinking, vec![Event::Seal { index: 0, seal }])
    });
    let called =
        ("[a-z]{1,5}", proptest::collection::vec(words(), 1..3)).prop_map(|(name, parts)| {
            let parts = parts.into_iter().enumerate();
            // Arguments begin like an object; what does not is another test.
            let part = |(at, part)| if at == 0 { format!("{{{part}") } else { part };
            let parts = parts.map(part).map(|part| Event::Json { index: 0, part });
            (Opening::ToolUse { id: format!("id_{name}"), name }, parts.collect())
        });
    let whole = prop_oneof![
        Just(native(
            "web_search_tool_result",
            r#"{"type":"web_search_tool_result","content":[1, 2]}"#
        )),
        Just(native("hologram", r#"{"type":"hologram"}"#)),
    ]
    .prop_map(|native| (Opening::Native(native), Vec::new()));
    prop_oneof![said, thought, opaque, called, whole]
}

fn numbered(index: u32, event: Event) -> Event {
    match event {
        Event::Text { text, .. } => Event::Text { index, text },
        Event::Json { part, .. } => Event::Json { index, part },
        Event::Cite { citation, .. } => Event::Cite { index, citation },
        Event::Seal { seal, .. } => Event::Seal { index, seal },
        other => other,
    }
}

fn finishes() -> impl Strategy<Value = Event> {
    let finish = prop_oneof![
        Just(Finish::Stop),
        Just(Finish::StopSequence),
        Just(Finish::ToolUse),
        Just(Finish::Length),
        Just(Finish::Filter),
        Just(Finish::Pause),
    ];
    (finish, proptest::option::of(words()))
        .prop_map(|(finish, stop_sequence)| Event::Finish { finish, stop_sequence })
}

fn reports() -> impl Strategy<Value = UsageReport> {
    let counts = proptest::collection::vec(0_u64..100_000, 7);
    let tier = prop_oneof![
        Just(ServiceTier::Standard),
        Just(ServiceTier::Priority),
        Just(ServiceTier::Batch)
    ];
    let region = prop_oneof![Just(Region::Global), Just(Region::Us), Just(Region::Eu)];
    (counts, tier, region, any::<bool>()).prop_map(|(counts, service_tier, region, fast)| {
        const METERS: [Meter; 7] = [
            Meter::Input,
            Meter::CacheRead,
            Meter::CacheWrite5m,
            Meter::CacheWrite1h,
            Meter::Output,
            Meter::Reasoning,
            Meter::WebSearch,
        ];
        let counters: Vec<_> = METERS.into_iter().zip(counts).collect();
        let passes = vec![Pass { model: None, usage: Usage::of(&counters) }];
        UsageReport { passes, service_tier, region, fast, inconsistent: false, route: None }
    })
}

prop_compose! {
    fn answers()(
        bodies in proptest::collection::vec(bodies(), 0..6), finish in finishes(), report in reports(),
    ) -> (Vec<Vec<Event>>, Vec<Event>) {
        let blocks = bodies.into_iter().zip(0_u32..).map(|((block, body), index)| {
            let body = body.into_iter().map(|event| numbered(index, event));
            let first = std::iter::once(Event::Open { index, block });
            first.chain(body).chain([Event::Close { index }]).collect()
        });
        (blocks.collect(), vec![Event::Usage(Metered::new(report)), finish, Event::End])
    }
}

fn steps(events: Vec<Event>) -> Vec<Event> {
    // The usage at the start is not known yet when this dialect asks for it.
    let last = events.iter().rposition(|event| matches!(event, Event::Usage(_)));
    let keep = |(at, _): &(usize, Event)| Some(*at) == last;
    events
        .into_iter()
        .enumerate()
        .filter(|pair| keep(pair) || !matches!(pair.1, Event::Usage(_)))
        .map(|(_, event)| event)
        .collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again((blocks, end) in answers()) {
        let events = [vec![start()], blocks.concat(), end].concat();
        let again = read(&written(&events)).0;
        prop_assert_eq!(steps(again), events);
    }

    #[test]
    fn blocks_in_any_order_are_the_same_answer(
        (blocks, end) in answers(), turns in proptest::collection::vec(0_usize..6, 0..40),
    ) {
        let expected = collect([vec![start()], blocks.concat(), end.clone()].concat()).unwrap();
        // Each block goes on when it is its turn; the opening order stays.
        let mut mixed = vec![start()];
        let mut rest: Vec<std::vec::IntoIter<Event>> = Vec::new();
        let mut unopened = blocks.into_iter();
        for turn in turns {
            match rest.get_mut(turn) {
                Some(block) => mixed.extend(block.next()),
                None => if let Some(mut block) = unopened.next().map(Vec::into_iter) {
                    mixed.extend(block.next());
                    rest.push(block);
                },
            }
        }
        mixed.extend(rest.into_iter().flatten());
        mixed.extend(unopened.flatten());
        mixed.extend(end);
        let again = collect(read(&written(&mixed)).0).unwrap();
        let mut blocks = again.blocks.clone();
        let mut wanted = expected.blocks.clone();
        // Blocks come in the order in which they could be written.
        let key = |block: &Block| format!("{block:?}");
        blocks.sort_by_key(key);
        wanted.sort_by_key(key);
        prop_assert_eq!(blocks, wanted);
        prop_assert_eq!((again.finish, again.usage), (expected.finish, expected.usage));
    }

    #[test]
    fn whole_and_streamed_answers_are_the_same((blocks, end) in answers()) {
        let mut reply = collect([vec![start()], blocks.concat(), end].concat()).unwrap();
        // What a client must see is told by the events already.
        reply.finish = reply.finish_for_client();
        let whole = anthropic().read_reply(&anthropic().write_reply(&reply, &Shape::default())).unwrap();
        let streamed = collect(read(&written(&events(reply))).0).unwrap();
        prop_assert_eq!(whole, streamed);
    }
}
