//! One request, answer or stream of our own for each feature and dialect, and what becomes of it everywhere else.
//!
//! The requests are files of `tests/golden/requests`, named by feature and dialect; answers and streams are the fixtures
//! of the testkit.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use wire::sse::{Framing, Splitter};
use wire::stream::End;
use wire::{DIALECTS, Dialect, Event, dialect};

use crate::recorded::{answer_faults, shape, stream_faults, written};
use crate::targets::{To, groups};

/// The models that are shown: of each provider and dialect a new one and one of an older generation.
const SHOWN: [&str; 10] = [
    "gpt-5.2",
    "gpt-4o",
    "deepseek-v4-pro",
    "gpt-6.1-sol",
    "gpt-4.1",
    "claude-opus-5-5",
    "claude-sonnet-4-5",
    "gemini-3-flash-preview",
    "gemini-2.5-pro",
    "deepseek-v4-flash-vision-exp",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Files of a folder with that ending: the name without it, and the text.
fn files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned();
            Some((name, std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    files.sort();
    files
}

/// The requests of a dialect.
pub(crate) fn requests_of(client: &str) -> impl Iterator<Item = String> {
    let ending = format!(".{client}.json");
    files(&folder("requests"), &ending).into_iter().map(|(_, text)| text)
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => "../golden/snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(name, text) });
}

/// What a request becomes for one model: what is said of it, and the members of the body.
fn outcome(to: &To, chat: &wire::Chat, place: &str) -> (String, Map<String, Value>) {
    let written = match to.write(chat) {
        Ok(written) => written,
        Err(refusal) => return (format!("refused: {refusal}\n"), Map::new()),
    };
    let faults = to.faults(&written.body);
    assert!(faults.is_empty(), "{place} to {}: {faults:#?}", to.model);
    let mut body: Map<String, Value> = serde_json::from_slice(&written.body).unwrap();
    body.remove("model");
    let mut notes = String::new();
    if !written.dropped.is_empty() {
        writeln!(notes, "dropped: {}", written.dropped.join(", ")).unwrap();
    }
    for (theirs, ours) in &written.renamed {
        writeln!(notes, "renamed: {ours} to {theirs}").unwrap();
    }
    (notes, body)
}

/// The members that differ, and the names of those that are gone.
fn difference(
    first: &Map<String, Value>,
    other: &Map<String, Value>,
) -> (Map<String, Value>, String) {
    let new = other.iter().filter(|(name, value)| first.get(*name) != Some(value));
    let gone: Vec<&str> =
        first.keys().filter(|name| !other.contains_key(*name)).map(String::as_str).collect();
    (new.map(|(name, value)| (name.clone(), value.clone())).collect(), gone.join(", "))
}

/// JSON in lines that can be read: what fits into one stands in one.
fn pretty(value: &Value, indent: usize) -> String {
    const WIDTH: usize = 110;
    let inline = value.to_string();
    if inline.chars().count() + indent <= WIDTH {
        return inline;
    }
    let space = " ".repeat(indent + 2);
    let (open, parts, close) = match value {
        Value::Array(items) => {
            ('[', items.iter().map(|item| pretty(item, indent + 2)).collect::<Vec<_>>(), ']')
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), pretty(value, indent + 2))
            };
            ('{', members.iter().map(member).collect(), '}')
        }
        _ => return inline,
    };
    let parts: Vec<String> = parts.iter().map(|part| format!("{space}{part}")).collect();
    format!("{open}\n{}\n{}{close}", parts.join(",\n"), " ".repeat(indent))
}

#[test]
fn requests() {
    for (place, text) in files(&folder("requests"), ".json") {
        let (_, from) = place.split_once('.').unwrap();
        let chat = dialect(from).unwrap().read_request(text.as_bytes()).unwrap();
        let mut all = String::new();
        for group in groups() {
            let mut shown = group.iter().filter(|to| SHOWN.contains(&to.model));
            let Some(first) = shown.next() else { continue };
            let (notes, body) = outcome(first, &chat, &place);
            writeln!(all, "== {} {}\n{notes}", first.name(), first.model).unwrap();
            if !body.is_empty() {
                writeln!(all, "{}\n", pretty(&body.clone().into(), 0)).unwrap();
            }
            for to in shown {
                let (other_notes, other) = outcome(to, &chat, &place);
                let (new, gone) = difference(&body, &other);
                if other_notes.starts_with("refused") || new.is_empty() && gone.is_empty() {
                    let same = if other_notes == notes { "the same\n" } else { &other_notes };
                    writeln!(all, "-- {}: {same}", to.model).unwrap();
                    continue;
                }
                writeln!(all, "-- {}, where it differs\n{other_notes}", to.model).unwrap();
                if !gone.is_empty() {
                    writeln!(all, "without: {gone}").unwrap();
                }
                if !new.is_empty() {
                    writeln!(all, "{}\n", pretty(&new.into(), 0)).unwrap();
                }
            }
        }
        snapshot(&format!("request.{place}"), &all);
    }
}

/// Answers that clients of other dialects must be told in words of their own.
#[test]
fn answers() {
    for fixture in testkit::fixtures().into_iter().filter(|fixture| fixture.status == 200) {
        let provider = fixture.provider.as_str();
        let from = dialect_of(provider, fixture.name);
        let reply = from.read_reply(fixture.body.to_string().as_bytes()).unwrap();
        let mut all = String::new();
        for client in DIALECTS.iter().filter(|client| client.name() != from.name()) {
            let answer = client.write_reply(&reply, &shape());
            let faults = answer_faults(*client, &answer);
            assert!(
                faults.is_empty(),
                "{provider}/{} to {}: {faults:#?}",
                fixture.name,
                client.name()
            );
            let body: Value = serde_json::from_slice(&answer).unwrap();
            writeln!(all, "== {}\n{}\n", client.name(), pretty(&body, 0)).unwrap();
        }
        snapshot(&format!("answer.{provider}.{}", fixture.name), &all);
    }
}

fn dialect_of(provider: &str, name: &str) -> &'static dyn Dialect {
    let name = match provider {
        "openai" if name.contains("responses") => "openai_responses",
        "openai" | "deepseek" => "openai_chat",
        other => other,
    };
    dialect(name).unwrap()
}

fn read(from: &dyn Dialect, stream: &str) -> Vec<Event> {
    let (mut reader, mut events) = (from.reader(), Vec::new());
    let mut splitter = Splitter::new(Framing::Sse, 1_000_000);
    splitter.push(stream.as_bytes(), |frame| reader.frame(&frame, &mut events)).unwrap();
    splitter.end(|frame| reader.frame(&frame, &mut events));
    reader.end(End::Closed, &mut events);
    events
}

#[test]
fn streams() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures");
    for provider in ["openai", "deepseek", "anthropic", "gemini"] {
        for (name, stream) in files(&fixtures.join(provider), ".sse") {
            // Completions are an API of their own.
            if name.starts_with("completion") {
                continue;
            }
            let from = dialect_of(provider, &name);
            let events = read(from, &stream);
            let whole = matches!(events.last(), Some(Event::End));
            let mut all = String::new();
            for client in DIALECTS.iter().filter(|client| client.name() != from.name()) {
                let told = written(*client, &events);
                let mut faults = stream_faults(*client, &told);
                // What broke off has no end for anybody.
                faults.retain(|fault| whole || !fault.starts_with("no end"));
                assert!(faults.is_empty(), "{provider}/{name} to {}: {faults:#?}", client.name());
                writeln!(all, "== {}\n{}", client.name(), String::from_utf8(told).unwrap())
                    .unwrap();
            }
            snapshot(&format!("stream.{provider}.{}", name.trim_end_matches("_stream")), &all);
        }
    }
}

#[test]
fn no_snapshot_is_left_over() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures");
    let mut known: BTreeSet<String> = BTreeSet::new();
    known.extend(
        files(&folder("requests"), ".json").into_iter().map(|(name, _)| format!("request.{name}")),
    );
    for provider in ["openai", "deepseek", "anthropic", "gemini"] {
        let streams = files(&fixtures.join(provider), ".sse").into_iter();
        known
            .extend(streams.map(|(name, _)| {
                format!("stream.{provider}.{}", name.trim_end_matches("_stream"))
            }));
        let answers = files(&fixtures.join(provider), ".json").into_iter();
        known.extend(answers.map(|(name, _)| format!("answer.{provider}.{name}")));
    }
    let found = files(&folder("snapshots"), ".snap").into_iter().map(|(name, _)| name);
    let left: Vec<String> = found.filter(|name| !known.contains(name)).collect();
    assert!(left.is_empty(), "nothing makes these any more; delete them: {left:?}");
}
