//! Recorded exchanges. Skipped where no recordings are at hand: they are not part of this repository.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Meter, ServiceTier};
use serde_json::Value;
use testkit::recordings::{Recording, load, load_bills, require};
use wire::collect::collect;
use wire::stream::Event;

use super::{
    anthropic, followed, frames, keeps_promises, read, read_pieces, request_for, skimmed,
    splits_alike, written,
};

/// Longer streams are split at some bytes only.
const SHORT: usize = 1_100;

fn recordings(api: &str) -> Vec<Recording> {
    require().map(|folder| load(&folder, api).unwrap()).unwrap_or_default()
}

fn streams() -> Vec<(String, String)> {
    let all = recordings("anthropic.messages").into_iter();
    all.filter_map(|recording| Some((recording.id, recording.response.sse?))).collect()
}

/// The visible text, told straight from the frames.
fn plain_text(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let frames = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    frames
        .filter(|frame| frame["delta"]["type"] == "text_delta")
        .map(|frame| frame["delta"]["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_stream_gives_its_text_and_its_bill() {
    let Some(folder) = require() else { return };
    let bills: BTreeMap<String, Value> = load_bills(&folder)
        .unwrap()
        .into_iter()
        .map(|bill| (bill["id"].as_str().unwrap().to_owned(), bill))
        .collect();
    let streams = streams();
    for (id, stream) in &streams {
        let (events, seen) = read(stream);
        keeps_promises(&events);
        assert!(seen.whole && seen.usage_final && !seen.failed, "{id}: {seen:?}");
        let reply = collect(events).unwrap();
        assert_eq!(reply.text(), plain_text(stream), "{id}");
        assert_eq!(reply.usage, seen.usage, "{id}");
        if let Some(bill) = bills.get(id) {
            billed(id, bill, &seen.usage.unwrap());
        }
    }
    assert!(streams.len() > 100, "only {} streams", streams.len());
}

fn billed(id: &str, bill: &Value, report: &ledger::UsageReport) {
    let total = report.total();
    let expected = |name: &str| bill["usage"][name].as_u64().unwrap();
    let pairs = [
        ("input_total", total.input_tokens()),
        ("input_uncached", total.get(Meter::Input)),
        ("cached_read", total.get(Meter::CacheRead)),
        ("cache_write_5m", total.get(Meter::CacheWrite5m)),
        ("cache_write_1h", total.get(Meter::CacheWrite1h)),
        ("output", total.output_tokens()),
        ("reasoning", total.get(Meter::Reasoning)),
    ];
    for (name, ours) in pairs {
        assert_eq!(ours, expected(name), "{id}: {name}");
    }
    assert_eq!(total.get(Meter::WebSearch), bill["web_search_calls"].as_u64().unwrap(), "{id}");
    assert_eq!(report.passes.len(), bill["passes"].as_array().unwrap().len(), "{id}");
    assert_eq!((report.service_tier, report.inconsistent), (ServiceTier::Standard, false), "{id}");
}

#[test]
fn every_stream_is_the_same_wherever_it_is_split() {
    for (id, stream) in streams() {
        if stream.len() < SHORT {
            splits_alike(&id, &stream, 97);
            continue;
        }
        // A stride that meets every kind of place in time.
        let (whole, bytes) = (frames([stream.as_bytes()]), stream.as_bytes());
        for at in (0..=bytes.len()).step_by((bytes.len() / 29) | 1) {
            let (before, after) = bytes.split_at(at);
            assert!(frames([before, after]) == whole, "{id} split at {at}");
        }
        assert_eq!(read_pieces(bytes.chunks(7)), read(&stream), "{id} in small pieces");
    }
}

#[test]
fn skimming_every_stream_knows_the_same() {
    for (id, stream) in streams() {
        assert_eq!(skimmed(&stream), followed(&stream), "{id}");
    }
}

#[test]
fn every_stream_written_and_read_again_is_the_same() {
    for (id, stream) in streams() {
        let (first, _) = read(&stream);
        let again = read(&written(&first)).0;
        assert_eq!(steps(&again), steps(&first), "{id}");
        let (first, again) = (collect(first).unwrap(), collect(again).unwrap());
        let total = |reply: &wire::Reply| reply.usage.as_ref().unwrap().total();
        assert_eq!(total(&again), total(&first), "{id}");
    }
}

/// Events but for the usage, which the writer tells at the end only.
fn steps(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| !matches!(event, Event::Usage(_))).collect()
}

/// What Anthropic fills in where it is missing, or takes in two forms.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(plain).collect()),
        Value::Object(members) => {
            let mut members: serde_json::Map<_, _> = members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect();
            if members.get("ttl").is_some_and(|ttl| ttl == "5m") {
                members.remove("ttl");
            }
            for content in ["content", "system"] {
                if let Some(Value::String(text)) = members.get(content)
                    && !members.contains_key("type")
                {
                    let block = serde_json::json!([{ "type": "text", "text": text }]);
                    members.insert(content.to_owned(), block);
                }
            }
            Value::Object(members)
        }
        other => other.clone(),
    }
}

/// The members of a request that are another after being read and written again.
fn changes(recording: &Recording) -> Vec<String> {
    let body = recording.request.body.as_ref().unwrap();
    let model = body["model"].as_str().unwrap();
    let chat = anthropic().read_request(body.to_string().as_bytes()).unwrap();
    let (again, dropped) = request_for(model, &chat);
    let (mut was, mut is) = (plain(body), plain(&again));
    known_differences(&mut was, &mut is);
    let names: BTreeSet<&String> =
        was.as_object().unwrap().keys().chain(is.as_object().unwrap().keys()).collect();
    let changed = names.into_iter().filter(|name| was[*name] != is[*name]);
    let tell = |name: &String| {
        format!("{}: {name}: {} -> {}, dropped {dropped:?}", recording.id, was[name], is[name])
    };
    changed.map(tell).collect()
}

/// What is written another way, or left out because nothing is lost by it.
fn known_differences(was: &mut Value, is: &mut Value) {
    // A result's text may be one block; `false` is what a result is without saying so.
    for body in [&mut *was, &mut *is] {
        for message in body["messages"].as_array_mut().unwrap() {
            for block in message["content"].as_array_mut().unwrap() {
                let Some(members) = block.as_object_mut() else { continue };
                if members.get("type").is_some_and(|kind| kind == "tool_result") {
                    if let Some(Value::String(text)) = members.get("content") {
                        let block = serde_json::json!([{ "type": "text", "text": text }]);
                        members.insert("content".to_owned(), block);
                    }
                    if members.get("is_error") == Some(&Value::Bool(false)) {
                        members.remove("is_error");
                    }
                }
                if members.get("caller").is_some_and(|caller| caller["type"] == "direct") {
                    members.remove("caller");
                }
            }
        }
        // Enabled the older way, thoughts are shown without saying so.
        if body["thinking"]["type"] == "enabled" && body["thinking"]["display"] == "summarized" {
            body["thinking"].as_object_mut().unwrap().remove("display");
        }
        for name in ["stream", "temperature"] {
            let value = &body[name];
            if *value == false || value.as_f64() == Some(1.0) {
                body.as_object_mut().unwrap().remove(name);
            }
        }
    }
    // Turns of one role are one turn.
    let mut merged: Vec<Value> = Vec::new();
    for message in was["messages"].as_array_mut().unwrap().drain(..) {
        match merged.last_mut().filter(|last| last["role"] == message["role"]) {
            Some(last) => {
                let more = message["content"].as_array().unwrap().clone();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            None => merged.push(message),
        }
    }
    was["messages"] = Value::Array(merged);
    let was = was.as_object_mut().unwrap();
    // The older name of the output's format.
    if let Some(format) = was.remove("output_format") {
        let config = was.entry("output_config").or_insert_with(|| serde_json::json!({}));
        config["format"] = format;
    }
}

#[test]
fn every_request_is_written_again_as_it_was() {
    let all = recordings("anthropic.messages");
    let good = all.iter().filter(|recording| recording.response.status < 300);
    let (mut checked, mut changed) = (0, Vec::new());
    for recording in good {
        changed.extend(changes(recording));
        checked += 1;
    }
    assert!(all.is_empty() || checked > 400, "only {checked} requests");
    assert!(changed.is_empty(), "{} differ:\n{}", changed.len(), changed.join("\n"));
}

#[test]
fn every_request_to_count_is_read_and_its_answer_too() {
    for recording in recordings("anthropic.count_tokens") {
        let body = recording.request.body.as_ref().unwrap();
        let chat = wire::anthropic::read_count_request(body.to_string().as_bytes()).unwrap();
        let model = body["model"].as_str().unwrap();
        let request = wire::anthropic::write_count_request(&chat, &super::target(model)).unwrap();
        let mut was = plain(body);
        let mut is = plain(&super::body_of(&request));
        known_differences(&mut was, &mut is);
        assert_eq!(is, was, "{}", recording.id);
        let answer = recording.response.body_text.as_ref().unwrap();
        let tokens = wire::anthropic::read_count(answer.as_bytes());
        let told = recording.response.body.as_ref().unwrap()["input_tokens"].as_u64();
        assert_eq!(tokens.ok(), told, "{}", recording.id);
    }
}
