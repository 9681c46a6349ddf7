//! A provider's stream, read.

use ledger::{Meter, ServiceTier};
use wire::chat::{Block, Source};
use wire::collect::collect;
use wire::openai_chat::is_usage_only;
use wire::problem::Kind;
use wire::reply::Finish;
use wire::sse::Frame;
use wire::stream::{End, Event};

use super::*;

#[test]
fn text() {
    let (events, seen) = read(TEXT);
    assert_eq!(
        told(&events),
        [
            "start chatcmpl-F0aTollgateStream0000000001 gpt-4o-2024-08-06",
            "0 text",
            "0 +The toll on the Øresund bridge",
            "0 + is \"high\":\n",
            "0 +64 € 🚗",
            "0 +é.",
            "0 end",
            "usage 24 17",
            "finish Stop",
            "end",
        ]
    );
    let text = "The toll on the Øresund bridge is \"high\":\n64 € 🚗é.";
    assert_eq!(seen.output_bytes, text.len() as u64);
    assert!(seen.whole && seen.usage_final && !seen.failed);
    assert_eq!(seen.finish, Some(Finish::Stop));
    assert_eq!(seen.usage.unwrap().total().get(Meter::CacheRead), 8);
}

#[test]
fn parallel_calls_and_one_without_arguments() {
    let (events, _) = read(PARALLEL_TOOLS);
    assert_eq!(
        told(&events)[1..],
        [
            "0 text",
            "0 +Looking both up.",
            "0 end",
            "1 call call_F3kQz7Lm2TollgateStrmA01 lookup_toll",
            "1 +{\"bri",
            "1 +dge\":\"Øresund\"}",
            "1 end",
            "2 call call_F3kQz7Lm2TollgateStrmA02 lookup_toll",
            "2 +{\"bridge\":",
            "2 +\"Millau\"}",
            "2 end",
            "3 call call_F3kQz7Lm2TollgateStrmA03 now",
            "3 +{}",
            "3 end",
            "usage 96 47",
            "finish ToolUse",
            "end",
        ]
    );
}

#[test]
fn calls_whose_pieces_come_in_turns_are_told_one_after_the_other() {
    let piece = |index: u64, head: &str, part: &str| {
        let part = serde_json::to_string(part).unwrap();
        format!(
            r#"{{"tool_calls":[{{"index":{index},{head}"function":{{"name":"f","arguments":{part}}}}}]}}"#
        )
    };
    let first = |index: u64, part: &str| piece(index, &format!(r#""id":"c{index}","#), part);
    let next = |index: u64, part: &str| piece(index, "", part).replace(r#""name":"f","#, "");
    let pieces = [
        first(0, "{\"a\":"),
        first(1, "{\"b\":"),
        next(0, "{}"),
        next(1, "2}"),
        first(2, ""),
        next(0, "}"),
        next(2, "{}"),
        next(1, "\n"),
    ];
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let (events, _) = read(&deltas(&pieces, "tool_calls"));
    assert_eq!(
        told(&events)[1..],
        [
            "0 call c0 f",
            "0 +{\"a\":",
            "0 +{}",
            "0 +}",
            "0 end",
            "1 call c1 f",
            "1 +{\"b\":2}",
            "1 end",
            "2 call c2 f",
            "2 +{}",
            "2 end",
            "finish ToolUse",
            "end",
        ]
    );
}

#[test]
fn a_call_that_has_begun_stays_what_it_is() {
    let pieces = [
        r#"{"tool_calls":[{"index":0,"id":"c0","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"custom":{}}]}"#,
    ];
    let (events, _) = read(&deltas(&pieces, "tool_calls"));
    let expected = ["0 call c0 f", "0 +{}", "0 end", "finish ToolUse", "end"];
    assert_eq!(told(&events)[1..], expected);
}

#[test]
fn a_truncated_call_is_delivered_as_far_as_it_came() {
    let (events, _) = read(TRUNCATED_TOOL);
    assert_eq!(
        told(&events)[1..],
        [
            "0 call call_F3kQz7Lm2TollgateStrmB01 lookup_toll",
            "0 +{\"bridge\":\"Øre",
            "0 end",
            "usage 80 6",
            "finish Length",
            "end",
        ]
    );
}

#[test]
fn a_refusal() {
    let reply = collect(read(REFUSAL).0).unwrap();
    assert_eq!(reply.blocks, [Block::Refusal("I cannot help with that.".to_owned())]);
}

#[test]
fn thoughts_before_text_and_usage_told_twice() {
    let (events, seen) = read(THINKING);
    assert_eq!(
        told(&events)[1..],
        [
            "0 thinking",
            "0 +Cars pay",
            "0 + more.",
            "0 end",
            "1 text",
            "1 +64",
            "1 + euros",
            "1 end",
            "usage 40 21",
            "finish Stop",
            "end",
        ]
    );
    let usage = seen.usage.unwrap().total();
    assert_eq!((usage.get(Meter::CacheRead), usage.get(Meter::Reasoning)), (32, 14));
}

#[test]
fn usage_on_the_chunk_of_the_finish_is_final() {
    let lines: Vec<&str> = DEEPSEEK_TOOL.split_inclusive("\n\n").collect();
    let (events, seen) = read(&lines[..lines.len() - 1].concat());
    assert!(matches!(events.last(), Some(Event::Problem(_))), "without its mark it was cut");
    assert!(seen.usage_final && !seen.whole);
    assert_eq!(seen.finish, Some(Finish::ToolUse));
    let (events, _) = read(DEEPSEEK_TOOL);
    assert!(told(&events).contains(&"1 +{}".to_owned()));
}

#[test]
fn running_usage_counts_once() {
    let (events, seen) = read(RUNNING_USAGE);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Usage(_))).count(), 1);
    assert_eq!(seen.usage.unwrap().total().output_tokens(), 3);
    let begun: String = RUNNING_USAGE.split_inclusive("\n\n").take(2).collect();
    let (_, seen) = read(&begun);
    assert!(!seen.usage_final && !seen.whole);
    assert_eq!(seen.usage.unwrap().total().output_tokens(), 2);
}

#[test]
fn a_cut_stream_keeps_the_largest_figures() {
    let usage = |prompt: u32, output: u32| {
        format!(
            r#"data: {{"id":"c","model":"m","choices":[{{"delta":{{"content":"a"}}}}],"usage":{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{}}}}}"#,
            prompt + output
        ) + "\n\n"
    };
    let (_, seen) = read(&[usage(169, 2), usage(79, 5)].concat());
    let total = seen.usage.unwrap().total();
    assert_eq!((total.input_tokens(), total.output_tokens()), (169, 5));
}

#[test]
fn the_tier_is_the_one_that_served() {
    let (_, seen) = read(MODERATED);
    assert_eq!(seen.usage.unwrap().service_tier, ServiceTier::Priority);
    assert_eq!(seen.finish, Some(Finish::Filter));
}

#[test]
fn only_the_first_of_several_answers_is_carried_but_all_count() {
    let (events, seen) = read(TWO_ANSWERS);
    let reply = collect(events).unwrap();
    assert_eq!(reply.text(), "Stop here.");
    assert_eq!(reply.finish, Finish::Stop);
    assert_eq!(seen.output_bytes, "Stop here.Drive on.".len() as u64);
    assert_eq!(seen.usage.unwrap().total().output_tokens(), 9);
}

#[test]
fn sources_on_the_web() {
    let (events, _) = read(SEARCH);
    assert_eq!(told(&events)[4], "0 cites https://bridge.example/prices Some((12, 16))");
    let late = deltas(
        &[
            r#"{"content":"12345"}"#,
            r#"{"reasoning":"hm"}"#,
            r#"{"content":"6789"}"#,
            r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"u","start_index":6,"end_index":8}}]}"#,
            r#"{"annotations":[{"type":"file","file":{"name":"x"}}]}"#,
        ],
        "stop",
    );
    let events = told(&read(&late).0);
    assert!(events.contains(&"2 cites u Some((1, 3))".to_owned()), "{events:?}");
    assert!(events.contains(&"3 annotations".to_owned()), "{events:?}");
}

#[test]
fn sound_comes_in_pieces_and_leaves_whole() {
    let (events, seen) = read(AUDIO);
    let reply = collect(events).unwrap();
    let [Block::Media(sound)] = reply.blocks.as_slice() else { panic!("{:?}", reply.blocks) };
    assert_eq!(sound.source, Source::Base64("UklGRiQAAAA=".to_owned()));
    assert_eq!(sound.transcript.as_deref(), Some("The gate is open."));
    assert_eq!(seen.usage.unwrap().total().get(Meter::AudioOutput), 75);
}

#[test]
fn pictures() {
    let image =
        r#"{"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}"#;
    let reply = collect(read(&deltas(&[r#"{"content":"see"}"#, image], "stop")).0).unwrap();
    let [Block::Text(_), Block::Media(picture)] = reply.blocks.as_slice() else {
        panic!("{:?}", reply.blocks)
    };
    assert_eq!(picture.mime.as_deref(), Some("image/png"));
}

#[test]
fn an_error_in_the_middle_is_no_end() {
    let (events, seen) = read(ERROR);
    assert_eq!(
        told(&events)[1..],
        [
            "0 text",
            "0 +The toll is",
            "problem Upstream: The server had an error while processing your request. Sorry about that!",
        ]
    );
    assert!(seen.failed && !seen.whole);
}

#[test]
fn errors_in_streams_have_their_kind() {
    for (data, kind, message) in [
        (
            r#"{"error":{"message":"m","type":"requests","code":"rate_limit_exceeded"}}"#,
            Kind::RateLimit,
            "m",
        ),
        (
            r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Kind::Billing,
            "m",
        ),
        (
            r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
            Kind::BadRequest,
            "m",
        ),
        (
            r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
            Kind::ContextOverflow,
            "m",
        ),
        (
            r#"{"id":"c","error":{"code":429,"message":"m"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            Kind::RateLimit,
            "m",
        ),
        (r#"{"error":{"code":529,"message":"m"}}"#, Kind::Overloaded, "m"),
        (r#"{"error":"just a sentence"}"#, Kind::Upstream, "just a sentence"),
        (r#"{"error":{}}"#, Kind::Upstream, r#"{"error":{}}"#),
    ] {
        let (events, seen) = read(&format!("data: {data}\n\n"));
        let [Event::Problem(problem)] = events.as_slice() else { panic!("{data}: {events:?}") };
        assert_eq!((problem.kind, problem.message.as_str()), (kind, message), "{data}");
        assert!(problem.upstream && seen.failed);
    }
    let named = "event: error\ndata: {\"message\":\"m\",\"code\":503}\n\n";
    let (events, _) = read(named);
    assert_eq!(told(&events), ["problem Overloaded: m"]);
    let falsy =
        deltas(&[r#"{"content":"a"}"#], "stop").replace("{\"id\"", "{\"error\":null,\"id\"");
    assert!(read(&falsy).1.whole);
}

#[test]
fn a_provider_that_breaks_off_has_failed() {
    let (events, seen) = read(BROKEN_OFF);
    let Some(Event::Problem(problem)) = events.last() else { panic!("{events:?}") };
    assert_eq!((problem.kind, problem.status), (Kind::Overloaded, 503));
    assert!(problem.is_retryable() && seen.failed && !seen.whole);
    assert!(told(&events).contains(&"0 +Sixty".to_owned()));
    assert_eq!(seen.usage.unwrap().total().input_tokens(), 40, "and costs what it says");
}

#[test]
fn a_cut_is_a_problem_and_told_once() {
    for (how, kind) in
        [(End::Closed, Kind::Upstream), (End::Broken, Kind::Upstream), (End::Idle, Kind::Timeout)]
    {
        let mut reader = chat().reader();
        let mut events = Vec::new();
        frames(&[CUT.as_bytes()], |frame| reader.frame(&frame, &mut events));
        reader.end(how, &mut events);
        reader.end(End::Closed, &mut events);
        reader.frame(&Frame::of_data("[DONE]"), &mut events);
        let problems: Vec<_> =
            events.iter().filter(|event| matches!(event, Event::Problem(_))).collect();
        let [Event::Problem(problem)] = problems.as_slice() else { panic!("{events:?}") };
        assert_eq!(problem.kind, kind);
        assert!(!events.iter().any(|event| matches!(event, Event::Finish { .. } | Event::End)));
        let seen = reader.seen();
        assert!(!seen.whole && !seen.failed && seen.finish.is_none());
        assert_eq!(seen.output_bytes, "The toll is 64".len() as u64);
    }
}

#[test]
fn what_is_no_stream_is_a_problem() {
    for (stream, kind) in [
        ("data: {\"id\":\n\n", Kind::Malformed),
        ("data: <html>\n\n", Kind::Malformed),
        ("data: [DONE]\n\n", Kind::Malformed),
        ("", Kind::Upstream),
        ("{\"error\":{\"message\":\"m\",\"code\":500}}\n", Kind::Upstream),
    ] {
        let (events, _) = read(stream);
        let [Event::Problem(problem)] = events.as_slice() else { panic!("{stream}: {events:?}") };
        assert_eq!(problem.kind, kind, "{stream}");
    }
}

#[test]
fn a_whole_answer_in_place_of_a_stream() {
    let body = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"all"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
    let (events, seen) = read(body);
    assert_eq!(
        told(&events),
        ["start c m", "0 text", "0 +all", "0 end", "usage 3 1", "finish Stop", "end"]
    );
    assert!(seen.whole);
}

#[test]
fn calls_of_servers_with_unreliable_numbers() {
    let calls = |deltas_: &[&str]| {
        let reply = collect(read(&deltas(deltas_, "stop")).0).unwrap();
        assert_eq!(reply.finish, Finish::ToolUse, "a call is the reason");
        let calls = reply.blocks.into_iter().map(|block| match block {
            Block::ToolUse { id, name, input, .. } => (id, name, input.get().to_owned()),
            other => panic!("{other:?}"),
        });
        calls.collect::<Vec<_>>()
    };
    let call =
        |id: &str, name: &str, input: &str| (id.to_owned(), name.to_owned(), input.to_owned());
    // All have the number 0.
    let same = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{\"x\":1}"}}]}"#,
    ]);
    assert_eq!(same, [call("a", "f", "{}"), call("b", "f", "{\"x\":1}")]);
    // No numbers, and no ids on later fragments; some repeat the name, some leave it empty.
    let repeated = calls(&[
        r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}"#,
        r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":":1"}}]}"#,
        r#"{"tool_calls":[{"id":"","function":{"name":"","arguments":"}"}}]}"#,
    ]);
    assert_eq!(repeated, [call("a", "f", "{\"x\":1}")]);
    // No ids at all, whole calls: each gets one.
    let bare = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}]}"#,
    ]);
    assert_eq!(bare.len(), 2);
    assert!(!bare[0].0.is_empty() && bare[0].0 != bare[1].0, "{bare:?}");
    // Interleaved; the name late; the arguments as an object; JSON that is whole before the call is.
    let odd = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{"}},{"index":1,"id":"b","function":{"name":"g","arguments":"1"}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"arguments":"2"}},{"index":0,"function":{"name":"f","arguments":"}"}}]}"#,
        r#"{"tool_calls":[{"index":2,"id":"c","function":{"name":"h","arguments":{"y":[1]}}}]}"#,
    ]);
    // Blocks are numbered as they open.
    assert_eq!(odd, [call("b", "g", "12"), call("a", "f", "{}"), call("c", "h", "{\"y\":[1]}")]);
    let older = calls(&[
        r#"{"function_call":{"name":"f","arguments":""}}"#,
        r#"{"function_call":{"arguments":"{\"x\":1}"}}"#,
    ]);
    assert_eq!((older[0].1.as_str(), older[0].2.as_str()), ("f", "{\"x\":1}"));
}

#[test]
fn thoughts_under_several_names_are_read_once() {
    for delta in [
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"reasoning_content":"hm","reasoning":"hm"}"#,
        r#"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}"#,
        r#"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.summary","summary":"hm","format":"openai-responses-v1"}]}"#,
    ] {
        let (events, seen) = read(&deltas(&[delta, r#"{"content":"x"}"#], "stop"));
        let reply = collect(events).unwrap();
        let thoughts = Block::Thinking { text: "hm".to_owned(), seal: None };
        assert_eq!(reply.blocks, [thoughts, Block::Text("x".to_owned())], "{delta}");
        assert_eq!(seen.output_bytes, 3, "{delta}");
    }
}

#[test]
fn the_state_of_thoughts_and_calls_is_kept() {
    let events = told(
        &read(&deltas(
            &[
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"a","index":0}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s1","format":"anthropic-claude-v1","index":0}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"b","signature":"s2","format":"anthropic-claude-v1","index":1}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"e","format":"openai-responses-v1","id":"rs_1","index":2}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"g","format":"google-gemini-v1","id":"k","index":3}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"k","function":{"name":"f","arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"l","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"h"}}}]}"#,
            ],
            "tool_calls",
        ))
        .0,
    );
    assert_eq!(
        events[1..],
        [
            "0 thinking",
            "0 +a",
            "0 seal anthropic s1",
            "0 end",
            "1 thinking",
            "1 +b",
            "1 seal anthropic s2",
            "1 end",
            "2 thinking",
            "2 seal openai_responses e",
            "2 end",
            "3 call k f",
            "3 +{}",
            "3 seal gemini g",
            "3 end",
            "4 call l f",
            "4 +{}",
            "4 seal gemini h",
            "4 end",
            "finish ToolUse",
            "end",
        ]
    );
}

#[test]
fn the_borders_of_pieces_change_nothing() {
    for (name, stream) in FIXTURES {
        let expected = read(stream);
        let step = if stream.len() < 1_500 { 1 } else { 61 };
        for at in (0..=stream.len()).step_by(step) {
            let (before, after) = stream.as_bytes().split_at(at);
            assert_eq!(read_pieces(&[before, after]), expected, "{name} split at {at}");
        }
        for other in [stream.replace('\n', "\r\n"), stream.replace('\n', "\r")] {
            assert_eq!(read(&other), expected, "{name}");
        }
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(read_pieces(&bytes), expected, "{name} byte by byte");
        assert_eq!(read(stream.trim_end()), expected, "{name} without its last blank line");
    }
}

#[test]
fn skimming_knows_as_much_as_reading() {
    for (name, stream) in FIXTURES {
        skims_alike(name, stream, || chat().reader());
        // Spaces where some servers have them, and other orders of members.
        let spaced = stream.replace("\":", "\": ").replace(",\"", ", \"");
        skims_alike(name, &spaced, || chat().reader());
        for frame in 0..stream.split_inclusive("\n\n").count() {
            let cut: String = stream.split_inclusive("\n\n").take(frame).collect();
            skims_alike(name, &cut, || chat().reader());
        }
    }
    let odd = deltas(
        &[
            r#"{"content":"error"}"#,
            r#"{"content":"\"finish_reason\":\"stop\",\"usage\":{},\"delta\":"}"#,
            r#"{"content":"\ud83d\ude00"}"#,
            r#"{"content":"usage"}"#,
            r#"{"role":"assistant","content":null}"#,
            r#"{"content":"a","refusal":"b"}"#,
            r#"{"content":"a","reasoning":"b","reasoning_content":"b"}"#,
            r#"{"content":[{"type":"text","text":"parts"}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"arguments\":\"x\"}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"y"}},{"index":1,"id":"b","function":{"name":"g","arguments":"z"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":{"o":1}}}]}"#,
            r#"{"tool_calls":[{"index":2,"id":"c","type":"custom","custom":{"name":"n","input":"free"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"q"}}],"content":"later"}"#,
            r#"{"reasoning_details":[{"type":"reasoning.text","text":"deep"}]}"#,
            r#"{"audio":{"transcript":"said"}}"#,
            r#"{"unknown":{"content":"no output"}}"#,
        ],
        "stop",
    );
    skims_alike("odd", &odd, || chat().reader());
    let tiers = odd.replacen("\"model\":\"m\"", "\"model\":\"m\",\"service_tier\":\"default\"", 3);
    skims_alike("tiers", &tiers, || chat().reader());
}

#[test]
fn the_usage_frame_is_the_only_one_withheld() {
    for (name, stream) in FIXTURES {
        let mut withheld = 0;
        frames(&[stream.as_bytes()], |frame| withheld += usize::from(is_usage_only(&frame)));
        let expected = stream.matches("\"choices\":[],\"usage\":{").count();
        assert_eq!(withheld, expected, "{name}");
    }
}
