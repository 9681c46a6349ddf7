//! Streams of our own, in the shapes that Google sends, and what a client gets of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test; helpers of tests are not exempt by themselves"
)]

#[path = "gemini/streams.rs"]
mod streams;
#[path = "gemini/support.rs"]
mod support;

use ledger::{Meter, Usage};
use streams::{STREAMS, stream};
use support::{GEMINI, keeps_its_promises, lines, output_bytes, read, read_pieces, skim, write};
use wire::chat::Block;
use wire::collect::{collect, events};
use wire::problem::Kind;
use wire::reply::Finish;
use wire::sse::{Frame, Framing};
use wire::stream::{End, Event};
use wire::{Problem, Shape};

const START: &str = "start c3RyZWFtLWZpeHR1cmU gemini-3-flash-preview";

/// What a stream must be read as, without the usage in between.
fn expect(name: &str, expected: &[&str]) {
    let (events, _) = read(stream(name));
    let got: Vec<String> =
        lines(&events).into_iter().filter(|line| !line.starts_with("usage")).collect();
    assert_eq!(got, expected, "{name}");
}

#[test]
fn text_and_thinking() {
    expect(
        "text",
        &[
            START,
            "0 open text",
            "0 text The toll is ",
            "0 text twelve euros 🌉 per axle.",
            "0 close",
            "finish Stop",
            "end",
        ],
    );
    expect(
        "thinking",
        &[
            START,
            "0 open thinking",
            "0 text Counting the axles",
            "0 text  of both lorries.",
            "0 seal gemini EpMCdG9sbGdhdGU=",
            "0 close",
            "1 open text",
            "1 text Nine ",
            "1 text axles in all.",
            "1 close",
            "finish Stop",
            "end",
        ],
    );
    expect(
        "signature_last",
        &[
            START,
            "0 open text",
            "0 text Nine axles.",
            "0 close",
            "1 open thinking",
            "1 seal gemini EugBbGFzdA==",
            "1 close",
            "finish Stop",
            "end",
        ],
    );
}

#[test]
fn calls() {
    let (events, _) = read(stream("tools"));
    let got = lines(&events);
    let made_up =
        got.iter().find_map(|line| line.strip_prefix("2 open call list_bridges ")).unwrap();
    assert!(made_up.starts_with("call_") && made_up.len() == 29, "{made_up}");
    expect(
        "tools",
        &[
            START,
            "0 open call lookup_toll brdg0001",
            "0 json {\"bridge\": \"Rion\", \"axles\": 3}",
            "0 seal gemini EugBdG9sbA==",
            "0 close",
            "1 open call lookup_toll brdg0002",
            "1 json {\"bridge\": \"Tasman\", \"axles\": 2}",
            "1 close",
            &format!("2 open call list_bridges {made_up}"),
            "2 json {}",
            "2 close",
            "finish ToolUse",
            "end",
        ],
    );
}

#[test]
fn calls_without_ids_get_distinct_and_stable_ones() {
    let ids = |name: &str| -> Vec<String> {
        let reply = collect(read(stream(name)).0).unwrap();
        let id = |block: Block| match block {
            Block::ToolUse { id, .. } => Some(id),
            _ => None,
        };
        reply.blocks.into_iter().filter_map(id).collect()
    };
    let (first, again) = (ids("tools_without_ids"), ids("tools_without_ids"));
    assert_eq!(first, again);
    assert!(first.len() == 2 && first[0] != first[1], "{first:?}");
    // The next answer of the conversation has another id, and its calls too.
    let other = stream("tools_without_ids").replace("c3RyZWFtLWZpeHR1cmU", "YW5vdGhlcg");
    let other = lines(&read(&other).0);
    assert!(first.iter().all(|id| !other.iter().any(|line| line.contains(id))));
}

#[test]
fn sources_stand_behind_the_words_that_rest_on_them() {
    let (events, seen) = read(stream("search"));
    let cites: Vec<String> = lines(&events)
        .into_iter()
        .filter(|line| line.contains("cite") || line.contains("seal"))
        .collect();
    assert_eq!(
        cites,
        [
            "0 cite https://example.com/tolls Some((0, 24))",
            "0 cite https://example.com/tolls Some((25, 35))",
            "0 cite https://example.org/night Some((25, 35))",
            "1 seal gemini EugBc2VhcmNo",
        ]
    );
    let text = collect(events).unwrap().text();
    let words: String = text.chars().skip(25).take(10).collect();
    assert_eq!(words, "Nachts 31.");
    let usage = seen.usage.unwrap().total();
    assert_eq!((usage.get(Meter::SearchQuery), usage.get(Meter::GroundedPrompt)), (2, 1));
    assert_eq!(usage.input_tokens(), 53);
}

#[test]
fn sources_may_come_before_the_end_and_again() {
    let grounding = r#""groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a.example"}},{"retrievedContext":{"text":"nowhere"}}],"groundingSupports":[{"segment":{"endIndex":3,"text":"One"},"groundingChunkIndices":[0,1,7]}]}"#;
    let part = |text: &str, more: &str| {
        format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{text}]}}{more}}}]}}\n\n")
    };
    let stream = [
        part(r#"{"text":"One"}"#, &format!(",{grounding}")),
        part(r#"{"text":" two"}"#, &format!(",{grounding}")),
        part(
            r#"{"functionCall":{"name":"f"}}"#,
            &format!(",\"finishReason\":\"STOP\",{grounding}"),
        ),
    ]
    .concat();
    let cites: Vec<String> =
        lines(&read(&stream).0).into_iter().filter(|line| line.contains("cite")).collect();
    assert_eq!(cites, ["0 cite https://a.example Some((0, 3))"]);
    // Behind a block that is closed there is no place any more.
    let late = [
        part(r#"{"text":"One"},{"functionCall":{"name":"f"}}"#, ""),
        part("", &format!(",\"finishReason\":\"STOP\",{grounding}")),
    ]
    .concat();
    let (events, _) = read(&late);
    keeps_its_promises(&events).unwrap();
    let tail: Vec<String> = lines(&events).into_iter().skip(7).collect();
    assert_eq!(
        tail,
        ["2 open text", "2 cite https://a.example None", "2 close", "finish ToolUse", "end"]
    );
}

#[test]
fn offsets_that_miss_are_found_by_their_words() {
    let stream = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"äbc def\"}]},\"finishReason\":\"STOP\",\
        \"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}],\"groundingSupports\":[\
        {\"segment\":{\"startIndex\":6,\"endIndex\":99,\"text\":\"def\"},\"groundingChunkIndices\":[0]},\
        {\"segment\":{\"startIndex\":1,\"endIndex\":4},\"groundingChunkIndices\":[0]}]}}]}\n\n";
    let cites: Vec<String> =
        lines(&read(stream).0).into_iter().filter(|line| line.contains("cite")).collect();
    assert_eq!(cites, ["0 cite u Some((4, 7))", "0 cite u Some((0, 3))"]);
}

#[test]
fn parts_that_only_google_knows() {
    let (events, seen) = read(stream("code"));
    let kinds: Vec<String> =
        lines(&events).into_iter().filter(|line| line.contains("open")).collect();
    assert_eq!(
        kinds,
        ["0 open native executableCode", "1 open native codeExecutionResult", "2 open text"]
    );
    // Its signature stays in it.
    assert!(write(&events, &Shape::default()).contains("EugBY29kZQ=="));
    assert_eq!(seen.usage.unwrap().total().input_tokens(), 70);
}

#[test]
fn pictures_are_signed_too() {
    expect(
        "image",
        &[
            START,
            "0 open text",
            "0 text Here it is.",
            "0 close",
            "1 open thinking",
            "1 seal gemini EugBaW1n",
            "1 close",
            "2 open media Some(\"image/png\")",
            "2 close",
            "finish Stop",
            "end",
        ],
    );
    let (events, seen) = read(stream("image"));
    assert_eq!(seen.usage.unwrap().total().get(Meter::ImageOutput), 1290);
    let again = write(&events, &Shape::default());
    // At its part, as it came.
    let part = r#"{"thoughtSignature":"EugBaW1n","inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}"#;
    assert!(again.contains(part), "{again}");
    assert_eq!(lines(&read(&again).0), lines(&events));
}

#[test]
fn every_way_to_end() {
    for (name, finish, usage) in [
        ("refusal", Finish::Filter, [8, 5]),
        ("blocked", Finish::Filter, [37, 0]),
        ("truncated", Finish::Length, [11, 12]),
        ("thoughts_only", Finish::Length, [11, 64]),
        ("usage_falls", Finish::Stop, [79, 73]),
    ] {
        let (events, seen) = read(stream(name));
        assert!(seen.whole && seen.usage_final && !seen.failed, "{name}");
        assert_eq!(seen.finish, Some(finish), "{name}");
        let reply = collect(events).unwrap();
        assert_eq!(reply.finish, finish, "{name}");
        let total = reply.usage.unwrap().total();
        assert_eq!([total.input_tokens(), total.output_tokens()], usage, "{name}");
        assert_eq!(Some(total), seen.usage.map(|report| report.total()), "{name}");
    }
}

#[test]
fn a_cut_is_no_end_and_counts_the_most_that_was_seen() {
    let (events, seen) = read(stream("cut"));
    let got = lines(&events);
    assert_eq!(got[got.len() - 2], "0 close");
    assert!(
        got[got.len() - 1].starts_with("problem Upstream") && got[got.len() - 1].contains("cut")
    );
    assert!(!seen.whole && !seen.usage_final && !seen.failed && seen.finish.is_none());
    let report = seen.usage.unwrap();
    assert_eq!(
        report.total(),
        Usage::of(&[(Meter::Input, 169), (Meter::Output, 9), (Meter::Reasoning, 101)])
    );
    assert!(!report.inconsistent, "figures of several moments need not add up");
}

#[test]
fn a_stream_that_stops_inside_an_element_was_cut() {
    let whole = stream("text");
    let inside = whole.rfind("STOP").unwrap();
    let (events, seen) = read(&whole[..inside]);
    assert!(matches!(events.last(), Some(Event::Problem(Problem { kind: Kind::Upstream, .. }))));
    assert!(!seen.whole && seen.finish.is_none());
    // And one of which nothing came.
    assert!(lines(&read("").0)[0].starts_with("problem Upstream"));
    let mut reader = GEMINI.reader();
    let mut out = Vec::new();
    reader.end(End::Idle, &mut out);
    assert!(matches!(&out[..], [Event::Problem(Problem { kind: Kind::Timeout, .. })]));
}

#[test]
fn an_error_in_the_middle() {
    for name in ["error", "error_bare"] {
        let (events, seen) = read(stream(name));
        assert!(seen.failed && !seen.whole && !seen.usage_final, "{name}");
        let Some(Event::Problem(problem)) = events.last() else { panic!("{name}") };
        assert_eq!((problem.kind, problem.status), (Kind::Overloaded, 503), "{name}");
        assert!(problem.upstream && problem.message.contains("overloaded"), "{name}");
        // What a client gets raises the library's own error.
        let text = write(&events, &Shape::default());
        let last = text.trim_end().rsplit("\r\n\r\n").next().unwrap();
        let value: serde_json::Value =
            serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(value["error"]["code"], 503);
        assert_eq!(value["error"]["status"], "UNAVAILABLE");
    }
    let wrapped = "data: [{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}]\n\n";
    assert!(lines(&read(wrapped).0)[0].starts_with("problem RateLimit"));
    let rubbish = "data: <html>\n\ndata: {}\n\n";
    assert!(lines(&read(rubbish).0)[0].starts_with("problem Malformed"));
}

#[test]
fn a_hop_of_a_long_answer_has_no_finish() {
    let (events, seen) = read(stream("continuation"));
    let got = lines(&events);
    assert_eq!(got[got.len() - 2..], ["0 close", "end"]);
    assert!(seen.whole && seen.usage_final);
    assert_eq!((seen.finish, seen.continuation.as_deref()), (None, Some("dG9rZW4tMg==")));
    // A cut behind a token can be made good as well; behind the answer's own end there is nothing to go on with.
    let first = stream("continuation").split_inclusive("\r\n\r\n").next().unwrap();
    let (cut, seen) = read(first);
    assert!(matches!(cut.last(), Some(Event::Problem(_))));
    assert_eq!(seen.continuation.as_deref(), Some("dG9rZW4tMQ=="));
    let done = stream("continuation").replace("\"CONTINUATION\"", "\"STOP\"");
    let (_, seen) = read(&done);
    assert_eq!((seen.finish, seen.continuation), (Some(Finish::Stop), None));
}

#[test]
fn a_request_goes_on_at_its_token() {
    let body = br#"{"contents":[{"parts":[{"text":"a"}]}],"continuation_token":"old","x":1.50}"#;
    let again = wire::gemini::continued(body, "new\"").unwrap();
    assert_eq!(
        String::from_utf8(again).unwrap(),
        r#"{"contents":[{"parts":[{"text":"a"}]}],"x":1.50,"continuationToken":"new\""}"#
    );
}

#[test]
fn only_the_first_of_several_answers_is_carried() {
    let (events, seen) = read(stream("two_answers"));
    assert_eq!(collect(events).unwrap().text(), "Yes.");
    assert_eq!(seen.finish, Some(Finish::Stop));
    assert_eq!(seen.output_bytes, 14, "the other one was generated too");
}

#[test]
fn usage_is_told_when_it_changes_and_once_more_at_the_end() {
    let (events, _) = read(stream("search"));
    let told: Vec<String> =
        lines(&events).into_iter().filter(|line| line.starts_with("usage")).collect();
    assert_eq!(told, ["usage 53 25", "usage 53 44", "usage 53 46"]);
    let (events, seen) = read(stream("no_usage"));
    assert!(!lines(&events).iter().any(|line| line.starts_with("usage")));
    assert_eq!((seen.usage, seen.usage_final, seen.output_bytes), (None, false, 15));
}

#[test]
fn tokens_of_the_prompt_are_told_ahead_of_the_start() {
    let (events, _) = read(stream("search"));
    assert!(matches!(events.as_slice(), [Event::Usage(_), Event::Start { .. }, ..]));
}

#[test]
fn borders_of_pieces_change_nothing() {
    for (name, text) in STREAMS {
        let whole = read(text);
        keeps_its_promises(&whole.0).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        // The long ones have nothing in them that the short ones have not.
        let stride = if text.len() < 1_200 { 1 } else { 5 };
        for at in (0..text.len()).step_by(stride) {
            let (before, after) = text.as_bytes().split_at(at);
            assert_eq!(read_pieces(Framing::Sse, &[before, after]), whole, "{name} at {at}");
        }
        let lf = text.replace("\r\n", "\n");
        assert_eq!(read(&lf), whole, "{name}");
    }
}

#[test]
fn skimming_sees_the_same() {
    for (name, text) in STREAMS {
        let (events, seen) = read(text);
        assert_eq!(skim(Framing::Sse, text), seen, "{name}");
        if *name != "two_answers" {
            assert_eq!(seen.output_bytes, output_bytes(&events), "{name}");
        }
        // At any moment, not only at the end.
        let (mut full, mut quick) = (GEMINI.reader(), GEMINI.reader());
        support::frames(Framing::Sse, &[text.as_bytes()], |frame| {
            full.frame(frame, &mut Vec::new());
            quick.skim(frame);
            assert_eq!(full.seen(), quick.seen(), "{name}");
        });
    }
}

/// The same elements as one JSON array.
fn as_array(text: &str) -> String {
    let mut elements = Vec::new();
    support::frames(Framing::Sse, &[text.as_bytes()], |frame| {
        if !frame.data.is_empty() {
            elements.push(frame.data.clone().into_owned());
        }
    });
    format!("[{}\n]\n", elements.join(",\r\n"))
}

#[test]
fn an_array_is_read_like_events() {
    for (name, text) in STREAMS {
        let array = as_array(text);
        let whole = read(text);
        assert_eq!(read_pieces(Framing::JsonArray, &[array.as_bytes()]), whole, "{name}");
        for at in (0..array.len()).step_by(7) {
            let (before, after) = array.as_bytes().split_at(at);
            assert_eq!(read_pieces(Framing::JsonArray, &[before, after]), whole, "{name} at {at}");
        }
    }
}

#[test]
fn what_is_written_is_read_as_it_was() {
    for (name, text) in STREAMS.iter().filter(|(name, _)| *name != "two_answers") {
        let (events, _) = read(text);
        let again = read(&write(&events, &Shape::default())).0;
        if ["continuation", "cut", "error", "error_bare", "code"].contains(name) {
            // The end of a hop is not the client's affair; a problem becomes the gateway's own.
            continue;
        }
        // Which searches were made is not told to clients.
        let searched = *name == "search";
        let without = |events: &[Event]| -> Vec<String> {
            lines(events)
                .into_iter()
                .filter(|line| !searched || !line.starts_with("usage"))
                .collect()
        };
        assert_eq!(without(&again), without(&events), "{name}");
    }
}

#[test]
fn clients_of_google_get_nothing_but_data() {
    for (name, text) in STREAMS {
        let written = write(&read(text).0, &Shape::default());
        for line in written.split("\r\n").filter(|line| !line.is_empty()) {
            let data = line.strip_prefix("data: ").unwrap_or_else(|| panic!("{name}: {line}"));
            let value: serde_json::Value = serde_json::from_str(data).unwrap();
            assert!(value["error"].is_object() || value["candidates"][0]["content"].is_object());
        }
        assert!(!written.contains("[DONE]"), "{name}");
    }
    assert_eq!(GEMINI.writer(Shape::default()).ping(), b"\n");
}

#[test]
fn clients_without_events_get_an_array_whatever_happens() {
    let array = Shape { json_array: true, ..Shape::default() };
    for (name, text) in STREAMS {
        let (events, _) = read(text);
        let written = write(&events, &array);
        let value: serde_json::Value =
            serde_json::from_str(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
        let last = value.as_array().unwrap().last().unwrap();
        let failed = matches!(events.last(), Some(Event::Problem(_)));
        assert_eq!(last["error"].is_object(), failed, "{name}");
        assert_eq!(last["candidates"][0]["finishReason"].is_string(), !failed, "{name}");
    }
    // A problem before anything else, and an answer of nothing.
    let problem = [Event::Problem(Problem::own(Kind::Overloaded, "no room"))];
    for events in [&problem[..], &[Event::End]] {
        let value: serde_json::Value = serde_json::from_str(&write(events, &array)).unwrap();
        assert_eq!(value.as_array().unwrap().len(), 1);
    }
    // Pings may come between any two frames.
    let (mut writer, mut out) = (GEMINI.writer(array), Vec::new());
    for event in read(stream("text")).0 {
        out.extend_from_slice(writer.ping());
        writer.event(event, &mut out);
    }
    assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
}

#[test]
fn the_last_element_has_all_that_a_client_waits_for() {
    let written = write(&read(stream("search")).0, &Shape::default());
    let last = written.trim_end().rsplit("data: ").next().unwrap();
    let value: serde_json::Value = serde_json::from_str(last).unwrap();
    let candidate = &value["candidates"][0];
    assert_eq!(candidate["finishReason"], "STOP");
    let grounding = &candidate["groundingMetadata"];
    assert_eq!(grounding["groundingChunks"].as_array().unwrap().len(), 2);
    let supports = grounding["groundingSupports"].as_array().unwrap();
    assert_eq!(supports[1]["segment"]["startIndex"], 26);
    assert_eq!(supports[1]["groundingChunkIndices"], serde_json::json!([0, 1]));
    assert!(supports[0]["segment"].get("startIndex").is_none());
    assert_eq!(value["usageMetadata"]["totalTokenCount"], 53 + 46);
    assert_eq!(value["responseId"], "c3RyZWFtLWZpeHR1cmU");
}

#[test]
fn a_whole_answer_is_read_like_the_stream_of_it() {
    for (name, text) in STREAMS {
        let (events, _) = read(text);
        let Ok(mut streamed) = collect(events) else { continue };
        if *name == "continuation" {
            continue;
        }
        searches_first(&mut streamed);
        let body = GEMINI.write_reply(&streamed, &Shape::default());
        let mut whole = GEMINI.read_reply(&body).unwrap();
        if *name == "search" {
            whole.usage.clone_from(&streamed.usage);
        }
        assert_eq!(whole, streamed, "{name}");
        let told = whole.usage.as_ref().map(|report| report.total().output_tokens());
        assert_eq!(told, streamed.usage.as_ref().map(|report| report.total().output_tokens()));
        // And the other way: the events of the whole answer bring it again.
        let mut again = collect(events_of(&whole)).unwrap();
        again.usage.clone_from(&streamed.usage);
        searches_first(&mut again);
        assert_eq!(again, streamed, "{name}");
    }
}

/// A stream tells of its searches at its end, a whole answer ahead of it.
fn searches_first(reply: &mut wire::Reply) {
    let is_search = |block: &Block| match block {
        Block::Native(native) => native.dialect.is_empty(),
        _ => false,
    };
    reply.blocks.sort_by_key(|block| !is_search(block));
}

fn events_of(reply: &wire::Reply) -> Vec<Event> {
    read(&write(&events(reply.clone()), &Shape::default())).0
}

#[test]
fn an_unresolved_hop_of_a_whole_answer_is_too_short() {
    let body = br#"{"candidates":[{"content":{"parts":[{"text":"Once"}]},"finishReason":"CONTINUATION","continuationToken":"t"}]}"#;
    assert_eq!(GEMINI.read_reply(body).unwrap().finish, Finish::Length);
}

#[test]
fn names_are_taken_from_the_shape_where_the_provider_gives_none() {
    let shape = Shape { id: "req-1".to_owned(), model: "m".to_owned(), ..Shape::default() };
    let events = [
        Event::Start { id: String::new(), model: String::new() },
        Event::Finish { finish: Finish::Stop, stop_sequence: None },
        Event::End,
    ];
    let text = write(&events, &shape);
    assert!(text.contains("\"responseId\":\"req-1\"") && text.contains("\"modelVersion\":\"m\""));
    let body = GEMINI.write_reply(&wire::Reply::default(), &shape);
    assert!(String::from_utf8(body).unwrap().contains("\"responseId\":\"req-1\""));
}

#[test]
fn marks_of_other_protocols_are_ignored() {
    let text = format!(": note\n\n\n\n{}data: [DONE]\n\n", stream("text"));
    assert_eq!(read(&text), read(stream("text")));
    let mut reader = GEMINI.reader();
    let mut out = Vec::new();
    reader.frame(&Frame::of_data("  "), &mut out);
    assert!(out.is_empty());
}
