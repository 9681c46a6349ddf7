//! Streams of the Responses API, made by hand: what the reader makes of them, and what the writer makes of events.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

use std::fmt::Write as _;
use std::path::Path;

use ledger::{Meter, ServiceTier, Usage, UsageReport};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::chat::{Block, Citation, Media, MediaKind, Native, Seal, Source};
use wire::problem::Kind;
use wire::reply::Finish;
use wire::sse::{Frame, Framing, Splitter};
use wire::stream::{Cost, End, Event, Metered, Opening, Seen};
use wire::{Dialect, Json, Problem, Reply, Shape, Target, collect, dialect};

const LIMIT: usize = 1_000_000;

fn responses() -> &'static dyn Dialect {
    dialect("openai_responses").unwrap()
}

fn frames(chunks: &[&[u8]], mut each: impl FnMut(&Frame<'_>)) {
    let mut splitter = Splitter::new(Framing::Sse, LIMIT);
    for chunk in chunks {
        splitter.push(chunk, |frame| each(&frame)).unwrap();
    }
    splitter.end(|frame| each(&frame));
}

fn read(chunks: &[&[u8]]) -> (Vec<Event>, Seen) {
    let mut reader = responses().reader();
    let mut events = Vec::new();
    frames(chunks, |frame| reader.frame(frame, &mut events));
    reader.end(End::Closed, &mut events);
    reader.end(End::Closed, &mut events);
    (events, reader.seen())
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures/openai");
    std::fs::read_to_string(folder.join(format!("responses_{name}.sse"))).unwrap()
}

/// Events, a line each.
fn told(events: &[Event]) -> String {
    let mut lines = String::new();
    for event in events {
        let line = match event {
            Event::Start { id, model } => format!("start {id} {model}"),
            Event::Open { index, block } => format!("open {index} {}", opened(block)),
            Event::Text { index, text } => format!("text {index} {text:?}"),
            Event::Json { index, part } => format!("json {index} {part}"),
            Event::Cite { index, citation } => {
                format!("cite {index} {} {:?}", citation.url, citation.span)
            }
            Event::Seal { index, seal } => format!("seal {index} {} {}", seal.dialect, seal.value),
            Event::Close { index } => format!("close {index}"),
            Event::Usage(metered) => {
                let total = metered.report.total();
                let counts: Vec<String> =
                    total.nonzero().map(|(meter, n)| format!("{} {n}", meter.name())).collect();
                format!("usage {} {}", counts.join(" "), metered.report.service_tier.name())
            }
            Event::Finish { finish, .. } => format!("finish {finish:?}"),
            Event::Problem(problem) => format!("problem {:?} {}", problem.kind, problem.message),
            Event::End => "end".to_owned(),
        };
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

fn opened(block: &Opening) -> String {
    match block {
        Opening::Text => "text".to_owned(),
        Opening::Refusal => "refusal".to_owned(),
        Opening::Thinking => "thinking".to_owned(),
        Opening::ToolUse { id, name } => format!("call {id} {name}"),
        Opening::Media(media) => media.kind.name().to_owned(),
        Opening::Native(native) => format!("native {} {}", native.field, native.raw.get()),
    }
}

/// What each fixture brings.
const EXPECTED: [(&str, &str); 15] = [
    (
        "text",
        r#"start resp_68fe01 gpt-5.4-2026-03-05
open 0 text
text 0 "The lamp "
text 0 "burns \"bright\"\n"
text 0 "über 😀 the bay."
close 0
usage input 120 cache_read 100 cache_write_5m 1000 output 9 priority
finish Stop
end
"#,
    ),
    (
        "old",
        r#"start resp_68fe02 gpt-4o-2024-08-06
open 0 text
text 0 "Ship "
text 0 "ahoy"
close 0
usage input 7 output 3 standard
finish Stop
end
"#,
    ),
    (
        // The encrypted content is the whole one, not that of the beginning.
        "thinking",
        r#"start resp_68fe03 gpt-5.4-2026-03-05
open 0 thinking
text 0 "**Weighing the tides"
text 0 "**\n\nThe moon is full."
text 0 "\n\n"
text 0 "**Choosing**\n"
text 0 "\nSail at dawn."
seal 0 openai_responses {"id":"rs_03","encrypted_content":"gAAAAB-whole","summary":[41,27],"content":[]}
close 0
open 1 native phase {"phase":"final_answer"}
close 1
open 2 text
text 2 "At dawn."
close 2
usage input 30 output 10 reasoning 80 standard
finish Stop
end
"#,
    ),
    (
        "sealed",
        r#"start resp_68fe04 gpt-5.4-2026-03-05
open 0 thinking
seal 0 openai_responses {"id":"rs_04","encrypted_content":"gAAAAB-secret"}
close 0
open 1 call call_04 find_ship
json 1 {"mast"
json 1 :3}
seal 1 openai_responses {"id":"fc_04","namespace":"harbour"}
close 1
usage input 50 output 20 reasoning 20 standard
finish ToolUse
end
"#,
    ),
    (
        "tools",
        r#"start resp_68fe05 gpt-5.4-2026-03-05
open 0 call call_05a find_ship
open 1 call call_05b find_ship
open 2 call call_05c ring_bell
json 0 {"mast
json 1 {"ma
json 0 ":1}
json 1 st":2}
close 0
close 1
json 2 {}
close 2
usage input 80 output 30 standard
finish ToolUse
end
"#,
    ),
    (
        "custom_tool",
        r#"start resp_68fe06 gpt-5.4-2026-03-05
open 0 call call_06 signal
json 0 {"input":"
json 0 flash \"
json 0 SOS\"\n
json 0 "}
seal 0 openai_responses {"type":"custom_tool_call","id":"ctc_06"}
close 0
usage input 20 output 8 standard
finish ToolUse
end
"#,
    ),
    (
        "refusal",
        r#"start resp_68fe07 gpt-5.4-2026-03-05
open 0 refusal
text 0 "I keep lamps, "
text 0 "not wrecks."
close 0
usage input 12 output 7 standard
finish Stop
end
"#,
    ),
    (
        "truncated",
        r#"start resp_68fe08 gpt-5.4-2026-03-05
open 0 text
text 0 "Let me look."
close 0
open 1 call call_08 find_ship
json 1 {"name":"Alba
close 1
usage input 40 output 16 standard
finish Length
end
"#,
    ),
    (
        "filtered",
        r#"start resp_68fe09 gpt-5.4-2026-03-05
open 0 text
text 0 "First you"
close 0
usage input 15 output 2 standard
finish Filter
end
"#,
    ),
    (
        "search",
        r#"start resp_68fe10 gpt-5.4-2026-03-05
open 0 native web_search_call {"id":"ws_100","type":"web_search_call","status":"completed","action":{"type":"search","query":"tide tables"}}
close 0
open 1 native web_search_call {"id":"ws_101","type":"web_search_call","status":"completed","action":{"type":"open_page","url":"https://tides.example/"}}
close 1
open 2 text
text 2 "High tide "
text 2 "(tides.example)"
cite 2 https://tides.example/ Some((10, 22))
close 2
open 3 native annotations.file_citation {"type":"file_citation","file_id":"file-1","filename":"log.txt","index":3}
close 3
usage input 900 output 12 web_search 1 standard
finish Stop
end
"#,
    ),
    (
        "open_thoughts",
        r#"start 0b5e-11 lantern-1
open 0 thinking
text 0 "Dawn is "
text 0 "at five."
seal 0 openai_responses {"id":"b594-11","summary":[],"content":[16]}
close 0
open 1 text
text 1 "Five."
close 1
usage input 9 output 3 reasoning 8 standard
finish Stop
end
"#,
    ),
    (
        // Nothing tells of the answer, nor of an item before it is done, nor of the call before the last event.
        "sparse",
        r#"start  
open 0 text
text 0 "All at once."
close 0
open 1 call call_12 ring_bell
json 1 {"times":2}
close 1
usage input 5 output 6 standard
finish ToolUse
end
"#,
    ),
    (
        "error",
        r#"start resp_68fe13 gpt-5.4-2026-03-05
open 0 text
text 0 "The lamp"
problem RateLimit Rate limit reached for tokens.
"#,
    ),
    (
        "failed",
        "start resp_68fe14 gpt-5.4-2026-03-05
problem Upstream The lamp went out.
",
    ),
    (
        "cut",
        r#"start resp_68fe15 gpt-5.4-2026-03-05
open 0 call call_15 find_ship
json 0 {"mast"
problem Upstream the stream was cut: it ended before its last event
"#,
    ),
];

#[test]
fn each_stream_brings_what_it_shows() {
    for (name, expected) in EXPECTED {
        let (events, _) = read(&[fixture(name).as_bytes()]);
        assert_eq!(told(&events), expected, "{name}");
    }
}

#[test]
fn no_stream_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures/openai");
    let mut found: Vec<String> = folder
        .read_dir()
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_prefix("responses_")?.strip_suffix(".sse")?.to_owned())
        })
        .collect();
    let mut listed: Vec<&str> = EXPECTED.iter().map(|(name, _)| *name).collect();
    found.sort();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[test]
fn the_last_event_alone_gives_the_same_answer() {
    for (name, expected) in EXPECTED {
        if !expected.ends_with("end\n") {
            continue;
        }
        let text = fixture(name);
        let (events, seen) = read(&[text.as_bytes()]);
        let streamed = collect::collect(events).unwrap();
        let mut last: Vec<String> = Vec::new();
        frames(&[text.as_bytes()], |frame| {
            if frame.data.contains("\"type\":\"response.completed\"")
                || frame.data.contains("\"type\":\"response.incomplete\"")
            {
                last.push(frame.data.to_string());
            }
        });
        let (events, alone) = read(&[format!("data: {}\n\n", last[0]).as_bytes()]);
        let alone_collected = collect::collect(events).unwrap();
        let response: Value = serde_json::from_str(&last[0]).unwrap();
        let whole = responses().read_reply(response["response"].to_string().as_bytes()).unwrap();
        if name != "truncated" {
            // Arguments that were cut are no JSON, and stand in the last event as text.
            assert_eq!(alone_collected.blocks, streamed.blocks, "{name}");
        }
        assert_eq!(whole.blocks.len(), streamed.blocks.len(), "{name}");
        assert_eq!((whole.finish, &whole.usage), (streamed.finish, &streamed.usage), "{name}");
        assert_eq!((seen.finish, seen.usage), (Some(whole.finish), whole.usage.clone()), "{name}");
        assert_eq!((alone.finish, alone.usage), (Some(whole.finish), whole.usage), "{name}");
    }
}

#[test]
fn borders_of_chunks_change_nothing() {
    const SMALL: usize = 1_500;
    for (name, _) in EXPECTED {
        let text = fixture(name);
        let bytes = text.as_bytes();
        let whole = read(&[bytes]);
        let stride = if bytes.len() < SMALL { 1 } else { 37 };
        for at in (0..=bytes.len()).step_by(stride) {
            let (before, after) = bytes.split_at(at);
            assert_eq!(read(&[before, after]), whole, "{name} split at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), whole, "{name}");
    }
}

#[test]
fn skimming_sees_the_same_at_every_moment() {
    for (name, _) in EXPECTED {
        let (mut reader, mut skimmer) = (responses().reader(), responses().reader());
        frames(&[fixture(name).as_bytes()], |frame| {
            reader.frame(frame, &mut Vec::new());
            skimmer.skim(frame);
            assert_eq!(reader.seen(), skimmer.seen(), "{name} {}", frame.data);
        });
        for how in [End::Closed, End::Broken, End::Idle] {
            reader.end(how, &mut Vec::new());
            skimmer.end(how, &mut Vec::new());
        }
        assert_eq!(reader.seen(), skimmer.seen(), "{name}");
    }
}

#[test]
fn a_meter_sees_what_was_written() {
    let seen = |name: &str| read(&[fixture(name).as_bytes()]).1;
    let text = seen("text");
    assert_eq!(text.output_bytes, "The lamp burns \"bright\"\nüber 😀 the bay.".len() as u64);
    assert_eq!((text.id.as_str(), text.model.as_str()), ("resp_68fe01", "gpt-5.4-2026-03-05"));
    assert!(text.whole && text.usage_final && !text.failed);
    assert_eq!(seen("custom_tool").output_bytes, "flash \"SOS\"\n".len() as u64);
    assert_eq!(seen("sparse").output_bytes, "All at once.{\"times\":2}".len() as u64);
    let cut = seen("cut");
    assert_eq!(cut.output_bytes, "{\"mast\"".len() as u64);
    assert!(!cut.whole && !cut.failed && cut.usage.is_none() && cut.finish.is_none());
    let failed = seen("failed");
    assert!(failed.failed && !failed.whole);
    // What a failed answer used is billed by the provider.
    assert_eq!(failed.usage.unwrap().total(), Usage::of(&[(Meter::Input, 25)]));
}

#[test]
fn the_way_it_ended_is_told() {
    for (how, kind) in
        [(End::Closed, Kind::Upstream), (End::Broken, Kind::Upstream), (End::Idle, Kind::Timeout)]
    {
        let mut reader = responses().reader();
        let mut events = Vec::new();
        reader.end(how, &mut events);
        let Some(Event::Problem(problem)) = events.first() else { unreachable!() };
        assert_eq!((problem.kind, events.len()), (kind, 1));
        assert!(problem.message.contains("cut"));
    }
}

#[test]
fn errors_of_streams_have_their_kind() {
    for (data, kind) in [
        (r#"{"type":"error","code":"server_error","message":"m","param":null}"#, Kind::Upstream),
        (r#"{"type":"error","code":null,"message":"m"}"#, Kind::Upstream),
        (
            r#"{"type":"error","error":{"code":"rate_limit_exceeded","message":"m"}}"#,
            Kind::RateLimit,
        ),
        (
            r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
            Kind::BadRequest,
        ),
        (r#"{"type":"error","code":"insufficient_quota","message":"m"}"#, Kind::Billing),
        (r#"{"type":"error","code":"invalid_image_url","message":"m"}"#, Kind::BadRequest),
        (r#"{"type":"error","code":"bio_policy","message":"m"}"#, Kind::BadRequest),
        (
            r#"{"type":"error","code":null,"message":"Your input exceeds the context window of this model."}"#,
            Kind::ContextOverflow,
        ),
        (r#"{"type":"response.failed","response":{"error":null}}"#, Kind::Upstream),
        (r#"{"type":"response.failed"}"#, Kind::Upstream),
    ] {
        let (events, seen) = read(&[format!("data: {data}\n\n").as_bytes()]);
        let [Event::Problem(problem)] = events.as_slice() else { unreachable!("{events:?}") };
        assert_eq!(problem.kind, kind, "{data}");
        assert!(problem.upstream && seen.failed && !problem.message.is_empty());
    }
}

// The writer.

fn write(events: Vec<Event>, shape: Shape) -> Vec<u8> {
    let mut writer = responses().writer(shape);
    let mut bytes = Vec::new();
    for event in events {
        writer.event(event, &mut bytes);
    }
    bytes
}

fn sent(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut events = Vec::new();
    for (number, frame) in text.split_terminator("\n\n").enumerate() {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event, format!("event: {}", data["type"].as_str().unwrap()));
        assert_eq!(data["sequence_number"], number, "{data}");
        events.push(data);
    }
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn start() -> Event {
    Event::Start { id: "resp_a1".to_owned(), model: "m".to_owned() }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { finish, stop_sequence: None }
}

fn text(index: u32, text: &str) -> Event {
    Event::Text { index, text: text.to_owned() }
}

fn json_part(index: u32, part: &str) -> Event {
    Event::Json { index, part: part.to_owned() }
}

fn call(index: u32, id: &str, name: &str) -> Event {
    let block = Opening::ToolUse { id: id.to_owned(), name: name.to_owned() };
    Event::Open { index, block }
}

fn open(index: u32, block: Opening) -> Event {
    Event::Open { index, block }
}

fn close(index: u32) -> Event {
    Event::Close { index }
}

fn used() -> UsageReport {
    UsageReport {
        service_tier: ServiceTier::Flex,
        ..UsageReport::single(Usage::of(&[
            (Meter::Input, 10),
            (Meter::CacheRead, 4),
            (Meter::CacheWrite5m, 3),
            (Meter::CacheWrite12h, 2),
            (Meter::Output, 5),
            (Meter::Reasoning, 6),
            (Meter::WebSearch, 1),
        ]))
    }
}

/// Thoughts, text and a call without arguments.
fn an_answer() -> Vec<Value> {
    let seal = Seal { dialect: "anthropic", value: "c2ln".to_owned() };
    sent(&write(
        vec![
            start(),
            open(0, Opening::Thinking),
            text(0, "Hm."),
            Event::Seal { index: 0, seal },
            close(0),
            open(1, Opening::Text),
            text(1, "A"),
            text(1, "hoy"),
            close(1),
            call(2, "call_x", "ring"),
            close(2),
            Event::Usage(Metered::new(used())),
            finish(Finish::ToolUse),
            Event::End,
            Event::End,
        ],
        Shape { created: 7, model: "other".to_owned(), ..Shape::default() },
    ))
}

#[test]
fn every_step_of_an_item_is_told() {
    let events = an_answer();
    assert_eq!(
        kinds(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let indexes: Vec<_> =
        events[2..19].iter().map(|e| e["output_index"].as_u64().unwrap()).collect();
    assert!(indexes.is_sorted() && indexes.last() == Some(&2));
}

#[test]
fn the_last_event_has_the_whole_answer() {
    let events = an_answer();
    let created = &events[0]["response"];
    assert_eq!((&created["status"], &created["output"]), (&json!("in_progress"), &json!([])));
    assert_eq!(created["usage"], Value::Null);
    let last = &events[19]["response"];
    assert_eq!(
        (&last["id"], &last["object"], &last["model"], &last["created_at"], &last["status"]),
        (&json!("resp_a1"), &json!("response"), &json!("m"), &json!(7), &json!("completed"))
    );
    assert_eq!(
        last["output"],
        json!([
            {"type": "reasoning", "id": "rs_a1_0", "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "tg1.anthropic.YzJsbg"},
            {"type": "message", "id": "msg_a1_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Ahoy", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_a1_2", "call_id": "call_x", "name": "ring", "arguments": "{}",
                "status": "completed"},
        ])
    );
    // What an item's end tells is what the last event repeats.
    let done: Vec<&Value> = events
        .iter()
        .filter(|e| e["type"] == "response.output_item.done")
        .map(|e| &e["item"])
        .collect();
    assert_eq!(json!(done), last["output"]);
    assert_eq!(
        last["usage"],
        json!({"input_tokens": 19, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5,
            "cache_write_tokens_details": {"ttl_30m_tokens": 3, "ttl_12h_tokens": 2}},
            "output_tokens": 11, "output_tokens_details": {"reasoning_tokens": 6}, "total_tokens": 30})
    );
    assert_eq!(last["service_tier"], "flex");
    assert_eq!(last["tool_usage"]["web_search"]["num_requests"], 1);
}

#[test]
fn texts_in_a_row_are_parts_of_one_message() {
    let events = sent(&write(
        vec![
            start(),
            open(0, Opening::Text),
            text(0, "a"),
            close(0),
            open(1, Opening::Refusal),
            text(1, "no"),
            close(1),
            call(2, "c", "f"),
            json_part(2, "{\"x\":"),
            json_part(2, "1}"),
            close(2),
            open(3, Opening::Text),
            text(3, "b"),
            close(3),
            finish(Finish::Stop),
            Event::End,
        ],
        Shape::default(),
    ));
    let output = &events.last().unwrap()["response"]["output"];
    let kinds: Vec<_> = output.as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["message", "function_call", "message"]);
    assert_eq!(output[0]["content"][1], json!({"type": "refusal", "refusal": "no"}));
    assert_eq!(output[1]["arguments"], "{\"x\":1}");
    let parts: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "response.content_part.added")
        .map(|event| {
            (event["output_index"].as_u64().unwrap(), event["content_index"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(parts, [(0, 0), (0, 1), (2, 0)]);
}

#[test]
fn an_answer_that_was_cut_short_says_so() {
    for (reason, finish_with) in
        [("max_output_tokens", Finish::Length), ("content_filter", Finish::Filter)]
    {
        let events = sent(&write(
            vec![
                start(),
                call(0, "a", "f"),
                json_part(0, "{}"),
                close(0),
                call(1, "b", "g"),
                json_part(1, "{\"x\":\"y"),
                close(1),
                finish(finish_with),
                Event::End,
            ],
            Shape::default(),
        ));
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        let response = &last["response"];
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["incomplete_details"]["reason"], reason);
        // The first call was whole, the second one may not be run.
        assert_eq!(response["output"][0]["status"], "completed");
        assert_eq!(response["output"][1]["status"], "incomplete");
        let done = &events[events.len() - 2];
        assert_eq!(
            (&done["type"], &done["item"]["status"]),
            (&json!("response.output_item.done"), &json!("incomplete"))
        );
    }
}

#[test]
fn a_problem_ends_the_stream_as_a_failure() {
    let broken = Problem::own(Kind::Overloaded, "no lamp oil");
    let events = sent(&write(
        vec![
            start(),
            open(0, Opening::Text),
            text(0, "a"),
            Event::Problem(broken.clone()),
            Event::End,
        ],
        Shape::default(),
    ));
    let [.., last, raised] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(last["type"], "response.failed");
    let error = |number: u64| {
        json!({"type": "error", "sequence_number": number, "code": "server_error", "message": "no lamp oil", "param": null,
            "error": {"code": "server_error", "message": "no lamp oil"}})
    };
    // SDKs raise this one.
    assert_eq!(*raised, error(last["sequence_number"].as_u64().unwrap() + 1));
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(
        last["response"]["error"],
        json!({"code": "server_error", "message": "no lamp oil"})
    );
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    // Nothing was sent yet that could fail.
    assert_eq!(sent(&write(vec![Event::Problem(broken)], Shape::default())), [error(0)]);
    let secret = Problem { upstream: true, ..Problem::own(Kind::Auth, "bad key sk-1") };
    let bytes = write(vec![start(), Event::Problem(secret)], Shape::default());
    assert!(!String::from_utf8(bytes).unwrap().contains("sk-1"));
    let failed = sent(&write(vec![start(), finish(Finish::Failed), Event::End], Shape::default()));
    assert_eq!(failed.last().unwrap()["type"], "response.failed");
}

#[test]
fn problems_keep_their_kind_through_a_stream() {
    for kind in
        [Kind::RateLimit, Kind::BadRequest, Kind::ContextOverflow, Kind::Upstream, Kind::Billing]
    {
        for begun in [true, false] {
            let mut events = if begun { vec![start()] } else { Vec::new() };
            events.push(Event::Problem(Problem::own(kind, "what went wrong")));
            let (again, _) = read(&[&write(events, Shape::default())]);
            let Some(Event::Problem(problem)) = again.last() else { unreachable!() };
            assert_eq!((problem.kind, problem.message.as_str()), (kind, "what went wrong"));
        }
    }
}

#[test]
fn ids_of_other_providers_get_the_prefix() {
    let shape = |id: &str| Shape { id: id.to_owned(), ..Shape::default() };
    let id = |given: &str, shape: Shape| {
        let start = Event::Start { id: given.to_owned(), model: String::new() };
        let events = sent(&write(vec![start, finish(Finish::Stop), Event::End], shape));
        events.last().unwrap()["response"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id("resp_x", shape("ours")), "resp_x");
    assert_eq!(id("chatcmpl-9", shape("ours")), "resp_ours");
    assert_eq!(id("chatcmpl-9", shape("resp_ours")), "resp_ours");
    assert_eq!(id("chatcmpl-9", shape("")), "resp_chatcmpl-9");
}

#[test]
fn the_request_is_repeated_on_one_line() {
    let request = br#"{"model": "m", "input": "hi", "temperature": 0.25, "metadata": {"a": "b"}, "store": true,
        "tools": [{"type": "function", "name": "f",
            "parameters": {"type": "object"}}], "instructions": null, "reasoning": {"effort": "low"}}"#;
    let echo = responses().echo(request);
    let events = sent(&write(
        vec![start(), finish(Finish::Stop), Event::End],
        Shape { echo, ..Shape::default() },
    ));
    for event in &events {
        let response = &event["response"];
        assert_eq!(response["temperature"], 0.25);
        assert_eq!(response["metadata"]["a"], "b");
        assert_eq!(response["tools"][0]["parameters"]["type"], "object");
        assert_eq!(response["reasoning"]["effort"], "low");
        // Nothing said means these; what is stored is not for a client to decide here.
        assert_eq!(response["instructions"], Value::Null);
        assert_eq!((&response["tool_choice"], &response["top_p"]), (&json!("auto"), &json!(1.0)));
        assert_eq!(
            (&response["store"], &response["parallel_tool_calls"]),
            (&json!(false), &json!(true))
        );
    }
}

#[test]
fn a_custom_tool_is_called_with_free_text() {
    let echo = responses().echo(br#"{"tools":[{"type":"custom","name":"signal"}]}"#);
    let events = sent(&write(
        vec![
            start(),
            call(0, "c", "signal"),
            json_part(0, "{\"input\":\"SO"),
            json_part(0, "S\\n\"}"),
            close(0),
            finish(Finish::ToolUse),
            Event::End,
        ],
        Shape { echo, ..Shape::default() },
    ));
    assert_eq!(
        kinds(&events)[2..],
        [
            "response.output_item.added",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[4]["input"], "SOS\n");
    let item = &events[5]["item"];
    assert_eq!((&item["type"], &item["input"]), (&json!("custom_tool_call"), &json!("SOS\n")));
    assert!(item.get("arguments").is_none());
}

/// Clients of other dialects send the phase of a message back where they keep state.
#[test]
fn phases_come_back_through_every_client() {
    let thought = Block::Thinking {
        text: String::new(),
        seal: Some(Seal { dialect: "openai_responses", value: "gAAAAB-one".to_owned() }),
    };
    let phase = |word: &str| {
        let raw = Json::of(&json!({ "phase": word }));
        Block::Native(Native { dialect: "openai_responses", field: "phase".to_owned(), raw })
    };
    let reply = Reply {
        id: "resp_1".to_owned(),
        blocks: vec![
            thought,
            phase("commentary"),
            Block::Text("Looking.".to_owned()),
            phase("final_answer"),
            Block::Text("Found.".to_owned()),
        ],
        ..Reply::default()
    };
    for (client, ask) in [
        (
            "anthropic",
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Go"},{"role":"assistant","content":PARTS},{"role":"user","content":"On"}]}"#,
        ),
        (
            "gemini",
            r#"{"contents":[{"role":"user","parts":[{"text":"Go"}]},{"role":"model","parts":PARTS},{"role":"user","parts":[{"text":"On"}]}]}"#,
        ),
    ] {
        let client = dialect(client).unwrap();
        let answer: Value =
            serde_json::from_slice(&client.write_reply(&reply, &Shape::default())).unwrap();
        let parts = match client.name() {
            "anthropic" => &answer["content"],
            _ => &answer["candidates"][0]["content"]["parts"],
        };
        let chat = client.read_request(ask.replace("PARTS", &parts.to_string()).as_bytes());
        let target = Target {
            provider: "openai",
            model: "gpt-5.4",
            max_output_tokens: None,
            reasoning: true,
        };
        let written = responses().write_request(&chat.unwrap(), &target).unwrap();
        let body: Value = serde_json::from_slice(&written.body).unwrap();
        let input =
            body["input"].as_array().unwrap().iter().filter(|item| item["role"] == "assistant");
        let told: Vec<_> =
            input.map(|item| (&item["phase"], &item["content"][0]["text"])).collect();
        let expected = [
            (&json!("commentary"), &json!("Looking.")),
            (&json!("final_answer"), &json!("Found.")),
        ];
        assert_eq!(told, expected, "{}: {body}", client.name());
        assert!(body.to_string().contains("gAAAAB-one"), "{}: {body}", client.name());
        // A stream tells them in the same words.
        let mut writer = client.writer(Shape::default());
        let mut stream = Vec::new();
        for event in collect::events(reply.clone()) {
            writer.event(event, &mut stream);
        }
        let stream = String::from_utf8(stream).unwrap();
        let states = parts.as_array().unwrap().iter();
        let states =
            states.filter_map(|part| part["data"].as_str().or(part["thoughtSignature"].as_str()));
        let places: Vec<_> = states.map(|state| stream.find(state)).collect();
        assert_eq!(places.len(), 3, "{parts}");
        assert!(places.is_sorted() && places[0].is_some(), "{stream}");
    }
}

#[test]
fn a_tool_of_a_group_is_called_by_its_own_name() {
    let echo = responses().echo(
        br#"{"tools":[{"type":"function","name":"load"},{"type":"namespace","name":"pier","tools":[
        {"type":"function","name":"load"},{"type":"custom","name":"signal"}]}]}"#,
    );
    let called = [("load", "{}"), ("pier__load", "{}"), ("pier__signal", "{\"input\":\"SOS\"}")];
    let calls = (0..).zip(called).flat_map(|(at, (name, arguments))| {
        [call(at, "c", name), json_part(at, arguments), close(at)]
    });
    let events = [start()].into_iter().chain(calls).chain([finish(Finish::ToolUse), Event::End]);
    let events = sent(&write(events.collect(), Shape { echo, ..Shape::default() }));
    let output = &events.last().unwrap()["response"]["output"];
    let told = |at: usize| ["type", "namespace", "name"].map(|member| output[at][member].clone());
    assert_eq!(told(0), [json!("function_call"), json!(null), json!("load")]);
    assert_eq!(told(1), [json!("function_call"), json!("pier"), json!("load")]);
    assert_eq!(told(2), [json!("custom_tool_call"), json!("pier"), json!("signal")]);
    assert_eq!(output[2]["input"], "SOS");
}

#[test]
fn media_natives_and_phases_find_their_place() {
    let native = |dialect, field: &str, raw: &str| {
        Opening::Native(Native { dialect, field: field.to_owned(), raw: Json::parse(raw).unwrap() })
    };
    let picture = Media::new(MediaKind::Image, Source::Base64("iVBO".to_owned()), None);
    let mut sound = Media::new(MediaKind::Audio, Source::Base64("UklG".to_owned()), None);
    sound.transcript = Some("said aloud".to_owned());
    let events = sent(&write(
        vec![
            start(),
            open(
                0,
                native(
                    "openai_responses",
                    "web_search_call",
                    "{\"type\":\"web_search_call\",\n\"id\":\"ws_1\"}",
                ),
            ),
            close(0),
            open(1, native("anthropic", "server_tool_use", "{\"secret\":1}")),
            close(1),
            open(2, Opening::Media(picture)),
            close(2),
            open(3, native("openai_responses", "phase", "{\"phase\":\"commentary\"}")),
            close(3),
            open(4, Opening::Text),
            text(4, "one"),
            close(4),
            open(5, native("openai_responses", "phase", "{\"phase\":\"final_answer\"}")),
            close(5),
            open(6, Opening::Media(sound)),
            close(6),
            finish(Finish::Stop),
            Event::End,
        ],
        Shape::default(),
    ));
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[0], json!({"type": "web_search_call", "id": "ws_1"}));
    assert_eq!(
        (&output[1]["type"], &output[1]["result"]),
        (&json!("image_generation_call"), &json!("iVBO"))
    );
    assert_eq!(
        (&output[2]["phase"], &output[2]["content"][0]["text"]),
        (&json!("commentary"), &json!("one"))
    );
    assert_eq!(
        (&output[3]["phase"], &output[3]["content"][0]["text"]),
        (&json!("final_answer"), &json!("said aloud"))
    );
    // What Anthropic's tools did comes back as state.
    assert!(output[4]["encrypted_content"].as_str().unwrap().starts_with("tg1.anthropic."));
    assert_eq!(output.as_array().unwrap().len(), 5);
}

#[test]
fn the_cost_stands_in_the_usage() {
    let cost = Cost {
        is_byok: false,
        charge: "0.00001050".to_owned(),
        upstream: "0.00001".to_owned(),
        upstream_parts: Some(("0.000004".to_owned(), "0.000006".to_owned())),
    };
    let details = r#""cost_details":{"upstream_inference_cost":0.00001,"upstream_inference_input_cost":0.000004,"upstream_inference_output_cost":0.000006}"#;
    let usage = Event::Usage(Metered { report: used(), cost: Some(cost.clone()) });
    let bytes = write(vec![start(), usage, finish(Finish::Stop), Event::End], Shape::default());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\"cost\":0.00001050,") && text.contains("\"is_byok\":false"));
    assert!(text.contains(details), "{text}");
    let reply = Reply { usage: Some(used()), ..Reply::default() };
    // The same as where the provider's bytes pass, but for the order of the members.
    let bare = String::from_utf8(responses().write_reply(&reply, &Shape::default())).unwrap();
    let spliced = wire::openai_chat::add_cost(&bare, responses(), &cost);
    let told = Shape { cost: Some(cost), ..Shape::default() };
    let whole = String::from_utf8(responses().write_reply(&reply, &told)).unwrap();
    assert!(whole.contains(details) && spliced.contains(details), "{whole}");
    let values = [spliced, whole].map(|text| serde_json::from_str::<Value>(&text).unwrap());
    assert_eq!(values[0], values[1]);
}

#[test]
fn waiting_clients_get_a_comment() {
    let ping = responses().writer(Shape::default()).ping();
    let mut seen = 0;
    frames(&[ping], |frame| {
        assert!(frame.data.is_empty());
        seen += 1;
    });
    assert_eq!(seen, 1);
}

// Properties.

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z \"\\\\\n{}é🦀]{1,12}"
}

/// A block of an answer, as its events without numbers.
fn a_block() -> impl Strategy<Value = (Opening, Vec<Event>)> {
    let texts = || proptest::collection::vec(words(), 0..4);
    let told = |texts: Vec<String>| texts.into_iter().map(|text| Event::Text { index: 0, text });
    let seal = prop_oneof![Just("anthropic"), Just("gemini"), Just("openai_chat")]
        .prop_map(|dialect| Seal { dialect, value: "c2ln+/=".to_owned() });
    prop_oneof![
        texts().prop_map(move |texts| (Opening::Text, told(texts).collect())),
        (words(), proptest::option::of((0_u64..9, 9_u64..99))).prop_map(|(text, span)| {
            let url = "https://example.com/?a=\"b\"".to_owned();
            let title = Some("T".to_owned());
            let span = Some(span.unwrap_or((1, 2)));
            let citation = Citation { url, title, span, ..Citation::default() };
            (
                Opening::Text,
                vec![Event::Text { index: 0, text }, Event::Cite { index: 0, citation }],
            )
        }),
        texts().prop_map(move |texts| (Opening::Refusal, told(texts).collect())),
        (texts(), seal.clone()).prop_map(move |(texts, seal)| {
            let seal = Event::Seal { index: 0, seal };
            (Opening::Thinking, told(texts).chain(std::iter::once(seal)).collect())
        }),
        ("[a-z]{1,6}", words(), proptest::option::of(seal)).prop_map(|(name, text, seal)| {
            let arguments = json!({ "a": text }).to_string();
            let mut at = arguments.len() / 2;
            while !arguments.is_char_boundary(at) {
                at += 1;
            }
            let (one, two) = arguments.split_at(at);
            let part = |part: &str| Event::Json { index: 0, part: part.to_owned() };
            let mut events = vec![part(one), part(two)];
            events.extend(seal.map(|seal| Event::Seal { index: 0, seal }));
            (Opening::ToolUse { id: format!("call_{name}"), name }, events)
        }),
    ]
}

fn numbered(event: Event, index: u32) -> Event {
    match event {
        Event::Text { text, .. } => Event::Text { index, text },
        Event::Json { part, .. } => Event::Json { index, part },
        Event::Seal { seal, .. } => Event::Seal { index, seal },
        Event::Cite { citation, .. } => Event::Cite { index, citation },
        other => other,
    }
}

fn answer(blocks: Vec<(Opening, Vec<Event>)>, length: bool) -> Vec<Event> {
    let calls = blocks.iter().any(|(opening, _)| matches!(opening, Opening::ToolUse { .. }));
    let mut events = vec![start()];
    for (index, (block, body)) in (0_u32..).zip(blocks) {
        events.push(Event::Open { index, block });
        events.extend(body.into_iter().map(|event| numbered(event, index)));
        events.push(Event::Close { index });
    }
    events.push(Event::Usage(Metered::new(used())));
    let why = match (length, calls) {
        (true, _) => Finish::Length,
        (_, true) => Finish::ToolUse,
        _ => Finish::Stop,
    };
    events.push(finish(why));
    events.push(Event::End);
    events
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(blocks in proptest::collection::vec(a_block(), 0..6), length in any::<bool>()) {
        let events = answer(blocks, length);
        let bytes = write(events.clone(), Shape::default());
        sent(&bytes);
        let (again, seen) = read(&[&bytes]);
        prop_assert_eq!(told(&again), told(&events));
        prop_assert_eq!(again, events);
        prop_assert!(seen.whole && seen.usage_final);
    }

    #[test]
    fn whole_and_streamed_answers_are_the_same(blocks in proptest::collection::vec(a_block(), 0..6), length in any::<bool>()) {
        let events = answer(blocks, length);
        let reply = collect::collect(events.clone()).unwrap();
        let last = sent(&write(events, Shape::default())).pop().unwrap();
        let whole: Value = serde_json::from_slice(&responses().write_reply(&reply, &Shape::default())).unwrap();
        prop_assert_eq!(&whole, &last["response"]);
        let read = responses().read_reply(whole.to_string().as_bytes()).unwrap();
        let mut expected = reply;
        // Seals of calls come back too.
        for (ours, theirs) in expected.blocks.iter_mut().zip(&read.blocks) {
            if let (Block::ToolUse { input, .. }, Block::ToolUse { input: again, .. }) = (ours, theirs) {
                *input = again.clone();
            }
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn interleaved_calls_come_back_whole(one in words(), two in words()) {
        let (a, b) = (json!({ "a": one }).to_string(), json!({ "b": two }).to_string());
        let events = vec![
            start(), call(0, "a", "f"), call(1, "b", "g"), json_part(1, &b), json_part(0, &a), close(0), close(1),
            finish(Finish::ToolUse), Event::End,
        ];
        let bytes = write(events.clone(), Shape::default());
        sent(&bytes);
        let (again, _) = read(&[&bytes]);
        prop_assert_eq!(collect::collect(again), collect::collect(events));
    }

    #[test]
    fn nothing_panics(frames in proptest::collection::vec(("(response\\.[a-z_.]{3,30}|error)?", garbage()), 0..12)) {
        let mut reader = responses().reader();
        let mut skimmer = responses().reader();
        let mut writer = responses().writer(Shape::default());
        let (mut events, mut bytes) = (Vec::new(), Vec::new());
        for (event, value) in frames {
            let data = value.to_string();
            let frame = Frame { event: &event, data: data.as_str().into(), raw: data.as_bytes() };
            reader.frame(&frame, &mut events);
            skimmer.skim(&frame);
        }
        reader.end(End::Closed, &mut events);
        prop_assert_eq!(reader.seen().output_bytes, skimmer.seen().output_bytes);
        for event in events {
            writer.event(event, &mut bytes);
        }
    }
}

/// Events with members of the right names and of any kind.
fn garbage() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..6).prop_map(Value::from),
        words().prop_map(Value::from),
        prop_oneof![
            Just("message"),
            Just("reasoning"),
            Just("function_call"),
            Just("custom_tool_call")
        ]
        .prop_map(Value::from),
        (0_usize..KINDS.len()).prop_map(|at| Value::from(KINDS[at])),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(
                (0_usize..MEMBERS.len()).prop_map(|at| MEMBERS[at].to_owned()),
                inner,
                0..9
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const MEMBERS: [&str; 16] = [
    "type",
    "delta",
    "text",
    "item",
    "part",
    "response",
    "output",
    "output_index",
    "content_index",
    "summary_index",
    "id",
    "call_id",
    "name",
    "arguments",
    "status",
    "summary",
];
const KINDS: [&str; 9] = [
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta",
    "response.completed",
];
