//! What inputs are made from: the fixtures of the testkit and the golden requests, and for each dialect also what its
//! writers make of the fixtures of the others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use wire::sse::{Framing, Splitter};
use wire::stream::End;
use wire::{DIALECTS, Dialect, Event, Shape, collect};

/// What an input is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body of a request.
    Request,
    /// The body of an answer or of an error.
    Answer,
    /// A stream.
    Stream,
}

impl Kind {
    /// As files name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Stream => "stream",
        }
    }
}

/// An input.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Inputs, and the names and texts in them.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// The inputs.
    pub inputs: Vec<Input>,
    /// Names of members.
    pub names: Vec<String>,
    /// Short texts that stand as values: types, roles, reasons.
    pub words: Vec<String>,
}

const PROVIDERS: [&str; 4] = ["openai", "deepseek", "anthropic", "gemini"];

impl Corpus {
    /// What a dialect is fed with.
    ///
    /// # Errors
    /// A fixture that cannot be read.
    pub fn of(dialect: &dyn Dialect) -> anyhow::Result<Self> {
        let mut corpus = Self::default();
        for (name, text) in files(&root().join("crates/wire/tests/golden/requests"), ".json")? {
            if name.ends_with(dialect.name()) {
                corpus.add(Kind::Request, text);
            }
        }
        for fixture in testkit::fixtures() {
            let from = home(fixture.provider.as_str(), fixture.name);
            let body = fixture.body.to_string();
            if from.name() == dialect.name() {
                corpus.add(Kind::Answer, body);
            } else if let Ok(reply) = from.read_reply(body.as_bytes()) {
                corpus.add(Kind::Answer, dialect.write_reply(&reply, &Shape::default()));
                corpus.add(Kind::Stream, written(dialect, collect::events(reply)));
            }
        }
        for (from, stream) in streams()? {
            if from.name() == dialect.name() {
                corpus.add(Kind::Stream, stream);
            } else {
                corpus.add(Kind::Stream, written(dialect, read(from, stream.as_bytes())));
            }
        }
        corpus.learn();
        Ok(corpus)
    }

    /// Streams of all dialects.
    ///
    /// # Errors
    /// A fixture that cannot be read.
    pub fn of_streams() -> anyhow::Result<Self> {
        let mut corpus = Self::default();
        for (_, stream) in streams()? {
            corpus.add(Kind::Stream, stream);
        }
        for text in
            ["[{\"a\":\"]\"},\r\n{\"b\":[1,{}]}\n]", "data: a\ndata: b\n\n: c\n\nevent: x\r\n\r\n"]
        {
            corpus.add(Kind::Stream, text);
        }
        corpus.learn();
        Ok(corpus)
    }

    fn add(&mut self, kind: Kind, bytes: impl Into<Vec<u8>>) {
        self.inputs.push(Input { kind, bytes: bytes.into() });
    }

    /// Collects the names and words of the inputs.
    fn learn(&mut self) {
        let (mut names, mut words) = (BTreeSet::new(), BTreeSet::new());
        for input in &self.inputs {
            let text = String::from_utf8_lossy(&input.bytes);
            let whole = serde_json::from_str(&text).ok();
            let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
            let values = lines.filter_map(|data| serde_json::from_str(data).ok());
            for value in whole.into_iter().chain(values) {
                tell(&value, &mut names, &mut words);
            }
        }
        self.names = names.into_iter().collect();
        self.words = words.into_iter().collect();
    }
}

fn tell(value: &Value, names: &mut BTreeSet<String>, words: &mut BTreeSet<String>) {
    const LONGEST: usize = 40;
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                names.insert(name.clone());
                tell(value, names, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| tell(item, names, words)),
        Value::String(word) if word.len() <= LONGEST => {
            words.insert(word.clone());
        }
        _ => {}
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder with that ending, by name: the name without the ending, and the text.
fn files(folder: &Path, ending: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let entries = folder.read_dir().with_context(|| format!("no folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = name.strip_suffix(ending) {
            found.push((name.to_owned(), std::fs::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

/// The streams among the fixtures, each with its dialect.
fn streams() -> anyhow::Result<Vec<(&'static dyn Dialect, String)>> {
    let mut all = Vec::new();
    for provider in PROVIDERS {
        let folder = root().join("crates/testkit/fixtures").join(provider);
        let found = files(&folder, ".sse")?.into_iter();
        all.extend(found.map(|(name, text)| (home(provider, &name), text)));
    }
    Ok(all)
}

fn home(provider: &str, name: &str) -> &'static dyn Dialect {
    match provider {
        "anthropic" => &wire::anthropic::Anthropic,
        "gemini" => &wire::gemini::Gemini,
        _ if name.contains("responses") => &wire::openai_responses::OpenaiResponses,
        _ => DIALECTS[0],
    }
}

/// The longest frame that the targets take.
pub const LONGEST_FRAME: usize = 1 << 20;

fn read(from: &dyn Dialect, stream: &[u8]) -> Vec<Event> {
    let (mut reader, mut events) = (from.reader(), Vec::new());
    let mut splitter = Splitter::new(Framing::Sse, LONGEST_FRAME);
    if splitter.push(stream, |frame| reader.frame(&frame, &mut events)).is_ok() {
        splitter.end(|frame| reader.frame(&frame, &mut events));
    }
    reader.end(End::Closed, &mut events);
    events
}

fn written(dialect: &dyn Dialect, events: Vec<Event>) -> Vec<u8> {
    let (mut writer, mut out) = (dialect.writer(Shape::default()), Vec::new());
    for event in events {
        writer.event(event, &mut out);
    }
    out
}
