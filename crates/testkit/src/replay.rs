//! Finding the recorded answer to a request.

use std::collections::HashMap;
use std::path::Path;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use serde_json::Value;

use crate::answer::Answer;
use crate::provider::Provider;
use crate::recordings::{Recording, RecordingsError, load};
use crate::stream::{Form, Stream};

/// The APIs whose recordings can be replayed.
const APIS: [&str; 15] = [
    "openai.chat",
    "openai.responses",
    "openai.responses_input_tokens",
    "openai.completions",
    "openai.embeddings",
    "anthropic.messages",
    "anthropic.count_tokens",
    "gemini.generateContent",
    "gemini.streamGenerateContent",
    "gemini.countTokens",
    "gemini.embedContent",
    "gemini.batchEmbedContents",
    "deepseek.chat",
    "deepseek.responses",
    "deepseek.messages",
];

/// Recorded answers, by the request that they answer and by name.
#[derive(Default)]
pub(crate) struct Replay {
    answers: Vec<Answer>,
    by_request: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
}

impl Replay {
    pub(crate) fn load(dir: &Path) -> Result<Self, RecordingsError> {
        let mut replay = Self::default();
        for api in APIS {
            // A folder need not hold all of the APIs.
            if dir.join(format!("{api}.jsonl")).is_file() {
                load(dir, api)?.into_iter().for_each(|recording| replay.add(&recording));
            }
        }
        Ok(replay)
    }

    /// Of several answers to the same request the first good one is given; the others can be had by
    /// their id.
    fn add(&mut self, recording: &Recording) {
        let response = &recording.response;
        let mut answer = match (&response.body_text, &response.sse) {
            (Some(text), None) => Answer::of(response.status, text.clone()),
            (_, Some(text)) => {
                let stream = Stream::recorded(form(recording), text);
                Answer::of(response.status, "").streamed(stream)
            }
            (None, None) => return,
        };
        for (name, value) in &response.headers {
            answer.set_header(name, value);
        }
        for name in [TRANSFER_ENCODING, CONTENT_LENGTH, CONTENT_ENCODING, DATE] {
            answer.remove_header(&name);
        }
        let index = self.answers.len();
        if let Some(body) = &recording.request.body {
            let path = recording.request.path_without_query();
            for key in [exact_key(path, body), loose_key(path, body)] {
                let known = self.by_request.get(&key).and_then(|known| self.answers.get(*known));
                let better = known
                    .is_none_or(|known| !known.status.is_success() && answer.status.is_success());
                if better {
                    self.by_request.insert(key, index);
                }
            }
        }
        self.by_id.insert(recording.id.clone(), index);
        self.answers.push(answer);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Answer> {
        self.by_id.get(id).and_then(|index| self.answers.get(*index)).cloned()
    }

    /// The path tells the provider, but for the version prefix that `DeepSeek` takes as well.
    pub(crate) fn by_request(&self, path: &str, body: &Value) -> Option<Answer> {
        let find = |key: String| self.by_request.get(&key);
        let index = find(exact_key(path, body)).or_else(|| find(loose_key(path, body)))?;
        self.answers.get(*index).cloned()
    }
}

fn form(recording: &Recording) -> Form {
    let is_array = !recording.request.path.contains("alt=sse");
    match (recording.provider.as_str(), recording.api.as_str()) {
        ("gemini", _) if is_array => Form::GeminiArray,
        ("gemini", _) => Form::Gemini,
        (_, api) if api.ends_with(".responses") => Form::Responses,
        (_, api) if api.ends_with(".messages") => Form::Messages,
        ("deepseek", _) => Form::Chat(Provider::DeepSeek),
        _ => Form::Chat(Provider::OpenAi),
    }
}

fn exact_key(path: &str, body: &Value) -> String {
    key(&format!("exact {path}"), body)
}

/// What a gateway may change on the way does not tell requests apart: options of the stream, and
/// the vendor before the name of the model.
fn loose_key(path: &str, body: &Value) -> String {
    let Some(fields) = body.as_object() else { return key(path, body) };
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort_unstable();
    let mut key = format!("loose {path}\n");
    for name in names {
        let value = fields.get(name).unwrap_or(&Value::Null);
        match (name.as_str(), value) {
            // Not to want a stream and not to speak of it are the same.
            ("stream_options", _) | ("stream", Value::Bool(false)) => continue,
            ("model", Value::String(model)) => {
                key.push_str(model.rsplit('/').next().unwrap_or_default());
            }
            _ => {
                key.push_str(name);
                key.push(':');
                canonical(value, &mut key);
            }
        }
        key.push('\n');
    }
    key
}

/// The JSON text of a value that does not depend on the order of its keys.
pub(crate) fn canonical_text(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    text
}

fn key(path: &str, body: &Value) -> String {
    let mut key = format!("{path}\n");
    canonical(body, &mut key);
    key
}

/// Writes JSON with its keys sorted, so that their order does not matter, whatever map the JSON
/// library is built with.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in fields {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_does_not_matter_but_array_order_does() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let key = |text: &str| key("/p", &parse(text));
        assert_eq!(
            key(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#),
            key(r#"{"b":{"d":null,"c":[1,2]},"a":1}"#)
        );
        assert_ne!(key(r#"{"a":[1,2]}"#), key(r#"{"a":[2,1]}"#));
        assert_ne!(key(r#"{"a":"1"}"#), key(r#"{"a":1}"#));
    }

    #[test]
    fn what_a_gateway_may_change_matters_to_the_exact_key_alone() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let plain = parse(r#"{"model":"m","stream":true}"#);
        let asked =
            parse(r#"{"model":"vendor/m","stream":true,"stream_options":{"include_usage":true}}"#);
        assert_ne!(exact_key("/p", &plain), exact_key("/p", &asked));
        assert_eq!(loose_key("/p", &plain), loose_key("/p", &asked));
        assert_ne!(loose_key("/p", &plain), loose_key("/q", &plain));
        assert_ne!(loose_key("/p", &plain), loose_key("/p", &parse(r#"{"model":"m"}"#)));
    }
}
