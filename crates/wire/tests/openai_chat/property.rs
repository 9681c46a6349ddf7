//! Properties: what is written is read again, and no input makes anything panic.

use ledger::{Meter, Usage, UsageReport};
use proptest::prelude::*;
use wire::chat::{Citation, Media, MediaKind, Seal, Source};
use wire::reply::Finish;
use wire::stream::{End, Event};

use super::*;

/// A block in the making: its opening, and what stands between that and its end.
#[derive(Clone, Debug)]
struct Draft(Opening, Vec<Event>);

fn text() -> impl Strategy<Value = String> {
    "[a-z \"\\\\\n{}é🦀]{1,8}"
}

fn texts(opening: Opening) -> impl Strategy<Value = Draft> {
    proptest::collection::vec(text(), 1..3).prop_map(move |texts| {
        let events = texts.into_iter().map(|text| Event::Text { index: 0, text });
        Draft(opening.clone(), events.collect())
    })
}

fn seals() -> impl Strategy<Value = Seal> {
    let dialects = ["anthropic", "openai_responses", "gemini", "openai_chat"];
    (proptest::sample::select(dialects.to_vec()), "[A-Za-z0-9+/=.]{1,12}")
        .prop_map(|(dialect, value)| Seal { dialect, value })
}

fn thinking() -> impl Strategy<Value = Draft> {
    let texts = proptest::collection::vec(text(), 0..3);
    (texts, proptest::option::of(seals())).prop_filter_map("says something", |(texts, seal)| {
        if texts.is_empty() && seal.is_none() {
            return None;
        }
        let texts = texts.into_iter().map(|text| Event::Text { index: 0, text });
        let seal = seal.map(|seal| Event::Seal { index: 0, seal });
        Some(Draft(Opening::Thinking, texts.chain(seal).collect()))
    })
}

fn cited() -> impl Strategy<Value = Draft> {
    (texts(Opening::Text), proptest::option::of((0..5_u64, 0..5_u64))).prop_map(
        |(mut draft, span)| {
            if let Some((start, length)) = span {
                let citation = Citation {
                    url: "https://example.com".to_owned(),
                    title: Some("t".to_owned()),
                    cited_text: None,
                    span: Some((start, start + length)),
                    native: None,
                };
                draft.1.push(Event::Cite { index: 0, citation });
            }
            draft
        },
    )
}

/// Calls come after everything else, for the last of them ends at the end.
fn calls() -> impl Strategy<Value = Vec<Draft>> {
    let call =
        (proptest::collection::vec("[a-z0-9{}\":,]{1,6}", 0..3), proptest::option::of(seals()));
    proptest::collection::vec(call, 0..3).prop_map(|calls| {
        let call = |(number, (parts, seal)): (usize, (Vec<String>, Option<Seal>))| {
            let parts = if parts.is_empty() { vec!["{}".to_owned()] } else { parts };
            let parts = parts.into_iter().map(|part| Event::Json { index: 0, part });
            let seal = seal.map(|seal| Event::Seal { index: 0, seal });
            let opening = Opening::ToolUse { id: format!("call_{number}"), name: "f".to_owned() };
            Draft(opening, parts.chain(seal).collect())
        };
        calls.into_iter().enumerate().map(call).collect()
    })
}

/// The arguments of a call in one piece: a call that waited for another comes so.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in events {
        match (out.last_mut(), event) {
            (Some(Event::Json { part, .. }), Event::Json { part: more, .. }) => {
                part.push_str(&more);
            }
            (_, event) => out.push(event),
        }
    }
    out
}

fn at(index: u32, event: Event) -> Event {
    match event {
        Event::Text { text, .. } => Event::Text { index, text },
        Event::Json { part, .. } => Event::Json { index, part },
        Event::Cite { citation, .. } => Event::Cite { index, citation },
        Event::Seal { seal, .. } => Event::Seal { index, seal },
        other => other,
    }
}

prop_compose! {
    /// Events that this dialect can carry: texts of a kind do not follow each other, for they would be one.
    fn streams()(
        drafts in proptest::collection::vec(
            prop_oneof![cited(), texts(Opening::Refusal), thinking(), picture()], 0..5),
        calls in calls(),
        input in 0..1_000_u64, cached in 0..1_000_u64, output in 0..1_000_u64,
        length in any::<bool>(),
    ) -> Vec<Event> {
        let mut events = vec![Event::Start { id: "a".to_owned(), model: "m".to_owned() }];
        let mut drafts = drafts;
        drafts.dedup_by(|a, b| a.0 == b.0 && !matches!(a.0, Opening::Media(_)));
        let calling = !calls.is_empty();
        for (index, Draft(block, inner)) in (0..).zip(drafts.into_iter().chain(calls)) {
            events.push(Event::Open { index, block });
            events.extend(inner.into_iter().map(|event| at(index, event)));
            events.push(Event::Close { index });
        }
        let usage = Usage::of(&[(Meter::Input, input), (Meter::CacheRead, cached), (Meter::Output, output)]);
        events.push(Event::Usage(Metered::new(UsageReport::single(usage))));
        let finish = if length { Finish::Length } else if calling { Finish::ToolUse } else { Finish::Stop };
        events.push(Event::Finish { finish, stop_sequence: None });
        events.push(Event::End);
        events
    }
}

fn picture() -> impl Strategy<Value = Draft> {
    Just(Draft(
        Opening::Media(Media::new(
            MediaKind::Image,
            Source::Base64("AAAA".to_owned()),
            Some("image/png".to_owned()),
        )),
        Vec::new(),
    ))
}

/// JSON that looks like a chunk here and there.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let keys = [
        "id",
        "model",
        "choices",
        "delta",
        "index",
        "content",
        "usage",
        "finish_reason",
        "tool_calls",
        "function",
        "arguments",
        "name",
        "reasoning_details",
        "error",
        "message",
        "text",
        "annotations",
        "url_citation",
        "data",
        "prompt_tokens",
        "audio",
        "images",
        "image_url",
        "url",
        "extra_content",
        "custom",
        "type",
        "signature",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-z\"\\\\{}]{0,8}".prop_map(Into::into),
        Just("stop".into()),
        Just("data:image/png;base64,AA".into()),
    ];
    leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            proptest::collection::btree_map(proptest::sample::select(keys.to_vec()), inner, 0..6)
                .prop_map(|map| map
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(events in streams()) {
        let stream = written(events.clone(), shape());
        prop_assert_eq!(joined(read(&stream).0), joined(events));
        skims_alike("written", &stream, || chat().reader());
    }

    #[test]
    fn nothing_panics(frames in proptest::collection::vec(json(), 0..6), cost in "[0-9.e-]{0,6}") {
        let mut reader = chat().reader();
        let mut events = Vec::new();
        for frame in &frames {
            let data = frame.to_string();
            reader.frame(&Frame::of_data(&data), &mut events);
            reader.skim(&Frame::of_data(&data));
            let cost = Cost { charge: cost.clone(), upstream: cost.clone(), ..Cost::default() };
            for dialect in [chat(), wire::dialect("openai_responses").unwrap()] {
                let told = wire::openai_chat::add_cost(&data, dialect, &cost);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&told).is_ok());
            }
            let _ = wire::openai_chat::is_usage_only(&Frame::of_data(&data));
            let _ = wire::openai_chat::completions::read_request(data.as_bytes());
            let _ = chat().read_request(data.as_bytes());
            let _ = chat().read_reply(data.as_bytes());
        }
        reader.end(End::Closed, &mut events);
        let ends = events.iter().filter(|event| matches!(event, Event::End | Event::Problem(_))).count();
        prop_assert_eq!(ends, 1);
        prop_assert!(matches!(events.last(), Some(Event::End | Event::Problem(_))));
        written(events, shape());
    }

    #[test]
    fn skimming_knows_as_much_as_reading(members in proptest::collection::vec((delta(), rest(), any::<bool>()), 0..8)) {
        let begin = r#"{"id":"a","model":"m","service_tier":"default","choices":[{"index":0,"delta":{}}]}"#;
        let chunks = members.iter().map(|(delta, rest, spaced)| {
            let chunk = format!(r#"{{"id":"a","model":"m","choices":[{{"index":0,"delta":{delta}{rest}]}}"#);
            if *spaced { chunk.replace("\":", "\" : ") } else { chunk }
        });
        let chunks: Vec<String> = std::iter::once(begin.to_owned()).chain(chunks).collect();
        skims_alike("made up", &stream(&chunks.iter().map(String::as_str).collect::<Vec<_>>()), || chat().reader());
    }
}

/// A delta of a few members, in any order, with text of any kind.
fn delta() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        text(),
        proptest::sample::select(vec![
            "delta",
            "text",
            "usage",
            "error",
            "finish_reason",
            "\"choices\":[",
            "}}]}",
            "arguments",
            "\u{e9}\u{1F600}",
        ])
        .prop_map(ToOwned::to_owned),
    ];
    let member = (0..9_u8, words, any::<bool>()).prop_map(|(kind, words, escaped)| {
        let mut value = serde_json::Value::from(words).to_string();
        if escaped {
            value = value.chars().map(escape).collect();
        }
        match kind {
            0 => (0, format!(r#""content":{value}"#)),
            1 => (1, format!(r#""refusal":{value}"#)),
            2 => (2, format!(r#""reasoning":{value}"#)),
            3 => (3, format!(r#""reasoning_content":{value}"#)),
            4 => (0, r#""content":null"#.to_owned()),
            5 => (4, format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":{value}}}}}]"#)),
            6 => (
                4,
                format!(
                    r#""tool_calls":[{{"id":"k","function":{{"arguments":{value},"name":"f"}}}}]"#
                ),
            ),
            7 => (5, format!(r#""role":{value}"#)),
            _ => (6, format!(r#""unknown":{{"content":{value},"arguments":{value}}}"#)),
        }
    });
    proptest::collection::vec(member, 0..4).prop_map(|mut members| {
        let mut seen = Vec::new();
        members.retain(|(kind, _)| {
            !seen.contains(kind) && {
                seen.push(*kind);
                true
            }
        });
        let members: Vec<String> = members.into_iter().map(|(_, member)| member).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// Characters beyond ASCII as JSON may write them.
fn escape(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
    units.collect::<Vec<_>>().concat()
}

/// What may stand behind a delta and behind its choice.
fn rest() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "}",
        r#","logprobs":null,"finish_reason":null}"#,
        r#","finish_reason":"length"}"#,
        r#"},{"index":1,"delta":{"content":"two"},"finish_reason":null}"#,
        r#"},{"index":1,"delta":{},"finish_reason":"stop"}"#,
        r#","logprobs":{"content":[{"token":"error","bytes":[1]}]}}"#,
    ])
}
