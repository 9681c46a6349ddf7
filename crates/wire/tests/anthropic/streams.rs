//! Reading a provider's stream.

use ledger::Meter::{CacheRead, CacheWrite1h, CacheWrite5m, Input, Output, Reasoning, WebSearch};
use ledger::{Meter, Region, ServiceTier, Usage};
use proptest::prelude::*;
use serde_json::Value;
use wire::chat::{Block, Citation, Seal};
use wire::collect::collect;
use wire::problem::Kind;
use wire::reply::Finish;
use wire::sse::Frame;
use wire::stream::{End, Event, Opening, Shape};

use super::{anthropic, followed, json, keeps_promises, native, read, skimmed, splits_alike};

macro_rules! streams {
    ($($name:literal)*) => {
        /// The streams of our own, by name.
        pub(super) const STREAMS: &[(&str, &str)] = &[$((
            $name,
            include_str!(concat!("../../../testkit/fixtures/anthropic/", $name, "_stream.sse")),
        ),)*];
    };
}

streams! {
    "text" "thinking" "tools" "tools_interleaved" "truncated" "stop_sequence" "refusal" "error" "cut"
    "cut_after_usage" "usage_late" "cache" "search" "advisor" "json_answer"
}

pub(super) fn stream(name: &str) -> &'static str {
    STREAMS.iter().find(|(of, _)| *of == name).unwrap().1
}

/// Of longer streams not every byte is tried where it takes long.
const SHORT: usize = 850;

fn blocks(name: &str) -> Vec<Block> {
    collect(read(stream(name)).0).unwrap().blocks
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn call(id: &str, name: &str, input: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: name.to_owned(), input: json(input), seal: None }
}

fn thought(text: &str, seal: &str) -> Block {
    let seal = Some(Seal { dialect: "anthropic", value: seal.to_owned() });
    Block::Thinking { text: text.to_owned(), seal }
}

#[test]
fn text_comes_bit_by_bit() {
    let (events, seen) = read(stream("text"));
    let parts: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(parts, ["The ferry \"Möwe\"", " leaves at\nsix 🚢", "."]);
    assert_eq!(
        events[0],
        Event::Start {
            id: "msg_01TollgateStream00000001".to_owned(),
            model: "claude-sonnet-4-5-20250929".to_owned()
        }
    );
    assert_eq!(seen.output_bytes, 37);
    assert!(seen.whole && seen.usage_final && !seen.failed);
    assert_eq!(seen.finish, Some(Finish::Stop));
}

#[test]
fn thoughts_keep_their_signatures_and_what_was_withheld() {
    let expected = [
        thought("Lane one is shut, so lane two.", "EqQBdG9sbGdhdGUtc3RyZWFt"),
        thought("", "EqQBb21pdHRlZA=="),
        thought("", "redacted:EmwKAhgBc3RyZWFt"),
        text("Lane two."),
    ];
    assert_eq!(blocks("thinking"), expected);
}

#[test]
fn parallel_calls_with_and_without_arguments() {
    let expected = [
        text("Looking."),
        call("toolu_01A", "find_ship", "{\"mast\": 3, \"name\": \"Möwe\"}"),
        call("toolu_01B", "list_lanes", "{}"),
        call("toolu_01C", "find_ship", "{\"id\":12345678901234567890123}"),
    ];
    assert_eq!(blocks("tools"), expected);
    let (events, _) = read(stream("tools"));
    let empty = Event::Json { index: 2, part: "{}".to_owned() };
    assert!(events.contains(&empty), "a call without arguments has an empty object");
}

#[test]
fn blocks_may_interleave_and_arguments_may_stand_in_the_start() {
    let expected = [
        call("toolu_01A", "a", "{\"x\":1}"),
        call("toolu_01B", "b", "{\"y\":2}"),
        call("toolu_01C", "c", "{\"z\":3}"),
    ];
    assert_eq!(blocks("tools_interleaved"), expected);
}

#[test]
fn a_call_cut_by_the_limit_is_told_as_far_as_it_came() {
    let (events, seen) = read(stream("truncated"));
    assert!(events.contains(&Event::Json { index: 0, part: "{\"mast\": 3, \"na".to_owned() }));
    assert_eq!(seen.finish, Some(Finish::Length));
}

#[test]
fn a_stop_text_is_named() {
    let reply = collect(read(stream("stop_sequence")).0).unwrap();
    assert_eq!(
        (reply.finish, reply.stop_sequence.as_deref()),
        (Finish::StopSequence, Some("three"))
    );
}

#[test]
fn a_refusal_says_why_where_nothing_else_is_said() {
    let why = "The request asks for forged toll receipts.".to_owned();
    let reply = collect(read(stream("refusal")).0).unwrap();
    assert_eq!(reply.blocks, [Block::Refusal(why.clone())]);
    assert_eq!((reply.finish, reply.text()), (Finish::Filter, why));
    let said = stream("refusal").replace(
        "event: message_delta",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"I\"}}\n\nevent: message_delta",
    );
    assert_eq!(collect(read(&said).0).unwrap().blocks, [text("I")]);
}

#[test]
fn an_error_in_the_middle_is_the_end() {
    let (events, seen) = read(stream("error"));
    let Some(Event::Problem(problem)) = events.last() else { panic!("no problem: {events:?}") };
    assert_eq!(
        (problem.kind, problem.status, problem.message.as_str()),
        (Kind::Overloaded, 529, "Overloaded")
    );
    assert!(seen.failed && !seen.whole && seen.finish.is_none());
    assert_eq!(seen.output_bytes, 11, "what comes after an error is not read");
}

#[test]
fn a_stream_without_its_end_is_cut() {
    for (name, usage_final) in [("cut", false), ("cut_after_usage", true)] {
        let (events, seen) = read(stream(name));
        let Some(Event::Problem(problem)) = events.last() else { panic!("{name}: no problem") };
        assert_eq!(problem.kind, Kind::Upstream);
        assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. } | Event::End)));
        assert_eq!((seen.whole, seen.failed, seen.usage_final), (false, false, usage_final));
    }
    let mut reader = anthropic().reader();
    let mut events = Vec::new();
    reader.end(End::Idle, &mut events);
    assert!(matches!(&events[..], [Event::Problem(problem)] if problem.kind == Kind::Timeout));
}

#[track_caller]
fn used(name: &str, expected: &[(Meter, u64)]) {
    let usage = read(stream(name)).1.usage.unwrap();
    assert_eq!(usage.total(), Usage::of(expected), "{name}");
    assert!(!usage.inconsistent, "{name}");
}

#[test]
fn usage_is_merged_from_start_and_end() {
    used("text", &[(Input, 20), (Output, 9)]);
    // The end leaves out the input side.
    used("thinking", &[(Input, 20), (Output, 9), (Reasoning, 21)]);
    // Only the start has the split and the terms.
    used(
        "cache",
        &[(Input, 5), (CacheRead, 1000), (CacheWrite5m, 100), (CacheWrite1h, 200), (Output, 7)],
    );
    let usage = read(stream("cache")).1.usage.unwrap();
    assert_eq!(
        (usage.service_tier, usage.region, usage.fast),
        (ServiceTier::Priority, Region::Us, true)
    );
    // Each search reads the prompt again.
    used("search", &[(Input, 3042), (Output, 187), (WebSearch, 2)]);
    // The truth comes late, and null takes nothing back.
    used("usage_late", &[(Input, 700), (CacheRead, 30), (Output, 5)]);
    // As far as it was told.
    used("cut", &[(Input, 40), (CacheRead, 500), (Output, 2)]);
    assert!(!read(stream("cut")).1.usage_final);
}

#[test]
fn passes_outside_the_totals_are_passes_of_their_own() {
    let usage = read(stream("advisor")).1.usage.unwrap();
    let passes: Vec<_> = usage
        .passes
        .iter()
        .map(|pass| (pass.model.as_deref(), pass.usage.input_tokens(), pass.usage.output_tokens()))
        .collect();
    assert_eq!(
        passes,
        [(None, 50, 20), (None, 1000, 90), (Some("claude-opus-4-8"), 2400, 75), (None, 1300, 30)]
    );
    assert_eq!(usage.total().get(Reasoning), 30);
}

#[test]
fn figures_that_shrink_count_in_full_on_a_cut_only() {
    let whole = stream("text").replace("\"input_tokens\":20,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":9", "\"input_tokens\":15,\"output_tokens\":9");
    assert_eq!(read(&whole).1.usage.unwrap().total(), Usage::of(&[(Input, 15), (Output, 9)]));
    let cut = whole.replace("\"stop_reason\":\"end_turn\"", "\"stop_reason\":null");
    let cut = cut.split("event: message_stop").next().unwrap();
    let seen = read(cut).1;
    assert!(!seen.usage_final);
    assert_eq!(seen.usage.unwrap().total(), Usage::of(&[(Input, 20), (Output, 9)]));
}

#[test]
fn blocks_of_the_provider_s_own_tools_come_whole() {
    let url = "https://example.com/tolls".to_owned();
    let raw = r#"{"type":"web_search_result_location","url":"https://example.com/tolls","title":"Tolls","encrypted_index":"Eo8Bc3RyZWFt","cited_text":"Cars: 62 EUR"}"#;
    let citation = Citation {
        url,
        title: Some("Tolls".to_owned()),
        cited_text: Some("Cars: 62 EUR".to_owned()),
        span: None,
        native: Some(native("content.citations", raw)),
    };
    let use_of_search = r#"{"type":"server_tool_use","id":"srvtoolu_01A","name":"web_search","input":{"query": "bridge toll"}}"#;
    let blocks = blocks("search");
    assert_eq!(blocks[0], Block::Native(native("server_tool_use", use_of_search)));
    let Block::Native(result) = &blocks[1] else { panic!("{:?}", blocks[1]) };
    assert!(result.field == "web_search_tool_result" && result.raw.get().contains("EpQBc3RyZWFt"));
    assert_eq!(blocks[2], text("Cars pay 62 euros, lorries 90."));
    assert_eq!(blocks[3], Block::Citation(citation));
    let Block::Native(page) = &blocks[4] else { panic!("{:?}", blocks[4]) };
    assert!(page.field == "content.citations" && page.raw.get().contains("page_location"));
    assert_eq!(blocks.len(), 5);
    let seen = read(stream("search")).1;
    assert_eq!(seen.finish, Some(Finish::Pause));
    assert!(
        !read(stream("search"))
            .0
            .iter()
            .any(|event| matches!(event, Event::Open { block: Opening::ToolUse { .. }, .. }))
    );
}

#[test]
fn blocks_and_events_to_come_are_kept_or_passed_over() {
    let expected = [
        Block::Native(native(
            "compaction",
            r#"{"type":"compaction","content":"Earlier: tolls.","encrypted_content":null}"#,
        )),
        Block::Native(native(
            "server_tool_use",
            r#"{"type":"server_tool_use","id":"srvtoolu_01B","name":"advisor","input":{}}"#,
        )),
        Block::Native(native(
            "advisor_tool_result",
            r#"{"type":"advisor_tool_result","tool_use_id":"srvtoolu_01B","content":{"type":"advisor_result","text":"Two lanes.","stop_reason":"end_turn"}}"#,
        )),
        Block::Native(native("hologram", r#"{"type":"hologram","shape":{"deep":[1]},"glow":1}"#)),
        text("Two lanes."),
    ];
    assert_eq!(blocks("advisor"), expected);
}

#[test]
fn the_tool_that_stands_in_for_a_format_is_the_answer() {
    let reply = collect(read(stream("json_answer")).0).unwrap();
    assert_eq!(reply.blocks, [text("{\"lanes\":{\"1\":\"open\"}}")]);
    assert_eq!(reply.finish, Finish::Stop);
}

#[test]
fn every_stream_keeps_the_promises() {
    for (name, stream) in STREAMS {
        println!("{name}");
        keeps_promises(&read(stream).0);
    }
}

#[test]
fn borders_of_chunks_and_of_lines_change_nothing() {
    for (name, stream) in STREAMS {
        splits_alike(name, stream, if stream.len() < SHORT { 1 } else { 61 });
        let whole = read(stream);
        let lines = stream.replace('\n', "\r\n");
        assert_eq!(read(&format!("\u{feff}: hello\r\n\r\n{lines}")), whole, "{name} with CRLF");
        let unnamed: String = stream
            .lines()
            .filter(|line| !line.starts_with("event:"))
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(read(&unnamed), whole, "{name} without names of events");
    }
}

#[test]
fn skimming_knows_the_same() {
    for (name, stream) in STREAMS {
        assert_eq!(skimmed(stream), followed(stream), "{name}");
    }
}

#[test]
fn a_cut_anywhere_is_never_an_end() {
    for (name, stream) in STREAMS {
        let Some(end) = stream.find("event: message_stop\ndata: {\"type\":\"message_stop\"") else {
            continue;
        };
        let stride = if stream.len() < SHORT { 1 } else { 11 };
        for (at, _) in stream.char_indices().filter(|(at, _)| *at <= end).step_by(stride) {
            let (events, seen) = read(&stream[..at]);
            keeps_promises(&events);
            assert!(matches!(events.last(), Some(Event::Problem(_))), "{name} cut at {at}");
            assert!(!seen.whole);
        }
    }
}

#[test]
fn a_frame_that_is_no_json_is_a_problem_and_done_is_not() {
    let broken = "event: message_start\ndata: {\"type\":\n\n";
    let (events, seen) = read(broken);
    assert!(matches!(&events[..], [Event::Problem(problem)] if problem.kind == Kind::Malformed));
    assert!(seen.failed);
    let done = format!("{}data: [DONE]\n\n", stream("text"));
    assert_eq!(read(&done), read(stream("text")));
}

/// Any JSON, with the words of this dialect in it.
fn jsons() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("type"),
        Just("index"),
        Just("delta"),
        Just("message"),
        Just("usage"),
        Just("content_block"),
        Just("input"),
        Just("text"),
        Just("citations"),
        Just("error"),
        Just("id"),
        Just("stop_reason"),
        Just("output_tokens"),
        Just("text_delta"),
        Just("tool_use"),
        Just("server_tool_use"),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        (0_u64..3).prop_map(|n| n.to_string()),
        word.clone().prop_map(|word| format!("\"{word}\"")),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec((word.clone(), inner.clone()), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            proptest::collection::vec(inner, 0..3).prop_map(|list| format!("[{}]", list.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_promises_hold(
        frames in proptest::collection::vec((0_usize..9, jsons()), 0..12),
    ) {
        const NAMES: [&str; 9] = [
            "", "message_start", "content_block_start", "content_block_delta", "content_block_stop",
            "message_delta", "message_stop", "ping", "error",
        ];
        let (mut full, mut skim) = (anthropic().reader(), anthropic().reader());
        let mut events = Vec::new();
        for (name, data) in &frames {
            let frame = Frame { event: NAMES[*name], ..Frame::of_data(data) };
            full.frame(&frame, &mut events);
            skim.skim(&frame);
            prop_assert_eq!(full.seen(), skim.seen());
        }
        full.end(End::Closed, &mut events);
        keeps_promises(&events);
        super::written(&events);
    }
}

/// Claude names a source ahead of the words that rest on it.
const CITED: &str = r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Möwe: "}}

data: {"type":"content_block_stop","index":0}

data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":[]}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"https://tolls.example/","title":"Tolls","cited_text":"twelve","encrypted_index":"e"}}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"twelve "}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"tolls"}}

data: {"type":"content_block_stop","index":1}

data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}

data: {"type":"message_stop"}

"#;

#[test]
fn sources_are_of_the_whole_text_of_their_block() {
    let (events, _) = read(CITED);
    let cited = |event: &Event| matches!(event, Event::Cite { index: 1, .. });
    let place = events.iter().position(cited).unwrap();
    assert_eq!(events[place + 1], Event::Close { index: 1 });
    let whole = collect(events.clone()).unwrap();
    let told = |name: &str| {
        let mut writer = wire::dialect(name).unwrap().writer(Shape::default());
        let mut out = Vec::new();
        for event in &events {
            writer.event(event.clone(), &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str::<Value>(data).ok()).collect::<Vec<_>>()
    };
    let find = |frames: &[Value], pointer: &str| {
        frames.iter().find_map(|frame| frame.pointer(pointer)).cloned().unwrap()
    };
    let chat = find(&told("openai_chat"), "/choices/0/delta/annotations/0/url_citation");
    assert_eq!((&chat["start_index"], &chat["end_index"]), (&6.into(), &18.into()));
    let annotation = find(&told("openai_responses"), "/annotation");
    assert_eq!((&annotation["start_index"], &annotation["end_index"]), (&0.into(), &12.into()));
    let segment =
        find(&told("gemini"), "/candidates/0/groundingMetadata/groundingSupports/0/segment");
    assert_eq!(segment["text"], "twelve tolls");
    // As in the answer that comes whole.
    let body = wire::dialect("openai_chat").unwrap().write_reply(&whole, &Shape::default());
    let body: Value = serde_json::from_slice(&body).unwrap();
    let same = &body["choices"][0]["message"]["annotations"][0]["url_citation"];
    assert_eq!((&same["start_index"], &same["end_index"]), (&6.into(), &18.into()));
}
