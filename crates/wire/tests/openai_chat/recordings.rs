//! Recorded exchanges. Skipped where there are none.

use std::collections::BTreeMap;

use ledger::{Meter, UsageReport};
use serde_json::Value;
use testkit::Recording;
use testkit::recordings::{load, load_bills, require};
use wire::collect::{collect, events};
use wire::{Reply, Target};

use super::*;

const APIS: [&str; 4] =
    ["openai.chat", "deepseek.chat", "openai.completions", "gemini.openai_chat"];

struct All {
    recordings: Vec<Recording>,
    bills: BTreeMap<String, Value>,
}

fn all() -> Option<All> {
    let folder = require()?;
    let recordings = APIS.iter().flat_map(|api| load(&folder, api).unwrap()).collect();
    let bills = load_bills(&folder).unwrap().into_iter();
    let bills = bills.map(|bill| (bill["id"].as_str().unwrap().to_owned(), bill)).collect();
    Some(All { recordings, bills })
}

/// Text of the first answer, told straight from the JSON of the frames.
fn plain_text(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let choices = chunks.flat_map(|chunk| chunk["choices"].as_array().cloned().unwrap_or_default());
    let first = choices.filter(|choice| choice["index"] == 0);
    let text = |choice: Value| {
        let delta = &choice["delta"];
        let parts = [&delta["content"], &delta["refusal"], &choice["text"]];
        parts.iter().filter_map(|part| part.as_str()).collect::<String>()
    };
    first.map(text).collect()
}

fn calls(reply: &Reply) -> usize {
    reply.blocks.iter().filter(|block| matches!(block, wire::chat::Block::ToolUse { .. })).count()
}

fn check_bill(bill: &Value, report: &UsageReport) {
    let total = report.total();
    let billed = |name: &str| bill["usage"][name].as_u64().unwrap();
    assert_eq!(total.input_tokens(), billed("input_total"), "{}", bill["id"]);
    assert_eq!(total.output_tokens(), billed("output"), "{}", bill["id"]);
    assert_eq!(total.get(Meter::CacheRead), billed("cached_read"), "{}", bill["id"]);
    assert_eq!(total.get(Meter::Reasoning), billed("reasoning"), "{}", bill["id"]);
    assert!(!report.inconsistent, "{}", bill["id"]);
}

#[test]
fn every_recorded_stream() {
    let Some(all) = all() else { return };
    let (mut streams, mut billed) = (0, 0);
    for recording in &all.recordings {
        let Some(stream) = &recording.response.sse else { continue };
        let id = &recording.id;
        streams += 1;
        let (events, seen) = read(stream);
        let reply = collect(events.clone()).unwrap_or_else(|problem| panic!("{id}: {problem:?}"));
        assert_eq!(reply.text(), plain_text(stream), "{id}");
        let refused = recording.tags.iter().any(|tag| tag == "refusal");
        let called = recording.tags.iter().any(|tag| tag == "tool_call");
        assert!(called == reply.calls_tools() && (!refused || !reply.text().is_empty()), "{id}");
        if recording.tags.iter().any(|tag| tag == "parallel_tools") {
            assert!(calls(&reply) > 1, "{id}");
        }
        assert!(seen.whole && !seen.failed && seen.finish.is_some(), "{id}");
        assert_eq!(seen.usage, reply.usage, "{id}");
        match (all.bills.get(id), &seen.usage) {
            (Some(bill), Some(report)) => {
                billed += 1;
                assert!(seen.usage_final, "{id}");
                check_bill(bill, report);
            }
            (None, None) => {}
            (bill, usage) => panic!("{id}: {bill:?}, {usage:?}"),
        }
        let again = read(&written(events.clone(), shape())).0;
        assert_eq!(again, events, "{id}: written and read again");
        skims_alike(id, stream, || chat().reader());
    }
    assert!(streams >= 110 && billed >= 70, "{streams} streams, {billed} billed");
}

#[test]
fn recorded_streams_in_pieces() {
    let Some(all) = all() else { return };
    let mut splits = 0;
    for recording in &all.recordings {
        let Some(stream) = &recording.response.sse else { continue };
        let expected = read(stream);
        // Every byte of a small one, a few borders of the others.
        let step = if stream.len() < 1_500 { 1 } else { stream.len() / 8 + 1 };
        for at in (0..stream.len()).step_by(step) {
            let (before, after) = stream.as_bytes().split_at(at);
            assert_eq!(read_pieces(&[before, after]), expected, "{} at {at}", recording.id);
            splits += 1;
        }
        for cut in (0..stream.len()).step_by(stream.len() / 4 + 1) {
            let text = String::from_utf8_lossy(stream.as_bytes().split_at(cut).0);
            let (events, seen) = read(&text);
            assert!(collect(events).is_err() && !seen.whole, "{} cut at {cut}", recording.id);
            skims_alike(&recording.id, &text, || chat().reader());
        }
    }
    assert!(splits > 800, "{splits}");
}

#[test]
fn whole_and_streamed_answers_have_the_same_usage() {
    let Some(all) = all() else { return };
    let mut checked = 0;
    for recording in all.recordings {
        let Some(body) = recording.response.body_text.filter(|_| recording.response.status == 200)
        else {
            continue;
        };
        if recording.api == "gemini.openai_chat" {
            // Its own way to count is read apart.
            continue;
        }
        let id = &recording.id;
        let reply = chat().read_reply(body.as_bytes()).unwrap();
        let streamed = collect(read(&written(events(reply.clone()), shape())).0).unwrap();
        let whole = chat().read_reply(&chat().write_reply(&reply, &shape())).unwrap();
        assert_eq!(
            streamed.usage.as_ref().map(UsageReport::total),
            reply.usage.as_ref().map(UsageReport::total),
            "{id}"
        );
        assert_eq!(whole.usage, streamed.usage, "{id}");
        assert_eq!(whole.blocks, reply.blocks, "{id}");
        assert_eq!(streamed.text(), reply.text(), "{id}");
        assert_eq!(calls(&streamed), calls(&reply), "{id}");
        checked += 1;
    }
    assert!(checked > 280, "{checked}");
}

#[test]
fn every_recorded_request_keeps_its_fields() {
    let Some(all) = all() else { return };
    let mut checked = 0;
    for recording in all.recordings {
        let (Some(body), true) = (recording.request.body, recording.response.status < 300) else {
            continue;
        };
        if recording.api == "openai.completions" {
            continue;
        }
        let id = &recording.id;
        let request = chat().read_request(body.to_string().as_bytes()).unwrap();
        let target =
            Target { provider: "elsewhere", model: "m", max_output_tokens: None, reasoning: false };
        let written = chat().write_request(&request, &target).unwrap();
        let sent: Value = serde_json::from_slice(&written.body).unwrap();
        for (field, value) in body.as_object().unwrap() {
            let kept = match field.as_str() {
                // Under its newer name, or what happens anyway.
                "functions" => {
                    sent["tools"].as_array().map(Vec::len) == value.as_array().map(Vec::len)
                }
                "max_completion_tokens" => sent["max_tokens"] == *value,
                "tool_choice" | "parallel_tool_calls" => {
                    sent.get(field).is_some() || body.get("tools").is_none()
                }
                "stream" => sent.get(field).is_some() || *value == false,
                "stream_options" => sent[field]["include_usage"] == true || body["stream"] != true,
                "response_format" => sent.get(field).is_some() || value["type"] == "text",
                "thinking" => sent.get("reasoning_effort").is_some(),
                _ => value.is_null() || sent.get(field).is_some(),
            };
            assert!(kept, "{id}: {field}: {value}");
        }
        assert!(
            written.dropped.iter().all(|name| name.starts_with("prefill")),
            "{id}: {:?}",
            written.dropped
        );
        let again = chat().read_request(&written.body).unwrap();
        assert_eq!(again.turns, request.turns, "{id}");
        assert_eq!(again.system, request.system, "{id}");
        assert_eq!(again.tools, request.tools, "{id}");
        checked += 1;
    }
    assert!(checked > 350, "{checked}");
}

#[test]
fn every_recorded_completion_is_read_or_refused_by_name() {
    let Some(all) = all() else { return };
    let (mut read, mut refused) = (0, 0);
    for recording in all.recordings.iter().filter(|recording| recording.api == "openai.completions")
    {
        let Some(body) = &recording.request.body else { continue };
        match wire::openai_chat::completions::read_request(body.to_string().as_bytes()) {
            Ok(request) => {
                let [turn] = request.turns.as_slice() else { panic!("{}", recording.id) };
                assert_eq!(turn.blocks.len(), 1);
                read += 1;
            }
            Err(error) => {
                assert!(
                    !error.path.is_empty() && !body[&error.path].is_null(),
                    "{}: {error}",
                    recording.id
                );
                refused += 1;
            }
        }
    }
    assert!(read > 10, "{read} read, {refused} refused");
}
