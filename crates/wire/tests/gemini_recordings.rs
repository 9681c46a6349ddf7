//! Recorded exchanges with Google, and those with embeddings of `OpenAI`. Skipped where no recordings are at hand.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

#[path = "gemini/support.rs"]
mod support;

use std::collections::BTreeMap;

use ledger::{Meter, UsageReport};
use serde_json::Value;
use support::{
    GEMINI, frames, keeps_its_promises, lines, output_bytes, read, read_pieces, skim, write,
};
use testkit::recordings::{Recording, load, load_bills, require};
use wire::chat::Block;
use wire::collect::collect;
use wire::embed::{self, Encoding};
use wire::sse::Framing;
use wire::stream::{Event, Opening};
use wire::{Shape, Target, dialect};

fn target(model: &str) -> Target<'_> {
    Target { provider: "gemini", model, max_output_tokens: None, reasoning: false }
}

fn bills() -> BTreeMap<String, Value> {
    let Some(dir) = require() else { return BTreeMap::new() };
    let bills = load_bills(&dir).unwrap().into_iter();
    bills.map(|bill| (bill["id"].as_str().unwrap().to_owned(), bill)).collect()
}

fn recordings(api: &str) -> Vec<Recording> {
    require().map(|dir| load(&dir, api).unwrap()).unwrap_or_default()
}

/// The text of a recorded stream, and how it is cut.
fn streamed(record: &Recording) -> Option<(Framing, String)> {
    match (&record.response.sse, &record.response.body_text) {
        (Some(text), _) => Some((Framing::Sse, text.clone())),
        (None, Some(text)) if text.starts_with('[') => Some((Framing::JsonArray, text.clone())),
        _ => None,
    }
}

/// Recorded streams that are answers.
fn streams() -> Vec<(Recording, Framing, String)> {
    let records = recordings("gemini.streamGenerateContent").into_iter();
    let streams: Vec<_> = records
        .filter_map(|record| streamed(&record).map(|(framing, text)| (record, framing, text)))
        .collect();
    assert!(streams.is_empty() || streams.len() > 50, "only {} streams", streams.len());
    streams
}

/// The counters of a report against those of a bill.
fn compare(bill: &Value, report: &UsageReport) {
    let total = report.total();
    let sum = |meters: &[Meter]| meters.iter().map(|m| total.get(*m)).sum::<u64>();
    let id = &bill["id"];
    for (name, ours) in [
        ("input_total", total.input_tokens()),
        ("cached_read", sum(&[Meter::CacheRead, Meter::AudioCacheRead])),
        ("output", total.output_tokens()),
        ("reasoning", total.get(Meter::Reasoning)),
        ("audio_input", total.get(Meter::AudioInput)),
        ("image_output", total.get(Meter::ImageOutput)),
    ] {
        assert_eq!(ours, bill["usage"][name].as_u64().unwrap(), "{id} {name}");
    }
    let model = bill["price_model"].as_str().unwrap();
    let old = model.starts_with("gemini-2");
    let searches = total.get(if old { Meter::GroundedPrompt } else { Meter::SearchQuery });
    assert_eq!(searches, bill["web_search_calls"].as_u64().unwrap(), "{id} searches");
    assert!(!report.inconsistent, "{id}");
}

/// The visible text of the first answer, told straight from the JSON.
fn plain_text(framing: Framing, text: &str) -> String {
    let mut all = String::new();
    frames(framing, &[text.as_bytes()], |frame| {
        let Ok(value) = serde_json::from_str::<Value>(&frame.data) else { return };
        let parts = value["candidates"][0]["content"]["parts"].as_array().cloned();
        for part in parts.unwrap_or_default() {
            if part["thought"] != true {
                all.push_str(part["text"].as_str().unwrap_or_default());
            }
        }
    });
    all
}

#[test]
fn every_stream_gives_its_text_and_bill() {
    let (bills, mut billed) = (bills(), 0);
    for (record, framing, text) in streams() {
        let id = &record.id;
        let (events, seen) = read_pieces(framing, &[text.as_bytes()]);
        keeps_its_promises(&events).unwrap_or_else(|problem| panic!("{id}: {problem}"));
        assert!(seen.whole && seen.usage_final && !seen.failed && seen.finish.is_some(), "{id}");
        assert_eq!(seen.output_bytes, output_bytes(&events), "{id}");
        assert_eq!(skim(framing, &text), seen, "{id}");
        let reply = collect(events).unwrap();
        assert_eq!(reply.text(), plain_text(framing, &text), "{id}");
        assert_eq!(reply.usage, seen.usage, "{id}");
        if let Some(bill) = bills.get(id) {
            compare(bill, &seen.usage.unwrap());
            billed += 1;
        }
    }
    assert!(bills.is_empty() || billed > 50, "only {billed} bills");
}

#[test]
fn a_stream_cut_anywhere_never_ends_well() {
    for (record, framing, text) in streams() {
        let mut whole = Vec::new();
        frames(framing, &[text.as_bytes()], |frame| whole.push(frame.raw.len()));
        let last_data = text.rfind("finishReason").unwrap();
        let mut at = 0;
        for length in whole {
            at += length;
            if at > last_data {
                break;
            }
            let (events, seen) = read_pieces(framing, &[&text.as_bytes()[..at]]);
            assert!(matches!(events.last(), Some(Event::Problem(_))), "{} at {at}", record.id);
            assert!(!seen.whole && !seen.usage_final && seen.finish.is_none(), "{}", record.id);
        }
    }
}

#[test]
fn the_largest_figures_never_fall() {
    for (record, framing, text) in streams() {
        let (mut reader, mut before) = (GEMINI.reader(), (0, 0));
        frames(framing, &[text.as_bytes()], |frame| {
            reader.skim(frame);
            let seen = reader.seen();
            if let (Some(report), false) = (&seen.usage, seen.usage_final) {
                let total = report.total();
                let now = (total.get(Meter::Reasoning), total.output_tokens());
                assert!(now.0 >= before.0 && now.1 >= before.1, "{}", record.id);
                before = now;
            }
        });
    }
}

#[test]
fn borders_of_pieces_change_nothing() {
    for (record, framing, text) in streams() {
        let bytes = text.as_bytes();
        let whole = read_pieces(framing, &[bytes]);
        // Every byte would take minutes: a stride that meets every kind of place.
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
            let (before, after) = bytes.split_at(at);
            assert_eq!(read_pieces(framing, &[before, after]), whole, "{} at {at}", record.id);
        }
        let small: Vec<&[u8]> = bytes.chunks(3).collect();
        assert_eq!(read_pieces(framing, &small), whole, "{}", record.id);
    }
}

#[test]
fn what_is_written_is_read_as_it_was() {
    for (record, framing, text) in streams() {
        let (events, _) = read_pieces(framing, &[text.as_bytes()]);
        // Clients are told nothing of the details of the prompt but sound and pictures, and of searches not at once.
        let without = |events: &[Event]| -> Vec<String> {
            let mut others = events.to_vec();
            let is_search = |event: &Event| match event {
                Event::Open { block: Opening::Native(native), .. } => native.dialect.is_empty(),
                _ => false,
            };
            while let Some(at) = others.iter().position(is_search) {
                others.drain(at..at + 2);
            }
            let lines = lines(&others).into_iter().filter(|line| !line.starts_with("usage"));
            lines
                .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
                .collect()
        };
        for json_array in [false, true] {
            let shape = Shape { json_array, ..Shape::default() };
            let written = write(&events, &shape);
            let framing = if json_array { Framing::JsonArray } else { Framing::Sse };
            let (again, seen) = read_pieces(framing, &[written.as_bytes()]);
            assert_eq!(without(&again), without(&events), "{}", record.id);
            let (ours, theirs) =
                (seen.usage.unwrap(), collect(events.clone()).unwrap().usage.unwrap());
            assert_eq!(ours.total().output_tokens(), theirs.total().output_tokens());
            assert_eq!(ours.total().input_tokens(), theirs.total().input_tokens());
            assert_eq!(ours.service_tier, theirs.service_tier, "{}", record.id);
        }
    }
}

#[test]
fn a_whole_answer_is_the_stream_of_one_element() {
    for record in recordings("gemini.generateContent") {
        let Some(text) = record.response.body_text.filter(|_| record.response.status == 200) else {
            continue;
        };
        let whole = GEMINI.read_reply(text.as_bytes()).unwrap();
        let flat = serde_json::from_str::<Value>(&text).unwrap().to_string();
        let (events, seen) = read(&format!("data: {flat}\r\n\r\n"));
        assert!(seen.whole, "{}", record.id);
        keeps_its_promises(&events).unwrap();
        let streamed = collect(events).unwrap();
        assert_eq!(streamed.usage, whole.usage, "{}", record.id);
        assert_eq!(
            (streamed.text(), streamed.finish),
            (whole.text(), whole.finish),
            "{}",
            record.id
        );
        assert_eq!(streamed.blocks.len(), whole.blocks.len(), "{}", record.id);
    }
}

/// What of a request must be found again in what is written of it: texts, names, arguments, media, signatures.
fn substance(value: &Value, out: &mut Vec<String>) {
    const KEPT: [&str; 12] = [
        "text",
        "data",
        "fileUri",
        "file_uri",
        "name",
        "thoughtSignature",
        "thought_signature",
        "description",
        "temperature",
        "topP",
        "maxOutputTokens",
        "seed",
    ];
    match value {
        Value::Object(members) => {
            // A thought is not sent back without a signature, and Google does not ask for it. The signature goes to the
            // part behind it.
            if members.get("thought").is_some_and(|thought| thought == true) {
                out.extend(members.get("thoughtSignature").map(Value::to_string));
                return;
            }
            for (key, value) in members {
                let blank = value.as_str().map_or(value.is_null(), |text| text.trim().is_empty());
                let kept = KEPT.contains(&key.as_str()) && !value.is_object();
                if key == "data" && kept {
                    // Bytes, in either alphabet.
                    let data = value.as_str().unwrap_or_default();
                    out.push(data.trim_end_matches('=').replace('-', "+").replace('_', "/"));
                } else if kept || key == "args" {
                    out.extend((!blank).then(|| value.to_string()));
                } else if key != "response" {
                    substance(value, out);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| substance(item, out)),
        _ => {}
    }
}

#[test]
fn every_request_can_be_written_again() {
    for api in ["gemini.generateContent", "gemini.streamGenerateContent"] {
        for record in recordings(api) {
            let Some(body) = record.request.body.filter(|_| record.response.status == 200) else {
                continue;
            };
            let id = &record.id;
            let chat = GEMINI.read_request(body.to_string().as_bytes()).unwrap();
            let model = record.model.as_deref().unwrap();
            let written = GEMINI
                .write_request(&chat, &target(model))
                .unwrap_or_else(|error| panic!("{id}: {error}"));
            let again: Value = serde_json::from_slice(&written.body).unwrap();
            let (mut before, mut after) = (Vec::new(), Vec::new());
            substance(&body, &mut before);
            substance(&again, &mut after);
            before.sort();
            after.sort();
            assert_eq!(before, after, "{id}");
            assert!(written.renamed.is_empty(), "{id}");
            for name in &written.dropped {
                assert!(name == "thinking" || name.starts_with("reasoning: "), "{id}: {name}");
            }
        }
    }
}

#[test]
fn every_count_is_read() {
    let Some(dir) = require() else { return };
    for record in load(&dir, "gemini.countTokens").unwrap() {
        if record.response.status != 200 {
            continue;
        }
        let body = record.request.body.unwrap().to_string();
        let chat = wire::gemini::read_count_request(body.as_bytes()).unwrap();
        assert!(!chat.turns.is_empty());
        let model = record.model.unwrap();
        let written = wire::gemini::write_count_request(&chat, &target(&model)).unwrap();
        let again = wire::gemini::read_count_request(&written.body).unwrap();
        assert_eq!(again.model, format!("models/{model}"));
        assert_eq!((again.turns, again.system), (chat.turns, chat.system));
        let answer = record.response.body.unwrap();
        let tokens = wire::gemini::read_count(answer.to_string().as_bytes()).unwrap();
        assert_eq!(Some(tokens), answer["totalTokens"].as_u64());
    }
}

#[test]
fn every_embedding_is_read_and_billed() {
    let (bills, mut billed) = (bills(), 0);
    for api in ["gemini.batchEmbedContents", "openai.embeddings"] {
        for record in recordings(api) {
            let request = record.request.body.as_ref().unwrap().to_string();
            let gemini = api.starts_with("gemini");
            let embed = if gemini {
                embed::gemini::read_request(request.as_bytes())
            } else {
                embed::openai::read_request(request.as_bytes())
            };
            let embed = embed.unwrap_or_else(|error| panic!("{}: {error}", record.id));
            if record.response.status != 200 {
                continue;
            }
            let body = record.response.body_text.as_ref().unwrap();
            let embedded = if gemini {
                embed::gemini::read_reply(body.as_bytes())
            } else {
                embed::openai::read_reply(body.as_bytes())
            };
            let embedded = embedded.unwrap();
            assert_eq!(embedded.vectors.len(), embed.inputs.len(), "{}", record.id);
            let silent = record.tags.iter().any(|tag| tag == "no_usage");
            assert_eq!(embedded.usage.is_none(), silent, "{}", record.id);
            if let Some(bill) = bills.get(&record.id) {
                let report = embedded.usage.as_ref().unwrap();
                assert_eq!(
                    report.total().input_tokens(),
                    bill["usage"]["input_total"].as_u64().unwrap(),
                    "{}",
                    record.id
                );
                billed += 1;
            }
            every_client(&record.id, &embedded);
        }
    }
    assert!(bills.is_empty() || billed > 30, "only {billed} bills");
}

/// Whoever asked, in whichever encoding, the numbers are the same.
fn every_client(id: &str, embedded: &embed::Embedded) {
    let floats = |embedded: &embed::Embedded| -> Vec<Vec<f32>> {
        let numbers =
            |vector: &embed::Vector| serde_json::from_str(vector.numbers().unwrap().get()).unwrap();
        embedded.vectors.iter().map(numbers).collect()
    };
    let before = floats(embedded);
    for encoding in [Encoding::Float, Encoding::Base64] {
        let answer = embed::openai::write_reply(embedded, encoding).unwrap();
        let again = embed::openai::read_reply(&answer).unwrap();
        assert_eq!(floats(&again), before, "{id}");
        let tokens = |embedded: &embed::Embedded| {
            embedded.usage.as_ref().map(|report| report.total().input_tokens())
        };
        assert_eq!(tokens(&again), tokens(embedded), "{id}");
        let answer = embed::gemini::write_reply(&again, true).unwrap();
        let last = embed::gemini::read_reply(&answer).unwrap();
        assert_eq!((floats(&last), tokens(&last)), (before.clone(), tokens(embedded)), "{id}");
    }
}

#[test]
fn state_of_google_passes_through_its_own_client() {
    // What a client sends back of an answer is what the next request needs: every signature at its part.
    for record in recordings("gemini.generateContent") {
        let Some(text) = record.response.body_text.filter(|_| record.response.status == 200) else {
            continue;
        };
        let reply = GEMINI.read_reply(text.as_bytes()).unwrap();
        let seals = |blocks: &[Block]| -> Vec<String> {
            let seal = |block: &Block| match block {
                Block::Thinking { seal: Some(seal), .. }
                | Block::ToolUse { seal: Some(seal), .. } => Some(seal.value.clone()),
                _ => None,
            };
            blocks.iter().filter_map(seal).collect()
        };
        let body = GEMINI.write_reply(&reply, &Shape::default());
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let request = serde_json::json!({ "contents": [answer["candidates"][0]["content"]] });
        let chat = dialect("gemini").unwrap().read_request(request.to_string().as_bytes()).unwrap();
        let turn = &chat.turns[0];
        assert_eq!(seals(&turn.blocks), seals(&reply.blocks), "{}", record.id);
    }
}
