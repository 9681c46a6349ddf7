//! Reading a folder of recorded exchanges with real providers.
//!
//! The recordings are not a part of the project: whoever has them says where they are with
//! `TOLLGATE_RECORDINGS`, or keeps them in `shared/recordings` beside the checkout. A test that
//! wants them starts with [`require`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// One recorded exchange.
#[derive(Clone, Debug)]
pub struct Recording {
    pub id: String,
    pub provider: String,
    pub api: String,
    /// The model asked for; the answer may name another.
    pub model: Option<String>,
    pub stream: bool,
    pub tags: Vec<String>,
    pub request: RecordedRequest,
    pub response: RecordedResponse,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RecordedRequest {
    pub method: String,
    /// With the query, but without a key in it.
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
}

impl RecordedRequest {
    pub fn path_without_query(&self) -> &str {
        self.path.split_once('?').map_or(self.path.as_str(), |(path, _)| path)
    }
}

#[derive(Clone, Debug)]
pub struct RecordedResponse {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
    /// The JSON text that `body` was read from. Numbers keep their spelling only here.
    pub body_text: Option<String>,
    /// The text of an event stream.
    pub sse: Option<String>,
}

/// Why a folder of recordings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}, line {line}", path.display())]
    Json { path: PathBuf, line: usize, source: serde_json::Error },
}

#[derive(Deserialize)]
struct Line {
    id: String,
    provider: String,
    api: String,
    model: Option<String>,
    stream: bool,
    #[serde(default)]
    tags: Vec<String>,
    request: RecordedRequest,
    response: ResponseLine,
}

#[derive(Deserialize)]
struct ResponseLine {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Box<RawValue>>,
    sse: Option<String>,
}

impl TryFrom<Line> for Recording {
    type Error = serde_json::Error;

    fn try_from(line: Line) -> serde_json::Result<Self> {
        let ResponseLine { status, headers, body, sse } = line.response;
        let body_text = body.map(|raw| raw.get().to_owned());
        let body = body_text.as_deref().map(serde_json::from_str).transpose()?;
        Ok(Self {
            id: line.id,
            provider: line.provider,
            api: line.api,
            model: line.model,
            stream: line.stream,
            tags: line.tags,
            request: line.request,
            response: RecordedResponse { status, headers, body, body_text, sse },
        })
    }
}

/// Where the recordings are, if they are anywhere.
pub fn find() -> Option<PathBuf> {
    let beside = || {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recordings")).to_path_buf()
    };
    let folder = environment("TOLLGATE_RECORDINGS").map_or_else(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The recordings for a test, which ends early when there are none.
///
/// On the build server (`CI=true`) their absence is a failure: a test that is always skipped there
/// would guard nothing.
///
/// # Panics
///
/// If there are no recordings and the environment says `CI=true`.
pub fn require() -> Option<PathBuf> {
    let found = find();
    if found.is_none() {
        let required = environment("CI").as_deref() == Some("true");
        assert!(
            !required,
            "no recordings: with CI=true TOLLGATE_RECORDINGS must name their folder"
        );
        // Nothing depends on this line being read, so a closed output does not matter.
        drop(writeln!(io::stdout(), "skipped: no recordings"));
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "tests have no configuration to ask")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads the recordings of one API, e.g. `openai.chat`.
pub fn load(dir: &Path, api: &str) -> Result<Vec<Recording>, RecordingsError> {
    let path = dir.join(format!("{api}.jsonl"));
    let lines: Vec<(usize, Line)> = read_lines(&path)?;
    let recording = |(line, content): (usize, Line)| {
        Recording::try_from(content).map_err(|source| RecordingsError::Json {
            path: path.clone(),
            line,
            source,
        })
    };
    lines.into_iter().map(recording).collect()
}

/// Reads what each recording must cost, computed by others.
pub fn load_bills(dir: &Path) -> Result<Vec<Value>, RecordingsError> {
    let lines = read_lines(&dir.join("expected_bills.jsonl"))?;
    Ok(lines.into_iter().map(|(_, bill)| bill).collect())
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<(usize, T)>, RecordingsError> {
    let unreadable = |source| RecordingsError::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut parsed = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let value = serde_json::from_str(&line).map_err(|source| RecordingsError::Json {
            path: path.to_path_buf(),
            line: number,
            source,
        })?;
        parsed.push((number, value));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_number_spellings_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let line = r#"{"id":"x-1","provider":"openai","api":"x","model":null,"stream":false,"tags":["a"],"request":{"method":"POST","path":"/p?q=1","headers":{},"body":{"a":1}},"response":{"status":200,"headers":{},"body":{"p":-0.10}}}"#;
        std::fs::write(dir.path().join("x.jsonl"), format!("{line}\n\n")).expect("written");
        let recordings = load(dir.path(), "x").expect("readable");
        assert_eq!(recordings.len(), 1);
        assert_eq!(recordings[0].request.path_without_query(), "/p");
        assert_eq!(recordings[0].response.body_text.as_deref(), Some(r#"{"p":-0.10}"#));
        std::fs::write(dir.path().join("x.jsonl"), format!("{line}\n{{")).expect("written");
        let error = load(dir.path(), "x").expect_err("not JSON");
        assert!(error.to_string().ends_with("line 2"), "{error}");
    }

    #[test]
    fn the_recordings_and_their_bills_can_be_read() {
        let Some(dir) = require() else { return };
        for api in ["openai.chat", "anthropic.messages", "gemini.generateContent", "deepseek.chat"]
        {
            let recordings = load(&dir, api).expect(api);
            assert!(!recordings.is_empty(), "{api}");
            for recording in recordings {
                let answer = recording.response;
                assert!(answer.body.is_some() != answer.sse.is_some(), "{}", recording.id);
            }
        }
        assert!(!load_bills(&dir).expect("bills").is_empty());
    }
}
