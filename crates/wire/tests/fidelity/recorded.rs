//! Recorded requests and answers, each translated to every other dialect. Skipped where no recordings are at hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use testkit::recordings::{Recording, load, require};
use testkit::strict::{check_answer, check_event};
use wire::reply::Finish;
use wire::sse::{Frame, Framing, Splitter};
use wire::stream::End;
use wire::{Chat, DIALECTS, Dialect, Event, Shape, Unsupported, Written, collect, dialect};

use crate::facts;
use crate::targets::{TARGETS, To, client_api};

/// The recorded APIs, whose they are, and the dialect that they are in.
const APIS: [(&str, &str, &str); 8] = [
    ("openai.chat", "openai", "openai_chat"),
    ("deepseek.chat", "deepseek", "openai_chat"),
    ("gemini.openai_chat", "gemini", "openai_chat"),
    ("openai.responses", "openai", "openai_responses"),
    ("deepseek.responses", "deepseek", "openai_responses"),
    ("anthropic.messages", "anthropic", "anthropic"),
    ("gemini.generateContent", "gemini", "gemini"),
    ("gemini.streamGenerateContent", "gemini", "gemini"),
];

/// Exchanges of a dialect that went well, each with its provider.
fn recordings(of: &str) -> Vec<(&'static str, Recording)> {
    let Some(folder) = require() else { return Vec::new() };
    let mut all = Vec::new();
    for (api, provider, _) in APIS.into_iter().filter(|(_, _, dialect)| *dialect == of) {
        let good = load(&folder, api).unwrap().into_iter().filter(|one| one.response.status < 300);
        all.extend(good.map(|one| (provider, one)));
    }
    all
}

/// Why a request may be refused: the reasons, without what they quote. A new one is either a bug or belongs here.
const REFUSALS: [&str; 20] = [
    "is known to … only, and the answer depends on it",
    "names an item that only its provider keeps; with `store: false` clients send the item itself",
    "holds a conversation that only its provider can read",
    "this tool is known to … only",
    "this part is known to … only",
    "a file of … means nothing to another provider",
    "the result … has no call before it",
    "the provider does not have this tool",
    "the provider does not take it",
    "the provider does not take this kind of block",
    "the provider gives one answer, of text",
    "the provider keeps no files",
    "the model does not search the web",
    "the model does not take sound",
    "a document can be sent inline only",
    "only PDF and plain text are taken as documents",
    "the Responses API takes no …",
    "this model does not continue an answer begun by the client",
    "Gemini does not fetch it from the web; send it in the request, as a data URL",
    "models before Gemini 3 do not take this beside …",
];

/// The reason of a refusal without what it quotes from the request.
pub(crate) fn reason(refusal: &Unsupported) -> String {
    let reason = &refusal.reason;
    let is_like = |known: &&&str| {
        let Some((start, end)) = known.split_once('…') else { return false };
        reason.starts_with(start) && reason.ends_with(end)
    };
    REFUSALS.iter().find(is_like).map_or_else(|| reason.clone(), |known| (*known).to_owned())
}

#[derive(Default)]
struct Row {
    written: u32,
    refused: u32,
}

fn table(rows: &BTreeMap<(&str, String), Row>) -> String {
    let mut text = format!("{:18}{:28}{:>10}{:>10}\n", "from", "to", "written", "refused");
    for ((from, to), row) in rows {
        writeln!(text, "{from:18}{to:28}{:>10}{:>10}", row.written, row.refused).unwrap();
    }
    text
}

fn list(found: &BTreeMap<String, (u32, String)>) -> String {
    let line = |(what, (times, example)): (&String, &(u32, String))| {
        format!("{times:5} {what}  ({example})\n")
    };
    found.iter().map(line).collect()
}

fn is_same(provider: &str, dialect: &str, to: &To) -> bool {
    (provider, dialect) == (to.provider, to.dialect)
}

type Fact = fn(&Chat) -> String;

/// What a request must say after a translation that is said to have lost nothing.
const FACTS: [(&str, Fact); 14] = [
    ("words", facts::words),
    ("pictures and documents", facts::inline),
    ("tools", facts::tool_names),
    ("hosted tools", facts::hosted),
    ("format", facts::format_kind),
    ("top_p", facts::top_p),
    ("top_k", facts::top_k),
    ("seed", facts::seed),
    ("stop", facts::stop),
    ("presence", facts::presence),
    ("user", facts::user),
    ("verbosity", facts::verbosity),
    ("cache", facts::cache),
    ("sources", facts::citations),
];

fn lost(chat: &Chat, to: &To, written: &Written) -> Vec<String> {
    if !written.dropped.is_empty() {
        return Vec::new();
    }
    let mut body = String::from_utf8(written.body.clone()).unwrap();
    for (theirs, ours) in &written.renamed {
        body = body.replace(theirs.as_str(), ours);
    }
    let again = to.dialect().read_request(body.as_bytes()).unwrap();
    let plain = |text: &str| -> String { text.split_whitespace().collect() };
    let mut lost = Vec::new();
    for (name, tell) in FACTS {
        // More may be said: what stands in for a word that is missing.
        let (before, after) = (tell(chat), plain(&tell(&again)));
        let gone = before.split(" | ").filter(|piece| !after.contains(&plain(piece)));
        lost.extend(gone.map(|piece| format!("{name} lost: {piece:.200}")));
    }
    lost
}

/// Writes every recorded request of a dialect for every provider.
fn requests(from: &'static str) -> String {
    let all = recordings(from);
    let mut rows: BTreeMap<(&str, String), Row> = BTreeMap::new();
    let mut faults: BTreeMap<String, (u32, String)> = BTreeMap::new();
    let mut reasons: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for (provider, recording) in &all {
        let body = recording.request.body.as_ref().unwrap().to_string();
        let chat = dialect(from).unwrap().read_request(body.as_bytes()).unwrap();
        for to in TARGETS.iter().filter(|to| !is_same(provider, from, to)) {
            let row = rows.entry((from, to.name())).or_default();
            let example = || format!("{} to {}", recording.id, to.model);
            match to.write(&chat) {
                Ok(written) => {
                    row.written += 1;
                    for fault in lost(&chat, to, &written) {
                        let fault = format!("{from} to {}: {fault}", to.name());
                        faults.entry(fault).or_insert_with(|| (0, example())).0 += 1;
                    }
                    for fault in to.faults(&written.body) {
                        let fault = format!("{from} to {}: {fault}", to.name());
                        faults.entry(fault).or_insert_with(|| (0, example())).0 += 1;
                    }
                }
                Err(refusal) => {
                    row.refused += 1;
                    assert!(!refusal.field.is_empty(), "{}: {refusal}", recording.id);
                    reasons.entry(reason(&refusal)).or_insert_with(|| (0, example())).0 += 1;
                }
            }
        }
    }
    let told = format!("{}\n{}", table(&rows), list(&reasons));
    assert!(faults.is_empty(), "{}", list(&faults));
    reasons.retain(|reason, _| !REFUSALS.contains(&reason.as_str()));
    assert!(reasons.is_empty(), "refused for a reason that is not listed:\n{}", list(&reasons));
    told
}

const LIMIT: usize = 10_000_000;

fn frames(framing: Framing, text: &[u8], mut each: impl FnMut(&Frame<'_>)) {
    let mut splitter = Splitter::new(framing, LIMIT);
    splitter.push(text, |frame| each(&frame)).unwrap();
    splitter.end(|frame| each(&frame));
}

/// The events of a recorded stream; none for a recording that is no stream.
fn streamed(from: &dyn Dialect, recording: &Recording) -> Option<Vec<Event>> {
    let (framing, text) = match (&recording.response.sse, &recording.response.body_text) {
        (Some(text), _) => (Framing::Sse, text),
        (None, Some(text)) if text.starts_with('[') => (Framing::JsonArray, text),
        _ => return None,
    };
    let (mut reader, mut events) = (from.reader(), Vec::new());
    frames(framing, text.as_bytes(), |frame| reader.frame(frame, &mut events));
    reader.end(End::Closed, &mut events);
    Some(events)
}

pub(crate) fn shape() -> Shape {
    Shape {
        id: "id-of-ours".to_owned(),
        model: "model".to_owned(),
        created: 1_800_000_000,
        include_usage: true,
        ..Shape::default()
    }
}

pub(crate) fn written(client: &dyn Dialect, events: &[Event]) -> Vec<u8> {
    let (mut writer, mut out) = (client.writer(shape()), Vec::new());
    for event in events {
        writer.event(event.clone(), &mut out);
    }
    out
}

/// What clients are told beyond the types of their dialect's provider, and in whose words.
const ADDED: [(&str, &str); 10] = [
    // DeepSeek's, OpenRouter's and Google's.
    ("openai_chat", ".reasoning: unknown field"),
    ("openai_chat", ".reasoning_content: unknown field"),
    ("openai_chat", ".reasoning_details: unknown field"),
    ("openai_chat", ".annotations: unknown field"),
    ("openai_chat", ".images: unknown field"),
    ("openai_chat", ".url_citation.content: unknown field"),
    ("openai_chat", ".extra_content: unknown field"),
    // For the object SDKs raise an exception.
    ("openai_responses", "$.error: unknown field"),
    // Terms that Anthropic tells at the beginning, where others know nothing of them yet.
    ("anthropic", "$.usage.cache_creation: unknown field"),
    ("anthropic", "$.usage.service_tier: unknown field"),
];

fn is_fault(client: &dyn Dialect, fault: &str) -> bool {
    !ADDED.iter().any(|(of, added)| *of == client.name() && fault.ends_with(added))
}

/// What a client of the dialect would find wrong with a stream.
pub(crate) fn stream_faults(client: &dyn Dialect, stream: &[u8]) -> Vec<String> {
    let (mut faults, mut reader, mut events) = (Vec::new(), client.reader(), Vec::new());
    frames(Framing::Sse, stream, |frame| {
        reader.frame(frame, &mut events);
        if let Ok(event) = serde_json::from_str::<Value>(&frame.data) {
            let found = check_event(client_api(client.name()), &event);
            faults.extend(found.into_iter().filter(|fault| is_fault(client, fault)));
        } else if !matches!(frame.data.as_ref(), "" | "[DONE]") {
            faults.push(format!("no JSON: {}", frame.data));
        }
    });
    reader.end(End::Closed, &mut events);
    if !matches!(events.last(), Some(Event::End)) {
        faults.push(format!("no end: {:?}", events.last()));
    }
    faults
}

/// What a client of the dialect would find wrong with an answer.
pub(crate) fn answer_faults(client: &dyn Dialect, answer: &[u8]) -> Vec<String> {
    let mut faults =
        check_answer(client_api(client.name()), &serde_json::from_slice(answer).unwrap());
    faults.retain(|fault| is_fault(client, fault));
    faults
}

/// Writes every recorded answer of a dialect for every client, whole and as a stream.
fn answers(from: &'static str) -> String {
    let all = recordings(from);
    let mut rows: BTreeMap<(&str, String), Row> = BTreeMap::new();
    let mut faults: BTreeMap<String, (u32, String)> = BTreeMap::new();
    for (_, recording) in &all {
        let reader = dialect(from).unwrap();
        let events = streamed(reader, recording);
        let reply = match (&events, &recording.response.body_text) {
            (Some(events), _) => collect::collect(events.clone()),
            (None, Some(body)) => Ok(reader.read_reply(body.as_bytes()).unwrap()),
            (None, None) => continue,
        };
        // A recording that was made by hand may lack its end.
        let Ok(reply) = reply else { continue };
        // One that runs in the background has no answer yet.
        if reply.finish == Finish::Failed {
            continue;
        }
        let events = events.unwrap_or_else(|| collect::events(reply.clone()));
        for client in DIALECTS.iter().filter(|client| client.name() != from) {
            let row = rows.entry((from, client.name().to_owned())).or_default();
            row.written += 2;
            let whole = client.write_reply(&reply, &shape());
            let mut found = answer_faults(*client, &whole);
            found.extend(stream_faults(*client, &written(*client, &events)));
            for fault in found {
                let fault = format!("{from} to {}: {fault}", client.name());
                faults.entry(fault).or_insert_with(|| (0, recording.id.clone())).0 += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", list(&faults));
    table(&rows)
}

#[test]
fn requests_of_chat_completions() {
    println!("{}", requests("openai_chat"));
}

#[test]
fn requests_of_responses() {
    println!("{}", requests("openai_responses"));
}

#[test]
fn requests_of_anthropic() {
    println!("{}", requests("anthropic"));
}

#[test]
fn requests_of_gemini() {
    println!("{}", requests("gemini"));
}

#[test]
fn answers_of_chat_completions() {
    println!("{}", answers("openai_chat"));
}

#[test]
fn answers_of_responses() {
    println!("{}", answers("openai_responses"));
}

#[test]
fn answers_of_anthropic() {
    println!("{}", answers("anthropic"));
}

#[test]
fn answers_of_gemini() {
    println!("{}", answers("gemini"));
}
