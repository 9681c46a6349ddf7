//! Answers as streams: each is a whole answer, told in the events of its format.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod gemini;
pub(crate) mod messages;
pub(crate) mod responses;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::errors;
use crate::provider::Provider;

/// How the events of a stream are framed, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Events without names, `[DONE]` at the end.
    Chat(Provider),
    Responses,
    Messages,
    Gemini,
    /// Gemini without `alt=sse`: one array, sent element by element.
    GeminiArray,
}

/// The frames of a stream, each with one event.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) form: Form,
    pub(crate) frames: Vec<Bytes>,
}

impl Stream {
    pub(crate) fn new(form: Form, events: &[Value]) -> Self {
        let mut frames: Vec<Bytes> = Vec::with_capacity(events.len() + 1);
        for (index, event) in events.iter().enumerate() {
            frames.push(frame(form, index, name_of(event), &event.to_string()));
        }
        match form {
            Form::Chat(_) => frames.push(Bytes::from_static(b"data: [DONE]\n\n")),
            Form::GeminiArray if events.is_empty() => frames.push(Bytes::from_static(b"[]")),
            Form::GeminiArray => frames.push(Bytes::from_static(b"]")),
            Form::Responses | Form::Messages | Form::Gemini => {}
        }
        Self { form, frames }
    }

    /// Cuts recorded text where its events end.
    pub(crate) fn recorded(form: Form, text: &str) -> Self {
        let mut frames = Vec::new();
        let mut rest = text;
        while let Some(end) = event_end(rest).filter(|_| form != Form::GeminiArray) {
            let (event, next) = rest.split_at(end);
            frames.push(Bytes::copy_from_slice(event.as_bytes()));
            rest = next;
        }
        if !rest.is_empty() {
            frames.push(Bytes::copy_from_slice(rest.as_bytes()));
        }
        Self { form, frames }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self.form {
            Form::Chat(_) | Form::Responses | Form::Messages => "text/event-stream; charset=utf-8",
            Form::Gemini => "text/event-stream",
            Form::GeminiArray => "application/json; charset=UTF-8",
        }
    }

    /// Ends after so many events with an error, in the way of the format.
    pub(crate) fn fail_after(&mut self, events: usize) {
        self.frames.truncate(events.min(self.frames.len().saturating_sub(1)));
        let place = self.frames.len();
        let error = match self.form {
            Form::Chat(provider) => whole_error(provider, 500),
            Form::Responses => json!({
                "type": "error",
                "code": "server_error",
                "message": "Something failed in the middle of the answer (simulated).",
                "param": null,
                "sequence_number": place,
            }),
            Form::Messages => whole_error(Provider::Anthropic, 529),
            Form::Gemini | Form::GeminiArray => whole_error(Provider::Gemini, 503),
        };
        self.frames.push(frame(self.form, place, name_of(&error), &error.to_string()));
        if self.form == Form::GeminiArray {
            self.frames.push(Bytes::from_static(b"]"));
        }
    }

    /// Puts an event that is not JSON after so many others.
    pub(crate) fn garble_after(&mut self, events: usize) {
        let place = events.min(self.frames.len().saturating_sub(1));
        let garbage =
            frame(self.form, place, "garbage", "{\"type\":\"garbage\",\"choices\":[{\"del");
        self.frames.insert(place, garbage);
    }

    /// Leaves out what says that the answer is over.
    pub(crate) fn without_end(&mut self) {
        self.frames.pop();
        if self.form == Form::GeminiArray {
            self.frames.pop();
        }
    }

    /// Puts what keeps a connection open before the answer.
    pub(crate) fn keep_alive(&mut self, times: usize) {
        let signal: &'static [u8] = match self.form {
            Form::Chat(_) | Form::Responses => b": keep-alive\n\n",
            Form::Messages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            Form::Gemini | Form::GeminiArray => b"\r\n",
        };
        self.frames.splice(..0, std::iter::repeat_n(Bytes::from_static(signal), times));
    }

    /// The same stream without its usage.
    pub(crate) fn without_usage(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        for bytes in frames {
            let text = String::from_utf8_lossy(&bytes);
            let Some(mut event) = data(&text) else {
                self.frames.push(bytes);
                continue;
            };
            for place in ["", "/message", "/response"] {
                if let Some(Value::Object(fields)) = event.pointer_mut(place) {
                    fields.remove("usage");
                    fields.remove("usageMetadata");
                }
            }
            let is_only_usage = matches!(self.form, Form::Chat(_))
                && event.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
            if !is_only_usage {
                let place = self.frames.len();
                self.frames.push(frame(self.form, place, name_of(&event), &event.to_string()));
            }
        }
    }
}

/// Where the first event of a text ends, its blank line included.
fn event_end(text: &str) -> Option<usize> {
    let ends = ["\n\n", "\r\n\r\n"].into_iter();
    ends.filter_map(|end| text.find(end).map(|at| at + end.len())).min()
}

/// The JSON of a frame, if it has any.
fn data(frame: &str) -> Option<Value> {
    let text = frame.lines().find_map(|line| line.strip_prefix("data: "));
    let text = text.unwrap_or_else(|| frame.trim_start_matches(['[', ',', '\r', '\n']));
    serde_json::from_str(text).ok().filter(Value::is_object)
}

fn whole_error(provider: Provider, status: u16) -> Value {
    let answer = errors::on_demand(provider, status);
    answer.whole().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

/// What the `event:` line of an event says, where there is one.
fn name_of(event: &Value) -> &str {
    event.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn frame(form: Form, index: usize, name: &str, data: &str) -> Bytes {
    let text = match form {
        Form::Chat(_) => format!("data: {data}\n\n"),
        Form::Responses | Form::Messages => format!("event: {name}\ndata: {data}\n\n"),
        Form::Gemini => format!("data: {data}\r\n\r\n"),
        Form::GeminiArray => format!("{}{data}", if index == 0 { "[" } else { ",\r\n" }),
    };
    text.into()
}

/// A text in small pieces, as a model writes it: no longer than a word and its blank, or a few
/// characters of a long word.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    for word in text.split_inclusive(' ') {
        let mut rest = word;
        while rest.len() > LONGEST {
            let (piece, next) = rest.split_at(rest.ceil_char_boundary(LONGEST));
            pieces.push(piece);
            rest = next;
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
    }
    pieces
}

/// The longest piece of a word, in bytes.
const LONGEST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_nothing() {
        for text in ["", " ", "one", "one two  three ", "€€€€€€€€€€ and on", "{\"a\": [1, 2]}"]
        {
            assert_eq!(words(text).concat(), text);
            assert!(words(text).iter().all(|piece| !piece.is_empty() && piece.len() < 16));
        }
    }

    #[test]
    fn recorded_text_is_cut_after_each_event_and_stays_the_same() {
        let text = "data: 1\n\n: c\r\n\r\ndata: 2\n\ndata: end";
        let stream = Stream::recorded(Form::Responses, text);
        assert_eq!(stream.frames, ["data: 1\n\n", ": c\r\n\r\n", "data: 2\n\n", "data: end"]);
        assert_eq!(Stream::recorded(Form::GeminiArray, "[{}\n\n]").frames, ["[{}\n\n]"]);
    }

    #[test]
    fn an_array_stays_json_when_it_fails() {
        for events in 0..4 {
            let mut stream = Stream::new(Form::GeminiArray, &[json!({"a": 1}), json!({"b": 2})]);
            stream.fail_after(events);
            let whole: Value = serde_json::from_slice(&stream.frames.concat()).expect("JSON");
            let elements = whole.as_array().expect("an array");
            assert_eq!(elements.len(), events.min(2) + 1);
            assert_eq!(elements[events.min(2)]["error"]["code"], 503);
        }
    }
}
