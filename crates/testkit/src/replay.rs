//! Finding the recorded answer to a request.

use std::collections::HashMap;
use std::path::Path;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use serde_json::Value;

use crate::answer::Answer;
use crate::recordings::{Recording, RecordingsError, load};

/// The APIs whose recordings can be replayed.
const APIS: [&str; 4] =
    ["openai.chat", "anthropic.messages", "gemini.generateContent", "deepseek.chat"];

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
        let Some(text) = recording.response.body_text.as_ref().filter(|_| !recording.stream) else {
            return;
        };
        let mut answer = Answer::of(recording.response.status, text.clone());
        for (name, value) in &recording.response.headers {
            answer.set_header(name, value);
        }
        for name in [TRANSFER_ENCODING, CONTENT_LENGTH, CONTENT_ENCODING, DATE] {
            answer.remove_header(&name);
        }
        let index = self.answers.len();
        if let Some(body) = &recording.request.body {
            let key = key(recording.request.path_without_query(), body);
            let known = self.by_request.get(&key).and_then(|known| self.answers.get(*known));
            let better =
                known.is_none_or(|known| !known.status.is_success() && answer.status.is_success());
            if better {
                self.by_request.insert(key, index);
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
        let index = self.by_request.get(&key(path, body))?;
        self.answers.get(*index).cloned()
    }
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
}
