//! What holds of any stream, any request and any rubbish.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

#[path = "gemini/support.rs"]
mod support;

use ledger::{Meter, Usage, UsageReport};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{GEMINI, keeps_its_promises, lines, output_bytes, read, read_pieces, skim, write};
use wire::chat::{Block, Citation, Media, MediaKind, Native, Seal, Source};
use wire::collect::collect;
use wire::reply::Finish;
use wire::sse::{Frame, Framing};
use wire::stream::{End, Event, Metered, Opening};
use wire::{Json, Shape, Target, embed};

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z \"\\\\\n{}é🦀\u{2028}]{0,12}"
}

fn seal() -> impl Strategy<Value = Option<Seal>> {
    let dialect = prop_oneof![Just("gemini"), Just("anthropic"), Just("openai_chat")];
    let seal = (dialect, "[A-Za-z0-9+/]{4}{1,4}={0,2}")
        .prop_map(|(dialect, value)| Seal { dialect, value });
    proptest::option::of(seal)
}

/// A block of an answer: how it opens, and what stands in it.
#[derive(Clone, Debug)]
struct Piece {
    opening: Opening,
    texts: Vec<String>,
    cites: Vec<Citation>,
    seal: Option<Seal>,
    /// Whether it stays open while the next one comes.
    interleaved: bool,
}

fn piece() -> impl Strategy<Value = Piece> {
    let texts = proptest::collection::vec(text(), 0..4);
    let cite = ("https://[a-c]\\.example", proptest::option::of((0_u64..20, 0_u64..20)))
        .prop_map(|(url, span)| Citation { url, span, ..Citation::default() });
    let cites = proptest::collection::vec(cite, 0..3);
    let arguments = prop_oneof![
        Just(String::new()),
        Just("{}".to_owned()),
        Just("{\"n\": 12345678901234567890123}".to_owned()),
        Just("[1,2]".to_owned()),
        Just("{\"cut".to_owned()),
    ];
    (0..6_u8, texts, cites, seal(), arguments, any::<u16>(), any::<bool>()).prop_map(
        |(kind, texts, cites, seal, arguments, n, interleaved)| {
            let plain = |opening| Piece {
                opening,
                texts: Vec::new(),
                cites: Vec::new(),
                seal: None,
                interleaved: false,
            };
            match kind {
                0 => Piece { texts, cites, ..plain(Opening::Text) },
                1 => Piece { texts, ..plain(Opening::Refusal) },
                2 => Piece { texts, seal, ..plain(Opening::Thinking) },
                3 => {
                    let call = Opening::ToolUse { id: format!("id{n}"), name: format!("f{n}") };
                    Piece { texts: vec![arguments], seal, interleaved, ..plain(call) }
                }
                4 => plain(Opening::Media(Media::new(
                    MediaKind::Image,
                    Source::Base64("AA==".to_owned()),
                    Some("image/png".to_owned()),
                ))),
                _ => plain(Opening::Native(Native {
                    dialect: "gemini",
                    field: "executableCode".to_owned(),
                    raw: Json::parse("{\"executableCode\":{\"code\":\"1\"}}").unwrap(),
                })),
            }
        },
    )
}

prop_compose! {
    fn usage()(input in 0_u64..1_000, cached in 0_u64..1_000, heard in 0_u64..100, output in 0_u64..1_000,
        thoughts in 0_u64..1_000, drawn in 0_u64..100) -> UsageReport {
        UsageReport::single(Usage::of(&[
            (Meter::Input, input), (Meter::CacheRead, cached), (Meter::AudioInput, heard), (Meter::AudioCacheRead, heard / 2),
            (Meter::Output, output), (Meter::Reasoning, thoughts), (Meter::ImageOutput, drawn),
        ]))
    }
}

prop_compose! {
    fn streams()(pieces in proptest::collection::vec(piece(), 0..6), first in usage(), last in usage(),
        finish in prop_oneof![Just(Finish::Stop), Just(Finish::Length), Just(Finish::Filter), Just(Finish::ToolUse)],
    ) -> (Vec<Event>, Vec<Piece>) {
        let mut events = vec![Event::Start { id: "a".to_owned(), model: "m".to_owned() }];
        events.push(Event::Usage(Metered::new(first)));
        let mut late = Vec::new();
        for (index, piece) in (0..).zip(&pieces) {
            events.push(Event::Open { index, block: piece.opening.clone() });
            let call = matches!(piece.opening, Opening::ToolUse { .. });
            for text in piece.texts.iter().filter(|text| !text.is_empty()).cloned() {
                events.push(if call { Event::Json { index, part: text } } else { Event::Text { index, text } });
            }
            events.extend(piece.cites.iter().cloned().map(|citation| Event::Cite { index, citation }));
            events.extend(piece.seal.clone().map(|seal| Event::Seal { index, seal }));
            if piece.interleaved {
                late.push(index);
            } else {
                events.push(Event::Close { index });
            }
        }
        events.extend(late.into_iter().map(|index| Event::Close { index }));
        events.push(Event::Finish { finish, stop_sequence: None });
        events.push(Event::Usage(Metered::new(last)));
        events.push(Event::End);
        (events, pieces)
    }
}

/// Name and arguments of each call, as an object.
fn calls(blocks: &[Block]) -> Vec<(String, String)> {
    let call = |block: &Block| match block {
        Block::ToolUse { name, input, .. } => {
            Some((name.clone(), input.clone().into_object().get().to_owned()))
        }
        _ => None,
    };
    let mut calls: Vec<_> = blocks.iter().filter_map(call).collect();
    calls.sort();
    calls
}

/// The seals of other providers, which a client must bring back. A call may repeat that of its thoughts.
fn foreign(blocks: &[Block]) -> Vec<String> {
    let seal = |block: &Block| match block {
        Block::Thinking { seal: Some(seal), .. } | Block::ToolUse { seal: Some(seal), .. } => {
            (seal.dialect != "gemini").then(|| format!("{} {}", seal.dialect, seal.value))
        }
        _ => None,
    };
    let mut seals: Vec<_> = blocks.iter().filter_map(seal).collect();
    seals.sort();
    seals.dedup();
    seals
}

proptest! {
    #[test]
    fn any_stream_survives_a_client((events, pieces) in streams()) {
        let (first, seen) = read(&write(&events, &Shape::default()));
        prop_assert_eq!(keeps_its_promises(&first), Ok(()));
        prop_assert!(seen.whole && seen.usage_final);
        prop_assert_eq!(seen.output_bytes, output_bytes(&first));
        let (before, after) = (collect(events.clone()).unwrap(), collect(first.clone()).unwrap());
        let said: String = pieces.iter()
            .filter(|piece| matches!(piece.opening, Opening::Text | Opening::Refusal))
            .flat_map(|piece| piece.texts.clone()).collect();
        let shown: String = after.blocks.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            _ => None,
        }).collect();
        prop_assert_eq!(shown, said);
        prop_assert_eq!(calls(&after.blocks), calls(&before.blocks));
        prop_assert_eq!(foreign(&after.blocks), foreign(&before.blocks));
        prop_assert_eq!(&after.usage, &before.usage);
        // From then on nothing changes any more, but how often the usage is told.
        let (second, _) = read(&write(&first, &Shape::default()));
        let steps = |events: &[Event]| -> Vec<String> {
            lines(events).into_iter().filter(|line| !line.starts_with("usage")).collect()
        };
        prop_assert_eq!(steps(&second), steps(&first));
        prop_assert_eq!(collect(second).unwrap().usage, after.usage);
        let array = write(&events, &Shape { json_array: true, ..Shape::default() });
        prop_assert_eq!(read_pieces(Framing::JsonArray, &[array.as_bytes()]), (first, seen));
    }

    #[test]
    fn a_whole_answer_tells_the_same_as_its_stream((events, _) in streams()) {
        let reply = collect(events.clone()).unwrap();
        let whole = GEMINI.read_reply(&GEMINI.write_reply(&reply, &Shape::default())).unwrap();
        let streamed = collect(read(&write(&events, &Shape::default())).0).unwrap();
        prop_assert_eq!(whole.usage, streamed.usage);
        prop_assert_eq!(whole.finish, streamed.finish);
        prop_assert_eq!(calls(&whole.blocks), calls(&streamed.blocks));
        prop_assert_eq!(foreign(&whole.blocks), foreign(&streamed.blocks));
        let text = |blocks: &[Block]| -> String {
            blocks.iter().filter_map(|b| match b { Block::Text(text) => Some(text.as_str()), _ => None }).collect()
        };
        prop_assert_eq!(text(&whole.blocks), text(&streamed.blocks));
    }

    #[test]
    fn a_clients_history_brings_the_state_of_others_back((events, _) in streams()) {
        let reply = collect(events).unwrap();
        let answer: Value = serde_json::from_slice(&GEMINI.write_reply(&reply, &Shape::default())).unwrap();
        let request = json!({ "contents": [answer["candidates"][0]["content"]] }).to_string();
        let chat = GEMINI.read_request(request.as_bytes()).unwrap();
        prop_assert_eq!(foreign(&chat.turns[0].blocks), foreign(&reply.blocks));
        prop_assert_eq!(calls(&chat.turns[0].blocks).len(), calls(&reply.blocks).len());
    }

    #[test]
    fn no_frame_breaks_a_reader(values in proptest::collection::vec(rubbish(), 0..6), cut in any::<bool>()) {
        let frames: Vec<String> = values.iter().map(Value::to_string).collect();
        let (mut reader, mut quick, mut out) = (GEMINI.reader(), GEMINI.reader(), Vec::new());
        for data in &frames {
            reader.frame(&Frame::of_data(data), &mut out);
            quick.skim(&Frame::of_data(data));
            prop_assert_eq!(reader.seen(), quick.seen());
        }
        let how = if cut { End::Broken } else { End::Closed };
        reader.end(how, &mut out);
        quick.end(how, &mut Vec::new());
        prop_assert_eq!(reader.seen(), quick.seen());
        prop_assert_eq!(keeps_its_promises(&out), Ok(()));
        write(&out, &Shape::default());
        let text = ["data: ", &frames.join("\n\ndata: ")].concat();
        skim(Framing::Sse, &text);
    }

    #[test]
    fn no_request_breaks_a_reader(value in rubbish(), request in requests()) {
        for body in [&value, &request] {
            let text = body.to_string();
            if let Ok(chat) = GEMINI.read_request(text.as_bytes()) {
                for model in ["gemini-1.5-pro", "gemini-2.5-flash", "gemini-4-argon"] {
                    let target = Target { provider: "gemini", model, max_output_tokens: None, reasoning: true };
                    if let Ok(written) = GEMINI.write_request(&chat, &target) {
                        prop_assert!(GEMINI.read_request(&written.body).is_ok());
                    }
                    let _ = wire::gemini::write_count_request(&chat, &target);
                }
            }
            let _ = GEMINI.read_reply(text.as_bytes());
            let _ = wire::gemini::read_count_request(text.as_bytes());
            let _ = wire::gemini::continued(text.as_bytes(), "t");
            for embed in [embed::openai::read_request(text.as_bytes()), embed::gemini::read_request(text.as_bytes())].into_iter().flatten() {
                let target = Target { provider: "any", model: "m", max_output_tokens: None, reasoning: false };
                let _ = (embed::openai::write_request(&embed, &target), embed::gemini::write_request(&embed, &target));
            }
            for embedded in [embed::openai::read_reply(text.as_bytes()), embed::gemini::read_reply(text.as_bytes())].into_iter().flatten() {
                let _ = embed::openai::write_reply(&embedded, embed::Encoding::Base64);
                let _ = embed::gemini::write_reply(&embedded, false);
            }
        }
    }
}

/// JSON out of the words of this dialect, in no sensible order.
fn rubbish() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 30] = [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "args",
        "name",
        "id",
        "finishReason",
        "index",
        "usageMetadata",
        "promptTokenCount",
        "candidatesTokenCount",
        "error",
        "code",
        "message",
        "promptFeedback",
        "blockReason",
        "groundingMetadata",
        "groundingChunks",
        "groundingSupports",
        "segment",
        "startIndex",
        "endIndex",
        "webSearchQueries",
        "inlineData",
        "continuationToken",
        "web",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just("STOP"), Just("CONTINUATION"), Just("a"), Just(""), Just("ü")]
            .prop_map(Value::from),
    ];
    let node = leaf.prop_recursive(6, 64, 6, |inner| {
        let members = proptest::collection::vec((0..WORDS.len(), inner.clone()), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members
                .into_iter()
                .map(|(at, value)| (WORDS[at].to_owned(), value))
                .collect()),
        ]
    });
    // Mostly what a stream begins with.
    let element = |inner: Value| json!({ "candidates": [{ "content": { "parts": [inner] }, "finishReason": "STOP" }] });
    prop_oneof![
        node.clone(),
        node.clone().prop_map(element),
        node.prop_map(|inner| json!({ "candidates": [inner] }))
    ]
}

/// Requests that are nearly right.
fn requests() -> impl Strategy<Value = Value> {
    let schema_words = [
        "type",
        "properties",
        "items",
        "anyOf",
        "$ref",
        "allOf",
        "enum",
        "const",
        "$defs",
        "not",
        "required",
    ];
    let leaf = prop_oneof![
        prop_oneof![Just("object"), Just("null"), Just("#/$defs/type"), Just("#"), Just("STRING")]
            .prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(json!(["string", "null"])),
    ];
    let schema = leaf.prop_recursive(5, 48, 5, move |inner| {
        let members = proptest::collection::vec((0..schema_words.len(), inner.clone()), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Value::from),
            members.prop_map(move |members| {
                members
                    .into_iter()
                    .map(|(at, value)| (schema_words[at].to_owned(), value))
                    .collect()
            }),
        ]
    });
    let part = prop_oneof![
        text().prop_map(|text| json!({ "text": text })),
        text().prop_map(|text| json!({ "text": text, "thoughtSignature": text })),
        text().prop_map(|text| json!({ "thought": true, "text": text })),
        text().prop_map(|name| json!({ "functionCall": { "name": name } })),
        text().prop_map(
            |name| json!({ "functionResponse": { "name": name, "response": { "output": name } } })
        ),
        Just(json!({ "inlineData": {} })),
        Just(json!({ "executableCode": {} })),
        Just(json!({})),
    ];
    let content = (proptest::collection::vec(part, 0..5), any::<bool>()).prop_map(
        |(parts, user)| json!({ "role": if user { "user" } else { "model" }, "parts": parts }),
    );
    (proptest::collection::vec(content, 0..5), schema, text()).prop_map(
        |(contents, schema, name)| {
            json!({
                "contents": contents,
                "tools": [{ "functionDeclarations": [{ "name": name, "parameters": schema }] }],
                "generationConfig": { "responseSchema": schema },
            })
        },
    )
}
