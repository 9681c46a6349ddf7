//! A request of any format, read as far as an answer depends on it.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod gemini;
pub(crate) mod messages;
pub(crate) mod responses;
pub(crate) mod sample;

use serde_json::Value;

use crate::prompt;

/// What is asked, whichever format it is asked in.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    pub(crate) model: String,
    /// The instructions, one after the other.
    pub(crate) system: String,
    /// The last thing the user said.
    pub(crate) said: String,
    /// What the last message of the user shows besides text.
    pub(crate) media: Vec<Media>,
    /// The results of tools, if the conversation ends with them.
    pub(crate) results: Vec<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    pub(crate) one_call_only: bool,
    pub(crate) format: Format,
    pub(crate) stops: Vec<String>,
    pub(crate) thinking: Thinking,
    pub(crate) logprobs: bool,
    /// How many answers are wanted; zero counts as one.
    pub(crate) answers: usize,
    pub(crate) input_tokens: u64,
    /// The most tokens that the answer may have.
    pub(crate) ceiling: Option<u64>,
}

/// Something that is not text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) kind: &'static str,
    pub(crate) mime: String,
    /// Its size, or where it is to be fetched.
    pub(crate) source: Source,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Bytes(usize),
    Elsewhere(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
    /// Takes any text instead of JSON.
    pub(crate) free_form: bool,
}

/// Whether a tool is to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    /// This one.
    Named(String),
}

impl Choice {
    pub(crate) fn is_forced(&self) -> bool {
        matches!(self, Self::Required | Self::Named(_))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    /// Any object.
    Object,
    Schema(Value),
}

/// Whether the model thinks before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Thinking {
    #[default]
    Off,
    /// It thinks, but nobody sees what.
    Hidden,
    Shown,
}

impl Ask {
    pub(crate) fn new(model: &str, body: &Value) -> Self {
        let said = prompt::last_user(body).unwrap_or_default();
        Self {
            model: model.to_owned(),
            said: prompt::without_fault(said.trim()).to_owned(),
            input_tokens: prompt::input_tokens(body),
            ..Self::default()
        }
    }

    /// Leaves the tools that may be called.
    pub(crate) fn allow_only(&mut self, names: &[String]) {
        self.tools.retain(|tool| names.contains(&tool.name));
    }
}

/// A value that is there and not null.
pub(crate) fn field<'a>(body: &'a Value, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|value| !value.is_null())
}

pub(crate) fn string<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}

pub(crate) fn array<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text, or the texts of parts one after the other.
pub(crate) fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| string(part, "text")).collect(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Media {
    /// From base64, whose length tells the number of bytes.
    pub(crate) fn base64(kind: &'static str, mime: &str, data: &str) -> Self {
        let digits = data.trim_end_matches('=').len();
        Self { kind, mime: mime.to_owned(), source: Source::Bytes(digits * 3 / 4) }
    }

    /// From a `data:` URL or another.
    pub(crate) fn url(kind: &'static str, url: &str) -> Self {
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
        match inline {
            Some((head, data)) => {
                let mime = head.split(';').next().unwrap_or_default();
                Self::base64(kind, mime, data)
            }
            None => Self { kind, mime: String::new(), source: Source::Elsewhere(url.to_owned()) },
        }
    }
}
